// SPDX-License-Identifier: Apache-2.0
//
// The lease's row, and what a stale fence may do: nothing. Time is the database's: a lease that ran out is one whose
// row says so.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "ez/v1/common.pb-c.h"
#include "server/state/store/meter.h"
#include "tests/unit/store/fixture.h"

#define TTL_MS     60000
#define TIMEOUT_MS 10000

TestSuite(store_lease, .init = given_store, .fini = drop_store);

static ez_store_lease take(const char *holder) {
    ez_error error = EZ_ERROR_INIT;
    ez_store_lease lease;
    cr_assert_eq(ez_store_take_lease(store, holder, TTL_MS, TIMEOUT_MS, &lease, &error), EZ_OK, "%s", error.message);
    return lease;
}

static void expect_lease(const char *who, const char *holder, uint64_t token) {
    ez_store_lease lease = take(who);
    cr_assert_str_eq(lease.holder, holder);
    cr_assert_eq(lease.token, token);
}

static void run_out(void) {
    if (is_postgres())
        sql(&at, "UPDATE leases SET until_ms = 0");
}

Test(store_lease, one_holder_at_a_time_and_a_token_each) {
    expect_lease("one", "one", 1);
    expect_lease("one", "one", 1);
    if (is_postgres())
        expect_lease("two", "one", 1);
    run_out();
    expect_lease("two", "two", 2);
    expect_lease("two", "two", 2);
}

Test(store_lease, one_that_ran_out_is_its_holders_until_another_comes) {
    take("one");
    run_out();
    expect_lease("one", "one", 1);
    if (is_postgres())
        expect_lease("two", "one", 1);
}

Test(store_lease, one_that_is_given_up_is_free_at_once) {
    ez_error error = EZ_ERROR_INIT;
    take("one");
    cr_assert_eq(ez_store_drop_lease(store, "other", TIMEOUT_MS, &error), EZ_OK);
    expect_lease("one", "one", 1);
    cr_assert_eq(ez_store_drop_lease(store, "one", TIMEOUT_MS, &error), EZ_OK);
    expect_lease("two", "two", 2);
}

// ---- Fences

static ez_status commit_fenced(uint64_t fence, ez_error *error) {
    ez_store_head head = head_of(store);
    group one;
    group_start(&one, &head);
    group_put(&one, KIND_MASTER, 1, "x");
    group_audit(&one, "a", "b", "c");
    one.group.fence = fence;
    return ez_store_commit(store, &one.group, error);
}

static void given_a_new_holder(void) {
    take("one");
    run_out();
    take("two");
}

Test(store_lease, a_commit_under_a_stale_fence_writes_nothing) {
    ez_error error = EZ_ERROR_INIT;
    given_a_new_holder();
    expect_error(commit_fenced(1, &error), &error, EZ_ABORTED, "LEASE_LOST", "nothing was written");
    cr_assert_eq(head_of(store).n, 0u);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM masters"), 0);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM audit"), 0);
    cr_assert_eq(commit_fenced(2, &error), EZ_OK, "%s", error.message);
    cr_assert_eq(head_of(store).n, 1u);
}

Test(store_lease, a_fence_of_a_token_that_is_to_come_is_stale) {
    ez_error error = EZ_ERROR_INIT;
    given_a_new_holder();
    expect_error(commit_fenced(3, &error), &error, EZ_ABORTED, "LEASE_LOST", "");
}

Test(store_lease, chores_under_a_stale_fence_forget_nothing) {
    ez_error error = EZ_ERROR_INIT;
    ez_log_limits limits = {.before_ns = INT64_MAX};
    const int64_t now_ns = INT64_C(1700000000) * 1000000000, later_ns = now_ns + INT64_C(7200) * 1000000000;
    bool more = false;
    given_a_new_holder();
    commit_many(store, 3);
    ez_log_row row = {.time_ns = now_ns, .model = {(const uint8_t *)"m", 1}};
    ez_log_batch batch = {.rows = &row, .row_count = 1};
    cr_assert_eq(ez_store_add_logs(store, &batch, 1, now_ns, &error), EZ_OK, "%s", error.message);
    expect_error(ez_store_trim(store, 1, 3, 0, 10, &more, &error), &error, EZ_ABORTED, "LEASE_LOST", "");
    expect_error(ez_store_trim_logs(store, 1, &limits, now_ns, 10, &more, &error), &error, EZ_ABORTED, "LEASE_LOST",
                 "");
    expect_error(ez_store_fold_rollups(store, 1, later_ns, &more, &error), &error, EZ_ABORTED, "LEASE_LOST", "");
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM changes"), 3);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM log_records"), 1);
    cr_assert_gt(number_of(&at, "SELECT count(*) FROM rollup_open"), 0);
    cr_assert_eq(ez_store_trim(store, 2, 3, 0, 10, &more, &error), EZ_OK, "%s", error.message);
    cr_assert_eq(ez_store_fold_rollups(store, 2, later_ns, &more, &error), EZ_OK, "%s", error.message);
    cr_assert_eq(ez_store_trim_logs(store, 2, &limits, now_ns, 10, &more, &error), EZ_OK, "%s", error.message);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM changes"), 1);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM log_records"), 0);
}
