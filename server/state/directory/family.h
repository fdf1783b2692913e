// SPDX-License-Identifier: Apache-2.0
//
// ez_family: the members of one value of a group index, linked in the order of their ids. The links are the entries'.
//
// Threads: one writer; any thread reads within an RCU section.
#pragma once

#include "server/state/directory/entry.h"
#include "server/state/directory/index.h"

typedef struct ez_family {
    ez_rcu_head rcu;
    ez_index index;
    uint32_t pins; // members that are about to come; the writer's
    ez_entry *_Atomic first;
    ez_entry *_Atomic last;
    _Atomic size_t count;
    ez_index_value value; // points into bytes
    uint8_t bytes[];
} ez_family;

// NULL where there is no memory.
ez_family *ez_family_create(ez_index index, const ez_index_value *value);
void ez_family_destroy(ez_family *family);
void ez_family_defer_destroy(ez_family *family);

// The first member with an id > after, or the last with an id < after. There may be many before it: a walk.
ez_entry *ez_family_walk(const ez_family *family, int64_t after, bool descending);

// Constant where the id is the greatest, else a walk from the end.
void ez_family_insert(ez_family *family, ez_entry *entry);
void ez_family_replace(ez_family *family, ez_entry *old, ez_entry *entry);
void ez_family_remove(ez_family *family, ez_entry *entry);
