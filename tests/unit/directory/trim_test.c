// SPDX-License-Identifier: Apache-2.0
//
// Forgetting: what falls out of the feed goes from the store with the ticks, what the feed has stays, and a restart
// then has the feed as it was.
#include <stdio.h>

#include "given.h"

static whole_state all;

static void open_all(void) {
    all.keep = 5;
    given_state(&all);
}

static void close_all(void) {
    end_state(&all);
}

static uint64_t oldest_stored(void) {
    ez_error error = EZ_ERROR_INIT;
    uint64_t oldest;
    expect_ok(ez_store_oldest_change(all.store, &oldest, &error), &error);
    return oldest;
}

Test(trim, the_store_keeps_what_the_feed_keeps, .init = open_all, .fini = close_all) {
    char name[16];
    ez_writer_tick(all.writer);
    for (int i = 1; i <= 12; i++) {
        snprintf(name, sizeof name, "m%d", i);
        given_master(&all, name);
    }
    cr_assert_eq(ez_feed_oldest(all.feed), 7);
    ez_writer_tick(all.writer);
    given_master(&all, "m13"); // chores come before writes
    cr_assert_eq(oldest_stored(), is_postgres() ? 1 : 8);
    // Other servers get a minute to read what this one no longer needs.
    for (int minutes = 0; minutes < 2; minutes++) {
        advance_clock(61000);
        ez_writer_tick(all.writer);
        given_master(&all, minutes ? "m15" : "m14");
    }
    cr_assert_geq(oldest_stored(), 8);
    cr_assert_leq(oldest_stored(), ez_feed_oldest(all.feed) + 1);
    restart_state(&all);
    cr_assert_eq(ez_feed_oldest(all.feed), 10);
    cr_assert_eq(ez_feed_head(all.feed).n, 15);
    cr_assert_eq(ez_directory_count(all.directory, EZ__V1__KIND__KIND_MASTER), 15);
}
