// SPDX-License-Identifier: Apache-2.0
//
// What is inside an ez_entry: one block with a head, its places in group indexes, the packed resource and the sealed
// secret. A million of them are kept, so every field counts. Immutable, but for the links, from the moment others see
// it.
#pragma once

#include <stdatomic.h>

#include "server/state/directory/directory.h"
#include "server/state/feed/rcu.h"

#define EZ_ENTRY_SEALED_MAX ((1u << 24) - 1)

// Neighbours in one group index, in the order of their ids. They stay as they were when the entry is taken out, so that
// a reader who stands on it finds the way on.
typedef struct ez_entry_link {
    ez_entry *_Atomic previous;
    ez_entry *_Atomic next;
} ez_entry_link;

struct ez_entry {
    ez_rcu_head rcu;
    int64_t id;
    uint64_t revision;
    uint64_t secret_version;
    uint32_t data_len;
    uint32_t sealed_len : 24;
    uint32_t kind : 8;
    ez_entry_link links[]; // as many as its kind has group indexes; behind them data, then sealed
};

// An entry with room for data_len bytes that the caller fills in by ez_entry_bytes. NULL where there is no memory or a
// length is past its bound.
ez_entry *ez_entry_create(int kind, int64_t id, uint64_t revision, uint64_t secret_version, size_t data_len,
                          ez_slice sealed);
// Of one that nobody else has seen.
void ez_entry_destroy(ez_entry *entry);
// Of one that readers may still have.
void ez_entry_defer_destroy(ez_entry *entry);

uint8_t *ez_entry_bytes(ez_entry *entry);
