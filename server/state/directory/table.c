// SPDX-License-Identifier: Apache-2.0
//
// Linear probing over one block: the pointers, then the hashes. A removed item leaves a trace, since a reader may be
// probing across it; traces are reused by inserts and vanish when the block is made anew. The old block of a shared
// table goes by RCU: a reader that still probes it sees the table as it was when it began.
//
// Awkward: a slot is two words, read one after the other. The hash is written before the pointer, and what it leads to
// is compared by the caller's function anyway, so a mismatched pair costs a comparison, never a wrong answer.
#include "server/state/directory/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "server/state/feed/rcu.h"

#define SLOTS_MIN 16

struct ez_table_slots {
    ez_rcu_head rcu;
    size_t mask;
    _Atomic uint32_t *hashes; // behind items, in the same block
    void *_Atomic items[];
};

static char trace; // its address marks where an item was removed
#define TRACE ((void *)&trace)

void ez_table_init(ez_table *table, bool is_shared) {
    *table = (ez_table){.is_shared = is_shared};
}

static ez_table_slots *slots_of(const ez_table *table) {
    return atomic_load_explicit(&table->slots, memory_order_acquire);
}

void ez_table_fini(ez_table *table) {
    free(slots_of(table));
    *table = (ez_table){.is_shared = table->is_shared};
}

void *ez_table_find(const ez_table *table, uint32_t hash, ez_table_equal_fn *equal, const void *key) {
    const ez_table_slots *slots = slots_of(table);
    if (!slots)
        return NULL;
    for (size_t at = hash & slots->mask;; at = (at + 1) & slots->mask) {
        void *item = atomic_load_explicit(&slots->items[at], memory_order_acquire);
        if (!item)
            return NULL;
        if (item != TRACE && atomic_load_explicit(&slots->hashes[at], memory_order_relaxed) == hash && equal(item, key))
            return item;
    }
}

static void slots_release(ez_rcu_head *head) {
    ez_rcu_release_begin();
    free(head); // the head is the first member
}

// At most 7/10 are filled, so that probes stay short and always end.
static bool has_room(const ez_table_slots *slots, size_t filled) {
    return slots && filled <= (slots->mask + 1) * 7 / 10; // slots_create bounds the size
}

static ez_table_slots *slots_create(size_t size) {
    if (size > SIZE_MAX / 2 / (sizeof(void *) + sizeof(uint32_t)))
        return NULL;
    ez_table_slots *slots = calloc(1, sizeof *slots + size * (sizeof(void *) + sizeof(uint32_t)));
    if (!slots)
        return NULL;
    slots->mask = size - 1;
    slots->hashes = (_Atomic uint32_t *)(void *)&slots->items[size];
    return slots;
}

// Not to be seen by readers yet, or by the writer alone.
static void place(ez_table_slots *slots, uint32_t hash, void *item, size_t *filled) {
    size_t at = hash & slots->mask;
    void *there;
    while ((there = atomic_load_explicit(&slots->items[at], memory_order_relaxed)) && there != TRACE)
        at = (at + 1) & slots->mask;
    if (!there)
        ++*filled;
    atomic_store_explicit(&slots->hashes[at], hash, memory_order_relaxed);
    atomic_store_explicit(&slots->items[at], item, memory_order_release);
}

ez_status ez_table_reserve(ez_table *table, size_t more) {
    ez_table_slots *old = slots_of(table);
    if (has_room(old, table->filled + more))
        return EZ_OK;
    size_t size = SLOTS_MIN;
    while (size / 2 < table->count + more && size <= SIZE_MAX / 4)
        size *= 2;
    ez_table_slots *slots = slots_create(size);
    if (!slots)
        return EZ_RESOURCE_EXHAUSTED;
    size_t filled = 0;
    for (size_t at = 0; old && at <= old->mask; at++) {
        void *item = atomic_load_explicit(&old->items[at], memory_order_relaxed);
        if (item && item != TRACE)
            place(slots, atomic_load_explicit(&old->hashes[at], memory_order_relaxed), item, &filled);
    }
    table->filled = filled;
    atomic_store_explicit(&table->slots, slots, memory_order_release);
    if (old && table->is_shared)
        ez_rcu_defer(&old->rcu, slots_release);
    else
        free(old);
    return EZ_OK;
}

void ez_table_insert(ez_table *table, uint32_t hash, void *item) {
    ez_table_slots *slots = slots_of(table);
    assert(has_room(slots, table->filled + 1));
    place(slots, hash, item, &table->filled);
    table->count++;
}

// The slot that holds exactly this item, or NULL.
static void *_Atomic *slot_of(const ez_table *table, uint32_t hash, const void *item) {
    ez_table_slots *slots = slots_of(table);
    if (!slots)
        return NULL;
    for (size_t at = hash & slots->mask;; at = (at + 1) & slots->mask) {
        void *there = atomic_load_explicit(&slots->items[at], memory_order_relaxed);
        if (!there)
            return NULL;
        if (there == item && atomic_load_explicit(&slots->hashes[at], memory_order_relaxed) == hash)
            return &slots->items[at];
    }
}

bool ez_table_replace(ez_table *table, uint32_t hash, const void *old, void *item) {
    void *_Atomic *slot = slot_of(table, hash, old);
    if (slot)
        atomic_store_explicit(slot, item, memory_order_release);
    return slot != NULL;
}

bool ez_table_remove(ez_table *table, uint32_t hash, const void *item) {
    void *_Atomic *slot = slot_of(table, hash, item);
    if (!slot)
        return false;
    atomic_store_explicit(slot, TRACE, memory_order_release);
    table->count--;
    return true;
}

void ez_table_each(ez_table *table, void (*each)(void *user, void *item), void *user) {
    ez_table_slots *slots = slots_of(table);
    for (size_t at = 0; slots && at <= slots->mask; at++) {
        void *item = atomic_load_explicit(&slots->items[at], memory_order_relaxed);
        if (item && item != TRACE)
            each(user, item);
    }
}
