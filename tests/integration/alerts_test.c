// SPDX-License-Identifier: Apache-2.0
//
// Alerts from end to end: what many see is one alert, on one server and on two; what admins do with it, who is told,
// what is audited; bad reports.
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/alert.pb-c.h"
#include "ez/v1/audit.pb-c.h"
#include "tests/integration/support/listener.h"
#include "tests/integration/support/world.h"

#define REPORTERS 4
#define AT_ONCE   1000

static ez_world a, b;
static ez_caller plane;

static void begin(void) {
    static const char *const env[] = {"EZ_RPC_CALLS=2048", NULL};
    given_world(&a, env);
    plane = caller_with(&a, given_plane(&a.admin, "edge")->token);
    if (a.server.is_postgres) {
        b = (ez_world){.kept = NULL};
        given_second_server(&b.server, &a.server);
        given_callers(&b);
        expect_soon(revision_of(&b) == revision_of(&a));
    }
}

static void end(void) {
    if (b.client)
        end_world(&b);
    end_world(&a);
}

TestSuite(alerts, .init = begin, .fini = end);

static Ez__V1__ReportAlertsResponse *report(const char *alerts) {
    return ask(&plane, "Alerts/Report", "{'alerts':[%s]}", alerts);
}

static Ez__V1__Alert *alert_of(ez_world *world, int64_t id) {
    return ask(&world->admin, "Alerts/Get", "{'id':%" PRId64 "}", id);
}

static Ez__V1__ListAlertsResponse *list(const char *filter) {
    return ask(&a.admin, "Alerts/List", "{%s}", filter);
}

static const Ez__V1__AuditEntry *audited(const char *method, int64_t alert) {
    Ez__V1__ListAuditResponse *entries =
        ask(&a.admin, "Audit/List", "{'method':'ez.v1.Alerts/%s','resource':'alert:%" PRId64 "'}", method, alert);
    return entries->n_items ? entries->items[0] : NULL;
}

// ---- Reporting

Test(alerts, the_same_trouble_is_one_alert) {
    Ez__V1__Master *acme = given_master(&a.admin, "acme");
    char text[400];
    snprintf(text, sizeof text,
             "{'type':'rate_limit','severity':'critical','related_type':'master','related_id':%" PRId64
             ",'message':'429','metadata':{'share':0.5}}",
             acme->id);
    Ez__V1__ReportAlertsResponse *first = report(text);
    cr_assert_eq(first->n_ids, 1);
    cr_assert_eq(first->created, 1);
    Ez__V1__ReportAlertsResponse *second = report(text);
    cr_assert_eq(second->ids[0], first->ids[0]);
    cr_assert_eq(second->created, 0);
    Ez__V1__Alert *alert = alert_of(&a, first->ids[0]);
    cr_assert_eq(alert->count, 2);
    cr_assert_eq(alert->status, EZ__V1__ALERT_STATUS__ALERT_STATUS_ACTIVE);
    cr_assert_str_eq(alert->title, "Rate limit reached");
    cr_assert_str_eq(alert->related_name, "acme");
    cr_assert_str_eq(alert->metadata, "{\"share\":0.5}");
    cr_assert_not(alert->related_missing);
    cr_assert_eq(strlen(alert->fingerprint), 64);
    const Ez__V1__AuditEntry *entry = audited("Report", alert->id);
    cr_assert_not_null(entry);
    cr_assert_str_eq(entry->actor, "data-plane:1:edge");
    cr_assert_eq(entry->revision, 0);
}

Test(alerts, what_is_not_there_is_kept_and_marked) {
    Ez__V1__ReportAlertsResponse *made =
        report("{'type':'key_disabled','related_type':'key','related_id':999,'related_name':'gone'},"
               "{'type':'custom','related_type':'sensor','related_id':999}");
    cr_assert(alert_of(&a, made->ids[0])->related_missing);
    cr_assert_str_eq(alert_of(&a, made->ids[0])->related_name, "gone");
    cr_assert_not(alert_of(&a, made->ids[1])->related_missing, "a word of the reporter's");
}

Test(alerts, one_bad_report_stores_none) {
    static const char good[] = "{'type':'custom','title':'good'}";
    static const char *const bad[] = {"{}", "{'type':'custom','related_id':-1}",
                                      ("{'type':'custom','metadata':{'a':1},'severity':'info','related_type':'"
                                       "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww'}")};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_refused(&plane, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "Alerts/Report", "{'alerts':[%s,%s]}", good,
                       bad[i]);
    Ez__V1__AlertReport one = EZ__V1__ALERT_REPORT__INIT, *many[101];
    Ez__V1__ReportAlertsRequest request = EZ__V1__REPORT_ALERTS_REQUEST__INIT;
    one.type = EZ__V1__ALERT_TYPE__ALERT_TYPE_CUSTOM;
    for (int i = 0; i < 101; i++)
        many[i] = &one;
    request.alerts = many;
    request.n_alerts = 101;
    void *reply;
    cr_assert_eq(try_message(&plane, &reply, "Alerts/Report", &request.base), EZ_INVALID_ARGUMENT);
    static char long_text[9 * 1024 + 1];
    snprintf(long_text, sizeof long_text, "{\"a\":\"%0*d\"}", 9 * 1024 - 8, 0);
    const char *metadata[] = {long_text, "[1]", "1", "{\"a\":}", "no"};
    for (size_t i = 0; i < sizeof metadata / sizeof metadata[0]; i++) {
        one.metadata = (char *)metadata[i];
        request.n_alerts = 1;
        cr_assert_eq(try_message(&plane, &reply, "Alerts/Report", &request.base), EZ_INVALID_ARGUMENT, "%zu", i);
        cr_assert_str_eq(plane.error.reason, "FIELD_INVALID");
    }
    one.metadata = (char *)"";
    one.type = (Ez__V1__AlertType)77;
    cr_assert_eq(try_message(&plane, &reply, "Alerts/Report", &request.base), EZ_INVALID_ARGUMENT);
    cr_assert_eq(list("")->n_items, 0);
}

Test(alerts, a_report_that_is_sent_again_counts_once) {
    for (int i = 0; i < 3; i++) {
        Ez__V1__ReportAlertsResponse *reply =
            ask(&plane, "Alerts/Report", "{'epoch':5,'sequence':1,'alerts':[{'type':'custom','title':'t'}]}");
        cr_assert_eq(reply->repeated, i > 0);
    }
    expect_refused(&plane, EZ_OUT_OF_RANGE, "SEQUENCE_GAP", "Alerts/Report",
                   "{'epoch':5,'sequence':3,'alerts':[{'type':'custom','title':'t'}]}");
    cr_assert_eq(list("")->items[0]->count, 1);
}

// ---- Many at once

typedef struct reporter {
    ez_client *client;
    pthread_t thread;
    unsigned count;
} reporter;

static atomic_uint answered, refused;
static atomic_int created;

static void on_answer(void *user, const ez_call_result *result) {
    (void)user;
    if (result->status != EZ_OK) {
        atomic_fetch_add(&refused, 1);
        fprintf(stderr, "refused: %s %s\n", result->error->reason, result->error->message);
    } else {
        Ez__V1__ReportAlertsResponse *reply =
            ez__v1__report_alerts_response__unpack(NULL, result->reply.len, result->reply.data);
        atomic_fetch_add(&created, reply ? reply->created : 0);
        ez__v1__report_alerts_response__free_unpacked(reply, NULL);
    }
    atomic_fetch_add(&answered, 1);
}

// All of them are under way at once.
static void *run_reporter(void *user) {
    static const char name[] = "ez.v1.Alerts/Report";
    reporter *it = user;
    Ez__V1__AlertReport one = EZ__V1__ALERT_REPORT__INIT, *all[] = {&one};
    Ez__V1__ReportAlertsRequest request = EZ__V1__REPORT_ALERTS_REQUEST__INIT;
    one.type = EZ__V1__ALERT_TYPE__ALERT_TYPE_PROVIDER_DOWN;
    one.title = (char *)"down";
    one.related_type = (char *)"provider";
    request.alerts = all;
    request.n_alerts = 1;
    ez_error error = EZ_ERROR_INIT;
    for (unsigned i = 0; i < it->count; i++) {
        ez_status status = ez_client_start(it->client, ez_method_find(name, sizeof name - 1), &request.base, NULL,
                                           on_answer, NULL, &error);
        if (status != EZ_OK)
            return NULL;
    }
    return it;
}

static void given_reporter(reporter *it, ez_world *world) {
    ez_client_options options = {.servers = {world->server.rpc_url},
                                 .server_count = 1,
                                 .token = plane.token,
                                 .timeout_ms = 30000,
                                 .max_in_flight = AT_ONCE};
    it->count = AT_ONCE / REPORTERS;
    expect_ok(ez_client_open(&options, &it->client, &world->admin.error), &world->admin.error);
    expect_soon(ez_client_is_connected(it->client));
}

// Half of them to each server, where there are two.
Test(alerts, a_thousand_reports_at_once_are_one_alert) {
    reporter reporters[REPORTERS];
    for (int i = 0; i < REPORTERS; i++)
        given_reporter(&reporters[i], i % 2 && b.client ? &b : &a);
    for (int i = 0; i < REPORTERS; i++)
        cr_assert_eq(pthread_create(&reporters[i].thread, NULL, run_reporter, &reporters[i]), 0);
    for (int i = 0; i < REPORTERS; i++) {
        void *went_well;
        pthread_join(reporters[i].thread, &went_well);
        cr_assert_not_null(went_well);
    }
    expect_soon(atomic_load(&answered) == AT_ONCE);
    for (int i = 0; i < REPORTERS; i++)
        ez_client_close(reporters[i].client);
    cr_assert_eq(atomic_load(&refused), 0);
    cr_assert_eq(atomic_load(&created), 1);
    Ez__V1__ListAlertsResponse *all = list("");
    cr_assert_eq(all->n_items, 1);
    cr_assert_eq(all->items[0]->count, AT_ONCE);
    Ez__V1__ListAuditResponse *entries = ask(&a.admin, "Audit/List", "{'resource':'alert:1'}");
    cr_assert_eq(entries->n_items, 1);
}

// ---- Admins

Test(alerts, an_alert_lives_and_ends) {
    int64_t id = report("{'type':'custom','title':'x'}")->ids[0];
    Ez__V1__Alert *alert = ask(&a.admin, "Alerts/Acknowledge", "{'id':%" PRId64 ",'note':'mine'}", id);
    cr_assert_eq(alert->status, EZ__V1__ALERT_STATUS__ALERT_STATUS_ACKNOWLEDGED);
    cr_assert_str_eq(alert->note, "mine");
    cr_assert_not_null(alert->acknowledged_at);
    cr_assert(strncmp(alert->acknowledged_by, "admin:", 6) == 0, "%s", alert->acknowledged_by);
    expect_refused(&a.admin, EZ_FAILED_PRECONDITION, "ALERT_STATUS", "Alerts/Acknowledge", "{'id':%" PRId64 "}", id);
    alert = ask(&a.admin, "Alerts/Update", "{'id':%" PRId64 ",'note':'still'}", id);
    cr_assert_str_eq(alert->note, "still");
    alert = ask(&a.admin, "Alerts/Resolve", "{'id':%" PRId64 "}", id);
    cr_assert_eq(alert->status, EZ__V1__ALERT_STATUS__ALERT_STATUS_RESOLVED);
    cr_assert_str_eq(alert->note, "still");
    cr_assert_not_null(alert->resolved_at);
    expect_refused(&a.admin, EZ_FAILED_PRECONDITION, "ALERT_STATUS", "Alerts/Dismiss", "{'id':%" PRId64 "}", id);
    static const char *const methods[] = {"Report", "Acknowledge", "Update", "Resolve"};
    for (size_t i = 0; i < 4; i++)
        cr_assert_not_null(audited(methods[i], id), "%s", methods[i]);
    cr_assert_null(audited("Dismiss", id));
    ask(&a.admin, "Alerts/Delete", "{'id':%" PRId64 "}", id);
    cr_assert_not_null(audited("Delete", id));
    expect_refused(&a.admin, EZ_NOT_FOUND, "NOT_FOUND", "Alerts/Get", "{'id':%" PRId64 "}", id);
    expect_refused(&a.admin, EZ_NOT_FOUND, "NOT_FOUND", "Alerts/Resolve", "{'id':%" PRId64 "}", id);
}

Test(alerts, a_batch_says_what_became_of_each) {
    Ez__V1__ReportAlertsResponse *made =
        report("{'type':'custom','title':'1'},{'type':'custom','title':'2'},{'type':'custom','title':'3'}");
    cr_assert_eq(made->created, 3);
    ask(&a.admin, "Alerts/Dismiss", "{'id':%" PRId64 "}", made->ids[1]);
    Ez__V1__BatchAlertsResponse *done = ask(
        &a.admin, "Alerts/Batch", "{'action':'resolve','note':'all','ids':[%" PRId64 ",%" PRId64 ",77,%" PRId64 "]}",
        made->ids[0], made->ids[1], made->ids[2]);
    cr_assert_eq(done->succeeded, 2);
    cr_assert_eq(done->failed, 2);
    const int32_t codes[] = {EZ_OK, EZ_FAILED_PRECONDITION, EZ_NOT_FOUND, EZ_OK};
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(done->results[i]->code, codes[i], "%zu", i);
    cr_assert_str_eq(done->results[3]->alert->note, "all");
    done = ask(&a.admin, "Alerts/Batch", "{'action':'delete','ids':[%" PRId64 "]}", made->ids[0]);
    cr_assert_eq(done->succeeded, 1);
    cr_assert_eq(list("")->n_items, 2);
}

Test(alerts, an_admin_makes_one_through_the_same_door) {
    Ez__V1__Alert *first = ask(&a.admin, "Alerts/Create",
                               "{'alert':{'type':'sync_failed','severity':'info','title':'t','metadata':{'a':[1]}}}");
    cr_assert_eq(first->count, 1);
    Ez__V1__ReportAlertsResponse *seen = report("{'type':'sync_failed','severity':'info'}");
    cr_assert_eq(seen->ids[0], first->id);
    cr_assert_eq(alert_of(&a, first->id)->count, 2);
    cr_assert_not_null(audited("Create", first->id));
    a.admin.next.idempotency_key = "twice";
    first = ask(&a.admin, "Alerts/Create", "{'alert':{'type':'custom','title':'once'}}");
    a.admin.next.idempotency_key = "twice";
    Ez__V1__Alert *again = ask(&a.admin, "Alerts/Create", "{'alert':{'type':'custom','title':'once'}}");
    cr_assert_eq(again->id, first->id);
    cr_assert_eq(again->count, 1);
}

Test(alerts, statistics_are_those_of_what_is_there) {
    Ez__V1__ReportAlertsResponse *made =
        report("{'type':'custom','title':'1','severity':'info'},{'type':'custom','title':'2','severity':'critical'},"
               "{'type':'key_expired','severity':'critical'}");
    ask(&a.admin, "Alerts/Resolve", "{'id':%" PRId64 "}", made->ids[1]);
    Ez__V1__AlertStats *stats = ask(&a.admin, "Alerts/GetStats", "{}");
    cr_assert_eq(stats->total, 3);
    cr_assert_eq(stats->open, 2);
    cr_assert_eq(stats->by_status->resolved, 1);
    cr_assert_eq(stats->by_severity->critical, 2);
    cr_assert_eq(stats->by_type->custom, 2);
    cr_assert_eq(stats->open_by_severity->critical, 1);
    cr_assert_eq(stats->open_by_type->custom, 1);
    cr_assert_eq(list("'status':'active','severity':['critical']")->n_items, 1);
    cr_assert_eq(list("'open':true,'severity':['critical','info']")->n_items, 2);
    cr_assert_eq(list("'type':'custom'")->n_items, 2);
    Ez__V1__ListAlertsResponse *page = list("'page_size':2");
    cr_assert_eq(page->n_items, 2);
    cr_assert_gt(page->items[0]->id, page->items[1]->id);
    page = ask(&a.admin, "Alerts/List", "{'page_size':2,'page_token':'%s'}", page->next_page_token);
    cr_assert_eq(page->n_items, 1);
    expect_refused(&a.admin, EZ_INVALID_ARGUMENT, "PAGE_TOKEN_INVALID", "Alerts/List", "{'page_token':'x'}");
}

// ---- Who is told

// Events of topic alerts about one of them, as "created acknowledged …".
static const char *told(ez_listener *heard, int64_t id) {
    static char text[1000];
    ez_arena arena;
    ez_arena_init(&arena, 64u << 20);
    text[0] = '\0';
    for (size_t i = 0; i < listener_count(heard); i++) {
        ez_heard event = listener_event(heard, i, &arena);
        if (strcmp(event.topic, "alerts") != 0)
            continue;
        Ez__V1__AlertEvent *message = ez__v1__alert_event__unpack(NULL, event.message.len, event.message.data);
        size_t len = strlen(text);
        if (message->alert->id == id)
            snprintf(text + len, sizeof text - len, "%s%s", len ? " " : "", message->event);
        ez__v1__alert_event__free_unpacked(message, NULL);
    }
    ez_arena_fini(&arena);
    return text;
}

static void expect_told(ez_listener *heard, int64_t id, const char *want) {
    uint64_t deadline = ez_test_deadline();
    while (strcmp(told(heard, id), want) != 0 && ez_test_before(deadline))
        continue;
    cr_assert_str_eq(told(heard, id), want);
}

// Whether what happens on this server comes to the listener: servers subscribe to one another a while after they start.
static bool hears_of(ez_listener *heard, ez_caller *by) {
    static int probes;
    Ez__V1__ReportAlertsResponse *probe =
        ask(by, "Alerts/Report", "{'alerts':[{'type':'custom','title':'probe %d'}]}", probes++);
    for (int i = 0; i < 10; i++) {
        if (*told(heard, probe->ids[0]))
            return true;
        ez_test_before(UINT64_MAX);
    }
    return false;
}

// Whichever server it happened on.
Test(alerts, each_step_is_told_once) {
    ez_listener here, there;
    ez_world *other = b.client ? &b : &a;
    given_listener(&here, a.server.events_url);
    given_listener(&there, other->server.events_url);
    ez_caller others = caller_with(other, plane.token);
    expect_soon(hears_of(&here, &others));
    expect_soon(hears_of(&there, &plane));
    int64_t id = report("{'type':'custom','title':'x'}")->ids[0];
    expect_told(&here, id, "created");
    expect_told(&there, id, "created");
    report("{'type':'custom','title':'x'}");
    ask(&other->admin, "Alerts/Acknowledge", "{'id':%" PRId64 "}", id);
    expect_told(&here, id, "created acknowledged");
    expect_told(&there, id, "created acknowledged");
    report("{'type':'custom','title':'x','severity':'critical'}");
    ask(&a.admin, "Alerts/Dismiss", "{'id':%" PRId64 "}", id);
    report("{'type':'custom','title':'x'}");
    expect_told(&here, id, "created acknowledged repeated dismissed");
    expect_told(&there, id, "created acknowledged repeated dismissed");
    cr_assert_eq(alert_of(other, id)->count, 4);
    end_listener(&here);
    end_listener(&there);
}

// ---- Over a restart

// What was noticed within the last quarter of a second before the timer ended.
Test(alerts, what_is_noticed_at_the_end_is_not_lost) {
    for (int i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "gone-%d", i);
        Ez__V1__DataPlane *gone = given_plane(&a.admin, name);
        int64_t gone_id = gone->id;
        ez_caller caller = caller_with(&a, gone->token);
        ask(&caller, "DataPlanes/Hello", "{'process_epoch':7,'version':'1'}");
        Ez__V1__ReportAlertsResponse *made = ask(
            &plane, "Alerts/Report",
            "{'alerts':[{'type':'data_plane_lost','related_type':'data_plane','related_id':%" PRId64 ",'title':'x'}]}",
            gone_id);
        int64_t id = made->ids[0];
        ask(&a.admin, "DataPlanes/Delete", "{'id':%" PRId64 "}", gone_id);
        restart_server(&a.server);
        await_answers(&a);
        cr_assert_eq(alert_of(&a, id)->status, EZ__V1__ALERT_STATUS__ALERT_STATUS_RESOLVED);
    }
}

Test(alerts, all_of_it_is_there_after_a_restart) {
    int64_t id = report("{'type':'custom','title':'x'}")->ids[0];
    ask(&a.admin, "Alerts/Acknowledge", "{'id':%" PRId64 "}", id);
    kill_server(&a.server);
    start_server(&a.server);
    await_answers(&a);
    report("{'type':'custom','title':'x'}");
    Ez__V1__Alert *alert = alert_of(&a, id);
    cr_assert_eq(alert->count, 2);
    cr_assert_eq(alert->status, EZ__V1__ALERT_STATUS__ALERT_STATUS_ACKNOWLEDGED);
    given_master(&a.admin, "acme"); // the chain goes on
    Ez__V1__ListAuditResponse *entries = ask(&a.admin, "Audit/List", "{'page_size':3}");
    for (size_t i = 0; i + 1 < entries->n_items; i++)
        cr_assert_arr_eq(entries->items[i]->previous_hash.data, entries->items[i + 1]->hash.data, 32);
}
