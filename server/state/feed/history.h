// SPDX-License-Identifier: Apache-2.0
//
// The digests of the newest revisions. One thread puts, any thread gets, nobody waits: each place has a version of its
// own (the revision), taken away before the digest changes and set after.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define EZ_FEED_HISTORY 4096 // revisions; a power of two

typedef struct ez_feed_history {
    struct {
        _Atomic uint64_t version; // revision + 1; 0: nothing
        _Atomic uint64_t words[4];
    } places[EZ_FEED_HISTORY];
} ez_feed_history;

void ez_feed_history_put(ez_feed_history *history, uint64_t n, const uint8_t digest[32]);
// False where the revision's digest is not known (any more).
bool ez_feed_history_get(const ez_feed_history *history, uint64_t n, uint8_t out[32]);
