// SPDX-License-Identifier: Apache-2.0
//
// An open hash table over an array. Ids are known ones by the time they come here, so a plain multiplication spreads
// them well enough.
#include "server/domain/usage/flush_rows.h"

#include <assert.h>

bool ez_flush_rows_init(ez_flush_rows *rows, size_t room, ez_arena *arena) {
    *rows = (ez_flush_rows){.room = room, .slot_count = 16};
    while (rows->slot_count < 2 * room)
        rows->slot_count *= 2;
    rows->rows = ez_arena_alloc(arena, (room + 1) * sizeof *rows->rows);
    rows->slots = ez_arena_zalloc(arena, rows->slot_count * sizeof *rows->slots);
    return rows->rows && rows->slots;
}

static ez_usage_row *find(ez_flush_rows *rows, ez_usage_table table, int64_t id) {
    uint64_t hash = ((uint64_t)id * EZ_USAGE_TABLES + (uint64_t)table) * UINT64_C(0x9E3779B97F4A7C15);
    size_t mask = rows->slot_count - 1, at = (size_t)(hash >> 32) & mask;
    for (; rows->slots[at] != 0; at = (at + 1) & mask) {
        ez_usage_row *row = &rows->rows[rows->slots[at] - 1];
        if (row->id == id && row->table == table)
            return row;
    }
    assert(rows->count < rows->room);
    ez_usage_row *row = &rows->rows[rows->count++];
    *row = (ez_usage_row){.table = table, .id = id};
    rows->slots[at] = (uint32_t)rows->count;
    return row;
}

// Neither is negative, nor past EZ_USAGE_SUM_MAX: two of them fit.
static void add(ez_flush_rows *rows, int64_t *to, int64_t more) {
    if (more > EZ_USAGE_SUM_MAX - *to) {
        rows->is_too_much = true;
        more = EZ_USAGE_SUM_MAX - *to;
    }
    *to += more;
}

void ez_flush_rows_add(ez_flush_rows *rows, ez_usage_table table, int64_t id, const ez_usage_sums *sums) {
    ez_usage_sums *to = &find(rows, table, id)->add;
    add(rows, &to->requests, sums->requests);
    add(rows, &to->success, sums->success);
    add(rows, &to->failure, sums->failure);
    add(rows, &to->tokens_in, sums->tokens_in);
    add(rows, &to->tokens_out, sums->tokens_out);
    add(rows, &to->quota_used, sums->quota_used);
    add(rows, &to->rate_limited, sums->rate_limited);
    if (sums->last_used_ns > to->last_used_ns)
        to->last_used_ns = sums->last_used_ns;
}
