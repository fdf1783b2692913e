// SPDX-License-Identifier: Apache-2.0
//
// A heap whose root is the row that would go first. Its rows' memory is handed round, so that a million rows cost as
// much memory as the ones that stay.
#include "server/domain/logs/top.h"

#include <stdlib.h>
#include <string.h>

#include "server/state/directory/edit.h"

ez_status ez_top_init(ez_top *top, size_t size, ez_arena *arena, ez_error *error) {
    *top = (ez_top){.size = size};
    ez_top_row *memory = ez_arena_alloc(arena, size * sizeof *memory);
    top->rows = ez_arena_alloc(arena, size * sizeof(ez_top_row *));
    if (!memory || !top->rows)
        return ez_no_memory(error);
    for (size_t i = 0; i < size; i++)
        top->rows[i] = &memory[i];
    return EZ_OK;
}

// Below 0: a stands before b in the answer.
static int order(const ez_top_row *a, const ez_top_row *b) {
    if (a->sums.requests != b->sums.requests)
        return a->sums.requests > b->sums.requests ? -1 : 1;
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    return strcmp(a->model, b->model);
}

static void fill(ez_top_row *out, const ez_stats_row *row) {
    size_t len = row->model.len < EZ_TOP_MODEL_MAX ? row->model.len : EZ_TOP_MODEL_MAX;
    out->id = row->id;
    out->owner_id = row->owner_id;
    if (len > 0)
        memcpy(out->model, row->model.data, len);
    out->model[len] = 0;
    out->sums = row->sums;
}

static void swap(ez_top *top, size_t a, size_t b) {
    ez_top_row *row = top->rows[a];
    top->rows[a] = top->rows[b];
    top->rows[b] = row;
}

static void sift_up(ez_top *top, size_t at) {
    while (at > 0 && order(top->rows[at], top->rows[(at - 1) / 2]) > 0) {
        swap(top, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static void sift_down(ez_top *top) {
    for (size_t at = 0;;) {
        size_t last = at, left = 2 * at + 1;
        for (size_t child = left; child < left + 2 && child < top->count; child++)
            if (order(top->rows[child], top->rows[last]) > 0)
                last = child;
        if (last == at)
            return;
        swap(top, at, last);
        at = last;
    }
}

void ez_top_add(ez_top *top, const ez_stats_row *row) {
    ez_rollup_sums_add(&top->total, &row->sums);
    if (top->count < top->size) {
        fill(top->rows[top->count], row);
        sift_up(top, top->count++);
        return;
    }
    top->is_truncated = true;
    if (top->size == 0 || row->sums.requests < top->rows[0]->sums.requests)
        return;
    ez_top_row candidate;
    fill(&candidate, row);
    if (order(&candidate, top->rows[0]) < 0) {
        *top->rows[0] = candidate;
        sift_down(top);
    }
}

void ez_top_append(ez_top *top, int64_t time_s, const ez_rollup_sums *sums) {
    ez_rollup_sums_add(&top->total, sums);
    ez_top_row *last = top->count > 0 ? top->rows[top->count - 1] : NULL;
    if (last && !top->is_truncated && last->id == time_s) {
        ez_rollup_sums_add(&last->sums, sums);
    } else if (top->count < top->size) {
        last = top->rows[top->count++];
        *last = (ez_top_row){.id = time_s, .sums = *sums};
    } else {
        top->is_truncated = true;
    }
}

static int by_order(const void *a, const void *b) {
    return order(*(ez_top_row *const *)a, *(ez_top_row *const *)b);
}

void ez_top_sort(ez_top *top) {
    if (top->count > 1)
        qsort(top->rows, top->count, sizeof(ez_top_row *), by_order);
}
