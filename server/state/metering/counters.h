// SPDX-License-Identifier: Apache-2.0
//
// ez_counters: the usage totals of keys, API keys, provider groups and masters in memory, so that no read touches SQL.
// Loaded from the store at start, kept by the commits. Totals only ever grow; those of resources that were deleted
// stay.
//
// Threads. One thread loads and notes; any thread reads, without a lock: a row is read again where it was being
// written.
#pragma once

#include "server/state/store/meter.h"

#define EZ_COUNTERS_ID_MAX ((INT64_C(1) << 33) - 1) // what has a greater id is counted in the store only

typedef struct ez_counters ez_counters;

ez_status ez_counters_create(ez_counters **out, ez_error *error) EZ_MUST_CHECK;
void ez_counters_destroy(ez_counters *counters); // NULL is fine; no reader may be left

// Reads every total; before anybody else does.
ez_status ez_counters_load(ez_counters *counters, ez_store *store, ez_error *error) EZ_MUST_CHECK;

// What a row stands at now. False: it is not kept, its id being too great or memory short; the next one is tried again.
bool ez_counters_keep(ez_counters *counters, ez_usage_table table, int64_t id, const ez_usage_sums *total);
// The same as an ez_usage_total_fn, user is the ez_counters.
void ez_counters_note(void *counters, ez_usage_table table, int64_t id, const ez_usage_sums *total);

// False, and zeros: nothing was ever counted. counters may be NULL, for what works without a store's counters.
bool ez_counters_get(const ez_counters *counters, ez_usage_table table, int64_t id, ez_usage_sums *out);

// Rows of a table.
size_t ez_counters_count(const ez_counters *counters, ez_usage_table table);
