// SPDX-License-Identifier: Apache-2.0
//
// Applying changes: unpack, ask the user, hold or reject. The rows own what is held; what the user is given lives in
// the session's arena until the callback returns. Awkward: a row the user rejects stays as it was, in the user's hands
// and in the digest, so the control plane sees both that this data plane is behind and which row is to blame.
#include <stdio.h>
#include <string.h>

#include "clients/c/session_private.h"
#include "ez/v1/config.pb-c.h"
#include "proto/runtime/log.h"
#include "proto/runtime/wire.h"

// Of ez.v1.ApiKey.
enum { API_KEY_LAST4 = 5, API_KEY_HAS_ACCESS = 24, API_KEY_HAS_REFRESH = 25 };

typedef struct row_put {
    const ez_change *change;
    ez_slice secret;
    uint8_t hash[EZ_DIGEST_LEN];
    char reason[EZ_REASON_MAX];
} row_put;

static bool same_hash(const ez_row *row, const uint8_t *hash) {
    return row != NULL && row->is_held && memcmp(row->hash, hash, EZ_DIGEST_LEN) == 0;
}

// Unpacks and asks. False with a reason where the row can't be used.
static bool ask(ez_session *session, row_put *put) {
    const ez_change *change = put->change;
    if (session->options.on_put == NULL) {
        return true;
    }
    ez_arena_reset(&session->arena);
    ProtobufCAllocator *allocator = ez_arena_allocator(&session->arena);
    ProtobufCMessage *resource = protobuf_c_message_unpack(ez_change_descriptor(change->kind), allocator,
                                                           change->resource.len, change->resource.data);
    Ez__V1__ApiKeySecret *secret = NULL;
    if (put->secret.data != NULL) {
        secret = ez__v1__api_key_secret__unpack(allocator, put->secret.len, put->secret.data);
    }
    if (resource == NULL || (put->secret.data != NULL && secret == NULL)) {
        snprintf(put->reason, sizeof put->reason, "it can't be decoded");
        return false;
    }
    bool accepted = session->options.on_put(session->options.user, (Ez__V1__Kind)change->kind, change->id, resource,
                                            secret, put->reason, sizeof put->reason);
    put->reason[sizeof put->reason - 1] = '\0';
    if (!accepted && put->reason[0] == '\0') {
        snprintf(put->reason, sizeof put->reason, "it was refused without a reason");
    }
    return accepted;
}

static bool check(const ez_session *session, const ez_row *row, row_put *put) {
    const ez_change *change = put->change;
    if (ez_change_member(change->kind) == 0 || change->member != ez_change_member(change->kind)) {
        snprintf(put->reason, sizeof put->reason, "kind %u with resource field %u is not known to this version",
                 change->kind, change->member);
        return false;
    }
    if ((row == NULL || !row->is_held) && session->rows.held >= session->options.max_rows) {
        snprintf(put->reason, sizeof put->reason, "this data plane holds %u rows at most", session->options.max_rows);
        return false;
    }
    return true;
}

static void reject(ez_session *session, const row_put *put) {
    const ez_change *change = put->change;
    ez_row *row = ez_rows_get(&session->rows, (uint8_t)change->kind, change->id);
    if (row == NULL) {
        ez_log_error("a row was rejected and there is no room to remember it", "kind", EZ_LOG_INT(change->kind), "id",
                     EZ_LOG_INT(change->id), "reason", put->reason);
        return;
    }
    row->seen = session->snapshot;
    ez_rows_reject(&session->rows, row, put->reason);
    ez_log_warn("a row was rejected; its last good version stays in use", "kind", EZ_LOG_INT(change->kind), "id",
                EZ_LOG_INT(change->id), "reason", put->reason);
}

// The secret that goes with the change: its own, or the one held where that is of the same version.
static ez_slice secret_of(const ez_change *change, const ez_row *row) {
    if (change->has_secret) {
        static const uint8_t empty[1];
        return change->secret.data != NULL ? change->secret : (ez_slice){empty, 0};
    }
    bool is_held = row != NULL && row->is_held && row->secret_version == change->secret_version && row->data != NULL &&
                   row->data->secret_len > 0;
    return is_held ? ez_row_secret(row) : (ez_slice){0};
}

// Whether the API key says that it has a secret: what is shown of each of the three.
static bool says_secret(ez_slice resource) {
    ez_wire_field field;
    return (ez_wire_find(resource.data, resource.len, API_KEY_LAST4, &field) && field.bytes.len > 0) ||
           (ez_wire_find(resource.data, resource.len, API_KEY_HAS_ACCESS, &field) && field.varint != 0) ||
           (ez_wire_find(resource.data, resource.len, API_KEY_HAS_REFRESH, &field) && field.varint != 0);
}

// An API key whose secret has changed again since this change: a later change of the same fetch brings both. What is
// held stays until then. In a snapshot everything is of now.
static bool is_superseded(const ez_session *session, const ez_change *change, const ez_row *row) {
    return change->kind == EZ__V1__KIND__KIND_API_KEY && !session->in_snapshot && !change->has_secret &&
           change->secret_version != 0 &&
           (row == NULL || !row->is_held || row->secret_version != change->secret_version) &&
           says_secret(change->resource);
}

// A change from before what is held. A snapshot shows each row as of its own page, so the deltas that follow it begin
// with what some rows have behind them: a key that was revoked meanwhile must not work again until they are through. In
// a snapshot everything is of now, even where the server went back.
static bool is_older(const ez_session *session, const ez_change *change, const ez_row *row) {
    return !session->in_snapshot && row != NULL && row->is_held && change->revision < row->revision &&
           change->revision != 0;
}

static void apply_put(ez_session *session, const ez_change *change) {
    row_put put = {.change = change};
    ez_row *row = change->kind > UINT8_MAX ? NULL : ez_rows_find(&session->rows, (uint8_t)change->kind, change->id);
    ez_digest_row(change->kind, change->id, change->resource.data, change->resource.len, change->secret_version,
                  put.hash);
    if (same_hash(row, put.hash)) {
        row->seen = session->snapshot;
        ez_rows_date(row, change->revision);
        ez_rows_accept(&session->rows, row);
        return;
    }
    if (is_superseded(session, change, row)) {
        return;
    }
    put.secret = secret_of(change, row);
    if (!check(session, row, &put) || !ask(session, &put)) {
        reject(session, &put);
        return;
    }
    row = ez_rows_get(&session->rows, (uint8_t)change->kind, change->id);
    if (row == NULL ||
        !ez_rows_hold(&session->rows, row, put.hash, change->secret_version, change->resource, put.secret)) {
        snprintf(put.reason, sizeof put.reason, "there is no memory for it");
        reject(session, &put);
        return;
    }
    row->seen = session->snapshot;
    ez_rows_date(row, change->revision);
}

static void delete_row(ez_session *session, ez_row *row) {
    Ez__V1__Kind kind = (Ez__V1__Kind)row->kind;
    int64_t id = row->id;
    bool was_held = row->is_held;
    ez_rows_remove(&session->rows, row);
    if (was_held && session->options.on_delete != NULL) {
        session->options.on_delete(session->options.user, kind, id);
    }
}

// A pushed event has changes of all kinds.
static bool is_wanted(const ez_session *session, const ez_change *change) {
    return session->kinds == 0 || (change->kind < 32 && (session->kinds >> change->kind & 1u) != 0);
}

bool ez_apply_change(ez_session *session, const ez_change *change) {
    if (!is_wanted(session, change)) {
        return false;
    }
    ez_row *row = change->kind > UINT8_MAX ? NULL : ez_rows_find(&session->rows, (uint8_t)change->kind, change->id);
    if (is_older(session, change, row)) {
        return true;
    }
    session->cache.is_dirty = true;
    if (change->op == EZ__V1__OP__OP_PUT) {
        apply_put(session, change);
    } else if (change->op == EZ__V1__OP__OP_DELETE && row != NULL) {
        delete_row(session, row);
    }
    return true;
}

bool ez_apply_has_secret(const ez_session *session, const ez_change *change) {
    if (change->kind != EZ__V1__KIND__KIND_API_KEY || change->op != EZ__V1__OP__OP_PUT || !is_wanted(session, change)) {
        return true;
    }
    const ez_row *row = ez_rows_find(&session->rows, (uint8_t)change->kind, change->id);
    return change->secret_version == (row != NULL && row->is_held ? row->secret_version : 0);
}

void ez_apply_sweep(ez_session *session) {
    for (uint32_t i = session->rows.count; i-- > 0;) {
        ez_row *row = &session->rows.rows[i];
        if (row->seen != session->snapshot) {
            delete_row(session, row);
        }
    }
}

void ez_apply_step(ez_session *session, const ez_session_step *step) {
    if (session->options.on_revision != NULL) {
        session->options.on_revision(session->options.user, step->to, false);
    }
    if (session->options.on_applied != NULL) {
        session->options.on_applied(session->options.user, step);
    }
}
