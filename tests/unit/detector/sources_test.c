// SPDX-License-Identifier: Apache-2.0
//
// What other folders notice, as alerts: in order, many at once, and kept while the alerts take nothing.
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "server/jobs/alert_sources.h"

#define LOST     EZ__V1__ALERT_TYPE__ALERT_TYPE_DATA_PLANE_LOST
#define REJECTED EZ__V1__ALERT_TYPE__ALERT_TYPE_CONFIG_REJECTED
#define FAILED   EZ__V1__ALERT_TYPE__ALERT_TYPE_SYNC_FAILED

typedef struct told {
    bool is_over;
    Ez__V1__AlertType type;
    int64_t id;
} told;

static ez_alert_sources *sources;
static told all[40000];
static int64_t befores[40000];
static size_t count, calls;
static bool refuses;
static char last_message[512];

static bool on_raise(void *user, const ez_alert_report *reports, size_t n, const char *by) {
    (void)user;
    cr_assert(n > 0 && n <= EZ_ALERTS_AT_ONCE && strcmp(by, "detector") == 0);
    for (size_t i = 0; i < n && !refuses; i++) {
        json_t *json = json_loads(reports[i].metadata, 0, NULL);
        cr_assert_not_null(json, "%s", reports[i].metadata);
        json_decref(json);
        snprintf(last_message, sizeof last_message, "%s", reports[i].message);
        all[count++] = (told){false, reports[i].type, reports[i].related_id};
    }
    calls++;
    return !refuses;
}

static bool on_clear(void *user, const ez_alert_subject *subjects, size_t n, const char *by) {
    (void)user;
    cr_assert(n > 0 && n <= EZ_ALERTS_AT_ONCE && strcmp(by, "detector") == 0);
    for (size_t i = 0; i < n && !refuses; i++) {
        befores[count] = subjects[i].seen_before_ns;
        all[count++] = (told){true, subjects[i].type, subjects[i].related_id};
    }
    calls++;
    return !refuses;
}

static void begin(void) {
    ez_error error = EZ_ERROR_INIT;
    ez_alert_sources_options options = {.raise = on_raise, .clear = on_clear};
    cr_assert_eq(ez_alert_sources_create(&options, &sources, &error), EZ_OK);
}

static void end(void) {
    ez_alert_sources_destroy(sources);
}

TestSuite(alert_sources, .init = begin, .fini = end);

static void notice(ez_fleet_notice_type type, int64_t id) {
    ez_fleet_notice what = {.type = type, .id = id, .applied = 7, .rejected = 2, .kind = 2, .row_id = 5};
    strcpy(what.reason, "no such namespace");
    ez_alert_sources_fleet(sources, &what);
}

static void expect_told(const told *want, size_t n) {
    ez_alert_sources_tick(sources);
    cr_assert_eq(count, n);
    for (size_t i = 0; i < n; i++)
        cr_assert(all[i].is_over == want[i].is_over && all[i].type == want[i].type && all[i].id == want[i].id, "%zu",
                  i);
    count = 0;
}

Test(alert_sources, what_is_noticed_is_told_in_order) {
    notice(EZ_FLEET_LOST, 3);
    notice(EZ_FLEET_REJECTED, 4);
    notice(EZ_FLEET_BACK, 3);
    notice(EZ_FLEET_ACCEPTED, 4);
    notice(EZ_FLEET_REMOVED, 5);
    ez_alert_sources_redis_failed(sources, "key 12");
    ez_alert_sources_redis_healed(sources);
    expect_told((told[]){{false, LOST, 3},
                         {false, REJECTED, 4},
                         {true, LOST, 3},
                         {true, REJECTED, 4},
                         {true, LOST, 5},
                         {true, REJECTED, 5},
                         {false, FAILED, 0},
                         {true, FAILED, 0}},
                8);
    expect_told(NULL, 0);
}

Test(alert_sources, alerts_say_what_it_is) {
    notice(EZ_FLEET_REJECTED, 4);
    ez_alert_sources_tick(sources);
    cr_assert(strstr(last_message, "key 5: no such namespace"), "%s", last_message);
    ez_alert_sources_redis_failed(sources, "key 12");
    ez_alert_sources_tick(sources);
    cr_assert(strstr(last_message, "would not take key 12"), "%s", last_message);
    ez_alert_sources_redis_failed(sources, "redis");
    ez_alert_sources_tick(sources);
    cr_assert(strstr(last_message, "Redis is away"), "%s", last_message);
}

Test(alert_sources, a_flood_goes_by_the_hundred) {
    for (int64_t id = 1; id <= 10000; id++)
        notice(EZ_FLEET_LOST, id);
    ez_alert_sources_tick(sources);
    cr_assert_eq(count, 10000u);
    cr_assert_eq(calls, 100u);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(all[i].id, (int64_t)i + 1);
}

Test(alert_sources, what_is_not_taken_stays_and_there_is_a_bound) {
    refuses = true;
    for (int64_t id = 1; id <= 20000; id++)
        notice(id % 2 ? EZ_FLEET_LOST : EZ_FLEET_BACK, id);
    ez_alert_sources_tick(sources);
    cr_assert_eq(calls, 1u, "the first that is refused ends it");
    refuses = false;
    ez_alert_sources_tick(sources);
    cr_assert_eq(count, (size_t)EZ_ALERT_SOURCES_MAX, "the oldest");
    cr_assert_eq(all[count - 1].id, EZ_ALERT_SOURCES_MAX);
    count = 0;
    notice(EZ_FLEET_LOST, 1);
    expect_told((told[]){{false, LOST, 1}}, 1);
}

// It may be lost at another server since: that one's word counts.
Test(alert_sources, an_end_that_is_told_again_is_for_alerts_that_are_old) {
    int64_t now_ns = ez_clock_wall_ns();
    ez_alert_sources_fleet(sources, &(ez_fleet_notice){.type = EZ_FLEET_BACK, .id = 1});
    ez_alert_sources_fleet(sources, &(ez_fleet_notice){.type = EZ_FLEET_BACK, .id = 2, .is_again = true});
    ez_alert_sources_tick(sources);
    cr_assert_eq(count, 2u);
    cr_assert_eq(befores[0], 0);
    cr_assert(befores[1] > 0 && befores[1] >= now_ns - INT64_C(30000000000) && befores[1] < ez_clock_wall_ns());
}
