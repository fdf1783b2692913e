// SPDX-License-Identifier: Apache-2.0
//
// Rollups on every store: what comes with the records, and what folding and forgetting leave of it.
#include "server/state/store/rollup.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/store/log_model.h"

#define NOW (INT64_C(20000) * DAY_NS + 13 * HOUR_NS + 1800 * SECOND_NS)

static place at;
static ez_store *store;
static log_model model;

static void setup(void) {
    given_place(&at);
    store = open_store(&at);
}

static void teardown(void) {
    ez_store_close(store);
    drop_place(&at);
}

TestSuite(store_rollups, .init = setup, .fini = teardown, .timeout = 200);

static void reopen(void) {
    ez_store_close(store);
    store = open_store(&at);
}

// Mostly now, some late, some of the days before, some older than hours are kept.
static int64_t random_time(int64_t now_ns) {
    int kind = rand() % 20;
    int64_t back = kind < 12   ? HOUR_NS / 4
                   : kind < 16 ? 5 * HOUR_NS
                   : kind < 18 ? 3 * DAY_NS
                   : kind < 19 ? 40 * DAY_NS
                               : 100 * DAY_NS;
    return now_ns - (int64_t)((double)back * (rand() / (RAND_MAX + 1.0)));
}

static void add_random(size_t count, int64_t now_ns) {
    ez_log_row rows[64];
    for (size_t i = 0; i < count; i++)
        rows[i] = random_record(random_time(now_ns));
    add_records(store, &model, rows, count, now_ns);
}

static void trim(int64_t now_ns) {
    ez_log_limits limits = {0};
    ez_error error = EZ_ERROR_INIT;
    for (bool more = true; more;)
        cr_assert_eq(ez_store_trim_logs(store, EZ_NO_FENCE, &limits, now_ns, 1000, &more, &error), EZ_OK, "%s",
                     error.message);
}

static void fold_some(int steps, int64_t now_ns) {
    ez_error error = EZ_ERROR_INIT;
    for (bool more = true; steps > 0 && more; steps--)
        cr_assert_eq(ez_store_fold_rollups(store, EZ_NO_FENCE, now_ns, &more, &error), EZ_OK, "%s", error.message);
}

static long long marks(void) {
    return number_of(&at, "SELECT count(*) FROM rollup_stale");
}

Test(store_rollups, records_are_in_their_minutes) {
    ez_log_row rows[] = {random_record(NOW), random_record(NOW + 1), random_record(NOW - 60 * SECOND_NS)};
    add_records(store, &model, rows, 3, NOW);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM rollups WHERE level = 1"), 2);
    cr_assert_eq(number_of(&at, "SELECT sum(requests) FROM rollups WHERE level = 1"), 3);
    char *stale = rows_of(&at, "SELECT step, time_s, folded FROM rollup_stale ORDER BY step");
    cr_assert_str_eq(stale, "3600|1728046800|0\n86400|1728000000|0\n");
    free(stale);
    expect_rollups(&at, &model);
}

Test(store_rollups, an_hour_is_folded_when_it_is_over_and_quiet) {
    ez_log_row row = random_record(NOW);
    int64_t hour_end = NOW - NOW % HOUR_NS + HOUR_NS;
    add_records(store, &model, &row, 1, NOW);
    cr_assert_eq(fold_all(store, hour_end + 59 * SECOND_NS), 0u);
    cr_assert_eq(fold_all(store, hour_end + 60 * SECOND_NS), 8u);
    cr_assert_eq(marks(), 1); // the day's
    expect_rollups(&at, &model);

    // A late one: folded again, but only once nothing came for a minute.
    add_records(store, &model, &row, 1, hour_end + 100 * SECOND_NS);
    cr_assert_eq(marks(), 2);
    expect_rollups(&at, &model);
    cr_assert_eq(fold_all(store, hour_end + 159 * SECOND_NS), 0u);
    cr_assert_eq(fold_all(store, hour_end + 160 * SECOND_NS), 8u);
    expect_rollups(&at, &model);

    // The day, when it is over.
    int64_t day_end = NOW - NOW % DAY_NS + DAY_NS;
    cr_assert_eq(fold_all(store, day_end + 59 * SECOND_NS), 0u);
    cr_assert_eq(fold_all(store, day_end + 60 * SECOND_NS), 8u);
    cr_assert_eq(marks(), 0);
    expect_rollups(&at, &model);
}

Test(store_rollups, a_late_record_starts_an_hour_again) {
    int64_t later = NOW + 2 * HOUR_NS;
    ez_log_row rows[40];
    for (int i = 0; i < 40; i++)
        rows[i] = random_record(NOW);
    add_records(store, &model, rows, 20, NOW);
    fold_some(3, later);
    cr_assert_eq(number_of(&at, "SELECT folded FROM rollup_stale WHERE step = 3600"), 3);
    add_records(store, &model, rows + 20, 20, later);
    cr_assert_eq(number_of(&at, "SELECT folded FROM rollup_stale WHERE step = 3600"), 0);
    expect_rollups(&at, &model);
    fold_all(store, later + HOUR_NS);
    expect_rollups(&at, &model);
}

Test(store_rollups, records_older_than_minutes_and_hours_go_to_their_hour_and_day) {
    ez_log_row rows[] = {random_record(NOW), random_record(NOW - 3 * DAY_NS), random_record(NOW - 100 * DAY_NS)};
    add_records(store, &model, rows, 3, NOW);
    char *made = rows_of(&at, "SELECT step, time_s FROM rollups WHERE level = 5 ORDER BY step");
    cr_assert_str_eq(made, "60|1728048600\n3600|1727787600\n86400|1719360000\n");
    free(made);
    made = rows_of(&at, "SELECT step, time_s FROM rollup_stale ORDER BY step, time_s");
    cr_assert_str_eq(made, "3600|1728046800\n86400|1727740800\n86400|1728000000\n");
    free(made);
    expect_rollups(&at, &model);
    fold_all(store, NOW + HOUR_NS);
    expect_rollups(&at, &model);
}

Test(store_rollups, edges_wait_for_what_is_stale) {
    ez_log_row row = random_record(NOW);
    add_records(store, &model, &row, 1, NOW);
    long long before = number_of(&at, "SELECT minutes_from_s FROM log_head");
    cr_assert_eq(before, (NOW - 2 * DAY_NS) / HOUR_NS * 3600);
    trim(NOW + 200 * DAY_NS);
    cr_assert_eq(number_of(&at, "SELECT minutes_from_s FROM log_head"), NOW / HOUR_NS * 3600);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM rollups WHERE step = 60"), 6);
    fold_some(8, NOW + 200 * DAY_NS); // the hour
    trim(NOW + 200 * DAY_NS);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM rollups WHERE step = 60"), 0);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM rollups WHERE step = 3600"), 8);
    cr_assert_eq(number_of(&at, "SELECT hours_from_s FROM log_head"), NOW / DAY_NS * 86400);
    fold_all(store, NOW + 200 * DAY_NS);
    trim(NOW + 200 * DAY_NS);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM rollups WHERE step = 3600"), 0);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM rollups WHERE step = 86400"), 8);
    expect_rollups(&at, &model);
    trim(NOW); // a clock that went back moves nothing back
    cr_assert_eq(number_of(&at, "SELECT hours_from_s FROM log_head"), (NOW + 108 * DAY_NS) / DAY_NS * 86400);
}

// Records, folding and forgetting in any order, the store opened anew between: at every moment what may be used is
// right.
Test(store_rollups, sums_follow_a_model) {
    int64_t now_ns = NOW;
    srand(5);
    for (int round = 0; round < 60; round++) {
        add_random((size_t)(1 + rand() % 64), now_ns);
        now_ns += (int64_t)(rand() % 4000) * SECOND_NS;
        if (rand() % 3 == 0)
            fold_some(rand() % 40, now_ns + 70 * SECOND_NS);
        if (rand() % 10 == 0)
            trim(now_ns);
        if (rand() % 20 == 0)
            reopen();
        if (rand() % 20 == 0)
            now_ns += 3 * DAY_NS;
        if (round % 10 == 9)
            expect_rollups(&at, &model);
    }
    now_ns += 2 * DAY_NS;
    fold_all(store, now_ns);
    cr_assert_eq(marks(), 0);
    expect_rollups(&at, &model);
    trim(now_ns);
    expect_rollups(&at, &model);
    add_random(60, now_ns);
    expect_rollups(&at, &model);
    cr_assert_eq(number_of(&at, "SELECT sum(requests) FROM rollups WHERE level = 3 AND step = 86400"),
                 number_of(&at, "SELECT sum(requests) FROM rollups WHERE level = 8 AND step = 86400"));
}

// Sums of sums stay at their bound, in adding and in folding.
Test(store_rollups, sums_stay_at_their_bound) {
    ez_log_row rows[3];
    for (int i = 0; i < 3; i++) {
        rows[i] = random_record(NOW + i * 60 * SECOND_NS);
        rows[i].cost_nano_usd = EZ_USAGE_SUM_MAX - 1;
    }
    for (int i = 0; i < 2; i++)
        add_records(store, &model, rows, 3, NOW);
    cr_assert_eq(number_of(&at, "SELECT min(cost_nano_usd) FROM rollups WHERE level = 1"), EZ_USAGE_SUM_MAX);
    cr_assert_eq(fold_all(store, NOW + 3 * DAY_NS), 16u);
    cr_assert_eq(number_of(&at, "SELECT cost_nano_usd FROM rollups WHERE level = 1 AND step = 86400"),
                 EZ_USAGE_SUM_MAX);
}
