// SPDX-License-Identifier: Apache-2.0
//
// Config.Fetch, Config.Secrets, Config.Digest: how a data plane fills every gap.
//
// A delta joins changes that were encoded once, for everybody; a snapshot walks the directory. A snapshot is not
// frozen: each page shows its rows as they are then, so that after the last page the data plane stands at the revision
// the snapshot began at and fetches the changes since, which bring every row to the same state whatever it was seen at.
// Nothing is locked or copied for it.
//
// The awkward case: secrets. The log's changes are without; a delta gives an API key's secret only where it still is
// the version the change speaks of: an older change is followed by the newer one, which has it.
#include <stdio.h>
#include <string.h>

#include "ez/handlers.h"
#include "ez/v1/config.pb-c.h"
#include "proto/runtime/wire.h"
#include "server/domain/fleet/session.h"

#define FETCH_BYTES_DEFAULT (1u << 20)
#define TOKEN_VERSION       1

// Field numbers of proto/ez/v1/config.proto.
enum { FETCH_MODE = 1, FETCH_FROM = 2, FETCH_TO = 3, FETCH_CHANGES = 4, FETCH_NEXT = 5, SECRETS_CHANGES = 1 };
enum { CHANGE_RESOURCE_FIRST = 10, CHANGE_SECRET = 30 };

// Where a fetch goes on.
typedef struct place {
    int mode; // Ez__V1__FetchMode
    uint64_t epoch;
    uint64_t from, to;
    ez_feed_cursor cursor; // delta
    int kind;              // snapshot: after this row
    int64_t id;
} place;

typedef struct fetch {
    ez_fleet *fleet;
    ez_call *call;
    const Ez__V1__FetchConfigRequest *request;
    uint32_t kinds; // bits
    size_t max_bytes;
    size_t given; // changes
    bool is_full;
    ez_status status;
} fetch;

static bool parse_place(const char *text, place *out) {
    unsigned version = 0;
    unsigned long long epoch, from, to, n;
    long long id;
    unsigned seq;
    int mode, kind, end = 0;
    int got = sscanf(text, "%u.%d.%llx.%llx.%llx.%llx.%x.%d.%llx%n", &version, &mode, &epoch, &from, &to, &n, &seq,
                     &kind, (unsigned long long *)&id, &end);
    if (got != 9 || text[end] != '\0' || version != TOKEN_VERSION ||
        (mode != EZ__V1__FETCH_MODE__FETCH_MODE_DELTA && mode != EZ__V1__FETCH_MODE__FETCH_MODE_SNAPSHOT)) {
        return false;
    }
    *out = (place){mode, epoch, from, to, {n, seq}, kind, id};
    return true;
}

static ez_status append_place(const place *at, ez_buf *out) {
    char text[160];
    int len = snprintf(text, sizeof text, "%u.%d.%llx.%llx.%llx.%llx.%x.%d.%llx", TOKEN_VERSION, at->mode,
                       (unsigned long long)at->epoch, (unsigned long long)at->from, (unsigned long long)at->to,
                       (unsigned long long)at->cursor.n, at->cursor.seq, at->kind, (unsigned long long)at->id);
    return ez_wire_put_bytes(out, FETCH_NEXT, text, (size_t)len);
}

static ez_status append_revision(ez_buf *out, uint32_t field, uint64_t epoch, uint64_t n) {
    Ez__V1__Revision revision = EZ__V1__REVISION__INIT;
    uint8_t bytes[32];
    revision.epoch = epoch;
    revision.n = n;
    return ez_wire_put_bytes(out, field, bytes, ez__v1__revision__pack(&revision, bytes));
}

// ---- Changes

// The length of an encoded change without its resource: its fields stand in the order of their numbers.
static size_t head_len(ez_slice encoded) {
    size_t at = 0, before = 0;
    ez_wire_field field;
    while (ez_wire_next(encoded.data, encoded.len, &at, &field)) {
        if (field.number >= CHANGE_RESOURCE_FIRST) {
            return before;
        }
        before = at;
    }
    return encoded.len;
}

// Packs the entry's secret, if it has one of this version, into the call's arena.
static ez_status pack_secret(const ez_fleet *fleet, ez_call *call, const ez_entry *entry, uint64_t version,
                             ez_slice *out) {
    if (entry == NULL || ez_entry_secret_version(entry) != version) {
        return EZ_OK;
    }
    Ez__V1__ApiKeySecret *secret = NULL;
    ez_status status = ez_directory_unseal(fleet->options.directory, entry, &call->arena, &secret, &call->error);
    if (status != EZ_OK || secret == NULL) {
        return status;
    }
    uint8_t *bytes = ez_arena_alloc(&call->arena, ez__v1__api_key_secret__get_packed_size(secret) + 1);
    if (bytes == NULL) {
        return ez_call_fail(call, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for this call");
    }
    *out = (ez_slice){bytes, ez__v1__api_key_secret__pack(secret, bytes)};
    return EZ_OK;
}

// Appends one change as an element of a repeated field, with a secret behind it where there is one.
static ez_status append_change(ez_buf *out, uint32_t field, ez_slice encoded, ez_slice secret) {
    if (secret.len == 0) {
        return ez_wire_put_bytes(out, field, encoded.data, encoded.len);
    }
    uint8_t head[24];
    size_t tail_head = ez_varint_write(head, CHANGE_SECRET << 3 | 2);
    tail_head += ez_varint_write(head + tail_head, secret.len);
    uint8_t outer[24];
    size_t outer_len = ez_varint_write(outer, (uint64_t)field << 3 | 2);
    outer_len += ez_varint_write(outer + outer_len, encoded.len + tail_head + secret.len);
    ez_status status = ez_buf_append(out, outer, outer_len);
    status = status != EZ_OK ? status : ez_buf_append(out, encoded.data, encoded.len);
    status = status != EZ_OK ? status : ez_buf_append(out, head, tail_head);
    return status != EZ_OK ? status : ez_buf_append(out, secret.data, secret.len);
}

static bool wants(const fetch *f, int kind) {
    return (f->kinds >> kind & 1u) != 0;
}

// False: the page is full, or (status) it failed.
static bool give(fetch *f, int kind, int64_t id, int op, uint64_t secret_version, ez_slice encoded) {
    if (f->request->keys_as_ids && kind == EZ__V1__KIND__KIND_KEY) {
        encoded.len = head_len(encoded);
    }
    if (f->given > 0 && f->call->reply.len + encoded.len > f->max_bytes) {
        f->is_full = true;
        return false;
    }
    ez_slice secret = {0};
    if (kind == EZ__V1__KIND__KIND_API_KEY && op == EZ__V1__OP__OP_PUT) {
        const ez_entry *entry = ez_directory_get(f->fleet->options.directory, kind, id);
        f->status = pack_secret(f->fleet, f->call, entry, secret_version, &secret);
    }
    if (f->status == EZ_OK) {
        f->status = append_change(&f->call->reply, FETCH_CHANGES, encoded, secret);
    }
    f->given++;
    return f->status == EZ_OK;
}

static bool give_logged(void *user, int kind, int64_t id, int op, uint64_t secret_version, ez_slice encoded) {
    fetch *f = user;
    return !wants(f, kind) || give(f, kind, id, op, secret_version, encoded);
}

// ---- Delta

static ez_status delta(fetch *f, place *at, bool *done) {
    ez_status status = ez_feed_read(f->fleet->options.feed, &at->cursor, at->to, give_logged, f, done, &f->call->error);
    return status != EZ_OK ? status : f->status;
}

// ---- Snapshot

static ez_status snapshot_kind(fetch *f, place *at, ez_buf *encoded) {
    const ez_entry *entry;
    while ((entry = ez_directory_next(f->fleet->options.directory, at->kind, at->id, false)) != NULL) {
        ez_revision revision = {at->epoch, ez_entry_revision(entry)};
        bool is_id = f->request->keys_as_ids && at->kind == EZ__V1__KIND__KIND_KEY;
        ez_buf_clear(encoded);
        ez_status status =
            ez_change_encode(encoded, revision, at->kind, ez_entry_id(entry), EZ__V1__OP__OP_PUT,
                             ez_entry_secret_version(entry), is_id ? (ez_slice){0} : ez_entry_data(entry));
        if (status != EZ_OK) {
            return status;
        }
        if (!give(f, at->kind, ez_entry_id(entry), EZ__V1__OP__OP_PUT, ez_entry_secret_version(entry),
                  (ez_slice){encoded->data, encoded->len})) {
            return f->status;
        }
        at->id = ez_entry_id(entry);
    }
    return EZ_OK;
}

static ez_status snapshot(fetch *f, place *at, bool *done) {
    if (at->from < ez_feed_oldest(f->fleet->options.feed)) {
        return ez_call_fail(
            f->call, EZ_ABORTED, "SNAPSHOT_STALE",
            "this snapshot took so long that its start was forgotten: begin again without a page token");
    }
    ez_buf encoded;
    ez_buf_init(&encoded, EZ_CALL_MAX);
    ez_status status = EZ_OK;
    while (status == EZ_OK && !f->is_full && at->kind < EZ_KIND_COUNT) {
        if (ez_kind_is_config(at->kind) && wants(f, at->kind)) {
            status = snapshot_kind(f, at, &encoded);
        }
        if (status == EZ_OK && !f->is_full) {
            at->kind++;
            at->id = 0;
        }
    }
    ez_buf_fini(&encoded);
    *done = at->kind >= EZ_KIND_COUNT;
    return status;
}

// ---- The call

static void note_kinds(ez_fleet *fleet, int64_t id, const Ez__V1__FetchConfigRequest *request) {
    pthread_mutex_lock(&fleet->lock);
    ez_session_state *session = ez_session_find(fleet, id);
    if (session != NULL && !session->has_said_kinds) {
        ez_session_note_kinds(session, request->kinds, request->n_kinds, request->keys_as_ids);
    }
    pthread_mutex_unlock(&fleet->lock);
}

static bool has_others(ez_fleet *fleet) {
    pthread_mutex_lock(&fleet->lock);
    bool has = fleet->server_count > 0;
    pthread_mutex_unlock(&fleet->lock);
    return has;
}

static ez_status begin(const fetch *f, place *at) {
    const Ez__V1__FetchConfigRequest *request = f->request;
    ez_feed *feed = f->fleet->options.feed;
    ez_revision head = ez_feed_head(feed);
    if (request->page_token[0] != '\0') {
        if (!parse_place(request->page_token, at) || at->epoch != head.epoch || at->to > head.n || at->from > at->to ||
            at->kind < 0 || at->kind > EZ_KIND_COUNT) {
            return ez_call_fail(f->call, EZ_INVALID_ARGUMENT, "PAGE_TOKEN",
                                "this page token is not one of this server's: begin again without");
        }
        return EZ_OK;
    }
    const Ez__V1__Revision *have = request->revision;
    bool can_delta = have != NULL && have->epoch == head.epoch && have->n <= head.n &&
                     have->n >= ez_feed_oldest(feed) && have->n > 0;
    *at = (place){.epoch = head.epoch, .to = head.n};
    // It comes from another server of this store, which is ahead: there is nothing newer here, and a snapshot would
    // take it back. Where there is no other, the store itself went back.
    bool is_ahead = have != NULL && have->epoch == head.epoch && have->n > head.n;
    if (is_ahead && has_others(f->fleet)) {
        at->mode = EZ__V1__FETCH_MODE__FETCH_MODE_DELTA;
        at->from = at->to = at->cursor.n = have->n;
    } else if (can_delta) {
        at->mode = EZ__V1__FETCH_MODE__FETCH_MODE_DELTA;
        at->from = have->n;
        at->cursor.n = have->n;
    } else {
        at->mode = EZ__V1__FETCH_MODE__FETCH_MODE_SNAPSHOT;
        at->from = head.n;
        at->kind = 1;
    }
    return EZ_OK;
}

static uint32_t kinds_of(const Ez__V1__FetchConfigRequest *request) {
    uint32_t kinds = 0;
    for (size_t i = 0; i < request->n_kinds; i++) {
        kinds |= 1u << request->kinds[i];
    }
    return kinds != 0 ? kinds : UINT32_MAX;
}

static ez_status fill(fetch *f, place *at) {
    ez_buf *out = &f->call->reply;
    ez_status status = ez_wire_put_varint(out, FETCH_MODE, (uint64_t)at->mode);
    status = status != EZ_OK ? status : append_revision(out, FETCH_FROM, at->epoch, at->from);
    status = status != EZ_OK ? status : append_revision(out, FETCH_TO, at->epoch, at->to);
    bool done = false;
    if (status == EZ_OK) {
        status = at->mode == EZ__V1__FETCH_MODE__FETCH_MODE_DELTA ? delta(f, at, &done) : snapshot(f, at, &done);
    }
    if (status == EZ_OK && !done) {
        status = append_place(at, out);
    }
    if (status == EZ_RESOURCE_EXHAUSTED && f->call->error.code == EZ_OK) {
        return ez_call_fail(f->call, status, "REPLY_TOO_LARGE", "one resource does not fit into an answer");
    }
    return status;
}

ez_status ez_handle_config_fetch(struct ez_fleet *self, ez_call *call, Ez__V1__FetchConfigRequest *request) {
    fetch f = {.fleet = self, .call = call, .request = request, .kinds = kinds_of(request)};
    f.max_bytes = request->max_bytes != 0 ? request->max_bytes : FETCH_BYTES_DEFAULT;
    place at;
    ez_status status = begin(&f, &at);
    if (status != EZ_OK) {
        return status;
    }
    note_kinds(self, call->principal.id, request);
    ez_directory_enter();
    status = fill(&f, &at);
    ez_directory_leave();
    return status;
}

ez_status ez_handle_config_secrets(struct ez_fleet *self, ez_call *call, Ez__V1__GetSecretsRequest *request) {
    ez_revision head = ez_feed_head(self->options.feed);
    ez_status status = EZ_OK;
    ez_directory_enter();
    for (size_t i = 0; status == EZ_OK && i < request->n_api_key_ids; i++) {
        int kind = EZ__V1__KIND__KIND_API_KEY;
        const ez_entry *entry = ez_directory_get(self->options.directory, kind, request->api_key_ids[i]);
        if (entry == NULL) {
            continue;
        }
        ez_buf encoded;
        ez_slice secret = {0};
        ez_buf_init(&encoded, EZ_CALL_MAX);
        status =
            ez_change_encode(&encoded, (ez_revision){head.epoch, ez_entry_revision(entry)}, kind, ez_entry_id(entry),
                             EZ__V1__OP__OP_PUT, ez_entry_secret_version(entry), ez_entry_data(entry));
        status = status != EZ_OK ? status : pack_secret(self, call, entry, ez_entry_secret_version(entry), &secret);
        status = status != EZ_OK
                     ? status
                     : append_change(&call->reply, SECRETS_CHANGES, (ez_slice){encoded.data, encoded.len}, secret);
        ez_buf_fini(&encoded);
    }
    ez_directory_leave();
    if (status == EZ_OK && call->reply.len > EZ_CALL_MAX - EZ_REPLY_ROOM) {
        status = EZ_RESOURCE_EXHAUSTED; // the frame's header would not fit
    }
    if (status == EZ_RESOURCE_EXHAUSTED && call->error.code == EZ_OK) {
        return ez_call_fail(call, status, "REPLY_TOO_LARGE", "that many do not fit into one answer: ask for fewer");
    }
    return status;
}

ez_status ez_handle_config_digest(struct ez_fleet *self, ez_call *call, Ez__V1__GetDigestRequest *request) {
    (void)request;
    // The head may move between the two reads; its digest is then still remembered.
    ez_revision head = ez_feed_head(self->options.feed);
    uint8_t digest[32];
    Ez__V1__Revision revision = EZ__V1__REVISION__INIT;
    Ez__V1__GetDigestResponse reply = EZ__V1__GET_DIGEST_RESPONSE__INIT;
    revision.epoch = head.epoch;
    revision.n = head.n;
    reply.revision = &revision;
    if (ez_feed_digest(self->options.feed, head.n, digest)) {
        reply.digest = (ProtobufCBinaryData){.len = sizeof digest, .data = digest};
    }
    for (int kind = 1; kind < EZ_KIND_COUNT; kind++) {
        reply.rows += ez_kind_is_config(kind) ? (int64_t)ez_directory_count(self->options.directory, kind) : 0;
    }
    return ez_call_reply(call, &reply.base);
}
