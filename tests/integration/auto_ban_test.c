// SPDX-License-Identifier: Apache-2.0
//
// Thresholds as admins set them, and auto-ban from end to end: a data plane ships failures, the API key is banned
// through the feed, serves again when the ban ends, and is banned again where it still fails. What a detector that
// begins takes over from the store.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "ez/v1/alert.pb-c.h"
#include "ez/v1/alert_threshold.pb-c.h"
#include "proto/runtime/clock.h"
#include "tests/integration/support/plane.h"
#include "tests/integration/support/trail.h"

#define ACTIVE EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE
#define BANNED EZ__V1__API_KEY_STATUS__API_KEY_STATUS_BANNED

static ez_world w;

static void begin(void) {
    static const char *const env[] = {"EZ_ALERT_SECONDS=1", "EZ_AUTO_BAN_SECONDS=2", NULL};
    given_world(&w, env);
}

static void end(void) {
    end_world(&w);
}

TestSuite(auto_ban, .init = begin, .fini = end);

// ---- Thresholds

Test(auto_ban, thresholds_have_defaults_and_are_laid_over_them) {
    Ez__V1__AlertThresholds *t = ask(&w.admin, "Thresholds/Get", "{}");
    cr_assert(t->window_minutes == 5 && t->rate_limit_hits == 1 && t->error_spike_percent == 10);
    cr_assert(t->error_spike_requests == 20 && t->quota_exceeded_percent == 90 && t->provider_down_percent == 50);
    cr_assert(t->provider_down_requests == 10 && t->rate_limit && t->error_spike && t->quota_exceeded);
    cr_assert(t->provider_down && t->key_expired && t->revision == 0);
    t = ask(&w.admin, "Thresholds/Update",
            "{'thresholds':{'error_spike_percent':12.5,'rate_limit':false,'window_minutes':10},"
            "'update_mask':['error_spike_percent','rate_limit','window_minutes']}");
    cr_assert(t->error_spike_percent == 12.5 && !t->rate_limit && t->window_minutes == 10);
    cr_assert(t->quota_exceeded && t->quota_exceeded_percent == 90);
    cr_assert_eq(t->revision, w.admin.info.revision);
    t = ask(&w.admin, "Thresholds/Update", "{'thresholds':{'error_spike_requests':7}}");
    cr_assert(t->error_spike_requests == 7 && t->error_spike_percent == 12.5 && !t->rate_limit);
    uint64_t revision = t->revision;
    t = ask(&w.admin, "Thresholds/Update", "{'thresholds':{'error_spike_requests':7}}");
    cr_assert_eq(t->revision, revision, "what changes nothing is no revision");
    restart_server(&w.server);
    await_answers(&w);
    t = ask(&w.admin, "Thresholds/Get", "{}");
    cr_assert(t->error_spike_percent == 12.5 && t->revision == revision);
    t = ask(&w.admin, "Thresholds/Update", "{'thresholds':{},'update_mask':['error_spike_percent','rate_limit']}");
    cr_assert(t->error_spike_percent == 10 && t->rate_limit, "cleared is the default");
    ez_trail trail = given_trail(&w, 0, 0);
    cr_assert_str_eq(trail.entries[0]->method, "ez.v1.Thresholds/Update");
    end_trail(&trail);
}

Test(auto_ban, thresholds_that_can_not_be_are_refused) {
    static const char *const bad[] = {"-1", "0", "101"};
    static const char *const fields[] = {"error_spike_percent", "quota_exceeded_percent", "provider_down_percent",
                                         "window_minutes"};
    uint64_t revision = revision_of(&w);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        for (size_t f = 0; f < sizeof fields / sizeof fields[0]; f++)
            expect_refused(&w.admin, EZ_INVALID_ARGUMENT, NULL, "Thresholds/Update",
                           "{'thresholds':{'%s':%s},'update_mask':['%s']}", fields[f], bad[i], fields[f]);
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, NULL, "Thresholds/Update", "{'thresholds':{'rate_limit_hits':0}}");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, NULL, "Thresholds/Update",
                   "{'thresholds':{'error_spike_requests':0}}");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, NULL, "Thresholds/Update", "{}");
    // A binary client can send what JSON can't say.
    Ez__V1__AlertThresholds t = EZ__V1__ALERT_THRESHOLDS__INIT;
    Ez__V1__UpdateThresholdsRequest request = EZ__V1__UPDATE_THRESHOLDS_REQUEST__INIT;
    request.thresholds = &t;
    t.opt_provider_down_percent_case = EZ__V1__ALERT_THRESHOLDS__OPT_PROVIDER_DOWN_PERCENT_PROVIDER_DOWN_PERCENT;
    const double odd[] = {__builtin_nan(""), __builtin_inf(), -__builtin_inf(), 0, -1, 101};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        t.provider_down_percent = odd[i];
        cr_assert_eq(try_message(&w.admin, NULL, "Thresholds/Update", &request.base), EZ_INVALID_ARGUMENT);
        cr_assert_str_eq(w.admin.error.violations[0].field, "thresholds.provider_down_percent");
    }
    cr_assert_eq(revision_of(&w), revision, "and nothing was changed");
}

Test(auto_ban, thresholds_are_for_admins) {
    ez_caller plane = caller_with(&w, given_plane(&w.admin, "dp")->token);
    expect_refused(&plane, EZ_PERMISSION_DENIED, NULL, "Thresholds/Get", "{}");
    expect_refused(&plane, EZ_PERMISSION_DENIED, NULL, "Thresholds/Update", "{'thresholds':{'rate_limit_hits':5}}");
    ez_caller nobody = caller_with(&w, "");
    expect_refused(&nobody, EZ_UNAUTHENTICATED, NULL, "Thresholds/Get", "{}");
}

// ---- Auto-ban

// Ten failures at this time.
static void ship_failures(ez_caller *plane, const Ez__V1__ApiKey *key, int64_t time_s) {
    char now[EZ_CLOCK_TEXT_MAX], records[4096];
    size_t len = 0;
    ez_clock_format(time_s, 0, now);
    for (int i = 0; i < 10; i++)
        len += (size_t)snprintf(records + len, sizeof records - len,
                                "%s{'time':'%s','status_code':502,'model':'m','group_id':%" PRId64
                                ",'api_key_id':%" PRId64 "}",
                                i ? "," : "", now, key->group_id, key->id);
    ask(plane, "Logs/Ingest", "{'records':[%s]}", records);
}

static Ez__V1__ApiKey *read_key(int64_t id) {
    return ask(&w.admin, "ApiKeys/Get", "{'id':%" PRId64 "}", id);
}

Test(auto_ban, an_api_key_that_fails_is_banned_and_tried_again) {
    Ez__V1__ProviderGroup *group = given_group(&w.admin, "main", "'m'");
    Ez__V1__ApiKey *key = given_api_key(&w.admin, group->id, "failing", "sk-upstream-1");
    const char *token = given_plane(&w.admin, "dp")->token;
    ez_caller caller = caller_with(&w, token);
    ez_plane follower;
    given_follower(&follower, &w, token, NULL);
    expect_agreement(&follower, &w);
    uint64_t puts = plane_puts(&follower, EZ__V1__KIND__KIND_API_KEY);

    ship_failures(&caller, key, ez_clock_wall_ns() / 1000000000);
    expect_soon(read_key(key->id)->status == BANNED);
    key = read_key(key->id);
    cr_assert(key->is_auto_banned && strstr(key->ban_reason, "auto-ban: 10 of 10 requests"), "%s", key->ban_reason);
    expect_soon(plane_puts(&follower, EZ__V1__KIND__KIND_API_KEY) > puts);
    expect_agreement(&follower, &w);

    expect_soon(read_key(key->id)->ban_ended_at != NULL);
    key = read_key(key->id);
    cr_assert(key->status == ACTIVE && !key->is_auto_banned);
    uint64_t revision = revision_of(&w);
    ship_failures(&caller, key, key->ban_ended_at->seconds - 30); // late, of before its end
    ask(&w.admin, "Masters/Create", "{'master':{'name':'meanwhile'}}");
    cr_assert_eq(read_key(key->id)->status, ACTIVE);
    cr_assert_eq(revision_of(&w), revision + 1);

    ship_failures(&caller, key, (key->ban_ended_at->seconds / 60 + 1) * 60);
    expect_soon(read_key(key->id)->status == BANNED);
    ez_trail trail = given_trail(&w, 0, 0);
    bool is_told = false;
    for (size_t i = 0; i < trail.count; i++)
        is_told = is_told || strcmp(trail.entries[i]->actor, "system:auto-ban") == 0;
    cr_assert(is_told);
    end_trail(&trail);
    end_follower(&follower);
}

// ---- Expiries

static Ez__V1__ListAlertsResponse *expiries(void) {
    return ask(&w.admin, "Alerts/List", "{'type':'key_expired'}");
}

// A key that ends in two to three seconds (a time that is past when it arrives is refused), and the alert of it, the
// newest.
static const Ez__V1__Alert *given_expiry(const char *name) {
    Ez__V1__Master *master = ask(&w.admin, "Masters/Create", "{'master':{'name':'%s'}}", name);
    char soon[EZ_CLOCK_TEXT_MAX];
    ez_clock_format(ez_clock_wall_ns() / 1000000000 + 3, 0, soon);
    Ez__V1__Key *key = ask(&w.admin, "Keys/Create", "{'master_id':%" PRId64 ",'key':{'name':'%s','expires_at':'%s'}}",
                           master->id, name, soon);
    int64_t id = key->id;
    expect_soon(expiries()->n_items > 0 && expiries()->items[0]->related_id == id);
    return expiries()->items[0];
}

// A detector that begins knows what was told from the store alone: open or closed.
Test(auto_ban, an_expiry_is_told_once_across_a_restart) {
    (void)given_expiry("open");
    int64_t closed = given_expiry("resolved")->id;
    ask(&w.admin, "Alerts/Resolve", "{'id':%" PRId64 "}", closed);
    closed = given_expiry("dismissed")->id;
    ask(&w.admin, "Alerts/Dismiss", "{'id':%" PRId64 "}", closed);
    restart_server(&w.server);
    await_answers(&w);
    (void)given_expiry("after"); // so a round has ended since
    Ez__V1__ListAlertsResponse *all = expiries();
    cr_assert_eq(all->n_items, 4u);
    for (size_t i = 0; i < all->n_items; i++)
        cr_assert_eq(all->items[i]->count, 1, "%s", all->items[i]->related_name);
}

Test(auto_ban, an_api_key_without_auto_ban_keeps_serving) {
    Ez__V1__ProviderGroup *group = given_group(&w.admin, "main", "'m'");
    Ez__V1__ApiKey *kept = given_api_key(&w.admin, group->id, "kept", "sk-upstream-1");
    Ez__V1__ApiKey *banned = given_api_key(&w.admin, group->id, "banned", "sk-upstream-2");
    ask(&w.admin, "ApiKeys/Update", "{'id':%" PRId64 ",'api_key':{'auto_ban':false},'update_mask':['auto_ban']}",
        kept->id);
    ez_caller plane = caller_with(&w, given_plane(&w.admin, "dp")->token);
    ship_failures(&plane, kept, ez_clock_wall_ns() / 1000000000);
    ship_failures(&plane, banned, ez_clock_wall_ns() / 1000000000);
    expect_soon(read_key(banned->id)->status == BANNED);
    cr_assert_eq(read_key(kept->id)->status, ACTIVE, "of the same round");
}
