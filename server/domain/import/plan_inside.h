// SPDX-License-Identifier: Apache-2.0
//
// What plan.c (the first pass), plan_batch.c (batches) and plan_rows.c (one element → one row) share.
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
    json_t *models;       // set
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
    ez_arena arena;      // texts that live as long as the plan
    json_t *masters;     // name → {"index", "keys": how many come along, "namespaces": set its keys name}
    json_t *tokens;      // SHA-256 in hex → index of the key that has it
    json_t *group_ids;   // original_id → index into groups
    json_t *binding_ids; // set of what was seen
    bool *is_bad[EZ_EXPORT_SECTIONS]; // elements that failed already
    ez_plan_group *groups;
    size_t group_count;
    ez_plan_binding *bindings;
    size_t binding_count;
    json_t *namespace_list; // names, in order
    int kind;               // where the batches are
    size_t at;
};

// plan_rows.c: each fills a new message in arena, or returns INVALID_ARGUMENT with the reason.
ez_status ez_plan_master_row(ez_plan *plan, size_t index, ez_arena *arena, Ez__V1__Master **out,
                             ez_error *error) EZ_MUST_CHECK;
ez_status ez_plan_key_row(ez_plan *plan, size_t index, ez_arena *arena, Ez__V1__ImportKey **out,
                          ez_error *error) EZ_MUST_CHECK;
ez_status ez_plan_provider_row(ez_plan *plan, const ez_plan_group *group, ez_arena *arena, Ez__V1__ImportProvider **out,
                               ez_error *error) EZ_MUST_CHECK;
ez_status ez_plan_binding_row(ez_plan *plan, const ez_plan_binding *binding, ez_arena *arena,
                              Ez__V1__ImportBinding **out, ez_error *error) EZ_MUST_CHECK;

// elements.c: reading JSON values with the source's habits in mind.
json_t *ez_element_parse(ez_slice item, ez_error *error);             // NULL: not JSON
const char *ez_element_text(const json_t *element, const char *name); // "" where there is none
// Each non-blank piece of a text or of a list of texts, split at commas, blanks and newlines where splits is true.
// False ends early.
bool ez_element_each(const json_t *value, bool splits, bool (*each)(void *user, const char *text), void *user);
// The token as clients send it, in arena; NULL where the export has none.
const char *ez_element_token(const json_t *key, ez_arena *arena);
// A number or digits as text of an id; "" where there is none. In arena.
const char *ez_element_id(const json_t *element, const char *name, ez_arena *arena);

void ez_plan_warn(const ez_plan *plan, const char *format, ...) EZ_PRINTF(2, 3);
void ez_plan_fail(ez_plan *plan, ez_plan_kind kind, ez_export_section section, size_t index, const char *reason);
