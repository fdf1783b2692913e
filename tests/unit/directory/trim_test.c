// SPDX-License-Identifier: Apache-2.0
//
// Forgetting: what falls out of the feed goes from the store with the ticks, what the feed has stays, and a restart
// then has the feed as it was.
#include <stdio.h>

#include "given.h"
#include "tests/support/wait.h"

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

// Ticks, a minute later each time: other servers get that long to read what this one no longer needs.
static uint64_t oldest_a_minute_later(void) {
    advance_clock(61000);
    ez_writer_tick(all.writer);
    return oldest_stored();
}

static void given_masters(int from, int to) {
    char name[16];
    for (int i = from; i <= to; i++) {
        snprintf(name, sizeof name, "m%d", i);
        given_master(&all, name);
    }
}

Test(trim, the_store_keeps_what_the_feed_keeps, .init = open_all, .fini = close_all) {
    given_masters(1, 12);
    cr_assert_eq(ez_feed_oldest(all.feed), 7);
    ez_writer_tick(all.writer);
    given_masters(13, 13);
    if (is_postgres())
        cr_assert_eq(oldest_stored(), 1);
    given_masters(14, 15);
    expect_soon(oldest_a_minute_later() > 10);
    cr_assert_eq(oldest_stored(), ez_feed_oldest(all.feed) + 1);
    restart_state(&all);
    cr_assert_eq(ez_feed_oldest(all.feed), 10);
    cr_assert_eq(ez_feed_head(all.feed).n, 15);
    cr_assert_eq(ez_directory_count(all.directory, EZ__V1__KIND__KIND_MASTER), 15);
}

// ---- Who goes first. A server that is alone forgets with the next step; with others there is a minute to wait first.

static uint64_t oldest_when_run; // as the last write saw it

static ez_status look_at_store(void *self, ez_call *call, void *scene, ProtobufCMessage *request) {
    (void)self;
    (void)scene;
    (void)request;
    return ez_store_oldest_change(all.store, &oldest_when_run, &call->error);
}

// Writes that wait while the writer is held, and a tick that came before them.
static void tick_and_fire(size_t writes) {
    static salvo volley;
    volley_begin(&volley, &all);
    ez_writer_tick(all.writer);
    for (size_t i = 0; i < writes; i++)
        volley_add(&volley, given_call("test"), look_at_store, NULL);
    volley_fire(&volley);
    for (size_t i = 0; i < writes; i++) {
        expect_ok(volley.shots[i].write.status, &volley.shots[i].write.call->error);
        ez_call_destroy_system(volley.shots[i].write.call);
    }
}

Test(trim, a_change_that_waits_goes_before_chores, .init = open_all, .fini = close_all) {
    given_masters(1, 12);
    tick_and_fire(1);
    cr_assert_eq(oldest_when_run, 1);
    expect_soon(oldest_a_minute_later() == 8);
}

// Two groups, with no pause between them, and more than a second.
Test(trim, changes_without_a_pause_do_not_put_chores_off_for_ever, .init = open_all, .fini = close_all) {
    if (is_postgres())
        cr_skip("its first step forgets nothing");
    given_masters(1, 12);
    hurry_clock(true);
    tick_and_fire(300);
    hurry_clock(false);
    cr_assert_eq(oldest_when_run, 8);
}
