// SPDX-License-Identifier: Apache-2.0
//
// A group of provider elements → one provider group with its API keys; and bindings.
//
// The awkward cases. The source knows some fifty types of channel, ezplane a dozen. The others speak OpenAI's protocol
// under another name, more or less: they become "compatible", keep their word as a label, and stay disabled where the
// file does not say where they live. And API keys are told apart by name within their group when the file is imported
// again, so two of one name get a number.
#include <ctype.h>
#include <string.h>

#include "proto/runtime/message.h"
#include "proto/runtime/utf8.h"
#include "server/domain/import/plan_inside.h"

#define NAME_MAX_BYTES 255
#define NUMBER_ROOM    12    // of a name, for "-" and its number
#define MODELS_MAX     10001 // one more than a group may have, so that a longer list is refused
#define API_KEYS_MAX   10000

static bool is_known_type(const char *type) {
    const ez_field_rule *rule = ez_field_rule_find(ez_message_rule_find(&ez__v1__provider_group__descriptor), "type");
    for (const char *const *word = rule->one_of; *word != NULL; word++) {
        if (strcmp(*word, type) == 0) {
            return true;
        }
    }
    return false;
}

static char *lowered(const char *text, ez_arena *arena) {
    while (isspace((unsigned char)*text)) {
        text++;
    }
    char *out = ez_arena_strdup(arena, text);
    for (char *c = out; c != NULL && *c != '\0'; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    for (size_t len = out != NULL ? strlen(out) : 0; len > 0 && isspace((unsigned char)out[len - 1]); len--) {
        out[len - 1] = '\0';
    }
    return out;
}

static char *copy_name(const char *name, ez_arena *arena) {
    return ez_arena_strndup(arena, name, ez_utf8_cut(name, strlen(name), NAME_MAX_BYTES));
}

static bool add_label(Ez__V1__ProviderGroup *group, ez_arena *arena, const char *key, const char *value) {
    Ez__V1__ProviderGroup__LabelsEntry *added = ez_arena_alloc(arena, sizeof *added);
    if (added == NULL || value == NULL) {
        return false;
    }
    ez__v1__provider_group__labels_entry__init(added);
    added->key = (char *)key;
    added->value = (char *)value;
    if (value[0] != '\0') {
        group->labels[group->n_labels++] = added;
    }
    return true;
}

// ---- The group

// What is built from one group's elements.
typedef struct making {
    ez_plan *plan;
    const ez_plan_group *from;
    ez_arena *arena;
    Ez__V1__ImportProvider *row;
    json_t *models; // set, of all elements
    json_t *names;  // of API keys → the last number given out
    const char *first_fault;
    size_t failed, first_failed;
} making;

static bool add_model(void *user, const char *model) {
    json_t *models = user;
    return json_object_size(models) >= MODELS_MAX || json_object_set_new(models, model, json_true()) == 0;
}

static bool set_models(const making *m) {
    Ez__V1__ProviderGroup *group = m->row->provider_group;
    const char *model;
    json_t *ignored;
    group->models = ez_arena_alloc(m->arena, (json_object_size(m->models) + 1) * sizeof *group->models);
    if (group->models == NULL) {
        return false;
    }
    json_object_foreach(m->models, model, ignored) {
        group->models[group->n_models] = ez_arena_strdup(m->arena, model);
        if (group->models[group->n_models++] == NULL) {
            return false;
        }
    }
    return true;
}

// What the group's first element says of all.
static bool set_group(const making *m, const json_t *element) {
    Ez__V1__ProviderGroup *group = m->row->provider_group;
    char *type = lowered(ez_element_text(element, "type"), m->arena);
    group->labels = ez_arena_alloc(m->arena, 3 * sizeof *group->labels);
    group->name = m->from->name;
    group->base_url = ez_arena_strdup(m->arena, ez_element_text(element, "base_url"));
    group->status = EZ__V1__PROVIDER_GROUP_STATUS__PROVIDER_GROUP_STATUS_DISABLED; // until an API key of it is active
    if (type == NULL || group->labels == NULL || group->base_url == NULL ||
        !add_label(group, m->arena, "original_id", ez_element_id(element, "original_id", m->arena)) ||
        !add_label(group, m->arena, "route_group", copy_name(ez_element_text(element, "primary_group"), m->arena))) {
        return false;
    }
    group->type = type;
    if (!is_known_type(type)) {
        ez_plan_warn(m->plan,
                     "provider group \"%s\": type \"%.60s\" is not known here: it comes in as \"compatible\"%s",
                     group->name, type, group->base_url[0] == '\0' ? ", disabled until it has a base_url" : "");
        group->type = (char *)"compatible";
        return add_label(group, m->arena, "original_type", copy_name(type, m->arena));
    }
    if (strcmp(type, "compatible") == 0 && group->base_url[0] == '\0') {
        ez_plan_warn(m->plan, "provider group \"%s\" has no base_url: it comes in disabled", group->name);
    }
    return true;
}

// ---- Its API keys

// The element's name, with a number where another of the group has it already.
static char *api_key_name(const making *m, const char *name) {
    char *made = copy_name(name, m->arena);
    const json_t *met = made != NULL ? json_object_get(m->names, made) : NULL;
    json_int_t n = json_integer_value(met);
    size_t kept = made != NULL ? ez_utf8_cut(made, strlen(made), NAME_MAX_BYTES - NUMBER_ROOM) : 0;
    const char *base = made;
    while (made != NULL && json_object_get(m->names, made) != NULL) {
        n = n < 2 ? 2 : n + 1;
        made = ez_arena_printf(m->arena, "%.*s-%lld", (int)kept, base, (long long)n);
    }
    if (made == NULL || json_object_set_new(m->names, made, json_integer(1)) != 0 ||
        json_object_set_new(m->names, base, json_integer(n > 0 ? n : 1)) != 0) {
        return NULL;
    }
    return made;
}

static ez_status set_weight(const json_t *element, Ez__V1__ApiKey *key, ez_error *error) {
    int64_t weight;
    ez_status status = ez_element_whole(element, "weight", 0, &weight, error);
    if (status == EZ_OK && weight > 0) { // the source's 0 is "none was set"
        key->opt_weight_case = EZ__V1__API_KEY__OPT_WEIGHT_WEIGHT;
        key->weight = weight < 1000000 ? (int32_t)weight : 1000000;
    }
    return status;
}

static ez_status build_api_key(const making *m, const json_t *element, Ez__V1__ApiKey *key, ez_error *error) {
    static const char *const words[] = {"active", "disabled", NULL};
    int word = ez_element_choose(element, "status", words);
    ez__v1__api_key__init(key);
    if (word < 0) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "ROW_INVALID", "its status is neither active nor disabled");
    }
    key->group_id = 1; // the server gives the group's; 1 lets the row be checked
    key->name = api_key_name(m, ez_element_text(element, "name"));
    key->api_key = ez_arena_strdup(m->arena, ez_element_text(element, "api_key"));
    key->status =
        word == 1 ? EZ__V1__API_KEY_STATUS__API_KEY_STATUS_DISABLED : EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE;
    if (json_is_boolean(json_object_get(element, "auto_ban"))) {
        key->opt_auto_ban_case = EZ__V1__API_KEY__OPT_AUTO_BAN_AUTO_BAN;
        key->auto_ban = json_is_true(json_object_get(element, "auto_ban"));
    }
    if (key->name == NULL || key->api_key == NULL) {
        return ez_plan_no_memory(error);
    }
    ez_status status = set_weight(element, key, error);
    return status != EZ_OK ? status
                           : ez_message_check(ez_message_rule_find(&ez__v1__api_key__descriptor), &key->base, true,
                                              m->arena, error);
}

// ---- Together

// One that can't be fails alone; the first is kept, as the whole group fails for it where none is left.
static void fail_member(making *m, size_t index, const ez_error *why) {
    const char *reason = ez_plan_reason(why, m->arena);
    if (m->failed++ == 0) {
        m->first_failed = index;
        m->first_fault = reason;
        return;
    }
    ez_plan_fail(m->plan, EZ_PLAN_PROVIDERS, index, reason);
}

static ez_status add_api_key(making *m, size_t index, const json_t *element, ez_error *error) {
    ez_error why = EZ_ERROR_INIT;
    Ez__V1__ApiKey *key = ez_arena_alloc(m->arena, sizeof *key);
    if (key == NULL) {
        return ez_plan_no_memory(error);
    }
    ez_status status = build_api_key(m, element, key, &why);
    if (status == EZ_INVALID_ARGUMENT) {
        fail_member(m, index, &why);
        return EZ_OK;
    }
    if (status != EZ_OK) {
        return ez_error_copy(error, &why);
    }
    if (key->api_key[0] == '\0') {
        ez_plan_warn(m->plan, "providers[%zu] \"%s\" has no api_key: its group comes in without it", index, key->name);
        return EZ_OK;
    }
    if (key->status == EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE) {
        m->row->provider_group->status = EZ__V1__PROVIDER_GROUP_STATUS__PROVIDER_GROUP_STATUS_ACTIVE;
    }
    m->row->api_keys[m->row->n_api_keys++] = key;
    return EZ_OK;
}

static ez_status add_member(making *m, size_t index, ez_error *error) {
    json_t *element;
    ez_status status = ez_element_parse(m->plan->file->lists[EZ_EXPORT_PROVIDERS].items[index], &element, error);
    if (status != EZ_OK) {
        return status;
    }
    bool is_first = m->row->provider_group->type[0] == '\0';
    if ((is_first && !set_group(m, element)) ||
        !ez_element_each(json_object_get(element, "models"), false, add_model, m->models)) {
        status = ez_plan_no_memory(error);
    }
    status = status != EZ_OK ? status : add_api_key(m, index, element, error);
    json_decref(element);
    return status;
}

static ez_status build(making *m, ez_error *error) {
    const json_t *members = m->from->members;
    size_t i;
    json_t *member;
    if (json_array_size(members) > API_KEYS_MAX) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "ROW_INVALID", "it has %zu API keys, of at most %d",
                            json_array_size(members), API_KEYS_MAX);
    }
    json_array_foreach(members, i, member) {
        ez_status status = add_member(m, (size_t)json_integer_value(member), error);
        if (status != EZ_OK) {
            return status;
        }
    }
    Ez__V1__ProviderGroup *group = m->row->provider_group;
    if (m->failed > 0 && m->row->n_api_keys == 0) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "ROW_INVALID", "%s", m->first_fault);
    }
    if (!set_models(m)) {
        return ez_plan_no_memory(error);
    }
    ez_status status = ez_message_check(ez_message_rule_find(&ez__v1__provider_group__descriptor), &group->base, true,
                                        m->arena, error);
    if (status == EZ_OK && m->failed > 0) {
        ez_plan_fail(m->plan, EZ_PLAN_PROVIDERS, m->first_failed, m->first_fault);
    }
    return status;
}

ez_status ez_plan_provider_row(ez_plan *plan, const ez_plan_group *group, ez_arena *arena, Ez__V1__ImportProvider **out,
                               ez_error *error) {
    Ez__V1__ImportProvider *row = ez_arena_alloc(arena, sizeof *row);
    Ez__V1__ProviderGroup *made = ez_arena_alloc(arena, sizeof *made);
    making m = {
        .plan = plan, .from = group, .arena = arena, .row = row, .models = json_object(), .names = json_object()};
    ez_status status = EZ_OK;
    if (row == NULL || made == NULL || m.models == NULL || m.names == NULL) {
        status = ez_plan_no_memory(error);
    } else {
        ez__v1__import_provider__init(row);
        ez__v1__provider_group__init(made);
        row->provider_group = made;
        row->api_keys = ez_arena_alloc(arena, json_array_size(group->members) * sizeof *row->api_keys);
        status = row->api_keys != NULL ? build(&m, error) : ez_plan_no_memory(error);
    }
    json_decref(m.models);
    json_decref(m.names);
    *out = row;
    return status;
}

ez_status ez_plan_binding_row(ez_plan *plan, const ez_plan_binding *from, ez_arena *arena, Ez__V1__ImportBinding **out,
                              ez_error *error) {
    Ez__V1__ImportBinding *row = ez_arena_alloc(arena, sizeof *row);
    Ez__V1__Binding *binding = ez_arena_alloc(arena, sizeof *binding);
    if (row == NULL || binding == NULL) {
        return ez_plan_no_memory(error);
    }
    ez__v1__import_binding__init(row);
    ez__v1__binding__init(binding);
    row->group_name = plan->groups[from->group].name;
    row->binding = binding;
    binding->namespace_ = (char *)from->name_space;
    binding->public_model = (char *)from->model;
    binding->group_id = 1; // the server gives the group's; 1 lets the row be checked
    binding->status = from->is_active ? EZ__V1__BINDING_STATUS__BINDING_STATUS_ACTIVE
                                      : EZ__V1__BINDING_STATUS__BINDING_STATUS_DISABLED;
    *out = row;
    return ez_message_check(ez_message_rule_find(&ez__v1__binding__descriptor), &binding->base, true, arena, error);
}
