// SPDX-License-Identifier: Apache-2.0
//
// A binary heap in an array.
#include "server/domain/usage/due.h"

#include <stdlib.h>

void ez_due_fini(ez_due *due) {
    free(due->entries);
    *due = (ez_due){0};
}

void ez_due_clear(ez_due *due) {
    due->count = 0;
}

ez_status ez_due_put(ez_due *due, int64_t at_s, int64_t id) {
    if (due->count == due->room) {
        size_t room = due->room ? 2 * due->room : 256;
        ez_due_entry *entries = realloc(due->entries, room * sizeof *entries);
        if (!entries)
            return EZ_RESOURCE_EXHAUSTED;
        due->entries = entries;
        due->room = room;
    }
    size_t at = due->count++;
    for (; at > 0 && due->entries[(at - 1) / 2].at_s > at_s; at = (at - 1) / 2)
        due->entries[at] = due->entries[(at - 1) / 2];
    due->entries[at] = (ez_due_entry){at_s, id};
    return EZ_OK;
}

bool ez_due_take(ez_due *due, int64_t now_s, ez_due_entry *out) {
    if (due->count == 0 || due->entries[0].at_s > now_s)
        return false;
    *out = due->entries[0];
    ez_due_entry last = due->entries[--due->count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < due->count; at = child) {
        if (child + 1 < due->count && due->entries[child + 1].at_s < due->entries[child].at_s)
            child++;
        if (due->entries[child].at_s >= last.at_s)
            break;
        due->entries[at] = due->entries[child];
    }
    due->entries[at] = last;
    return true;
}
