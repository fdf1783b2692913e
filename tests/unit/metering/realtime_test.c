// SPDX-License-Identifier: Apache-2.0
//
// Windows against the clock that each call is given: no test here waits.
#include <criterion/criterion.h>

#include "server/state/metering/realtime.h"
#include "tests/support/expect.h"

static ez_realtime *live;

static void begin(void) {
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_realtime_create(&live, &error), &error);
}

static void end(void) {
    ez_realtime_destroy(live);
}

TestSuite(realtime, .init = begin, .fini = end);

static void add(int64_t master, int64_t requests, uint64_t now_s) {
    ez_realtime_sums sums = {requests, 10 * requests, 1, 2};
    ez_realtime_add_master(live, master, &sums, now_s);
}

static ez_realtime_view view(int64_t master, uint64_t now_s) {
    ez_realtime_view out;
    ez_realtime_master(live, master, now_s, &out);
    return out;
}

Test(realtime, a_window_slides_by_the_second) {
    add(1, 5, 1000);
    add(1, 7, 1000);
    add(1, 3, 1055);
    cr_assert_eq(view(1, 1055).sums.requests, 15);
    cr_assert_eq(view(1, 1055).sums.tokens, 150);
    cr_assert_eq(view(1, 1055).sums.errors, 3);
    cr_assert_eq(view(1, 1055).sums.rate_limited, 6);
    cr_assert_eq(view(1, 1055).requests_short, 3);
    cr_assert_eq(view(1, 1059).sums.requests, 15, "60 seconds, the running one among them");
    cr_assert_eq(view(1, 1060).sums.requests, 3);
    cr_assert_eq(view(1, 1064).requests_short, 3);
    cr_assert_eq(view(1, 1065).requests_short, 0);
    cr_assert_eq(view(1, 1115).sums.requests, 0);
    cr_assert_eq(view(2, 1055).sums.requests, 0);
}

Test(realtime, the_sums_are_right_after_hours_of_traffic) {
    for (uint64_t s = 0; s < 10000; s++)
        add(1, (int64_t)(s % 7), s);
    int64_t want = 0, want_short = 0;
    for (uint64_t s = 10000 - 60; s < 10000; s++)
        want += (int64_t)(s % 7);
    for (uint64_t s = 10000 - 10; s < 10000; s++)
        want_short += (int64_t)(s % 7);
    cr_assert_eq(view(1, 9999).sums.requests, want);
    cr_assert_eq(view(1, 9999).requests_short, want_short);
}

Test(realtime, rates_are_of_10_and_of_60_seconds) {
    add(1, 30, 500);
    add(1, 30, 520);
    ez_realtime_view v = view(1, 525);
    Ez__V1__RealtimeStats stats = ez_realtime_stats(&v);
    cr_assert_float_eq(stats.qps_10s, 3, 1e-9);
    cr_assert_float_eq(stats.qps_60s, 1, 1e-9);
}

Test(realtime, the_system_is_apart_from_masters) {
    ez_realtime_sums sums = {9, 90, 0, 0};
    ez_realtime_add_system(live, &sums, 100);
    add(1, 4, 100);
    ez_realtime_view system;
    ez_realtime_system(live, 100, &system);
    cr_assert_eq(system.sums.requests, 9);
    ez_realtime_system(live, 160, &system);
    cr_assert_eq(system.sums.requests, 0);
}

Test(realtime, the_busiest_come_first) {
    for (int64_t id = 1; id <= 500; id++)
        add(id, id % 100, 100);
    ez_realtime_view out[10];
    cr_assert_eq(ez_realtime_busiest(live, 100, out, 10), 10);
    for (int i = 0; i < 10; i++)
        cr_assert_eq(out[i].sums.requests, i < 5 ? 99 : 98);
    cr_assert_eq(out[0].master_id, 99, "equals by their id");
    cr_assert_eq(ez_realtime_masters(live, 100), 500);
    cr_assert_eq(ez_realtime_masters(live, 160), 0);
    cr_assert_eq(ez_realtime_busiest(live, 160, out, 10), 0);
}

Test(realtime, only_changes_are_given_and_idle_masters_are_forgotten) {
    ez_realtime_view out[8];
    add(1, 5, 100);
    add(2, 6, 100);
    cr_assert_eq(ez_realtime_changed(live, 100, out, 8), 2);
    cr_assert_eq(ez_realtime_changed(live, 101, out, 8), 0);
    add(1, 1, 102);
    cr_assert_eq(ez_realtime_changed(live, 102, out, 8), 1);
    cr_assert_eq(out[0].master_id, 1);
    cr_assert_eq(ez_realtime_changed(live, 160, out, 8), 2, "that it went down is a change");
    cr_assert_eq(ez_realtime_changed(live, 162, out, 8), 1);
    cr_assert_eq(out[0].sums.requests, 0);
    cr_assert_eq(ez_realtime_changed(live, 163, out, 8), 0);
    add(1, 7, 164);
    cr_assert_eq(ez_realtime_changed(live, 164, out, 8), 1);
    cr_assert_eq(out[0].sums.requests, 7);
}

Test(realtime, that_the_last_ten_seconds_have_passed_is_a_change) {
    ez_realtime_view out[8];
    add(1, 5, 100);
    cr_assert_eq(ez_realtime_changed(live, 100, out, 8), 1);
    cr_assert_eq(ez_realtime_changed(live, 109, out, 8), 0);
    cr_assert_eq(ez_realtime_changed(live, 110, out, 8), 1);
    cr_assert_eq(out[0].sums.requests, 5);
    cr_assert_eq(out[0].requests_short, 0);
}

Test(realtime, those_without_room_are_given_next_time_or_forgotten) {
    ez_realtime_view out[2];
    for (int64_t id = 1; id <= 5; id++)
        add(id, id, 100);
    cr_assert_eq(ez_realtime_changed(live, 100, out, 2), 2);
    cr_assert_eq(out[0].master_id, 5);
    cr_assert_eq(ez_realtime_changed(live, 101, out, 2), 2);
    cr_assert_eq(out[0].master_id, 3);
    cr_assert_eq(ez_realtime_changed(live, 300, out, 2), 0, "none of their zeros wait for ever");
}

Test(realtime, masters_past_the_bound_are_not_kept_and_room_comes_back) {
    for (int64_t id = 1; id <= EZ_REALTIME_MASTERS_MAX + 10; id++)
        add(id, 1, 100);
    cr_assert_eq(ez_realtime_masters(live, 100), EZ_REALTIME_MASTERS_MAX);
    cr_assert_eq(view(EZ_REALTIME_MASTERS_MAX + 1, 100).sums.requests, 0);
    ez_realtime_view out[1];
    ez_realtime_changed(live, 300, out, 1);
    add(EZ_REALTIME_MASTERS_MAX + 1, 4, 300);
    add(3, 8, 300);
    cr_assert_eq(view(EZ_REALTIME_MASTERS_MAX + 1, 300).sums.requests, 4);
    cr_assert_eq(view(3, 300).sums.requests, 8);
    cr_assert_eq(ez_realtime_masters(live, 300), 2);
}

// Every third master goes quiet each round: the table loses and gains places all over.
Test(realtime, masters_come_and_go_and_are_found) {
    ez_realtime_view out[1];
    for (uint64_t round = 0; round < 30; round++) {
        uint64_t now = 1000 + 100 * round;
        for (int64_t id = 1; id <= 3000; id++)
            if ((id + (int64_t)round) % 3 != 0)
                add(id * 7919, id, now);
        for (int64_t id = 1; id <= 3000; id++)
            cr_assert_eq(view(id * 7919, now).sums.requests, (id + (int64_t)round) % 3 != 0 ? id : 0);
        ez_realtime_changed(live, now, out, 1);
        ez_realtime_changed(live, now + 99, out, 1);
    }
}

Test(realtime, numbers_as_great_as_they_come_do_not_overflow) {
    ez_realtime_sums sums = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};
    for (uint64_t s = 0; s < 200; s++)
        for (int i = 0; i < 3; i++)
            ez_realtime_add_master(live, 1, &sums, s);
    cr_assert_gt(view(1, 199).sums.requests, 0);
    cr_assert_eq(view(1, 400).sums.tokens, 0);
}
