// SPDX-License-Identifier: Apache-2.0
//
// Request logs from end to end: taken once, found again, added up, kept from others, and forgotten.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ez/v1/log.pb-c.h"
#include "ez/v1/setting.pb-c.h"
#include "tests/integration/support/listener.h"
#include "tests/integration/support/world.h"

#define HOUR 3600
#define DAY  86400

static ez_world w;
static ez_caller plane;

static void begin(void) {
    static const char *const env[] = {"EZ_LOG_SAMPLE_PER_SECOND=5", NULL};
    given_world(&w, env);
    plane = caller_with(&w, given_plane(&w.admin, "edge")->token);
}

static void end(void) {
    end_world(&w);
}

TestSuite(logs, .init = begin, .fini = end);

// RFC 3339 of a moment; some at a time may be in use.
static const char *at(int64_t seconds) {
    static char texts[8][32];
    static unsigned next;
    char *text = texts[next++ % 8];
    time_t moment = (time_t)seconds;
    struct tm utc;
    gmtime_r(&moment, &utc);
    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return text;
}

static int64_t now_s(void) {
    return (int64_t)time(NULL);
}

// A batch of count records of one master and key, all at one time.
typedef struct batch {
    int64_t time_s;
    int64_t master_id, key_id, group_id, api_key_id;
    const char *model, *error_message;
    int status_code;
    int64_t latency_ms;
    size_t count;
} batch;

static Ez__V1__IngestLogsResponse *ingest(const batch *b, uint64_t sequence) {
    static Ez__V1__LogRecord records[5001];
    static Ez__V1__LogRecord *list[5001];
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    Ez__V1__IngestLogsRequest request = EZ__V1__INGEST_LOGS_REQUEST__INIT;
    time.seconds = b->time_s;
    for (size_t i = 0; i < b->count; i++) {
        Ez__V1__LogRecord *record = list[i] = &records[i];
        ez__v1__log_record__init(record);
        record->time = &time;
        record->request_id = (char *)"req-1";
        record->master_id = b->master_id;
        record->key_id = b->key_id;
        record->group_id = b->group_id;
        record->api_key_id = b->api_key_id;
        record->model = (char *)(b->model ? b->model : "gpt-4o");
        record->upstream_model = (char *)"upstream-name";
        record->status_code = b->status_code ? b->status_code : 200;
        record->latency_ms = b->latency_ms ? b->latency_ms : 100;
        record->tokens_in = 10;
        record->tokens_out = 20;
        record->cost_nano_usd = 1000;
        record->error_message = (char *)(b->error_message ? b->error_message : "");
    }
    request.epoch = sequence ? 99 : 0;
    request.sequence = sequence;
    request.records = list;
    request.n_records = b->count;
    void *reply = NULL;
    ez_status status = try_message(&plane, &reply, "Logs/Ingest", &request.base);
    return status == EZ_OK ? reply : NULL;
}

static void given_logs(const batch *b) {
    Ez__V1__IngestLogsResponse *reply = ingest(b, 0);
    cr_assert_not_null(reply, "%s", plane.error.message);
    cr_assert_eq((size_t)reply->stored, b->count);
}

static int64_t total_of(const char *filter) {
    Ez__V1__GetLogStatsResponse *stats = ask(&w.admin, "Logs/GetStats", "{'group_by':'model'%s}", filter);
    return stats->total->requests;
}

// ---- Taking

Test(logs, a_batch_counts_once) {
    batch b = {.time_s = now_s(), .count = 3};
    Ez__V1__IngestLogsResponse *reply = ingest(&b, 1);
    cr_assert_eq(reply->stored, 3);
    cr_assert_not(reply->repeated);
    reply = ingest(&b, 1);
    cr_assert(reply->repeated);
    cr_assert_eq(reply->stored, 0);
    cr_assert_null(ingest(&b, 3));
    cr_assert_eq(plane.error.code, EZ_OUT_OF_RANGE);
    cr_assert_str_eq(plane.error.reason, "SEQUENCE_GAP");
    cr_assert_not_null(strstr(plane.error.message, "2"), "it says which is expected: %s", plane.error.message);
    cr_assert_not_null(ingest(&b, 2));
    cr_assert_eq(total_of(""), 6);
    kill_server(&w.server);
    start_server(&w.server);
    await_answers(&w);
    cr_assert(ingest(&b, 2)->repeated, "a mark is as durable as its data");
    cr_assert_eq(total_of(""), 6);
    Ez__V1__ListLogsResponse *list = ask(&w.admin, "Logs/List", "{}");
    cr_assert_eq(list->n_items, 6);
}

Test(logs, a_batch_without_records_moves_the_mark) {
    batch b = {.time_s = now_s(), .count = 0};
    cr_assert_eq(ingest(&b, 1)->stored, 0);
    b.count = 1;
    cr_assert_eq(ingest(&b, 2)->stored, 1);
}

Test(logs, what_is_too_much_or_wrong_is_refused) {
    batch b = {.time_s = now_s(), .count = 5001};
    cr_assert_null(ingest(&b, 0));
    cr_assert_eq(plane.error.code, EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(plane.error.violations[0].field, "records");
    cr_assert_not_null(strstr(plane.error.violations[0].description, "5000"));
    b.count = 5000;
    cr_assert_eq(ingest(&b, 0)->stored, 5000);
    expect_refused(&plane, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "Logs/Ingest",
                   "{'records':[{'time':'%s'},{'time':'%s','tokens_in':-1}]}", at(now_s()), at(now_s()));
    cr_assert_str_eq(plane.error.violations[0].field, "records[1].tokens_in");
    expect_refused(&plane, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "Logs/Ingest", "{'records':[{}]}");
    expect_refused(&plane, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "Logs/Ingest", "{'epoch':5,'records':[{'time':'%s'}]}",
                   at(now_s()));
    cr_assert_eq(total_of(""), 5000, "a batch that is refused adds nothing");
}

Test(logs, clocks_that_are_off_are_borne_up_to_an_hour) {
    int64_t now = now_s();
    Ez__V1__IngestLogsResponse *reply =
        ask(&plane, "Logs/Ingest", "{'records':[{'time':'%s'},{'time':'%s'},{'time':'%s'},{'time':'%s'}]}",
            at(now + HOUR - 5), at(now - HOUR), at(now + DAY), at(now - 31 * DAY));
    cr_assert_eq(reply->stored, 2);
    cr_assert_eq(reply->refused_count, 2);
    cr_assert_eq(reply->refused[0]->index, 2);
    cr_assert_str_eq(reply->refused[0]->reason, "TIME_IN_FUTURE");
    cr_assert_eq(reply->refused[1]->index, 3);
    cr_assert_str_eq(reply->refused[1]->reason, "TIME_TOO_OLD");
    Ez__V1__ListLogsResponse *list = ask(&w.admin, "Logs/List", "{}");
    cr_assert_eq(list->n_items, 2);
    cr_assert_eq(list->items[0]->time->seconds, now + HOUR - 5, "kept as the data plane says");
    cr_assert(llabs(list->items[0]->received_at->seconds - now) < 60, "beside when it came");
    cr_assert_gt(list->items[0]->data_plane_id, 0);
}

Test(logs, bodies_are_kept_where_the_feature_says_so) {
    static uint8_t body[1 << 20];
    memset(body, 'b', sizeof body);
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    Ez__V1__LogRecord record = EZ__V1__LOG_RECORD__INIT, *list[] = {&record};
    Ez__V1__IngestLogsRequest request = EZ__V1__INGEST_LOGS_REQUEST__INIT;
    time.seconds = now_s();
    record.time = &time;
    record.request_body = (ProtobufCBinaryData){sizeof body, body};
    request.records = list;
    request.n_records = 1;
    record.request_id = (char *)"off";
    cr_assert_eq(try_message(&plane, NULL, "Logs/Ingest", &request.base), EZ_OK);
    ask(&w.admin, "Settings/UpdateFeatures", "{'features':{'flags':{'log_request_body_enabled':true}}}");
    record.request_id = (char *)"on";
    cr_assert_eq(try_message(&plane, NULL, "Logs/Ingest", &request.base), EZ_OK);
    Ez__V1__ListLogsResponse *off = ask(&w.admin, "Logs/List", "{'request_id':'off','include':['request_body']}");
    cr_assert_eq(off->n_items, 1);
    cr_assert_eq(off->items[0]->request_body.len, 0);
    Ez__V1__ListLogsResponse *on = ask(&w.admin, "Logs/List", "{'request_id':'on','include':['request_body']}");
    cr_assert_eq(on->items[0]->request_body.len, 65536, "cut");
    on = ask(&w.admin, "Logs/List", "{'request_id':'on'}");
    cr_assert_eq(on->items[0]->request_body.len, 0, "not asked for");
    // As many as fit a reply, and the rest on the next page.
    for (int i = 0; i < 100; i++) {
        record.request_id = (char *)"many";
        cr_assert_eq(try_message(&plane, NULL, "Logs/Ingest", &request.base), EZ_OK);
    }
    size_t seen = 0;
    char token[128] = "";
    do {
        on = ask(&w.admin, "Logs/List",
                 "{'request_id':'many','include':['request_body'],'page_size':1000,'page_token':'%s'}", token);
        seen += on->n_items;
        snprintf(token, sizeof token, "%s", on->next_page_token);
        cr_assert_leq(on->n_items, 64);
    } while (token[0]);
    cr_assert_eq(seen, 100);
}

// ---- Finding

Test(logs, pages_hold_while_records_come_in) {
    int64_t now = now_s();
    for (int i = 0; i < 5; i++)
        given_logs(&(batch){.time_s = now - 100 - i, .count = 7});
    int64_t last_ns = INT64_MAX, last_id = 0;
    size_t seen = 0;
    char token[128] = "";
    do {
        Ez__V1__ListLogsResponse *page = ask(&w.admin, "Logs/List", "{'page_size':4,'page_token':'%s'}", token);
        for (size_t i = 0; i < page->n_items; i++) {
            const Ez__V1__LogRecord *record = page->items[i];
            int64_t time_ns = record->time->seconds * 1000000000 + record->time->nanos;
            cr_assert(time_ns < last_ns || (time_ns == last_ns && record->id < last_id), "newest first, each once");
            last_ns = time_ns;
            last_id = record->id;
            seen++;
        }
        snprintf(token, sizeof token, "%s", page->next_page_token);
        given_logs(&(batch){.time_s = now, .count = 3}); // newer than all: on no page that follows
    } while (token[0]);
    cr_assert_eq(seen, 35);
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "PAGE_TOKEN_INVALID", "Logs/List", "{'page_token':'AAAA'}");
}

static size_t found(const char *filter) {
    Ez__V1__ListLogsResponse *list = ask(&w.admin, "Logs/List", "{%s}", filter);
    return list->n_items;
}

Test(logs, filters_find_what_they_say) {
    int64_t now = now_s();
    given_logs(&(batch){.time_s = now - 10, .master_id = 1, .key_id = 11, .model = "100%_sure", .count = 1});
    given_logs(&(batch){
        .time_s = now - 20, .master_id = 1, .key_id = 12, .model = "100 sure", .status_code = 404, .count = 2});
    given_logs(&(batch){.time_s = now - 30,
                        .master_id = 2,
                        .group_id = 5,
                        .api_key_id = 51,
                        .status_code = 503,
                        .error_message = "Upstream Timed Out",
                        .count = 3});
    cr_assert_eq(found(""), 6);
    cr_assert_eq(found("'master_id':1"), 3);
    cr_assert_eq(found("'key_id':12"), 2);
    cr_assert_eq(found("'group_id':5"), 3);
    cr_assert_eq(found("'api_key_id':51"), 3);
    cr_assert_eq(found("'model':'100 sure'"), 2);
    cr_assert_eq(found("'status_code':404"), 2);
    cr_assert_eq(found("'status_class':'success'"), 1);
    cr_assert_eq(found("'status_class':'client_error'"), 2);
    cr_assert_eq(found("'status_class':'server_error'"), 3);
    cr_assert_eq(found("'status_class':'error'"), 5);
    cr_assert_eq(found("'q':'timed out'"), 3, "letter case does not matter");
    cr_assert_eq(found("'q':'%'"), 1, "%% and _ mean themselves");
    cr_assert_eq(found("'q':'0%_s'"), 1);
    cr_assert_eq(found("'q':'0__s'"), 0);
    cr_assert_eq(found("'q':'upstream-name'"), 6);
    cr_assert_eq(found("'request_id':'req-1'"), 6);
    cr_assert_eq(found("'request_id':'req'"), 0);
    char filter[128];
    snprintf(filter, sizeof filter, "'since':'%s','until':'%s'", at(now - 20), at(now - 10));
    cr_assert_eq(found(filter), 2, "since is within, until is not");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "Logs/List", "{'since':'%s','until':'%s'}", at(now),
                   at(now - 1));
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "Logs/List", "{'include':['everything']}");
}

// ---- Adding up

static const Ez__V1__LogStat *row_of(const Ez__V1__GetLogStatsResponse *stats, int64_t id) {
    for (size_t i = 0; i < stats->n_items; i++)
        if (stats->items[i]->id == id)
            return stats->items[i];
    cr_assert_fail("there is no row of %" PRId64, id);
    return NULL;
}

Test(logs, statistics_by_everything) {
    Ez__V1__Master *acme = given_master(&w.admin, "acme");
    Ez__V1__Key *web = given_key(&w.admin, acme->id, "web");
    Ez__V1__ProviderGroup *main_group = given_group(&w.admin, "main", "'m'");
    Ez__V1__ApiKey *upstream = given_api_key(&w.admin, main_group->id, "first", "sk-fake-upstream-credential");
    int64_t now = now_s();
    given_logs(&(batch){.time_s = now,
                        .master_id = acme->id,
                        .key_id = web->id,
                        .group_id = main_group->id,
                        .api_key_id = upstream->id,
                        .model = "a",
                        .latency_ms = 100,
                        .count = 90});
    given_logs(&(batch){.time_s = now,
                        .master_id = acme->id,
                        .key_id = 999,
                        .group_id = main_group->id,
                        .api_key_id = upstream->id,
                        .model = "b",
                        .status_code = 500,
                        .latency_ms = 20000,
                        .count = 10});
    Ez__V1__GetLogStatsResponse *stats = ask(&w.admin, "Logs/GetStats", "{'group_by':'model'}");
    cr_assert_eq(stats->n_items, 2);
    cr_assert_str_eq(stats->items[0]->model, "a", "most requests first");
    cr_assert_eq(stats->items[0]->requests, 90);
    cr_assert_eq(stats->items[1]->errors, 10);
    cr_assert_eq(stats->total->requests, 100);
    cr_assert_eq(stats->total->success, 90);
    cr_assert_eq(stats->total->errors, 10);
    cr_assert_eq(stats->total->tokens_in, 1000);
    cr_assert_eq(stats->total->tokens_out, 2000);
    cr_assert_eq(stats->total->cost_nano_usd, 100000);
    cr_assert_float_eq(stats->total->avg_latency_ms, 2090, 0.01);
    cr_assert(stats->total->p50_latency_ms <= 100 && stats->total->p99_latency_ms > 15000);
    cr_assert_not(stats->truncated);
    stats = ask(&w.admin, "Logs/GetStats", "{'group_by':'key'}");
    cr_assert_str_eq(row_of(stats, web->id)->name, "web");
    cr_assert_str_eq(row_of(stats, 999)->name, "", "a key that is not there");
    stats = ask(&w.admin, "Logs/GetStats", "{'group_by':'master','model':'b'}");
    cr_assert_eq(row_of(stats, acme->id)->requests, 10);
    cr_assert_str_eq(row_of(stats, acme->id)->name, "acme");
    stats = ask(&w.admin, "Logs/GetStats", "{'group_by':'group'}");
    cr_assert_str_eq(row_of(stats, main_group->id)->name, "main");
    stats = ask(&w.admin, "Logs/GetStats", "{'group_by':'api_key','group_id':%" PRId64 "}", main_group->id);
    cr_assert_str_eq(row_of(stats, upstream->id)->name, "first");
    static const char *const steps[] = {"minute", "hour", "day", "month"};
    for (size_t i = 0; i < 4; i++) {
        stats = ask(&w.admin, "Logs/GetStats", "{'group_by':'%s','key_id':%" PRId64 "}", steps[i], web->id);
        cr_assert_eq(stats->n_items, 1, "%s", steps[i]);
        cr_assert_eq(stats->items[0]->requests, 90);
        cr_assert_leq(stats->items[0]->time->seconds, now);
    }
    cr_assert_eq(stats->items[0]->time->seconds % DAY, 0);
}

Test(logs, statistics_that_are_too_long_or_do_not_mix_are_refused) {
    int64_t now = now_s();
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "RANGE_TOO_LONG", "Logs/GetStats",
                   "{'group_by':'minute','since':'%s'}", at(now - 7 * DAY));
    cr_assert_not_null(strstr(w.admin.error.message, "6 hours"));
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "RANGE_TOO_LONG", "Logs/GetStats", "{'group_by':'hour','since':'%s'}",
                   at(now - 33 * DAY));
    cr_assert_not_null(strstr(w.admin.error.message, "31 days"));
    ask(&w.admin, "Logs/GetStats", "{'group_by':'minute','since':'%s'}", at(now - 6 * HOUR));
    ask(&w.admin, "Logs/GetStats", "{'group_by':'hour','since':'%s'}", at(now - 31 * DAY));
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "RANGE_TOO_OLD", "Logs/GetStats",
                   "{'group_by':'minute','since':'%s','until':'%s'}", at(now - 4 * DAY), at(now - 4 * DAY + HOUR));
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "FILTERS_DO_NOT_MIX", "Logs/GetStats",
                   "{'group_by':'group','master_id':1}");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "FILTERS_DO_NOT_MIX", "Logs/GetStats", "{'key_id':1,'api_key_id':1}");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "Logs/GetStats", "{'since':'%s','until':'%s'}",
                   at(now), at(now - HOUR));
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "TIME_ZONE_UNKNOWN", "Logs/GetStats",
                   "{'group_by':'day','time_zone':'../../etc/passwd'}");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "TIME_ZONE_NOT_WHOLE_HOURS", "Logs/GetStats",
                   "{'group_by':'day','time_zone':'Asia/Kolkata'}");
}

Test(logs, days_begin_where_the_zone_says) {
    int64_t midnight = now_s() / DAY * DAY - 3 * DAY; // of UTC
    given_logs(&(batch){.time_s = midnight + 1800, .count = 1});
    given_logs(&(batch){.time_s = midnight - 1800, .count = 2});
    Ez__V1__GetLogStatsResponse *stats = ask(&w.admin, "Logs/GetStats", "{'group_by':'day'}");
    cr_assert_eq(stats->n_items, 2);
    cr_assert_eq(stats->items[1]->time->seconds, midnight);
    stats = ask(&w.admin, "Logs/GetStats", "{'group_by':'day','time_zone':'Asia/Tokyo'}"); // nine hours ahead
    cr_assert_eq(stats->n_items, 1);
    cr_assert_eq(stats->items[0]->time->seconds, midnight - 9 * HOUR);
    cr_assert_eq(stats->items[0]->requests, 3);
}

Test(logs, no_more_than_a_thousand_rows) {
    static Ez__V1__LogRecord records[1200], *list[1200];
    static char models[1200][8];
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    Ez__V1__IngestLogsRequest request = EZ__V1__INGEST_LOGS_REQUEST__INIT;
    time.seconds = now_s();
    for (int i = 0; i < 1200; i++) {
        ez__v1__log_record__init(&records[i]);
        snprintf(models[i], sizeof models[i], "m%d", i);
        records[i].time = &time;
        records[i].model = models[i];
        list[i] = &records[i];
    }
    request.records = list;
    request.n_records = 1200;
    cr_assert_eq(try_message(&plane, NULL, "Logs/Ingest", &request.base), EZ_OK);
    Ez__V1__GetLogStatsResponse *stats = ask(&w.admin, "Logs/GetStats", "{'group_by':'model'}");
    cr_assert_eq(stats->n_items, 1000);
    cr_assert(stats->truncated);
    cr_assert_eq(stats->total->requests, 1200, "all of them, shown or not");
}

Test(logs, a_dashboard_in_one_call) {
    Ez__V1__Master *acme = given_master(&w.admin, "acme");
    Ez__V1__Key *web = given_key(&w.admin, acme->id, "web");
    Ez__V1__Key *off = given_key(&w.admin, acme->id, "off");
    ask(&w.admin, "Keys/Disable", "{'id':%" PRId64 "}", off->id);
    int64_t now = now_s();
    given_logs(&(batch){.time_s = now, .master_id = acme->id, .key_id = web->id, .count = 8});
    given_logs(&(batch){.time_s = now, .master_id = acme->id, .key_id = web->id, .status_code = 500, .count = 2});
    given_logs(&(batch){.time_s = now - 30 * HOUR, .master_id = acme->id, .key_id = off->id, .count = 5});
    Ez__V1__Dashboard *board = ask(&w.admin, "Logs/GetDashboard", "{}");
    cr_assert_eq(board->until->seconds - board->since->seconds, DAY, "24 hours where nothing is asked for");
    cr_assert_eq(board->requests->total, 10);
    cr_assert_eq(board->requests->failed, 2);
    cr_assert_float_eq(board->requests->error_rate, 0.2, 1e-9);
    cr_assert_eq(board->requests->opt_change_case, EZ__V1__DASHBOARD_REQUESTS__OPT_CHANGE_CHANGE);
    cr_assert_float_eq(board->requests->change, 1.0, 1e-9, "twice as many as the day before");
    cr_assert_eq(board->tokens->tokens_out, 200);
    cr_assert_eq(board->masters->total, 1);
    cr_assert_eq(board->keys->total, 2);
    cr_assert_eq(board->keys->active, 1);
    cr_assert_eq(board->keys->disabled, 1);
    cr_assert_eq(board->n_top_keys, 1);
    cr_assert_str_eq(board->top_keys[0]->name, "web");
    cr_assert_eq(board->n_top_models, 1);
    board = ask(&w.admin, "Logs/GetDashboard", "{'period':'all'}");
    cr_assert_eq(board->requests->total, 15);
    cr_assert_eq(board->requests->opt_change_case, 0, "nothing is before");
    board = ask(&w.admin, "Logs/GetDashboard", "{'period':'hour'}");
    cr_assert_eq(board->requests->total, 10);
    ask(&w.admin, "Logs/GetDashboard", "{'period':'today'}");
}

// ---- Whose they are

Test(logs, tenants_see_their_own_and_no_upstream) {
    Ez__V1__Master *acme = given_master(&w.admin, "acme");
    Ez__V1__Master *globex = given_master(&w.admin, "globex");
    int64_t now = now_s();
    given_logs(
        &(batch){.time_s = now, .master_id = acme->id, .group_id = 5, .api_key_id = 51, .model = "mine", .count = 3});
    given_logs(&(batch){.time_s = now, .master_id = globex->id, .model = "theirs", .count = 4});
    ez_caller tenant = caller_with(&w, acme->master_key);
    Ez__V1__ListLogsResponse *list =
        ask(&tenant, "Logs/ListOwn", "{'master_id':%" PRId64 ",'page_size':100}", globex->id);
    cr_assert_eq(list->n_items, 3, "whatever master is asked for");
    for (size_t i = 0; i < list->n_items; i++) {
        cr_assert_eq(list->items[i]->master_id, acme->id);
        cr_assert_eq(list->items[i]->group_id, 0);
        cr_assert_eq(list->items[i]->api_key_id, 0);
        cr_assert_eq(list->items[i]->data_plane_id, 0);
        cr_assert_str_eq(list->items[i]->upstream_model, "");
    }
    list = ask(&tenant, "Logs/ListOwn", "{'q':'upstream','page_size':1}");
    cr_assert_eq(list->n_items, 0, "what is hidden can't be searched either");
    cr_assert_str_eq(list->next_page_token, "", "an empty page with a next one would tell that it was found");
    list = ask(&tenant, "Logs/ListOwn", "{'q':'MINE'}");
    cr_assert_eq(list->n_items, 3);
    expect_refused(&tenant, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "Logs/ListOwn", "{'group_id':5}");
    expect_refused(&tenant, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "Logs/ListOwn", "{'api_key_id':51}");
    Ez__V1__GetLogStatsResponse *stats = ask(&tenant, "Logs/GetOwnStats", "{'master_id':%" PRId64 "}", globex->id);
    cr_assert_eq(stats->total->requests, 3);
    cr_assert_eq(stats->n_items, 1);
    cr_assert_str_eq(stats->items[0]->model, "mine");
    expect_refused(&tenant, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "Logs/GetOwnStats", "{'group_by':'group'}");
    expect_refused(&tenant, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "Logs/GetOwnStats", "{'group_by':'api_key'}");
    expect_refused(&tenant, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "Logs/GetOwnStats", "{'group_id':5}");
}

// ---- Forgetting

// The store's own count of what lies there shows in the oldest page only; so look for every record.
static size_t all_of_them(void) {
    return found("'page_size':1000");
}

Test(logs, what_is_deleted_is_gone_at_once_and_statistics_stay) {
    int64_t now = now_s();
    given_logs(&(batch){.time_s = now - 3 * DAY, .count = 5});
    given_logs(&(batch){.time_s = now, .count = 2});
    uint64_t before = revision_of(&w);
    ask(&w.admin, "Logs/Delete", "{'before':'%s'}", at(now - DAY));
    cr_assert_eq(revision_of(&w), before + 1);
    cr_assert_eq(all_of_them(), 2);
    cr_assert_eq(total_of(""), 7);
    ask(&w.admin, "Logs/Delete", "{'before':'%s'}", at(now - 2 * DAY));
    cr_assert_eq(revision_of(&w), before + 1, "what is gone does not come back");
    char filter[64];
    snprintf(filter, sizeof filter, "'until':'%s'", at(now - 2 * DAY));
    cr_assert_eq(found(filter), 0);
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "Logs/Delete", "{'before':'%s'}", at(now + 2 * DAY));
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "Logs/Delete", "{}");
    restart_server(&w.server);
    await_answers(&w);
    cr_assert_eq(all_of_them(), 2);
    cr_assert_eq(total_of(""), 7);
}

Test(logs, features_say_how_many_are_kept_and_for_how_long) {
    int64_t now = now_s();
    given_logs(&(batch){.time_s = now - 10 * DAY, .count = 50});
    given_logs(&(batch){.time_s = now - 2 * DAY, .count = 60});
    given_logs(&(batch){.time_s = now, .count = 40});
    cr_assert_eq(all_of_them(), 150);
    ask(&w.admin, "Settings/UpdateFeatures",
        "{'features':{'log_retention_days':5},'update_mask':['log_retention_days']}");
    expect_soon(all_of_them() == 100);
    Ez__V1__IngestLogsResponse *reply = ingest(&(batch){.time_s = now - 6 * DAY, .count = 1}, 0);
    cr_assert_str_eq(reply->refused[0]->reason, "TIME_TOO_OLD");
    ask(&w.admin, "Settings/UpdateFeatures", "{'features':{'log_max_records':40},'update_mask':['log_max_records']}");
    expect_soon(all_of_them() == 40);
    cr_assert_eq(total_of(""), 150, "statistics outlive records");
}

// ---- Several servers

static size_t seen_by(ez_world *of, const char *filter) {
    Ez__V1__ListLogsResponse *list = ask(&of->admin, "Logs/List", "{%s}", filter);
    return list->n_items;
}

Test(logs, servers_on_one_store_count_once_and_forget_together) {
    if (!w.server.is_postgres)
        return;
    ez_world other = {.kept = NULL};
    given_second_server(&other.server, &w.server);
    given_callers(&other);
    ez_caller first = plane;
    int64_t now = now_s();
    batch b = {.time_s = now - 2 * DAY, .count = 3};
    cr_assert_eq(ingest(&b, 1)->stored, 3);
    // Whoever repeats may ask another server, which knows the mark.
    plane = caller_with(&other, first.token);
    Ez__V1__IngestLogsResponse *again = NULL;
    expect_soon((again = ingest(&b, 1)) != NULL); // the data plane's token gets there by the feed
    cr_assert(again->repeated);
    b.time_s = now;
    cr_assert_eq(ingest(&b, 2)->stored, 3);
    plane = first;
    cr_assert_eq(ingest(&b, 3)->stored, 3);
    cr_assert_eq(seen_by(&other, ""), 9);
    Ez__V1__GetLogStatsResponse *stats = ask(&other.admin, "Logs/GetStats", "{}");
    cr_assert_eq(stats->total->requests, 9);
    ask(&w.admin, "Logs/Delete", "{'before':'%s'}", at(now - DAY));
    expect_soon(seen_by(&other, "") == 6);
    ask(&other.admin, "Settings/UpdateFeatures", "{'features':{'flags':{'beta':true}}}");
    Ez__V1__Features *features = NULL;
    expect_soon((features = ask(&w.admin, "Settings/GetFeatures", "{}"))->n_flags == 1);
    end_world(&other);
}

// ---- Watching

// Ingests some more and looks whether a sample has come; whoever has just subscribed may miss the first one.
static Ez__V1__IngestLogsRequest *sample_of(ez_listener *events, ez_arena *arena) {
    static uint8_t body[] = "body-of-this-test";
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    Ez__V1__LogRecord record = EZ__V1__LOG_RECORD__INIT, *list[100];
    Ez__V1__IngestLogsRequest request = EZ__V1__INGEST_LOGS_REQUEST__INIT;
    time.seconds = now_s();
    record.time = &time;
    record.model = (char *)"watched";
    record.request_body = (ProtobufCBinaryData){sizeof body - 1, body};
    for (int i = 0; i < 100; i++)
        list[i] = &record;
    request.records = list;
    request.n_records = 100;
    cr_assert_eq(try_message(&plane, NULL, "Logs/Ingest", &request.base), EZ_OK);
    for (size_t i = 0; i < listener_count(events); i++) {
        ez_heard event = listener_event(events, i, arena);
        if (strcmp(event.topic, "logs") == 0)
            return ez__v1__ingest_logs_request__unpack(ez_arena_allocator(arena), event.message.len,
                                                       event.message.data);
    }
    return NULL;
}

Test(logs, a_sample_is_published_without_bodies) {
    ask(&w.admin, "Settings/UpdateFeatures", "{'features':{'flags':{'log_request_body_enabled':true}}}");
    ez_listener events;
    given_silent_listener(&events, w.server.events_url);
    ez_arena arena;
    ez_arena_init(&arena, 16u << 20);
    Ez__V1__IngestLogsRequest *sample = NULL;
    expect_soon((sample = sample_of(&events, &arena)) != NULL);
    cr_assert(sample->n_records >= 1 && sample->n_records <= 5, "%zu", sample->n_records);
    cr_assert_str_eq(sample->records[0]->model, "watched");
    cr_assert_not(listener_has(&events, "body-of-this-test", strlen("body-of-this-test")));
    ez_arena_fini(&arena);
    end_listener(&events);
}
