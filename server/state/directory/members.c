// SPDX-License-Identifier: Apache-2.0
//
// A sorted array of entries. New resources have ascending ids and walks over a group go upwards, so nearly every insert
// is an append. The entries are the overlay's.
#include "server/state/directory/members.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

ez_members *ez_members_create(int index, const ez_index_value *value) {
    ez_members *members = calloc(1, sizeof *members + value->a.len + value->b.len);
    if (!members)
        return NULL;
    members->index = (ez_index)index;
    members->value = (ez_index_value){
        .a = {members->bytes, value->a.len}, .b = {members->bytes + value->a.len, value->b.len}, .id = value->id};
    if (value->a.len > 0)
        memcpy(members->bytes, value->a.data, value->a.len);
    if (value->b.len > 0)
        memcpy(members->bytes + value->a.len, value->b.data, value->b.len);
    return members;
}

void ez_members_destroy(ez_members *members) {
    if (members)
        free(members->entries);
    free(members);
}

ez_status ez_members_reserve(ez_members *members) {
    if (members->count < members->room)
        return EZ_OK;
    size_t room = members->room ? members->room * 2 : 4;
    ez_entry **entries = realloc(members->entries, room * sizeof *entries);
    if (!entries)
        return EZ_RESOURCE_EXHAUSTED;
    members->entries = entries;
    members->room = room;
    return EZ_OK;
}

// How many have an id <= id.
static size_t rank(const ez_members *members, int64_t id) {
    size_t low = 0, high = members->count;
    if (high > 0 && members->entries[high - 1]->id <= id)
        return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (members->entries[middle]->id <= id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void ez_members_insert(ez_members *members, ez_entry *entry) {
    assert(members->count < members->room);
    size_t at = rank(members, entry->id);
    memmove(&members->entries[at + 1], &members->entries[at], (members->count - at) * sizeof(ez_entry *));
    members->entries[at] = entry;
    members->count++;
}

void ez_members_remove(ez_members *members, const ez_entry *entry) {
    size_t at = rank(members, entry->id);
    assert(at > 0 && members->entries[at - 1] == entry);
    memmove(&members->entries[at - 1], &members->entries[at], (members->count - at) * sizeof(ez_entry *));
    members->count--;
}

ez_entry *ez_members_after(const ez_members *members, int64_t after) {
    size_t at = rank(members, after);
    return at < members->count ? members->entries[at] : NULL;
}
