// SPDX-License-Identifier: Apache-2.0
//
// A call waits until the link has room, is sent, and ends. It waits again where the connection was lost and it may be
// sent again. A tick looks at the deadlines while anything is in flight. The awkward cases. A reply that comes after
// its call has ended: request ids are a slot's number and how often it was used, and slots are used in turn, so such a
// reply finds no call and is dropped. A lost connection: a call of which no byte had left may be sent again whatever it
// is; one of which some had, only where it is safe.
#include "gateway/backend.h"

#include <event2/event.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/link.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/frame.h"

#define QUEUE_MAX_MS 2000 // waiting to be sent
#define LOST_MAX_MS  1000 // after a loss, new calls wait for the reconnect so long
#define SLACK_MS     250  // the core answers DEADLINE_EXCEEDED itself: give that time to arrive
#define TICK_MS      50
#define ATTEMPTS_MAX 3
// Where there is another core to go to:
#define WATCH_MS    200
#define QUIET_MS    300  // nothing came for so long: ask something
#define SILENT_MS   1200 // … and still nothing
#define STOPPING_MS 1000 // what a core that stops has begun may end; new calls wait meanwhile, for QUEUE_MAX_MS
#define LOOK_MS     20
#define PING_MAX    256
#define REFUSAL_MAX 512 // bytes of a refusal

typedef enum outcome {
    OUTCOME_REPLY,
    OUTCOME_LATE,   // sent, and no reply in time
    OUTCOME_UNSENT, // could not be sent in time
    OUTCOME_LOST,   // sent, and the connection was lost
} outcome;

typedef struct call call;
struct call {
    call *next, *previous;
    const void *frame;
    size_t len;
    uint32_t id;
    bool is_safe;
    bool is_sent;  // over the connection there is
    bool has_left; // over this or an earlier one
    unsigned attempts;
    uint64_t waiting_ms, deadline_ms; // monotonic
    uint64_t offset;                  // in the connection's bytes
    ez_backend_done *done;
    void *arg;
};

// In the order they came.
typedef struct call_list {
    call *first, *last;
} call_list;

struct ez_backend {
    ez_link *link;
    struct event *tick;
    call *calls;
    unsigned max_calls, used; // used: slots that have been used at least once
    uint32_t slots;           // a power of two, at least max_calls: what an id is counted up by
    call_list free, waiting, sent;
    uint64_t lost_ms; // when the last connection ended, or dialling began
    struct event *watch;
    uint64_t heard_ms; // when something came, or the connection was made
    bool has_ping, drops;
    uint64_t drop_by_ms; // where it drops: at the latest
    ez_buf ping;
    void (*moved)(void *arg, unsigned core);
    void *moved_arg;
    unsigned core;
    atomic_bool is_connected;
    atomic_ullong count_calls, count_retries, count_failures;
    atomic_uint in_flight;
};

static void append(call_list *list, call *one) {
    one->next = NULL;
    one->previous = list->last;
    if (list->last)
        list->last->next = one;
    else
        list->first = one;
    list->last = one;
}

static void detach(call_list *list, call *one) {
    if (one->previous)
        one->previous->next = one->next;
    else
        list->first = one->next;
    if (one->next)
        one->next->previous = one->previous;
    else
        list->last = one->previous;
}

static void count(atomic_ullong *counter) {
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void explain(const call *one, outcome how, ez_error *error) {
    const char *open_end = one->is_safe ? "" : "; what was asked for may or may not have been done";
    if (how == OUTCOME_LATE)
        (void)ez_error_set(error, EZ_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "the core did not answer in time%s",
                           open_end);
    else if (how == OUTCOME_UNSENT)
        (void)ez_error_set(error, EZ_UNAVAILABLE, "CORE_UNAVAILABLE",
                           "the core could not be reached; nothing was done, try again in a moment");
    else
        (void)ez_error_set(error, EZ_UNAVAILABLE, "CORE_LOST", "the connection to the core was lost%s%s", open_end,
                           one->is_safe ? "; try again in a moment"
                                        : ": look before you try again, or send an Idempotency-Key");
}

// one is in no list any more.
static void finish(ez_backend *backend, call *one, outcome how, const void *frame, size_t len) {
    ez_backend_done *done = one->done;
    void *arg = one->arg;
    ez_error error;
    if (how != OUTCOME_REPLY) {
        explain(one, how, &error);
        count(&backend->count_failures);
    }
    one->is_sent = false;
    append(&backend->free, one);
    atomic_fetch_sub_explicit(&backend->in_flight, 1, memory_order_relaxed);
    done(arg, frame, len, how == OUTCOME_REPLY ? NULL : &error);
}

// What got no reply. done may start calls: list is the caller's own.
static void finish_all(ez_backend *backend, const call_list *list) {
    for (call *one = list->first, *next; one; one = next) {
        next = one->next;
        finish(backend, one, one->is_sent ? OUTCOME_LATE : one->has_left ? OUTCOME_LOST : OUTCOME_UNSENT, NULL, 0);
    }
}

static void send_waiting(ez_backend *backend) {
    call *one;
    while ((one = backend->waiting.first) != NULL && !backend->drops && ez_link_has_room(backend->link)) {
        if (!ez_link_send(backend->link, one->id, one->frame, one->len, &one->offset))
            return;
        if (one->attempts++ > 0)
            count(&backend->count_retries);
        one->is_sent = true;
        detach(&backend->waiting, one);
        append(&backend->sent, one);
    }
}

static void on_up(void *arg) {
    ez_backend *backend = arg;
    atomic_store(&backend->is_connected, true);
    backend->heard_ms = ez_clock_mono_ms();
    backend->drops = false;
    if (backend->core != ez_link_core(backend->link)) {
        backend->core = ez_link_core(backend->link);
        if (backend->moved)
            backend->moved(backend->moved_arg, backend->core);
    }
    send_waiting(backend);
}

static void on_drained(void *arg) {
    send_waiting(arg);
}

// Sorts what was sent over the lost connection into what waits again and what has failed.
static void on_down(void *arg) {
    ez_backend *backend = arg;
    uint64_t written = ez_link_written(backend->link), now = ez_clock_mono_ms();
    call_list lost = backend->sent, failed = {0};
    atomic_store(&backend->is_connected, false);
    backend->lost_ms = now;
    backend->sent = (call_list){0};
    for (call *one = lost.first, *next; one; one = next) {
        next = one->next;
        one->is_sent = false;
        one->has_left = one->has_left || one->offset < written;
        one->waiting_ms = now;
        bool may_retry = (one->is_safe || !one->has_left) && one->attempts < ATTEMPTS_MAX;
        append(may_retry ? &backend->waiting : &failed, one);
    }
    finish_all(backend, &failed);
}

// A core that stops says so to every new call, of which it did nothing: whatever it is, another core may have it.
static bool is_refused_by_stop(const void *body, size_t len) {
    if (len > REFUSAL_MAX || !memmem(body, len, "STOPPING", strlen("STOPPING")))
        return false;
    ez_arena arena;
    ez_arena_init(&arena, REFUSAL_MAX * 16);
    Ez__V1__ReplyHeader *header;
    ez_slice message;
    ez_error error;
    bool is_refused = ez_frame_read_reply(body, len, &arena, &header, &message, &error) == EZ_OK &&
                      header->code == EZ__V1__CODE__CODE_UNAVAILABLE && strcmp(header->reason, "STOPPING") == 0;
    ez_arena_fini(&arena);
    return is_refused;
}

static void watch_in(ez_backend *backend, unsigned ms) {
    struct timeval in = {0, (suseconds_t)ms * 1000};
    (void)event_add(backend->watch, &in);
}

// A call that nobody could send again: a core that stops ends what it has begun, and its answer is worth waiting for.
static bool has_unsafe(const ez_backend *backend) {
    const call *one = backend->sent.first;
    while (one && one->is_safe)
        one = one->next;
    return one != NULL;
}

// The call waits again, and goes elsewhere once the connection is dropped.
static void take_back(ez_backend *backend, call *one) {
    one->is_sent = false;
    one->has_left = false;
    one->waiting_ms = ez_clock_mono_ms();
    append(&backend->waiting, one);
    if (!backend->drops)
        backend->drop_by_ms = one->waiting_ms + STOPPING_MS;
    backend->drops = true;
    watch_in(backend, 0);
}

static void on_message(void *arg, uint32_t id, const void *body, size_t len) {
    ez_backend *backend = arg;
    uint32_t slot = id & (backend->slots - 1);
    call *one = slot < backend->used ? &backend->calls[slot] : NULL;
    backend->heard_ms = ez_clock_mono_ms();
    if (!one || one->id != id || !one->is_sent)
        return; // ended before
    detach(&backend->sent, one);
    if (backend->watch && one->attempts < ATTEMPTS_MAX && is_refused_by_stop(body, len))
        take_back(backend, one);
    else
        finish(backend, one, OUTCOME_REPLY, body, len);
}

static bool is_late(const call *one, uint64_t now) {
    if (one->is_sent)
        return now >= one->deadline_ms + SLACK_MS;
    return now >= one->deadline_ms || now - one->waiting_ms >= QUEUE_MAX_MS;
}

static void take_late(call_list *list, call_list *late, uint64_t now) {
    for (call *one = list->first, *next; one; one = next) {
        next = one->next;
        if (is_late(one, now)) {
            detach(list, one);
            append(late, one);
        }
    }
}

static void on_pong(void *arg, const void *frame, size_t len, const ez_error *error) {
    (void)frame;
    (void)len;
    (void)error;
    ((ez_backend *)arg)->has_ping = false;
}

// A core that is paused, or whose machine is gone, keeps its connection: only an answer shows that it is there.
static void on_watch(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    ez_backend *backend = arg;
    uint64_t now = ez_clock_mono_ms(), quiet = now - backend->heard_ms;
    ez_error error;
    if (ez_link_is_up(backend->link) && backend->drops && has_unsafe(backend) && now < backend->drop_by_ms) {
        watch_in(backend, LOOK_MS);
        return;
    }
    if (ez_link_is_up(backend->link) && (backend->drops || (backend->has_ping && quiet >= SILENT_MS)))
        ez_link_drop(backend->link, backend->drops ? "the core stops" : "the core does not answer");
    else if (ez_link_is_up(backend->link) && !backend->has_ping && quiet >= QUIET_MS)
        backend->has_ping = ez_backend_start(backend, backend->ping.data, backend->ping.len, true, QUEUE_MAX_MS,
                                             on_pong, backend, &error) == EZ_OK;
    backend->drops = false;
    watch_in(backend, WATCH_MS);
}

static ez_status begin_watch(struct event_base *base, ez_backend *backend) {
    Ez__V1__CallHeader header = EZ__V1__CALL_HEADER__INIT;
    header.method = (char *)"ez.v1.System/GetAbout";
    header.client = (char *)"ez-gateway";
    backend->watch = event_new(base, -1, 0, on_watch, backend);
    if (!backend->watch)
        return EZ_RESOURCE_EXHAUSTED;
    watch_in(backend, WATCH_MS);
    return ez_frame_write_call(&backend->ping, &header);
}

static void set_tick(ez_backend *backend) {
    struct timeval in = {0, TICK_MS * 1000};
    (void)event_add(backend->tick, &in);
}

static void on_tick(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    ez_backend *backend = arg;
    uint64_t now = ez_clock_mono_ms();
    call_list late = {0};
    take_late(&backend->waiting, &late, now);
    take_late(&backend->sent, &late, now);
    finish_all(backend, &late);
    if (backend->waiting.first || backend->sent.first)
        set_tick(backend);
}

ez_status ez_backend_open(struct event_base *base, const char *urls, unsigned max_calls, ez_backend **out,
                          ez_error *error) {
    static const ez_link_events events = {.up = on_up, .down = on_down, .message = on_message, .drained = on_drained};
    ez_backend *made = calloc(1, sizeof *made);
    if (made) {
        made->calls = calloc(max_calls, sizeof *made->calls);
        made->tick = event_new(base, -1, 0, on_tick, made);
        ez_buf_init(&made->ping, PING_MAX);
    }
    if (!made || !made->calls || !made->tick) {
        ez_backend_close(made);
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for %u calls in flight", max_calls);
    }
    made->max_calls = max_calls;
    for (made->slots = 1; made->slots < max_calls; made->slots *= 2)
        ;
    made->lost_ms = ez_clock_mono_ms(); // the first connection is waited for like one that was lost
    ez_status status = ez_link_open(base, urls, &ez_link_req, &events, made, &made->link, error);
    if (status == EZ_OK && ez_link_cores(made->link) > 1 && begin_watch(base, made) != EZ_OK)
        status = ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory to watch the core");
    if (status != EZ_OK) {
        ez_backend_close(made);
        return status;
    }
    *out = made;
    return EZ_OK;
}

void ez_backend_close(ez_backend *backend) {
    if (!backend)
        return;
    ez_link_close(backend->link);
    if (backend->tick)
        event_free(backend->tick);
    if (backend->watch)
        event_free(backend->watch);
    ez_buf_fini(&backend->ping);
    free(backend->calls);
    free(backend);
}

void ez_backend_watch(ez_backend *backend, void (*moved)(void *arg, unsigned core), void *arg) {
    backend->moved = moved;
    backend->moved_arg = arg;
}

bool ez_backend_is_connected(const ez_backend *backend) {
    return atomic_load(&backend->is_connected);
}

// The one that has been free for longest, so that ids come again as late as can be.
static call *take_free(ez_backend *backend) {
    if (backend->used < backend->max_calls)
        return &backend->calls[backend->used++];
    call *one = backend->free.first;
    if (one)
        detach(&backend->free, one);
    return one;
}

ez_status ez_backend_start(ez_backend *backend, const void *frame, size_t len, bool is_safe, uint32_t timeout_ms,
                           ez_backend_done *done, void *arg, ez_error *error) {
    uint64_t now = ez_clock_mono_ms();
    if (!ez_link_is_up(backend->link) && now - backend->lost_ms >= LOST_MAX_MS)
        return ez_error_set(error, EZ_UNAVAILABLE, "CORE_UNAVAILABLE",
                            "the gateway has no connection to the core; try again in a moment");
    call *one = take_free(backend);
    if (!one)
        return ez_error_set(error, EZ_UNAVAILABLE, "GATEWAY_BUSY",
                            "the gateway has as many calls in flight as it takes; try again in a moment");
    uint32_t slot = (uint32_t)(one - backend->calls);
    uint32_t id = one->id ? one->id + backend->slots : slot;
    *one = (call){.frame = frame,
                  .len = len,
                  .id = EZ_LINK_ID_BIT | id,
                  .is_safe = is_safe,
                  .waiting_ms = now,
                  .deadline_ms = now + timeout_ms,
                  .done = done,
                  .arg = arg};
    count(&backend->count_calls);
    atomic_fetch_add_explicit(&backend->in_flight, 1, memory_order_relaxed);
    append(&backend->waiting, one);
    send_waiting(backend);
    if (!event_pending(backend->tick, EV_TIMEOUT, NULL))
        set_tick(backend);
    return EZ_OK;
}

void ez_backend_count(const ez_backend *backend, ez_backend_counts *out) {
    *out = (ez_backend_counts){
        .calls = atomic_load_explicit(&backend->count_calls, memory_order_relaxed),
        .retries = atomic_load_explicit(&backend->count_retries, memory_order_relaxed),
        .failures = atomic_load_explicit(&backend->count_failures, memory_order_relaxed),
        .in_flight = atomic_load_explicit(&backend->in_flight, memory_order_relaxed),
    };
}
