// SPDX-License-Identifier: Apache-2.0
//
// Two servers on one PostgreSQL: each makes changes, each ends with the same directory, digest and feed; the
// idempotency keys of one count for the other. SQLite admits one server, so there these are skipped.
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "given.h"
#include "proto/crypto/digest.h"
#include "tests/support/wait.h"

static whole_state one, two;

static void open_both(void) {
    if (!is_postgres())
        cr_skip_test("several servers need PostgreSQL");
    given_state(&one);
    given_second_state(&two, &one);
}

static void open_both_small(void) {
    one.keep = 5;
    open_both();
}

static void close_both(void) {
    close_state(&two);
    end_state(&one);
}

// Ticks until the server stands at a revision.
static bool follows(whole_state *state, uint64_t n) {
    ez_writer_tick(state->writer);
    return ez_feed_head(state->feed).n == n;
}

static uint64_t oldest_a_minute_later(whole_state *state) {
    ez_error error = EZ_ERROR_INIT;
    uint64_t oldest;
    advance_clock(61000);
    ez_writer_tick(state->writer);
    expect_ok(ez_store_oldest_change(state->store, &oldest, &error), &error);
    return oldest;
}

static void expect_equal(uint64_t n) {
    uint8_t a[32], b[32];
    expect_soon(follows(&one, n));
    expect_soon(follows(&two, n));
    cr_assert(ez_feed_digest(one.feed, n, a));
    cr_assert(ez_feed_digest(two.feed, n, b));
    cr_assert_arr_eq(a, b, 32);
}

Test(servers, each_follows_the_other, .init = open_both, .fini = close_both) {
    char name[16];
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof name, "m%d", i);
        cr_assert_eq(given_master(i % 3 ? &two : &one, name), i + 1, "ids go on across servers");
    }
    expect_equal(30);
    cr_assert_eq(ez_directory_count(one.directory, EZ__V1__KIND__KIND_MASTER), 30);
    cr_assert_eq(ez_directory_count(two.directory, EZ__V1__KIND__KIND_MASTER), 30);
}

Test(servers, a_look_that_is_waited_for_finds_what_the_other_committed, .init = open_both, .fini = close_both) {
    for (int i = 1; i <= 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%d", i);
        given_master(&one, name);
        cr_assert_eq(ez_directory_count(two.directory, EZ__V1__KIND__KIND_MASTER), (size_t)i - 1);
        cr_assert(ez_writer_look(two.writer, ez_test_patience_ms()));
        cr_assert_eq(ez_directory_count(two.directory, EZ__V1__KIND__KIND_MASTER), (size_t)i);
    }
}

Test(servers, a_repeat_at_the_other_gets_the_same_answer, .init = open_both, .fini = close_both) {
    ez_error error = EZ_ERROR_INIT;
    ez_call *calls[2];
    for (int i = 0; i < 2; i++) {
        Ez__V1__Master master = EZ__V1__MASTER__INIT;
        Ez__V1__CreateMasterRequest request = EZ__V1__CREATE_MASTER_REQUEST__INIT;
        calls[i] = given_call("test");
        set_idempotency_key(calls[i], "k");
        master.name = (char *)"acme";
        request.master = &master;
        expect_ok(ez_writer_run((i ? &two : &one)->writer, calls[i], create_master, NULL, &request.base, &error),
                  &error);
    }
    cr_assert_eq(calls[0]->reply.len, calls[1]->reply.len);
    cr_assert_arr_eq(calls[0]->reply.data, calls[1]->reply.data, calls[0]->reply.len);
    expect_equal(1);
    ez_call_destroy_system(calls[0]);
    ez_call_destroy_system(calls[1]);
}

static ez_status turn_over(void *self, ez_call *call, void *scene, ProtobufCMessage *request) {
    (void)self;
    (void)request;
    ProtobufCMessage *message[2];
    for (int64_t i = 0; i < 2; i++) {
        ez_status status = ez_txn_load(scene, EZ__V1__KIND__KIND_MASTER, 1 + i, &message[i], &call->error);
        if (status != EZ_OK)
            return status;
    }
    static const char *const names[] = {"between", "m0", "m1"}; // they change names
    static const int which[] = {0, 1, 0};
    for (int i = 0; i < 3; i++) {
        ((Ez__V1__Master *)message[which[i]])->name = (char *)names[i];
        ez_status status = ez_txn_put(scene, EZ__V1__KIND__KIND_MASTER, message[which[i]], &call->error);
        if (status != EZ_OK)
            return status;
    }
    return ez_txn_delete(scene, EZ__V1__KIND__KIND_MASTER, 3, &call->error);
}

static int64_t master_of(const whole_state *state, const char *name) {
    ez_directory_enter();
    const ez_entry *entry = ez_directory_find(state->directory, EZ_INDEX_MASTER_NAME, ez_index_text(name));
    int64_t id = entry ? ez_entry_id(entry) : 0;
    ez_directory_leave();
    return id;
}

// One was asleep for so long that the store forgot what it had not read: it reads every row, and says so to its planes.
Test(servers, one_that_slept_too_long_reads_all_rows, .init = open_both_small, .fini = close_both) {
    ez_error error = EZ_ERROR_INIT;
    char name[16];
    for (int i = 0; i < 12; i++) {
        snprintf(name, sizeof name, "m%d", i);
        given_master(&one, name);
    }
    expect_equal(12);
    ez_call *call = given_call("test");
    expect_ok(ez_writer_run(one.writer, call, turn_over, NULL, NULL, &error), &error);
    ez_call_destroy_system(call);
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "late%d", i);
        given_master(&one, name);
    }
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "later%d", i);
        given_master(&one, name);
    }
    expect_soon(oldest_a_minute_later(&one) > 14);
    cr_assert_eq(ez_feed_head(two.feed).n, 12);
    expect_equal(36);
    cr_assert_eq(ez_feed_oldest(two.feed), 36);
    cr_assert_eq(master_of(&two, "m0"), 2);
    cr_assert_eq(master_of(&two, "m1"), 1);
    cr_assert_eq(master_of(&two, "m2"), 0);
    cr_assert_eq(master_of(&two, "between"), 0);
    cr_assert_eq(ez_directory_count(two.directory, EZ__V1__KIND__KIND_MASTER), 34);
    given_master(&two, "and on");
    expect_equal(37);
}

static ez_status fill(void *self, ez_call *call, void *scene, ProtobufCMessage *request) {
    (void)self;
    (void)request;
    for (int i = 0; i < 5000; i++) {
        char name[32];
        Ez__V1__Key key = EZ__V1__KEY__INIT;
        snprintf(name, sizeof name, "key-%d", i);
        key.name = name;
        key.master_id = 1 + i % 7;
        ez_status status = ez_txn_put(scene, EZ__V1__KIND__KIND_KEY, &key.base, &call->error);
        if (status != EZ_OK)
            return status;
    }
    return EZ_OK;
}

Test(servers, a_large_change_comes_over_whole, .init = open_both, .fini = close_both) {
    ez_error error = EZ_ERROR_INIT;
    ez_call *call = given_call("test");
    expect_ok(ez_writer_run(one.writer, call, fill, NULL, NULL, &error), &error);
    ez_call_destroy_system(call);
    expect_equal(1);
    cr_assert_eq(ez_directory_member_count(two.directory, EZ_INDEX_KEY_BY_MASTER, ez_index_id(1)), 715);
}

// What another server has just made is not refused for want of it: nobody ticked, and the change that is asked for
// would not have been committed.
Test(servers, a_refusal_is_judged_on_what_others_have_made, .init = open_both, .fini = close_both) {
    ez_error error = EZ_ERROR_INIT;
    for (int64_t id = 1; id <= 3; id++) {
        char name[16];
        snprintf(name, sizeof name, "m%d", (int)id);
        cr_assert_eq(given_master(&one, name), id);
        Ez__V1__Master master = EZ__V1__MASTER__INIT;
        Ez__V1__UpdateMasterRequest request = EZ__V1__UPDATE_MASTER_REQUEST__INIT;
        ez_call *call = given_call("test");
        snprintf(name, sizeof name, "n%d", (int)id);
        master.name = name;
        request.id = id;
        request.master = &master;
        expect_ok(ez_writer_run(two.writer, call, rename_master, NULL, &request.base, &error), &error);
        request.id = 99;
        expect_code(EZ_NOT_FOUND, ez_writer_run(one.writer, call, rename_master, NULL, &request.base, &error), &error);
        ez_call_destroy_system(call);
    }
}

// ---- Hints: nobody ticks here, so that what is followed is followed because it was told

static void follow(whole_state *state) {
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_store_follow(state->store, ez_writer_hint, state->writer, &error), &error);
}

static bool hears(whole_state *state) {
    return ez_store_follows(state->store) == EZ_FOLLOWS_BY_NOTIFY;
}

static void open_both_hearing(void) {
    open_both();
    follow(&one);
    follow(&two);
    expect_soon(hears(&one) && hears(&two));
}

static void close_both_hearing(void) {
    ez_store_unfollow(one.store);
    ez_store_unfollow(two.store);
    close_both();
}

Test(servers, a_commit_is_told_of, .init = open_both_hearing, .fini = close_both_hearing) {
    char name[16];
    for (uint64_t i = 1; i <= 20; i++) {
        snprintf(name, sizeof name, "m%d", (int)i);
        given_master(i % 2 ? &one : &two, name);
        expect_soon(ez_feed_head((i % 2 ? &two : &one)->feed).n == i);
    }
}

Test(servers, one_whose_connection_was_ended_hears_again, .init = open_both_hearing, .fini = close_both_hearing) {
    given_master(&one, "before");
    expect_soon(ez_feed_head(two.feed).n == 1);
    end_connections(one.database);
    given_master(&one, "meanwhile");
    expect_soon(ez_feed_head(two.feed).n == 2); // what came while it was deaf it looks for by itself
    expect_soon(hears(&one) && hears(&two));
    given_master(&two, "after");
    expect_soon(ez_feed_head(one.feed).n == 3);
}

// ---- Both at once

typedef struct racer {
    pthread_t thread;
    whole_state *state;
    char letter;
    unsigned refused;
} racer;

enum { RACE = 150 };

static void *race(void *user) {
    racer *me = user;
    for (int i = 0; i < RACE; i++) {
        char name[16];
        ez_error error = EZ_ERROR_INIT;
        ez_call *call = given_call("race");
        Ez__V1__Master master = EZ__V1__MASTER__INIT;
        Ez__V1__CreateMasterRequest request = EZ__V1__CREATE_MASTER_REQUEST__INIT;
        snprintf(name, sizeof name, "%c%d", me->letter, i);
        master.name = name;
        request.master = &master;
        me->refused += ez_writer_run(me->state->writer, call, create_master, NULL, &request.base, &error) != EZ_OK;
        ez_call_destroy_system(call);
    }
    return NULL;
}

// One that was overtaken makes the others wait, so that nobody is overtaken for ever.
Test(servers, nobody_is_refused_because_others_are_faster, .init = open_both, .fini = close_both, .timeout = 60) {
    whole_state three;
    given_second_state(&three, &one);
    racer racers[] = {{.state = &one, .letter = 'a'}, {.state = &two, .letter = 'b'}, {.state = &three, .letter = 'c'}};
    for (int i = 0; i < 3; i++)
        pthread_create(&racers[i].thread, NULL, race, &racers[i]);
    for (int i = 0; i < 3; i++)
        pthread_join(racers[i].thread, NULL);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(racers[i].refused, 0, "%u changes of server %c were refused", racers[i].refused, racers[i].letter);
    expect_equal(3 * RACE);
    close_state(&three);
}
