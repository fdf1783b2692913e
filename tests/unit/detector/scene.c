// SPDX-License-Identifier: Apache-2.0
//
// The callbacks copy what they are given; a test reads it when the round has ended, which it waits for.
#include "scene.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/setting.pb-c.h"
#include "proto/runtime/clock.h"
#include "server/domain/alerts/inside.h"
#include "server/domain/alerts/open.h"
#include "server/state/directory/setting.h"
#include "server/state/directory/stamp.h"
#include "tests/support/wait.h"

static _Atomic int64_t ahead_ns;

int64_t __real_ez_clock_wall_ns(void);
int64_t __wrap_ez_clock_wall_ns(void);
int64_t __wrap_ez_clock_wall_ns(void) {
    return __real_ez_clock_wall_ns() + atomic_load(&ahead_ns);
}

void pass_time(int64_t seconds) {
    atomic_fetch_add(&ahead_ns, seconds * INT64_C(1000000000));
}

int64_t scene_now_ns(void) {
    return __wrap_ez_clock_wall_ns();
}

// ---- What the detector is given

static void note(told *list, size_t *count, const told *what) {
    cr_assert_lt(*count, (size_t)SCENE_MAX);
    list[(*count)++] = *what;
}

static bool on_raise(void *user, const ez_alert_report *reports, size_t count, const char *by) {
    scene *s = user;
    cr_assert_str_eq(by, "detector");
    cr_assert(count > 0 && count <= EZ_ALERTS_AT_ONCE);
    for (size_t i = 0; i < count && !s->refuses_raises; i++) {
        told one = {.type = reports[i].type, .severity = reports[i].severity, .related_id = reports[i].related_id};
        snprintf(one.related_type, sizeof one.related_type, "%s", reports[i].related_type);
        snprintf(one.message, sizeof one.message, "%s", reports[i].message);
        snprintf(one.metadata, sizeof one.metadata, "%s", reports[i].metadata);
        note(s->raised, &s->raised_count, &one);
    }
    return !s->refuses_raises;
}

static bool on_clear(void *user, const ez_alert_subject *subjects, size_t count, const char *by) {
    scene *s = user;
    cr_assert_str_eq(by, "detector");
    cr_assert(count > 0 && count <= EZ_ALERTS_AT_ONCE);
    for (size_t i = 0; i < count && !s->refuses_clears; i++) {
        told one = {.type = subjects[i].type, .related_id = subjects[i].related_id};
        snprintf(one.related_type, sizeof one.related_type, "%s", subjects[i].related_type);
        note(s->cleared, &s->cleared_count, &one);
    }
    return !s->refuses_clears;
}

typedef struct giving {
    ez_detector_told_fn *each;
    void *user;
} giving;

static ez_status give(void *user, const ez_alert_row *row, ez_error *error) {
    const giving *it = user;
    return it->each(it->user, (Ez__V1__AlertType)row->type, row->related_type, row->related_id, error);
}

static ez_status each_told(void *user, ez_reader *reader, int64_t since_ns, ez_detector_told_fn *each, void *each_user,
                           ez_error *error) {
    scene *s = user;
    cr_assert_leq(since_ns, scene_now_ns() - INT64_C(3600000000000));
    s->open_asked++;
    if (s->is_open_failing)
        return ez_error_set(error, EZ_UNAVAILABLE, "STORE_BUSY", "busy");
    ez_status status = ez_reader_ping(reader, error);
    for (size_t i = 0; status == EZ_OK && i < s->open_count; i++)
        status = each(each_user, s->open[i].type, s->open[i].related_type, s->open[i].related_id, error);
    giving it = {each, each_user};
    ez_open_place place = {.type = EZ__V1__ALERT_TYPE__ALERT_TYPE_KEY_EXPIRED, .since_ns = since_ns};
    for (bool more = true; status == EZ_OK && more;)
        status = ez_alerts_closed_page(reader, &place, 1, give, &it, &more, error);
    return status;
}

static void on_condemned(void *user, const ez_condemned *api_keys, size_t count) {
    scene *s = user;
    memcpy(s->condemned, api_keys, count * sizeof *api_keys);
    s->condemned_count = count;
}

static void on_look_again(void *user, int64_t data_plane_id) {
    scene *s = user;
    cr_assert_lt(s->looked_count, 8u);
    s->looked[s->looked_count++] = data_plane_id;
}

static bool is_holder(void *user, uint64_t *token) {
    const scene *s = user;
    *token = s->token;
    return s->is_holder;
}

// ---- The scene

void restart_detector(scene *s) {
    ez_detector_destroy(s->detector);
    ez_detector_options options = {.store = s->state.store,
                                   .directory = s->state.directory,
                                   .counters = s->counters,
                                   .realtime = s->realtime,
                                   .holder = {is_holder, s},
                                   .raise = on_raise,
                                   .clear = on_clear,
                                   .each_told = each_told,
                                   .alerts_user = s,
                                   .condemned = on_condemned,
                                   .condemned_user = s,
                                   .look_again = on_look_again,
                                   .look_user = s};
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_detector_create(&options, &s->detector, &error), &error);
}

scene *given_scene(void) {
    scene *s = calloc(1, sizeof *s);
    ez_error error = EZ_ERROR_INIT;
    cr_assert(s && (s->raised = calloc(SCENE_MAX, sizeof(told))) && (s->cleared = calloc(SCENE_MAX, sizeof(told))));
    s->is_holder = true;
    s->token = 1;
    given_state(&s->state);
    expect_ok(ez_counters_create(&s->counters, &error), &error);
    expect_ok(ez_realtime_create(&s->realtime, &error), &error);
    restart_detector(s);
    return s;
}

void given_alert(scene *s, Ez__V1__AlertType type, const char *related_type, int64_t id, bool is_closed) {
    ez_alert_subject subject = {.type = type, .related_type = related_type, .related_id = id};
    ez_arena arena;
    ez_arena_init(&arena, 65536);
    ez_alert_op ops[2] = {{.act = EZ_ALERT_REPORT, .request = "{}"}, {.act = EZ_ALERT_CLEAR, .request = "{}"}};
    ops[0].row = (ez_alert_row){.type = (int32_t)type,
                                .severity = 1,
                                .related_id = id,
                                .title = "t",
                                .related_type = related_type,
                                .related_name = "",
                                .fingerprint = ez_alert_fingerprint(&subject, NULL, &arena),
                                .message = "",
                                .metadata = "{}"};
    ops[1].row.fingerprint = ops[0].row.fingerprint;
    ops[1].by = "an-admin";
    static uint64_t marks;
    ez_alert_batch batch = {.mark = {.epoch = ++marks, .sequence = 1, .is_key = true},
                            .ops = ops,
                            .op_count = is_closed ? 2 : 1,
                            .actor = "test",
                            .method = "test",
                            .request_id = "1",
                            .remote = "",
                            .arena = &arena};
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_store_change_alerts(s->state.store, &batch, 1, &(ez_alert_rules){0}, scene_now_ns(), &error), &error);
    ez_arena_fini(&arena);
}

void end_scene(scene *s) {
    ez_detector_destroy(s->detector); // no round is on its way
    ez_realtime_destroy(s->realtime);
    ez_counters_destroy(s->counters);
    end_state(&s->state);
    free(s->raised);
    free(s->cleared);
    free(s);
}

// ---- Resources

typedef struct change {
    int kind;
    ProtobufCMessage *message; // NULL: it goes
    int64_t id;
} change;

static ez_status make_change(void *self, ez_call *call, void *txn, ProtobufCMessage *request) {
    (void)request;
    change *it = self;
    return it->message ? ez_txn_put(txn, it->kind, it->message, &call->error)
                       : ez_txn_delete(txn, it->kind, it->id, &call->error);
}

static void run_change(scene *s, ez_handler *run, void *self) {
    ez_call *call = given_call("test");
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_writer_run(s->state.writer, call, run, self, NULL, &error), &error);
    ez_call_destroy_system(call);
}

// The id of any of these messages is what its first field says.
int64_t put(scene *s, int kind, ProtobufCMessage *message) {
    change it = {.kind = kind, .message = message};
    run_change(s, make_change, &it);
    const ProtobufCFieldDescriptor *id = protobuf_c_message_descriptor_get_field_by_name(message->descriptor, "id");
    return *(int64_t *)(void *)((char *)message + id->offset);
}

void drop(scene *s, int kind, int64_t id) {
    change it = {.kind = kind, .id = id};
    run_change(s, make_change, &it);
}

int64_t given_a_key(scene *s, int64_t quota_limit, int64_t expires_ns) {
    static uint8_t hash[32];
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    Google__Protobuf__Timestamp expires = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    expires.seconds = expires_ns / 1000000000;
    expires.nanos = (int32_t)(expires_ns % 1000000000);
    hash[0]++;
    key.master_id = 1;
    key.name = (char *)"k";
    key.token_sha256 = (ProtobufCBinaryData){sizeof hash, hash};
    key.status = EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE;
    key.opt_quota_limit_case = EZ__V1__KEY__OPT_QUOTA_LIMIT_QUOTA_LIMIT;
    key.quota_limit = quota_limit;
    key.expires_at = expires_ns ? &expires : NULL;
    return put(s, EZ__V1__KIND__KIND_KEY, &key.base);
}

int64_t given_an_api_key(scene *s) {
    Ez__V1__ApiKey key = EZ__V1__API_KEY__INIT;
    key.group_id = 1;
    key.status = EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE;
    return put(s, EZ__V1__KIND__KIND_API_KEY, &key.base);
}

void change_api_key(scene *s, const Ez__V1__ApiKey *to) {
    Ez__V1__ApiKey key = *to;
    put(s, EZ__V1__KIND__KIND_API_KEY, &key.base);
}

static ez_status put_thresholds(void *self, ez_call *call, void *txn, ProtobufCMessage *request) {
    (void)request;
    Ez__V1__Setting *setting;
    ez_status status = ez_setting_load(txn, "alert_thresholds", &setting, &call->error);
    setting->alert_thresholds = self;
    return status == EZ_OK ? ez_setting_put(txn, setting, &call->error) : status;
}

void set_thresholds(scene *s, const Ez__V1__AlertThresholds *thresholds) {
    Ez__V1__AlertThresholds copy = *thresholds;
    run_change(s, put_thresholds, &copy);
}

// ---- Requests

static ez_slice text(const char *of) {
    return (ez_slice){.data = (const uint8_t *)of, .len = strlen(of)};
}

void add_requests(scene *s, const requests *of) {
    int api_keys = of->api_keys ? of->api_keys : 1;
    size_t count = (size_t)of->count * (size_t)api_keys;
    ez_log_row *rows = calloc(count, sizeof *rows);
    ez_error error = EZ_ERROR_INIT;
    for (size_t i = 0; i < count; i++)
        rows[i] = (ez_log_row){.time_ns = scene_now_ns() - of->ago_s * INT64_C(1000000000),
                               .received_ns = scene_now_ns(),
                               .master_id = of->master_id,
                               .key_id = of->key_id,
                               .group_id = of->group_id,
                               .api_key_id = of->api_key_id + (int64_t)i / of->count,
                               .request_id = text("r"),
                               .model = text(i % 3 ? "gpt-4o" : "o1"),
                               .status_code = (int)i % of->count < of->errors ? of->status : 200,
                               .latency_ms = 5};
    ez_log_batch batch = {.rows = rows, .row_count = count};
    expect_ok(ez_store_add_logs(s->state.store, &batch, 1, scene_now_ns(), &error), &error);
    free(rows);
}

// ---- Rounds

void run_round(scene *s) {
    s->raised_count = s->cleared_count = s->condemned_count = s->looked_count = 0;
    ez_detector_tick(s->detector);
    expect_soon(!ez_detector_look(s->detector).is_running);
}

const told *was_raised(const scene *s, Ez__V1__AlertType type, const char *related_type, int64_t id) {
    for (size_t i = 0; i < s->raised_count; i++)
        if (s->raised[i].type == type && s->raised[i].related_id == id &&
            strcmp(s->raised[i].related_type, related_type) == 0)
            return &s->raised[i];
    return NULL;
}

bool was_cleared(const scene *s, Ez__V1__AlertType type, const char *related_type, int64_t id) {
    for (size_t i = 0; i < s->cleared_count; i++)
        if (s->cleared[i].type == type && s->cleared[i].related_id == id &&
            strcmp(s->cleared[i].related_type, related_type) == 0)
            return true;
    return false;
}
