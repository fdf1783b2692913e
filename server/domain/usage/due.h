// SPDX-License-Identifier: Apache-2.0
//
// ez_due: which keys' periods end when, the soonest first. A heap: an entry that no longer holds is not looked for, it
// is found out when its time comes. Not shared between threads.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/runtime/status.h"

typedef struct ez_due_entry {
    int64_t at_s; // unix
    int64_t id;
} ez_due_entry;

typedef struct ez_due {
    ez_due_entry *entries;
    size_t count, room;
} ez_due;

void ez_due_fini(ez_due *due);
// RESOURCE_EXHAUSTED where there is no memory.
ez_status ez_due_put(ez_due *due, int64_t at_s, int64_t id) EZ_MUST_CHECK;
// Takes one that is due at now_s; false: there is none.
bool ez_due_take(ez_due *due, int64_t now_s, ez_due_entry *out);
void ez_due_clear(ez_due *due);
