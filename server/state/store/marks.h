// SPDX-License-Identifier: Apache-2.0
//
// ez_marks: the marks of a call's batches, as one transaction sees them. It holds each (data plane, epoch) once, those
// of Idempotency-Keys apart: in the table's column "stream" they have EZ_STREAM_KEYS beside their stream's bits. The
// backend says what its table has, batches are taken in order, which moves the marks, and what was moved is written
// back. Owned by one thread. An attempt that starts again clears it first.
#pragma once

#include "server/state/store/meter.h"

#define EZ_STREAM_KEYS 256

typedef struct ez_marks_row {
    int64_t data_plane_id;
    bool is_key;
    uint64_t epoch;
    uint64_t sequence; // the highest that was taken; 0: none
    bool is_moved;
} ez_marks_row;

typedef struct ez_marks {
    ez_marks_row *rows; // by data plane, kind and epoch, ascending
    size_t count;
} ez_marks;

// batches: ez_usage_batch, ez_log_batch or ez_alert_batch, which begin with their mark; stride is the size of one.
ez_status ez_marks_init(ez_marks *marks, const void *batches, size_t count, size_t stride,
                        ez_error *error) EZ_MUST_CHECK;
void ez_marks_fini(ez_marks *marks);
void ez_marks_clear(ez_marks *marks);
// What the column "stream" says of a row.
int64_t ez_marks_stream(const ez_marks_row *row, ez_stream stream);
// What the table holds. Rows that nobody asked for are ignored.
void ez_marks_found(ez_marks *marks, int64_t data_plane_id, int64_t stream, uint64_t epoch, uint64_t sequence);
// Fills each batch's outcome, in order.
void ez_marks_take(ez_marks *marks, void *batches, size_t count, size_t stride);
// A batch that was taken came to nothing: its mark goes back to where it was. Before any other of its epoch is taken.
void ez_marks_undo(ez_marks *marks, const ez_mark *mark);
