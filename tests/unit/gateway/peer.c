// SPDX-License-Identifier: Apache-2.0
//
// A peer for tests of the gateway alone: a REP socket that speaks the frames of docs/protocol.md and answers the calls
// the tests make. It is no server: what it does is chosen by the id in the call, so that a test can ask for a slow
// reply, a lost one, a broken connection. Usage: gateway_peer URL; prints "ready URL" when it listens. Each worker
// thread owns one context and blocks.
#include <inttypes.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/supplemental/util/platform.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/common.pb-c.h"
#include "ez/v1/key.pb-c.h"
#include "ez/v1/system.pb-c.h"
#include "proto/runtime/frame.h"

#define WORKERS 16

// Ids that mean something.
enum {
    ID_DROP = 4000,  // no reply
    ID_BREAK = 5000, // each odd call breaks its connection
    ID_SLOW = 10000, // and up: replies after id - ID_SLOW milliseconds
};

static nng_socket sock;
static atomic_uint breaks, calls;

static bool is_method(const ez_call_header *header, const char *name) {
    return header->method.len == strlen(name) && memcmp(header->method.data, name, header->method.len) == 0;
}

static bool is_admin(const ez_call_header *header) {
    static const char good[] = "Bearer eza_good";
    return header->authorization.len == sizeof good - 1 &&
           memcmp(header->authorization.data, good, sizeof good - 1) == 0;
}

static void reply(ez_buf *out, Ez__V1__ReplyHeader *header, const ProtobufCMessage *message) {
    Ez__V1__Revision revision = EZ__V1__REVISION__INIT;
    revision.epoch = 1;
    revision.n = 77;
    header->revision = &revision;
    if (ez_frame_write_reply(out, header) != EZ_OK || (message && ez_buf_pack(out, message) != EZ_OK))
        abort();
    header->revision = NULL;
}

static void fail(ez_buf *out, Ez__V1__Code code, const char *reason, const char *text) {
    Ez__V1__ReplyHeader header = EZ__V1__REPLY_HEADER__INIT;
    Ez__V1__FieldViolation violation = EZ__V1__FIELD_VIOLATION__INIT, *all[] = {&violation};
    header.code = code;
    header.reason = (char *)reason;
    header.message = (char *)text;
    if (code == EZ__V1__CODE__CODE_RESOURCE_EXHAUSTED)
        header.retry_after_ms = 2500;
    if (code == EZ__V1__CODE__CODE_INVALID_ARGUMENT) {
        violation.field = (char *)"key.name";
        violation.description = (char *)"is too \"long\"";
        header.violations = all;
        header.n_violations = 1;
    }
    reply(out, &header, NULL);
}

// Reply of one key; labels are pairs of texts.
static void reply_key(ez_buf *out, int64_t id, const char *name, size_t labels, const char *const *texts,
                      const ez_call_header *call) {
    Ez__V1__ReplyHeader header = EZ__V1__REPLY_HEADER__INIT;
    Ez__V1__Applied applied = EZ__V1__APPLIED__INIT;
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    Ez__V1__Key__LabelsEntry entries[16], *all[16];
    applied.planes = 2;
    applied.of = 3;
    if (call->wait_applied)
        header.applied = &applied;
    key.id = id;
    key.master_id = 1;
    key.name = (char *)name;
    key.revision = 42;
    key.status = EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE;
    key.token = (char *)"sk-secret-of-the-peer";
    for (size_t i = 0; i < labels && i < 16; i++) {
        ez__v1__key__labels_entry__init(&entries[i]);
        entries[i].key = (char *)texts[2 * i];
        entries[i].value = (char *)texts[2 * i + 1];
        all[i] = &entries[i];
    }
    key.labels = all;
    key.n_labels = labels < 16 ? labels : 16;
    reply(out, &header, &key.base);
}

static char *text_of(ez_arena *arena, ez_slice slice) {
    char *text = ez_arena_strndup(arena, (const char *)slice.data, slice.len);
    if (!text)
        abort();
    return text;
}

static char *number_of(ez_arena *arena, uint64_t number) {
    char *text = ez_arena_printf(arena, "%" PRIu64, number);
    if (!text)
        abort();
    return text;
}

static void echo(ez_buf *out, int64_t id, const char *name, const ez_call_header *call, const char *mask,
                 ez_arena *arena) {
    const char *const texts[] = {"request_id",
                                 text_of(arena, call->request_id),
                                 "timeout_ms",
                                 number_of(arena, call->timeout_ms),
                                 "idempotency_key",
                                 text_of(arena, call->idempotency_key),
                                 "traceparent",
                                 text_of(arena, call->traceparent),
                                 "client",
                                 text_of(arena, call->client),
                                 "remote",
                                 text_of(arena, call->remote),
                                 "if_match",
                                 number_of(arena, call->if_match),
                                 "validate_only",
                                 call->validate_only ? "yes" : "no",
                                 "wait",
                                 call->wait_applied ? "applied" : "committed",
                                 "mask",
                                 mask,
                                 "calls",
                                 number_of(arena, atomic_load(&calls)),
                                 "has_token",
                                 is_admin(call) ? "yes" : "no"};
    reply_key(out, id, name, sizeof texts / sizeof texts[0] / 2, texts, call);
}

static char *joined(ez_arena *arena, char *const *names, size_t count) {
    char *all = ez_arena_strdup(arena, "");
    for (size_t i = 0; i < count && all; i++)
        all = ez_arena_printf(arena, "%s%s%s", all, i ? "," : "", names[i]);
    if (!all)
        abort();
    return all;
}

static void get_key(ez_buf *out, const ez_call_header *call, const Ez__V1__GetKeyRequest *request, ez_arena *arena) {
    if (!is_admin(call))
        fail(out, EZ__V1__CODE__CODE_UNAUTHENTICATED, "TOKEN_INVALID", "the token is not known");
    else if (request->id == 404)
        fail(out, EZ__V1__CODE__CODE_NOT_FOUND, "KEY_NOT_FOUND", "there is no key 404");
    else if (request->id == 429)
        fail(out, EZ__V1__CODE__CODE_RESOURCE_EXHAUSTED, "TOO_MANY", "too much is in flight");
    else if (request->id == 400)
        fail(out, EZ__V1__CODE__CODE_INVALID_ARGUMENT, "FIELD_INVALID", "a field is wrong");
    else
        echo(out, request->id, "a key", call, "", arena);
}

static void list_keys(ez_buf *out, const Ez__V1__ListKeysRequest *request) {
    Ez__V1__ReplyHeader header = EZ__V1__REPLY_HEADER__INIT;
    Ez__V1__ListKeysResponse response = EZ__V1__LIST_KEYS_RESPONSE__INIT;
    size_t count = request->page_size > 0 ? (size_t)request->page_size : 3;
    Ez__V1__Key *keys = calloc(count, sizeof *keys), **all = calloc(count, sizeof(Ez__V1__Key *));
    if (!keys || !all)
        abort();
    for (size_t i = 0; i < count; i++) {
        ez__v1__key__init(&keys[i]);
        keys[i].id = (int64_t)i + 1;
        keys[i].name = request->q ? request->q : (char *)"";
        all[i] = &keys[i];
    }
    response.items = all;
    response.n_items = count;
    reply(out, &header, &response.base);
    free(keys);
    free(all);
}

static void update_key(ez_buf *out, const ez_call_header *call, const Ez__V1__UpdateKeyRequest *request,
                       ez_arena *arena) {
    if (call->if_match != 0 && call->if_match != 42)
        fail(out, EZ__V1__CODE__CODE_ABORTED, "REVISION_MISMATCH", "the key is at revision 42; read it again");
    else
        echo(out, request->id, request->key ? request->key->name : "", call,
             joined(arena, request->update_mask, request->n_update_mask), arena);
}

static void answer_system(ez_buf *out, const ez_call_header *call) {
    Ez__V1__ReplyHeader header = EZ__V1__REPLY_HEADER__INIT;
    Ez__V1__Ready ready = EZ__V1__READY__INIT;
    Ez__V1__Metrics metrics = EZ__V1__METRICS__INIT;
    ready.ready = 1;
    metrics.text = (char *)"ez_peer_up 1\n";
    if (is_method(call, "ez.v1.System/GetReady"))
        reply(out, &header, &ready.base);
    else if (!is_method(call, "ez.v1.System/GetMetrics"))
        fail(out, EZ__V1__CODE__CODE_UNIMPLEMENTED, "METHOD_UNKNOWN", "the peer does not know this method");
    else if (!is_admin(call))
        fail(out, EZ__V1__CODE__CODE_UNAUTHENTICATED, "TOKEN_MISSING", "send a token");
    else
        reply(out, &header, &metrics.base);
}

#define UNPACK(type, message, arena) type##__unpack(ez_arena_allocator(arena), (message).len, (message).data)

// False: the caller gets no reply. *id is what the call is about.
static bool answer(ez_buf *out, const ez_call_header *call, ez_slice message, ez_arena *arena, int64_t *id) {
    *id = 0;
    if (is_method(call, "ez.v1.Keys/Get")) {
        Ez__V1__GetKeyRequest *request = UNPACK(ez__v1__get_key_request, message, arena);
        *id = request->id;
        get_key(out, call, request, arena);
    } else if (is_method(call, "ez.v1.Keys/List")) {
        list_keys(out, UNPACK(ez__v1__list_keys_request, message, arena));
    } else if (is_method(call, "ez.v1.Keys/Create")) {
        Ez__V1__CreateKeyRequest *request = UNPACK(ez__v1__create_key_request, message, arena);
        *id = request->master_id;
        reply_key(out, 5, request->key ? request->key->name : "", 0, NULL, call);
    } else if (is_method(call, "ez.v1.Keys/Update")) {
        Ez__V1__UpdateKeyRequest *request = UNPACK(ez__v1__update_key_request, message, arena);
        *id = request->id;
        update_key(out, call, request, arena);
    } else if (is_method(call, "ez.v1.Keys/Rotate")) {
        Ez__V1__RotateKeyRequest *request = UNPACK(ez__v1__rotate_key_request, message, arena);
        *id = request->id;
        echo(out, request->id, "rotated", call, "", arena);
    } else if (is_method(call, "ez.v1.Keys/Delete")) {
        Ez__V1__ReplyHeader header = EZ__V1__REPLY_HEADER__INIT;
        Ez__V1__Empty empty = EZ__V1__EMPTY__INIT;
        reply(out, &header, &empty.base);
    } else {
        answer_system(out, call);
    }
    return *id != ID_DROP;
}

static void serve_one(nng_ctx ctx, nng_aio *aio, ez_arena *arena, ez_buf *out) {
    nng_ctx_recv(ctx, aio);
    nng_aio_wait(aio);
    if (nng_aio_result(aio) != 0)
        return;
    nng_msg *msg = nng_aio_get_msg(aio);
    nng_pipe pipe = nng_msg_get_pipe(msg);
    ez_call_header call;
    ez_slice message;
    ez_error error = EZ_ERROR_INIT;
    int64_t id = 0;
    bool has_reply = true;
    ez_arena_reset(arena);
    ez_buf_clear(out);
    atomic_fetch_add(&calls, 1);
    if (ez_frame_read_call(nng_msg_body(msg), nng_msg_len(msg), &call, &message, &error) != EZ_OK)
        fail(out, EZ__V1__CODE__CODE_INVALID_ARGUMENT, error.reason, error.message);
    else
        has_reply = answer(out, &call, message, arena, &id);
    if (id >= ID_SLOW)
        nng_msleep((nng_duration)(id - ID_SLOW));
    if (id == ID_BREAK && atomic_fetch_add(&breaks, 1) % 2 == 0) {
        (void)nng_pipe_close(pipe);
        has_reply = false;
    }
    nng_msg_clear(msg);
    if (!has_reply || nng_msg_append(msg, out->data, out->len) != 0) {
        nng_msg_free(msg);
        return;
    }
    nng_aio_set_msg(aio, msg);
    nng_ctx_send(ctx, aio);
    nng_aio_wait(aio);
    if (nng_aio_result(aio) != 0)
        nng_msg_free(nng_aio_get_msg(aio));
}

static void *work(void *arg) {
    (void)arg;
    nng_ctx ctx;
    nng_aio *aio;
    ez_arena arena;
    ez_buf out;
    if (nng_ctx_open(&ctx, sock) != 0 || nng_aio_alloc(&aio, NULL, NULL) != 0)
        abort();
    nng_aio_set_timeout(aio, NNG_DURATION_INFINITE);
    ez_arena_init(&arena, 64u << 20);
    ez_buf_init(&out, EZ_CALL_MAX);
    for (;;)
        serve_one(ctx, aio, &arena, &out);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 2 || nng_rep0_open(&sock) != 0)
        return 2;
    if (nng_socket_set_size(sock, NNG_OPT_RECVMAXSZ, EZ_CALL_MAX) != 0)
        return 2;
    int rv = nng_listen(sock, argv[1], NULL, 0);
    if (rv != 0) {
        (void)fprintf(stderr, "gateway_peer: %s: %s\n", argv[1], nng_strerror(rv));
        return 1;
    }
    (void)printf("ready %s\n", argv[1]);
    (void)fflush(stdout);
    pthread_t threads[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        if (pthread_create(&threads[i], NULL, work, NULL) != 0)
            return 1;
    }
    (void)pthread_join(threads[0], NULL);
    return 0;
}
