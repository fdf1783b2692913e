// SPDX-License-Identifier: Apache-2.0
//
// What the first pass keeps of providers: which elements are one channel of the source, and what its group is called.
//
// The awkward cases. A channel with several keys stands there as several elements with one original_id: one group. But
// elements whose type or base_url differ are never one, whatever their original_id: their credentials would go to
// another's host. Two channels with one name: the later one gets a number that no other channel has as its own name.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/cleanup.h"
#include "proto/runtime/utf8.h"
#include "server/domain/import/plan_inside.h"

#define NAME_BYTES_MAX 240 // of 255: a number still fits

typedef struct noting {
    ez_plan *plan;
    size_t group;
} noting;

static bool add_route_group(void *user, const char *text) {
    const noting *n = user;
    return json_object_set_new(n->plan->groups[n->group].route_groups, text, json_true()) == 0;
}

static bool add_model(void *user, const char *text) {
    const noting *n = user;
    json_t *groups = json_object_get(n->plan->model_groups, text);
    if (groups == NULL) {
        groups = json_array();
        if (json_object_set_new(n->plan->model_groups, text, groups) != 0) {
            return false;
        }
    }
    size_t count = json_array_size(groups);
    const json_t *last = count > 0 ? json_array_get(groups, count - 1) : NULL;
    bool is_there = last != NULL && (size_t)json_integer_value(last) == n->group;
    return is_there || json_array_append_new(groups, json_integer((json_int_t)n->group)) == 0;
}

// SIZE_MAX: no memory.
static size_t add_group(ez_plan *plan) {
    if ((plan->group_count & (plan->group_count - 1)) == 0) { // grows at each power of two
        size_t room = plan->group_count == 0 ? 1 : 2 * plan->group_count;
        ez_plan_group *grown = realloc(plan->groups, room * sizeof *grown);
        if (grown == NULL) {
            return SIZE_MAX;
        }
        plan->groups = grown;
    }
    plan->groups[plan->group_count] = (ez_plan_group){.members = json_array(), .route_groups = json_object()};
    return plan->group_count++;
}

// Which group an element belongs to; alone where it has no original_id. SIZE_MAX: no memory.
static size_t group_of(ez_plan *plan, size_t index, const json_t *element) {
    const char *id = ez_element_id(element, "original_id", &plan->arena);
    ez_autofree char *identity = NULL;
    if (id[0] == '\0') {
        return add_group(plan);
    }
    if (asprintf(&identity, "%s\x1f%s\x1f%s", id, ez_element_text(element, "type"),
                 ez_element_text(element, "base_url")) < 0) {
        return SIZE_MAX;
    }
    const json_t *met = json_object_get(plan->group_ids, identity);
    if (met != NULL) {
        return (size_t)json_integer_value(met);
    }
    if (json_object_get(plan->group_ids, id) != NULL) {
        ez_plan_warn(plan,
                     "providers[%zu] has another type or base_url than others with original_id %.60s: it becomes a "
                     "group of its own",
                     index, id);
    }
    size_t group = add_group(plan);
    if (group == SIZE_MAX || json_object_set_new(plan->group_ids, identity, json_integer((json_int_t)group)) != 0 ||
        json_object_set_new(plan->group_ids, id, json_true()) != 0) {
        return SIZE_MAX;
    }
    return group;
}

static char *base_name(ez_plan *plan, const json_t *element) {
    const char *original = ez_element_text(element, "original_name");
    bool is_multi = json_is_true(json_object_get(element, "is_multi_key"));
    const char *name = is_multi && original[0] != '\0' ? original : ez_element_text(element, "name");
    name = name[0] != '\0' ? name : "provider";
    size_t len = strlen(name), kept = ez_utf8_cut(name, len, NAME_BYTES_MAX);
    if (kept < len) {
        ez_plan_warn(plan, "a channel's name is longer than %d bytes: it becomes \"%.*s\"", NAME_BYTES_MAX, (int)kept,
                     name);
    }
    return ez_arena_strndup(&plan->arena, name, kept);
}

// A channel's groups; an empty text, or none at all, means "default".
static bool note_route_groups(noting *n, const json_t *element) {
    const json_t *primary = json_object_get(element, "primary_group");
    json_t *set = n->plan->groups[n->group].route_groups;
    if (!ez_element_each(json_object_get(element, "all_groups"), false, add_route_group, n) ||
        !ez_element_each(primary, false, add_route_group, n)) {
        return false;
    }
    bool is_empty = (json_is_string(primary) && json_string_length(primary) == 0) || json_object_size(set) == 0;
    return !is_empty || add_route_group(n, "default");
}

ez_status ez_plan_note_provider(ez_plan *plan, size_t index, json_t *element, ez_error *error) {
    noting n = {.plan = plan, .group = group_of(plan, index, element)};
    if (n.group == SIZE_MAX) {
        return ez_plan_no_memory(error);
    }
    ez_plan_group *group = &plan->groups[n.group];
    if (json_array_append_new(group->members, json_integer((json_int_t)index)) != 0 ||
        !note_route_groups(&n, element) ||
        (plan->options.include_bindings &&
         !ez_element_each(json_object_get(element, "models"), false, add_model, &n))) {
        return ez_plan_no_memory(error);
    }
    if (group->name == NULL) {
        group->name = base_name(plan, element);
    }
    return group->name != NULL ? EZ_OK : ez_plan_no_memory(error);
}

// The first with a name keeps it. taken: name → the last number given out for it, 0 where nobody has it yet.
static ez_status settle_name(ez_plan *plan, json_t *taken, ez_plan_group *group, ez_error *error) {
    char *name = group->name;
    json_t *last = json_object_get(taken, name);
    json_int_t n = json_integer_value(last) + 1;
    if (n > 1) {
        do {
            group->name = ez_arena_printf(&plan->arena, "%s-%lld", name, (long long)n++);
        } while (group->name != NULL && json_object_get(taken, group->name) != NULL);
        n--;
        if (group->name == NULL || json_object_set_new(taken, group->name, json_integer(1)) != 0) {
            return ez_plan_no_memory(error);
        }
        ez_plan_warn(plan, "two channels are named \"%s\": the later one becomes \"%s\"", name, group->name);
    }
    json_integer_set(last, n);
    return EZ_OK;
}

ez_status ez_plan_settle_groups(ez_plan *plan, ez_error *error) {
    json_t *taken = json_object();
    ez_status status = taken != NULL ? EZ_OK : ez_plan_no_memory(error);
    for (size_t i = 0; status == EZ_OK && i < plan->group_count; i++) {
        if (json_object_get(taken, plan->groups[i].name) == NULL &&
            json_object_set_new(taken, plan->groups[i].name, json_integer(0)) != 0) {
            status = ez_plan_no_memory(error);
        }
    }
    for (size_t i = 0; status == EZ_OK && i < plan->group_count; i++) {
        status = settle_name(plan, taken, &plan->groups[i], error);
    }
    json_decref(taken);
    return status;
}
