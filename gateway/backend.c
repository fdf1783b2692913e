// SPDX-License-Identifier: Apache-2.0
//
// The gateway's one file with nng. A REQ socket per loop and a context per call: a call walks send → receive, and where
// its connection breaks and it may be sent again → pause → send, all in nng's callbacks, which only pass it on. nng's
// own resending is off: it would send a change twice that must be sent once. Done calls go on a lock-free stack;
// whoever finds it empty wakes the loop, so a burst costs one write. The awkward case: a request that waits for a
// connection that just broke; it was not sent, so it may be tried again whatever it is, but not for longer than
// QUEUE_MAX_MS.
#include "gateway/backend.h"

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/frame.h"

#define RECONNECT_MIN_MS 200
#define RECONNECT_MAX_MS 1000
#define QUEUE_MAX_MS     2000 // waiting to be sent
#define SLACK_MS         250  // the core answers DEADLINE_EXCEEDED itself: give that time to arrive
#define PAUSE_MS         100
#define PAUSES_MAX       10   // about one reconnect
#define LOST_MAX_MS      1000 // after a loss, new calls wait for the reconnect so long
#define ATTEMPTS_MAX     3
#define REQ_HEADER       64 // what the protocol puts before a frame counts too

typedef enum call_state { CALL_FREE, CALL_SENDING, CALL_RECEIVING, CALL_PAUSING } call_state;

typedef struct call call;
struct call {
    call *next; // in the free list, or among the done
    ez_backend *backend;
    nng_ctx ctx;
    nng_aio *aio;
    // Its own, for pauses: in nng 1.5 an aio that has slept reports its later timeouts as success.
    nng_aio *pause_aio;
    call_state state;
    const void *frame;
    size_t len;
    uint64_t deadline_ms; // monotonic
    bool is_safe;
    unsigned attempts, pauses;
    int result; // nng's
    bool was_sent;
    nng_msg *reply;
    ez_backend_done *done;
    void *arg;
};

struct ez_backend {
    nng_socket socket;
    int wake;
    unsigned max_calls;
    unsigned opened; // calls that have a context
    call *calls;
    call *free;
    _Atomic(call *) finished;
    atomic_uint pipe;      // id of the connection, 0 while there is none
    atomic_ullong lost_ms; // when the last one ended, or dialling began
    atomic_bool is_closing;
    atomic_ullong count_calls, count_retries, count_failures;
    atomic_uint in_flight;
};

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg) {
    ez_backend *backend = arg;
    unsigned id = (unsigned)nng_pipe_id(pipe);
    // REM_POST comes also for a pipe that was refused before ADD_POST: only the current one's end counts.
    if (event == NNG_PIPE_EV_ADD_POST)
        atomic_store(&backend->pipe, id);
    else if (atomic_compare_exchange_strong(&backend->pipe, &id, 0))
        atomic_store(&backend->lost_ms, ez_clock_mono_ms());
}

static void finish(call *one, int result) {
    ez_backend *backend = one->backend;
    one->result = result;
    call *head = atomic_load(&backend->finished);
    do {
        one->next = head;
    } while (!atomic_compare_exchange_weak(&backend->finished, &head, one));
    if (!head) {
        uint64_t value = 1;
        ssize_t ignored = write(backend->wake, &value, sizeof value);
        (void)ignored; // it can only be full, and then the loop is awake
    }
}

static uint64_t left_ms(const call *one) {
    uint64_t now = ez_clock_mono_ms();
    return now < one->deadline_ms ? one->deadline_ms - now : 0;
}

static void send_call(call *one) {
    uint64_t left = left_ms(one);
    nng_msg *msg;
    if (left == 0) {
        finish(one, NNG_ETIMEDOUT);
        return;
    }
    int rv = nng_msg_alloc(&msg, one->len);
    if (rv != 0) {
        finish(one, rv);
        return;
    }
    memcpy(nng_msg_body(msg), one->frame, one->len);
    one->state = CALL_SENDING;
    one->attempts++;
    nng_aio_set_msg(one->aio, msg);
    nng_aio_set_timeout(one->aio, (nng_duration)(left < QUEUE_MAX_MS ? left : QUEUE_MAX_MS));
    nng_ctx_send(one->ctx, one->aio);
}

static void pause_call(call *one) {
    one->state = CALL_PAUSING;
    one->pauses++;
    nng_sleep_aio(PAUSE_MS, one->pause_aio);
}

static bool is_lost(int result) {
    return result == NNG_ECONNRESET || result == NNG_ECONNABORTED || result == NNG_ECONNSHUT || result == NNG_ECANCELED;
}

static bool may_retry(const call *one) {
    return (one->is_safe || !one->was_sent) && one->attempts < ATTEMPTS_MAX && !atomic_load(&one->backend->is_closing);
}

static void on_sent(call *one, int result) {
    if (result != 0) {
        nng_msg_free(nng_aio_get_msg(one->aio));
        nng_aio_set_msg(one->aio, NULL);
        finish(one, result);
        return;
    }
    one->was_sent = true;
    one->state = CALL_RECEIVING;
    nng_aio_set_timeout(one->aio, (nng_duration)(left_ms(one) + SLACK_MS));
    nng_ctx_recv(one->ctx, one->aio);
}

static void on_received(call *one, int result) {
    if (result == 0) {
        one->reply = nng_aio_get_msg(one->aio);
        nng_aio_set_msg(one->aio, NULL);
    }
    if (is_lost(result) && may_retry(one))
        pause_call(one);
    else
        finish(one, result);
}

static void on_paused(call *one, int result) {
    if (result != 0 || atomic_load(&one->backend->is_closing)) {
        finish(one, NNG_ECLOSED);
    } else if (atomic_load(&one->backend->pipe)) {
        if (one->attempts > 0)
            atomic_fetch_add_explicit(&one->backend->count_retries, 1, memory_order_relaxed);
        send_call(one);
    } else if (one->pauses < PAUSES_MAX) {
        pause_call(one);
    } else {
        finish(one, NNG_ECONNRESET);
    }
}

static void on_aio(void *arg) {
    call *one = arg;
    int result = nng_aio_result(one->aio);
    switch (one->state) {
    case CALL_SENDING:
        on_sent(one, result);
        break;
    case CALL_RECEIVING:
        on_received(one, result);
        break;
    case CALL_PAUSING:
    case CALL_FREE:
        break;
    }
}

static void on_pause_aio(void *arg) {
    call *one = arg;
    on_paused(one, nng_aio_result(one->pause_aio));
}

static ez_status fail_open(ez_error *error, const char *what, int rv) {
    return ez_error_set(error, EZ_UNAVAILABLE, "RPC_SOCKET", "%s: %s", what, nng_strerror(rv));
}

static ez_status open_socket(ez_backend *backend, const char *url, ez_error *error) {
    int rv = nng_req0_open(&backend->socket);
    if (rv != 0)
        return fail_open(error, "can't open a socket to the core", rv);
    rv = nng_socket_set_size(backend->socket, NNG_OPT_RECVMAXSZ, EZ_CALL_MAX + REQ_HEADER);
    if (rv == 0)
        rv = nng_socket_set_ms(backend->socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
    if (rv == 0)
        rv = nng_socket_set_ms(backend->socket, NNG_OPT_RECONNMINT, RECONNECT_MIN_MS);
    if (rv == 0)
        rv = nng_socket_set_ms(backend->socket, NNG_OPT_RECONNMAXT, RECONNECT_MAX_MS);
    if (rv == 0)
        rv = nng_pipe_notify(backend->socket, NNG_PIPE_EV_ADD_POST, on_pipe, backend);
    if (rv == 0)
        rv = nng_pipe_notify(backend->socket, NNG_PIPE_EV_REM_POST, on_pipe, backend);
    if (rv == 0) {
        nng_dialer dialer;
        rv = nng_dialer_create(&dialer, backend->socket, url);
        if (rv != 0)
            return ez_error_set(error, EZ_INVALID_ARGUMENT, "SETTING_INVALID",
                                "EZ_RPC_URL: \"%s\" can't be dialled (%s); write tcp://HOST:PORT", url,
                                nng_strerror(rv));
        // Options of the TCP transports; that another has none is no failure.
        (void)nng_dialer_set_bool(dialer, NNG_OPT_TCP_KEEPALIVE, true);
        (void)nng_dialer_set_bool(dialer, NNG_OPT_TCP_NODELAY, true);
        // The first connection is waited for like one that was lost: a call that comes right after "ready" finds it.
        atomic_store(&backend->lost_ms, ez_clock_mono_ms());
        rv = nng_dialer_start(dialer, NNG_FLAG_NONBLOCK);
    }
    return rv == 0 ? EZ_OK : fail_open(error, "can't set up the socket to the core", rv);
}

ez_status ez_backend_open(const char *url, unsigned max_calls, ez_backend **out, ez_error *error) {
    ez_backend *made = calloc(1, sizeof *made);
    if (made)
        made->calls = calloc(max_calls, sizeof *made->calls);
    if (!made || !made->calls) {
        free(made);
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for %u calls in flight", max_calls);
    }
    made->max_calls = max_calls;
    made->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ez_status status = made->wake < 0 ? ez_error_set(error, EZ_UNAVAILABLE, "NO_DESCRIPTOR", "can't open an eventfd")
                                      : open_socket(made, url, error);
    if (status != EZ_OK) {
        ez_backend_close(made);
        return status;
    }
    *out = made;
    return EZ_OK;
}

// Stop, close, free, in this order. nng 1.5 frees a socket while a thread is still leaving nng_ctx_send or
// nng_ctx_recv, so those are waited for first; a stopped aio starts nothing more. What is cancelled by that frees its
// message itself.
void ez_backend_close(ez_backend *backend) {
    if (!backend)
        return;
    atomic_store(&backend->is_closing, true);
    for (unsigned i = 0; i < backend->opened; i++) {
        nng_aio_stop(backend->calls[i].pause_aio); // first: its end may send
        nng_aio_stop(backend->calls[i].aio);
    }
    if (backend->socket.id != 0)
        (void)nng_close(backend->socket);
    for (unsigned i = 0; i < backend->opened; i++) {
        nng_aio_free(backend->calls[i].aio);
        nng_aio_free(backend->calls[i].pause_aio);
        if (backend->calls[i].reply)
            nng_msg_free(backend->calls[i].reply);
    }
    if (backend->wake >= 0)
        close(backend->wake);
    free(backend->calls);
    free(backend);
}

int ez_backend_fd(const ez_backend *backend) {
    return backend->wake;
}

bool ez_backend_is_connected(const ez_backend *backend) {
    return atomic_load(&backend->pipe) != 0;
}

static bool is_reconnecting(const ez_backend *backend) {
    uint64_t lost = atomic_load(&backend->lost_ms);
    return lost != 0 && ez_clock_mono_ms() - lost < LOST_MAX_MS;
}

static call *take_free(ez_backend *backend) {
    call *one = backend->free;
    if (one) {
        backend->free = one->next;
        return one;
    }
    if (backend->opened == backend->max_calls)
        return NULL;
    one = &backend->calls[backend->opened];
    one->backend = backend;
    if (nng_ctx_open(&one->ctx, backend->socket) != 0)
        return NULL;
    if (nng_aio_alloc(&one->aio, on_aio, one) != 0) {
        (void)nng_ctx_close(one->ctx);
        return NULL;
    }
    if (nng_aio_alloc(&one->pause_aio, on_pause_aio, one) != 0) {
        nng_aio_free(one->aio);
        (void)nng_ctx_close(one->ctx);
        return NULL;
    }
    backend->opened++;
    return one;
}

ez_status ez_backend_start(ez_backend *backend, const void *frame, size_t len, bool is_safe, uint32_t timeout_ms,
                           ez_backend_done *done, void *arg, ez_error *error) {
    bool is_connected = ez_backend_is_connected(backend);
    if (!is_connected && !is_reconnecting(backend))
        return ez_error_set(error, EZ_UNAVAILABLE, "CORE_UNAVAILABLE",
                            "the gateway has no connection to the core; try again in a moment");
    call *one = take_free(backend);
    if (!one)
        return ez_error_set(error, EZ_UNAVAILABLE, "GATEWAY_BUSY",
                            "the gateway has as many calls in flight as it takes; try again in a moment");
    one->frame = frame;
    one->len = len;
    one->deadline_ms = ez_clock_mono_ms() + timeout_ms;
    one->is_safe = is_safe;
    one->was_sent = false;
    one->attempts = one->pauses = 0;
    one->reply = NULL;
    one->done = done;
    one->arg = arg;
    atomic_fetch_add_explicit(&backend->count_calls, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&backend->in_flight, 1, memory_order_relaxed);
    if (is_connected)
        send_call(one);
    else
        pause_call(one); // nothing is sent yet, so any call may wait
    return EZ_OK;
}

static void explain(const call *one, ez_error *error) {
    if (one->result == NNG_ETIMEDOUT && one->was_sent) {
        (void)ez_error_set(error, EZ_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "the core did not answer in time%s",
                           one->is_safe ? "" : "; what was asked for may or may not have been done");
    } else if (one->result == NNG_ETIMEDOUT || !one->was_sent) {
        (void)ez_error_set(error, EZ_UNAVAILABLE, "CORE_UNAVAILABLE",
                           "the core could not be reached; nothing was done, try again in a moment");
    } else {
        (void)ez_error_set(error, EZ_UNAVAILABLE, "CORE_LOST", "the connection to the core was lost (%s)%s",
                           nng_strerror(one->result),
                           one->is_safe ? "; try again in a moment"
                                        : "; what was asked for may or may not have been done: look before you try "
                                          "again, or send an Idempotency-Key");
    }
}

static void deliver(ez_backend *backend, call *one) {
    nng_msg *reply = one->reply;
    one->reply = NULL;
    one->state = CALL_FREE;
    ez_backend_done *done = one->done;
    void *arg = one->arg;
    ez_error error;
    bool ok = one->result == 0;
    if (!ok) {
        explain(one, &error);
        atomic_fetch_add_explicit(&backend->count_failures, 1, memory_order_relaxed);
    }
    one->next = backend->free;
    backend->free = one;
    atomic_fetch_sub_explicit(&backend->in_flight, 1, memory_order_relaxed);
    done(arg, ok ? nng_msg_body(reply) : NULL, ok ? nng_msg_len(reply) : 0, ok ? NULL : &error);
    if (reply)
        nng_msg_free(reply);
}

void ez_backend_run(ez_backend *backend) {
    uint64_t value;
    ssize_t ignored = read(backend->wake, &value, sizeof value);
    (void)ignored; // what counts is the list
    call *head = atomic_exchange(&backend->finished, NULL), *ordered = NULL;
    while (head) {
        call *next = head->next;
        head->next = ordered;
        ordered = head;
        head = next;
    }
    while (ordered) {
        call *next = ordered->next;
        deliver(backend, ordered);
        ordered = next;
    }
}

void ez_backend_count(const ez_backend *backend, ez_backend_counts *out) {
    *out = (ez_backend_counts){
        .calls = atomic_load_explicit(&backend->count_calls, memory_order_relaxed),
        .retries = atomic_load_explicit(&backend->count_retries, memory_order_relaxed),
        .failures = atomic_load_explicit(&backend->count_failures, memory_order_relaxed),
        .in_flight = atomic_load_explicit(&backend->in_flight, memory_order_relaxed),
    };
}
