// SPDX-License-Identifier: Apache-2.0
//
// Log records by chance, the same each time, and a store filled with them: what the tests of readers compare with.
#pragma once

#include "server/state/store/rollup.h"
#include "tests/unit/store/support.h"

#define RECORDS_MAX 4000
#define NOW_S       INT64_C(1800000000) // 2027-01-15 08:00 UTC
#define NOW_NS      (NOW_S * 1000000000)
#define OPEN_NS     (8 * INT64_C(3600000000000)) // before now hours are open until they are folded

typedef struct records {
    size_t count;
    ez_log_row rows[RECORDS_MAX]; // with the ids that the store gave
    char request_ids[RECORDS_MAX][40];
    char bodies[RECORDS_MAX][24];
} records;

// A number below a bound, from rand().
int64_t any(int64_t below);
ez_slice slice_of(const char *text);
// The texts that occur as models, some of them awkward.
#define MODELS 9
extern const char *const models[MODELS];

// Makes and adds records: most of the last hours, some of the last days, a few that are very old, some with one time.
void add_records(ez_store *store, records *all, size_t count);
// Folds, at most so many steps.
void fold(ez_store *store, int steps);
// The edges as the store has them.
ez_rollup_edges edges_of(const place *at);
