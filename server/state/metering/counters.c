// SPDX-License-Identifier: Apache-2.0
//
// A table is a tree of three levels, of 4,096, 4,096 and 512 ways, of which only what has rows is made; ids are dense
// and ascending, so a million rows cost their own 72 bytes and 8 more each. Nothing is ever taken out, so readers need
// no grace period: they follow pointers that stay.
//
// Awkward: a row is eight numbers that belong together. The writer makes its version odd, writes, and makes it even;
// each number is stored with release and loaded with acquire, so a reader that saw a new number also sees the new
// version when it looks again. That is a seqlock without fences, which the thread sanitizer would not understand.
#include "server/state/metering/counters.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "proto/runtime/log.h"

#define LEAF_BITS 9
#define MID_BITS  12
#define TOP_BITS  12
#define LEAF_WAYS (1u << LEAF_BITS)
#define MID_WAYS  (1u << MID_BITS)
#define TOP_WAYS  (1u << TOP_BITS)
#define NUMBERS   8
#define SLAB_ROWS 512

_Static_assert(EZ_COUNTERS_ID_MAX == (INT64_C(1) << (LEAF_BITS + MID_BITS + TOP_BITS)) - 1, "three levels");
_Static_assert(sizeof(ez_usage_sums) == NUMBERS * sizeof(int64_t), "sums are numbers and nothing else");

typedef struct row {
    _Atomic uint64_t version; // odd: being written
    _Atomic int64_t numbers[NUMBERS];
} row;

typedef struct leaf {
    row *_Atomic rows[LEAF_WAYS];
} leaf;

typedef struct middle {
    leaf *_Atomic leaves[MID_WAYS];
} middle;

typedef struct slab {
    struct slab *next;
    size_t used;
    row rows[SLAB_ROWS];
} slab;

typedef struct table {
    middle *_Atomic middles[TOP_WAYS];
    _Atomic size_t count;
} table;

struct ez_counters {
    table tables[EZ_USAGE_TABLES];
    slab *slabs;     // newest first
    bool has_warned; // of ids that are too great
};

ez_status ez_counters_create(ez_counters **out, ez_error *error) {
    ez_counters *counters = calloc(1, sizeof *counters);
    if (!counters)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for the counters");
    *out = counters;
    return EZ_OK;
}

static void free_middle(middle *m) {
    for (unsigned i = 0; m && i < MID_WAYS; i++)
        free(atomic_load_explicit(&m->leaves[i], memory_order_relaxed));
    free(m);
}

void ez_counters_destroy(ez_counters *counters) {
    if (!counters)
        return;
    for (int t = 0; t < EZ_USAGE_TABLES; t++)
        for (unsigned i = 0; i < TOP_WAYS; i++)
            free_middle(atomic_load_explicit(&counters->tables[t].middles[i], memory_order_relaxed));
    while (counters->slabs) {
        slab *next = counters->slabs->next;
        free(counters->slabs);
        counters->slabs = next;
    }
    free(counters);
}

// ---- The way to a row

static unsigned top_of(int64_t id) {
    return (unsigned)(id >> (LEAF_BITS + MID_BITS));
}

static unsigned middle_of(int64_t id) {
    return (unsigned)(id >> LEAF_BITS) % MID_WAYS;
}

static unsigned leaf_of(int64_t id) {
    return (unsigned)id % LEAF_WAYS;
}

static row *find(const table *t, int64_t id) {
    middle *m = atomic_load_explicit(&t->middles[top_of(id)], memory_order_acquire);
    leaf *l = m ? atomic_load_explicit(&m->leaves[middle_of(id)], memory_order_acquire) : NULL;
    return l ? atomic_load_explicit(&l->rows[leaf_of(id)], memory_order_acquire) : NULL;
}

static row *new_row(ez_counters *counters) {
    if (!counters->slabs || counters->slabs->used == SLAB_ROWS) {
        slab *fresh = calloc(1, sizeof *fresh);
        if (!fresh)
            return NULL;
        fresh->next = counters->slabs;
        counters->slabs = fresh;
    }
    return &counters->slabs->rows[counters->slabs->used];
}

// A row that is not linked yet, and the place where it belongs. NULL where there is no memory.
static row *make(ez_counters *counters, table *t, int64_t id, row *_Atomic **place) {
    middle *m = atomic_load_explicit(&t->middles[top_of(id)], memory_order_relaxed);
    if (!m) {
        m = calloc(1, sizeof *m);
        if (!m)
            return NULL;
        atomic_store_explicit(&t->middles[top_of(id)], m, memory_order_release);
    }
    leaf *l = atomic_load_explicit(&m->leaves[middle_of(id)], memory_order_relaxed);
    if (!l) {
        l = calloc(1, sizeof *l);
        if (!l)
            return NULL;
        atomic_store_explicit(&m->leaves[middle_of(id)], l, memory_order_release);
    }
    *place = &l->rows[leaf_of(id)];
    return new_row(counters);
}

// ---- Numbers

static void write_row(row *r, const ez_usage_sums *sums) {
    const int64_t numbers[NUMBERS] = {sums->requests,   sums->success,    sums->failure,      sums->tokens_in,
                                      sums->tokens_out, sums->quota_used, sums->rate_limited, sums->last_used_ns};
    uint64_t version = atomic_load_explicit(&r->version, memory_order_relaxed);
    atomic_store_explicit(&r->version, version + 1, memory_order_relaxed);
    for (int i = 0; i < NUMBERS; i++)
        atomic_store_explicit(&r->numbers[i], numbers[i], memory_order_release);
    atomic_store_explicit(&r->version, version + 2, memory_order_release);
}

static void read_row(row *r, ez_usage_sums *out) {
    int64_t n[NUMBERS];
    uint64_t before, after;
    do {
        before = atomic_load_explicit(&r->version, memory_order_acquire);
        for (int i = 0; i < NUMBERS; i++)
            n[i] = atomic_load_explicit(&r->numbers[i], memory_order_acquire);
        after = atomic_load_explicit(&r->version, memory_order_relaxed);
    } while (before != after || before % 2 != 0);
    *out = (ez_usage_sums){n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7]};
}

bool ez_counters_keep(ez_counters *counters, ez_usage_table which, int64_t id, const ez_usage_sums *total) {
    if (id < 0 || id > EZ_COUNTERS_ID_MAX) {
        if (!counters->has_warned)
            ez_log_warn("an id is too great for the counters in memory: it shows none", "id", EZ_LOG_INT(id));
        counters->has_warned = true;
        return false;
    }
    table *t = &counters->tables[which];
    row *r = find(t, id);
    if (r) {
        write_row(r, total);
        return true;
    }
    row *_Atomic *place;
    r = make(counters, t, id, &place);
    if (!r) {
        ez_log_error("there is no memory for a counter: it shows later", "id", EZ_LOG_INT(id));
        return false;
    }
    counters->slabs->used++;
    write_row(r, total);
    atomic_store_explicit(place, r, memory_order_release);
    atomic_fetch_add_explicit(&t->count, 1, memory_order_relaxed);
    return true;
}

void ez_counters_note(void *user, ez_usage_table which, int64_t id, const ez_usage_sums *total) {
    (void)ez_counters_keep(user, which, id, total);
}

bool ez_counters_get(const ez_counters *counters, ez_usage_table which, int64_t id, ez_usage_sums *out) {
    row *r = counters && id >= 0 && id <= EZ_COUNTERS_ID_MAX ? find(&counters->tables[which], id) : NULL;
    if (!r) {
        *out = (ez_usage_sums){0};
        return false;
    }
    read_row(r, out);
    return true;
}

size_t ez_counters_count(const ez_counters *counters, ez_usage_table which) {
    return atomic_load_explicit(&counters->tables[which].count, memory_order_relaxed);
}

ez_status ez_counters_load(ez_counters *counters, ez_store *store, ez_error *error) {
    ez_status status = EZ_OK;
    for (int t = 0; t < EZ_USAGE_TABLES && status == EZ_OK; t++)
        status = ez_store_each_usage(store, (ez_usage_table)t, ez_counters_note, counters, error);
    return status;
}
