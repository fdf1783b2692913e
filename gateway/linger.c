// SPDX-License-Identifier: Apache-2.0
//
// The descriptor is duplicated, so that evhttp may close its own; what arrives is read and thrown away.
// Bounded in number, time and bytes: a peer that goes on sending gets its reset after all.
#include "gateway/linger.h"

#include <errno.h>
#include <event2/event.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/runtime/clock.h"

#define LINGER_MAX   256
#define LINGER_S     5
#define LINGER_BYTES (16 << 20)

typedef struct socket_left socket_left;
struct socket_left {
    socket_left *next, *previous;
    ez_linger *owner;
    struct event *event;
    int fd;
    uint64_t end_ms;
    size_t bytes;
};

struct ez_linger {
    struct event_base *base;
    socket_left *all;
    unsigned count;
};

ez_linger *ez_linger_create(struct event_base *base) {
    ez_linger *made = calloc(1, sizeof *made);
    if (made)
        made->base = base;
    return made;
}

static void end(socket_left *one) {
    ez_linger *owner = one->owner;
    if (one->previous)
        one->previous->next = one->next;
    else
        owner->all = one->next;
    if (one->next)
        one->next->previous = one->previous;
    owner->count--;
    event_free(one->event);
    close(one->fd);
    free(one);
}

void ez_linger_destroy(ez_linger *linger) {
    while (linger && linger->all)
        end(linger->all);
    free(linger);
}

static void on_readable(evutil_socket_t fd, short what, void *arg) {
    socket_left *one = arg;
    char unread[16384];
    ssize_t got = what & EV_READ ? recv(fd, unread, sizeof unread, MSG_DONTWAIT) : 0;
    if (got > 0)
        one->bytes += (size_t)got;
    bool is_over = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
    if (is_over || one->bytes > LINGER_BYTES || ez_clock_mono_ms() > one->end_ms)
        end(one);
}

void ez_linger_take(ez_linger *linger, int fd) {
    static const struct timeval wait = {LINGER_S, 0};
    if (!linger || linger->count == LINGER_MAX)
        return;
    socket_left *one = calloc(1, sizeof *one);
    int copy = one ? dup(fd) : -1;
    if (one && copy >= 0)
        one->event = event_new(linger->base, copy, EV_READ | EV_PERSIST, on_readable, one);
    if (!one || !one->event || event_add(one->event, &wait) != 0) {
        if (one && one->event)
            event_free(one->event);
        if (copy >= 0)
            close(copy);
        free(one);
        return;
    }
    one->owner = linger;
    one->fd = copy;
    one->end_ms = ez_clock_mono_ms() + LINGER_S * 1000;
    one->next = linger->all;
    if (linger->all)
        linger->all->previous = one;
    linger->all = one;
    linger->count++;
}
