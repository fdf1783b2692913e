// SPDX-License-Identifier: Apache-2.0
//
// ez_usage_rows: counters that were added and are not yet in a batch, merged by what they are of. Internal to
// libezplane. Not shared between threads.
#pragma once

#include "clients/c/reporter.h"
#include "proto/runtime/buf.h"

#define EZ_USAGE_ROWS_MAX   262144 // different keys, API keys and masters
#define EZ_USAGE_BATCH_ROWS 20000  // of one flush
#define EZ_USAGE_ROW_BYTES  80     // packed, at most

typedef struct ez_usage_rows {
    ez_usage_delta *rows;
    size_t count, room;
    uint32_t *slots; // open hash: row + 1
    size_t slot_count;
    size_t packed; // rows before it are in a batch
    size_t max;
} ez_usage_rows;

// max: different ids, at most EZ_USAGE_ROWS_MAX.
void ez_usage_rows_init(ez_usage_rows *rows, size_t max);
void ez_usage_rows_fini(ez_usage_rows *rows);
void ez_usage_rows_clear(ez_usage_rows *rows);

// All or none. INVALID_ARGUMENT (USAGE_INVALID), RESOURCE_EXHAUSTED (USAGE_FULL).
ez_status ez_usage_rows_add(ez_usage_rows *rows, const ez_usage_delta *deltas, size_t count,
                            ez_error *error) EZ_MUST_CHECK;

// Packs the next rows of a FlushUsageRequest, at most EZ_USAGE_BATCH_ROWS, less those with nothing to add; returns how
// many, 0 at the end.
// master_id: where it is not 0, a batch of keys that names no master names this one, with nothing to add: the data
// plane counts masters itself, and the server must not add them up from keys.
uint32_t ez_usage_rows_pack(ez_usage_rows *rows, int64_t master_id, ez_buf *out);
