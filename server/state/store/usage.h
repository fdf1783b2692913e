// SPDX-License-Identifier: Apache-2.0
//
// ez_usage_merge: the rows of the batches that were taken, each (table, id) once, ordered by both. Owned by one thread.
#pragma once

#include "server/state/store/meter.h"

#define EZ_USAGE_ROWS_MAX 4000000u // of one call

// "key_usage" …
extern const char *const ez_usage_tables[EZ_USAGE_TABLES];

typedef struct ez_usage_merge {
    ez_usage_row *rows;
    size_t count;
} ez_usage_merge;

// RESOURCE_EXHAUSTED (CHANGE_TOO_LARGE) past the bound.
ez_status ez_usage_merge_init(ez_usage_merge *merge, const ez_usage_batch *batches, size_t count,
                              ez_error *error) EZ_MUST_CHECK;
void ez_usage_merge_fini(ez_usage_merge *merge);
// to += from, where neither passes EZ_USAGE_SUM_MAX nor the sum does; last_used_ns is the later one.
void ez_usage_sums_add(ez_usage_sums *to, const ez_usage_sums *from);
