// SPDX-License-Identifier: Apache-2.0
//
// The first pass: reads every element once and keeps what concerns more than one of them. Elements that are read again
// when their rows are built cost time, not memory.
//
// Awkward cases. A channel with several keys stands there as several providers with one original_id: one group. Two
// channels with one name: the second gets a number no other channel has. Bindings are repeated per channel, and name a
// group of the source: each is made once for every imported provider group that serves that group and model.
#include "server/domain/import/plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/crypto/hash.h"
#include "proto/crypto/token.h"
#include "proto/runtime/cleanup.h"
#include "server/domain/import/plan_inside.h"

#define PLAN_TEXTS_MAX (512u << 20)

void ez_plan_warn(const ez_plan *plan, const char *format, ...) {
    char text[768];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    plan->options.warned(plan->options.user, text);
}

void ez_plan_fail(ez_plan *plan, ez_plan_kind kind, ez_export_section section, size_t index, const char *reason) {
    if (plan->is_bad[section] != NULL) {
        plan->is_bad[section][index] = true;
    }
    plan->options.failed(plan->options.user, kind, (int64_t)index, reason);
}

static ez_status no_memory(ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for this file");
}

// ---- Walking the lists

typedef ez_status element_fn(ez_plan *plan, size_t index, json_t *element, ez_error *error);

static ez_status each_element(ez_plan *plan, ez_export_section section, ez_plan_kind kind, element_fn *each,
                              ez_error *error) {
    const ez_export_list *list = &plan->file->lists[section];
    for (size_t i = 0; i < list->count; i++) {
        ez_error why = EZ_ERROR_INIT;
        json_t *element = ez_element_parse(list->items[i], &why);
        if (element == NULL) {
            return ez_error_set(error, EZ_INVALID_ARGUMENT, "EXPORT_INVALID", "%s[%zu]: %s",
                                ez_export_section_name(section), i, why.message);
        }
        ez_status status = EZ_OK;
        if (json_is_object(element)) {
            status = each(plan, i, element, error);
        } else {
            ez_plan_fail(plan, kind, section, i, "it is not an object");
        }
        json_decref(element);
        if (status != EZ_OK) {
            return status;
        }
    }
    return EZ_OK;
}

static bool note_each(void *user, const char *text) {
    return ez_names_note(user, text);
}

static bool note_list(ez_names *names, const json_t *value) {
    size_t i;
    json_t *item;
    json_array_foreach(value, i, item) {
        if (json_is_string(item) && !note_each(names, json_string_value(item))) {
            return false;
        }
    }
    return true;
}

// ---- Masters and keys

static ez_status note_master(ez_plan *plan, size_t index, json_t *element, ez_error *error) {
    const char *name = ez_element_text(element, "name");
    const json_t *met = json_object_get(plan->masters, name);
    if (met != NULL) {
        char reason[128];
        snprintf(reason, sizeof reason, "masters[%lld] has the same name",
                 (long long)json_integer_value(json_object_get(met, "index")));
        ez_plan_fail(plan, EZ_PLAN_MASTERS, EZ_EXPORT_MASTERS, index, reason);
        return EZ_OK;
    }
    json_t *info = json_pack("{s:I,s:I,s:{}}", "index", (json_int_t)index, "keys", (json_int_t)0, "namespaces");
    if (info == NULL || json_object_set_new(plan->masters, name, info) != 0 ||
        !ez_names_note(&plan->names, ez_element_text(element, "default_namespace")) ||
        !note_list(&plan->names, json_object_get(element, "namespaces"))) {
        return no_memory(error);
    }
    return EZ_OK;
}

static ez_status note_token(ez_plan *plan, size_t index, const json_t *element, bool *is_first, ez_error *error) {
    ez_arena arena;
    ez_arena_init(&arena, 64u << 10);
    const char *token = ez_element_token(element, &arena);
    ez_status status = EZ_OK;
    *is_first = true;
    if (token != NULL) {
        uint8_t hash[EZ_TOKEN_HASH_LEN];
        char hex[2 * EZ_TOKEN_HASH_LEN + 1];
        ez_token_hash(token, strlen(token), hash);
        ez_hex(hash, sizeof hash, hex);
        const json_t *met = json_object_get(plan->tokens, hex);
        *is_first = met == NULL;
        if (met != NULL) {
            char reason[128];
            snprintf(reason, sizeof reason, "keys[%lld] has the same token", (long long)json_integer_value(met));
            ez_plan_fail(plan, EZ_PLAN_KEYS, EZ_EXPORT_KEYS, index, reason);
        } else if (json_object_set_new(plan->tokens, hex, json_integer((json_int_t)index)) != 0) {
            status = no_memory(error);
        }
    }
    ez_arena_fini(&arena);
    return status;
}

static ez_status note_key(ez_plan *plan, size_t index, json_t *element, ez_error *error) {
    bool is_first;
    ez_status status = note_token(plan, index, element, &is_first, error);
    if (status != EZ_OK || !is_first) {
        return status;
    }
    json_t *master = json_object_get(plan->masters, ez_element_text(element, "master_ref"));
    if (master != NULL) {
        json_t *keys = json_object_get(master, "keys");
        json_integer_set(keys, json_integer_value(keys) + 1);
    }
    return note_list(&plan->names, json_object_get(element, "namespaces")) ? EZ_OK : no_memory(error);
}

// Once names are settled: which namespaces each master's keys use.
static ez_status note_key_namespaces(ez_plan *plan, size_t index, json_t *element, ez_error *error) {
    (void)index;
    json_t *master = json_object_get(plan->masters, ez_element_text(element, "master_ref"));
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(element, "namespaces"), i, item) {
        const char *name = ez_names_get(&plan->names, json_is_string(item) ? json_string_value(item) : "");
        if (master != NULL && json_object_set_new(json_object_get(master, "namespaces"), name, json_true()) != 0) {
            return no_memory(error);
        }
    }
    return EZ_OK;
}

// ---- Providers

static bool add_to_set(void *user, const char *text) {
    return json_object_set_new(user, text, json_true()) == 0;
}

static ez_plan_group *add_group(ez_plan *plan) {
    ez_plan_group *grown = realloc(plan->groups, (plan->group_count + 1) * sizeof *grown);
    if (grown == NULL) {
        return NULL;
    }
    plan->groups = grown;
    ez_plan_group *group = &plan->groups[plan->group_count++];
    *group = (ez_plan_group){.members = json_array(), .route_groups = json_object(), .models = json_object()};
    return group;
}

// Which group an element belongs to: by original_id, alone where it has none.
static ez_plan_group *group_of(ez_plan *plan, json_t *ids, const char *id) {
    const json_t *met = id[0] != '\0' ? json_object_get(ids, id) : NULL;
    if (met != NULL) {
        return &plan->groups[json_integer_value(met)];
    }
    ez_plan_group *group = add_group(plan);
    if (group != NULL && id[0] != '\0' &&
        json_object_set_new(ids, id, json_integer((json_int_t)(plan->group_count - 1))) != 0) {
        return NULL;
    }
    return group;
}

static const char *base_name(const json_t *element) {
    const char *original = ez_element_text(element, "original_name");
    bool is_multi = json_is_true(json_object_get(element, "is_multi_key"));
    const char *name = is_multi && original[0] != '\0' ? original : ez_element_text(element, "name");
    return name[0] != '\0' ? name : "provider";
}

static ez_status note_provider(ez_plan *plan, size_t index, json_t *element, ez_error *error) {
    const char *id = ez_element_id(element, "original_id", &plan->arena);
    ez_plan_group *group = group_of(plan, plan->group_ids, id);
    if (group == NULL || json_array_append_new(group->members, json_integer((json_int_t)index)) != 0 ||
        !ez_element_each(json_object_get(element, "all_groups"), false, add_to_set, group->route_groups) ||
        !ez_element_each(json_object_get(element, "primary_group"), false, add_to_set, group->route_groups) ||
        !ez_element_each(json_object_get(element, "models"), false, add_to_set, group->models)) {
        return no_memory(error);
    }
    if (group->name == NULL) {
        group->name = ez_arena_printf(&plan->arena, "%.240s", base_name(element));
    }
    return group->name != NULL ? EZ_OK : no_memory(error);
}

// The first group with a name keeps it; a later one gets the first number that is nobody's.
static ez_status settle_group_names(ez_plan *plan, ez_error *error) {
    json_t *taken = json_object();
    ez_status status = taken != NULL ? EZ_OK : no_memory(error);
    for (size_t i = 0; status == EZ_OK && i < plan->group_count; i++) {
        json_t *count = json_object_get(taken, plan->groups[i].name);
        if (count == NULL && json_object_set_new(taken, plan->groups[i].name, json_integer(0)) != 0) {
            status = no_memory(error);
        }
    }
    for (size_t i = 0; status == EZ_OK && i < plan->group_count; i++) {
        char *name = plan->groups[i].name;
        json_t *seen = json_object_get(taken, name);
        json_integer_set(seen, json_integer_value(seen) + 1);
        for (unsigned n = 2; json_integer_value(seen) > 1 && json_object_get(taken, plan->groups[i].name) != NULL;
             n++) {
            plan->groups[i].name = ez_arena_printf(&plan->arena, "%s-%u", name, n);
            if (plan->groups[i].name == NULL) {
                status = no_memory(error);
                break;
            }
        }
        if (status == EZ_OK && plan->groups[i].name != name) {
            ez_plan_warn(plan, "two channels are named \"%s\": the later one becomes \"%s\"", name,
                         plan->groups[i].name);
            if (json_object_set_new(taken, plan->groups[i].name, json_integer(1)) != 0) {
                status = no_memory(error);
            }
        }
    }
    json_decref(taken);
    return status;
}

// ---- Bindings

static ez_status add_binding(ez_plan *plan, const ez_plan_binding *binding, ez_error *error) {
    if ((plan->binding_count & (plan->binding_count - 1)) == 0) { // grows at each power of two
        size_t room = plan->binding_count == 0 ? 1 : 2 * plan->binding_count;
        ez_plan_binding *grown = realloc(plan->bindings, room * sizeof *grown);
        if (grown == NULL) {
            return no_memory(error);
        }
        plan->bindings = grown;
    }
    plan->bindings[plan->binding_count++] = *binding;
    return EZ_OK;
}

// Each (namespace, route group, model) once.
static ez_status note_binding(ez_plan *plan, size_t index, json_t *element, ez_error *error) {
    if (!plan->options.include_bindings) {
        return EZ_OK;
    }
    const char *name_space = ez_names_get(&plan->names, ez_element_text(element, "namespace"));
    const char *route_group = ez_element_text(element, "route_group");
    const char *model = ez_element_text(element, "model");
    if (model[0] == '\0') {
        ez_plan_fail(plan, EZ_PLAN_BINDINGS, EZ_EXPORT_BINDINGS, index, "it names no model");
        return EZ_OK;
    }
    json_t *seen = plan->binding_ids;
    ez_autofree char *identity = NULL;
    if (asprintf(&identity, "%s\x1f%s\x1f%s", name_space, route_group, model) < 0) {
        return no_memory(error);
    }
    if (json_object_get(seen, identity) != NULL) {
        return EZ_OK;
    }
    ez_plan_binding made = {.name_space = name_space,
                            .model = ez_arena_strdup(&plan->arena, model),
                            .is_active = strcmp(ez_element_text(element, "status"), "disabled") != 0,
                            .index = (int64_t)index};
    if (made.model == NULL || json_object_set_new(seen, identity, json_true()) != 0) {
        return no_memory(error);
    }
    size_t before = plan->binding_count;
    for (made.group = 0; made.group < plan->group_count; made.group++) {
        const ez_plan_group *group = &plan->groups[made.group];
        if (json_object_get(group->route_groups, route_group) != NULL &&
            json_object_get(group->models, model) != NULL) {
            ez_status status = add_binding(plan, &made, error);
            if (status != EZ_OK) {
                return status;
            }
        }
    }
    if (plan->binding_count == before) {
        ez_plan_warn(plan, "bindings[%zu]: no imported provider serves model \"%s\" in group \"%s\": left out", index,
                     model, route_group);
    }
    return EZ_OK;
}

static ez_status note_binding_namespace(ez_plan *plan, size_t index, json_t *element, ez_error *error) {
    (void)index;
    bool ok = !plan->options.include_bindings || ez_names_note(&plan->names, ez_element_text(element, "namespace"));
    return ok ? EZ_OK : no_memory(error);
}

// ---- The pass

static ez_status list_namespaces(ez_plan *plan, ez_error *error) {
    const char *name;
    json_t *ignored;
    plan->namespace_list = json_array();
    json_object_foreach(plan->names.taken, name, ignored) {
        if (json_array_append_new(plan->namespace_list, json_string(name)) != 0) {
            return no_memory(error);
        }
    }
    return plan->namespace_list != NULL ? EZ_OK : no_memory(error);
}

static ez_status first_pass(ez_plan *plan, ez_error *error) {
    ez_status status = each_element(plan, EZ_EXPORT_MASTERS, EZ_PLAN_MASTERS, note_master, error);
    status = status != EZ_OK ? status : each_element(plan, EZ_EXPORT_KEYS, EZ_PLAN_KEYS, note_key, error);
    status =
        status != EZ_OK ? status : each_element(plan, EZ_EXPORT_PROVIDERS, EZ_PLAN_PROVIDERS, note_provider, error);
    status = status != EZ_OK ? status
                             : each_element(plan, EZ_EXPORT_BINDINGS, EZ_PLAN_BINDINGS, note_binding_namespace, error);
    status = status != EZ_OK ? status : settle_group_names(plan, error);
    if (status == EZ_OK && !ez_names_settle(&plan->names, plan->options.warned, plan->options.user)) {
        status = no_memory(error);
    }
    status = status != EZ_OK ? status : list_namespaces(plan, error);
    status = status != EZ_OK ? status : each_element(plan, EZ_EXPORT_KEYS, EZ_PLAN_KEYS, note_key_namespaces, error);
    return status != EZ_OK ? status : each_element(plan, EZ_EXPORT_BINDINGS, EZ_PLAN_BINDINGS, note_binding, error);
}

static ez_status prepare(ez_plan *plan, ez_error *error) {
    ez_status status = ez_names_init(&plan->names, error);
    if (status != EZ_OK) {
        return status;
    }
    plan->masters = json_object();
    plan->tokens = json_object();
    plan->group_ids = json_object();
    plan->binding_ids = json_object();
    bool ok = plan->masters != NULL && plan->tokens != NULL && plan->group_ids != NULL && plan->binding_ids != NULL;
    for (int section = 0; section < EZ_EXPORT_SECTIONS; section++) {
        plan->is_bad[section] = calloc(plan->file->lists[section].count + 1, sizeof(bool));
        ok = ok && plan->is_bad[section] != NULL;
    }
    return ok ? EZ_OK : no_memory(error);
}

ez_status ez_plan_make(const ez_export *file, const ez_plan_options *options, ez_plan **out, ez_error *error) {
    ez_plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL) {
        return no_memory(error);
    }
    plan->file = file;
    plan->options = *options;
    ez_arena_init(&plan->arena, PLAN_TEXTS_MAX);
    ez_status status = prepare(plan, error);
    status = status != EZ_OK ? status : first_pass(plan, error);
    if (status != EZ_OK) {
        ez_plan_free(plan);
        return status;
    }
    *out = plan;
    return EZ_OK;
}

void ez_plan_free(ez_plan *plan) {
    if (plan == NULL) {
        return;
    }
    for (size_t i = 0; i < plan->group_count; i++) {
        json_decref(plan->groups[i].members);
        json_decref(plan->groups[i].route_groups);
        json_decref(plan->groups[i].models);
    }
    for (int section = 0; section < EZ_EXPORT_SECTIONS; section++) {
        free(plan->is_bad[section]);
    }
    free(plan->groups);
    free(plan->bindings);
    json_decref(plan->masters);
    json_decref(plan->tokens);
    json_decref(plan->group_ids);
    json_decref(plan->binding_ids);
    json_decref(plan->namespace_list);
    ez_names_fini(&plan->names);
    ez_arena_fini(&plan->arena);
    free(plan);
}

size_t ez_plan_count(const ez_plan *plan, ez_plan_kind kind) {
    switch (kind) {
    case EZ_PLAN_NAMESPACES:
        return json_array_size(plan->namespace_list);
    case EZ_PLAN_PROVIDERS:
        return plan->group_count;
    case EZ_PLAN_MASTERS:
        return plan->file->lists[EZ_EXPORT_MASTERS].count;
    case EZ_PLAN_KEYS:
        return plan->file->lists[EZ_EXPORT_KEYS].count;
    default:
        return plan->binding_count;
    }
}

const char *ez_plan_kind_name(ez_plan_kind kind) {
    static const char *const names[] = {"namespaces", "provider groups", "masters", "keys", "bindings"};
    return names[kind];
}
