// SPDX-License-Identifier: Apache-2.0
//
// A group of provider elements → one provider group with its API keys; and bindings.
//
// The awkward case: the source knows some fifty types of channel, ezplane a dozen. The others speak OpenAI's protocol
// under another name, more or less: they become "compatible", keep their word as a label, and stay disabled where the
// file does not say where they live.
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "proto/runtime/message.h"
#include "server/domain/import/plan_inside.h"

#define NAME_MAX_BYTES 255

static ez_status no_memory(ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for this row");
}

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
    size_t len = strlen(name);
    return ez_arena_strndup(arena, name, len < NAME_MAX_BYTES ? len : NAME_MAX_BYTES);
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

static bool set_models(Ez__V1__ProviderGroup *group, const json_t *models, ez_arena *arena) {
    group->models = ez_arena_alloc(arena, (json_object_size(models) + 1) * sizeof *group->models);
    const char *model;
    json_t *ignored;
    if (group->models == NULL) {
        return false;
    }
    json_object_foreach((json_t *)(uintptr_t)models, model, ignored) {
        group->models[group->n_models] = ez_arena_strdup(arena, model);
        if (group->models[group->n_models++] == NULL) {
            return false;
        }
    }
    return true;
}

// What the group's first element says of all.
static bool set_group(ez_plan *plan, const ez_plan_group *from, const json_t *element, ez_arena *arena,
                      Ez__V1__ProviderGroup *group) {
    char *type = lowered(ez_element_text(element, "type"), arena);
    group->labels = ez_arena_alloc(arena, 3 * sizeof *group->labels);
    group->name = from->name;
    group->base_url = ez_arena_strdup(arena, ez_element_text(element, "base_url"));
    group->status = EZ__V1__PROVIDER_GROUP_STATUS__PROVIDER_GROUP_STATUS_DISABLED; // until an API key of it is active
    if (type == NULL || group->labels == NULL || group->base_url == NULL || !set_models(group, from->models, arena) ||
        !add_label(group, arena, "original_id", ez_element_id(element, "original_id", arena)) ||
        !add_label(group, arena, "route_group", copy_name(ez_element_text(element, "primary_group"), arena))) {
        return false;
    }
    group->type = type;
    if (!is_known_type(type)) {
        ez_plan_warn(plan, "provider group \"%s\": type \"%.60s\" is not known here: it comes in as \"compatible\"%s",
                     from->name, type, group->base_url[0] == '\0' ? ", disabled until it has a base_url" : "");
        group->type = (char *)"compatible";
        return add_label(group, arena, "original_type", copy_name(type, arena));
    }
    if (strcmp(type, "compatible") == 0 && group->base_url[0] == '\0') {
        ez_plan_warn(plan, "provider group \"%s\" has no base_url: it comes in disabled", from->name);
    }
    return true;
}

static bool build_api_key(const json_t *element, ez_arena *arena, Ez__V1__ApiKey *key) {
    ez__v1__api_key__init(key);
    const json_t *weight = json_object_get(element, "weight");
    key->group_id = 1; // the server gives the group's; 1 lets the row be checked
    key->name = copy_name(ez_element_text(element, "name"), arena);
    key->api_key = ez_arena_strdup(arena, ez_element_text(element, "api_key"));
    if (json_is_integer(weight) && json_integer_value(weight) > 0) {
        key->opt_weight_case = EZ__V1__API_KEY__OPT_WEIGHT_WEIGHT;
        key->weight = json_integer_value(weight) < 1000000 ? (int32_t)json_integer_value(weight) : 1000000;
    }
    key->status = strcasecmp(ez_element_text(element, "status"), "disabled") == 0
                      ? EZ__V1__API_KEY_STATUS__API_KEY_STATUS_DISABLED
                      : EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE;
    if (json_is_boolean(json_object_get(element, "auto_ban"))) {
        key->opt_auto_ban_case = EZ__V1__API_KEY__OPT_AUTO_BAN_AUTO_BAN;
        key->auto_ban = json_is_true(json_object_get(element, "auto_ban"));
    }
    return key->name != NULL && key->api_key != NULL;
}

static ez_status add_member(ez_plan *plan, size_t index, const ez_plan_group *from, ez_arena *arena,
                            Ez__V1__ImportProvider *row, ez_error *error) {
    json_t *element = ez_element_parse(plan->file->lists[EZ_EXPORT_PROVIDERS].items[index], error);
    Ez__V1__ApiKey *key = ez_arena_alloc(arena, sizeof *key);
    if (element == NULL || key == NULL) {
        json_decref(element);
        return element == NULL ? EZ_INVALID_ARGUMENT : no_memory(error);
    }
    bool ok = (row->n_api_keys > 0 || row->provider_group->type[0] != '\0' ||
               set_group(plan, from, element, arena, row->provider_group)) &&
              build_api_key(element, arena, key);
    json_decref(element);
    if (!ok) {
        return no_memory(error);
    }
    if (key->api_key[0] == '\0') {
        ez_plan_warn(plan, "providers[%zu] \"%.100s\" has no api_key: its group comes in without it", index, key->name);
        return EZ_OK;
    }
    ez_status status =
        ez_message_check(ez_message_rule_find(&ez__v1__api_key__descriptor), &key->base, true, arena, error);
    if (status != EZ_OK) {
        return status;
    }
    if (key->status == EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE) {
        row->provider_group->status = EZ__V1__PROVIDER_GROUP_STATUS__PROVIDER_GROUP_STATUS_ACTIVE;
    }
    row->api_keys[row->n_api_keys++] = key;
    return EZ_OK;
}

ez_status ez_plan_provider_row(ez_plan *plan, const ez_plan_group *group, ez_arena *arena, Ez__V1__ImportProvider **out,
                               ez_error *error) {
    Ez__V1__ImportProvider *row = ez_arena_alloc(arena, sizeof *row);
    Ez__V1__ProviderGroup *made = ez_arena_alloc(arena, sizeof *made);
    if (row == NULL || made == NULL) {
        return no_memory(error);
    }
    ez__v1__import_provider__init(row);
    ez__v1__provider_group__init(made);
    row->provider_group = made;
    row->api_keys = ez_arena_alloc(arena, json_array_size(group->members) * sizeof *row->api_keys);
    size_t i;
    json_t *member;
    ez_status status = row->api_keys != NULL ? EZ_OK : no_memory(error);
    json_array_foreach(group->members, i, member) {
        if (status == EZ_OK) {
            status = add_member(plan, (size_t)json_integer_value(member), group, arena, row, error);
        }
    }
    *out = row;
    if (status != EZ_OK) {
        return status;
    }
    return ez_message_check(ez_message_rule_find(&ez__v1__provider_group__descriptor), &made->base, true, arena, error);
}

ez_status ez_plan_binding_row(ez_plan *plan, const ez_plan_binding *from, ez_arena *arena, Ez__V1__ImportBinding **out,
                              ez_error *error) {
    Ez__V1__ImportBinding *row = ez_arena_alloc(arena, sizeof *row);
    Ez__V1__Binding *binding = ez_arena_alloc(arena, sizeof *binding);
    if (row == NULL || binding == NULL) {
        return no_memory(error);
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
