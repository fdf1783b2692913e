// SPDX-License-Identifier: Apache-2.0
//
// What becomes of a batch before it is stored: times, bodies, marks.
#include <criterion/criterion.h>
#include <string.h>

#include "ez/handlers.h"
#include "server/domain/logs/logs.h"
#include "server/state/metering/appender.h"
#include "tests/unit/access/support/world.h"

#define NOW_S  INT64_C(1800000000)
#define S_NS   INT64_C(1000000000)
#define DAY_S  86400
#define REC    4
#define BODY_K 100

static world *w;
static ez_logs *logs;
static ez_call a_call;
static ez_append append;
static Ez__V1__LogRecord records[REC], *list[REC];
static Google__Protobuf__Timestamp times[REC];
static Ez__V1__IngestLogsRequest request;

static void begin(void) {
    ez_error error = EZ_ERROR_INIT;
    w = given_world();
    ez_logs_options options = {.directory = w->directory,
                               .feed = w->feed,
                               .store = w->store,
                               .sealer = w->sealer,
                               .retention_days = 30,
                               .max_records = 1000};
    cr_assert_eq(ez_logs_create(&options, &logs, &error), EZ_OK);
    ez_arena_init(&a_call.arena, 32 << 20);
    ez_buf_init(&a_call.reply, 1 << 20);
    a_call.time_ns = NOW_S * S_NS;
    a_call.principal = (ez_principal){.scope = EZ_SCOPE_DATA_PLANE, .id = 7};
    append.call = &a_call;
    ez__v1__ingest_logs_request__init(&request);
    request.records = list;
    request.n_records = REC;
    for (int i = 0; i < REC; i++) {
        ez__v1__log_record__init(&records[i]);
        google__protobuf__timestamp__init(&times[i]);
        times[i].seconds = NOW_S;
        records[i].time = &times[i];
        list[i] = &records[i];
    }
}

static void end(void) {
    ez_buf_fini(&a_call.reply);
    ez_arena_fini(&a_call.arena);
    ez_logs_destroy(logs);
    end_world(w);
}

TestSuite(ingest, .init = begin, .fini = end);

static Ez__V1__IngestLogsResponse *answered(void) {
    cr_assert_eq(append.committed(logs, &append), EZ_OK);
    return ez__v1__ingest_logs_response__unpack(NULL, a_call.reply.len, a_call.reply.data);
}

Test(ingest, clocks_may_be_an_hour_off) {
    times[0].seconds = NOW_S + 3600;
    times[1].seconds = NOW_S + 3600;
    times[1].nanos = 1;
    times[2].seconds = NOW_S - 30 * DAY_S;
    times[3].seconds = NOW_S - 30 * DAY_S - 1;
    cr_assert_eq(ez_handle_logs_ingest(logs, &a_call, &append, &request), EZ_OK);
    cr_assert_eq(append.row_count, 2);
    cr_assert_eq(append.logs[0].time_ns, (NOW_S + 3600) * S_NS, "kept as the data plane says");
    cr_assert_eq(append.logs[0].received_ns, NOW_S * S_NS, "beside when it came");
    cr_assert_eq(append.logs[0].data_plane_id, 7);
    cr_assert_eq(append.logs[1].time_ns, (NOW_S - 30 * DAY_S) * S_NS);
    Ez__V1__IngestLogsResponse *reply = answered();
    cr_assert_eq(reply->stored, 2);
    cr_assert_eq(reply->refused_count, 2);
    cr_assert_eq(reply->refused[0]->index, 1);
    cr_assert_str_eq(reply->refused[0]->reason, "TIME_IN_FUTURE");
    cr_assert_eq(reply->refused[1]->index, 3);
    cr_assert_str_eq(reply->refused[1]->reason, "TIME_TOO_OLD");
    ez__v1__ingest_logs_response__free_unpacked(reply, NULL);
}

Test(ingest, a_record_without_a_time_refuses_the_batch) {
    records[2].time = NULL;
    cr_assert_eq(ez_handle_logs_ingest(logs, &a_call, &append, &request), EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(a_call.error.violations[0].field, "records[2].time");
}

Test(ingest, a_time_past_the_end_of_time_is_the_future) {
    times[0].seconds = INT64_C(253402300799);
    cr_assert_eq(ez_handle_logs_ingest(logs, &a_call, &append, &request), EZ_OK);
    cr_assert_eq(append.row_count, REC - 1);
}

Test(ingest, no_more_than_a_hundred_are_told) {
    static Ez__V1__LogRecord *many[300];
    times[0].seconds = NOW_S + 7200;
    for (int i = 0; i < 300; i++)
        many[i] = &records[0];
    request.records = many;
    request.n_records = 300;
    cr_assert_eq(ez_handle_logs_ingest(logs, &a_call, &append, &request), EZ_OK);
    Ez__V1__IngestLogsResponse *reply = answered();
    cr_assert_eq(reply->n_refused, 100);
    cr_assert_eq(reply->refused_count, 300);
    cr_assert_eq(reply->stored, 0);
    ez__v1__ingest_logs_response__free_unpacked(reply, NULL);
}

Test(ingest, a_key_without_its_master_gets_it) {
    int64_t master = given_master(w, "acme")->id;
    records[0].key_id = records[1].key_id = given_key(w, master, "web")->id;
    records[1].master_id = master;
    records[2].key_id = records[3].key_id = 4711;
    records[3].master_id = 99;
    cr_assert_eq(ez_handle_logs_ingest(logs, &a_call, &append, &request), EZ_OK);
    cr_assert_eq(append.row_count, REC);
    cr_assert_eq(append.logs[0].master_id, master);
    cr_assert_eq(append.logs[1].master_id, master);
    cr_assert_eq(append.logs[2].master_id, 0, "not known here");
    cr_assert_eq(append.logs[3].master_id, 99, "as the data plane says");
}

Test(ingest, a_key_of_another_master_refuses_its_record_alone) {
    int64_t acme = given_master(w, "acme")->id, globex = given_master(w, "globex")->id;
    records[0].key_id = records[1].key_id = records[2].key_id = given_key(w, acme, "web")->id;
    records[0].master_id = acme;
    records[1].master_id = globex;
    records[2].master_id = 4711; // no master at all
    records[3].master_id = globex;
    cr_assert_eq(ez_handle_logs_ingest(logs, &a_call, &append, &request), EZ_OK);
    cr_assert_eq(append.row_count, 2);
    cr_assert_eq(append.logs[0].master_id, acme);
    cr_assert_eq(append.logs[1].master_id, globex, "without a key");
    Ez__V1__IngestLogsResponse *reply = answered();
    cr_assert_eq(reply->stored, 2);
    cr_assert_eq(reply->refused_count, 2);
    cr_assert_eq(reply->refused[0]->index, 1);
    cr_assert_str_eq(reply->refused[0]->reason, "KEY_OF_ANOTHER_MASTER");
    cr_assert_eq(reply->refused[1]->index, 2);
    ez__v1__ingest_logs_response__free_unpacked(reply, NULL);
}

static uint8_t body[BODY_K << 10];

Test(ingest, bodies_are_kept_only_where_the_feature_says_so_and_cut) {
    memset(body, 0xC3, sizeof body); // no UTF-8 either
    records[0].request_body = (ProtobufCBinaryData){sizeof body, body};
    records[1].request_body = (ProtobufCBinaryData){3, body};
    cr_assert_eq(ez_handle_logs_ingest(logs, &a_call, &append, &request), EZ_OK);
    cr_assert_eq(append.logs[0].body.len, 0);
    Ez__V1__Setting setting = EZ__V1__SETTING__INIT;
    Ez__V1__Features features = EZ__V1__FEATURES__INIT;
    Ez__V1__Features__FlagsEntry flag = EZ__V1__FEATURES__FLAGS_ENTRY__INIT, *flags[] = {&flag};
    flag.key = (char *)"log_request_body_enabled";
    flag.value = (char *)"true";
    features.flags = flags;
    features.n_flags = 1;
    features.log_retention_days = 1;
    setting.name = (char *)"features";
    setting.features = &features;
    given_stored(w, EZ__V1__KIND__KIND_SETTING, &setting.base);
    times[3].seconds = NOW_S - 2 * DAY_S;
    cr_assert_eq(ez_handle_logs_ingest(logs, &a_call, &append, &request), EZ_OK);
    cr_assert_eq(append.logs[0].body.len, 65536);
    cr_assert_eq(append.logs[1].body.len, 3);
    cr_assert_eq(append.row_count, 3, "the feature's retention holds");
}

Test(ingest, marks_are_both_or_none) {
    request.epoch = 5;
    cr_assert_eq(ez_handle_logs_ingest(logs, &a_call, &append, &request), EZ_INVALID_ARGUMENT);
    request.sequence = 3;
    cr_assert_eq(ez_handle_logs_ingest(logs, &a_call, &append, &request), EZ_OK);
    cr_assert_eq(append.mark.data_plane_id, 7);
    cr_assert_eq(append.mark.epoch, 5);
    cr_assert_eq(append.mark.sequence, 3);
    append.mark.outcome = EZ_MARK_REPEATED;
    Ez__V1__IngestLogsResponse *reply = answered();
    cr_assert(reply->repeated);
    cr_assert_eq(reply->stored, 0);
    ez__v1__ingest_logs_response__free_unpacked(reply, NULL);
}
