// SPDX-License-Identifier: Apache-2.0
//
// Work that is done once, however many servers there are: whoever holds the lease does it. What it writes carries the
// lease's token as a fence, which the write's own transaction compares with the row: a holder that was asleep while
// another one took over is refused (ABORTED, LEASE_LOST) and has written nothing.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EZ_NO_FENCE UINT64_C(0) // a write that is made whoever holds the lease

#define EZ_LEASE_HOLDER_MAX 64 // a server's id, with its end

// Who says whether this server holds the lease now, and under which token (server/jobs/lease.h). Any thread; never
// blocks. All zero: nobody else could, and nothing is fenced.
typedef struct ez_holder {
    bool (*is_holder)(void *user, uint64_t *token);
    void *user;
} ez_holder;

static inline bool ez_holder_may(const ez_holder *holder, uint64_t *fence) {
    *fence = EZ_NO_FENCE;
    return !holder->is_holder || holder->is_holder(holder->user, fence);
}
