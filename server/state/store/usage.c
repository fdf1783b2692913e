// SPDX-License-Identifier: Apache-2.0
//
// Merging usage rows before a database sees them: data planes count the same keys, so that there are fewer rows to
// write than were sent, and a statement that updates from a list may name a row but once. Pointers are sorted, not
// rows.
#include "server/state/store/usage.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/runtime/cleanup.h"

const char *const ez_usage_tables[EZ_USAGE_TABLES] = {
    [EZ_USAGE_KEYS] = "key_usage",
    [EZ_USAGE_API_KEYS] = "api_key_usage",
    [EZ_USAGE_GROUPS] = "group_usage",
    [EZ_USAGE_MASTERS] = "master_usage",
};

typedef struct place {
    uint64_t key[2]; // table and id
    const ez_usage_row *row;
} place;

static int compare(const void *left, const void *right) {
    const place *a = left, *b = right;
    if (a->key[0] != b->key[0])
        return a->key[0] < b->key[0] ? -1 : 1;
    return a->key[1] < b->key[1] ? -1 : a->key[1] > b->key[1];
}

static void add(int64_t *to, int64_t from) {
    assert(*to >= 0 && from >= 0);
    int64_t room = EZ_USAGE_SUM_MAX - *to;
    *to = room < from ? EZ_USAGE_SUM_MAX : *to + from;
}

void ez_usage_sums_add(ez_usage_sums *to, const ez_usage_sums *from) {
    add(&to->requests, from->requests);
    add(&to->success, from->success);
    add(&to->failure, from->failure);
    add(&to->tokens_in, from->tokens_in);
    add(&to->tokens_out, from->tokens_out);
    add(&to->quota_used, from->quota_used);
    add(&to->rate_limited, from->rate_limited);
    if (from->last_used_ns > to->last_used_ns)
        to->last_used_ns = from->last_used_ns;
}

static ez_status no_memory(size_t rows, ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for %zu rows of usage", rows);
}

static size_t collect(const ez_usage_batch *batches, size_t count, place *places) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t r = 0; batches[i].mark.outcome == EZ_MARK_TAKEN && r < batches[i].row_count; r++) {
            const ez_usage_row *row = &batches[i].rows[r];
            places[kept++] = (place){.key = {(uint64_t)row->table, (uint64_t)row->id}, .row = row};
        }
    }
    return kept;
}

ez_status ez_usage_merge_init(ez_usage_merge *merge, const ez_usage_batch *batches, size_t count, ez_error *error) {
    *merge = (ez_usage_merge){0};
    size_t sent = 0;
    for (size_t i = 0; i < count; i++) {
        sent += batches[i].row_count;
        if (batches[i].row_count > EZ_USAGE_ROWS_MAX || sent > EZ_USAGE_ROWS_MAX)
            return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "CHANGE_TOO_LARGE",
                                "usage of more than %u rows is too much at once: split it", EZ_USAGE_ROWS_MAX);
    }
    if (sent == 0)
        return EZ_OK;
    ez_autofree place *places = malloc(sent * sizeof *places);
    if (!places)
        return no_memory(sent, error);
    size_t taken = collect(batches, count, places);
    if (taken == 0)
        return EZ_OK;
    qsort(places, taken, sizeof *places, compare);
    ez_usage_row *rows = malloc(taken * sizeof *rows);
    if (!rows)
        return no_memory(taken, error);
    size_t kept = 0;
    for (size_t i = 0; i < taken; i++) {
        const ez_usage_row *row = places[i].row;
        if (kept == 0 || rows[kept - 1].table != row->table || rows[kept - 1].id != row->id)
            rows[kept++] = (ez_usage_row){.table = row->table, .id = row->id};
        ez_usage_sums_add(&rows[kept - 1].add, &row->add);
    }
    *merge = (ez_usage_merge){.rows = rows, .count = kept};
    return EZ_OK;
}

void ez_usage_merge_fini(ez_usage_merge *merge) {
    free(merge->rows);
    *merge = (ez_usage_merge){0};
}
