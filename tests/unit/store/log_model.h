// SPDX-License-Identifier: Apache-2.0
//
// Log records for the store's tests, and what must be true of a store that was given them: every rollup that readers
// may use is what a sum over all records says.
#pragma once

#include "server/state/store/rollup.h"
#include "tests/unit/store/support.h"

#define SECOND_NS INT64_C(1000000000)
#define HOUR_NS   (3600 * SECOND_NS)
#define DAY_NS    (86400 * SECOND_NS)

#define MODEL_ROWS 20000
typedef struct log_model {
    ez_log_row rows[MODEL_ROWS];
    size_t count;
} log_model;

// A record of one of few masters, keys, models …, chosen by rand(). Its texts are constants.
ez_log_row random_record(int64_t time_ns);
// Adds records as one batch without a mark, and remembers them.
void add_records(ez_store *store, log_model *model, const ez_log_row *rows, size_t count, int64_t now_ns);
// Folds until there is nothing to fold; gives how many steps.
unsigned fold_all(ez_store *store, int64_t now_ns);
// Compares the tables with the model, by the rules of rollup.h.
void expect_rollups(const place *at, const log_model *model);
