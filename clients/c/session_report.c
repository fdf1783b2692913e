// SPDX-License-Identifier: Apache-2.0
//
// What a session tells its server: Config.Ack at once where an event asked for it, DataPlanes.Heartbeat each second
// when nothing else was sent. Owns nothing. Awkward: a digest that differs means drift only where no row is rejected,
// since a rejected row is meant to differ; drift is cured by a snapshot, seldom enough not to be a load of its own. And
// a server whose store was put back to an older state stands behind us: what it pushes is ignored as old, so it shows
// here alone, and a snapshot follows it back.
#include <string.h>

#include "clients/c/session_private.h"
#include "ez/calls.h"
#include "ez/v1/config.pb-c.h"
#include "ez/v1/data_plane.pb-c.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"

#define REPORT_TIMEOUT_MS       3000
#define REPORT_ELSE_MS          700 // … where there is another server to go to: with a heartbeat's second less than two
#define DRIFT_PAUSE_NS          (30 * EZ_S)
#define DRIFT_PAUSE_REJECTED_NS (600 * EZ_S)
#define TRY_AGAIN_NS            (20 * EZ_MS)
#define PATIENT_NS              (60 * EZ_S)
#define AHEAD_REPLIES           5 // another server of the same store is behind for a heartbeat or two

// The parts an Ack and a Heartbeat have in common; they live until the call has been packed.
typedef struct report_parts {
    Ez__V1__Revision at;
    Ez__V1__RejectedRow rows[EZ_REASONS_KEPT];
    Ez__V1__RejectedRow *pointers[EZ_REASONS_KEPT];
    size_t count;
    ProtobufCBinaryData digest;
} report_parts;

static void fill(ez_session *session, report_parts *report) {
    ez__v1__revision__init(&report->at);
    report->at.epoch = session->at.epoch;
    report->at.n = session->at.n;
    report->count = session->rows.rejection_count;
    for (size_t i = 0; i < report->count; i++) {
        const ez_rejection *rejection = &session->rows.rejections[i];
        ez__v1__rejected_row__init(&report->rows[i]);
        report->rows[i].kind = (Ez__V1__Kind)rejection->kind;
        report->rows[i].id = rejection->id;
        report->rows[i].reason = rejection->reason;
        report->pointers[i] = &report->rows[i];
    }
    session->reported = session->at;
    session->has_digest_out = session->is_consistent && session->at.epoch != 0;
    report->digest = (ProtobufCBinaryData){0};
    if (session->has_digest_out) {
        report->digest = (ProtobufCBinaryData){.len = EZ_DIGEST_LEN, .data = session->rows.digest};
    }
}

static bool send(ez_session *session, const char *name, const ProtobufCMessage *request) {
    // Servers that are slow, not gone, must not be left by everybody again and again.
    bool is_hasty = ez_client_server_count(session->client) > 1 && ez_clock_mono_ns() >= session->patient_until;
    uint32_t timeout_ms = is_hasty ? REPORT_ELSE_MS : REPORT_TIMEOUT_MS;
    const ez_call_options options = {
        .timeout_ms = timeout_ms,
        .max_retries = -1,
        .authorization = session->token,
    };
    return ez_session_call_start(session->report_call, session->client, ez_method_find(name, strlen(name)), request,
                                 &options);
}

static bool send_ack(ez_session *session) {
    report_parts report;
    fill(session, &report);
    Ez__V1__AckConfigRequest request = EZ__V1__ACK_CONFIG_REQUEST__INIT;
    request.revision = &report.at;
    request.digest = report.digest;
    request.n_rejected = report.count;
    request.rejected = report.pointers;
    session->is_ack_out = true;
    return send(session, "ez.v1.Config/Ack", &request.base);
}

static bool send_heartbeat(ez_session *session) {
    report_parts report;
    fill(session, &report);
    Ez__V1__HeartbeatRequest request = EZ__V1__HEARTBEAT_REQUEST__INIT;
    request.revision = session->at.epoch != 0 ? &report.at : NULL;
    request.digest = report.digest;
    request.n_rejected = report.count;
    request.rejected = report.pointers;
    request.gaps = session->events_lost;
    request.snapshots = session->snapshots;
    session->is_ack_out = false;
    return send(session, "ez.v1.DataPlanes/Heartbeat", &request.base);
}

static void check_drift(ez_session *session, bool is_known, bool is_equal, uint64_t now) {
    if (!session->has_digest_out || !is_known || is_equal || now < session->next_drift) {
        return;
    }
    bool has_rejected = session->rows.rejected > 0;
    session->next_drift = now + (has_rejected ? DRIFT_PAUSE_REJECTED_NS : DRIFT_PAUSE_NS);
    if (has_rejected) {
        return; // it is meant to differ
    }
    ez_log_warn("the configuration held is not the server's; it is read anew", "revision", EZ_LOG_INT(session->at.n));
    session->wants_snapshot = true;
}

static void check_ahead(ez_session *session, const Ez__V1__Revision *head) {
    const ez_session_revision *at = &session->reported;
    bool is_ahead = at->epoch != 0 && head != NULL && head->epoch == at->epoch && head->n < at->n;
    session->ahead_replies = is_ahead ? session->ahead_replies + 1 : 0;
    if (session->ahead_replies < AHEAD_REPLIES) {
        return;
    }
    session->ahead_replies = 0;
    ez_log_warn("the server went back to an older revision; its configuration is read anew", "revision",
                EZ_LOG_INT(at->n), "server", EZ_LOG_INT(head->n));
    session->wants_snapshot = true;
}

static void take_reply(ez_session *session, ez_slice reply, uint64_t now) {
    ez_arena_reset(&session->arena);
    ProtobufCAllocator *allocator = ez_arena_allocator(&session->arena);
    if (session->is_ack_out) {
        const Ez__V1__AckConfigResponse *ack = ez__v1__ack_config_response__unpack(allocator, reply.len, reply.data);
        if (ack != NULL) {
            check_drift(session, ack->digest_known, ack->digest_equal, now);
        }
    } else {
        const Ez__V1__HeartbeatResponse *beat = ez__v1__heartbeat_response__unpack(allocator, reply.len, reply.data);
        if (beat != NULL) {
            check_drift(session, beat->digest_known, beat->digest_equal, now);
            check_ahead(session, beat->revision);
        }
    }
}

static void take(ez_session *session, uint64_t now) {
    ez_status status;
    const ez_error *error;
    ez_slice reply;
    if (!ez_session_call_take(session->report_call, &status, &error, &reply)) {
        return;
    }
    uint32_t server = ez_session_call_server(session->report_call);
    if (server != 0 && server != session->server) {
        session->needs_hello = true; // the client has moved on: so do we
    }
    if (status == EZ_OK) {
        session->failed_reports = 0;
        take_reply(session, reply, now);
        return;
    }
    session->failed_reports++;
    bool is_away = status == EZ_UNAVAILABLE || status == EZ_DEADLINE_EXCEEDED;
    if (is_away && ez_client_server_count(session->client) > 1) {
        session->needs_hello = true;
        session->patient_until = status == EZ_DEADLINE_EXCEEDED ? now + PATIENT_NS : session->patient_until;
    }
    if (status == EZ_FAILED_PRECONDITION || status == EZ_UNAUTHENTICATED || status == EZ_PERMISSION_DENIED) {
        session->needs_hello = true;
    }
}

void ez_report_begin(ez_session *session, uint64_t now) {
    // Spread over the interval: a thousand that were started together do not beat together.
    session->next_report = now + session->process_epoch % session->heartbeat_ns;
    session->failed_reports = 0;
}

uint64_t ez_report_run(ez_session *session, uint64_t now) {
    take(session, now);
    if (session->needs_hello && session->state == EZ_FOLLOW_LIVE) {
        return now; // where the server is silent nothing else would wake us
    }
    bool has_session = session->state == EZ_FOLLOW_FETCH || session->state == EZ_FOLLOW_LIVE;
    if (!has_session || session->needs_hello || ez_session_call_is_busy(session->report_call)) {
        return UINT64_MAX; // its answer wakes us
    }
    bool ack = session->wants_ack && session->state == EZ_FOLLOW_LIVE;
    if (!ack && now < session->next_report) {
        return session->next_report;
    }
    if (!(ack ? send_ack(session) : send_heartbeat(session))) {
        return now + TRY_AGAIN_NS;
    }
    session->wants_ack = session->wants_ack && !ack;
    session->next_report = now + session->heartbeat_ns;
    return UINT64_MAX;
}
