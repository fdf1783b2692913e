// SPDX-License-Identifier: Apache-2.0
//
// receive → split the frame → find the method → load → credential → message → run → answer → receive.
//
// The nng message of the request lives until the answer is sent: the header's texts and the request's bytes point into
// it.
//
// Awkward cases. A peer that does not read: the send has a second, or it would hold this context for ever; then what
// else it asks is dropped, and its connection is closed (ez_rpc_tick). A peer that is gone: nng drops the answer
// without a word; whoever repeats the call finds it by its idempotency key. A change that was committed but whose wait
// has no time left is still answered OK, with how far it has come: a lie would make the caller repeat it.
#include "server/rpc/exchange.h"

#include <nng/protocol/reqrep0/rep.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/crypto/random.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "proto/runtime/message.h"
#include "server/rpc/gate.h"

#define SEND_TIMEOUT_MS 1000
#define TIMEOUT_MAX_MS  300000u
#define RETRY_AFTER_MS  100
#define KEEP_REPLY_MAX  (256u << 10) // a reply buffer larger than this is not kept for the next call
#define ARENA_MAX       (32u << 20)  // a 4 MiB request unpacks to at most this
#define ARENA_CHANGE    (512u << 20) // what a change that rewrites 250,000 resources may take, on the writer's thread
#define HEADER_MAX      8192

#define owner_of(pointer, member) ((ez_exchange *)(void *)((char *)(pointer)-offsetof(ez_exchange, member)))

static void on_aio(void *arg);

ez_status ez_exchange_init(ez_exchange *exchange, ez_rpc *rpc, ez_error *error) {
    exchange->rpc = rpc;
    exchange->state = EXCHANGE_IDLE;
    int rv = nng_ctx_open(&exchange->ctx, rpc->socket);
    if (rv != 0) {
        return ez_error_set(error, EZ_UNAVAILABLE, "RPC_CONTEXT", "can't open a context on the calls socket: %s",
                            nng_strerror(rv));
    }
    rv = nng_aio_alloc(&exchange->aio, on_aio, exchange);
    if (rv != 0) {
        nng_ctx_close(exchange->ctx);
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "RPC_CONTEXT", "can't open a context on the calls socket: %s",
                            nng_strerror(rv));
    }
    ez_arena_init(&exchange->call.arena, ARENA_MAX);
    ez_buf_init(&exchange->call.reply, EZ_CALL_MAX);
    ez_buf_init(&exchange->head, HEADER_MAX);
    return EZ_OK;
}

void ez_exchange_fini(ez_exchange *exchange) {
    if (exchange->aio == NULL) {
        return;
    }
    nng_aio_stop(exchange->aio);
    if (exchange->state == EXCHANGE_SENDING) {
        nng_msg_free(nng_aio_get_msg(exchange->aio)); // nng did not take the answer: the aio was stopped already
    }
    nng_ctx_close(exchange->ctx);
    nng_aio_free(exchange->aio);
    nng_msg_free(exchange->message);
    ez_buf_fini(&exchange->head);
    ez_buf_fini(&exchange->call.reply);
    ez_arena_fini(&exchange->call.arena);
    exchange->aio = NULL;
}

void ez_exchange_receive(ez_exchange *exchange) {
    exchange->state = EXCHANGE_RECEIVING;
    nng_aio_set_timeout(exchange->aio, NNG_DURATION_INFINITE);
    nng_ctx_recv(exchange->ctx, exchange->aio);
}

// ---- The answer

static void count(ez_rpc *rpc, const ez_call *call, ez_status status) {
    if (call->method != NULL) {
        atomic_fetch_add_explicit(&rpc->calls[call->method->index * 17u + (unsigned)status], 1, memory_order_relaxed);
    }
}

static void log_call(const ez_exchange *exchange, ez_status status) {
    const ez_call *call = &exchange->call;
    const char *method = call->method != NULL ? call->method->name : "";
    if (status == EZ_INTERNAL || status == EZ_DATA_LOSS) {
        ez_log_error("a call failed", "method", method, "request_id", call->request_id, "code", ez_status_name(status),
                     "reason", call->error.reason, "message", call->error.message);
    } else if (ez_log_enabled(EZ_LOG_DEBUG)) {
        uint64_t us = (ez_clock_mono_ns() - exchange->started_ns) / 1000;
        ez_log_debug("call", "method", method, "request_id", call->request_id, "code", ez_status_name(status), "reason",
                     status == EZ_OK ? "" : call->error.reason, "us", EZ_LOG_INT((long long)us));
    }
}

static ez_status write_head(ez_exchange *exchange, ez_status status) {
    ez_call *call = &exchange->call;
    Ez__V1__ReplyHeader header = EZ__V1__REPLY_HEADER__INIT;
    Ez__V1__Revision revision = EZ__V1__REVISION__INIT;
    Ez__V1__Applied applied = EZ__V1__APPLIED__INIT;
    Ez__V1__FieldViolation violations[EZ_ERROR_VIOLATIONS_MAX];
    Ez__V1__FieldViolation *violation_list[EZ_ERROR_VIOLATIONS_MAX];
    revision.epoch = exchange->revision.epoch;
    revision.n = exchange->revision.n;
    header.code = (Ez__V1__Code)status;
    header.request_id = call->request_id;
    header.revision = &revision;
    if (status == EZ_OK && exchange->has_waited) {
        applied.planes = exchange->waiter.planes;
        applied.of = exchange->waiter.of;
        header.applied = &applied;
    }
    if (status != EZ_OK) {
        header.message = call->error.message;
        header.reason = call->error.reason;
        header.retry_after_ms = status == EZ_RESOURCE_EXHAUSTED || status == EZ_UNAVAILABLE ? RETRY_AFTER_MS : 0;
        unsigned kept = call->error.violation_count;
        kept = kept < EZ_ERROR_VIOLATIONS_MAX ? kept : EZ_ERROR_VIOLATIONS_MAX;
        for (unsigned i = 0; i < kept; i++) {
            ez__v1__field_violation__init(&violations[i]);
            violations[i].field = call->error.violations[i].field;
            violations[i].description = call->error.violations[i].description;
            violation_list[i] = &violations[i];
        }
        header.n_violations = kept;
        header.violations = violation_list;
    }
    ez_buf_clear(&exchange->head);
    return ez_frame_write_reply(&exchange->head, &header);
}

static void end_flight(ez_exchange *exchange) {
    if (exchange->is_in_flight) {
        exchange->is_in_flight = false;
        atomic_fetch_sub(&exchange->rpc->in_flight, 1);
    }
}

// Ends the call without an answer: nothing could be built. The caller's own deadline tells it.
static void give_up(ez_exchange *exchange) {
    ez_log_error("there is no memory for an answer: its connection will be closed", "request_id",
                 exchange->call.request_id);
    (void)ez_peers_doom(exchange->rpc->peers, (uint32_t)nng_pipe_id(exchange->pipe), ez_clock_mono_ms());
}

// A call that comes in while the server stops is refused, and not waited for: a peer that keeps asking would hold up
// the stop.
static void begin_flight(ez_exchange *exchange) {
    ez_rpc *rpc = exchange->rpc;
    atomic_fetch_add(&rpc->in_flight, 1);
    exchange->is_in_flight = true;
    exchange->is_refused = atomic_load(&rpc->is_stopping);
    if (exchange->is_refused) {
        end_flight(exchange);
    }
}

static void finish(ez_exchange *exchange) {
    ez_rpc *rpc = exchange->rpc;
    if (exchange->is_counted) {
        ez_peers_end(rpc->peers, (uint32_t)nng_pipe_id(exchange->pipe));
    }
    nng_msg_free(exchange->message);
    exchange->message = NULL;
    ez_arena_reset(&exchange->call.arena);
    exchange->call.arena.max = ARENA_MAX;
    if (exchange->call.reply.cap > KEEP_REPLY_MAX) {
        ez_buf_fini(&exchange->call.reply);
        ez_buf_init(&exchange->call.reply, EZ_CALL_MAX);
    }
    end_flight(exchange);
    ez_exchange_receive(exchange);
}

static void answer(ez_exchange *exchange, ez_status status) {
    ez_call *call = &exchange->call;
    if (exchange->revision.n == 0) {
        exchange->revision = ez_feed_head(exchange->rpc->options.feed);
    }
    count(exchange->rpc, call, status);
    log_call(exchange, status);
    nng_msg *reply = NULL;
    size_t body = status == EZ_OK ? call->reply.len : 0;
    if (write_head(exchange, status) != EZ_OK || nng_msg_alloc(&reply, exchange->head.len + body) != 0) {
        give_up(exchange);
        finish(exchange);
        return;
    }
    uint8_t *at = nng_msg_body(reply);
    memcpy(at, exchange->head.data, exchange->head.len);
    if (body > 0) {
        memcpy(at + exchange->head.len, call->reply.data, body);
    }
    exchange->state = EXCHANGE_SENDING;
    nng_aio_set_msg(exchange->aio, reply);
    nng_aio_set_timeout(exchange->aio, SEND_TIMEOUT_MS);
    nng_ctx_send(exchange->ctx, exchange->aio);
}

static void on_sent(ez_exchange *exchange, int rv) {
    if (rv != 0) {
        nng_msg_free(nng_aio_get_msg(exchange->aio));
        nng_aio_set_msg(exchange->aio, NULL);
    }
    uint32_t id = (uint32_t)nng_pipe_id(exchange->pipe);
    if (rv == NNG_ETIMEDOUT && ez_peers_doom(exchange->rpc->peers, id, ez_clock_mono_ms())) {
        char address[EZ_REMOTE_MAX];
        ez_peers_address(exchange->rpc->peers, id, address);
        ez_log_warn("a peer does not read its answers: its connection will be closed", "peer", address);
    } else if (rv == 0) {
        ez_peers_moved(exchange->rpc->peers, id, ez_clock_mono_ms());
    }
    if (rv == NNG_ECLOSED || rv == NNG_ECANCELED) {
        exchange->state = EXCHANGE_IDLE;
        end_flight(exchange);
        return;
    }
    finish(exchange);
}

// ---- Running

static void on_applied(ez_waiter *waiter) {
    ez_exchange *exchange = owner_of(waiter, waiter);
    exchange->has_waited = true;
    answer(exchange, EZ_OK);
}

// The answer must still reach the caller within its own timeout.
static uint64_t wait_until(const ez_exchange *exchange) {
    uint64_t whole = exchange->call.deadline_ns - exchange->started_ns;
    uint64_t margin = whole / 10 < 100000000u ? whole / 10 : 100000000u;
    return exchange->call.deadline_ns - margin;
}

// on_all: for the data planes of all servers, not ours alone.
static void wait_for(ez_exchange *exchange, uint64_t revision, bool on_all) {
    const ez_rpc_options *options = &exchange->rpc->options;
    ez_waiter *waiter = &exchange->waiter;
    *waiter = (ez_waiter){.revision = revision, .deadline_ns = wait_until(exchange), .done = on_applied};
    ez_status status =
        on_all ? options->wait(options->wait_user, waiter, NULL) : ez_fleet_wait(options->fleet, waiter, NULL);
    if (status != EZ_OK) {
        uint32_t enrolled = 0;
        ez_fleet_counts(options->fleet, &enrolled, &waiter->of);
        on_applied(waiter); // committed, and nobody was waited for: 0 of how many
    }
}

static void on_written(ez_write *write) {
    ez_exchange *exchange = owner_of(write, write);
    exchange->revision = write->revision;
    const ez_call *call = &exchange->call;
    if (write->status != EZ_OK || !call->header.wait_applied || call->header.validate_only) {
        answer(exchange, write->status);
        return;
    }
    wait_for(exchange, write->revision.n, exchange->rpc->options.wait != NULL);
}

static void on_query(ez_query *query, ez_reader *reader) {
    ez_exchange *exchange = owner_of(query, query);
    ez_call *call = &exchange->call;
    if (ez_clock_mono_ns() > call->deadline_ns) {
        answer(exchange, ez_call_fail(call, EZ_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED",
                                      "the store was too busy to answer %s in time: try again", call->method->name));
        return;
    }
    void *self = exchange->rpc->options.selves[ez_handler_slots[call->method->index]];
    answer(exchange, ez_handlers[call->method->index](self, call, reader, exchange->request));
}

static void on_appended(ez_append *append) {
    answer(owner_of(append, append), append->status);
}

static void on_held(ez_hold *hold, ez_status status) {
    answer(owner_of(hold, hold), status);
}

static void run(ez_exchange *exchange) {
    ez_rpc *rpc = exchange->rpc;
    ez_call *call = &exchange->call;
    const ez_method *method = call->method;
    void *self = rpc->options.selves[ez_handler_slots[method->index]];
    ez_status status;
    switch (method->effect) {
    case EZ_EFFECT_QUERY:
        exchange->query.run = on_query;
        status = ez_store_submit(rpc->options.store, &exchange->query, &call->error);
        break;
    case EZ_EFFECT_CHANGE:
        call->arena.max = ARENA_CHANGE;
        exchange->write = (ez_write){.call = call,
                                     .run = ez_handlers[method->index],
                                     .self = self,
                                     .request = exchange->request,
                                     .done = on_written,
                                     .started_ns = exchange->started_ns};
        status = ez_writer_submit(rpc->options.writer, &exchange->write, &call->error);
        break;
    case EZ_EFFECT_APPEND:
        exchange->append = (ez_append){.call = call,
                                       .run = ez_handlers[method->index],
                                       .self = self,
                                       .request = exchange->request,
                                       .done = on_appended};
        status = ez_appender_submit(rpc->options.appenders[ez_handler_slots[method->index]], &exchange->append,
                                    &call->error);
        break;
    case EZ_EFFECT_HELD:
        exchange->hold = (ez_hold){.call = call, .done = on_held};
        status = ez_handlers[method->index](self, call, &exchange->hold, exchange->request);
        break;
    default:
        status = ez_handlers[method->index](self, call, NULL, exchange->request);
        if (status == EZ_OK && call->wait_revision != 0) {
            wait_for(exchange, call->wait_revision, false);
        } else {
            answer(exchange, status);
        }
        return;
    }
    if (status != EZ_OK) {
        answer(exchange, status);
    }
}

// ---- Admission

static void name_request(ez_call *call) {
    const ez_slice *given = &call->header.request_id;
    if (given->len > 0) {
        memcpy(call->request_id, given->data, given->len);
        call->request_id[given->len] = '\0';
        return;
    }
    // Unique within a server's life is what a log needs; no randomness is spent on it.
    static _Atomic uint64_t next;
    static _Atomic uint64_t start;
    uint64_t base = atomic_load_explicit(&start, memory_order_relaxed);
    if (base == 0) {
        base = (uint64_t)ez_clock_wall_ns();
        atomic_store_explicit(&start, base, memory_order_relaxed);
    }
    static const char digits[] = "0123456789abcdef";
    uint64_t id = base + atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);
    for (int i = 15; i >= 0; i--, id >>= 4) {
        call->request_id[i] = digits[id & 15];
    }
    call->request_id[16] = '\0';
}

static void name_remote(ez_exchange *exchange) {
    ez_call *call = &exchange->call;
    ez_peers_address(exchange->rpc->peers, (uint32_t)call->peer, call->remote);
    bool is_local = strncmp(call->remote, "127.", 4) == 0 || strncmp(call->remote, "[::1]", 5) == 0;
    if (is_local && call->header.remote.len > 0 && call->header.remote.len < sizeof call->remote) {
        memcpy(call->remote, call->header.remote.data, call->header.remote.len);
        call->remote[call->header.remote.len] = '\0';
    }
}

static ez_status admit_load(ez_exchange *exchange) {
    ez_rpc *rpc = exchange->rpc;
    ez_call *call = &exchange->call;
    if (exchange->is_refused) {
        return ez_call_fail(call, EZ_UNAVAILABLE, "STOPPING",
                            "the server is stopping: try another one, or again later");
    }
    exchange->is_counted = ez_peers_begin(rpc->peers, (uint32_t)call->peer);
    if (!exchange->is_counted) {
        return ez_call_fail(call, EZ_RESOURCE_EXHAUSTED, "PEER_IN_FLIGHT",
                            "this connection has %u calls in flight, as many as it may: wait for answers",
                            rpc->options.per_peer);
    }
    if (atomic_load_explicit(&rpc->in_flight, memory_order_relaxed) > rpc->admitted_max) {
        return ez_call_fail(call, EZ_RESOURCE_EXHAUSTED, "SERVER_IN_FLIGHT",
                            "the server has %u calls in flight, as many as it takes: try again shortly",
                            rpc->admitted_max);
    }
    return EZ_OK;
}

static ez_status admit(ez_exchange *exchange, ez_slice *message) {
    ez_call *call = &exchange->call;
    ez_status status = ez_frame_read_call(nng_msg_body(exchange->message), nng_msg_len(exchange->message),
                                          &call->header, message, &call->error);
    if (status != EZ_OK) {
        memset(&call->header, 0, sizeof call->header);
        name_request(call);
        return status;
    }
    name_request(call);
    call->method = ez_method_find((const char *)call->header.method.data, call->header.method.len);
    if (call->method == NULL) {
        return ez_call_fail(call, EZ_UNIMPLEMENTED, "METHOD_UNKNOWN", "there is no method \"%.*s\" here",
                            (int)(call->header.method.len < 128 ? call->header.method.len : 128),
                            (const char *)call->header.method.data);
    }
    uint32_t timeout_ms = call->header.timeout_ms != 0 ? call->header.timeout_ms : call->method->timeout_ms;
    timeout_ms = timeout_ms < TIMEOUT_MAX_MS ? timeout_ms : TIMEOUT_MAX_MS;
    call->deadline_ns = exchange->started_ns + (uint64_t)timeout_ms * 1000000u;
    status = admit_load(exchange);
    if (status != EZ_OK) {
        return status;
    }
    if (call->method->effect != EZ_EFFECT_READ) {
        name_remote(exchange);
    }
    return ez_gate_admit(exchange->rpc->options.directory, exchange->rpc->options.peer_hash, call);
}

static ez_status read_message(ez_exchange *exchange, ez_slice message) {
    ez_call *call = &exchange->call;
    const ez_message_rule *rule = call->method->request;
    ez_status status =
        ez_message_decode(rule, message.data, message.len, &call->arena, &exchange->request, &call->error);
    if (status != EZ_OK) {
        return status;
    }
    bool is_create = strncmp(call->method->rpc, "Create", 6) == 0;
    return ez_message_check(rule, exchange->request, is_create, &call->arena, &call->error);
}

static void on_received(ez_exchange *exchange) {
    ez_call *call = &exchange->call;
    exchange->state = EXCHANGE_WORKING;
    exchange->message = nng_aio_get_msg(exchange->aio);
    exchange->pipe = nng_msg_get_pipe(exchange->message);
    exchange->started_ns = ez_clock_mono_ns();
    exchange->is_counted = false;
    exchange->has_waited = false;
    exchange->revision = (ez_revision){0};
    exchange->request = NULL;
    call->method = NULL;
    call->time_ns = ez_clock_wall_ns();
    call->peer = (uint64_t)nng_pipe_id(exchange->pipe);
    call->remote[0] = '\0';
    call->wait_revision = 0;
    ez_error_clear(&call->error);
    ez_buf_clear(&call->reply);
    begin_flight(exchange);
    if (ez_peers_is_doomed(exchange->rpc->peers, (uint32_t)call->peer)) {
        finish(exchange);
        return;
    }
    ez_slice message = {0};
    ez_status status = admit(exchange, &message);
    if (status == EZ_OK) {
        status = read_message(exchange, message);
    }
    if (status != EZ_OK) {
        answer(exchange, status);
        return;
    }
    run(exchange);
}

static void on_aio(void *arg) {
    ez_exchange *exchange = arg;
    int rv = nng_aio_result(exchange->aio);
    if (exchange->state == EXCHANGE_SENDING) {
        on_sent(exchange, rv);
    } else if (rv == 0) {
        on_received(exchange);
    } else if (rv == NNG_ECLOSED || rv == NNG_ECANCELED) {
        exchange->state = EXCHANGE_IDLE; // the socket is being closed
    } else {
        ez_exchange_receive(exchange);
    }
}
