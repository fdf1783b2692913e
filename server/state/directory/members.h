// SPDX-License-Identifier: Apache-2.0
//
// ez_members: an overlay's side of one group: the entries it adds to the group's value, in the order of their ids, and
// by how much it changes the group's count. A whole kind is such a group too.
#pragma once

#include "server/state/directory/entry.h"
#include "server/state/directory/index.h"

typedef struct ez_members {
    ez_index index;       // EZ_INDEX_COUNT + kind for a whole kind
    ez_index_value value; // points into bytes
    long delta;           // of the count
    // The directory's members up to this id are all hidden by the overlay, so a search from 0 may begin behind it.
    // Valid for one generation of the overlay.
    int64_t hidden_to;
    uint64_t hidden_generation;
    ez_entry **entries; // ascending
    size_t count;
    size_t room;
    uint8_t bytes[];
} ez_members;

// NULL where there is no memory.
ez_members *ez_members_create(int index, const ez_index_value *value);
void ez_members_destroy(ez_members *members);

// Makes room for one more. RESOURCE_EXHAUSTED where there is no memory.
ez_status ez_members_reserve(ez_members *members) EZ_MUST_CHECK;
// Constant at the end, else it moves what follows. Room must have been reserved.
void ez_members_insert(ez_members *members, ez_entry *entry);
void ez_members_remove(ez_members *members, const ez_entry *entry);
// The first with an id > after, or NULL.
ez_entry *ez_members_after(const ez_members *members, int64_t after);
