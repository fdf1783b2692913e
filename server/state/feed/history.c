// SPDX-License-Identifier: Apache-2.0
//
// A sequence lock per place, made of acquire and release accesses rather than fences, which the thread sanitizer does
// not know: each release store of a word keeps the taking away of the version before it, each acquire load keeps the
// second look at the version behind it.
#include "server/state/feed/history.h"

#include <string.h>

void ez_feed_history_put(ez_feed_history *history, uint64_t n, const uint8_t digest[32]) {
    unsigned at = n % EZ_FEED_HISTORY;
    uint64_t words[4];
    memcpy(words, digest, sizeof words);
    atomic_store_explicit(&history->places[at].version, 0, memory_order_relaxed);
    for (unsigned i = 0; i < 4; i++)
        atomic_store_explicit(&history->places[at].words[i], words[i], memory_order_release);
    atomic_store_explicit(&history->places[at].version, n + 1, memory_order_release);
}

bool ez_feed_history_get(const ez_feed_history *history, uint64_t n, uint8_t out[32]) {
    unsigned at = n % EZ_FEED_HISTORY;
    uint64_t words[4];
    if (atomic_load_explicit(&history->places[at].version, memory_order_acquire) != n + 1)
        return false;
    for (unsigned i = 0; i < 4; i++)
        words[i] = atomic_load_explicit(&history->places[at].words[i], memory_order_acquire);
    if (atomic_load_explicit(&history->places[at].version, memory_order_acquire) != n + 1)
        return false;
    memcpy(out, words, sizeof words);
    return true;
}
