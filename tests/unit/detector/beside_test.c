// SPDX-License-Identifier: Apache-2.0
//
// Keys and API keys are read beside each other: whichever takes longer or fails, a round ends once, and whole or not at
// all.
#include <stdatomic.h>
#include <time.h>

#include "scene.h"

#define ERROR_SPIKE   EZ__V1__ALERT_TYPE__ALERT_TYPE_ERROR_SPIKE
#define PROVIDER_DOWN EZ__V1__ALERT_TYPE__ALERT_TYPE_PROVIDER_DOWN

static scene *s;
static int64_t key, api_key;
static atomic_int slow_by = -1, failing_by = -1; // an ez_stats_by

ez_status __real_ez_reader_each_of_minute(ez_reader *reader, ez_stats_by by, int64_t minute_s, ez_minute_fn *each,
                                          void *user, ez_error *error);
ez_status __wrap_ez_reader_each_of_minute(ez_reader *reader, ez_stats_by by, int64_t minute_s, ez_minute_fn *each,
                                          void *user, ez_error *error);
ez_status __wrap_ez_reader_each_of_minute(ez_reader *reader, ez_stats_by by, int64_t minute_s, ez_minute_fn *each,
                                          void *user, ez_error *error) {
    if (atomic_load(&slow_by) == (int)by)
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    if (atomic_load(&failing_by) == (int)by)
        return ez_error_set(error, EZ_UNAVAILABLE, "STORE_BUSY", "busy");
    return __real_ez_reader_each_of_minute(reader, by, minute_s, each, user, error);
}

static void begin(void) {
    s = given_scene();
    key = given_a_key(s, -1, 0);
    api_key = given_an_api_key(s);
    add_requests(s, &(requests){1, key, 1, api_key, .count = 20, .errors = 20, .status = 500});
}

static void end(void) {
    end_scene(s);
}

TestSuite(detector_beside, .init = begin, .fini = end);

static void expect_both_told(void) {
    run_round(s);
    cr_assert_not_null(was_raised(s, ERROR_SPIKE, "key", key));
    cr_assert_not_null(was_raised(s, PROVIDER_DOWN, "api_key", api_key));
    cr_assert_eq(s->condemned_count, 1u);
}

static void expect_nothing_told(void) {
    run_round(s);
    cr_assert_eq(s->raised_count + s->cleared_count, 0u);
    cr_assert_eq(ez_detector_look(s->detector).failed, 1u);
}

Test(detector_beside, either_may_take_longer) {
    const ez_stats_by slow[] = {EZ_STATS_KEY, EZ_STATS_API_KEY};
    for (int i = 0; i < 2; i++) {
        atomic_store(&slow_by, (int)slow[i]);
        restart_detector(s);
        expect_both_told();
        cr_assert_eq(ez_detector_look(s->detector).rounds, 1u);
    }
}

Test(detector_beside, a_round_of_which_one_half_fails_tells_nothing) {
    const ez_stats_by both[] = {EZ_STATS_KEY, EZ_STATS_API_KEY};
    for (int i = 0; i < 4; i++) {
        atomic_store(&slow_by, (int)both[i % 2]);
        atomic_store(&failing_by, (int)both[i / 2]);
        restart_detector(s);
        expect_nothing_told();
        atomic_store(&failing_by, -1);
        expect_both_told();
    }
}
