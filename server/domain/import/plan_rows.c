// SPDX-License-Identifier: Apache-2.0
//
// A master or a key → one row. Every row is checked here as a call would check it, so that a bad one fails alone
// instead of taking its batch with it.
//
// The awkward cases: what decides whether a key works (status, quota, expiry) is never guessed. A word or a number that
// is not understood fails the row; it does not become "active" or "unlimited".
#include <string.h>

#include "proto/crypto/token.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/message.h"
#include "server/domain/import/plan_inside.h"

#define LAST4_WANTS 8    // a token shorter than this shows none of its characters
#define TEXTS_MAX   1001 // of one list: one more than any list may have, so that a longer one is refused

// A list of texts being filled in an arena.
typedef struct texts {
    ez_arena *arena;
    char **items;
    size_t count, room;
    const ez_names *names; // not NULL: each text becomes its namespace, once
} texts;

static bool add_text(void *user, const char *text) {
    texts *list = user;
    if (list->count == TEXTS_MAX) {
        return true;
    }
    const char *name = list->names != NULL ? ez_names_get(list->names, text) : text;
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], name) == 0) {
            return true;
        }
    }
    if (list->count == list->room) {
        size_t room = list->room == 0 ? 8 : 2 * list->room;
        char **grown = ez_arena_alloc(list->arena, room * sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        if (list->count > 0) { // NULL and 0 are no arguments for memcpy
            memcpy(grown, list->items, list->count * sizeof *grown);
        }
        list->items = grown;
        list->room = room;
    }
    list->items[list->count] = ez_arena_strdup(list->arena, name);
    return list->items[list->count++] != NULL;
}

static ez_status wrong(ez_error *error, const char *what) {
    return ez_error_set(error, EZ_INVALID_ARGUMENT, "ROW_INVALID", "%s", what);
}

// Absent, null, a text, or a list of texts: else whom it restricts would come in without restriction.
static bool is_texts(const json_t *value) {
    size_t i;
    json_t *item;
    json_array_foreach(value, i, item) {
        if (!json_is_string(item)) {
            return false;
        }
    }
    return value == NULL || json_is_null(value) || json_is_string(value) || json_is_array(value);
}

static ez_status fill(const json_t *element, const char *name, bool splits, texts *list, ez_error *error) {
    const json_t *value = json_object_get(element, name);
    if (!is_texts(value)) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "ROW_INVALID", "%s: must be a list of texts", name);
    }
    return ez_element_each(value, splits, add_text, list) ? EZ_OK : ez_plan_no_memory(error);
}

// Namespaces: an empty text in the list means "default", so empty ones count here.
static ez_status fill_namespaces(const ez_plan *plan, const json_t *element, texts *list, ez_error *error) {
    const json_t *value = json_object_get(element, "namespaces");
    list->names = &plan->names;
    if (!is_texts(value) || json_is_string(value)) {
        return wrong(error, "namespaces: must be a list of texts");
    }
    size_t i;
    json_t *item;
    json_array_foreach(value, i, item) {
        if (!add_text(list, json_string_value(item))) {
            return ez_plan_no_memory(error);
        }
    }
    return EZ_OK;
}

// ---- Labels

typedef Ez__V1__Master__LabelsEntry label; // all labels have this shape
_Static_assert(sizeof(Ez__V1__Key__LabelsEntry) == sizeof(label), "labels of masters and keys differ");

static bool add_label(ez_arena *arena, label **list, size_t *count, const ProtobufCMessageDescriptor *of,
                      const char *key, const char *value) {
    if (value[0] == '\0') {
        return true;
    }
    label *added = ez_arena_zalloc(arena, sizeof *added);
    if (added == NULL) {
        return false;
    }
    protobuf_c_message_init(of, added);
    added->key = (char *)key;
    added->value = (char *)value;
    list[(*count)++] = added;
    return true;
}

static ez_status check(const ProtobufCMessageDescriptor *of, ProtobufCMessage *message, ez_arena *arena,
                       ez_error *error) {
    return ez_message_check(ez_message_rule_find(of), message, true, arena, error);
}

// ---- Masters

// A master gets the namespaces its keys name, and room for all of them: what worked at the source works here.
static bool widen(ez_plan *plan, Ez__V1__Master *master, texts *list, bool has_limit) {
    const json_t *known = json_object_get(plan->masters, master->name);
    const char *name;
    json_t *ignored;
    list->names = NULL;
    json_object_foreach(json_object_get(known, "namespaces"), name, ignored) {
        size_t before = list->count;
        if (strcmp(name, master->default_namespace) == 0) {
            continue;
        }
        if (!add_text(list, name)) {
            return false;
        }
        if (list->count > before) {
            ez_plan_warn(plan, "master \"%s\": its keys use namespace \"%s\", which it did not list: added",
                         master->name, name);
        }
    }
    int64_t keys = (int64_t)json_integer_value(json_object_get(known, "keys"));
    if (keys > master->max_child_keys) {
        if (has_limit) {
            ez_plan_warn(plan, "master \"%s\": max_child_keys raised from %lld to %lld, as many as come along",
                         master->name, (long long)master->max_child_keys, (long long)keys);
        }
        master->max_child_keys = keys;
    }
    return true;
}

static bool label_master(Ez__V1__Master *master, const json_t *element, ez_arena *arena) {
    label **list = ez_arena_alloc(arena, 2 * sizeof *list);
    const ProtobufCMessageDescriptor *of = &ez__v1__master__labels_entry__descriptor;
    master->labels = list;
    return list != NULL &&
           add_label(arena, list, &master->n_labels, of, "original_id",
                     ez_element_id(element, "_original_id", arena)) &&
           add_label(arena, list, &master->n_labels, of, "source_user_id",
                     ez_element_id(element, "_source_user_id", arena));
}

static ez_status set_master_numbers(const json_t *element, Ez__V1__Master *master, ez_error *error) {
    static const char *const words[] = {"active", "suspended", NULL};
    int word = ez_element_choose(element, "status", words);
    if (word < 0) {
        return wrong(error, "its status is neither active nor suspended");
    }
    master->status =
        word == 1 ? EZ__V1__MASTER_STATUS__MASTER_STATUS_SUSPENDED : EZ__V1__MASTER_STATUS__MASTER_STATUS_ACTIVE;
    master->opt_max_child_keys_case = EZ__V1__MASTER__OPT_MAX_CHILD_KEYS_MAX_CHILD_KEYS;
    ez_status status = ez_element_whole(element, "max_child_keys", 5, &master->max_child_keys, error);
    return status != EZ_OK ? status : ez_element_whole(element, "global_qps", 0, &master->global_qps, error);
}

static ez_status build_master(ez_plan *plan, const json_t *element, ez_arena *arena, Ez__V1__Master *master,
                              ez_error *error) {
    texts namespaces = {.arena = arena};
    bool has_limit = json_is_number(json_object_get(element, "max_child_keys"));
    ez_status status = set_master_numbers(element, master, error);
    if (status != EZ_OK) {
        return status;
    }
    master->name = ez_arena_strdup(arena, ez_element_text(element, "name"));
    master->group = ez_arena_strdup(arena, ez_element_group(element, "group"));
    master->default_namespace = (char *)ez_names_get(&plan->names, ez_element_text(element, "default_namespace"));
    if (master->name == NULL || master->group == NULL || !label_master(master, element, arena)) {
        return ez_plan_no_memory(error);
    }
    status = fill_namespaces(plan, element, &namespaces, error);
    if (status == EZ_OK && !widen(plan, master, &namespaces, has_limit)) {
        status = ez_plan_no_memory(error);
    }
    if (status != EZ_OK) {
        return status;
    }
    master->namespaces = namespaces.items;
    master->n_namespaces = namespaces.count;
    return check(&ez__v1__master__descriptor, &master->base, arena, error);
}

ez_status ez_plan_master_row(ez_plan *plan, size_t index, ez_arena *arena, Ez__V1__Master **out, ez_error *error) {
    json_t *element;
    Ez__V1__Master *master = ez_arena_alloc(arena, sizeof *master);
    if (master == NULL) {
        return ez_plan_no_memory(error);
    }
    ez_status status = ez_element_parse(plan->file->lists[EZ_EXPORT_MASTERS].items[index], &element, error);
    if (status != EZ_OK) {
        return status;
    }
    ez__v1__master__init(master);
    status = build_master(plan, element, arena, master, error);
    json_decref(element);
    *out = master;
    return status;
}

// ---- Keys

static ez_status set_token(const json_t *element, ez_arena *arena, Ez__V1__ImportKey *row, ez_error *error) {
    const char *token;
    ez_status status = ez_element_token(element, arena, &token, error);
    if (status != EZ_OK) {
        return status;
    }
    size_t len = strlen(token);
    uint8_t *hash = ez_arena_alloc(arena, EZ_TOKEN_HASH_LEN);
    row->token_last4 = ez_arena_strdup(arena, len >= LAST4_WANTS ? token + len - 4 : "****");
    row->token_prefix = (char *)"sk-";
    if (hash == NULL || row->token_last4 == NULL) {
        return ez_plan_no_memory(error);
    }
    ez_token_hash(token, len, hash);
    row->token_sha256 = (ProtobufCBinaryData){.len = EZ_TOKEN_HASH_LEN, .data = hash};
    return EZ_OK;
}

static ez_status set_expiry(const json_t *element, ez_arena *arena, Ez__V1__Key *key, ez_error *error) {
    const json_t *value = json_object_get(element, "expires_at");
    int64_t seconds = 0;
    int32_t nanos = 0;
    if (json_is_string(value) && json_string_length(value) > 0) {
        if (ez_clock_parse(json_string_value(value), json_string_length(value), &seconds, &nanos) != EZ_OK) {
            return wrong(error, "expires_at: must be an RFC 3339 time");
        }
    } else if (json_is_integer(value)) {
        seconds = (int64_t)json_integer_value(value);
    } else if (value != NULL && !json_is_null(value) && !json_is_string(value)) {
        return wrong(error, "expires_at: must be an RFC 3339 time");
    }
    if (seconds <= 0) { // absent, null, or the source's -1: never
        return EZ_OK;
    }
    key->expires_at = ez_arena_alloc(arena, sizeof *key->expires_at);
    if (key->expires_at == NULL) {
        return ez_plan_no_memory(error);
    }
    google__protobuf__timestamp__init(key->expires_at);
    key->expires_at->seconds = seconds;
    key->expires_at->nanos = nanos;
    return EZ_OK;
}

// quota_limit is what remained at the export: ours is what remained and what was used. Overdrawn: what was used. A key
// that says it is not unlimited but has no quota_limit has nothing left (the source leaves zeros out).
static ez_status set_quota(const json_t *element, Ez__V1__ImportKey *row, ez_error *error) {
    Ez__V1__Key *key = row->key;
    bool is_unlimited = false, is_limited = json_is_false(json_object_get(element, "unlimited_quota"));
    int64_t used, remained;
    ez_status status = ez_element_flag(element, "unlimited_quota", &is_unlimited, error);
    status = status != EZ_OK ? status : ez_element_whole(element, "quota_used", 0, &used, error);
    status = status != EZ_OK ? status : ez_element_whole(element, "quota_limit", 0, &remained, error);
    if (status != EZ_OK) {
        return status;
    }
    used = used > 0 ? used : 0;
    row->quota_used = used;
    key->opt_quota_limit_case = EZ__V1__KEY__OPT_QUOTA_LIMIT_QUOTA_LIMIT;
    key->quota_unit = EZ__V1__QUOTA_UNIT__QUOTA_UNIT_UNITS;
    key->quota_limit = -1;
    if (is_unlimited || (!is_limited && !json_is_number(json_object_get(element, "quota_limit")))) {
        return EZ_OK;
    }
    if (remained <= 0) {
        key->quota_limit = used;
    } else if (__builtin_add_overflow(remained, used, &key->quota_limit)) {
        key->quota_limit = INT64_MAX;
    }
    if (remained <= 0 && row->status == EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE) {
        row->status = EZ__V1__KEY_STATUS__KEY_STATUS_EXHAUSTED;
    }
    return EZ_OK;
}

static ez_status set_status(const json_t *element, Ez__V1__ImportKey *row, ez_error *error) {
    static const char *const words[] = {"active", "disabled", "expired", "exhausted", NULL};
    static const Ez__V1__KeyStatus statuses[] = {
        EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE, EZ__V1__KEY_STATUS__KEY_STATUS_DISABLED,
        EZ__V1__KEY_STATUS__KEY_STATUS_EXPIRED, EZ__V1__KEY_STATUS__KEY_STATUS_EXHAUSTED};
    int word = ez_element_choose(element, "status", words);
    if (word < 0) {
        return wrong(error, "its status is none of active, disabled, expired, exhausted");
    }
    row->status = statuses[word];
    return EZ_OK;
}

// Its default must be one of its own: the master's where that is one, which it then inherits; else the first.
static void set_default_namespace(const ez_plan *plan, const Ez__V1__ImportKey *row) {
    Ez__V1__Key *key = row->key;
    const json_t *master = json_object_get(plan->masters, row->master_name);
    const char *masters = ez_names_get(&plan->names, ez_element_text(master, "default"));
    for (size_t i = 0; i < key->n_namespaces; i++) {
        if (master != NULL && strcmp(key->namespaces[i], masters) == 0) {
            return;
        }
    }
    if (key->n_namespaces > 0) {
        key->default_namespace = key->namespaces[0];
    }
}

static ez_status fill_key_lists(ez_plan *plan, const json_t *element, ez_arena *arena, Ez__V1__Key *key,
                                ez_error *error) {
    texts scopes = {.arena = arena}, models = {.arena = arena}, ips = {.arena = arena}, namespaces = {.arena = arena};
    ez_status status = fill(element, "scopes", false, &scopes, error);
    status = status != EZ_OK ? status : fill(element, "model_limits", false, &models, error);
    status = status != EZ_OK ? status : fill(element, "allow_ips", true, &ips, error);
    status = status != EZ_OK ? status : fill_namespaces(plan, element, &namespaces, error);
    key->scopes = scopes.items;
    key->n_scopes = scopes.count;
    key->model_limits = models.items;
    key->n_model_limits = models.count;
    key->allow_ips = ips.items;
    key->n_allow_ips = ips.count;
    key->namespaces = namespaces.items;
    key->n_namespaces = namespaces.count;
    return status;
}

static ez_status set_key_texts(const json_t *element, ez_arena *arena, Ez__V1__ImportKey *row, ez_error *error) {
    Ez__V1__Key *key = row->key;
    const json_t *group = json_object_get(element, "group");
    row->master_name = ez_arena_strdup(arena, ez_element_text(element, "master_ref"));
    key->name = ez_arena_strdup(arena, ez_element_text(element, "name"));
    // A group that is there but empty is the source's "default"; one that is not there is the master's.
    key->group = json_is_string(group) ? ez_arena_strdup(arena, ez_element_group(element, "group"))
                                       : (char *)protobuf_c_empty_string;
    key->labels = ez_arena_alloc(arena, sizeof *key->labels);
    if (row->master_name == NULL || key->name == NULL || key->group == NULL || key->labels == NULL ||
        !add_label(arena, (label **)(void *)key->labels, &key->n_labels, &ez__v1__key__labels_entry__descriptor,
                   "original_id", ez_element_id(element, "_original_id", arena))) {
        return ez_plan_no_memory(error);
    }
    return row->master_name[0] != '\0' ? EZ_OK : wrong(error, "it names no master (master_ref)");
}

static ez_status build_key(ez_plan *plan, const json_t *element, ez_arena *arena, Ez__V1__ImportKey *row,
                           ez_error *error) {
    Ez__V1__Key *key = row->key;
    bool limited = false;
    ez_status status = set_key_texts(element, arena, row, error);
    status = status != EZ_OK ? status : fill_key_lists(plan, element, arena, key, error);
    status = status != EZ_OK ? status : ez_element_flag(element, "model_limits_enabled", &limited, error);
    status = status != EZ_OK ? status : set_token(element, arena, row, error);
    status = status != EZ_OK ? status : set_expiry(element, arena, key, error);
    status = status != EZ_OK ? status : set_status(element, row, error);
    status = status != EZ_OK ? status : set_quota(element, row, error);
    if (status != EZ_OK) {
        return status;
    }
    key->model_limits_enabled = limited;
    set_default_namespace(plan, row);
    return check(&ez__v1__key__descriptor, &key->base, arena, error);
}

ez_status ez_plan_key_row(ez_plan *plan, size_t index, ez_arena *arena, Ez__V1__ImportKey **out, ez_error *error) {
    json_t *element;
    Ez__V1__ImportKey *row = ez_arena_alloc(arena, sizeof *row);
    Ez__V1__Key *key = ez_arena_alloc(arena, sizeof *key);
    if (row == NULL || key == NULL) {
        return ez_plan_no_memory(error);
    }
    ez_status status = ez_element_parse(plan->file->lists[EZ_EXPORT_KEYS].items[index], &element, error);
    if (status != EZ_OK) {
        return status;
    }
    ez__v1__import_key__init(row);
    ez__v1__key__init(key);
    row->key = key;
    status = build_key(plan, element, arena, row, error);
    json_decref(element);
    *out = row;
    return status;
}
