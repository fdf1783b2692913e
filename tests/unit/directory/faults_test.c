// SPDX-License-Identifier: Apache-2.0
//
// When the store fails: a commit that is refused, one whose outcome is not known (made or not), a store that is silent
// for a while or for too long. The store is the real one; ez_store_commit, ez_store_read_head and the clock are wrapped
// by the linker, so that a test can break them for as many calls as it likes, and need not wait for half a minute.
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "given.h"
#include "proto/crypto/digest.h"
#include "tests/support/wait.h"

ez_status __real_ez_store_commit(ez_store *store, const ez_store_commit_group *group, ez_error *error);
ez_status __wrap_ez_store_commit(ez_store *store, const ez_store_commit_group *group, ez_error *error);
ez_status __real_ez_store_read_head(ez_store *store, ez_store_head *out, ez_error *error);
ez_status __wrap_ez_store_read_head(ez_store *store, ez_store_head *out, ez_error *error);

typedef enum fault { NONE, REFUSED, LOST_BEFORE, LOST_AFTER } fault;
static _Atomic fault next_commit;
static atomic_uint silent_reads;

ez_status __wrap_ez_store_commit(ez_store *store, const ez_store_commit_group *group, ez_error *error) {
    switch (atomic_exchange(&next_commit, NONE)) {
    case REFUSED:
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "DISK_FULL", "the disk is full");
    case LOST_AFTER:
        if (__real_ez_store_commit(store, group, error) != EZ_OK)
            break;
        return ez_error_set(error, EZ_UNAVAILABLE, "COMMIT_UNKNOWN", "the connection broke");
    case LOST_BEFORE:
        return ez_error_set(error, EZ_UNAVAILABLE, "COMMIT_UNKNOWN", "the connection broke");
    case NONE:
        break;
    }
    return __real_ez_store_commit(store, group, error);
}

ez_status __wrap_ez_store_read_head(ez_store *store, ez_store_head *out, ez_error *error) {
    if (atomic_load(&silent_reads) > 0) {
        atomic_fetch_sub(&silent_reads, 1);
        return ez_error_set(error, EZ_UNAVAILABLE, "STORE_UNAVAILABLE", "no connection");
    }
    return __real_ez_store_read_head(store, out, error);
}

static whole_state all;
static salvo volley_;

static void open_all(void) {
    given_state(&all);
}

static void close_all(void) {
    end_state(&all);
}

static size_t shoot(ez_handler *run, const char *name, bool validate_only) {
    ez_call *call = given_call("test");
    Ez__V1__CreateMasterRequest *request = ez_arena_alloc(&call->arena, sizeof *request);
    ez__v1__create_master_request__init(request);
    request->master = ez_arena_alloc(&call->arena, sizeof *request->master);
    ez__v1__master__init(request->master);
    request->master->name = ez_arena_strdup(&call->arena, name);
    call->header.validate_only = validate_only;
    return volley_add(&volley_, call, run, &request->base);
}

static void expect_shot(size_t at, ez_status status, const char *reason) {
    const ez_write *write = &volley_.shots[at].write;
    cr_assert_eq(write->status, status, "shot %zu: %s %s", at, ez_status_name(write->status),
                 write->call->error.message);
    if (status != EZ_OK)
        cr_assert_str_eq(write->call->error.reason, reason);
}

static void drop_shots(void) {
    for (size_t i = 0; i < volley_.count; i++)
        ez_call_destroy_system(volley_.shots[i].write.call);
}

static uint64_t stored_head(void) {
    ez_error error = EZ_ERROR_INIT;
    ez_store_head head;
    expect_ok(ez_store_read_head(all.store, &head, &error), &error);
    return head.n;
}

static void expect_same_everywhere(uint64_t n, size_t masters) {
    uint8_t digest[32], known[32];
    uint64_t rows;
    cr_assert_eq(stored_head(), n);
    cr_assert_eq(ez_feed_head(all.feed).n, n);
    cr_assert_eq(ez_directory_count(all.directory, EZ__V1__KIND__KIND_MASTER), masters);
    ez_directory_digest(all.directory, digest, &rows);
    cr_assert_eq(rows, masters);
    cr_assert(ez_feed_digest(all.feed, n, known));
    cr_assert_arr_eq(digest, known, 32);
}

// Whoever may have seen what is now gone fails with it; whoever ran before the first change keeps his answer.
Test(faults, a_refused_commit_changes_nothing, .init = open_all, .fini = close_all) {
    given_master(&all, "old");
    volley_begin(&volley_, &all);
    size_t before = shoot(read_only, "", false);
    size_t taken = shoot(create_master, "old", false);
    size_t change = shoot(create_master, "new", false);
    size_t seen = shoot(create_master, "new", false); // NAME_TAKEN by what is gone
    size_t after = shoot(read_only, "", false);
    size_t asked = shoot(create_master, "other", true);
    atomic_store(&next_commit, REFUSED);
    volley_fire(&volley_);
    expect_shot(before, EZ_OK, NULL);
    expect_shot(taken, EZ_ALREADY_EXISTS, "NAME_TAKEN");
    expect_shot(change, EZ_RESOURCE_EXHAUSTED, "DISK_FULL");
    expect_shot(seen, EZ_RESOURCE_EXHAUSTED, "DISK_FULL");
    expect_shot(after, EZ_RESOURCE_EXHAUSTED, "DISK_FULL");
    expect_shot(asked, EZ_RESOURCE_EXHAUSTED, "DISK_FULL");
    cr_assert_eq(volley_.shots[change].write.call->reply.len, 0, "no token leaves that was not kept");
    expect_same_everywhere(1, 1);
    drop_shots();
    cr_assert_eq(given_master(&all, "new"), 2, "the writer goes on, with the id that was not used");
    expect_same_everywhere(2, 2);
}

// What was refused before the first change of a group whose commit fails: another server may have made what it missed,
// and without the store nobody knows.
Test(faults, a_refusal_beside_a_commit_that_failed_holds_where_the_store_says_so, .init = open_all, .fini = close_all) {
    given_master(&all, "old");
    volley_begin(&volley_, &all);
    size_t taken = shoot(create_master, "old", false);
    size_t change = shoot(create_master, "new", false);
    atomic_store(&next_commit, REFUSED);
    atomic_store(&silent_reads, 1);
    volley_fire(&volley_);
    if (is_postgres())
        expect_shot(taken, EZ_UNAVAILABLE, "STORE_UNAVAILABLE");
    else
        expect_shot(taken, EZ_ALREADY_EXISTS, "NAME_TAKEN");
    expect_shot(change, EZ_RESOURCE_EXHAUSTED, "DISK_FULL");
    atomic_store(&silent_reads, 0);
    drop_shots();
}

Test(faults, a_lost_commit_that_was_made_is_answered_ok, .init = open_all, .fini = close_all) {
    given_master(&all, "one");
    atomic_store(&next_commit, LOST_AFTER);
    atomic_store(&silent_reads, 3);
    cr_assert_eq(given_master(&all, "two"), 2);
    expect_same_everywhere(2, 2);
    given_master(&all, "three");
    expect_same_everywhere(3, 3);
}

Test(faults, a_lost_commit_that_was_not_made_fails, .init = open_all, .fini = close_all) {
    volley_begin(&volley_, &all);
    size_t one = shoot(create_master, "one", false);
    atomic_store(&next_commit, LOST_BEFORE);
    atomic_store(&silent_reads, 2);
    volley_fire(&volley_);
    expect_shot(one, EZ_UNAVAILABLE, "COMMIT_FAILED");
    drop_shots();
    expect_same_everywhere(0, 0);
    cr_assert_eq(given_master(&all, "one"), 1);
    expect_same_everywhere(1, 1);
}

// The commit was lost, and in its place the store has another server's: ours runs again behind it.
Test(faults, a_lost_commit_that_another_took_the_place_of_runs_again, .init = open_all, .fini = close_all) {
    ez_error error = EZ_ERROR_INIT;
    volley_begin(&volley_, &all);
    size_t one = shoot(create_master, "one", false);
    ez_store_change change = {.n = 1, .kind = EZ__V1__KIND__KIND_MASTER, .id = 9, .op = EZ__V1__OP__OP_DELETE};
    ez_store_commit_group group = {.epoch = all.head.epoch, .from = 0, .to = 1, .changes = &change, .change_count = 1};
    expect_ok(ez_store_commit(all.store, &group, &error), &error);
    atomic_store(&next_commit, LOST_BEFORE);
    volley_fire(&volley_);
    expect_shot(one, EZ_OK, NULL);
    cr_assert_eq(volley_.shots[one].write.revision.n, 2);
    drop_shots();
    expect_same_everywhere(2, 1);
}

static bool has_recovered(void) {
    ez_writer_tick(all.writer);
    return ez_feed_head(all.feed).n == 2;
}

static bool accepts_changes(void) {
    ez_error error = EZ_ERROR_INIT;
    ez_call *call = given_call("test");
    ez_status status = ez_writer_run(all.writer, call, read_only, NULL, NULL, &error);
    ez_call_destroy_system(call);
    return status == EZ_OK;
}

// As long as nobody knows what is durable nothing is accepted; when the store answers again, what it has counts.
Test(faults, a_store_that_stays_silent_stops_changes_until_it_answers, .init = open_all, .fini = close_all) {
    ez_error error = EZ_ERROR_INIT;
    volley_begin(&volley_, &all);
    size_t one = shoot(create_master, "one", false);
    size_t two = shoot(create_master, "two", false);
    atomic_store(&next_commit, LOST_AFTER);
    atomic_store(&silent_reads, 1000000);
    hurry_clock(true);
    volley_fire(&volley_);
    hurry_clock(false); // the store has deadlines, too
    expect_shot(one, EZ_UNAVAILABLE, "COMMIT_UNKNOWN");
    expect_shot(two, EZ_UNAVAILABLE, "COMMIT_UNKNOWN");
    drop_shots();
    cr_assert_eq(ez_feed_head(all.feed).n, 0);
    ez_call *call = given_call("test");
    expect_reason(EZ_UNAVAILABLE, "STORE_UNAVAILABLE", ez_writer_run(all.writer, call, read_only, NULL, NULL, &error),
                  &error);
    ez_call_destroy_system(call);
    atomic_store(&silent_reads, 0);
    expect_soon(has_recovered());
    expect_same_everywhere(2, 2);
    expect_soon(accepts_changes());
    cr_assert_eq(given_master(&all, "three"), 3);
}
