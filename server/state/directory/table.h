// SPDX-License-Identifier: Apache-2.0
//
// ez_table: a hash table of pointers. It knows neither keys nor items: a look-up brings the hash and a function that
// compares. Open addressing with the hashes beside the pointers, so that growing never touches the items.
//
// Threads: one writer. A shared table may be read by any thread within an RCU section: an item that is replaced is
// found all the time, as the old or the new one, never as none. A private table belongs to one thread.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/runtime/status.h"

typedef struct ez_table_slots ez_table_slots;

typedef struct ez_table {
    ez_table_slots *_Atomic slots; // NULL: empty
    size_t count;                  // items; the writer's
    size_t filled;                 // items and the traces of removed ones; the writer's
    bool is_shared;
} ez_table;

typedef bool ez_table_equal_fn(const void *item, const void *key);

void ez_table_init(ez_table *table, bool is_shared);
// Frees the table, not the items. No reader may be left.
void ez_table_fini(ez_table *table);

// NULL where there is none.
void *ez_table_find(const ez_table *table, uint32_t hash, ez_table_equal_fn *equal, const void *key);

// Makes room, so that the next more inserts can't fail. RESOURCE_EXHAUSTED where there is no memory.
ez_status ez_table_reserve(ez_table *table, size_t more) EZ_MUST_CHECK;
// Room must have been reserved (asserted). The item is not looked for: the caller knows it is new.
void ez_table_insert(ez_table *table, uint32_t hash, void *item);
// Puts item in the place of old; false where old is not there.
bool ez_table_replace(ez_table *table, uint32_t hash, const void *old, void *item);
bool ez_table_remove(ez_table *table, uint32_t hash, const void *item);

// Calls each for every item; the writer's thread only.
void ez_table_each(ez_table *table, void (*each)(void *user, void *item), void *user);
