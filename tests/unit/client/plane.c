// SPDX-License-Identifier: Apache-2.0
//
// The tests' control plane. One thread answers calls one by one, one beats; commits are published by the test's thread.
// The plane's mutex guards all of its state. Awkward: a lost reply is made by closing the caller's pipe, as a crash
// between commit and reply would.
#include "tests/unit/client/plane.h"

#include <criterion/criterion.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/reqrep0/rep.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ez/v1/config.pb-c.h"
#include "ez/v1/data_plane.pb-c.h"
#include "ez/v1/master.pb-c.h"
#include "ez/v1/namespace.pb-c.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/frame.h"

typedef struct log_entry {
    plane_change commit;
    char name[64], secret[64];
    uint64_t n;
} log_entry;

struct fake_plane {
    nng_socket rep, pub;
    pthread_t thread, ticker;
    pthread_cond_t tick;
    bool stopping;
    char rpc_url[64], push_url[64];
    int rpc_port, push_port;
    pthread_mutex_t mutex;
    uint64_t epoch, n, oldest, sequence;
    log_entry log[PLANE_CHANGES_MAX];
    unsigned page;
    uint32_t heartbeat_ms;
    unsigned lose, ignore, fail, deny;
    ez_status fail_code;
    char fail_reason[48];
    uint32_t fail_after;
    bool has_session, no_deltas;
    char done_keys[16][65];
    unsigned done_count;
    plane_seen seen;
    unsigned connections;
    plane_handler *others;
    void *others_user;
};

typedef struct call_answer {
    ez_status code;
    const char *reason;
    uint32_t retry_after_ms;
    char message[160];
    ez_buf body;
} call_answer;

struct plane_wait plane_wait_begin(void) {
    return (struct plane_wait){ez_clock_mono_ns() + 10000000000ull};
}

bool plane_wait_more(struct plane_wait *wait) {
    const struct timespec pause = {.tv_nsec = 1000000};
    nanosleep(&pause, NULL);
    return ez_clock_mono_ns() < wait->deadline;
}

static void copy_slice(char *out, size_t size, ez_slice text) {
    snprintf(out, size, "%.*s", (int)text.len, text.len == 0 ? "" : (const char *)text.data);
}

// ---- Changes ----

typedef struct change_parts {
    Ez__V1__Change change;
    Ez__V1__Revision revision;
    Ez__V1__Namespace space;
    Ez__V1__ApiKey key;
    Ez__V1__ApiKeySecret secret;
} change_parts;

static void fill_change(const fake_plane *plane, const log_entry *entry, bool with_secret, change_parts *out) {
    const plane_change *commit = &entry->commit;
    bool is_key = commit->secret_version != 0;
    ez__v1__change__init(&out->change);
    ez__v1__revision__init(&out->revision);
    out->revision.epoch = plane->epoch;
    out->revision.n = entry->n;
    out->change.revision = &out->revision;
    out->change.id = commit->id;
    out->change.kind = is_key ? EZ__V1__KIND__KIND_API_KEY : EZ__V1__KIND__KIND_NAMESPACE;
    out->change.op = commit->is_delete ? EZ__V1__OP__OP_DELETE : EZ__V1__OP__OP_PUT;
    if (commit->is_delete) {
        return;
    }
    out->change.secret_version = commit->secret_version;
    if (is_key) {
        ez__v1__api_key__init(&out->key);
        out->key.id = commit->id;
        out->key.name = (char *)(uintptr_t)entry->name;
        out->change.resource_case = EZ__V1__CHANGE__RESOURCE_API_KEY;
        out->change.api_key = &out->key;
        ez__v1__api_key_secret__init(&out->secret);
        out->secret.api_key = (char *)(uintptr_t)entry->secret;
        out->change.secret = with_secret ? &out->secret : NULL;
    } else {
        ez__v1__namespace__init(&out->space);
        out->space.id = commit->id;
        out->space.name = (char *)(uintptr_t)entry->name;
        out->change.resource_case = EZ__V1__CHANGE__RESOURCE_NAMESPACE;
        out->change.namespace_ = &out->space;
    }
}

static void publish(fake_plane *plane, ez_buf *frame) {
    nng_msg *msg;
    cr_assert_eq(nng_msg_alloc(&msg, 0), 0);
    cr_assert_eq(nng_msg_append(msg, frame->data, frame->len), 0);
    cr_assert_eq(nng_sendmsg(plane->pub, msg, 0), 0);
}

static void publish_event(fake_plane *plane, uint64_t from, uint64_t to, const log_entry *entry) {
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    int64_t now = ez_clock_wall_ns();
    time.seconds = now / 1000000000;
    time.nanos = (int32_t)(now % 1000000000);
    Ez__V1__Revision first = EZ__V1__REVISION__INIT, last = EZ__V1__REVISION__INIT;
    first.epoch = last.epoch = plane->epoch;
    first.n = from;
    last.n = to;
    Ez__V1__EventHeader header = EZ__V1__EVENT_HEADER__INIT;
    header.server_id = (char *)(uintptr_t) "test";
    header.sequence = ++plane->sequence;
    header.time = &time;
    header.from = &first;
    header.to = &last;
    header.ack_now = entry != NULL && entry->commit.ack_now;
    header.fetch = entry != NULL && entry->commit.by_fetch;
    ez_buf frame;
    ez_buf_init(&frame, EZ_EVENT_MAX);
    cr_assert_eq(ez_frame_write_event(&frame, "config", &header), EZ_OK);
    if (entry != NULL && !header.fetch) {
        change_parts parts;
        fill_change(plane, entry, false, &parts);
        Ez__V1__Change *changes[] = {&parts.change};
        Ez__V1__ChangeBatch batch = EZ__V1__CHANGE_BATCH__INIT;
        batch.n_changes = 1;
        batch.changes = changes;
        cr_assert_eq(ez_buf_pack(&frame, &batch.base), EZ_OK);
    }
    publish(plane, &frame);
    ez_buf_fini(&frame);
}

static log_entry *entry_of(fake_plane *plane, uint64_t n) {
    return &plane->log[n % PLANE_CHANGES_MAX];
}

uint64_t plane_commit(fake_plane *plane, plane_change commit) {
    pthread_mutex_lock(&plane->mutex);
    uint64_t n = ++plane->n;
    log_entry *entry = entry_of(plane, n);
    *entry = (log_entry){.commit = commit, .n = n};
    snprintf(entry->name, sizeof entry->name, "%s", commit.name == NULL ? "" : commit.name);
    snprintf(entry->secret, sizeof entry->secret, "%s", commit.secret == NULL ? "" : commit.secret);
    if (!commit.quiet) {
        publish_event(plane, n - 1, n, entry);
    }
    pthread_mutex_unlock(&plane->mutex);
    return n;
}

void plane_publish_again(fake_plane *plane, uint64_t n) {
    pthread_mutex_lock(&plane->mutex);
    publish_event(plane, n - 1, n, entry_of(plane, n));
    pthread_mutex_unlock(&plane->mutex);
}

void plane_heartbeat(fake_plane *plane) {
    pthread_mutex_lock(&plane->mutex);
    publish_event(plane, plane->n, plane->n, NULL);
    pthread_mutex_unlock(&plane->mutex);
}

void plane_publish_bytes(fake_plane *plane, const void *data, size_t len) {
    ez_buf frame;
    ez_buf_init(&frame, EZ_EVENT_MAX);
    cr_assert_eq(ez_buf_append(&frame, data, len), EZ_OK);
    publish(plane, &frame);
    ez_buf_fini(&frame);
}

// Whether this entry is the newest about its row, and the row is there.
static bool is_current(fake_plane *plane, const log_entry *entry) {
    for (uint64_t n = entry->n + 1; n <= plane->n; n++) {
        const log_entry *later = entry_of(plane, n);
        if (later->commit.id == entry->commit.id &&
            (later->commit.secret_version != 0) == (entry->commit.secret_version != 0)) {
            return false;
        }
    }
    return !entry->commit.is_delete;
}

// ---- Calls ----

static void pack_answer(call_answer *answer, const ProtobufCMessage *message) {
    cr_assert_eq(ez_buf_pack(&answer->body, message), EZ_OK);
}

static void do_fetch(fake_plane *plane, ez_slice message, call_answer *answer) {
    Ez__V1__FetchConfigRequest *request = ez__v1__fetch_config_request__unpack(NULL, message.len, message.data);
    cr_assert_not_null(request);
    plane->seen.fetches++;
    plane->seen.fetch_kinds = request->n_kinds;
    plane->seen.fetch_has_revision = request->revision != NULL;
    plane->seen.fetch_since = request->revision == NULL ? 0 : request->revision->n;
    bool is_delta = request->revision != NULL && request->revision->epoch == plane->epoch &&
                    request->revision->n >= plane->oldest && request->revision->n <= plane->n;
    plane->seen.snapshots += !is_delta && request->page_token[0] == '\0';
    uint64_t since = is_delta ? request->revision->n : 0;
    uint64_t next = request->page_token[0] == '\0' ? since + 1 : strtoull(request->page_token, NULL, 10);
    ez__v1__fetch_config_request__free_unpacked(request, NULL);
    if (is_delta && plane->no_deltas) {
        *answer = (call_answer){
            .code = EZ_RESOURCE_EXHAUSTED, .reason = "SERVER_IN_FLIGHT", .retry_after_ms = 20, .body = answer->body};
        return;
    }
    Ez__V1__Revision from = EZ__V1__REVISION__INIT, to = EZ__V1__REVISION__INIT;
    from.epoch = to.epoch = plane->epoch;
    from.n = is_delta ? since : plane->n;
    to.n = plane->n;
    static change_parts parts[PLANE_CHANGES_MAX];
    static Ez__V1__Change *changes[PLANE_CHANGES_MAX];
    size_t count = 0;
    for (; next <= plane->n && (plane->page == 0 || count < plane->page); next++) {
        const log_entry *entry = entry_of(plane, next);
        if (is_delta || is_current(plane, entry)) {
            fill_change(plane, entry, true, &parts[count]);
            changes[count] = &parts[count].change;
            count++;
        }
    }
    char token[24];
    snprintf(token, sizeof token, "%llu", (unsigned long long)next);
    Ez__V1__FetchConfigResponse reply = EZ__V1__FETCH_CONFIG_RESPONSE__INIT;
    reply.mode = is_delta ? EZ__V1__FETCH_MODE__FETCH_MODE_DELTA : EZ__V1__FETCH_MODE__FETCH_MODE_SNAPSHOT;
    reply.from = &from;
    reply.to = &to;
    reply.n_changes = count;
    reply.changes = changes;
    if (next <= plane->n) {
        reply.next_page_token = token;
    }
    pack_answer(answer, &reply.base);
}

static void take_report(fake_plane *plane, const Ez__V1__Revision *at, ProtobufCBinaryData digest, size_t count,
                        Ez__V1__RejectedRow **rejected) {
    plane->seen.acked = at == NULL ? 0 : at->n;
    plane->seen.has_digest = digest.len == EZ_DIGEST_LEN;
    if (plane->seen.has_digest) {
        memcpy(plane->seen.digest, digest.data, EZ_DIGEST_LEN);
    }
    plane->seen.rejected = (unsigned)count;
    snprintf(plane->seen.rejected_reason, sizeof plane->seen.rejected_reason, "%s",
             count > 0 ? rejected[0]->reason : "");
}

static bool deny(fake_plane *plane) {
    bool denied = plane->deny > 0 && plane->seen.has_digest;
    plane->deny -= denied;
    return denied;
}

static void do_ack(fake_plane *plane, ez_slice message, call_answer *answer) {
    Ez__V1__AckConfigRequest *request = ez__v1__ack_config_request__unpack(NULL, message.len, message.data);
    cr_assert_not_null(request);
    plane->seen.acks++;
    take_report(plane, request->revision, request->digest, request->n_rejected, request->rejected);
    ez__v1__ack_config_request__free_unpacked(request, NULL);
    Ez__V1__AckConfigResponse reply = EZ__V1__ACK_CONFIG_RESPONSE__INIT;
    reply.digest_known = true;
    reply.digest_equal = !deny(plane);
    pack_answer(answer, &reply.base);
}

static void do_heartbeat(fake_plane *plane, ez_slice message, call_answer *answer) {
    Ez__V1__HeartbeatRequest *request = ez__v1__heartbeat_request__unpack(NULL, message.len, message.data);
    cr_assert_not_null(request);
    plane->seen.heartbeats++;
    take_report(plane, request->revision, request->digest, request->n_rejected, request->rejected);
    ez__v1__heartbeat_request__free_unpacked(request, NULL);
    Ez__V1__HeartbeatResponse reply = EZ__V1__HEARTBEAT_RESPONSE__INIT;
    Ez__V1__Revision head = EZ__V1__REVISION__INIT;
    head.epoch = plane->epoch;
    head.n = plane->n;
    reply.revision = &head;
    reply.digest_known = true;
    reply.digest_equal = !deny(plane);
    pack_answer(answer, &reply.base);
}

static void do_hello(fake_plane *plane, ez_slice message, call_answer *answer) {
    Ez__V1__HelloRequest *request = ez__v1__hello_request__unpack(NULL, message.len, message.data);
    cr_assert_not_null(request);
    plane->seen.hello_kinds = request->n_kinds;
    ez__v1__hello_request__free_unpacked(request, NULL);
    plane->seen.hellos++;
    plane->has_session = true;
    Ez__V1__HelloResponse reply = EZ__V1__HELLO_RESPONSE__INIT;
    reply.id = 7;
    reply.heartbeat_ms = plane->heartbeat_ms;
    reply.config_url = plane->push_url;
    reply.server_id = (char *)(uintptr_t) "test";
    pack_answer(answer, &reply.base);
}

// Exactly once by idempotency key, as the real one.
static void do_create(fake_plane *plane, call_answer *answer) {
    plane->seen.creates++;
    bool is_done = false;
    for (unsigned i = 0; i < plane->done_count; i++) {
        is_done = is_done || strcmp(plane->done_keys[i], plane->seen.key) == 0;
    }
    if (!is_done) {
        plane->seen.changes_made++;
        snprintf(plane->done_keys[plane->done_count++ % 16], 65, "%s", plane->seen.key);
    }
    Ez__V1__Master reply = EZ__V1__MASTER__INIT;
    reply.id = 42;
    reply.name = (char *)(uintptr_t) "acme";
    pack_answer(answer, &reply.base);
}

static void do_other(fake_plane *plane, const char *method, ez_slice message, call_answer *answer) {
    plane_answer given = {.body = answer->body};
    plane->others(plane->others_user, method, message, &given);
    answer->code = given.code;
    answer->reason = given.reason;
    answer->body = given.body;
    snprintf(answer->message, sizeof answer->message, "%s", given.message);
}

static void dispatch(fake_plane *plane, const char *method, ez_slice message, call_answer *answer) {
    bool is_report = strcmp(method, "ez.v1.Config/Ack") == 0 || strcmp(method, "ez.v1.DataPlanes/Heartbeat") == 0;
    if (plane->fail > 0) {
        plane->fail--;
        *answer = (call_answer){.code = plane->fail_code,
                                .reason = plane->fail_reason,
                                .retry_after_ms = plane->fail_after,
                                .body = answer->body};
    } else if (is_report && !plane->has_session) {
        answer->code = EZ_FAILED_PRECONDITION;
        answer->reason = "NO_SESSION";
    } else if (strcmp(method, "ez.v1.DataPlanes/Hello") == 0) {
        do_hello(plane, message, answer);
    } else if (strcmp(method, "ez.v1.Config/Fetch") == 0) {
        do_fetch(plane, message, answer);
    } else if (strcmp(method, "ez.v1.Config/Ack") == 0) {
        do_ack(plane, message, answer);
    } else if (strcmp(method, "ez.v1.DataPlanes/Heartbeat") == 0) {
        do_heartbeat(plane, message, answer);
    } else if (strcmp(method, "ez.v1.DataPlanes/Goodbye") == 0) {
        plane->seen.goodbyes++;
    } else if (strcmp(method, "ez.v1.Masters/Create") == 0 || strcmp(method, "ez.v1.Masters/Get") == 0) {
        do_create(plane, answer);
    } else if (plane->others != NULL) {
        do_other(plane, method, message, answer);
    } else {
        answer->code = EZ_UNIMPLEMENTED;
        answer->reason = "METHOD_UNKNOWN";
    }
}

static void note_header(fake_plane *plane, const ez_call_header *header) {
    plane_seen *seen = &plane->seen;
    seen->calls++;
    memcpy(seen->previous_key, seen->key, sizeof seen->key);
    copy_slice(seen->method, sizeof seen->method, header->method);
    copy_slice(seen->authorization, sizeof seen->authorization, header->authorization);
    copy_slice(seen->client, sizeof seen->client, header->client);
    copy_slice(seen->key, sizeof seen->key, header->idempotency_key);
    copy_slice(seen->request_id, sizeof seen->request_id, header->request_id);
    seen->timeout_ms = header->timeout_ms;
    seen->if_match = header->if_match;
    seen->validate_only = header->validate_only;
    seen->wait_applied = header->wait_applied;
}

static nng_msg *make_reply(fake_plane *plane, const call_answer *answer) {
    Ez__V1__Revision at = EZ__V1__REVISION__INIT;
    at.epoch = plane->epoch;
    at.n = plane->n;
    Ez__V1__FieldViolation violation = EZ__V1__FIELD_VIOLATION__INIT;
    violation.field = (char *)(uintptr_t) "master.name";
    violation.description = (char *)(uintptr_t) "must not be empty";
    Ez__V1__FieldViolation *violations[] = {&violation};
    Ez__V1__Applied applied = EZ__V1__APPLIED__INIT;
    applied.planes = 2;
    applied.of = 3;
    Ez__V1__ReplyHeader header = EZ__V1__REPLY_HEADER__INIT;
    header.code = (Ez__V1__Code)answer->code;
    header.reason = (char *)(uintptr_t)(answer->reason == NULL ? "" : answer->reason);
    header.message = (char *)(uintptr_t)(answer->code == EZ_OK        ? ""
                                         : answer->message[0] == '\0' ? "It went wrong."
                                                                      : answer->message);
    header.n_violations = answer->code == EZ_INVALID_ARGUMENT ? 1 : 0;
    header.violations = violations;
    header.request_id =
        plane->seen.request_id[0] != '\0' ? plane->seen.request_id : (char *)(uintptr_t) "made-by-server";
    header.revision = &at;
    header.retry_after_ms = answer->retry_after_ms;
    header.applied = plane->seen.wait_applied ? &applied : NULL;
    ez_buf frame;
    ez_buf_init(&frame, EZ_CALL_MAX);
    cr_assert_eq(ez_frame_write_reply(&frame, &header), EZ_OK);
    if (answer->code == EZ_OK && answer->body.len > 0) {
        cr_assert_eq(ez_buf_append(&frame, answer->body.data, answer->body.len), EZ_OK);
    }
    nng_msg *msg;
    cr_assert_eq(nng_msg_alloc(&msg, 0), 0);
    cr_assert_eq(nng_msg_append(msg, frame.data, frame.len), 0);
    ez_buf_fini(&frame);
    return msg;
}

// NULL: there is no reply.
static nng_msg *answer_call(fake_plane *plane, nng_msg *call) {
    ez_call_header header;
    ez_slice message;
    cr_assert_eq(ez_frame_read_call(nng_msg_body(call), nng_msg_len(call), &header, &message, NULL), EZ_OK);
    note_header(plane, &header);
    if (plane->ignore > 0) {
        plane->ignore--;
        return NULL;
    }
    call_answer answer = {.code = EZ_OK};
    ez_buf_init(&answer.body, EZ_CALL_MAX);
    dispatch(plane, plane->seen.method, message, &answer);
    nng_msg *reply = NULL;
    if (plane->lose > 0) {
        plane->lose--;
        nng_pipe_close(nng_msg_get_pipe(call));
    } else {
        reply = make_reply(plane, &answer);
    }
    ez_buf_fini(&answer.body);
    return reply;
}

static void *serve(void *user) {
    fake_plane *plane = user;
    nng_msg *call;
    while (nng_recvmsg(plane->rep, &call, 0) == 0) {
        pthread_mutex_lock(&plane->mutex);
        nng_msg *reply = answer_call(plane, call);
        pthread_mutex_unlock(&plane->mutex);
        nng_msg_free(call);
        if (reply != NULL && nng_sendmsg(plane->rep, reply, 0) != 0) {
            nng_msg_free(reply);
        }
    }
    return NULL;
}

// Beats once somebody has said goodbye: a session ends its connection behind an event, and real servers send one each
// second. Before that only a test beats, so that nothing else makes a session act.
static void *beat(void *user) {
    fake_plane *plane = user;
    pthread_mutex_lock(&plane->mutex);
    while (!plane->stopping) {
        struct timespec at;
        clock_gettime(CLOCK_REALTIME, &at);
        at.tv_nsec += 10000000;
        at.tv_sec += at.tv_nsec / 1000000000;
        at.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&plane->tick, &plane->mutex, &at);
        if (plane->seen.goodbyes > 0) {
            publish_event(plane, plane->n, plane->n, NULL);
        }
    }
    pthread_mutex_unlock(&plane->mutex);
    return NULL;
}

static void on_connection(nng_pipe pipe, nng_pipe_ev event, void *user) {
    (void)pipe;
    (void)event;
    fake_plane *plane = user;
    pthread_mutex_lock(&plane->mutex);
    plane->connections++;
    pthread_mutex_unlock(&plane->mutex);
}

static int listen_on(nng_socket socket, int port, char *url, size_t size) {
    nng_listener listener;
    snprintf(url, size, "tcp://127.0.0.1:%d", port);
    cr_assert_eq(nng_listen(socket, url, &listener, 0), 0, "can't listen on %s", url);
    cr_assert_eq(nng_listener_get_int(listener, NNG_OPT_TCP_BOUND_PORT, &port), 0);
    snprintf(url, size, "tcp://127.0.0.1:%d", port);
    return port;
}

fake_plane *plane_start(uint64_t epoch, int rpc_port, int push_port) {
    fake_plane *plane = calloc(1, sizeof *plane);
    cr_assert_not_null(plane);
    plane->epoch = epoch;
    plane->heartbeat_ms = 20000;
    pthread_mutex_init(&plane->mutex, NULL);
    pthread_cond_init(&plane->tick, NULL);
    cr_assert_eq(nng_rep0_open(&plane->rep), 0);
    cr_assert_eq(nng_pub0_open(&plane->pub), 0);
    cr_assert_eq(nng_pipe_notify(plane->rep, NNG_PIPE_EV_ADD_POST, on_connection, plane), 0);
    plane->rpc_port = listen_on(plane->rep, rpc_port, plane->rpc_url, sizeof plane->rpc_url);
    plane->push_port = listen_on(plane->pub, push_port, plane->push_url, sizeof plane->push_url);
    cr_assert_eq(pthread_create(&plane->thread, NULL, serve, plane), 0);
    cr_assert_eq(pthread_create(&plane->ticker, NULL, beat, plane), 0);
    return plane;
}

void plane_stop(fake_plane *plane) {
    nng_close(plane->rep);
    pthread_join(plane->thread, NULL);
    pthread_mutex_lock(&plane->mutex);
    plane->stopping = true;
    pthread_cond_signal(&plane->tick);
    pthread_mutex_unlock(&plane->mutex);
    pthread_join(plane->ticker, NULL);
    nng_close(plane->pub);
    pthread_cond_destroy(&plane->tick);
    pthread_mutex_destroy(&plane->mutex);
    free(plane);
}

const char *plane_rpc_url(fake_plane *plane) {
    return plane->rpc_url;
}

const char *plane_push_url(fake_plane *plane) {
    return plane->push_url;
}

int plane_rpc_port(fake_plane *plane) {
    return plane->rpc_port;
}

int plane_push_port(fake_plane *plane) {
    return plane->push_port;
}

// Runs statements with the plane locked.
#define LOCKED(plane, ...)                                                                                             \
    do {                                                                                                               \
        pthread_mutex_lock(&(plane)->mutex);                                                                           \
        __VA_ARGS__;                                                                                                   \
        pthread_mutex_unlock(&(plane)->mutex);                                                                         \
    } while (0)

void plane_change_epoch(fake_plane *plane, uint64_t epoch) {
    LOCKED(plane, plane->epoch = epoch);
}

void plane_go_back(fake_plane *plane, uint64_t n) {
    LOCKED(plane, plane->n = n);
}

void plane_compact(fake_plane *plane, uint64_t n) {
    LOCKED(plane, plane->oldest = n);
}

void plane_set_heartbeat(fake_plane *plane, uint32_t ms) {
    LOCKED(plane, plane->heartbeat_ms = ms);
}

void plane_set_page(fake_plane *plane, unsigned changes) {
    LOCKED(plane, plane->page = changes);
}

void plane_lose_replies(fake_plane *plane, unsigned count) {
    LOCKED(plane, plane->lose = count);
}

void plane_ignore_calls(fake_plane *plane, unsigned count) {
    LOCKED(plane, plane->ignore = count);
}

void plane_fail_calls(fake_plane *plane, unsigned count, ez_status code, const char *reason, uint32_t retry_after_ms) {
    LOCKED(plane, plane->fail = count; plane->fail_code = code; plane->fail_after = retry_after_ms;
           snprintf(plane->fail_reason, sizeof plane->fail_reason, "%s", reason));
}

void plane_forget_sessions(fake_plane *plane) {
    LOCKED(plane, plane->has_session = false);
}

void plane_refuse_deltas(fake_plane *plane, bool on) {
    LOCKED(plane, plane->no_deltas = on);
}

void plane_deny_digest(fake_plane *plane, unsigned reports) {
    LOCKED(plane, plane->deny = reports);
}

plane_seen plane_look(fake_plane *plane) {
    plane_seen seen;
    LOCKED(plane, seen = plane->seen);
    return seen;
}

unsigned plane_connections(fake_plane *plane) {
    unsigned count;
    LOCKED(plane, count = plane->connections);
    return count;
}

uint64_t plane_revision(fake_plane *plane) {
    uint64_t n;
    LOCKED(plane, n = plane->n);
    return n;
}

static void add_row(fake_plane *plane, const log_entry *entry, uint8_t *digest) {
    change_parts parts;
    fill_change(plane, entry, false, &parts);
    bool is_key = entry->commit.secret_version != 0;
    const ProtobufCMessage *resource = is_key ? &parts.key.base : &parts.space.base;
    uint8_t bytes[256], hash[EZ_DIGEST_LEN];
    cr_assert_lt(protobuf_c_message_get_packed_size(resource), sizeof bytes);
    size_t len = protobuf_c_message_pack(resource, bytes);
    ez_digest_row((uint32_t)parts.change.kind, entry->commit.id, bytes, len, entry->commit.secret_version, hash);
    ez_digest_xor(digest, hash);
}

void plane_digest(fake_plane *plane, uint8_t out[EZ_DIGEST_LEN]) {
    memset(out, 0, EZ_DIGEST_LEN);
    pthread_mutex_lock(&plane->mutex);
    for (uint64_t n = 1; n <= plane->n; n++) {
        const log_entry *entry = entry_of(plane, n);
        if (is_current(plane, entry)) {
            add_row(plane, entry, out);
        }
    }
    pthread_mutex_unlock(&plane->mutex);
}

void plane_answer_others(fake_plane *plane, plane_handler *handler, void *user) {
    LOCKED(plane, plane->others = handler; plane->others_user = user);
}
