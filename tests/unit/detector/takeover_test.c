// SPDX-License-Identifier: Apache-2.0
//
// A detector that begins where another one was: after a restart, or with the lease.
#include <string.h>

#include "ez/v1/common.pb-c.h"
#include "scene.h"

#define ERROR_SPIKE   EZ__V1__ALERT_TYPE__ALERT_TYPE_ERROR_SPIKE
#define PROVIDER_DOWN EZ__V1__ALERT_TYPE__ALERT_TYPE_PROVIDER_DOWN
#define KEY_EXPIRED   EZ__V1__ALERT_TYPE__ALERT_TYPE_KEY_EXPIRED
#define NS_PER_S      INT64_C(1000000000)

static scene *s;

static void begin(void) {
    s = given_scene();
}

static void end(void) {
    end_scene(s);
}

TestSuite(detector_takeover, .init = begin, .fini = end);

static void given_open(Ez__V1__AlertType type, const char *related_type, int64_t id) {
    told *one = &s->open[s->open_count++];
    *one = (told){.type = type, .related_id = id};
    strcpy(one->related_type, related_type);
}

Test(detector_takeover, what_is_open_and_over_is_resolved) {
    int64_t well = given_a_key(s, -1, 0), bad = given_a_key(s, -1, 0);
    int64_t expired = given_a_key(s, -1, scene_now_ns() - 86400 * NS_PER_S);
    given_open(ERROR_SPIKE, "key", well);
    given_open(ERROR_SPIKE, "key", bad);
    given_open(PROVIDER_DOWN, "api_key", 4711); // deleted meanwhile
    given_open(KEY_EXPIRED, "key", expired);
    given_open(ERROR_SPIKE, "master", 3); // none of ours
    add_requests(s, &(requests){1, bad, .count = 20, .errors = 20, .status = 500});
    run_round(s);
    cr_assert_eq(s->cleared_count, 0u);
    cr_assert(s->raised_count == 1 && was_raised(s, ERROR_SPIKE, "key", bad));
    run_round(s);
    cr_assert(was_cleared(s, ERROR_SPIKE, "key", well) && was_cleared(s, PROVIDER_DOWN, "api_key", 4711));
    cr_assert_eq(s->cleared_count, 2u, "the other two still hold");
    cr_assert_eq(s->open_asked, 1);
}

Test(detector_takeover, only_the_holder_looks) {
    s->is_holder = false;
    ez_detector_tick(s->detector);
    cr_assert_not(ez_detector_look(s->detector).is_running);
    cr_assert_eq(ez_detector_look(s->detector).rounds, 0u);
    s->is_holder = true;
    run_round(s);
    cr_assert_eq(ez_detector_look(s->detector).rounds, 1u);
}

Test(detector_takeover, a_lease_that_came_back_is_a_new_one) {
    int64_t key = given_a_key(s, -1, 0);
    add_requests(s, &(requests){1, key, .count = 20, .errors = 20, .status = 500});
    run_round(s);
    cr_assert(was_raised(s, ERROR_SPIKE, "key", key));
    s->token = 3; // another server had it, and resolved what was over
    pass_time(420);
    run_round(s);
    run_round(s);
    run_round(s);
    cr_assert_eq(s->cleared_count, 0u, "what this one held before is not known to be open");
    cr_assert_eq(s->open_asked, 2);
}

Test(detector_takeover, a_round_that_can_not_read_tells_nothing) {
    int64_t key = given_a_key(s, -1, 0);
    given_open(ERROR_SPIKE, "key", key);
    s->is_open_failing = true;
    for (int i = 0; i < 3; i++)
        run_round(s);
    cr_assert_eq(ez_detector_look(s->detector).failed, 3u);
    cr_assert_eq(s->cleared_count + s->raised_count, 0u);
    s->is_open_failing = false;
    run_round(s);
    run_round(s);
    cr_assert(was_cleared(s, ERROR_SPIKE, "key", key));
}

Test(detector_takeover, a_restart_does_not_tell_old_expiries_anew) {
    int64_t key = given_a_key(s, -1, scene_now_ns() - 600 * NS_PER_S);
    run_round(s);
    cr_assert(was_raised(s, KEY_EXPIRED, "key", key));
    given_open(KEY_EXPIRED, "key", key);
    restart_detector(s);
    run_round(s);
    cr_assert_eq(s->raised_count, 0u, "it is open");
    pass_time(7200);
    s->open_count = 0; // an admin dismissed it
    restart_detector(s);
    run_round(s);
    cr_assert_eq(s->raised_count, 0u, "it was long ago");
}
