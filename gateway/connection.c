// SPDX-License-Identifier: Apache-2.0
//
// evhttp tells of no connection before its first request is whole, and has one timeout for all it waits for. So: its
// bufferevents are made here, and once evhttp has set one up, its callbacks' argument is evhttp's connection, which
// gets a close callback. From then on the entry lives until that callback. When a request begins to arrive is seen by
// watching the input buffer. A slow sender is measured by the whole request, not by the byte, so a byte a second buys
// it nothing. The awkward case: between the making and the setting up the bufferevent may be freed; a reference is held
// across it.
#include "gateway/connection.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "gateway/linger.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"

#define BYTES_PER_SECOND (32u << 10)
#define RATE_MAX         (8u << 20) // no allowance past this many bytes of request

typedef enum connection_state {
    CONNECTION_IDLE,      // waits for a request's first byte
    CONNECTION_RECEIVING, // a request arrives
    CONNECTION_SERVING,   // a call is under way; evhttp reads nothing
    CONNECTION_ANSWERING, // the response leaves
    CONNECTION_TAKEN,     // somebody else's
} connection_state;

struct ez_connection {
    ez_connection *next, *previous;
    ez_connections *owner;
    struct evhttp_connection *evcon;
    struct bufferevent *bufferevent;
    struct evbuffer *input;
    struct evbuffer_cb_entry *watch;
    int fd;
    connection_state state;
    uint64_t since_ms;
    size_t bytes;    // of the request or the response
    bool is_doomed;  // to be freed as soon as nothing of evhttp is on the stack
    bool must_close; // after the answer
    bool is_cut;     // closed for what it did: no lingering
    void (*gone)(void *arg);
    void *gone_arg;
};

struct ez_connections {
    struct event_base *base;
    struct event *set_up; // active while pending is not empty or something is doomed
    ez_linger *linger;
    struct bufferevent **pending;
    size_t pending_count, pending_cap;
    ez_connection *all;
    ez_connection **by_fd;
    size_t by_fd_cap;
    unsigned count;
    size_t receiving; // bytes of unfinished requests
    bool has_doomed;
    ez_connection_limits limits;
};

static void end_receiving(ez_connection *one) {
    if (one->state == CONNECTION_RECEIVING)
        one->owner->receiving -= one->bytes;
}

static void move(ez_connection *one, connection_state to, size_t bytes) {
    end_receiving(one);
    one->state = to;
    one->since_ms = ez_clock_mono_ms();
    one->bytes = bytes;
    if (to == CONNECTION_RECEIVING)
        one->owner->receiving += bytes;
}

static void doom(ez_connection *one) {
    one->is_doomed = one->owner->has_doomed = true;
    event_active(one->owner->set_up, EV_TIMEOUT, 0);
}

static void on_input(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *arg) {
    (void)buffer;
    ez_connection *one = arg;
    ez_connections *owner = one->owner;
    if (info->n_added == 0)
        return;
    if (one->state == CONNECTION_IDLE) {
        move(one, CONNECTION_RECEIVING, info->n_added);
    } else if (one->state == CONNECTION_RECEIVING) {
        one->bytes += info->n_added;
        owner->receiving += info->n_added;
    }
    if (owner->receiving > owner->limits.max_receiving && !one->is_doomed) {
        ez_log_warn("too much is being received at once: a connection is closed");
        one->is_cut = true;
        doom(one);
    }
}

static void on_close(struct evhttp_connection *evcon, void *arg) {
    (void)evcon;
    ez_connection *one = arg;
    ez_connections *owner = one->owner;
    end_receiving(one);
    // evhttp may close the descriptor before libevent lets go of it; by then it may be another thread's, and a
    // lingering copy would keep the old registration alive.
    (void)bufferevent_disable(one->bufferevent, EV_READ | EV_WRITE);
    if (one->state == CONNECTION_RECEIVING && !one->is_cut)
        ez_linger_take(owner->linger, one->fd);
    if (one->watch)
        (void)evbuffer_remove_cb_entry(one->input, one->watch);
    if (one->previous)
        one->previous->next = one->next;
    else
        owner->all = one->next;
    if (one->next)
        one->next->previous = one->previous;
    if ((size_t)one->fd < owner->by_fd_cap && owner->by_fd[one->fd] == one)
        owner->by_fd[one->fd] = NULL;
    owner->count--;
    atomic_fetch_sub_explicit(owner->limits.total, 1, memory_order_relaxed);
    if (one->gone)
        one->gone(one->gone_arg);
    free(one);
}

static struct bufferevent *make_bufferevent(struct event_base *base, void *arg) {
    ez_connections *owner = arg;
    struct bufferevent *made = bufferevent_socket_new(base, -1, 0);
    if (!made)
        return NULL;
    if (owner->pending_count == owner->pending_cap) {
        size_t cap = owner->pending_cap ? owner->pending_cap * 2 : 64;
        struct bufferevent **more = realloc(owner->pending, cap * sizeof(struct bufferevent *));
        if (!more)
            return made; // evhttp's own timeout is all that watches this one
        owner->pending = more;
        owner->pending_cap = cap;
    }
    bufferevent_incref(made);
    owner->pending[owner->pending_count++] = made;
    event_active(owner->set_up, EV_TIMEOUT, 0);
    return made;
}

static bool make_room(ez_connections *owner, int fd) {
    if ((size_t)fd < owner->by_fd_cap)
        return true;
    size_t cap = owner->by_fd_cap ? owner->by_fd_cap : 256;
    while (cap <= (size_t)fd)
        cap *= 2;
    ez_connection **more = realloc(owner->by_fd, cap * sizeof(ez_connection *));
    if (!more)
        return false;
    memset(more + owner->by_fd_cap, 0, (cap - owner->by_fd_cap) * sizeof(ez_connection *));
    owner->by_fd = more;
    owner->by_fd_cap = cap;
    return true;
}

static void refuse(ez_connections *owner, struct evhttp_connection *evcon, int fd) {
    static const char text[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\n"
                               "Connection: close\r\n\r\n";
    atomic_fetch_add_explicit(owner->limits.refused, 1, memory_order_relaxed);
    (void)send(fd, text, sizeof text - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    evhttp_connection_free(evcon);
}

static void watch(ez_connections *owner, struct bufferevent *bufferevent) {
    bufferevent_event_cb on_event = NULL;
    void *evcon = NULL;
    bufferevent_getcb(bufferevent, NULL, NULL, &on_event, &evcon);
    int fd = bufferevent_getfd(bufferevent);
    if (!on_event || !evcon || fd < 0)
        return; // evhttp has given it up already
    if (atomic_load_explicit(owner->limits.total, memory_order_relaxed) >= owner->limits.max) {
        refuse(owner, evcon, fd);
        return;
    }
    ez_connection *one = make_room(owner, fd) ? calloc(1, sizeof *one) : NULL;
    if (!one) {
        refuse(owner, evcon, fd);
        return;
    }
    *one = (ez_connection){.next = owner->all, .owner = owner, .evcon = evcon, .fd = fd};
    one->bufferevent = bufferevent;
    one->input = bufferevent_get_input(bufferevent);
    one->watch = evbuffer_add_cb(one->input, on_input, one);
    one->since_ms = ez_clock_mono_ms();
    if (owner->all)
        owner->all->previous = one;
    owner->all = one;
    owner->by_fd[fd] = one;
    owner->count++;
    atomic_fetch_add_explicit(owner->limits.total, 1, memory_order_relaxed);
    evhttp_connection_set_closecb(evcon, on_close, one);
}

static void free_doomed(ez_connections *owner) {
    owner->has_doomed = false;
    for (ez_connection *one = owner->all; one;) {
        ez_connection *next = one->next;
        bool is_waiting = one->state == CONNECTION_IDLE || one->state == CONNECTION_RECEIVING;
        if (one->is_doomed && is_waiting)
            evhttp_connection_free(one->evcon);
        one = next;
    }
}

static void on_set_up(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    ez_connections *owner = arg;
    for (size_t i = 0; i < owner->pending_count; i++) {
        watch(owner, owner->pending[i]);
        (void)bufferevent_decref(owner->pending[i]);
    }
    owner->pending_count = 0;
    if (owner->has_doomed)
        free_doomed(owner);
}

ez_status ez_connections_create(struct event_base *base, struct evhttp *http, const ez_connection_limits *limits,
                                ez_connections **out, ez_error *error) {
    ez_connections *made = calloc(1, sizeof *made);
    if (made)
        made->set_up = event_new(base, -1, 0, on_set_up, made);
    if (!made || !made->set_up) {
        free(made);
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for the table of connections");
    }
    made->base = base;
    made->linger = ez_linger_create(base);
    made->limits = *limits;
    evhttp_set_bevcb(http, make_bufferevent, made);
    *out = made;
    return EZ_OK;
}

void ez_connections_destroy(ez_connections *connections) {
    if (!connections)
        return;
    for (size_t i = 0; i < connections->pending_count; i++)
        (void)bufferevent_decref(connections->pending[i]);
    ez_linger_destroy(connections->linger);
    event_free(connections->set_up);
    free(connections->pending);
    free(connections->by_fd);
    free(connections);
}

ez_connection *ez_connections_find(const ez_connections *connections, struct evhttp_request *req) {
    struct evhttp_connection *evcon = evhttp_request_get_connection(req);
    struct bufferevent *bufferevent = evcon ? evhttp_connection_get_bufferevent(evcon) : NULL;
    int fd = bufferevent ? bufferevent_getfd(bufferevent) : -1;
    ez_connection *one = fd >= 0 && (size_t)fd < connections->by_fd_cap ? connections->by_fd[fd] : NULL;
    return one && one->evcon == evcon ? one : NULL;
}

void ez_connection_serve(ez_connection *connection) {
    if (connection)
        move(connection, CONNECTION_SERVING, 0);
}

static void on_answered(struct evhttp_request *req, void *arg) {
    (void)req;
    ez_connection *one = arg;
    size_t waiting = evbuffer_get_length(one->input); // the next request, sent without waiting for this answer
    move(one, waiting > 0 ? CONNECTION_RECEIVING : CONNECTION_IDLE, waiting);
    if (one->must_close)
        doom(one); // evhttp closes it itself, except after CONNECT
}

void ez_connection_answer(ez_connection *connection, struct evhttp_request *req, size_t bytes, bool must_close) {
    if (!connection)
        return;
    connection->must_close = must_close;
    move(connection, CONNECTION_ANSWERING, bytes);
    evhttp_request_set_on_complete_cb(req, on_answered, connection);
}

struct bufferevent *ez_connection_take(ez_connection *connection, void (*gone)(void *arg), void *arg) {
    move(connection, CONNECTION_TAKEN, 0);
    if (connection->watch)
        (void)evbuffer_remove_cb_entry(connection->input, connection->watch);
    connection->watch = NULL;
    connection->gone = gone;
    connection->gone_arg = arg;
    bufferevent_setcb(connection->bufferevent, NULL, NULL, NULL, NULL);
    (void)bufferevent_set_timeouts(connection->bufferevent, NULL, NULL);
    return connection->bufferevent;
}

void ez_connection_close(ez_connection *connection) {
    evhttp_connection_free(connection->evcon);
}

static bool is_late(const ez_connection *one, uint64_t now) {
    const ez_connection_limits *limits = &one->owner->limits;
    size_t bytes = one->bytes;
    uint64_t allowed;
    if (one->state == CONNECTION_RECEIVING) {
        bytes = bytes < RATE_MAX ? bytes : RATE_MAX;
        allowed = limits->request_ms;
    } else if (one->state == CONNECTION_ANSWERING) {
        allowed = limits->response_ms;
    } else {
        return false; // idle ones are evhttp's to time, served ones the call's, taken ones their taker's
    }
    return now - one->since_ms > allowed + (uint64_t)bytes * 1000 / BYTES_PER_SECOND;
}

void ez_connections_sweep(ez_connections *connections) {
    uint64_t now = ez_clock_mono_ms();
    for (ez_connection *one = connections->all; one;) {
        ez_connection *next = one->next;
        if (is_late(one, now)) {
            atomic_fetch_add_explicit(connections->limits.timeouts, 1, memory_order_relaxed);
            one->is_cut = true;
            evhttp_connection_free(one->evcon);
        }
        one = next;
    }
}

void ez_connections_close_idle(ez_connections *connections) {
    for (ez_connection *one = connections->all; one;) {
        ez_connection *next = one->next;
        if (one->state == CONNECTION_IDLE)
            evhttp_connection_free(one->evcon);
        one = next;
    }
}

unsigned ez_connections_count(const ez_connections *connections) {
    return connections->count;
}
