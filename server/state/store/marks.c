// SPDX-License-Identifier: Apache-2.0
//
// Marks in memory: a sorted array of what the batches name. Owns the array alone.
//
// Awkward: several batches of one data plane may come in one call, so a batch is judged by what those before it left,
// not by what the table held: 7, 8, 8 and 10 behind a mark of 6 are taken, taken, repeated and a gap at 9.
#include "server/state/store/marks.h"

#include <stdlib.h>

#include "server/state/store/alerts.h"

_Static_assert(offsetof(ez_usage_batch, mark) == 0 && offsetof(ez_log_batch, mark) == 0 &&
                   offsetof(ez_alert_batch, mark) == 0,
               "a batch begins with its mark");

static ez_mark *mark_at(const void *batches, size_t i, size_t stride) {
    return (ez_mark *)(uintptr_t)((const char *)batches + i * stride);
}

static int compare(const void *left, const void *right) {
    const ez_marks_row *a = left, *b = right;
    if (a->data_plane_id != b->data_plane_id)
        return a->data_plane_id < b->data_plane_id ? -1 : 1;
    if (a->is_key != b->is_key)
        return a->is_key ? 1 : -1;
    return a->epoch < b->epoch ? -1 : a->epoch > b->epoch;
}

static ez_marks_row row_of(const ez_mark *mark) {
    return (ez_marks_row){.data_plane_id = mark->data_plane_id, .is_key = mark->is_key, .epoch = mark->epoch};
}

ez_status ez_marks_init(ez_marks *marks, const void *batches, size_t count, size_t stride, ez_error *error) {
    *marks = (ez_marks){0};
    if (count == 0)
        return EZ_OK;
    ez_marks_row *rows = calloc(count, sizeof *rows);
    if (!rows)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for %zu batches", count);
    size_t named = 0, kept = 0;
    for (size_t i = 0; i < count; i++) {
        const ez_mark *mark = mark_at(batches, i, stride);
        if (mark->epoch)
            rows[named++] = row_of(mark);
    }
    qsort(rows, named, sizeof *rows, compare);
    for (size_t i = 0; i < named; i++) {
        if (kept == 0 || compare(&rows[kept - 1], &rows[i]) != 0)
            rows[kept++] = rows[i];
    }
    *marks = (ez_marks){.rows = rows, .count = kept};
    return EZ_OK;
}

void ez_marks_fini(ez_marks *marks) {
    free(marks->rows);
    *marks = (ez_marks){0};
}

void ez_marks_clear(ez_marks *marks) {
    for (size_t i = 0; i < marks->count; i++) {
        marks->rows[i].sequence = 0;
        marks->rows[i].is_moved = false;
    }
}

static ez_marks_row *find(ez_marks *marks, ez_marks_row key) {
    return marks->count ? bsearch(&key, marks->rows, marks->count, sizeof key, compare) : NULL;
}

int64_t ez_marks_stream(const ez_marks_row *row, ez_stream stream) {
    return row->is_key ? EZ_STREAM_KEYS + (int64_t)stream : (int64_t)stream;
}

void ez_marks_found(ez_marks *marks, int64_t data_plane_id, int64_t stream, uint64_t epoch, uint64_t sequence) {
    ez_marks_row *row = find(marks, (ez_marks_row){data_plane_id, stream >= EZ_STREAM_KEYS, epoch, 0, false});
    if (row)
        row->sequence = sequence;
}

void ez_marks_take(ez_marks *marks, void *batches, size_t count, size_t stride) {
    for (size_t i = 0; i < count; i++) {
        ez_mark *mark = mark_at(batches, i, stride);
        ez_marks_row *row = mark->epoch ? find(marks, row_of(mark)) : NULL;
        mark->expected = row ? row->sequence + 1 : 0;
        if (row && mark->sequence <= row->sequence) {
            mark->outcome = EZ_MARK_REPEATED;
        } else if (row && mark->sequence > mark->expected) {
            mark->outcome = EZ_MARK_GAP;
        } else {
            mark->outcome = EZ_MARK_TAKEN;
            if (row) {
                row->sequence = mark->sequence;
                row->is_moved = true;
            }
        }
    }
}

void ez_marks_undo(ez_marks *marks, const ez_mark *mark) {
    ez_marks_row *row = mark->epoch ? find(marks, row_of(mark)) : NULL;
    if (!row || mark->outcome != EZ_MARK_TAKEN)
        return;
    row->sequence = mark->sequence - 1;
    row->is_moved = row->sequence > 0; // else there was none before
}
