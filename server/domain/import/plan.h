// SPDX-License-Identifier: Apache-2.0
//
// ez_plan: what an export file becomes. A first pass over all elements settles what belongs together (channels with
// several keys, names of namespaces, how many keys a master brings); then the rows come out in batches, in an order in
// which each finds what it points to: namespaces, provider groups, masters, keys, bindings.
//
// The source's traps, and what is done about each, are in docs/import.md.
#pragma once

#include "ez/v1/import.pb-c.h"
#include "proto/runtime/arena.h"
#include "server/domain/import/export_file.h"

typedef enum ez_plan_kind {
    EZ_PLAN_NAMESPACES,
    EZ_PLAN_PROVIDERS,
    EZ_PLAN_MASTERS,
    EZ_PLAN_KEYS,
    EZ_PLAN_BINDINGS,
    EZ_PLAN_KINDS,
} ez_plan_kind;

typedef struct ez_plan_options {
    bool include_bindings;
    bool overwrite;
    bool self_contained; // a dry run: each batch also brings what its rows point to, with index -1
    // A row that can't be imported, and what was changed on the way; each once. index: in its list in the file; -1:
    // none.
    void (*failed)(void *user, ez_plan_kind kind, int64_t index, const char *reason);
    void (*warned)(void *user, const char *text);
    void *user;
} ez_plan_options;

typedef struct ez_plan ez_plan;

// The first pass. INVALID_ARGUMENT where an element is not JSON, or bindings multiply past their bound. The file must
// outlive the plan.
ez_status ez_plan_make(const ez_export *file, const ez_plan_options *options, ez_plan **out,
                       ez_error *error) EZ_MUST_CHECK;
void ez_plan_free(ez_plan *plan);

// How many rows of a kind the file has.
size_t ez_plan_count(const ez_plan *plan, ez_plan_kind kind);

// The next batch, of one kind, in arena (which is reset first); *out NULL at the end. At most 1,000 rows and 3.5 MiB.
// Rows that can't be are reported on the way.
ez_status ez_plan_next(ez_plan *plan, ez_arena *arena, ez_plan_kind *kind, Ez__V1__ApplyImportRequest **out,
                       ez_error *error) EZ_MUST_CHECK;

const char *ez_plan_kind_name(ez_plan_kind kind); // "namespaces", "provider groups", …
