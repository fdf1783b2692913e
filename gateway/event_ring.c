// SPDX-License-Identifier: Apache-2.0
//
// A queue for each topic, with ascending sequences; what is asked for next is found by bisection in each and taken by
// order of arrival. The ring owns its events and one hold on each text; a text that is still being sent outlives its
// event. The awkward case: a text is made long after its event came, and is larger: the bound is kept by letting others
// go, but never the event it is made for.
#include "gateway/event_ring.h"

#include <stdlib.h>
#include <string.h>

typedef struct queue {
    ez_event **events; // a circle of max_events
    unsigned first, count;
    size_t bytes;
    uint64_t last, evicted;
} queue;

struct ez_event_ring {
    unsigned max_events;
    size_t max_bytes;
    uint64_t ordinal;
    unsigned count;
    size_t bytes;
    queue queues[EZ_TOPIC_COUNT];
    char server_id[EZ_SERVER_ID_MAX + 1];
};

ez_status ez_event_ring_create(unsigned max_events, size_t max_bytes, ez_event_ring **out, ez_error *error) {
    ez_event_ring *made = calloc(1, sizeof *made);
    bool is_whole = made != NULL;
    for (int i = 0; i < EZ_TOPIC_COUNT && is_whole; i++) {
        made->queues[i].events = calloc(max_events, sizeof(ez_event *));
        is_whole = made->queues[i].events != NULL;
    }
    if (!is_whole) {
        ez_event_ring_destroy(made);
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory to keep %u events", max_events);
    }
    made->max_events = max_events;
    made->max_bytes = max_bytes;
    *out = made;
    return EZ_OK;
}

static ez_event *at(const ez_event_ring *ring, const queue *from, unsigned index) {
    return from->events[(from->first + index) % ring->max_events];
}

static size_t size_of(const ez_event *event) {
    return sizeof *event + event->len + (event->text ? event->text->len : 0);
}

static void evict(ez_event_ring *ring, queue *from) {
    ez_event *event = at(ring, from, 0);
    from->first = (from->first + 1) % ring->max_events;
    from->count--;
    ring->count--;
    from->bytes -= size_of(event);
    ring->bytes -= size_of(event);
    from->evicted = event->sequence;
    ez_event_text_release(event->text);
    free(event);
}

static void clear(ez_event_ring *ring) {
    for (int i = 0; i < EZ_TOPIC_COUNT; i++) {
        queue *one = &ring->queues[i];
        while (one->count > 0)
            evict(ring, one);
        one->last = one->evicted = 0;
    }
}

void ez_event_ring_destroy(ez_event_ring *ring) {
    if (!ring)
        return;
    clear(ring);
    for (int i = 0; i < EZ_TOPIC_COUNT; i++)
        free(ring->queues[i].events);
    free(ring);
}

void ez_event_ring_begin(ez_event_ring *ring, const char *server_id) {
    clear(ring);
    strncpy(ring->server_id, server_id, EZ_SERVER_ID_MAX);
}

const char *ez_event_ring_server(const ez_event_ring *ring) {
    return ring->server_id;
}

// Makes room; spared stays, whatever it takes.
static void keep_bounds(ez_event_ring *ring, const ez_event *spared) {
    while (ring->count > ring->max_events || ring->bytes > ring->max_bytes) {
        bool by_count = ring->count > ring->max_events;
        queue *largest = NULL;
        for (int i = 0; i < EZ_TOPIC_COUNT; i++) {
            queue *one = &ring->queues[i];
            if (one->count == 0 || at(ring, one, 0) == spared)
                continue;
            if (!largest || (by_count ? one->count > largest->count : one->bytes > largest->bytes))
                largest = one;
        }
        if (!largest)
            return;
        evict(ring, largest);
    }
}

bool ez_event_ring_put(ez_event_ring *ring, const ez_event *event, const void *message) {
    queue *to = &ring->queues[event->topic];
    if (event->sequence <= to->last)
        return false;
    to->last = event->sequence;
    ez_event *kept = malloc(sizeof *kept + event->len);
    if (!kept)
        return false;
    memcpy(kept, event, sizeof *kept);
    kept->ordinal = ++ring->ordinal;
    kept->text = NULL;
    kept->is_unreadable = false;
    if (event->len > 0)
        memcpy(kept->message, message, event->len);
    if (to->count == ring->max_events)
        evict(ring, to);
    to->events[(to->first + to->count++) % ring->max_events] = kept;
    ring->count++;
    to->bytes += size_of(kept);
    ring->bytes += size_of(kept);
    keep_bounds(ring, kept);
    return true;
}

// The first whose sequence is above after; NULL where none is.
static ez_event *first_after(const ez_event_ring *ring, const queue *from, uint64_t after) {
    if (from->last <= after)
        return NULL; // the usual case
    unsigned low = 0, high = from->count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (at(ring, from, middle)->sequence > after)
            high = middle;
        else
            low = middle + 1;
    }
    return low < from->count ? at(ring, from, low) : NULL;
}

ez_event *ez_event_ring_next(const ez_event_ring *ring, unsigned topics, const uint64_t after[EZ_TOPIC_COUNT]) {
    ez_event *next = NULL;
    for (int i = 0; i < EZ_TOPIC_COUNT; i++) {
        ez_event *one = topics & (1u << i) ? first_after(ring, &ring->queues[i], after[i]) : NULL;
        if (one && (!next || one->ordinal < next->ordinal))
            next = one;
    }
    return next;
}

ez_event_text *ez_event_ring_text(ez_event_ring *ring, ez_event *event) {
    if (event->text || event->is_unreadable)
        return event->text;
    event->text = ez_event_text_make(event, ring->server_id);
    event->is_unreadable = !event->text;
    if (event->is_unreadable)
        return NULL;
    ring->queues[event->topic].bytes += event->text->len;
    ring->bytes += event->text->len;
    keep_bounds(ring, event);
    return event->text;
}

uint64_t ez_event_ring_last(const ez_event_ring *ring, int topic) {
    return ring->queues[topic].last;
}

uint64_t ez_event_ring_evicted(const ez_event_ring *ring, int topic) {
    return ring->queues[topic].evicted;
}

unsigned ez_event_ring_count(const ez_event_ring *ring) {
    return ring->count;
}

size_t ez_event_ring_bytes(const ez_event_ring *ring) {
    return ring->bytes;
}
