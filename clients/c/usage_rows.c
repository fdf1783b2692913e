// SPDX-License-Identifier: Apache-2.0
//
// An open hash table over an array, so that packing goes through rows in the order in which they were first added.
// Awkward: all deltas of one call are added or none, so they are looked at before any of them is; what they would make
// of one row together is bounded by that too, since each is at most the bound and the sum is checked again.
#include "clients/c/usage_rows.h"

#include <stdlib.h>
#include <string.h>

#include "proto/runtime/wire.h"

#define COUNT_MAX INT64_C(1000000000000)    // usage.proto: of a counter in one flush
#define QUOTA_MAX INT64_C(1000000000000000) // and of quota_used
#define KEEP_ROOM 4096

void ez_usage_rows_init(ez_usage_rows *rows, size_t max) {
    *rows = (ez_usage_rows){.max = max < EZ_USAGE_ROWS_MAX ? max : EZ_USAGE_ROWS_MAX};
}

void ez_usage_rows_fini(ez_usage_rows *rows) {
    free(rows->rows);
    free(rows->slots);
    ez_usage_rows_init(rows, rows->max);
}

void ez_usage_rows_clear(ez_usage_rows *rows) {
    if (rows->room > KEEP_ROOM) {
        ez_usage_rows_fini(rows);
        return;
    }
    rows->count = rows->packed = 0;
    if (rows->slots != NULL) {
        memset(rows->slots, 0, rows->slot_count * sizeof *rows->slots);
    }
}

static size_t slot_of(const ez_usage_rows *rows, ez_usage_of of, int64_t id) {
    uint64_t hash = ((uint64_t)id * 4 + (uint64_t)of) * UINT64_C(0x9E3779B97F4A7C15);
    size_t at = (size_t)(hash >> 32) & (rows->slot_count - 1);
    while (rows->slots[at] != 0 &&
           (rows->rows[rows->slots[at] - 1].id != id || rows->rows[rows->slots[at] - 1].of != of)) {
        at = (at + 1) & (rows->slot_count - 1);
    }
    return at;
}

// Room for this many more rows, the table at most half full.
static bool reserve(ez_usage_rows *rows, size_t more) {
    size_t want = rows->count + more, room = rows->room == 0 ? 64 : rows->room;
    if (want <= rows->room) {
        return true;
    }
    while (room < want) {
        room *= 2;
    }
    ez_usage_delta *grown = reallocarray(rows->rows, room, sizeof *grown);
    if (grown == NULL) {
        return false;
    }
    rows->rows = grown;
    uint32_t *slots = calloc(2 * room, sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    free(rows->slots);
    rows->slots = slots;
    rows->slot_count = 2 * room;
    rows->room = room;
    for (size_t i = 0; i < rows->count; i++) {
        slots[slot_of(rows, rows->rows[i].of, rows->rows[i].id)] = (uint32_t)i + 1;
    }
    return true;
}

static bool is_within(int64_t value, int64_t max) {
    return value >= 0 && value <= max;
}

static bool is_valid(const ez_usage_delta *d) {
    return d->id > 0 && d->of >= EZ_USAGE_OF_KEY && d->of <= EZ_USAGE_OF_MASTER && is_within(d->requests, COUNT_MAX) &&
           is_within(d->success, COUNT_MAX) && is_within(d->failure, COUNT_MAX) && is_within(d->tokens_in, COUNT_MAX) &&
           is_within(d->tokens_out, COUNT_MAX) && is_within(d->quota_used, QUOTA_MAX) &&
           is_within(d->rate_limited, COUNT_MAX);
}

static void add(ez_usage_delta *to, const ez_usage_delta *more, int64_t sign) {
    to->requests += sign * more->requests;
    to->success += sign * more->success;
    to->failure += sign * more->failure;
    to->tokens_in += sign * more->tokens_in;
    to->tokens_out += sign * more->tokens_out;
    to->quota_used += sign * more->quota_used;
    to->rate_limited += sign * more->rate_limited;
}

static ez_usage_delta *find(ez_usage_rows *rows, ez_usage_of of, int64_t id) {
    size_t at = slot_of(rows, of, id);
    if (rows->slots[at] == 0) {
        rows->rows[rows->count++] = (ez_usage_delta){.of = of, .id = id};
        rows->slots[at] = (uint32_t)rows->count;
    }
    return &rows->rows[rows->slots[at] - 1];
}

static ez_status full(ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "USAGE_FULL",
                        "There is no room for more usage: the spool is full, or what waits adds up to too much.");
}

ez_status ez_usage_rows_add(ez_usage_rows *rows, const ez_usage_delta *deltas, size_t count, ez_error *error) {
    for (size_t i = 0; i < count; i++) {
        if (!is_valid(&deltas[i])) {
            return ez_error_set(error, EZ_INVALID_ARGUMENT, "USAGE_INVALID",
                                "Usage %zu of %zu has no id, or a number that is negative or too large.", i + 1, count);
        }
    }
    // All may be new. Only where that does not fit is it worth to know.
    if (count > rows->max - rows->count || !reserve(rows, count)) {
        return full(error);
    }
    for (size_t i = 0; i < count; i++) {
        ez_usage_delta *row = find(rows, deltas[i].of, deltas[i].id);
        add(row, &deltas[i], 1);
        if (is_valid(row)) {
            continue;
        }
        for (size_t k = 0; k <= i; k++) {
            add(find(rows, deltas[k].of, deltas[k].id), &deltas[k], -1);
        }
        return full(error);
    }
    return EZ_OK;
}

// ---- Packing ----

static void put(ez_buf *out, uint32_t number, int64_t value) {
    if (value != 0) {
        (void)ez_wire_put_varint(out, number, (uint64_t)value); // out has room for all its fields
    }
}

// Field numbers of usage.proto.
static void pack_row(const ez_usage_delta *row, ez_buf *out) {
    put(out, 1, row->id);
    put(out, 2, row->requests);
    if (row->of == EZ_USAGE_OF_API_KEY) {
        put(out, 3, row->success);
        put(out, 4, row->failure);
        return;
    }
    put(out, 3, row->failure);
    put(out, 4, row->tokens_in);
    put(out, 5, row->tokens_out);
    if (row->of == EZ_USAGE_OF_KEY) {
        put(out, 6, row->quota_used);
        put(out, 7, row->rate_limited);
    } else {
        put(out, 6, row->rate_limited);
    }
}

static bool pack_one(const ez_usage_delta *row, ez_buf *out) {
    static const uint32_t members[] = {[EZ_USAGE_OF_API_KEY] = 3, [EZ_USAGE_OF_KEY] = 4, [EZ_USAGE_OF_MASTER] = 5};
    uint8_t bytes[128];
    ez_buf one = {.data = bytes, .cap = sizeof bytes, .max = sizeof bytes};
    pack_row(row, &one);
    return ez_wire_put_bytes(out, members[row->of], one.data, one.len) == EZ_OK;
}

static bool is_nothing(const ez_usage_delta *row) {
    return (row->requests | row->success | row->failure | row->tokens_in | row->tokens_out | row->quota_used |
            row->rate_limited) == 0;
}

uint32_t ez_usage_rows_pack(ez_usage_rows *rows, int64_t master_id, ez_buf *out) {
    uint32_t count = 0;
    bool has_key = false, has_master = false;
    for (; rows->packed < rows->count && count < EZ_USAGE_BATCH_ROWS - 1; rows->packed++) {
        const ez_usage_delta *row = &rows->rows[rows->packed];
        if (is_nothing(row)) {
            continue;
        }
        if (!pack_one(row, out)) {
            break;
        }
        count++;
        has_key = has_key || row->of == EZ_USAGE_OF_KEY;
        has_master = has_master || row->of == EZ_USAGE_OF_MASTER;
    }
    if (has_key && !has_master && master_id != 0) {
        const ez_usage_delta nothing = {.of = EZ_USAGE_OF_MASTER, .id = master_id};
        count += pack_one(&nothing, out);
    }
    return count;
}
