// SPDX-License-Identifier: Apache-2.0
//
// What data planes count, on a real server: it counts once whatever is repeated and whoever dies, joins what is read,
// and makes of quotas what data planes are told. The last part is what is refused.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/integration/support/listener.h"
#include "tests/integration/support/plane.h"

static ez_world w;
static ez_caller plane, other, tenant;
static Ez__V1__Master *acme;
static Ez__V1__Key *key;

static void begin(void) {
    // Ends of periods are the leader's, and one that was killed is waited for.
    static const char *const env[] = {"EZ_LEASE_SECONDS=2", NULL};
    given_world(&w, env);
    plane = caller_with(&w, given_plane(&w.admin, "edge")->token);
    other = caller_with(&w, given_plane(&w.admin, "far")->token);
    acme = given_master(&w.admin, "acme");
    tenant = caller_with(&w, acme->master_key);
    key = given_key(&w.admin, acme->id, "web");
}

static void end(void) {
    end_world(&w);
}

TestSuite(usage, .init = begin, .fini = end);

static Ez__V1__FlushUsageResponse *flush(ez_caller *from, int epoch, int sequence, int requests) {
    return ask(from, "Usage/Flush",
               "{'epoch':%d,'sequence':%d,'keys':[{'id':%" PRId64
               ",'requests':%d,'failure':1,'tokens_in':10,'tokens_out':5,'quota_used':%d,'rate_limited':2}]}",
               epoch, sequence, key->id, requests, requests);
}

static Ez__V1__Key *key_now(void) {
    return ask(&w.admin, "Keys/Get", "{'id':%" PRId64 "}", key->id);
}

static Ez__V1__Master *master_now(void) {
    return ask(&w.admin, "Masters/Get", "{'id':%" PRId64 "}", acme->id);
}

static void update_key(const char *fields) {
    ask(&w.admin, "Keys/Update", "{'id':%" PRId64 ",'key':{%s}}", key->id, fields);
}

static void kill_and_start(void) {
    kill_server(&w.server);
    start_server(&w.server);
    await_answers(&w);
}

// RFC 3339, that many seconds from now.
static const char *in_seconds(int seconds) {
    static char text[40];
    time_t at = time(NULL) + seconds;
    struct tm tm;
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&at, &tm));
    return text;
}

// ---- Exactly once

Test(usage, a_flush_is_counted_and_shows_wherever_a_key_is_read) {
    uint64_t before = revision_of(&w);
    cr_assert_not(flush(&plane, 7, 1, 3)->repeated);
    Ez__V1__Key *now = key_now();
    cr_assert_eq(now->request_count, 3);
    cr_assert_eq(now->tokens_in, 10);
    cr_assert_eq(now->tokens_out, 5);
    cr_assert_eq(now->quota_used, 3);
    cr_assert_not_null(now->last_used_at);
    Ez__V1__ListKeysResponse *list = ask(&w.admin, "Keys/List", "{'master_id':%" PRId64 "}", acme->id);
    cr_assert_eq(list->items[0]->request_count, 3);
    Ez__V1__Key *own = ask(&tenant, "Self/GetKey", "{'id':%" PRId64 "}", key->id);
    cr_assert_eq(own->tokens_in, 10);
    Ez__V1__Master *master = master_now();
    cr_assert_eq(master->request_count, 3);
    cr_assert_eq(master->tokens_out, 5);
    cr_assert_eq(revision_of(&w), before, "counters are no configuration");
}

Test(usage, a_repeat_is_acknowledged_and_not_added) {
    flush(&plane, 7, 1, 3);
    cr_assert(flush(&plane, 7, 1, 3)->repeated);
    cr_assert_not(flush(&plane, 7, 2, 4)->repeated);
    cr_assert(flush(&plane, 7, 1, 3)->repeated);
    cr_assert_not(flush(&other, 7, 1, 5)->repeated, "sequences are a data plane's own");
    cr_assert_not(flush(&plane, 8, 1, 6)->repeated, "and those of one of its processes");
    cr_assert_eq(key_now()->request_count, 18);
}

Test(usage, a_gap_is_refused_with_what_is_expected) {
    flush(&plane, 7, 1, 3);
    expect_refused(&plane, EZ_OUT_OF_RANGE, "SEQUENCE_GAP", "Usage/Flush",
                   "{'epoch':7,'sequence':3,'keys':[{'id':%" PRId64 ",'requests':1}]}", key->id);
    cr_assert_not_null(strstr(plane.error.message, "2 is expected"), "%s", plane.error.message);
    expect_refused(&plane, EZ_OUT_OF_RANGE, "SEQUENCE_GAP", "Usage/Flush", "{'epoch':9,'sequence':2}");
    cr_assert_not(flush(&plane, 7, 2, 1)->repeated);
    cr_assert_eq(key_now()->request_count, 4);
}

Test(usage, a_restart_and_a_kill_forget_nothing_and_count_nothing_twice) {
    flush(&plane, 7, 1, 3);
    restart_server(&w.server);
    await_answers(&w);
    cr_assert_eq(key_now()->request_count, 3);
    cr_assert(flush(&plane, 7, 1, 3)->repeated);
    flush(&plane, 7, 2, 4);
    kill_and_start();
    cr_assert_eq(key_now()->request_count, 7, "what was answered is durable");
    cr_assert(flush(&plane, 7, 2, 4)->repeated);
    cr_assert_not(flush(&plane, 7, 3, 5)->repeated);
    cr_assert_eq(key_now()->request_count, 12);
    cr_assert_eq(master_now()->request_count, 12);
}

Test(usage, an_idempotency_key_stands_for_a_sequence) {
    for (int i = 0; i < 2; i++) {
        plane.next.idempotency_key = "batch-1";
        Ez__V1__FlushUsageResponse *reply =
            ask(&plane, "Usage/Flush", "{'keys':[{'id':%" PRId64 ",'requests':2}]}", key->id);
        cr_assert_eq(reply->repeated, i == 1);
    }
    other.next.idempotency_key = "batch-1";
    ask(&other, "Usage/Flush", "{'keys':[{'id':%" PRId64 ",'requests':2}]}", key->id);
    plane.next.idempotency_key = "batch-1";
    cr_assert_not(((Ez__V1__FlushUsageResponse *)ask(&plane, "Usage/Flush",
                                                     "{'keys':[{'id':%" PRId64 ",'requests':3}]}", key->id))
                      ->repeated,
                  "another content is no repeat");
    cr_assert_eq(key_now()->request_count, 7);
}

Test(usage, what_another_server_has_just_made_is_counted) {
    if (!w.server.is_postgres)
        cr_skip_test("several servers need PostgreSQL");
    ez_world second = {.kept = NULL};
    given_second_server(&second.server, &w.server);
    given_callers(&second);
    ez_caller there = caller_with(&second, plane.token);
    int64_t ids[10];
    for (int i = 0; i < 10; i++) {
        char name[16];
        snprintf(name, sizeof name, "new%d", i);
        key = given_key(&w.admin, acme->id, name);
        ids[i] = key->id;
        cr_assert_eq(flush(&there, 7, i + 1, 3)->skipped, 0, "key %d", i);
    }
    for (int i = 0; i < 10; i++) {
        Ez__V1__Key *counted = ask(&second.admin, "Keys/Get", "{'id':%" PRId64 "}", ids[i]);
        cr_assert_eq(counted->request_count, 3);
    }
    Ez__V1__FlushUsageResponse *reply = ask(&there, "Usage/Flush", "{'keys':[{'id':%" PRId64 "}]}", ids[9] + 1);
    cr_assert_eq(reply->skipped, 1, "nobody made it");
    end_callers(&second);
    end_server(&second.server);
}

Test(usage, many_data_planes_at_once_add_up) {
    enum { PLANES = 8, FLUSHES = 25 };
    ez_caller planes[PLANES];
    for (int i = 0; i < PLANES; i++) {
        char name[16];
        snprintf(name, sizeof name, "plane-%d", i);
        planes[i] = caller_with(&w, given_plane(&w.admin, name)->token);
    }
    for (int n = 1; n <= FLUSHES; n++)
        for (int i = 0; i < PLANES; i++)
            flush(&planes[i], 1 + i, n, 1);
    cr_assert_eq(key_now()->request_count, PLANES * FLUSHES);
    cr_assert_eq(master_now()->tokens_in, PLANES * FLUSHES * 10);
}

// ---- Who gets what

Test(usage, an_api_key_counts_for_its_group) {
    Ez__V1__ProviderGroup *group = given_group(&w.admin, "main", "'gpt-4o'");
    Ez__V1__ApiKey *one = given_api_key(&w.admin, group->id, "one", "secret-of-one");
    Ez__V1__ApiKey *two = given_api_key(&w.admin, group->id, "two", "secret-of-two");
    ask(&plane, "Usage/Flush",
        "{'epoch':1,'sequence':1,'api_keys':[{'id':%" PRId64 ",'requests':8,'success':6,'failure':2},{'id':%" PRId64
        ",'requests':2,'success':2},{'id':%" PRId64 ",'requests':2,'success':1,'failure':1}]}",
        one->id, two->id, two->id);
    Ez__V1__ApiKey *now = ask(&w.admin, "ApiKeys/Get", "{'id':%" PRId64 "}", one->id);
    cr_assert_eq(now->total_requests, 8);
    cr_assert_float_eq(now->success_rate, 0.75, 1e-9);
    cr_assert_float_eq(now->failure_rate, 0.25, 1e-9);
    now = ask(&w.admin, "ApiKeys/Update", "{'id':%" PRId64 ",'api_key':{'name':'second'}}", two->id);
    cr_assert_eq(now->total_requests, 4, "what is said twice of one is summed");
    Ez__V1__ProviderGroup *whole = ask(&w.admin, "ProviderGroups/Get", "{'id':%" PRId64 "}", group->id);
    cr_assert_eq(whole->total_requests, 12);
    cr_assert_eq(whole->success_requests, 9);
    cr_assert_eq(whole->failure_requests, 3);
    cr_assert_float_eq(whole->failure_rate, 0.25, 1e-9);
    Ez__V1__ApiKeyStats *stats = ask(&w.admin, "Usage/GetApiKeyStats", "{}");
    cr_assert_eq(stats->total_requests, 12);
    cr_assert_float_eq(stats->success_rate, 0.75, 1e-9);
    cr_assert_eq(stats->provider_groups, 1);
    // Outcomes of requests that a later flush, or none, counts.
    ask(&plane, "Usage/Flush", "{'epoch':1,'sequence':2,'api_keys':[{'id':%" PRId64 ",'success':3,'failure':5}]}",
        one->id);
    stats = ask(&w.admin, "Usage/GetApiKeyStats", "{}");
    cr_assert_eq(stats->total_requests, 12);
    cr_assert_float_eq(stats->success_rate, 12 / 20.0, 1e-9);
    cr_assert_float_eq(stats->failure_rate, 8 / 20.0, 1e-9);
}

Test(usage, masters_are_taken_at_their_word_where_a_flush_names_them) {
    ask(&plane, "Usage/Flush",
        "{'keys':[{'id':%" PRId64 ",'requests':5}],'masters':[{'id':%" PRId64 ",'requests':50,'tokens_in':9}]}",
        key->id, acme->id);
    cr_assert_eq(key_now()->request_count, 5);
    cr_assert_eq(master_now()->request_count, 50);
    cr_assert_eq(master_now()->tokens_in, 9);
}

Test(usage, unknown_ids_are_reported_and_the_rest_is_added) {
    Ez__V1__FlushUsageResponse *reply =
        ask(&plane, "Usage/Flush",
            "{'epoch':1,'sequence':1,'keys':[{'id':777,'requests':1},{'id':%" PRId64
            ",'requests':3}],'api_keys':[{'id':888,'requests':1}],'masters':[{'id':999,'requests':1}]}",
            key->id);
    cr_assert_eq(reply->skipped, 3);
    cr_assert(reply->n_unknown_keys == 1 && reply->unknown_keys[0] == 777);
    cr_assert(reply->n_unknown_api_keys == 1 && reply->unknown_api_keys[0] == 888);
    cr_assert(reply->n_unknown_masters == 1 && reply->unknown_masters[0] == 999);
    cr_assert_eq(key_now()->request_count, 3);
    ask(&w.admin, "Keys/Delete", "{'id':%" PRId64 "}", key->id);
    reply = flush(&plane, 1, 2, 1);
    cr_assert_eq(reply->skipped, 1);
    cr_assert_eq(master_now()->request_count, 0, "999 was no master, and named as one");
}

Test(usage, api_key_stats_of_a_range_come_from_the_logs) {
    Ez__V1__ProviderGroup *group = given_group(&w.admin, "main", "'gpt-4o'");
    char now[40];
    snprintf(now, sizeof now, "%s", in_seconds(0));
    ask(&plane, "Logs/Ingest",
        "{'epoch':1,'sequence':1,'records':[{'time':'%s','group_id':%" PRId64
        ",'api_key_id':1,'status_code':200},{'time':'%s','group_id':%" PRId64
        ",'api_key_id':1,'status_code':500},{'time':'%s','status_code':401}]}",
        now, group->id, now, group->id, now);
    Ez__V1__ApiKeyStats *stats = ask(&w.admin, "Usage/GetApiKeyStats", "{'since':'%s'}", in_seconds(-600));
    cr_assert_eq(stats->total_requests, 2, "one never reached a provider");
    cr_assert_eq(stats->failure_requests, 1);
    cr_assert_float_eq(stats->success_rate, 0.5, 1e-9);
    stats = ask(&w.admin, "Usage/GetApiKeyStats", "{'until':'%s'}", in_seconds(-600));
    cr_assert_eq(stats->total_requests, 0);
    cr_assert_eq(((Ez__V1__ApiKeyStats *)ask(&w.admin, "Usage/GetApiKeyStats", "{}"))->total_requests, 0,
                 "counters are another thing");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "RANGE_EMPTY", "Usage/GetApiKeyStats", "{'since':'%s'}",
                   in_seconds(600));
}

// ---- Quotas

static int status_in(ez_caller *from) {
    Ez__V1__FetchConfigResponse *all = ask(from, "Config/Fetch", "{}");
    int status = 0;
    for (size_t i = 0; i < all->n_changes; i++)
        if (all->changes[i]->kind == EZ__V1__KIND__KIND_KEY && all->changes[i]->id == key->id)
            status = (int)all->changes[i]->key->status;
    return status;
}

#define ACTIVE    EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE
#define DISABLED  EZ__V1__KEY_STATUS__KEY_STATUS_DISABLED
#define EXHAUSTED EZ__V1__KEY_STATUS__KEY_STATUS_EXHAUSTED

Test(usage, a_quota_that_is_used_up_reaches_data_planes) {
    update_key("'quota_limit':10");
    ez_plane follower;
    given_follower(&follower, &w, plane.token, NULL);
    expect_agreement(&follower, &w);
    uint64_t before = revision_of(&w);
    flush(&plane, 1, 1, 9);
    cr_assert_eq(status_in(&other), ACTIVE);
    flush(&plane, 1, 2, 1);
    cr_assert_eq(key_now()->status, EXHAUSTED, "at once, to whoever reads it here");
    expect_soon(status_in(&other) == EXHAUSTED);
    expect_soon(plane_reached(&follower, before + 1));
    expect_agreement(&follower, &w);
    flush(&plane, 1, 3, 1);
    restart_server(&w.server);
    await_answers(&w);
    cr_assert_eq(revision_of(&w), before + 1, "one change, however much comes after it");
    end_follower(&follower);
}

Test(usage, enabling_is_no_way_around_a_quota_and_raising_it_is) {
    update_key("'quota_limit':10");
    flush(&plane, 1, 1, 12);
    expect_soon(status_in(&other) == EXHAUSTED);
    Ez__V1__Key *now = ask(&w.admin, "Keys/Enable", "{'id':%" PRId64 "}", key->id);
    cr_assert_eq(now->status, EXHAUSTED);
    cr_assert_eq(status_in(&other), EXHAUSTED);
    update_key("'quota_limit':12");
    cr_assert_eq(status_in(&other), EXHAUSTED, "12 of 12");
    update_key("'quota_limit':13");
    cr_assert_eq(status_in(&other), ACTIVE);
    update_key("'quota_limit':5");
    cr_assert_eq(status_in(&other), EXHAUSTED, "a limit below what was used counts at once");
    update_key("'quota_limit':-1");
    cr_assert_eq(status_in(&other), ACTIVE);
    ask(&w.admin, "Keys/Disable", "{'id':%" PRId64 "}", key->id);
    update_key("'quota_limit':5");
    cr_assert_eq(status_in(&other), DISABLED);
    ask(&w.admin, "Keys/Enable", "{'id':%" PRId64 "}", key->id);
    cr_assert_eq(status_in(&other), EXHAUSTED);
}

Test(usage, a_quota_counts_in_its_unit) {
    update_key("'quota_unit':'tokens'");
    flush(&plane, 1, 1, 1000);
    cr_assert_eq(key_now()->quota_used, 15);
    update_key("'quota_unit':'requests','quota_limit':5");
    cr_assert_eq(key_now()->quota_used, 0, "tokens are no requests");
    flush(&plane, 1, 2, 4);
    cr_assert_eq(key_now()->quota_used, 4);
    flush(&plane, 1, 3, 1);
    expect_soon(status_in(&other) == EXHAUSTED);
    update_key("'quota_unit':'usd_nano'");
    cr_assert_eq(status_in(&other), ACTIVE);
}

Test(usage, a_period_that_has_ended_begins_again_from_zero) {
    char fields[160];
    snprintf(fields, sizeof fields, "'quota_limit':10,'quota_period':'day','quota_reset_at':'%s'", in_seconds(3));
    update_key(fields);
    flush(&plane, 1, 1, 11);
    expect_soon(status_in(&other) == EXHAUSTED);
    expect_soon(status_in(&other) == ACTIVE);
    Ez__V1__Key *now = key_now();
    cr_assert_eq(now->quota_used, 0);
    cr_assert_eq(now->request_count, 11, "counters only grow");
    cr_assert_eq(now->quota_reset_at->seconds % 86400, 0);
    cr_assert_gt(now->quota_reset_at->seconds, time(NULL));
    flush(&plane, 1, 2, 4);
    cr_assert_eq(key_now()->quota_used, 4);
    kill_and_start();
    cr_assert_eq(key_now()->quota_used, 4);
}

Test(usage, a_period_that_ended_while_the_server_was_away_ends_when_it_is_back) {
    char fields[160];
    flush(&plane, 1, 1, 11);
    // Two: the next second may begin before the server looks whether it is still to come.
    snprintf(fields, sizeof fields, "'quota_limit':10,'quota_period':'week','quota_reset_at':'%s'", in_seconds(2));
    time_t until = time(NULL) + 2;
    update_key(fields);
    kill_server(&w.server);
    while (time(NULL) < until)
        ez_test_before(ez_test_deadline());
    start_server(&w.server);
    await_answers(&w);
    expect_soon(key_now()->quota_used == 0 && key_now()->status == ACTIVE);
    cr_assert_eq((key_now()->quota_reset_at->seconds / 86400 + 3) % 7, 0, "a Monday");
}

// ---- Live numbers

static Ez__V1__RealtimeStats *own_numbers(void) {
    return ask(&tenant, "Realtime/GetOwn", "{}");
}

Test(usage, live_numbers_of_the_system_a_master_and_a_tenant) {
    Ez__V1__Master *quiet = given_master(&w.admin, "quiet");
    flush(&plane, 1, 1, 30);
    Ez__V1__RealtimeReport *report = ask(&w.admin, "Realtime/Get", "{}");
    cr_assert_eq(report->system->requests, 30);
    cr_assert_eq(report->system->tokens, 15);
    cr_assert_eq(report->system->errors, 1);
    cr_assert_eq(report->system->rate_limited, 2);
    cr_assert_float_eq(report->system->qps_10s, 3, 1e-9);
    cr_assert_float_eq(report->system->qps_60s, 0.5, 1e-9);
    cr_assert_eq(report->active_masters, 1);
    cr_assert_eq(report->masters[0]->master_id, acme->id);
    cr_assert_eq(own_numbers()->requests, 30);
    cr_assert_eq(master_now()->realtime->requests, 30);
    Ez__V1__RealtimeStats *none = ask(&w.admin, "Realtime/GetMaster", "{'id':%" PRId64 "}", quiet->id);
    cr_assert_eq(none->requests, 0);
    expect_refused(&w.admin, EZ_NOT_FOUND, NULL, "Realtime/GetMaster", "{'id':999}");
    cr_assert(flush(&plane, 1, 1, 30)->repeated);
    cr_assert_eq(own_numbers()->requests, 30, "a repeat is not live either");
    Ez__V1__Master *self = ask(&tenant, "Self/Get", "{}");
    cr_assert_null(self->realtime);
    cr_assert_eq(self->request_count, 30);
}

// Counts events of a topic from index at on, and unpacks the last one.
static size_t heard(ez_listener *listener, const char *topic, ez_arena *arena, const ProtobufCMessageDescriptor *type,
                    void **last) {
    size_t found = 0;
    for (size_t i = 0; i < listener_count(listener); i++) {
        ez_heard event = listener_event(listener, i, arena);
        if (strcmp(event.topic, topic) != 0)
            continue;
        found++;
        *last = protobuf_c_message_unpack(type, ez_arena_allocator(arena), event.message.len, event.message.data);
    }
    return found;
}

Test(usage, flushes_and_live_numbers_are_published) {
    Ez__V1__WatchEventsResponse *where = ask(&w.admin, "Events/Watch", "{}");
    ez_listener listener;
    given_listener(&listener, where->events_url); // live numbers come each second
    flush(&plane, 1, 1, 30);
    flush(&plane, 1, 1, 30);
    ez_arena arena;
    ez_arena_init(&arena, 16u << 20);
    void *last = NULL;
    expect_soon(heard(&listener, "stats.flush", &arena, &ez__v1__usage_flushed__descriptor, &last) == 1);
    Ez__V1__UsageFlushed *flushed = last;
    cr_assert_eq(flushed->requests, 30);
    cr_assert_eq(flushed->keys, 1);
    cr_assert_gt(flushed->data_plane_id, 0);
    Ez__V1__RealtimeReport *report = NULL;
    expect_soon(heard(&listener, "stats.realtime", &arena, &ez__v1__realtime_report__descriptor, (void **)&report) &&
                report->system->requests == 30 && report->n_masters <= 1);
    end_listener(&listener);
    ez_arena_fini(&arena);
}

// ---- What is refused

Test(usage, bad_numbers_add_nothing) {
    static const char *const bad[] = {
        "'requests':-1",     "'tokens_in':-5",
        "'quota_used':-1",   "'requests':1000000000001",
        "'rate_limited':-1", "'failure':9223372036854775807",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_refused(&plane, EZ_INVALID_ARGUMENT, NULL, "Usage/Flush",
                       "{'epoch':1,'sequence':1,'keys':[{'id':%" PRId64 ",'requests':1},{'id':%" PRId64 ",%s}]}",
                       key->id, key->id, bad[i]);
    expect_refused(&plane, EZ_INVALID_ARGUMENT, NULL, "Usage/Flush", "{'epoch':1,'keys':[]}");
    expect_refused(&plane, EZ_INVALID_ARGUMENT, NULL, "Usage/Flush", "{'sequence':1}");
    expect_refused(&plane, EZ_INVALID_ARGUMENT, NULL, "Usage/Flush", "{'keys':[{'requests':1}]}");
    cr_assert_eq(key_now()->request_count, 0);
    cr_assert_not(flush(&plane, 1, 1, 1)->repeated, "what was refused took no sequence");
}

Test(usage, sums_that_would_overflow_add_nothing) {
    enum { ROWS = 5000 };
    Ez__V1__FlushUsageRequest request = EZ__V1__FLUSH_USAGE_REQUEST__INIT;
    Ez__V1__KeyUsage rows[ROWS], *list[ROWS];
    for (int i = 0; i < ROWS; i++) {
        ez__v1__key_usage__init(&rows[i]);
        rows[i].id = key->id;
        rows[i].quota_used = INT64_C(1000000000000000);
        list[i] = &rows[i];
    }
    request.keys = list;
    request.n_keys = ROWS;
    cr_assert_eq(try_message(&plane, NULL, "Usage/Flush", &request.base), EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(plane.error.reason, "USAGE_TOO_LARGE");
    request.n_keys = 4000;
    cr_assert_eq(try_message(&plane, NULL, "Usage/Flush", &request.base), EZ_OK);
    cr_assert_eq(try_message(&plane, NULL, "Usage/Flush", &request.base), EZ_OK, "a total stays at its bound");
    cr_assert_eq(key_now()->quota_used, INT64_C(4000000000000000000));
    kill_and_start();
    cr_assert_eq(key_now()->quota_used, INT64_C(4000000000000000000));
}

Test(usage, nobody_but_a_data_plane_may_flush) {
    expect_refused(&w.admin, EZ_PERMISSION_DENIED, NULL, "Usage/Flush", "{}");
    expect_refused(&tenant, EZ_PERMISSION_DENIED, NULL, "Usage/Flush", "{}");
    expect_refused(&tenant, EZ_PERMISSION_DENIED, NULL, "Realtime/Get", "{}");
    expect_refused(&plane, EZ_PERMISSION_DENIED, NULL, "Realtime/GetOwn", "{}");
    expect_refused(&tenant, EZ_PERMISSION_DENIED, NULL, "Usage/GetApiKeyStats", "{}");
}

Test(usage, what_is_only_tried_adds_nothing) {
    plane.next.validate_only = true;
    flush(&plane, 1, 1, 5);
    cr_assert_eq(key_now()->request_count, 0);
    cr_assert_not(flush(&plane, 1, 1, 5)->repeated);
}

// ---- Several servers

Test(usage, servers_on_one_store_know_of_each_others_counts) {
    if (!w.server.is_postgres)
        return;
    ez_world second = {0};
    given_second_server(&second.server, &w.server);
    given_callers(&second);
    ez_caller far = caller_with(&second, other.token);
    flush(&plane, 1, 1, 3);
    flush(&far, 1, 1, 4);
    cr_assert(flush(&far, 1, 1, 4)->repeated);
    plane.world = &w;
    ez_caller moved = caller_with(&second, plane.token);
    cr_assert(flush(&moved, 1, 1, 3)->repeated, "a data plane may go to any of them");
    expect_soon(master_now()->request_count == 7);
    expect_soon(master_now()->realtime->requests == 7);
    expect_soon(key_now()->request_count == 7);
    update_key("'quota_limit':10");
    flush(&far, 1, 2, 3);
    expect_soon(status_in(&plane) == EXHAUSTED);
    end_callers(&second);
    end_server(&second.server);
}
