// SPDX-License-Identifier: Apache-2.0
//
// One element → one row. Every row is checked here as a call would check it, so that a bad one fails alone instead of
// taking its batch with it.
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proto/crypto/token.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/message.h"
#include "server/domain/import/plan_inside.h"

#define LAST4_WANTS 8 // a token shorter than this shows none of its characters

// A list of texts being filled in an arena.
typedef struct texts {
    ez_arena *arena;
    char **items;
    size_t count, room;
    const ez_names *names; // not NULL: each text becomes its namespace, once
} texts;

static bool add_text(void *user, const char *text) {
    texts *list = user;
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
        memcpy(grown, list->items, list->count * sizeof *grown);
        list->items = grown;
        list->room = room;
    }
    list->items[list->count] = ez_arena_strdup(list->arena, name);
    return list->items[list->count++] != NULL;
}

static bool fill(const json_t *value, bool splits, texts *list, char ***items, size_t *count) {
    bool ok = ez_element_each(value, splits, add_text, list);
    *items = list->items;
    *count = list->count;
    return ok;
}

// Namespaces: an empty text in the list means "default", so empty ones count here.
static bool fill_namespaces(const ez_plan *plan, const json_t *value, texts *list) {
    list->names = &plan->names;
    size_t i;
    json_t *item;
    json_array_foreach(value, i, item) {
        if (json_is_string(item) && !add_text(list, json_string_value(item))) {
            return false;
        }
    }
    return true;
}

static ez_status no_memory(ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for this row");
}

static ez_status wrong(ez_error *error, const char *what) {
    return ez_error_set(error, EZ_INVALID_ARGUMENT, "ROW_INVALID", "%s", what);
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

static int64_t whole(const json_t *element, const char *name, int64_t otherwise) {
    const json_t *value = json_object_get(element, name);
    return json_is_integer(value) ? (int64_t)json_integer_value(value) : otherwise;
}

static const char *or_default(const char *text) {
    return text[0] != '\0' ? text : "default";
}

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
    int64_t keys = whole(known, "keys", 0);
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

static ez_status build_master(ez_plan *plan, const json_t *element, ez_arena *arena, Ez__V1__Master *master,
                              ez_error *error) {
    texts namespaces = {.arena = arena};
    const char *status = ez_element_text(element, "status");
    master->name = ez_arena_strdup(arena, ez_element_text(element, "name"));
    master->group = ez_arena_strdup(arena, or_default(ez_element_text(element, "group")));
    master->default_namespace = (char *)ez_names_get(&plan->names, ez_element_text(element, "default_namespace"));
    master->opt_max_child_keys_case = EZ__V1__MASTER__OPT_MAX_CHILD_KEYS_MAX_CHILD_KEYS;
    master->max_child_keys = whole(element, "max_child_keys", 5);
    master->global_qps = whole(element, "global_qps", 0);
    master->status = strcasecmp(status, "suspended") == 0 ? EZ__V1__MASTER_STATUS__MASTER_STATUS_SUSPENDED
                                                          : EZ__V1__MASTER_STATUS__MASTER_STATUS_ACTIVE;
    if (master->name == NULL || master->group == NULL || !label_master(master, element, arena) ||
        !fill_namespaces(plan, json_object_get(element, "namespaces"), &namespaces) ||
        !widen(plan, master, &namespaces, json_is_integer(json_object_get(element, "max_child_keys")))) {
        return no_memory(error);
    }
    master->namespaces = namespaces.items;
    master->n_namespaces = namespaces.count;
    return check(&ez__v1__master__descriptor, &master->base, arena, error);
}

ez_status ez_plan_master_row(ez_plan *plan, size_t index, ez_arena *arena, Ez__V1__Master **out, ez_error *error) {
    json_t *element = ez_element_parse(plan->file->lists[EZ_EXPORT_MASTERS].items[index], error);
    Ez__V1__Master *master = ez_arena_alloc(arena, sizeof *master);
    if (element == NULL || master == NULL) {
        json_decref(element);
        return element == NULL ? EZ_INVALID_ARGUMENT : no_memory(error);
    }
    ez__v1__master__init(master);
    ez_status status = build_master(plan, element, arena, master, error);
    json_decref(element);
    *out = master;
    return status;
}

// ---- Keys

static ez_status set_token(const json_t *element, ez_arena *arena, Ez__V1__ImportKey *row, ez_error *error) {
    const char *token = ez_element_token(element, arena);
    if (token == NULL) {
        return wrong(error, "the export does not hold its token (original_token)");
    }
    size_t len = strlen(token);
    uint8_t *hash = ez_arena_alloc(arena, EZ_TOKEN_HASH_LEN);
    row->token_last4 = ez_arena_strdup(arena, len >= LAST4_WANTS ? token + len - 4 : "****");
    row->token_prefix = (char *)"sk-";
    if (hash == NULL || row->token_last4 == NULL) {
        return no_memory(error);
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
            return wrong(error, "expires_at is no RFC 3339 time");
        }
    } else {
        seconds = json_is_integer(value) ? (int64_t)json_integer_value(value) : 0;
    }
    if (seconds <= 0) { // absent, null, or the source's -1: never
        return EZ_OK;
    }
    key->expires_at = ez_arena_alloc(arena, sizeof *key->expires_at);
    if (key->expires_at == NULL) {
        return no_memory(error);
    }
    google__protobuf__timestamp__init(key->expires_at);
    key->expires_at->seconds = seconds;
    key->expires_at->nanos = nanos;
    return EZ_OK;
}

// quota_limit is what remained at the export: ours is what remained and what was used. Overdrawn: what was used.
static void set_quota(const json_t *element, Ez__V1__ImportKey *row) {
    Ez__V1__Key *key = row->key;
    int64_t used = whole(element, "quota_used", 0);
    int64_t remained = whole(element, "quota_limit", -1);
    bool is_unlimited = json_is_true(json_object_get(element, "unlimited_quota")) ||
                        !json_is_integer(json_object_get(element, "quota_limit"));
    used = used > 0 ? used : 0;
    row->quota_used = used;
    key->opt_quota_limit_case = EZ__V1__KEY__OPT_QUOTA_LIMIT_QUOTA_LIMIT;
    key->quota_unit = EZ__V1__QUOTA_UNIT__QUOTA_UNIT_UNITS;
    if (is_unlimited) {
        key->quota_limit = -1;
        return;
    }
    int64_t limit;
    if (remained <= 0) {
        limit = used;
    } else if (__builtin_add_overflow(remained, used, &limit)) {
        limit = INT64_MAX;
    }
    key->quota_limit = limit;
    if (limit <= used && row->status == EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE) {
        row->status = EZ__V1__KEY_STATUS__KEY_STATUS_EXHAUSTED;
    }
}

static ez_status set_status(const json_t *element, Ez__V1__ImportKey *row, ez_error *error) {
    static const struct {
        const char *word;
        Ez__V1__KeyStatus status;
    } words[] = {{"active", EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE},
                 {"", EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE},
                 {"disabled", EZ__V1__KEY_STATUS__KEY_STATUS_DISABLED},
                 {"expired", EZ__V1__KEY_STATUS__KEY_STATUS_EXPIRED},
                 {"exhausted", EZ__V1__KEY_STATUS__KEY_STATUS_EXHAUSTED}};
    const char *word = ez_element_text(element, "status");
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasecmp(word, words[i].word) == 0) {
            row->status = words[i].status;
            return EZ_OK;
        }
    }
    return wrong(error, "its status is none of active, disabled, expired, exhausted");
}

static bool fill_key_lists(ez_plan *plan, const json_t *element, ez_arena *arena, Ez__V1__Key *key) {
    texts scopes = {.arena = arena}, models = {.arena = arena}, ips = {.arena = arena}, namespaces = {.arena = arena};
    bool ok =
        fill(json_object_get(element, "scopes"), false, &scopes, &key->scopes, &key->n_scopes) &&
        fill(json_object_get(element, "model_limits"), false, &models, &key->model_limits, &key->n_model_limits) &&
        fill(json_object_get(element, "allow_ips"), true, &ips, &key->allow_ips, &key->n_allow_ips) &&
        fill_namespaces(plan, json_object_get(element, "namespaces"), &namespaces);
    key->namespaces = namespaces.items;
    key->n_namespaces = namespaces.count;
    if (key->n_namespaces > 0) {
        // Its default must be one of its own.
        key->default_namespace = key->namespaces[0];
    }
    return ok;
}

static ez_status build_key(ez_plan *plan, const json_t *element, ez_arena *arena, Ez__V1__ImportKey *row,
                           ez_error *error) {
    Ez__V1__Key *key = row->key;
    const json_t *group = json_object_get(element, "group");
    row->master_name = ez_arena_strdup(arena, ez_element_text(element, "master_ref"));
    key->name = ez_arena_strdup(arena, ez_element_text(element, "name"));
    // A group that is there but empty is the source's "default"; one that is not there is the master's.
    key->group = json_is_string(group) ? ez_arena_strdup(arena, or_default(json_string_value(group)))
                                       : (char *)protobuf_c_empty_string;
    key->model_limits_enabled = json_is_true(json_object_get(element, "model_limits_enabled"));
    key->labels = ez_arena_alloc(arena, sizeof *key->labels);
    if (row->master_name == NULL || key->name == NULL || key->group == NULL || key->labels == NULL ||
        !fill_key_lists(plan, element, arena, key) ||
        !add_label(arena, (label **)(void *)key->labels, &key->n_labels, &ez__v1__key__labels_entry__descriptor,
                   "original_id", ez_element_id(element, "_original_id", arena))) {
        return no_memory(error);
    }
    if (row->master_name[0] == '\0') {
        return wrong(error, "it names no master (master_ref)");
    }
    ez_status status = set_token(element, arena, row, error);
    status = status != EZ_OK ? status : set_expiry(element, arena, key, error);
    status = status != EZ_OK ? status : set_status(element, row, error);
    if (status != EZ_OK) {
        return status;
    }
    set_quota(element, row);
    return check(&ez__v1__key__descriptor, &key->base, arena, error);
}

ez_status ez_plan_key_row(ez_plan *plan, size_t index, ez_arena *arena, Ez__V1__ImportKey **out, ez_error *error) {
    json_t *element = ez_element_parse(plan->file->lists[EZ_EXPORT_KEYS].items[index], error);
    Ez__V1__ImportKey *row = ez_arena_alloc(arena, sizeof *row);
    Ez__V1__Key *key = ez_arena_alloc(arena, sizeof *key);
    if (element == NULL || row == NULL || key == NULL) {
        json_decref(element);
        return element == NULL ? EZ_INVALID_ARGUMENT : no_memory(error);
    }
    ez__v1__import_key__init(row);
    ez__v1__key__init(key);
    row->key = key;
    ez_status status = build_key(plan, element, arena, row, error);
    json_decref(element);
    *out = row;
    return status;
}
