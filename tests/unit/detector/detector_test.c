// SPDX-License-Identifier: Apache-2.0
//
// Rounds over real rollups, on each store.
#include <stdio.h>
#include <string.h>

#include "ez/v1/common.pb-c.h"
#include "proto/runtime/clock.h"
#include "scene.h"

#define RATE_LIMIT    EZ__V1__ALERT_TYPE__ALERT_TYPE_RATE_LIMIT
#define ERROR_SPIKE   EZ__V1__ALERT_TYPE__ALERT_TYPE_ERROR_SPIKE
#define QUOTA         EZ__V1__ALERT_TYPE__ALERT_TYPE_QUOTA_EXCEEDED
#define PROVIDER_DOWN EZ__V1__ALERT_TYPE__ALERT_TYPE_PROVIDER_DOWN
#define KEY_EXPIRED   EZ__V1__ALERT_TYPE__ALERT_TYPE_KEY_EXPIRED
#define KEY_DISABLED  EZ__V1__ALERT_TYPE__ALERT_TYPE_KEY_DISABLED
#define NS_PER_S      INT64_C(1000000000)

static scene *s;

static void begin(void) {
    s = given_scene();
}

static void end(void) {
    end_scene(s);
}

TestSuite(detector, .init = begin, .fini = end);

Test(detector, nothing_is_raised_where_all_is_well) {
    int64_t master = given_master(&s->state, "acme"), key = given_a_key(s, -1, 0), api_key = given_an_api_key(s);
    run_round(s);
    cr_assert_eq(s->raised_count + s->cleared_count + s->condemned_count, 0u);
    add_requests(s, &(requests){master, key, 1, api_key, .count = 100, .errors = 9, .status = 500});
    run_round(s);
    run_round(s);
    cr_assert_eq(s->raised_count + s->cleared_count + s->condemned_count, 0u);
}

Test(detector, a_key_with_many_errors_is_raised_each_round_until_it_is_well_for_two) {
    int64_t bad = given_a_key(s, -1, 0), good = given_a_key(s, -1, 0);
    add_requests(s, &(requests){1, bad, .count = 20, .errors = 2, .status = 500});
    add_requests(s, &(requests){1, good, .count = 20, .errors = 1, .status = 500});
    run_round(s);
    const told *alert = was_raised(s, ERROR_SPIKE, "key", bad);
    cr_assert(alert && s->raised_count == 1);
    cr_assert(strstr(alert->message, "10.0 % of 20 requests"), "%s", alert->message);
    cr_assert(strstr(alert->metadata, "\"errors\":2"), "%s", alert->metadata);
    pass_time(60);
    run_round(s);
    cr_assert(was_raised(s, ERROR_SPIKE, "key", bad), "it still holds");
    pass_time(360); // out of the window
    run_round(s);
    cr_assert_eq(s->raised_count + s->cleared_count, 0u, "gone for one round");
    run_round(s);
    cr_assert(s->cleared_count == 1 && was_cleared(s, ERROR_SPIKE, "key", bad));
    run_round(s);
    cr_assert_eq(s->raised_count + s->cleared_count, 0u);
}

Test(detector, what_comes_late_counts_while_it_is_of_the_window) {
    int64_t key = given_a_key(s, -1, 0), old = given_a_key(s, -1, 0), ahead = given_a_key(s, -1, 0);
    run_round(s);
    add_requests(s, &(requests){1, key, .count = 30, .errors = 30, .status = 503, .ago_s = 240});
    add_requests(s, &(requests){1, old, .count = 30, .errors = 30, .status = 503, .ago_s = 900});
    add_requests(s, &(requests){1, ahead, .count = 30, .errors = 30, .status = 503, .ago_s = -30});
    run_round(s);
    cr_assert(was_raised(s, ERROR_SPIKE, "key", key));
    cr_assert_not(was_raised(s, ERROR_SPIKE, "key", old));
    cr_assert(was_raised(s, ERROR_SPIKE, "key", ahead));
}

Test(detector, a_master_that_is_refused_is_raised_from_logs_and_from_counters) {
    int64_t logged = given_master(&s->state, "a"), counted = given_master(&s->state, "b");
    int64_t well = given_master(&s->state, "c");
    add_requests(s, &(requests){.master_id = logged, .count = 5, .errors = 1, .status = 429});
    add_requests(s, &(requests){.master_id = well, .count = 5, .errors = 5, .status = 500});
    ez_realtime_sums sums = {.requests = 40, .rate_limited = 3};
    ez_realtime_add_master(s->realtime, counted, &sums, ez_clock_mono_ms() / 1000);
    run_round(s);
    cr_assert(was_raised(s, RATE_LIMIT, "master", logged));
    cr_assert(was_raised(s, RATE_LIMIT, "master", counted));
    cr_assert_eq(s->raised_count, 2u);
}

Test(detector, a_provider_that_fails_is_raised_and_condemned) {
    int64_t down = given_an_api_key(s), kept = given_an_api_key(s), well = given_an_api_key(s);
    Ez__V1__ApiKey without = EZ__V1__API_KEY__INIT;
    without.id = kept;
    without.group_id = 1;
    without.status = EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE;
    without.opt_auto_ban_case = EZ__V1__API_KEY__OPT_AUTO_BAN_AUTO_BAN;
    change_api_key(s, &without);
    add_requests(s, &(requests){.group_id = 1, .api_key_id = down, .count = 10, .errors = 5, .status = 502});
    add_requests(s, &(requests){.group_id = 1, .api_key_id = kept, .count = 10, .errors = 5, .status = 502});
    add_requests(s, &(requests){.group_id = 1, .api_key_id = well, .count = 10, .errors = 4, .status = 502});
    run_round(s);
    cr_assert(was_raised(s, PROVIDER_DOWN, "api_key", down) && was_raised(s, PROVIDER_DOWN, "api_key", kept));
    cr_assert_eq(s->raised_count, 2u);
    cr_assert(s->condemned_count == 1 && s->condemned[0].api_key_id == down);
    cr_assert(s->condemned[0].requests == 10 && s->condemned[0].errors == 5);
}

// An API key whose ban ended so many seconds ago.
static int64_t given_an_unbanned_api_key(int64_t ago_s) {
    Google__Protobuf__Timestamp ended = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    Ez__V1__ApiKey key = EZ__V1__API_KEY__INIT;
    ended.seconds = scene_now_ns() / NS_PER_S - ago_s;
    key.group_id = 1;
    key.status = EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE;
    key.ban_ended_at = &ended;
    return put(s, EZ__V1__KIND__KIND_API_KEY, &key.base);
}

Test(detector, what_failed_before_a_ban_condemns_no_more) {
    int64_t fixed = given_an_unbanned_api_key(120), broken = given_an_unbanned_api_key(120);
    add_requests(
        s, &(requests){.group_id = 1, .api_key_id = fixed, .count = 50, .errors = 50, .status = 401, .ago_s = 200});
    add_requests(s, &(requests){.group_id = 1, .api_key_id = fixed, .count = 50});
    add_requests(s, &(requests){.group_id = 1, .api_key_id = broken, .count = 50, .status = 401, .ago_s = 200});
    add_requests(s, &(requests){.group_id = 1, .api_key_id = broken, .count = 20, .errors = 20, .status = 401});
    run_round(s);
    cr_assert_not(was_raised(s, PROVIDER_DOWN, "api_key", fixed));
    cr_assert_eq(s->raised_count, 0u, "70 requests with 20 failures are no trouble either");
    add_requests(s, &(requests){.group_id = 1, .api_key_id = broken, .count = 60, .errors = 60, .status = 401});
    run_round(s);
    cr_assert(was_raised(s, PROVIDER_DOWN, "api_key", broken));
    cr_assert(s->condemned_count == 1 && s->condemned[0].api_key_id == broken);
    cr_assert_eq(s->condemned[0].requests, 80, "those since its ban");
}

Test(detector, a_quota_is_judged_by_the_counters) {
    int64_t nearly = given_a_key(s, 1000, 0), over = given_a_key(s, 1000, 0), well = given_a_key(s, 1000, 0);
    int64_t unlimited = given_a_key(s, -1, 0), expired = given_a_key(s, 1000, scene_now_ns() - 7200 * NS_PER_S);
    const struct {
        int64_t id, used;
    } all[] = {{nearly, 900}, {over, 1001}, {well, 899}, {unlimited, 99999}, {expired, 1000}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        ez_counters_note(s->counters, EZ_USAGE_KEYS, all[i].id, &(ez_usage_sums){.quota_used = all[i].used});
    run_round(s);
    const told *first = was_raised(s, QUOTA, "key", nearly), *second = was_raised(s, QUOTA, "key", over);
    cr_assert(first && second && s->raised_count == 2);
    cr_assert_eq(first->severity, EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_WARNING);
    cr_assert_eq(second->severity, EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_CRITICAL);
    drop(s, EZ__V1__KIND__KIND_KEY, over);
    run_round(s);
    run_round(s);
    cr_assert(was_cleared(s, QUOTA, "key", over), "it is gone");
}

Test(detector, an_expiry_is_told_once) {
    int64_t later = given_a_key(s, -1, scene_now_ns() + 90 * NS_PER_S);
    int64_t just = given_a_key(s, -1, scene_now_ns() - 5 * NS_PER_S);
    int64_t long_ago = given_a_key(s, -1, scene_now_ns() - 86400 * NS_PER_S);
    run_round(s);
    cr_assert(was_raised(s, KEY_EXPIRED, "key", just) && s->raised_count == 1);
    run_round(s);
    cr_assert_eq(s->raised_count, 0u);
    pass_time(120);
    run_round(s);
    cr_assert(was_raised(s, KEY_EXPIRED, "key", later) && s->raised_count == 1);
    drop(s, EZ__V1__KIND__KIND_KEY, just);
    run_round(s);
    run_round(s);
    cr_assert(s->cleared_count == 1 && was_cleared(s, KEY_EXPIRED, "key", just));
    cr_assert_not(was_raised(s, KEY_EXPIRED, "key", long_ago));
}

Test(detector, an_api_key_that_was_banned_by_itself_is_told_until_the_ban_ends) {
    Google__Protobuf__Timestamp until = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    Ez__V1__ApiKey key = EZ__V1__API_KEY__INIT;
    until.seconds = scene_now_ns() / NS_PER_S + 100;
    key.group_id = 1;
    key.status = EZ__V1__API_KEY_STATUS__API_KEY_STATUS_BANNED;
    key.ban_until = &until;
    int64_t by_an_admin = put(s, EZ__V1__KIND__KIND_API_KEY, &key.base);
    key.id = 0;
    key.is_auto_banned = true;
    int64_t by_itself = put(s, EZ__V1__KIND__KIND_API_KEY, &key.base);
    run_round(s);
    cr_assert(was_raised(s, KEY_DISABLED, "api_key", by_itself) && s->raised_count == 1);
    cr_assert_not(was_raised(s, KEY_DISABLED, "api_key", by_an_admin));
    pass_time(120);
    run_round(s);
    run_round(s);
    cr_assert(s->cleared_count == 1 && was_cleared(s, KEY_DISABLED, "api_key", by_itself));
}

Test(detector, thresholds_hold_from_the_next_round_on) {
    int64_t key = given_a_key(s, -1, 0);
    add_requests(s, &(requests){1, key, .count = 20, .errors = 10, .status = 500});
    run_round(s);
    cr_assert(was_raised(s, ERROR_SPIKE, "key", key));
    Ez__V1__AlertThresholds thresholds = EZ__V1__ALERT_THRESHOLDS__INIT;
    thresholds.opt_error_spike_case = EZ__V1__ALERT_THRESHOLDS__OPT_ERROR_SPIKE_ERROR_SPIKE;
    set_thresholds(s, &thresholds);
    run_round(s);
    cr_assert_eq(s->raised_count, 0u);
    run_round(s);
    cr_assert(was_cleared(s, ERROR_SPIKE, "key", key), "a rule that is off holds of nothing");
    thresholds.error_spike = true;
    thresholds.opt_error_spike_percent_case = EZ__V1__ALERT_THRESHOLDS__OPT_ERROR_SPIKE_PERCENT_ERROR_SPIKE_PERCENT;
    thresholds.error_spike_percent = 50.5;
    set_thresholds(s, &thresholds);
    run_round(s);
    cr_assert_eq(s->raised_count, 0u);
    thresholds.error_spike_percent = 50;
    set_thresholds(s, &thresholds);
    run_round(s);
    cr_assert(was_raised(s, ERROR_SPIKE, "key", key));
}

Test(detector, what_is_of_nothing_that_is_there_is_not_told) {
    add_requests(s, &(requests){.master_id = 900,
                                .key_id = 901,
                                .group_id = 902,
                                .api_key_id = 903,
                                .count = 50,
                                .errors = 50,
                                .status = 429});
    add_requests(s, &(requests){.count = 50, .errors = 50, .status = 429}); // names nothing
    run_round(s);
    cr_assert_eq(s->raised_count + s->condemned_count, 0u);
}

Test(detector, what_the_alerts_did_not_take_is_told_again) {
    int64_t key = given_a_key(s, -1, 0);
    add_requests(s, &(requests){1, key, .count = 20, .errors = 20, .status = 500});
    s->refuses_raises = true;
    run_round(s);
    s->refuses_raises = false;
    run_round(s);
    cr_assert(was_raised(s, ERROR_SPIKE, "key", key));
    pass_time(420);
    s->refuses_clears = true;
    run_round(s);
    run_round(s);
    run_round(s);
    s->refuses_clears = false;
    run_round(s);
    cr_assert(was_cleared(s, ERROR_SPIKE, "key", key));
}

Test(detector, an_expiry_that_the_alerts_did_not_take_is_told_again) {
    int64_t first = given_a_key(s, -1, scene_now_ns() - 5 * NS_PER_S);
    s->refuses_raises = true;
    run_round(s);
    pass_time(60);
    run_round(s);
    s->refuses_raises = false;
    int64_t second = given_a_key(s, -1, scene_now_ns() - 5 * NS_PER_S);
    run_round(s);
    cr_assert(was_raised(s, KEY_EXPIRED, "key", first) && was_raised(s, KEY_EXPIRED, "key", second));
    run_round(s);
    cr_assert_eq(s->raised_count, 0u);
}

Test(detector, an_expiry_whose_alert_was_closed_is_not_told_by_the_next_holder) {
    int64_t closed = given_a_key(s, -1, scene_now_ns() - 5 * NS_PER_S);
    int64_t open = given_a_key(s, -1, scene_now_ns() - 5 * NS_PER_S);
    int64_t fresh = given_a_key(s, -1, scene_now_ns() - 5 * NS_PER_S);
    given_alert(s, KEY_EXPIRED, "key", closed, true);
    s->open[s->open_count++] = (told){.type = KEY_EXPIRED, .related_type = "key", .related_id = open};
    run_round(s);
    cr_assert(was_raised(s, KEY_EXPIRED, "key", fresh) && s->raised_count == 1);
    restart_detector(s);
    pass_time(8000);
    run_round(s);
    cr_assert_eq(s->raised_count, 0u);
}

// What was said just now may be newer than what this server knows.
Test(detector, data_planes_that_an_open_alert_is_about_are_looked_at_again) {
    given_alert(s, EZ__V1__ALERT_TYPE__ALERT_TYPE_DATA_PLANE_LOST, "data_plane", 7, false);
    given_alert(s, EZ__V1__ALERT_TYPE__ALERT_TYPE_CONFIG_REJECTED, "data_plane", 8, false);
    given_alert(s, EZ__V1__ALERT_TYPE__ALERT_TYPE_DATA_PLANE_LOST, "data_plane", 9, true);
    given_alert(s, EZ__V1__ALERT_TYPE__ALERT_TYPE_PROVIDER_DOWN, "api_key", 10, false);
    run_round(s);
    cr_assert_eq(s->looked_count, 0u);
    pass_time(40);
    run_round(s);
    cr_assert(s->looked_count == 2 && s->looked[0] == 7 && s->looked[1] == 8);
}

typedef struct many {
    int count;
    int64_t first;
} many;

static ez_status put_many(void *self, ez_call *call, void *txn, ProtobufCMessage *request) {
    (void)request;
    many *it = self;
    for (int i = 0; i < it->count; i++) {
        Ez__V1__ApiKey key = EZ__V1__API_KEY__INIT;
        key.group_id = 1;
        key.status = EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE;
        ez_status status = ez_txn_put(txn, EZ__V1__KIND__KIND_API_KEY, &key.base, &call->error);
        if (status != EZ_OK)
            return status;
        it->first = i ? it->first : key.id;
    }
    return EZ_OK;
}

Test(detector, a_flood_is_bounded_and_what_was_told_stays) {
    many all = {.count = 5600};
    ez_call *call = given_call("test");
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_writer_run(s->state.writer, call, put_many, &all, NULL, &error), &error);
    ez_call_destroy_system(call);
    requests failed = {
        .group_id = 1, .api_key_id = all.first + 600, .api_keys = 5000, .count = 10, .errors = 10, .status = 500};
    add_requests(s, &failed);
    run_round(s);
    cr_assert_eq(s->raised_count, 5000u);
    cr_assert_eq(s->condemned_count, (size_t)EZ_CONDEMNED_MAX);
    failed.api_key_id = all.first; // of lower ids than those that are told
    failed.api_keys = 600;
    add_requests(s, &failed);
    run_round(s);
    cr_assert_eq(s->raised_count, 5000u);
    cr_assert(was_raised(s, PROVIDER_DOWN, "api_key", all.first + 600));
    cr_assert_not(was_raised(s, PROVIDER_DOWN, "api_key", all.first));
}
