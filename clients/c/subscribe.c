// SPDX-License-Identifier: Apache-2.0
//
// A SUB socket and the inbox between nng and whoever takes. The subscriber owns the socket, what is in the inbox and
// the eventfd, which is written and drained under the mutex, so that it is readable exactly while something is new.
// Awkward, both in nng 1.5.2: a receive on SUB must never time out nor be cancelled, so exactly one is pending for the
// socket's life. And a connection that is closed while a message comes in by it hangs nng for ever (nng #1543), so
// closing waits a little for the next event and ends the connection behind that one; see session_push.c.
#include "clients/c/subscribe.h"

#include <nng/nng.h>
#include <nng/protocol/pubsub0/sub.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clients/c/dial.h"
#include "clients/c/socket_close.h"
#include "proto/runtime/clock.h"

// A receive that was pending for less was perhaps answered from nng's buffer: another message may be coming in.
#define PENDING_NS 2000000
// Longest wait for an event to end a connection behind. Servers send one each second; one that is silent for longer
// sends nothing that could be cut.
#define QUIET_MS 1500

struct ez_subscriber {
    nng_socket socket;
    bool is_open;
    nng_aio *aio;
    nng_dialer dialer;
    int fd;
    uint64_t armed_ns; // when the pending receive began; nng's callback only

    pthread_mutex_t mutex; // guards what follows
    pthread_cond_t gone;   // a connection went, or its dialer
    bool wants_quiet;      // each connection is closed behind its next event
    bool is_ending;        // nng's callback is closing a dialer
    nng_msg *inbox[EZ_SUBSCRIBER_EVENTS_MAX];
    unsigned head, count;
    size_t bytes;
    unsigned pipes; // connected
    uint64_t dropped;
};

// Locked.
static void tell(ez_subscriber *subscriber) {
    uint64_t one = 1;
    ssize_t wrote = write(subscriber->fd, &one, sizeof one);
    (void)wrote; // full: it is readable already
}

static void arm(ez_subscriber *subscriber) {
    subscriber->armed_ns = ez_clock_mono_ns();
    nng_recv_aio(subscriber->socket, subscriber->aio);
}

// Keeps the event where there is room.
static void put(ez_subscriber *subscriber, nng_msg *msg) {
    size_t len = nng_msg_len(msg);
    pthread_mutex_lock(&subscriber->mutex);
    bool fits = subscriber->count < EZ_SUBSCRIBER_EVENTS_MAX && subscriber->bytes + len <= EZ_SUBSCRIBER_BYTES_MAX;
    if (fits) {
        subscriber->inbox[(subscriber->head + subscriber->count++) % EZ_SUBSCRIBER_EVENTS_MAX] = msg;
        subscriber->bytes += len;
        tell(subscriber);
    } else {
        subscriber->dropped++;
    }
    pthread_mutex_unlock(&subscriber->mutex);
    if (!fits)
        nng_msg_free(msg);
}

// In the callback of a receive that was pending nothing else is being read from the event's connection. Its dialer goes
// too, so that nng does not make another one. The socket must not be closed meanwhile: nng 1.10 drops a reference to
// the dialer that it does not have then, and panics.
static void hush(ez_subscriber *subscriber, nng_pipe pipe) {
    bool is_safe = ez_clock_mono_ns() - subscriber->armed_ns >= PENDING_NS;
    pthread_mutex_lock(&subscriber->mutex);
    bool close = subscriber->wants_quiet && is_safe;
    subscriber->is_ending = close;
    pthread_mutex_unlock(&subscriber->mutex);
    if (!close)
        return;
    nng_dialer_close(nng_pipe_dialer(pipe));
    pthread_mutex_lock(&subscriber->mutex);
    subscriber->is_ending = false;
    pthread_cond_broadcast(&subscriber->gone);
    pthread_mutex_unlock(&subscriber->mutex);
}

static void on_event(void *user) {
    ez_subscriber *subscriber = user;
    int rv = nng_aio_result(subscriber->aio);
    if (rv == NNG_ECLOSED || rv == NNG_ECANCELED)
        return;
    nng_msg *msg = rv == 0 ? nng_aio_get_msg(subscriber->aio) : NULL;
    nng_aio_set_msg(subscriber->aio, NULL);
    if (msg) {
        nng_pipe pipe = nng_msg_get_pipe(msg);
        put(subscriber, msg);
        hush(subscriber, pipe);
    }
    arm(subscriber);
}

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *user) {
    ez_subscriber *subscriber = user;
    (void)pipe;
    pthread_mutex_lock(&subscriber->mutex);
    if (event == NNG_PIPE_EV_ADD_POST)
        subscriber->pipes++;
    else if (subscriber->pipes > 0)
        subscriber->pipes--;
    tell(subscriber);
    pthread_cond_broadcast(&subscriber->gone);
    pthread_mutex_unlock(&subscriber->mutex);
}

static int set_up(ez_subscriber *subscriber, const char *topic) {
    nng_socket socket = subscriber->socket;
    // With its NUL: "config" alone would also take "configuration".
    int rv = nng_socket_set(socket, NNG_OPT_SUB_SUBSCRIBE, topic ? topic : "", topic ? strlen(topic) + 1 : 0);
    if (rv == 0)
        rv = nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, EZ_EVENT_MAX);
    if (rv == 0)
        rv = nng_pipe_notify(socket, NNG_PIPE_EV_ADD_POST, on_pipe, subscriber);
    if (rv == 0)
        rv = nng_pipe_notify(socket, NNG_PIPE_EV_REM_POST, on_pipe, subscriber);
    return rv == 0 ? nng_aio_alloc(&subscriber->aio, on_event, subscriber) : rv;
}

static ez_status start(ez_subscriber *subscriber, const char *url, const char *topic, const ez_client_tls *tls,
                       ez_error *error) {
    static const ez_client_tls no_tls;
    if (subscriber->fd < 0)
        return ez_error_set(error, EZ_UNAVAILABLE, "NO_SOCKET", "no more files can be opened");
    int rv = nng_sub0_open(&subscriber->socket);
    subscriber->is_open = rv == 0;
    if (rv == 0)
        rv = set_up(subscriber, topic);
    if (rv != 0)
        return ez_error_set(error, EZ_UNAVAILABLE, "NO_SOCKET", "a socket for events can't be opened: %s",
                            nng_strerror(rv));
    nng_aio_set_timeout(subscriber->aio, NNG_DURATION_INFINITE);
    arm(subscriber);
    return ez_dial(subscriber->socket, url, tls ? tls : &no_tls, EZ_EVENT_MAX, &subscriber->dialer, error);
}

ez_status ez_subscriber_open(const char *url, const char *topic, const ez_client_tls *tls, ez_subscriber **out,
                             ez_error *error) {
    ez_status status = ez_dial_check_url(url, error);
    if (status != EZ_OK)
        return status;
    if (topic && (topic[0] == '\0' || strlen(topic) > EZ_SUBSCRIBER_TOPIC_MAX))
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "TOPIC_INVALID", "a topic must have 1 to %d bytes",
                            EZ_SUBSCRIBER_TOPIC_MAX);
    ez_subscriber *subscriber = calloc(1, sizeof *subscriber);
    if (!subscriber)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory for a subscriber");
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&subscriber->gone, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&subscriber->mutex, NULL);
    subscriber->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    status = start(subscriber, url, topic, tls, error);
    if (status != EZ_OK) {
        ez_subscriber_close(subscriber);
        return status;
    }
    *out = subscriber;
    return EZ_OK;
}

static void wait_quiet(ez_subscriber *subscriber) {
    uint64_t until = ez_clock_mono_ns() + QUIET_MS * 1000000ull;
    const struct timespec at = {.tv_sec = (time_t)(until / 1000000000), .tv_nsec = (long)(until % 1000000000)};
    pthread_mutex_lock(&subscriber->mutex);
    subscriber->wants_quiet = true;
    int rv = 0;
    while (subscriber->pipes > 0 && rv == 0)
        rv = pthread_cond_timedwait(&subscriber->gone, &subscriber->mutex, &at);
    subscriber->wants_quiet = false;
    while (subscriber->is_ending) // for no longer than nng_dialer_close takes, which waits for nothing
        pthread_cond_wait(&subscriber->gone, &subscriber->mutex);
    pthread_mutex_unlock(&subscriber->mutex);
}

void ez_subscriber_close(ez_subscriber *subscriber) {
    if (!subscriber)
        return;
    if (subscriber->is_open) {
        wait_quiet(subscriber);
        if (!ez_socket_close(subscriber->socket))
            return; // nng may still call back: what it would touch stays
    }
    if (subscriber->aio) {
        nng_aio_stop(subscriber->aio);
        nng_aio_free(subscriber->aio);
    }
    for (; subscriber->count > 0; subscriber->count--) {
        nng_msg_free(subscriber->inbox[subscriber->head]);
        subscriber->head = (subscriber->head + 1) % EZ_SUBSCRIBER_EVENTS_MAX;
    }
    if (subscriber->fd >= 0)
        close(subscriber->fd);
    pthread_cond_destroy(&subscriber->gone);
    pthread_mutex_destroy(&subscriber->mutex);
    free(subscriber);
}

void ez_subscriber_hush(ez_subscriber *subscriber) {
    pthread_mutex_lock(&subscriber->mutex);
    subscriber->wants_quiet = true;
    pthread_mutex_unlock(&subscriber->mutex);
}

int ez_subscriber_fd(const ez_subscriber *subscriber) {
    return subscriber->fd;
}

// The oldest event; NULL: none waits, and the eventfd is quiet until something is new.
static nng_msg *pop(ez_subscriber *subscriber) {
    nng_msg *msg = NULL;
    pthread_mutex_lock(&subscriber->mutex);
    if (subscriber->count > 0) {
        msg = subscriber->inbox[subscriber->head];
        subscriber->head = (subscriber->head + 1) % EZ_SUBSCRIBER_EVENTS_MAX;
        subscriber->count--;
        subscriber->bytes -= nng_msg_len(msg);
    } else {
        uint64_t drained;
        ssize_t got = read(subscriber->fd, &drained, sizeof drained);
        (void)got; // nothing to drain is fine
    }
    pthread_mutex_unlock(&subscriber->mutex);
    return msg;
}

bool ez_subscriber_take(ez_subscriber *subscriber, ez_buf *out) {
    nng_msg *msg;
    while ((msg = pop(subscriber)) != NULL) {
        ez_buf_clear(out);
        ez_status status = ez_buf_append(out, nng_msg_body(msg), nng_msg_len(msg));
        nng_msg_free(msg);
        if (status == EZ_OK)
            return true;
        pthread_mutex_lock(&subscriber->mutex);
        subscriber->dropped++;
        pthread_mutex_unlock(&subscriber->mutex);
    }
    return false;
}

bool ez_subscriber_is_connected(ez_subscriber *subscriber) {
    pthread_mutex_lock(&subscriber->mutex);
    bool is_connected = subscriber->pipes > 0;
    pthread_mutex_unlock(&subscriber->mutex);
    return is_connected;
}

uint64_t ez_subscriber_dropped(ez_subscriber *subscriber) {
    pthread_mutex_lock(&subscriber->mutex);
    uint64_t dropped = subscriber->dropped;
    pthread_mutex_unlock(&subscriber->mutex);
    return dropped;
}
