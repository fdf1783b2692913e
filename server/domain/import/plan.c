// SPDX-License-Identifier: Apache-2.0
//
// The first pass: reads every element once or twice and keeps what concerns more than one of them. Elements that are
// read again when their rows are built cost time, not memory.
//
// The awkward case is the order. Namespaces get their names when every list that names one has been read; which
// namespaces a master's keys use, and what is bound in them, can be told only then: keys and bindings are read twice.
#include "server/domain/import/plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/domain/import/plan_inside.h"

#define PLAN_TEXTS_MAX (512u << 20)

void ez_plan_warn(const ez_plan *plan, const char *format, ...) {
    char text[1024];
    if (plan->is_quiet) {
        return;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    plan->options.warned(plan->options.user, text);
}

void ez_plan_fail(ez_plan *plan, ez_plan_kind kind, size_t index, const char *reason) {
    static const int sections[] = {-1, EZ_EXPORT_PROVIDERS, EZ_EXPORT_MASTERS, EZ_EXPORT_KEYS, EZ_EXPORT_BINDINGS};
    if (plan->is_quiet) {
        return;
    }
    if (sections[kind] >= 0) {
        plan->is_bad[sections[kind]][index] = true;
    }
    plan->options.failed(plan->options.user, kind, (int64_t)index, reason);
}

const char *ez_plan_reason(const ez_error *why, ez_arena *arena) {
    const char *text = why->violation_count > 0
                           ? ez_arena_printf(arena, "%s: %s", why->violations[0].field, why->violations[0].description)
                           : ez_arena_strdup(arena, why->message);
    return text != NULL ? text : "there is no memory to say why";
}

ez_status ez_plan_no_memory(ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for this file");
}

// ---- The pass

typedef ez_status element_fn(ez_plan *plan, size_t index, json_t *element, ez_error *error);

// One list; the elements that failed already are passed over.
typedef struct walk {
    ez_export_section section;
    ez_plan_kind kind;
    element_fn *each;
} walk;

static ez_status visit(ez_plan *plan, const walk *w, size_t index, ez_error *error) {
    ez_error why = EZ_ERROR_INIT;
    json_t *element;
    ez_status status = ez_element_parse(plan->file->lists[w->section].items[index], &element, &why);
    if (status == EZ_OUT_OF_RANGE) {
        if (w->kind != EZ_PLAN_BINDINGS || plan->options.include_bindings) {
            ez_plan_fail(plan, w->kind, index, why.message);
        }
        return EZ_OK;
    }
    if (status != EZ_OK) {
        return ez_error_set(error, status, why.reason, "%s[%zu]: %s", ez_export_section_name(w->section), index,
                            why.message);
    }
    status = w->each(plan, index, element, error);
    json_decref(element);
    return status;
}

static ez_status run(ez_plan *plan, const walk *walks, size_t count, ez_error *error) {
    for (size_t w = 0; w < count; w++) {
        for (size_t i = 0; i < plan->file->lists[walks[w].section].count; i++) {
            ez_status status = plan->is_bad[walks[w].section][i] ? EZ_OK : visit(plan, &walks[w], i, error);
            if (status != EZ_OK) {
                return status;
            }
        }
    }
    return EZ_OK;
}

static ez_status list_namespaces(ez_plan *plan, ez_error *error) {
    const char *name;
    json_t *ignored;
    plan->namespace_list = json_array();
    json_object_foreach(plan->names.taken, name, ignored) {
        if (json_array_append_new(plan->namespace_list, json_string(name)) != 0) {
            return ez_plan_no_memory(error);
        }
    }
    return plan->namespace_list != NULL ? EZ_OK : ez_plan_no_memory(error);
}

// What only the first pass asks for makes room for what the batches need.
static void forget(ez_plan *plan) {
    json_t **maps[] = {&plan->tokens, &plan->group_ids, &plan->model_groups, &plan->binding_ids, &plan->binding_made};
    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++) {
        json_decref(*maps[i]);
        *maps[i] = NULL;
    }
}

static ez_status first_pass(ez_plan *plan, ez_error *error) {
    static const walk first[] = {{EZ_EXPORT_MASTERS, EZ_PLAN_MASTERS, ez_plan_note_master},
                                 {EZ_EXPORT_KEYS, EZ_PLAN_KEYS, ez_plan_note_key},
                                 {EZ_EXPORT_PROVIDERS, EZ_PLAN_PROVIDERS, ez_plan_note_provider},
                                 {EZ_EXPORT_BINDINGS, EZ_PLAN_BINDINGS, ez_plan_note_binding_namespace}};
    static const walk second[] = {{EZ_EXPORT_KEYS, EZ_PLAN_KEYS, ez_plan_note_key_namespaces},
                                  {EZ_EXPORT_BINDINGS, EZ_PLAN_BINDINGS, ez_plan_note_binding}};
    ez_status status = run(plan, first, sizeof first / sizeof first[0], error);
    status = status != EZ_OK ? status : ez_plan_settle_groups(plan, error);
    if (status == EZ_OK && !ez_names_settle(&plan->names, plan->options.warned, plan->options.user)) {
        status = ez_plan_no_memory(error);
    }
    status = status != EZ_OK ? status : list_namespaces(plan, error);
    status = status != EZ_OK ? status : run(plan, second, plan->options.include_bindings ? 2 : 1, error);
    forget(plan);
    return status;
}

// ---- Making and freeing

static ez_status prepare(ez_plan *plan, ez_error *error) {
    json_t **maps[] = {&plan->masters,      &plan->tokens,      &plan->group_ids,
                       &plan->model_groups, &plan->binding_ids, &plan->binding_made};
    ez_status status = ez_names_init(&plan->names, error);
    for (size_t i = 0; status == EZ_OK && i < sizeof maps / sizeof maps[0]; i++) {
        *maps[i] = json_object();
        status = *maps[i] != NULL ? EZ_OK : ez_plan_no_memory(error);
    }
    for (int section = 0; status == EZ_OK && section < EZ_EXPORT_SECTIONS; section++) {
        plan->is_bad[section] = calloc(plan->file->lists[section].count + 1, sizeof(bool));
        status = plan->is_bad[section] != NULL ? EZ_OK : ez_plan_no_memory(error);
    }
    return status;
}

ez_status ez_plan_make(const ez_export *file, const ez_plan_options *options, ez_plan **out, ez_error *error) {
    ez_plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL) {
        return ez_plan_no_memory(error);
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
    }
    for (int section = 0; section < EZ_EXPORT_SECTIONS; section++) {
        free(plan->is_bad[section]);
    }
    free(plan->groups);
    free(plan->bindings);
    forget(plan); // where the first pass was not reached
    json_decref(plan->masters);
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
