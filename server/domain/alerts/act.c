// SPDX-License-Identifier: Apache-2.0
//
// What admins do with alerts: notes, transitions, deletions, one at a time or up to a hundred. Whether an alert may be
// moved is judged by the store, in the transaction that moves it; here it becomes an answer.
#include "server/domain/alerts/inside.h"
#include "server/state/directory/audit_text.h"

static const char *status_word(int32_t status) {
    static const char *const words[EZ_ALERT_STATUSES] = {
        [EZ_ALERT_ACTIVE] = "active",
        [EZ_ALERT_ACKNOWLEDGED] = "acknowledged",
        [EZ_ALERT_RESOLVED] = "resolved",
        [EZ_ALERT_DISMISSED] = "dismissed",
    };
    return status > 0 && status < EZ_ALERT_STATUSES ? words[status] : "unknown";
}

// Why an op was not done; EZ_OK where it was.
static ez_status judge(const ez_alert_op *op, ez_error *error) {
    if (op->outcome == EZ_ALERT_NOT_FOUND)
        return ez_error_set(error, EZ_NOT_FOUND, "NOT_FOUND", "there is no alert %lld", (long long)op->row.id);
    if (op->outcome == EZ_ALERT_WRONG_STATUS && op->after.status == op->to)
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "ALERT_STATUS", "alert %lld is %s already",
                            (long long)op->row.id, status_word(op->to));
    if (op->outcome == EZ_ALERT_WRONG_STATUS)
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "ALERT_STATUS", "alert %lld is %s: it can't become %s",
                            (long long)op->row.id, status_word(op->after.status), status_word(op->to));
    return EZ_OK;
}

static ez_status on_done(void *user, ez_append *append) {
    ez_call *call = append->call;
    const ez_alert_op *op = &append->alerts[0];
    bool is_gone = op->act == EZ_ALERT_DELETE && (ez_mark_is_repeated(&append->mark) || op->outcome == EZ_ALERT_DONE);
    ez_status status = is_gone ? EZ_OK : judge(op, &call->error);
    if (status != EZ_OK)
        return status;
    if (!ez_mark_is_repeated(&append->mark))
        ez_alerts_tell(user, op, &call->arena);
    if (is_gone)
        return ez_call_reply_bytes(call, "", 0);
    Ez__V1__Alert *reply = ez_alert_message(&op->after, &call->arena);
    return reply ? ez_call_reply(call, &reply->base) : ez_no_memory(&call->error);
}

// Room for count ops, with what is the same for all of them.
static ez_status begin(ez_append *append, size_t count, const ez_alert_op *like) {
    ez_call *call = append->call;
    ez_status status = ez_append_mark(append, 0, 0);
    if (status != EZ_OK)
        return status;
    append->alerts = ez_arena_alloc(&call->arena, (count + 1) * sizeof *append->alerts);
    const char *request =
        ez_audit_text(append->request, protobuf_c_message_get_packed_size(append->request), &call->arena);
    if (!append->alerts || !request)
        return ez_no_memory(&call->error);
    for (size_t i = 0; i < count; i++) {
        append->alerts[i] = *like;
        append->alerts[i].by = call->principal.actor;
        append->alerts[i].request = request;
        append->alerts[i].row.fingerprint = "";
    }
    append->row_count = count;
    return EZ_OK;
}

static ez_status act_on(ez_append *append, int64_t id, ez_alert_op like) {
    ez_status status = begin(append, 1, &like);
    if (status != EZ_OK)
        return status;
    append->alerts[0].row.id = id;
    append->alerts[0].wants_row = like.act != EZ_ALERT_DELETE;
    append->committed = on_done;
    return EZ_OK;
}

static ez_alert_op move_to(ez_alert_status to, const char *note) {
    return (ez_alert_op){.act = EZ_ALERT_MOVE, .to = to, .note = note && note[0] ? note : NULL};
}

ez_status ez_handle_alerts_update(ez_alerts *self, ez_call *call, ez_append *append,
                                  Ez__V1__UpdateAlertRequest *request) {
    (void)self;
    if (request->opt_note_case != EZ__V1__UPDATE_ALERT_REQUEST__OPT_NOTE_NOTE)
        return ez_error_violation(&call->error, "note", "is required: an empty one clears it");
    return act_on(append, request->id, (ez_alert_op){.act = EZ_ALERT_NOTE, .note = request->note});
}

ez_status ez_handle_alerts_delete(ez_alerts *self, ez_call *call, ez_append *append,
                                  Ez__V1__DeleteAlertRequest *request) {
    (void)self, (void)call;
    return act_on(append, request->id, (ez_alert_op){.act = EZ_ALERT_DELETE});
}

ez_status ez_handle_alerts_acknowledge(ez_alerts *self, ez_call *call, ez_append *append,
                                       Ez__V1__AcknowledgeAlertRequest *request) {
    (void)self, (void)call;
    return act_on(append, request->id, move_to(EZ_ALERT_ACKNOWLEDGED, request->note));
}

ez_status ez_handle_alerts_resolve(ez_alerts *self, ez_call *call, ez_append *append,
                                   Ez__V1__ResolveAlertRequest *request) {
    (void)self, (void)call;
    return act_on(append, request->id, move_to(EZ_ALERT_RESOLVED, request->note));
}

ez_status ez_handle_alerts_dismiss(ez_alerts *self, ez_call *call, ez_append *append,
                                   Ez__V1__DismissAlertRequest *request) {
    (void)self, (void)call;
    return act_on(append, request->id, move_to(EZ_ALERT_DISMISSED, request->note));
}

// ---- Many at once

static ez_status fill_result(const ez_append *append, const ez_alert_op *op, Ez__V1__AlertBatchResult *out) {
    ez_arena *arena = &append->call->arena;
    ez_error error = EZ_ERROR_INIT;
    ez__v1__alert_batch_result__init(out);
    out->id = op->row.id;
    bool is_gone = op->act == EZ_ALERT_DELETE && ez_mark_is_repeated(&append->mark);
    out->code = is_gone ? EZ_OK : (int32_t)judge(op, &error);
    if (out->code != EZ_OK) {
        out->reason = ez_arena_strdup(arena, error.reason);
        out->message = ez_arena_strdup(arena, error.message);
        return out->reason && out->message ? EZ_OK : EZ_RESOURCE_EXHAUSTED;
    }
    if (op->act == EZ_ALERT_DELETE)
        return EZ_OK;
    out->alert = ez_alert_message(&op->after, arena);
    return out->alert ? EZ_OK : EZ_RESOURCE_EXHAUSTED;
}

static ez_status on_batch_done(void *user, ez_append *append) {
    ez_call *call = append->call;
    size_t count = append->row_count;
    Ez__V1__BatchAlertsResponse reply = EZ__V1__BATCH_ALERTS_RESPONSE__INIT;
    Ez__V1__AlertBatchResult *results = ez_arena_alloc(&call->arena, (count + 1) * sizeof *results);
    reply.results = ez_arena_alloc(&call->arena, (count + 1) * sizeof *reply.results);
    if (!results || !reply.results)
        return ez_no_memory(&call->error);
    for (size_t i = 0; i < count; i++) {
        if (!ez_mark_is_repeated(&append->mark))
            ez_alerts_tell(user, &append->alerts[i], &call->arena);
        if (fill_result(append, &append->alerts[i], &results[i]) != EZ_OK)
            return ez_no_memory(&call->error);
        reply.results[reply.n_results++] = &results[i];
        if (results[i].code == EZ_OK)
            reply.succeeded++;
        else
            reply.failed++;
    }
    return ez_call_reply(call, &reply.base);
}

ez_status ez_handle_alerts_batch(ez_alerts *self, ez_call *call, ez_append *append,
                                 Ez__V1__BatchAlertsRequest *request) {
    (void)self, (void)call;
    static const ez_alert_status statuses[] = {
        [EZ__V1__ALERT_ACTION__ALERT_ACTION_ACKNOWLEDGE] = EZ_ALERT_ACKNOWLEDGED,
        [EZ__V1__ALERT_ACTION__ALERT_ACTION_RESOLVE] = EZ_ALERT_RESOLVED,
        [EZ__V1__ALERT_ACTION__ALERT_ACTION_DISMISS] = EZ_ALERT_DISMISSED,
    };
    bool is_delete = request->action == EZ__V1__ALERT_ACTION__ALERT_ACTION_DELETE;
    ez_alert_op like = {.act = EZ_ALERT_DELETE};
    if (!is_delete)
        like = move_to(statuses[request->action], request->note);
    ez_status status = begin(append, request->n_ids, &like);
    if (status != EZ_OK)
        return status;
    for (size_t i = 0; i < request->n_ids; i++) {
        append->alerts[i].row.id = request->ids[i];
        append->alerts[i].wants_row = !is_delete;
    }
    append->committed = on_batch_done;
    return EZ_OK;
}
