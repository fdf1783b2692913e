// SPDX-License-Identifier: Apache-2.0
//
// The rows of one flush: what is said twice of one resource is one row. Memory is the call's arena.
#pragma once

#include "proto/runtime/arena.h"
#include "server/state/store/meter.h"

typedef struct ez_flush_rows {
    ez_usage_row *rows;
    size_t count, room;
    uint32_t *slots; // 1 + an index into rows; 0: free
    size_t slot_count;
    bool is_too_much; // a sum went past EZ_USAGE_SUM_MAX
} ez_flush_rows;

// room: rows at most. False where there is no memory.
bool ez_flush_rows_init(ez_flush_rows *rows, size_t room, ez_arena *arena) EZ_MUST_CHECK;
// There must be room, as init was told.
void ez_flush_rows_add(ez_flush_rows *rows, ez_usage_table table, int64_t id, const ez_usage_sums *sums);
