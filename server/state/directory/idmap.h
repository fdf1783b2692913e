// SPDX-License-Identifier: Apache-2.0
//
// ez_idmap: pointers by id, in order both ways. A radix tree of 512 ways: ids are dense and ascending, so it costs
// about 8 bytes each. Ids are 0 … INT64_MAX; there is nothing at a negative one.
//
// Threads: one writer; any thread reads within an RCU section.
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/runtime/status.h"

typedef struct ez_idmap_node ez_idmap_node;

typedef struct ez_idmap {
    ez_idmap_node *_Atomic root; // NULL: empty
    _Atomic size_t count;
} ez_idmap;

void ez_idmap_init(ez_idmap *map);
// Frees the tree, not the items. No reader may be left.
void ez_idmap_fini(ez_idmap *map);

void *ez_idmap_get(const ez_idmap *map, int64_t id);
// The item with the least id > after, or the greatest id < before. NULL at the end.
void *ez_idmap_after(const ez_idmap *map, int64_t after);
void *ez_idmap_before(const ez_idmap *map, int64_t before);
size_t ez_idmap_count(const ez_idmap *map);

// Makes the way to an id and holds it until the set or unreserve that belongs to it. RESOURCE_EXHAUSTED where there is
// no memory, INVALID_ARGUMENT for a negative id.
ez_status ez_idmap_reserve(ez_idmap *map, int64_t id) EZ_MUST_CHECK;
void ez_idmap_unreserve(ez_idmap *map, int64_t id);
// Sets or replaces (item not NULL). The id must have been reserved; the reservation is used up.
void ez_idmap_set(ez_idmap *map, int64_t id, void *item);
void ez_idmap_remove(ez_idmap *map, int64_t id);
