// SPDX-License-Identifier: Apache-2.0
//
// The numbers of a window that are kept in memory are those that the store has: whatever comes late, however the clock
// goes, whoever begins anew.
#include <stdatomic.h>
#include <string.h>

#include "scene.h"
#include "server/domain/alerts/detector_minutes.h"
#include "tests/support/wait.h"

#define IDS      24
#define MINUTE_S 60

static scene *s;
static ez_minutes keys, api_keys;
static uint32_t seed = 20;

static void begin(void) {
    s = given_scene();
    pass_time(MINUTE_S + 5 - scene_now_ns() / 1000000000 % MINUTE_S); // a minute has just begun
}

static void end(void) {
    ez_minutes_fini(&keys);
    ez_minutes_fini(&api_keys);
    end_scene(s);
}

TestSuite(detector_minutes, .init = begin, .fini = end);

static uint32_t next(uint32_t below) {
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % below;
}

// ---- Reading both ways

typedef struct look {
    ez_query query; // first: the query is the look
    ez_minutes *minutes;
    ez_minutes_ask ask;
    ez_rule_numbers kept[IDS + 1], whole[IDS + 1];
    atomic_bool is_done;
} look;

static void take_kept(void *user, int64_t id, const ez_rule_numbers *numbers) {
    look *it = user;
    cr_assert(id >= 0 && id <= IDS);
    cr_assert_eq(it->kept[id].requests, 0, "%lld came twice", (long long)id);
    it->kept[id] = *numbers;
}

static ez_status take_whole(void *user, const ez_stats_row *row, ez_error *error) {
    (void)error;
    look *it = user;
    cr_assert(row->id >= 0 && row->id <= IDS);
    it->whole[row->id] = (ez_rule_numbers){.requests = row->sums.requests, .errors = row->sums.errors};
    return EZ_OK;
}

static void read_both(ez_query *query, ez_reader *reader) {
    look *it = (look *)query;
    ez_error error = EZ_ERROR_INIT;
    ez_stats_query whole = {.by = it->ask.by,
                            .since_s = it->ask.since_s,
                            .until_s = it->ask.until_s,
                            .first_sums = 2,
                            .least_requests = it->ask.least_requests,
                            .least_errors = it->ask.least_errors};
    expect_ok(ez_minutes_each(it->minutes, reader, &it->ask, take_kept, it, &error), &error);
    expect_ok(ez_reader_each_stat(reader, &whole, take_whole, it, &error), &error);
    atomic_store(&it->is_done, true);
}

static void expect_same(ez_stats_by by, int32_t window, int64_t least_requests) {
    Ez__V1__AlertThresholds thresholds = EZ__V1__ALERT_THRESHOLDS__INIT;
    thresholds.window_minutes = window;
    look it = {.query = {.run = read_both}, .minutes = by == EZ_STATS_KEY ? &keys : &api_keys};
    it.ask = (ez_minutes_ask){.by = by, .least_requests = least_requests, .least_errors = 1};
    ez_rule_window(&thresholds, scene_now_ns() / 1000000000, &it.ask.since_s, &it.ask.until_s);
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_store_submit(s->state.store, &it.query, &error), &error);
    expect_soon(atomic_load(&it.is_done));
    for (int id = 0; id <= IDS; id++) {
        cr_assert_eq(it.kept[id].requests, it.whole[id].requests, "%d: %lld, %lld in the store", id,
                     (long long)it.kept[id].requests, (long long)it.whole[id].requests);
        cr_assert_eq(it.kept[id].errors, it.whole[id].errors, "%d", id);
    }
}

static void expect_all_same(int32_t window) {
    expect_same(EZ_STATS_KEY, window, 0);
    expect_same(EZ_STATS_API_KEY, window, 5);
}

static void add_some(int64_t ago_s) {
    int count = 1 + (int)next(6);
    add_requests(s, &(requests){.master_id = 1 + next(3),
                                .key_id = next(IDS + 1),
                                .group_id = 1 + next(2),
                                .api_key_id = next(IDS + 1),
                                .count = count,
                                .errors = (int)next((uint32_t)count + 1),
                                .status = 500,
                                .ago_s = ago_s});
}

static void fold(void) {
    ez_error error = EZ_ERROR_INIT;
    bool more = true;
    while (more)
        expect_ok(ez_store_fold_rollups(s->state.store, EZ_NO_FENCE, scene_now_ns(), &more, &error), &error);
}

// ---- Tests

Test(detector_minutes, what_is_kept_is_what_the_store_has) {
    for (int round = 0; round < 80; round++) {
        for (uint32_t i = next(4); i > 0; i--)
            add_some((int64_t)next(460) - 60); // late by more than the window, and ahead by a minute
        expect_all_same(5);
        pass_time((int64_t)next(90));
        expect_all_same(5);
        if (round % 9 == 0)
            fold();
        if (round % 25 == 10)
            ez_minutes_fini(&keys); // another server takes over
        if (round % 30 == 20)
            pass_time(3600);
        if (round % 30 == 25)
            pass_time(-240);
    }
}

Test(detector_minutes, a_window_may_become_longer_and_shorter) {
    const int32_t windows[] = {5, 60, 1, 30, 5};
    for (int64_t ago_s = 0; ago_s < 4000; ago_s += 250)
        add_some(ago_s);
    for (size_t i = 0; i < 5; i++) {
        expect_all_same(windows[i]);
        add_some(next(4000));
        fold();
        expect_all_same(windows[i]);
    }
}

Test(detector_minutes, only_what_is_new_is_read) {
    for (int64_t minute = 0; minute < 5; minute++)
        add_some(minute * MINUTE_S);
    expect_same(EZ_STATS_KEY, 5, 0);
    cr_assert_eq(keys.reads, 5u);
    expect_same(EZ_STATS_KEY, 5, 0);
    cr_assert_eq(keys.reads, 5u, "nothing came");
    add_some(0);
    add_some(3 * MINUTE_S);
    expect_same(EZ_STATS_KEY, 5, 0);
    cr_assert_eq(keys.reads, 7u, "the present minute and one that was late");
    pass_time(MINUTE_S);
    expect_same(EZ_STATS_KEY, 5, 0);
    cr_assert_eq(keys.reads, 7u, "a minute has begun, and has nothing yet");
    pass_time(3 * MINUTE_S);
    expect_same(EZ_STATS_KEY, 5, 0);
    cr_assert_leq(keys.count, 3u, "what is over is forgotten");
}

Test(detector_minutes, what_finds_no_room_is_read_each_time) {
    add_some(0);
    add_some(2 * MINUTE_S);
    keys.held = EZ_MINUTES_HELD;
    for (int i = 1; i <= 3; i++) {
        expect_same(EZ_STATS_KEY, 5, 0);
        cr_assert_eq(keys.count, 0u);
        cr_assert_eq(keys.reads, 2u * (unsigned)i);
    }
    keys.held = 0;
    expect_same(EZ_STATS_KEY, 5, 0);
    cr_assert_eq(keys.count, 2u);
}
