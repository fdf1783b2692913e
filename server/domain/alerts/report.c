// SPDX-License-Identifier: Apache-2.0
//
// Reports of data planes, and alerts that admins make. All of a call's reports are made into ops before any is stored;
// the appender merges them with those of other calls and commits.
#include "server/domain/alerts/inside.h"

static ez_status refuse_full(ez_alerts *self, ez_call *call) {
    ez_alerts_trim_soon(self);
    return ez_call_fail(call, EZ_RESOURCE_EXHAUSTED, "ALERTS_FULL",
                        "there are as many alerts as may be kept (EZ_ALERT_MAX_RECORDS): closed ones make room within "
                        "seconds, and where all are open some have to be closed");
}

static bool is_full(const ez_append *append) {
    for (size_t i = 0; i < append->row_count; i++) {
        if (append->alerts[i].outcome == EZ_ALERT_FULL)
            return true;
    }
    return false;
}

static void tell_all(ez_alerts *self, ez_append *append) {
    for (size_t i = 0; i < append->row_count; i++)
        ez_alerts_tell(self, &append->alerts[i], &append->call->arena);
}

// An Ez__V1__AlertReport's or an Ez__V1__Alert's fields, which have the same names.
#define REPORT_OF(from)                                                                                                \
    ((ez_alert_report){.type = (from)->type,                                                                           \
                       .severity = (from)->severity,                                                                   \
                       .title = (from)->title,                                                                         \
                       .message = (from)->message,                                                                     \
                       .related_type = (from)->related_type,                                                           \
                       .related_id = (from)->related_id,                                                               \
                       .related_name = (from)->related_name,                                                           \
                       .metadata = (from)->metadata,                                                                   \
                       .fingerprint = (from)->fingerprint})

// ---- Reports of a data plane

static ez_status on_reported(void *user, ez_append *append) {
    ez_call *call = append->call;
    if (is_full(append))
        return refuse_full(user, call);
    Ez__V1__ReportAlertsResponse reply = EZ__V1__REPORT_ALERTS_RESPONSE__INIT;
    reply.repeated = ez_mark_is_repeated(&append->mark);
    if (!reply.repeated) {
        tell_all(user, append);
        reply.ids = ez_arena_alloc(&call->arena, (append->row_count + 1) * sizeof *reply.ids);
        if (!reply.ids)
            return ez_no_memory(&call->error);
        for (size_t i = 0; i < append->row_count; i++) {
            reply.ids[reply.n_ids++] = append->alerts[i].after.id;
            reply.created += append->alerts[i].news == EZ_ALERT_CREATED;
        }
    }
    return ez_call_reply(call, &reply.base);
}

ez_status ez_handle_alerts_report(ez_alerts *self, ez_call *call, ez_append *append,
                                  Ez__V1__ReportAlertsRequest *request) {
    ez_status status = ez_append_mark(append, request->epoch, request->sequence);
    if (status != EZ_OK)
        return status;
    append->alerts = ez_arena_alloc(&call->arena, (request->n_alerts + 1) * sizeof *append->alerts);
    if (!append->alerts)
        return ez_no_memory(&call->error);
    for (size_t i = 0; status == EZ_OK && i < request->n_alerts; i++) {
        ez_alert_report report = REPORT_OF(request->alerts[i]);
        status = ez_alert_op_fill(self, &report, &call->arena, &append->alerts[i], &call->error);
    }
    append->row_count = request->n_alerts;
    append->committed = on_reported;
    return status;
}

// ---- An alert that an admin makes

static ez_status on_created(void *user, ez_append *append) {
    ez_call *call = append->call;
    const ez_alert_op *op = &append->alerts[0];
    if (op->outcome == EZ_ALERT_FULL)
        return refuse_full(user, call);
    if (!op->has_row)
        return ez_call_fail(call, EZ_FAILED_PRECONDITION, "ALERT_CLOSED",
                            "this call was answered before, and the alert it made is closed by now");
    if (!ez_mark_is_repeated(&append->mark))
        tell_all(user, append);
    Ez__V1__Alert *reply = ez_alert_message(&op->after, &call->arena);
    return reply ? ez_call_reply(call, &reply->base) : ez_no_memory(&call->error);
}

ez_status ez_handle_alerts_create(ez_alerts *self, ez_call *call, ez_append *append,
                                  Ez__V1__CreateAlertRequest *request) {
    ez_alert_report report = REPORT_OF(request->alert);
    ez_status status = ez_append_mark(append, 0, 0);
    append->alerts = ez_arena_alloc(&call->arena, sizeof *append->alerts);
    if (status == EZ_OK && !append->alerts)
        return ez_no_memory(&call->error);
    if (status == EZ_OK)
        status = ez_alert_op_fill(self, &report, &call->arena, &append->alerts[0], &call->error);
    if (status != EZ_OK)
        return status;
    append->alerts[0].wants_row = true;
    append->row_count = 1;
    append->committed = on_created;
    return EZ_OK;
}
