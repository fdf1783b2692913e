// SPDX-License-Identifier: Apache-2.0
//
// What keeps a refresh token from being presented twice, or for nothing: two keys with one token, a server that stops,
// a key that is replaced meanwhile, force, answers that send nobody to another server, and turns that are left to those
// who need them.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "tests/integration/support/plane.h"
#include "tests/integration/support/token_endpoint.h"

#define FAR_S (20 * 24 * 3600)

static ez_world w;
static ez_token_endpoint endpoint;
static int64_t codex;

static void begin_with(const char *const *settings) {
    given_token_endpoint(&endpoint, 0, settings);
    given_world(&w, endpoint.env);
    codex = given_oauth_group(&w.admin, "codex")->id;
}

static void begin(void) {
    static const char *const quick[] = {"EZ_TOKEN_REFRESH_RATE=200", "EZ_TOKEN_REFRESH_INTERVAL=1",
                                        "EZ_LEASE_SECONDS=2", NULL};
    begin_with(quick);
}

static void begin_slow(void) {
    static const char *const slow[] = {"EZ_TOKEN_REFRESH_RATE=1", "EZ_TOKEN_REFRESH_INTERVAL=3600", NULL};
    begin_with(slow);
}

static void end(void) {
    end_world(&w);
    end_token_endpoint(&endpoint);
}

TestSuite(oauth_guards, .init = begin, .fini = end, .timeout = 180);
TestSuite(oauth_turns, .init = begin_slow, .fini = end, .timeout = 180);

static int64_t given_key_of(const char *name, const char *account, int64_t ends_in_s) {
    char ends[EZ_CLOCK_TEXT_MAX];
    ez_clock_format(ez_clock_wall_ns() / 1000000000 + ends_in_s, 0, ends);
    Ez__V1__ApiKey *key = ask(&w.admin, "ApiKeys/Create",
                              "{'api_key':{'group_id':%" PRId64 ",'name':'%s','access_token':'at-%s-0',"
                              "'refresh_token':'rt-%s-0','expires_at':'%s'}}",
                              codex, name, account, account, ends);
    return key->id;
}

static void replace_tokens(int64_t id, const char *account, int64_t ends_in_s) {
    char ends[EZ_CLOCK_TEXT_MAX];
    ez_clock_format(ez_clock_wall_ns() / 1000000000 + ends_in_s, 0, ends);
    ask(&w.admin, "ApiKeys/Update",
        "{'id':%" PRId64 ",'api_key':{'access_token':'at-%s-0','refresh_token':'rt-%s-0','expires_at':'%s'},"
        "'update_mask':['access_token','refresh_token','expires_at']}",
        id, account, account, ends);
}

static bool is_fresh(int64_t id) {
    return is_fresh_key(&w.admin, id);
}

static bool has_error(int64_t id, const char *part) {
    return has_oauth_error(&w.admin, id, part);
}

// ---- One token, two keys

// Both were refreshed with it, and the second presentation ended the account.
Test(oauth_guards, a_token_that_two_keys_share_is_presented_for_one) {
    int64_t one = given_key_of("one", "ok1", 30), two = given_key_of("two", "ok1", 30);
    expect_soon(has_error(one, "two API keys") || has_error(two, "two API keys"));
    int64_t other = has_error(one, "two API keys") ? one : two;
    expect_soon(is_fresh(other == one ? two : one));
    cr_expect_eq(presented(&endpoint, "ok1 "), 1);
    expect_soon(open_alert_about(&w.admin, other) != 0);
    void *reply;
    ez_status status = try_call(&w.admin, &reply, "TokenRefresh/Refresh", "{'id':%" PRId64 ",'force':true}", other);
    cr_expect_eq(status, EZ_FAILED_PRECONDITION);
    cr_expect_eq(presented(&endpoint, "ok1 "), 1, "not by force either");
    replace_tokens(other, "ok2", 30);
    expect_soon(is_fresh(other));
    expect_soon(open_alert_about(&w.admin, other) == 0);
}

// It was refused by what stood of the key that is gone.
Test(oauth_guards, a_key_is_made_anew_with_a_token_that_was_kept) {
    int64_t one = given_key_of("one", "keep1", 30);
    expect_soon(is_fresh(one));
    ask(&w.admin, "ApiKeys/Delete", "{'id':%" PRId64 "}", one);
    int64_t two = given_key_of("two", "keep1", 30);
    expect_soon(is_fresh(two));
    cr_expect_eq(presented(&endpoint, "keep1 0 good"), 2);
}

// A login that an admin mended by hand, and whose turn is long after, kept its alert until then.
Test(oauth_guards, an_alert_ends_with_what_it_was_about) {
    int64_t id = given_key_of("one", "grant1", 30);
    expect_soon(open_alert_about(&w.admin, id) != 0);
    replace_tokens(id, "ok1", FAR_S);
    expect_soon(open_alert_about(&w.admin, id) == 0);
    cr_expect_eq(presented(&endpoint, "ok1 "), 0);
}

// ---- Alerts

static int64_t given_key_without_refresh(const char *name) {
    Ez__V1__ApiKey *key = ask(&w.admin, "ApiKeys/Create",
                              "{'api_key':{'group_id':%" PRId64 ",'name':'%s','access_token':'at-%s-0',"
                              "'expires_at':'2001-01-01T00:00:00Z'}}",
                              codex, name, name);
    expect_soon(open_alert_about(&w.admin, key->id) != 0);
    return key->id;
}

// Only that a login had ended was ever over before the next refresh.
Test(oauth_guards, an_alert_ends_with_its_key) {
    int64_t gone = given_key_without_refresh("gone"), empty = given_key_without_refresh("empty");
    int64_t mended = given_key_without_refresh("mended");
    ask(&w.admin, "ApiKeys/Delete", "{'id':%" PRId64 "}", gone);
    ask(&w.admin, "ApiKeys/Update",
        "{'id':%" PRId64 ",'api_key':{'api_key':'sk-1','access_token':''},'update_mask':['api_key','access_token']}",
        empty);
    replace_tokens(mended, "ok1", FAR_S);
    expect_soon(open_alert_about(&w.admin, gone) == 0);
    expect_soon(open_alert_about(&w.admin, empty) == 0);
    expect_soon(open_alert_about(&w.admin, mended) == 0);
    cr_expect_eq(presented(&endpoint, "ok1 "), 0);
}

// Since a refresh had succeeded, the server took it that there was no alert.
static void expect_ended_by_a_refresh(ez_caller *plane, int64_t id) {
    ask(&w.admin, "TokenRefresh/Refresh", "{'id':%" PRId64 "}", id);
    ask(plane, "Alerts/Report",
        "{'alerts':[{'type':'token_refresh_failed','title':'401','related_type':'api_key','related_id':%" PRId64 "}]}",
        id);
    expect_soon(open_alert_about(&w.admin, id) != 0);
    ask(&w.admin, "TokenRefresh/Refresh", "{'id':%" PRId64 "}", id);
    expect_soon(open_alert_about(&w.admin, id) == 0);
}

Test(oauth_guards, a_data_planes_alert_ends_with_the_next_refresh) {
    const char *token = given_plane(&w.admin, "dp")->token;
    ez_caller plane = caller_with(&w, token);
    expect_ended_by_a_refresh(&plane, given_key_of("one", "ok1", FAR_S));
    if (!w.server.is_postgres)
        return;
    ez_world two = {.kept = NULL}; // reported there, refreshed here
    given_second_server(&two.server, &w.server);
    given_callers(&two);
    plane = caller_with(&two, token);
    expect_ended_by_a_refresh(&plane, given_key_of("two", "ok2", FAR_S));
    end_world(&two);
}

// Whoever knew of the alert died before the key was deleted, or with the deletion.
Test(oauth_guards, who_begins_ends_alerts_of_keys_that_are_gone) {
    int64_t kept = given_key_without_refresh("kept");
    ask(&w.admin, "Alerts/Create",
        "{'alert':{'type':'token_refresh_failed','title':'x','related_type':'api_key','related_id':99}}");
    restart_server(&w.server);
    await_answers(&w);
    expect_soon(open_alert_about(&w.admin, 99) == 0);
    cr_expect_neq(open_alert_about(&w.admin, kept), 0);
}

// ---- In flight

Test(oauth_guards, a_server_that_stops_stores_what_it_was_given) {
    int64_t id = given_key_of("one", "slow1", 30);
    expect_soon(presented(&endpoint, "slow1 ") == 1);
    restart_server(&w.server);
    await_answers(&w);
    cr_expect(is_fresh(id));
    cr_expect_eq(presented(&endpoint, "slow1 "), 1);
}

Test(oauth_guards, what_was_replaced_meanwhile_stays) {
    int64_t id = given_key_of("one", "slow1", 30);
    expect_soon(presented(&endpoint, "slow1 ") == 1);
    replace_tokens(id, "ok1", FAR_S);
    expect_soon(running_refreshes(&w.admin, "codex") == 0);
    cr_expect_null(read_oauth_key(&w.admin, id)->last_refresh_at, "a reply for the token it had before");
    ask(&w.admin, "TokenRefresh/Refresh", "{'id':%" PRId64 "}", id);
    cr_expect_eq(presented(&endpoint, "ok1 0 good"), 1);
}

// ---- Answers

// A client took UNAVAILABLE to the next server, which knew nothing of the pause.
Test(oauth_guards, a_429_is_not_taken_to_another_server) {
    int64_t id = given_key_of("one", "busy1", FAR_S);
    ez_world two = {.kept = NULL};
    ez_client_options options = {.servers = {w.server.rpc_url}, .server_count = 1, .name = "tests/1"};
    if (w.server.is_postgres) {
        given_second_server(&two.server, &w.server);
        options.servers[options.server_count++] = two.server.rpc_url;
    }
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_client_open(&options, &two.client, &error), &error);
    two.admin = caller_with(&two, w.server.admin_token);
    void *reply;
    cr_expect_eq(try_call(&two.admin, &reply, "TokenRefresh/Refresh", "{'id':%" PRId64 "}", id), EZ_ABORTED);
    cr_expect_str_eq(two.admin.error.reason, "REFRESH_RATE_LIMITED");
    cr_expect_eq(presented(&endpoint, "busy1 "), 1);
    end_callers(&two);
    if (w.server.is_postgres)
        end_server(&two.server);
}

// Each 401 of a token that the provider refuses as soon as it gave it was one more refresh.
Test(oauth_turns, a_new_token_that_is_refused_is_not_refreshed_at_once) {
    ez_caller plane = caller_with(&w, given_plane(&w.admin, "dp")->token);
    int64_t id = given_key_of("one", "ok1", FAR_S);
    Ez__V1__RequestRefreshResponse *reply;
    expect_ok(request_refresh(&plane, id, "at-ok1-0", &reply), &plane.error);
    cr_expect_eq(request_refresh(&plane, id, "at-ok1-1", &reply), EZ_ABORTED);
    cr_expect_str_eq(plane.error.reason, "REFRESH_LATER");
    cr_expect_eq(presented(&endpoint, "ok1 "), 1);
}

// ---- Force

static ez_status force(int64_t id) {
    void *reply;
    return try_call(&w.admin, &reply, "TokenRefresh/Refresh", "{'id':%" PRId64 ",'force':true}", id);
}

// A forced call was answered with UNAVAILABLE, which the client repeats by itself: one maybe-used token went out up to
// nine times.
Test(oauth_turns, what_may_be_used_up_is_not_presented_again_within_the_interval) {
    int64_t id = given_key_of("one", "never1", FAR_S);
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(force(id), EZ_ABORTED);
        cr_expect_str_eq(w.admin.error.reason, "REFRESH_OUTCOME_UNKNOWN");
    }
    cr_expect_eq(presented(&endpoint, "never1 "), 1);
}

Test(oauth_guards, force_presents_once_more_what_was_given_up) {
    int64_t id = given_key_of("one", "never1", 3600);
    expect_soon(has_error(id, "sent twice"));
    cr_expect_eq(presented(&endpoint, "never1 "), 2);
    expect_soon(((void)force(id), presented(&endpoint, "never1 ") > 2));
    cr_expect_eq(presented(&endpoint, "never1 "), 3);
}

// ---- Alerts of tries that fail

static int64_t given_failing_key(const char *account) {
    int64_t id = given_key_of(account, account, -60);
    expect_soon(((void)force(id), open_alert_about(&w.admin, id) != 0)); // the fifth time
    return id;
}

Test(oauth_guards, an_alert_of_tries_that_fail_ends_with_the_refresh_token) {
    int64_t gone = given_failing_key("down1"), emptied = given_failing_key("down2");
    char ends[EZ_CLOCK_TEXT_MAX];
    ez_clock_format(ez_clock_wall_ns() / 1000000000 + FAR_S, 0, ends);
    ask(&w.admin, "ApiKeys/Delete", "{'id':%" PRId64 "}", gone);
    ask(&w.admin, "ApiKeys/Update",
        "{'id':%" PRId64 ",'api_key':{'refresh_token':'','expires_at':'%s'},'update_mask':['refresh_token',"
        "'expires_at']}",
        emptied, ends);
    expect_soon(open_alert_about(&w.admin, gone) == 0);
    expect_soon(open_alert_about(&w.admin, emptied) == 0);
}

// ---- Turns

#define QUIET 60 // at one turn a second they would take longer than the test waits

// Keys without a refresh token took the turns of those that have one.
Test(oauth_turns, who_needs_no_call_takes_no_turn) {
    char *json = malloc(QUIET * 128 + 64);
    cr_assert_not_null(json);
    int len = sprintf(json, "{'items':[");
    for (int i = 0; i < QUIET; i++)
        len += sprintf(json + len,
                       "%s{'create':{'group_id':%" PRId64 ",'name':'q%d','access_token':'at-q%d-0','expires_at':"
                       "'2001-01-01T00:00:00Z'}}",
                       i ? "," : "", codex, i, i);
    sprintf(json + len, "]}");
    Ez__V1__BatchApiKeysResponse *made = ask(&w.admin, "ApiKeys/Batch", "%s", json);
    free(json);
    cr_assert_eq(made->succeeded, QUIET);
    int64_t id = given_key_of("one", "ok1", 30);
    expect_soon(is_fresh(id));
    expect_soon(open_alert_about(&w.admin, made->results[QUIET - 1]->api_key->id) != 0);
}
