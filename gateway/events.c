// SPDX-License-Identifier: Apache-2.0
//
// Reads what comes by the link and puts it into the ring. Of which server a connection is, its first event says; before
// that, what a reply of the core says is taken for it, so that a quiet server can be watched too. The awkward case:
// calls and events that reach different servers, for a moment (a restart) or for good (the settings): then the event is
// right, the ring begins anew, and whoever was told otherwise is told to ask again.
#include "gateway/events.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/link.h"
#include "proto/runtime/log.h"

#define RING_EVENTS 1024
#define RING_BYTES  (4u << 20)
#define HEADER_MAX  (64u << 10) // memory for an event's header

struct ez_events {
    ez_link *link;
    ez_event_ring *ring;
    const ez_events_listener *listener;
    void *arg;
    ez_arena arena;
    bool is_proven; // an event of this connection was of the ring's server
    bool has_complained;
    atomic_bool is_up;
    atomic_ullong count;
};

static void on_up(void *arg) {
    ez_events *events = arg;
    atomic_store(&events->is_up, true);
    events->is_proven = false;
    events->listener->returned(events->arg);
}

static void on_down(void *arg) {
    ez_events *events = arg;
    atomic_store(&events->is_up, false);
    events->is_proven = false;
    events->listener->unsettled(events->arg);
}

static void complain(ez_events *events, const char *why) {
    if (!events->has_complained)
        ez_log_warn("an event can't be read; more of them are not logged", "why", why);
    events->has_complained = true;
}

// False where it is none that is kept; topics that are not known are passed over.
static bool read_event(ez_events *events, const void *body, size_t len, const char **server_id, ez_event *out,
                       ez_slice *message) {
    const char *topic;
    Ez__V1__EventHeader *header;
    ez_error error = EZ_ERROR_INIT;
    if (ez_frame_read_event(body, len, &events->arena, &topic, &header, message, &error) != EZ_OK) {
        complain(events, error.message);
        return false;
    }
    int index = ez_topic_find(topic);
    if (index < 0)
        return false;
    if (!ez_server_id_is_valid(header->server_id) || header->sequence == 0) {
        complain(events, "its header names no server or no sequence");
        return false;
    }
    *server_id = header->server_id;
    *out = (ez_event){.topic = index, .sequence = header->sequence, .len = message->len};
    if (header->time) {
        out->seconds = header->time->seconds;
        out->nanos = header->time->nanos;
    }
    return true;
}

static void on_message(void *arg, uint32_t id, const void *body, size_t len) {
    ez_events *events = arg;
    ez_event event;
    ez_slice message;
    const char *server_id;
    (void)id;
    if (read_event(events, body, len, &server_id, &event, &message)) {
        bool is_other = strcmp(server_id, ez_event_ring_server(events->ring)) != 0;
        if (is_other)
            ez_event_ring_begin(events->ring, server_id);
        events->is_proven = true;
        atomic_fetch_add_explicit(&events->count, 1, memory_order_relaxed);
        bool is_new = ez_event_ring_put(events->ring, &event, message.data);
        if (is_other)
            events->listener->unsettled(events->arg);
        else if (is_new)
            events->listener->arrived(events->arg);
    }
    ez_arena_reset(&events->arena);
}

ez_status ez_events_open(struct event_base *base, const char *urls, const ez_events_listener *listener, void *arg,
                         ez_events **out, ez_error *error) {
    static const ez_link_events link = {.up = on_up, .down = on_down, .message = on_message};
    ez_events *made = calloc(1, sizeof *made);
    if (!made)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for a connection to the events");
    made->listener = listener;
    made->arg = arg;
    ez_arena_init(&made->arena, HEADER_MAX);
    ez_status status = ez_event_ring_create(RING_EVENTS, RING_BYTES, &made->ring, error);
    if (status == EZ_OK)
        status = ez_link_open(base, urls, &ez_link_sub, &link, made, &made->link, error);
    if (status != EZ_OK) {
        ez_events_close(made);
        return status;
    }
    *out = made;
    return EZ_OK;
}

void ez_events_close(ez_events *events) {
    if (!events)
        return;
    ez_link_close(events->link);
    ez_event_ring_destroy(events->ring);
    ez_arena_fini(&events->arena);
    free(events);
}

void ez_events_use(ez_events *events, unsigned core) {
    if (core < ez_link_cores(events->link))
        ez_link_use(events->link, core);
}

bool ez_events_settle(ez_events *events, const char *server_id) {
    bool is_same = strcmp(server_id, ez_event_ring_server(events->ring)) == 0;
    if (!ez_events_is_up(events) || (events->is_proven && !is_same))
        return false;
    if (!is_same)
        ez_event_ring_begin(events->ring, server_id);
    return true;
}

ez_event_ring *ez_events_ring(ez_events *events) {
    return events->ring;
}

bool ez_events_is_up(const ez_events *events) {
    return atomic_load(&events->is_up);
}

uint64_t ez_events_count(const ez_events *events) {
    return atomic_load_explicit(&events->count, memory_order_relaxed);
}
