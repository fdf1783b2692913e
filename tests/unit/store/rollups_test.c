// SPDX-License-Identifier: Apache-2.0
//
// Rollups on every store: what comes with the records, and what folding and forgetting leave of it.
#include "server/state/store/rollup.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/store/fixture.h"
#include "tests/unit/store/log_model.h"

#define NOW (INT64_C(20000) * DAY_NS + 13 * HOUR_NS + 1800 * SECOND_NS)

static log_model model;

TestSuite(store_rollups, .init = given_store, .fini = drop_store, .timeout = 200);

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

static long long open_steps(int step) {
    char text[64];
    snprintf(text, sizeof text, "SELECT count(*) FROM rollup_open WHERE step = %d", step);
    return number_of(&at, text);
}

static int64_t edge_of(int step) {
    char text[64];
    snprintf(text, sizeof text, "SELECT from_s FROM rollup_open WHERE step = %d", step);
    return number_of(&at, text);
}

static void expect_text(const char *query, const char *want) {
    char *got = rows_of(&at, query);
    cr_assert_str_eq(got, want);
    free(got);
}

Test(store_rollups, records_are_in_their_minutes) {
    ez_log_row rows[] = {random_record(NOW), random_record(NOW + 1), random_record(NOW - 60 * SECOND_NS)};
    add_records(store, &model, rows, 3, NOW);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM rollups WHERE level = 1"), 2);
    cr_assert_eq(number_of(&at, "SELECT sum(requests) FROM rollups WHERE level = 1"), 3);
    expect_text("SELECT step, time_s, from_s, folded FROM rollup_open ORDER BY step",
                "3600|1728046800|1728046800|0\n86400|1728000000|1728000000|0\n");
    expect_rollups(&at, &model);
}

Test(store_rollups, an_hour_is_folded_as_its_minutes_end) {
    ez_log_row row = random_record(NOW);
    add_records(store, &model, &row, 1, NOW);
    cr_assert_eq(fold_all(store, NOW + 74 * SECOND_NS), 6u + 13u, "empty pieces of the hour and of the day");
    cr_assert_eq(edge_of(3600), NOW / SECOND_NS);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM rollups WHERE step = 3600"), 0);
    cr_assert_eq(fold_all(store, NOW + 75 * SECOND_NS), 8u);
    cr_assert_eq(edge_of(3600), NOW / SECOND_NS + 60);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM rollups WHERE step = 3600"), 8);
    expect_rollups(&at, &model);

    // One that comes late is in its hour at once, one behind the edge is not.
    ez_log_row more[] = {random_record(NOW + SECOND_NS), random_record(NOW + 60 * SECOND_NS)};
    add_records(store, &model, more, 2, NOW + 75 * SECOND_NS);
    cr_assert_eq(number_of(&at, "SELECT requests FROM rollups WHERE step = 3600 AND level = 1"), 2);
    expect_rollups(&at, &model);

    // Over: closed, and late ones are in hours and not in days.
    int64_t hour_end = NOW - NOW % HOUR_NS + HOUR_NS, day_end = NOW - NOW % DAY_NS + DAY_NS;
    fold_all(store, hour_end + 15 * SECOND_NS);
    cr_assert_eq(open_steps(3600), 0);
    add_records(store, &model, more, 2, hour_end + 20 * SECOND_NS);
    cr_assert_eq(open_steps(3600), 0);
    expect_rollups(&at, &model);

    // The day takes hours that are closed.
    cr_assert_eq(edge_of(86400), hour_end / SECOND_NS);
    add_records(store, &model, more, 2, hour_end + 30 * SECOND_NS);
    expect_rollups(&at, &model);
    fold_all(store, day_end + 15 * SECOND_NS);
    cr_assert_eq(open_steps(86400), 0);
    add_records(store, &model, more, 2, day_end + 30 * SECOND_NS);
    cr_assert_eq(open_steps(86400), 0);
    expect_rollups(&at, &model);
    cr_assert_eq(number_of(&at, "SELECT requests FROM rollups WHERE step = 86400 AND level = 1"), 9);
}

Test(store_rollups, a_late_record_counts_at_each_level_once) {
    int64_t later = NOW + 2 * HOUR_NS;
    ez_log_row rows[40];
    for (int i = 0; i < 40; i++)
        rows[i] = random_record(NOW - 1800 * SECOND_NS);
    add_records(store, &model, rows, 10, NOW);
    for (int i = 0; i < 3; i++) { // some levels have the piece, others not yet
        fold_some(3, later);
        cr_assert_eq(number_of(&at, "SELECT folded FROM rollup_open WHERE step = 3600"), i < 2 ? 3 * i + 3 : 0);
        add_records(store, &model, rows + 10 + 10 * i, 10, later);
        expect_rollups(&at, &model);
    }
    fold_all(store, later + HOUR_NS);
    expect_rollups(&at, &model);
}

// One server's clock is ahead: what it closed, another opens again, unless the day has it.
Test(store_rollups, clocks_that_differ_change_no_sum) {
    ez_log_row rows[] = {random_record(NOW), random_record(NOW - HOUR_NS), random_record(NOW + 60 * SECOND_NS)};
    add_records(store, &model, rows, 1, NOW);
    fold_all(store, NOW + HOUR_NS / 2 + 20 * SECOND_NS);
    cr_assert_eq(open_steps(3600), 0);
    cr_assert_eq(edge_of(86400), NOW / HOUR_NS * 3600 + 3600);
    add_records(store, &model, rows + 1, 2, NOW);
    cr_assert_eq(open_steps(3600), 0);
    expect_rollups(&at, &model);

    // The day as a whole, which begins again.
    fold_all(store, NOW + DAY_NS);
    cr_assert_eq(open_steps(86400), 0);
    rows[0].time_ns += 2 * HOUR_NS;
    add_records(store, &model, rows, 3, NOW + HOUR_NS);
    cr_assert_eq(open_steps(86400), 1);
    expect_rollups(&at, &model);
    fold_all(store, NOW + DAY_NS);
    expect_rollups(&at, &model);
}

Test(store_rollups, records_older_than_minutes_and_hours_go_to_their_hour_and_day) {
    ez_log_row rows[] = {random_record(NOW), random_record(NOW - 3 * DAY_NS), random_record(NOW - 100 * DAY_NS)};
    add_records(store, &model, rows, 3, NOW);
    expect_text("SELECT step, time_s FROM rollups WHERE level = 5 ORDER BY step, time_s",
                "60|1728048600\n3600|1727787600\n86400|1719360000\n86400|1727740800\n");
    expect_text("SELECT step, time_s FROM rollup_open ORDER BY step, time_s", "3600|1728046800\n86400|1728000000\n");
    expect_text("SELECT sum(records) FROM log_days", "3\n");
    expect_rollups(&at, &model);
    fold_all(store, NOW + HOUR_NS);
    expect_rollups(&at, &model);
}

Test(store_rollups, edges_wait_for_what_is_open) {
    ez_log_row row = random_record(NOW);
    int64_t later = NOW + 200 * DAY_NS;
    add_records(store, &model, &row, 1, NOW);
    long long before = number_of(&at, "SELECT minutes_from_s FROM log_head");
    cr_assert_eq(before, (NOW - 2 * DAY_NS) / HOUR_NS * 3600);
    trim(later);
    cr_assert_eq(number_of(&at, "SELECT minutes_from_s FROM log_head"), NOW / HOUR_NS * 3600);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM rollups WHERE step = 60"), 6);
    while (open_steps(3600))
        fold_some(1, later);
    trim(later);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM rollups WHERE step = 60"), 0);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM rollups WHERE step = 3600"), 8);
    cr_assert_eq(number_of(&at, "SELECT hours_from_s FROM log_head"), NOW / DAY_NS * 86400);
    fold_all(store, later);
    trim(later);
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
            fold_some(rand() % 200, now_ns + rand() % 70 * SECOND_NS);
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
    cr_assert_eq(open_steps(3600) + open_steps(86400), 0);
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
    fold_all(store, NOW + 3 * DAY_NS);
    cr_assert_eq(number_of(&at, "SELECT cost_nano_usd FROM rollups WHERE level = 1 AND step = 86400"),
                 EZ_USAGE_SUM_MAX);
}
