// SPDX-License-Identifier: Apache-2.0
//
// ez_marks: the marks of a call's batches, as one transaction sees them. It holds each (data plane, epoch) once; the
// backend says what its table has, batches are taken in order, which moves the marks, and what was moved is written
// back. Owned by one thread. An attempt that starts again clears it first.
#pragma once

#include "server/state/store/meter.h"

typedef struct ez_marks_row {
    int64_t data_plane_id;
    uint64_t epoch;
    uint64_t sequence; // the highest that was taken; 0: none
    bool is_moved;
} ez_marks_row;

typedef struct ez_marks {
    ez_marks_row *rows; // by data plane and epoch, ascending
    size_t count;
} ez_marks;

// batches: ez_usage_batch or ez_log_batch, both of which begin with their mark; stride is the size of one.
ez_status ez_marks_init(ez_marks *marks, const void *batches, size_t count, size_t stride,
                        ez_error *error) EZ_MUST_CHECK;
void ez_marks_fini(ez_marks *marks);
void ez_marks_clear(ez_marks *marks);
// What the table holds. Rows that nobody asked for are ignored.
void ez_marks_found(ez_marks *marks, int64_t data_plane_id, uint64_t epoch, uint64_t sequence);
// Fills each batch's outcome, in order.
void ez_marks_take(ez_marks *marks, void *batches, size_t count, size_t stride);
