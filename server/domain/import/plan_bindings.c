// SPDX-License-Identifier: Apache-2.0
//
// What the first pass makes of bindings. The source has one per (group, model, channel) and names its own group, not a
// channel: (namespace, model) is bound once to every imported provider group that serves that route group and model.
//
// The awkward cases. Of repeats, one that is active makes the binding active, whichever comes first. A few lines can
// ask for a product of channels and models, so their number has a bound.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/cleanup.h"
#include "server/domain/import/plan_inside.h"

#define BINDINGS_MAX 2000000

static ez_status append(ez_plan *plan, const ez_plan_binding *binding, ez_error *error) {
    if (plan->binding_count == BINDINGS_MAX) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "EXPORT_TOO_LARGE",
                            "bindings[%lld]: with it there are more than %d bindings to make: import without "
                            "--include-bindings, or fewer channels at a time",
                            (long long)binding->index, BINDINGS_MAX);
    }
    if ((plan->binding_count & (plan->binding_count - 1)) == 0) { // grows at each power of two
        size_t room = plan->binding_count == 0 ? 1 : 2 * plan->binding_count;
        ez_plan_binding *grown = realloc(plan->bindings, room * sizeof *grown);
        if (grown == NULL) {
            return ez_plan_no_memory(error);
        }
        plan->bindings = grown;
    }
    plan->bindings[plan->binding_count++] = *binding;
    return EZ_OK;
}

// Two route groups may bind the same model in the same namespace to the same provider group.
static ez_status add_binding(ez_plan *plan, const ez_plan_binding *binding, ez_error *error) {
    ez_autofree char *identity = NULL;
    if (asprintf(&identity, "%s\x1f%s\x1f%zu", binding->name_space, binding->model, binding->group) < 0) {
        return ez_plan_no_memory(error);
    }
    const json_t *met = json_object_get(plan->binding_made, identity);
    if (met != NULL) {
        ez_plan_binding *made = &plan->bindings[json_integer_value(met)];
        made->is_active = made->is_active || binding->is_active;
        return EZ_OK;
    }
    if (json_object_set_new(plan->binding_made, identity, json_integer((json_int_t)plan->binding_count)) != 0) {
        return ez_plan_no_memory(error);
    }
    return append(plan, binding, error);
}

static ez_status bind_groups(ez_plan *plan, ez_plan_binding *binding, const char *route_group, ez_error *error) {
    bool is_served = false;
    size_t i;
    json_t *at;
    json_array_foreach(json_object_get(plan->model_groups, binding->model), i, at) {
        binding->group = (size_t)json_integer_value(at);
        if (json_object_get(plan->groups[binding->group].route_groups, route_group) == NULL) {
            continue;
        }
        is_served = true;
        ez_status status = add_binding(plan, binding, error);
        if (status != EZ_OK) {
            return status;
        }
    }
    if (!is_served) {
        ez_plan_warn(plan, "bindings[%lld]: no imported provider serves model \"%.255s\" in group \"%.64s\": left out",
                     (long long)binding->index, binding->model, route_group);
    }
    return EZ_OK;
}

// Whether there is more to learn from this element than from its repeats before; -1: no memory.
static int is_news(ez_plan *plan, const char *identity, bool is_active) {
    const json_t *seen = json_object_get(plan->binding_ids, identity);
    if (seen != NULL && (json_is_true(seen) || !is_active)) {
        return 0;
    }
    return json_object_set_new(plan->binding_ids, identity, json_boolean(is_active)) == 0 ? 1 : -1;
}

ez_status ez_plan_note_binding(ez_plan *plan, size_t index, json_t *element, ez_error *error) {
    static const char *const words[] = {"active", "disabled", NULL};
    if (!plan->options.include_bindings) {
        return EZ_OK;
    }
    const char *name_space = ez_names_get(&plan->names, ez_element_text(element, "namespace"));
    const char *route_group = ez_element_group(element, "route_group");
    const char *model = ez_element_text(element, "model");
    int word = ez_element_choose(element, "status", words);
    if (model[0] == '\0' || word < 0) {
        ez_plan_fail(plan, EZ_PLAN_BINDINGS, index,
                     word < 0 ? "its status is neither active nor disabled" : "it names no model");
        return EZ_OK;
    }
    ez_autofree char *identity = NULL;
    if (asprintf(&identity, "%s\x1f%s\x1f%s", name_space, route_group, model) < 0) {
        return ez_plan_no_memory(error);
    }
    bool is_first = json_object_get(plan->binding_ids, identity) == NULL;
    int news = is_news(plan, identity, word == 0);
    if (news == 0) {
        return EZ_OK;
    }
    ez_plan_binding binding = {.name_space = name_space,
                               .model = ez_arena_strdup(&plan->arena, model),
                               .is_active = word == 0,
                               .index = (int64_t)index};
    if (news < 0 || binding.model == NULL) {
        return ez_plan_no_memory(error);
    }
    plan->is_quiet = !is_first;
    ez_status status = bind_groups(plan, &binding, route_group, error);
    plan->is_quiet = false;
    return status;
}

ez_status ez_plan_note_binding_namespace(ez_plan *plan, size_t index, json_t *element, ez_error *error) {
    (void)index;
    bool ok = !plan->options.include_bindings || ez_names_note(&plan->names, ez_element_text(element, "namespace"));
    return ok ? EZ_OK : ez_plan_no_memory(error);
}
