// SPDX-License-Identifier: Apache-2.0
//
// What the plan's files share: plan.c (the first pass), plan_access.c, plan_groups.c, plan_bindings.c (what it keeps of
// each list), plan_batch.c (batches), plan_rows.c and plan_providers.c (one element → one row), elements.c.
#pragma once

#include <jansson.h>

#include "proto/runtime/schema.h"
#include "server/domain/import/names.h"
#include "server/domain/import/plan.h"

// One provider group: the elements with the same original_id.
typedef struct ez_plan_group {
    char *name;
    json_t *members;      // indices of its elements
    json_t *route_groups; // set of the source's groups that may use it
} ez_plan_group;

// One binding that is made: (namespace, model) to one provider group.
typedef struct ez_plan_binding {
    const char *name_space, *model;
    size_t group;
    bool is_active;
    int64_t index; // of the element it comes from first
} ez_plan_binding;

struct ez_plan {
    const ez_export *file;
    ez_plan_options options;
    ez_names names;
    ez_arena arena;  // texts that live as long as the plan
    json_t *masters; // name → {"index", "keys": how many come along, "default": its namespace as the file says it,
                     // "namespaces": set its keys name}
    // The first pass's alone:
    json_t *tokens;       // SHA-256 in hex → index of the key that has it
    json_t *group_ids;    // identity of a source channel → index into groups
    json_t *model_groups; // model → indices of the groups that have it; only with include_bindings
    json_t *binding_ids;  // (namespace, route group, model) → whether an active one was seen
    json_t *binding_made; // (namespace, model, group) → index into bindings

    bool *is_bad[EZ_EXPORT_SECTIONS]; // elements that failed already
    ez_plan_group *groups;
    size_t group_count;
    ez_plan_binding *bindings;
    size_t binding_count;
    json_t *namespace_list; // names, in order
    bool is_quiet;          // a row is built once more: what there is to say about it was said
    int kind;               // where the batches are
    size_t at;
};

// plan_access.c, plan_groups.c, plan_bindings.c: what the first pass does with an element. Errors end the plan.
ez_status ez_plan_note_master(ez_plan *plan, size_t index, json_t *element, ez_error *error) EZ_MUST_CHECK;
ez_status ez_plan_note_key(ez_plan *plan, size_t index, json_t *element, ez_error *error) EZ_MUST_CHECK;
// Once names are settled: which namespaces each master's keys use.
ez_status ez_plan_note_key_namespaces(ez_plan *plan, size_t index, json_t *element, ez_error *error) EZ_MUST_CHECK;
ez_status ez_plan_note_provider(ez_plan *plan, size_t index, json_t *element, ez_error *error) EZ_MUST_CHECK;
ez_status ez_plan_settle_groups(ez_plan *plan, ez_error *error) EZ_MUST_CHECK;
ez_status ez_plan_note_binding_namespace(ez_plan *plan, size_t index, json_t *element, ez_error *error) EZ_MUST_CHECK;
// Once names and groups are settled.
ez_status ez_plan_note_binding(ez_plan *plan, size_t index, json_t *element, ez_error *error) EZ_MUST_CHECK;

// plan_rows.c, plan_providers.c: each fills a new message in arena, or returns INVALID_ARGUMENT with the reason.
ez_status ez_plan_master_row(ez_plan *plan, size_t index, ez_arena *arena, Ez__V1__Master **out,
                             ez_error *error) EZ_MUST_CHECK;
ez_status ez_plan_key_row(ez_plan *plan, size_t index, ez_arena *arena, Ez__V1__ImportKey **out,
                          ez_error *error) EZ_MUST_CHECK;
// An element of the group that can't become an API key fails alone; the group fails where none of its elements can.
ez_status ez_plan_provider_row(ez_plan *plan, const ez_plan_group *group, ez_arena *arena, Ez__V1__ImportProvider **out,
                               ez_error *error) EZ_MUST_CHECK;
ez_status ez_plan_binding_row(ez_plan *plan, const ez_plan_binding *binding, ez_arena *arena,
                              Ez__V1__ImportBinding **out, ez_error *error) EZ_MUST_CHECK;

// elements.c: reading JSON values with the source's habits in mind.
// INVALID_ARGUMENT: it is not JSON. OUT_OF_RANGE: it is, but no object, or one that can't be held.
ez_status ez_element_parse(ez_slice item, json_t **out, ez_error *error) EZ_MUST_CHECK;
const char *ez_element_text(const json_t *element, const char *name);  // "" where there is none
const char *ez_element_group(const json_t *element, const char *name); // "default" where there is none
// Which of the words (NULL-terminated) it is, whatever its case; 0 where there is none; -1: none of them.
int ez_element_choose(const json_t *element, const char *name, const char *const *words);
// Where it is absent or null: otherwise. INVALID_ARGUMENT: no whole number.
ez_status ez_element_whole(const json_t *element, const char *name, int64_t otherwise, int64_t *out,
                           ez_error *error) EZ_MUST_CHECK;
// False where it is absent or null. INVALID_ARGUMENT: neither true nor false.
ez_status ez_element_flag(const json_t *element, const char *name, bool *out, ez_error *error) EZ_MUST_CHECK;
// Each non-blank piece of a text or of a list of texts, split at commas, blanks and newlines where splits is true.
// False: each said so, or there is no memory.
bool ez_element_each(const json_t *value, bool splits, bool (*each)(void *user, const char *text), void *user);
// The token as clients send it, in arena. INVALID_ARGUMENT: the export has none, or one that can't be.
ez_status ez_element_token(const json_t *key, ez_arena *arena, const char **out, ez_error *error) EZ_MUST_CHECK;
// A number or digits as text of an id; "" where there is none (0 is none). In arena.
const char *ez_element_id(const json_t *element, const char *name, ez_arena *arena);

void ez_plan_warn(const ez_plan *plan, const char *format, ...) EZ_PRINTF(2, 3);
// Reports a row as failed; an element of section that is marked so is passed over from then on.
void ez_plan_fail(ez_plan *plan, ez_plan_kind kind, size_t index, const char *reason);
// "field: what is wrong", in arena.
const char *ez_plan_reason(const ez_error *why, ez_arena *arena);
ez_status ez_plan_no_memory(ez_error *error);
