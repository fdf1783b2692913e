// SPDX-License-Identifier: Apache-2.0
//
// The digests' history: bounded, and never a mix of two digests while it is written.
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "server/state/feed/history.h"

static ez_feed_history *history;
static atomic_bool is_over;
static atomic_uint torn;

static void put(uint64_t n) {
    uint8_t digest[32];
    memset(digest, (int)(n % 251), sizeof digest);
    ez_feed_history_put(history, n, digest);
}

static bool holds(uint64_t n) {
    uint8_t digest[32];
    if (!ez_feed_history_get(history, n, digest))
        return false;
    for (unsigned i = 0; i < sizeof digest; i++) {
        if (digest[i] != n % 251)
            atomic_fetch_add(&torn, 1);
    }
    return true;
}

Test(history, keeps_the_newest) {
    history = calloc(1, sizeof *history);
    cr_assert_not(holds(0));
    for (uint64_t n = 0; n <= 5000; n++)
        put(n);
    cr_assert(holds(5000));
    cr_assert(holds(5001 - EZ_FEED_HISTORY));
    cr_assert_not(holds(5000 - EZ_FEED_HISTORY));
    cr_assert_not(holds(5001));
    cr_assert_eq(atomic_load(&torn), 0);
    free(history);
}

static void *read_all(void *user) {
    (void)user;
    uint64_t n = 0;
    while (!atomic_load(&is_over))
        holds(n++ % (4 * EZ_FEED_HISTORY));
    return NULL;
}

Test(history, is_never_read_torn) {
    history = calloc(1, sizeof *history);
    pthread_t reader;
    cr_assert_eq(pthread_create(&reader, NULL, read_all, NULL), 0);
    for (int round = 0; round < 60; round++) {
        for (uint64_t n = 0; n < 4 * EZ_FEED_HISTORY; n++)
            put(n);
    }
    atomic_store(&is_over, true);
    pthread_join(reader, NULL);
    cr_assert_eq(atomic_load(&torn), 0);
    free(history);
}
