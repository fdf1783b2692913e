// SPDX-License-Identifier: Apache-2.0
//
// One stream's calls: its spool's first batch, again and again until the server has it, then the next. Awkward: after a
// lost answer nobody knows whether the batch was taken; it is sent again under the same epoch and sequence, and the
// server, who has a mark of these, knows.
#include <stdlib.h>
#include <string.h>

#include "clients/c/reporter_private.h"
#include "ez/v1/usage.pb-c.h"
#include "proto/runtime/log.h"

#define REPLY_MAX     (256u << 10)
#define ARENA_MAX     (1u << 20)
#define PAUSE_MIN_NS  (100 * EZ_MS_NS)
#define PAUSE_MAX_NS  (10 * EZ_S_NS)
#define PAUSE_SLOW_NS (30 * EZ_S_NS) // after an answer that time alone does not change

static void wake(void *user) {
    ez_reporter *reporter = user;
    pthread_mutex_lock(&reporter->mutex);
    ez_reporter_kick(reporter);
    pthread_mutex_unlock(&reporter->mutex);
}

ez_status ez_report_open(ez_reporter *reporter, ez_report_stream stream, ez_error *error) {
    static const char *const methods[] = {"ez.v1.Usage/Flush", "ez.v1.Logs/Ingest"};
    ez_report *report = &reporter->reports[stream];
    report->stream = stream;
    report->method = ez_method_find(methods[stream], strlen(methods[stream]));
    report->call = ez_session_call_create(REPLY_MAX, wake, reporter);
    if (report->call == NULL) {
        return ez_error_set(error, EZ_UNAVAILABLE, "NO_MEMORY", "There is no memory for a reporter.");
    }
    const ez_spool_options options = {.dir = reporter->dir,
                                      .stream = stream == EZ_REPORT_USAGE ? EZ_SPOOL_USAGE : EZ_SPOOL_LOGS,
                                      .keys = reporter->keys,
                                      .key_count = reporter->key_count,
                                      .max = reporter->max};
    return ez_spool_open(&options, &report->spool, error);
}

void ez_report_close(ez_report *report) {
    ez_session_call_abandon(report->call);
    ez_spool_close(report->spool);
}

// ---- Requests ----

// Rows are packed already. protobuf-c copies an unknown field as it is: the first row's tag is the field's, and the
// rest of the rows stand in what it takes for the value.
static bool start(ez_reporter *reporter, ez_report *report, const ez_spool_batch *batch) {
    ProtobufCMessageUnknownField rows = {0};
    if (batch->body.len > 0) {
        rows.tag = batch->body.data[0] >> 3;
        rows.wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
        rows.data = (uint8_t *)(uintptr_t)batch->body.data + 1;
        rows.len = batch->body.len - 1;
    }
    Ez__V1__FlushUsageRequest usage = EZ__V1__FLUSH_USAGE_REQUEST__INIT;
    Ez__V1__IngestLogsRequest logs = EZ__V1__INGEST_LOGS_REQUEST__INIT;
    usage.epoch = logs.epoch = batch->epoch;
    usage.sequence = logs.sequence = batch->sequence;
    ProtobufCMessage *request = report->stream == EZ_REPORT_USAGE ? &usage.base : &logs.base;
    request->n_unknown_fields = batch->body.len > 0;
    request->unknown_fields = &rows;
    report->rows = batch->rows;
    report->is_hollow = batch->body.len == 0;
    const ez_call_options options = {.max_retries = -1, .authorization = reporter->token};
    return ez_session_call_start(report->call, reporter->client, report->method, request, &options);
}

// ---- Answers ----

static void pause_for(ez_report *report, uint64_t now, bool is_slow) {
    uint64_t pause = report->backoff_ns == 0 ? PAUSE_MIN_NS : 2 * report->backoff_ns;
    pause = pause > PAUSE_MAX_NS ? PAUSE_MAX_NS : pause;
    report->backoff_ns = pause;
    uint64_t asked = ez_session_call_retry_after(report->call) * EZ_MS_NS;
    pause = is_slow ? PAUSE_SLOW_NS : pause;
    pause = asked > pause ? asked : pause;
    // Half of it by chance: a fleet must not come back in one beat.
    report->retry_at = now + pause / 2 + (now / 1000 ^ (uintptr_t)report / 64) % (pause / 2);
}

static void take_reply(ez_report *report, ez_slice reply) {
    ez_arena arena;
    ez_arena_init(&arena, ARENA_MAX);
    bool is_repeated = false;
    uint64_t skipped = 0;
    if (report->stream == EZ_REPORT_USAGE) {
        const Ez__V1__FlushUsageResponse *r =
            ez__v1__flush_usage_response__unpack(ez_arena_allocator(&arena), reply.len, reply.data);
        is_repeated = r != NULL && r->repeated;
        skipped = r != NULL && r->skipped > 0 ? (uint64_t)r->skipped : 0;
    } else {
        const Ez__V1__IngestLogsResponse *r =
            ez__v1__ingest_logs_response__unpack(ez_arena_allocator(&arena), reply.len, reply.data);
        is_repeated = r != NULL && r->repeated;
        skipped = r != NULL && r->refused_count > 0 ? (uint64_t)r->refused_count : 0;
        if (r != NULL && r->n_refused > 0) {
            ez_log_warn("the server refused log records", "count", EZ_LOG_INT(skipped), "first",
                        r->refused[0]->message);
        }
    }
    ez_arena_fini(&arena);
    if (skipped > 0 && report->stream == EZ_REPORT_USAGE) {
        ez_log_warn("the server does not know what some usage is of", "rows", EZ_LOG_INT(skipped));
    }
    report->info.acknowledged++;
    report->info.rows_acknowledged += report->rows;
    report->info.repeated += is_repeated;
    report->info.server_skipped += skipped;
}

// "sequence 7 comes too early: 5 is expected": the last number. 0 where there is none.
static uint64_t expected_of(const char *message) {
    uint64_t number = 0;
    for (const char *at = message; *at != '\0';) {
        if (*at < '0' || *at > '9') {
            at++;
            continue;
        }
        char *end;
        number = strtoull(at, &end, 10);
        at = end;
    }
    return number;
}

static void close_gap(ez_report *report, uint64_t now, const ez_error *error) {
    ez_error why;
    ez_error_clear(&why);
    if (ez_spool_gap(report->spool, expected_of(error->message), &why) != EZ_OK) {
        ez_log_warn("a gap that the server tells of can't be closed now", "reason", why.message);
        pause_for(report, now, false);
    }
}

static void reject(ez_reporter *reporter, ez_report *report, uint64_t now, const ez_error *error) {
    ez_error why;
    ez_error_clear(&why);
    ez_slice rows = {0};
    bool is_kept = false;
    if (ez_spool_reject(report->spool, &rows, &is_kept, &why) != EZ_OK) {
        ez_log_warn("a batch that the server does not take can't be set aside now", "reason", why.message);
        pause_for(report, now, false);
        return;
    }
    ez_log_error("the server does not take a batch; it is set aside", "stream",
                 report->stream == EZ_REPORT_USAGE ? "usage" : "logs", "kept", is_kept ? "yes" : "no", "reason",
                 error->message);
    report->info.rejected_batches++;
    if (reporter->on_rejected != NULL) {
        reporter->on_rejected(reporter->user, report->stream, rows, error, is_kept);
    }
}

static void take_failure(ez_reporter *reporter, ez_report *report, uint64_t now, ez_status status,
                         const ez_error *error) {
    bool is_too_large =
        strcmp(error->reason, "REQUEST_TOO_LARGE") == 0 || strcmp(error->reason, "MESSAGE_TOO_LARGE") == 0;
    bool is_poison = (status == EZ_INVALID_ARGUMENT || is_too_large) && !report->is_hollow;
    if (status == EZ_OUT_OF_RANGE && strcmp(error->reason, "SEQUENCE_GAP") == 0) {
        close_gap(report, now, error);
        return;
    }
    if (is_poison) {
        reject(reporter, report, now, error);
        return;
    }
    bool is_refused = status == EZ_UNAUTHENTICATED || status == EZ_PERMISSION_DENIED || status == EZ_UNIMPLEMENTED ||
                      status == EZ_INVALID_ARGUMENT;
    if (is_refused && !report->was_refused) {
        ez_log_error("the control plane refuses what this data plane reports; it is kept and tried again", "reason",
                     error->message);
    }
    report->was_refused = is_refused;
    report->info.failed_calls++;
    pause_for(report, now, is_refused);
}

static bool take_result(ez_reporter *reporter, ez_report *report, uint64_t now) {
    ez_status status;
    const ez_error *error;
    ez_slice reply;
    if (!ez_session_call_take(report->call, &status, &error, &reply)) {
        return false;
    }
    if (status != EZ_OK) {
        take_failure(reporter, report, now, status, error);
        return true;
    }
    take_reply(report, reply);
    ez_spool_acknowledge(report->spool);
    report->was_refused = false;
    report->backoff_ns = 0;
    report->retry_at = 0;
    return true;
}

uint64_t ez_report_send(ez_reporter *reporter, ez_report *report, uint64_t now, bool may_send) {
    (void)take_result(reporter, report, now);
    if (ez_session_call_is_busy(report->call) || !may_send) {
        return UINT64_MAX; // its end, or what is added next, wakes us
    }
    if (now < report->retry_at) {
        return report->retry_at;
    }
    ez_spool_batch batch;
    bool has = false;
    ez_error why;
    ez_error_clear(&why);
    ez_status status = ez_spool_front(report->spool, &batch, &has, &why);
    if (status == EZ_OK && !has) {
        return UINT64_MAX;
    }
    if (status != EZ_OK || !start(reporter, report, &batch)) {
        pause_for(report, now, false);
        return report->retry_at;
    }
    return UINT64_MAX;
}
