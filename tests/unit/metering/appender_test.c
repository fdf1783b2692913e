// SPDX-License-Identifier: Apache-2.0
//
// The appender over a store that does as a test says: what it is given in one transaction, who is answered what, and
// what waits for whom.
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "ez/v1/usage.pb-c.h"
#include "proto/runtime/clock.h"
#include "server/state/metering/appender.h"
#include "tests/support/expect.h"
#include "tests/support/wait.h"

#define CALLS 400

// ---- The store

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool is_held;         // transactions wait
    int in_transaction;   // calls that are being committed
    ez_status status;     // what every transaction ends with
    int64_t poison;       // a batch with a row of this id fails its transaction
    size_t groups[CALLS]; // how many batches each transaction had
    size_t group_count;
    size_t rows_most;     // of one transaction
    int64_t added[CALLS]; // by row id
    uint64_t gap_at;      // this sequence comes too early
} store = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static bool is_poisoned(const ez_usage_batch *batches, size_t count) {
    for (size_t i = 0; i < count; i++)
        for (size_t r = 0; r < batches[i].row_count && r < CALLS; r++)
            if (store.poison && batches[i].rows[r].id == store.poison)
                return true;
    return false;
}

ez_status __wrap_ez_store_add_usage(ez_store *unused, ez_usage_batch *batches, size_t count, int64_t now_ns,
                                    ez_usage_total_fn *total, void *user, ez_error *error);
ez_status __wrap_ez_store_add_usage(ez_store *unused, ez_usage_batch *batches, size_t count, int64_t now_ns,
                                    ez_usage_total_fn *total, void *user, ez_error *error) {
    (void)unused, (void)now_ns, (void)total, (void)user;
    pthread_mutex_lock(&store.lock);
    store.in_transaction = (int)count;
    while (store.is_held)
        pthread_cond_wait(&store.wake, &store.lock);
    store.groups[store.group_count++] = count;
    ez_status status = store.status;
    if (status == EZ_OK && is_poisoned(batches, count))
        status = EZ_INTERNAL;
    size_t rows = 0;
    for (size_t i = 0; i < count && status == EZ_OK; i++) {
        rows += batches[i].row_count;
        if (store.gap_at && batches[i].mark.sequence == store.gap_at) {
            batches[i].mark.outcome = EZ_MARK_GAP;
            batches[i].mark.expected = store.gap_at - 1;
            continue;
        }
        if (batches[i].row_count)
            store.added[batches[i].rows[0].id]++;
    }
    store.rows_most = rows > store.rows_most ? rows : store.rows_most;
    store.in_transaction = 0;
    pthread_mutex_unlock(&store.lock);
    return status == EZ_OK ? EZ_OK : ez_error_set(error, status, "STORE_SAYS_NO", "the store says no");
}

static void hold_store(bool is_held) {
    pthread_mutex_lock(&store.lock);
    store.is_held = is_held;
    pthread_cond_broadcast(&store.wake);
    pthread_mutex_unlock(&store.lock);
}

// ---- Calls

typedef struct test_call {
    ez_append append;
    ez_call call;
    ez_usage_row row;
    size_t row_count;
    ez_status refuse; // the handler's own answer
    bool is_committed;
    atomic_bool is_done;
} test_call;

static ez_appender *appender;
static test_call calls[CALLS];
static ez_usage_row many[100001];

static test_call *call_of(ez_append *append) {
    return (test_call *)(void *)append;
}

static ez_status committed(void *self, ez_append *append) {
    (void)self;
    call_of(append)->is_committed = true;
    return ez_call_reply_bytes(append->call, "r", 1);
}

static ez_status handle(void *self, ez_call *call, void *scene, ProtobufCMessage *request) {
    (void)self, (void)request;
    ez_append *append = scene;
    test_call *c = call_of(append);
    if (c->refuse != EZ_OK)
        return ez_call_fail(call, c->refuse, "HANDLER_SAYS_NO", "the handler says no");
    append->usage = c->row_count > 1 ? many : &c->row;
    append->row_count = c->row_count;
    append->committed = committed;
    return EZ_OK;
}

static void done(ez_append *append) {
    atomic_store(&call_of(append)->is_done, true);
}

static void begin(void) {
    ez_appender_options options = {.stream = EZ_STREAM_USAGE, .queue = 300};
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_appender_create(&options, &appender, &error), &error);
    for (int i = 0; i < CALLS; i++) {
        ez_arena_init(&calls[i].call.arena, 1u << 20);
        ez_buf_init(&calls[i].call.reply, 1u << 16);
        calls[i].row = (ez_usage_row){.id = i};
        calls[i].row_count = 1;
        calls[i].append = (ez_append){.call = &calls[i].call, .run = handle, .done = done};
    }
}

static void end(void) {
    hold_store(false);
    ez_appender_destroy(appender);
    for (int i = 0; i < CALLS; i++) {
        ez_arena_fini(&calls[i].call.arena);
        ez_buf_fini(&calls[i].call.reply);
    }
}

TestSuite(appender, .init = begin, .fini = end);

static ez_status submit(int i) {
    ez_error error = EZ_ERROR_INIT;
    return ez_appender_submit(appender, &calls[i].append, &error);
}

static bool are_done(int from, int until) {
    for (int i = from; i < until; i++)
        if (!atomic_load(&calls[i].is_done))
            return false;
    return true;
}

// Call 0 is being committed, and the store does not go on: what is submitted now waits.
static void given_a_busy_store(void) {
    hold_store(true);
    cr_assert_eq(submit(0), EZ_OK);
    int busy = 0;
    uint64_t deadline = ez_test_deadline();
    while (!busy && ez_test_before(deadline)) {
        pthread_mutex_lock(&store.lock);
        busy = store.in_transaction;
        pthread_mutex_unlock(&store.lock);
    }
    cr_assert_eq(busy, 1);
}

Test(appender, a_call_alone_is_committed_and_answered) {
    cr_assert_eq(submit(3), EZ_OK);
    expect_soon(are_done(3, 4));
    cr_assert_eq(calls[3].append.status, EZ_OK);
    cr_assert(calls[3].is_committed);
    cr_assert_eq(calls[3].call.reply.len, 1);
    cr_assert_eq(store.added[3], 1);
}

Test(appender, what_waits_is_committed_together_within_bounds) {
    given_a_busy_store();
    for (int i = 1; i < 200; i++)
        cr_assert_eq(submit(i), EZ_OK);
    hold_store(false);
    expect_soon(are_done(0, 200));
    cr_assert_eq(store.group_count, 5);
    cr_assert_eq(store.groups[1], 64);
    cr_assert_eq(store.groups[4], 7);
    for (int i = 0; i < 200; i++)
        cr_assert(store.added[i] == 1 && calls[i].append.status == EZ_OK);
}

Test(appender, rows_bound_a_group_too_and_a_call_that_is_larger_goes_alone) {
    given_a_busy_store();
    for (int i = 1; i <= 4; i++)
        calls[i].row_count = i == 3 ? 100001 : 60000;
    for (int i = 1; i <= 5; i++)
        cr_assert_eq(submit(i), EZ_OK);
    hold_store(false);
    expect_soon(are_done(0, 6));
    cr_assert_eq(store.rows_most, 100001);
    static const size_t want[] = {1, 1, 1, 1, 2};
    cr_assert_eq(store.group_count, 5);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(store.groups[i], want[i], "transaction %d had %zu calls", i, store.groups[i]);
}

Test(appender, a_call_that_spoils_its_group_fails_alone) {
    given_a_busy_store();
    store.poison = 7;
    for (int i = 1; i < 20; i++)
        cr_assert_eq(submit(i), EZ_OK);
    hold_store(false);
    expect_soon(are_done(0, 20));
    for (int i = 0; i < 20; i++)
        cr_assert_eq(calls[i].append.status, i == 7 ? EZ_INTERNAL : EZ_OK, "call %d", i);
    cr_assert_str_eq(calls[7].call.error.reason, "STORE_SAYS_NO");
    cr_assert_not(calls[7].is_committed);
}

Test(appender, an_outage_fails_the_group_and_is_not_tried_call_by_call) {
    given_a_busy_store();
    store.status = EZ_UNAVAILABLE;
    for (int i = 1; i < 20; i++)
        cr_assert_eq(submit(i), EZ_OK);
    hold_store(false);
    expect_soon(are_done(0, 20));
    cr_assert_eq(store.group_count, 2);
    cr_assert_eq(calls[19].append.status, EZ_UNAVAILABLE);
    cr_assert_str_eq(calls[19].call.error.reason, "STORE_SAYS_NO");
    store.status = EZ_OK;
    cr_assert_eq(submit(30), EZ_OK);
    expect_soon(are_done(30, 31));
    cr_assert_eq(calls[30].append.status, EZ_OK, "the next one is taken again");
}

Test(appender, a_handler_fails_its_call_and_no_other) {
    given_a_busy_store();
    calls[2].refuse = EZ_INVALID_ARGUMENT;
    for (int i = 1; i < 4; i++)
        cr_assert_eq(submit(i), EZ_OK);
    hold_store(false);
    expect_soon(are_done(0, 4));
    cr_assert_eq(calls[2].append.status, EZ_INVALID_ARGUMENT);
    cr_assert_eq(calls[1].append.status, EZ_OK);
    cr_assert_eq(store.added[2], 0);
    cr_assert_eq(store.groups[1], 2);
}

Test(appender, a_gap_says_what_is_expected) {
    calls[1].append.mark = (ez_mark){.data_plane_id = 1, .epoch = 5, .sequence = 9};
    store.gap_at = 9;
    cr_assert_eq(submit(1), EZ_OK);
    expect_soon(are_done(1, 2));
    cr_assert_eq(calls[1].append.status, EZ_OUT_OF_RANGE);
    cr_assert_str_eq(calls[1].call.error.reason, "SEQUENCE_GAP");
    cr_assert_not_null(strstr(calls[1].call.error.message, "8 is expected"));
    cr_assert_not(calls[1].is_committed);
}

Test(appender, the_queue_has_a_bound) {
    given_a_busy_store();
    for (int i = 1; i <= 300; i++)
        cr_assert_eq(submit(i), EZ_OK);
    ez_error error = EZ_ERROR_INIT;
    expect_reason(EZ_RESOURCE_EXHAUSTED, "APPEND_QUEUE_FULL", ez_appender_submit(appender, &calls[301].append, &error),
                  &error);
    hold_store(false);
    expect_soon(are_done(0, 301));
    cr_assert_not(atomic_load(&calls[301].is_done));
    cr_assert_eq(submit(301), EZ_OK);
    expect_soon(are_done(301, 302));
}

Test(appender, what_nobody_waits_for_any_more_is_not_added) {
    given_a_busy_store();
    calls[1].call.deadline_ns = ez_clock_mono_ns() + 1;
    calls[2].call.deadline_ns = ez_clock_mono_ns() + 600000000000u;
    cr_assert_eq(submit(1), EZ_OK);
    cr_assert_eq(submit(2), EZ_OK);
    hold_store(false);
    expect_soon(are_done(0, 3));
    cr_assert_eq(calls[1].append.status, EZ_DEADLINE_EXCEEDED);
    cr_assert_eq(store.added[1], 0);
    cr_assert_eq(calls[2].append.status, EZ_OK);
}

Test(appender, an_end_finishes_what_was_submitted) {
    given_a_busy_store();
    for (int i = 1; i < 150; i++)
        cr_assert_eq(submit(i), EZ_OK);
    hold_store(false);
    ez_appender_destroy(appender);
    appender = NULL;
    cr_assert(are_done(0, 150));
}

Test(appender, once_stopped_it_refuses_and_can_still_be_asked) {
    cr_assert_eq(submit(0), EZ_OK);
    ez_appender_stop(appender);
    cr_assert(are_done(0, 1));
    cr_assert_eq(submit(1), EZ_UNAVAILABLE);
    ez_appender_stop(appender);
    cr_assert_eq(submit(1), EZ_UNAVAILABLE);
    cr_assert_not(atomic_load(&calls[1].is_done));
}

// ---- Chores

static atomic_int chores;

static void do_chore(void *user, bool *more) {
    (void)user;
    *more = atomic_fetch_add(&chores, 1) < 5;
}

Test(appender, chores_are_done_between_commits_and_when_nothing_comes) {
    ez_appender_options options = {.stream = EZ_STREAM_USAGE, .queue = 300, .chore = do_chore};
    ez_appender *other = NULL;
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_appender_create(&options, &other, &error), &error);
    expect_soon(atomic_load(&chores) >= 7); // six in a row, then one each second
    for (int i = 0; i < 50; i++) {
        expect_ok(ez_appender_submit(other, &calls[i].append, &error), &error);
        expect_soon(are_done(i, i + 1));
    }
    cr_assert_leq(atomic_load(&chores), 20, "not after each commit");
    ez_appender_destroy(other);
}

// A chore that always has more to do is done once between any two commits, but not while what waits is finished.
static void chore_without_end(void *user, bool *more) {
    (void)user;
    *more = true;
    atomic_fetch_add(&chores, 1);
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void *stop_it(void *user) {
    ez_appender_stop(user);
    return NULL;
}

Test(appender, a_stop_does_not_wait_for_chores) {
    ez_appender_options options = {.stream = EZ_STREAM_USAGE, .queue = 300, .chore = chore_without_end};
    ez_error error = EZ_ERROR_INIT;
    ez_appender_destroy(appender);
    expect_ok(ez_appender_create(&options, &appender, &error), &error);
    expect_soon(atomic_load(&chores) > 0); // from here on one follows each commit
    given_a_busy_store();
    for (int i = 1; i < 300; i++)
        cr_assert_eq(submit(i), EZ_OK);
    int before = atomic_load(&chores);
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, stop_it, appender), 0);
    expect_soon(submit(300) == EZ_UNAVAILABLE);
    hold_store(false);
    pthread_join(thread, NULL);
    cr_assert(are_done(0, 300));
    cr_assert_eq(atomic_load(&chores), before);
}

// ---- Marks

static Ez__V1__FlushUsageRequest said = EZ__V1__FLUSH_USAGE_REQUEST__INIT;

static ez_status mark(test_call *c, uint64_t epoch, uint64_t sequence, const char *key) {
    ez_error_clear(&c->call.error);
    c->call.principal.id = 42;
    c->call.header.idempotency_key = (ez_slice){(const uint8_t *)key, strlen(key)};
    c->append.request = &said.base;
    return ez_append_mark(&c->append, epoch, sequence);
}

Test(appender, a_mark_is_a_sequence_or_a_key_or_none) {
    cr_assert_eq(mark(&calls[0], 7, 3, "key"), EZ_OK);
    cr_assert(calls[0].append.mark.epoch == 7 && calls[0].append.mark.sequence == 3);
    cr_assert_eq(calls[0].append.mark.data_plane_id, 42);
    cr_assert_not(calls[0].append.mark.is_key);
    cr_assert_eq(mark(&calls[0], 0, 0, "key"), EZ_OK);
    cr_assert_eq(calls[0].append.mark.sequence, 1);
    cr_assert(calls[0].append.mark.is_key);
    uint64_t epoch = calls[0].append.mark.epoch;
    cr_assert_neq(epoch, 0);
    cr_assert_eq(mark(&calls[1], 0, 0, "other key"), EZ_OK);
    cr_assert_neq(calls[1].append.mark.epoch, epoch);
    cr_assert_eq(mark(&calls[1], 0, 0, "key"), EZ_OK);
    cr_assert_eq(calls[1].append.mark.epoch, epoch, "the same key, the same mark");
    cr_assert_eq(mark(&calls[0], 0, 0, ""), EZ_OK);
    cr_assert_eq(calls[0].append.mark.epoch, 0);
    cr_assert_eq(mark(&calls[0], 7, 0, ""), EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(calls[0].call.error.violations[0].field, "sequence");
    cr_assert_eq(mark(&calls[0], 0, 7, ""), EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(calls[0].call.error.violations[0].field, "epoch");
}

Test(appender, a_key_marks_one_request_of_one_method) {
    static const ez_method one = {.name = "ez.v1.Usage/Flush"}, two = {.name = "ez.v1.Logs/Ingest"};
    Ez__V1__KeyUsage key = EZ__V1__KEY_USAGE__INIT, *keys[] = {&key};
    key.id = 5;
    calls[0].call.method = &one;
    cr_assert_eq(mark(&calls[0], 0, 0, "key"), EZ_OK);
    uint64_t epoch = calls[0].append.mark.epoch;
    said.keys = keys;
    said.n_keys = 1;
    cr_assert_eq(mark(&calls[0], 0, 0, "key"), EZ_OK);
    uint64_t other = calls[0].append.mark.epoch;
    cr_assert_neq(other, epoch, "a batch's other half is not a repeat");
    cr_assert_eq(mark(&calls[0], 0, 0, "key"), EZ_OK);
    cr_assert_eq(calls[0].append.mark.epoch, other);
    calls[0].call.method = &two;
    cr_assert_eq(mark(&calls[0], 0, 0, "key"), EZ_OK);
    cr_assert_neq(calls[0].append.mark.epoch, other);
}
