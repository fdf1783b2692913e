// SPDX-License-Identifier: Apache-2.0
//
// The rows with the most requests out of any number of them, and the sum of all: what a query gives is looked at once
// and not kept. Also plain lists of rows by time, which come in order. One thread.
#pragma once

#include "proto/runtime/arena.h"
#include "server/state/store/meter.h"

#define EZ_TOP_MODEL_MAX 255 // bytes of a model's name, as LogRecord.model

typedef struct ez_top_row {
    int64_t id; // or unix seconds
    int64_t owner_id;
    char model[EZ_TOP_MODEL_MAX + 1];
    ez_rollup_sums sums;
} ez_top_row;

typedef struct ez_top {
    ez_top_row **rows;
    size_t count, size;
    ez_rollup_sums total;
    bool is_truncated;
} ez_top;

// Memory for size rows, in arena.
ez_status ez_top_init(ez_top *top, size_t size, ez_arena *arena, ez_error *error) EZ_MUST_CHECK;
// Takes a row where it is among the first so far. Each id and model comes once.
void ez_top_add(ez_top *top, const ez_stats_row *row);
// Takes a row of time_s, which does not go down: added to the last one where that has the same time.
void ez_top_append(ez_top *top, int64_t time_s, const ez_rollup_sums *sums);
// Puts what ez_top_add took in order: most requests first, then by id and model.
void ez_top_sort(ez_top *top);
