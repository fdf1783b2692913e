// SPDX-License-Identifier: Apache-2.0
//
// A window is a ring of the seconds that had traffic, oldest first, and their sums: what leaves the window is taken off
// again. A ring grows from 4 seconds to 64, so that a master that is seen now and then costs little. Masters are found
// by an open hash table of indexes into an array without holes: the last one moves into a place that becomes free.
//
// Awkward: a flush tells what happened since the one before, some seconds ago; it counts in the second it came.
#include "server/state/metering/realtime.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define RING_MIN 4u
#define RING_MAX 64u // a power of two that holds EZ_REALTIME_WINDOW_S
#define NONE     UINT32_MAX
#define PEAK     INT64_C(100000000000000000) // of one second: 60 of them fit into an int64

typedef struct second {
    uint64_t at_s;
    ez_realtime_sums sums;
} second;

typedef struct window {
    int64_t id;
    second *ring;
    uint32_t room, head, count; // room: 0, or a power of two
    ez_realtime_sums sums;
    uint64_t last_s;        // when something was added
    ez_realtime_view shown; // when ez_realtime_changed gave it last
    bool is_shown;
} window;

struct ez_realtime {
    pthread_mutex_t lock; // everything
    window system;
    window *masters;
    size_t count, room;
    uint32_t *slots; // indexes into masters, NONE: free; a power of two, at least twice count
    size_t slot_count;
    window **picked; // for sorting; as long as room
};

ez_status ez_realtime_create(ez_realtime **out, ez_error *error) {
    ez_realtime *realtime = calloc(1, sizeof *realtime);
    if (!realtime)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for live numbers");
    pthread_mutex_init(&realtime->lock, NULL);
    *out = realtime;
    return EZ_OK;
}

void ez_realtime_destroy(ez_realtime *realtime) {
    if (!realtime)
        return;
    for (size_t i = 0; i < realtime->count; i++)
        free(realtime->masters[i].ring);
    free(realtime->system.ring);
    free(realtime->masters);
    free(realtime->picked);
    free(realtime->slots);
    pthread_mutex_destroy(&realtime->lock);
    free(realtime);
}

// ---- One window

static void add(int64_t *to, int64_t *of_window, int64_t more) {
    more = more < PEAK - *to ? more : PEAK - *to;
    *to += more;
    *of_window += more;
}

static void sums_take(ez_realtime_sums *from, const ez_realtime_sums *gone) {
    from->requests -= gone->requests;
    from->tokens -= gone->tokens;
    from->errors -= gone->errors;
    from->rate_limited -= gone->rate_limited;
}

static second *ring_at(const window *w, uint32_t index) {
    return &w->ring[(w->head + index) % w->room];
}

static void expire(window *w, uint64_t now_s) {
    while (w->count > 0 && ring_at(w, 0)->at_s + EZ_REALTIME_WINDOW_S <= now_s) {
        sums_take(&w->sums, &ring_at(w, 0)->sums);
        w->head = (w->head + 1) % w->room;
        w->count--;
    }
}

static bool grow_ring(window *w) {
    uint32_t room = w->room ? 2 * w->room : RING_MIN;
    second *ring = room <= RING_MAX ? malloc(room * sizeof *ring) : NULL;
    if (!ring)
        return false;
    for (uint32_t i = 0; i < w->count; i++)
        ring[i] = *ring_at(w, i);
    free(w->ring);
    w->ring = ring;
    w->room = room;
    w->head = 0;
    return true;
}

static void window_add(window *w, const ez_realtime_sums *sums, uint64_t now_s) {
    expire(w, now_s);
    bool has_now = w->count > 0 && ring_at(w, w->count - 1)->at_s >= now_s;
    if (!has_now) {
        if (w->count == w->room && !grow_ring(w))
            return; // no memory: live numbers are low for a while
        w->count++;
        *ring_at(w, w->count - 1) = (second){.at_s = now_s};
    }
    ez_realtime_sums *now = &ring_at(w, w->count - 1)->sums;
    add(&now->requests, &w->sums.requests, sums->requests);
    add(&now->tokens, &w->sums.tokens, sums->tokens);
    add(&now->errors, &w->sums.errors, sums->errors);
    add(&now->rate_limited, &w->sums.rate_limited, sums->rate_limited);
    w->last_s = now_s;
}

static ez_realtime_view view_of(const window *w, uint64_t now_s) {
    ez_realtime_view view = {.master_id = w->id, .sums = w->sums};
    for (uint32_t i = w->count; i-- > 0 && ring_at(w, i)->at_s + EZ_REALTIME_SHORT_S > now_s;)
        view.requests_short += ring_at(w, i)->sums.requests;
    return view;
}

// ---- Finding a master

static size_t slot_of(const ez_realtime *realtime, int64_t id) {
    uint64_t hash = (uint64_t)id * UINT64_C(0x9E3779B97F4A7C15);
    return (size_t)(hash >> 32) & (realtime->slot_count - 1);
}

// The slot that holds id, or the free one where it belongs.
static size_t probe(const ez_realtime *realtime, int64_t id) {
    size_t at = slot_of(realtime, id);
    while (realtime->slots[at] != NONE && realtime->masters[realtime->slots[at]].id != id)
        at = (at + 1) & (realtime->slot_count - 1);
    return at;
}

static window *find(const ez_realtime *realtime, int64_t id) {
    uint32_t index = realtime->slot_count ? realtime->slots[probe(realtime, id)] : NONE;
    return index == NONE ? NULL : &realtime->masters[index];
}

static bool grow(ez_realtime *realtime) {
    size_t room = realtime->room ? 2 * realtime->room : 64;
    uint32_t *slots = malloc(2 * room * sizeof *slots);
    window *masters = realloc(realtime->masters, room * sizeof *masters);
    if (masters)
        realtime->masters = masters;
    window **picked = realloc(realtime->picked, room * sizeof(window *));
    if (picked)
        realtime->picked = picked;
    if (!slots || !masters || !picked) {
        free(slots);
        return false;
    }
    free(realtime->slots);
    realtime->slots = slots;
    realtime->slot_count = 2 * room;
    realtime->room = room;
    memset(slots, 0xff, 2 * room * sizeof *slots);
    for (size_t i = 0; i < realtime->count; i++)
        slots[probe(realtime, masters[i].id)] = (uint32_t)i;
    return true;
}

static window *make(ez_realtime *realtime, int64_t id) {
    if (realtime->count >= EZ_REALTIME_MASTERS_MAX || (realtime->count == realtime->room && !grow(realtime)))
        return NULL;
    uint32_t index = (uint32_t)realtime->count++;
    realtime->masters[index] = (window){.id = id};
    realtime->slots[probe(realtime, id)] = index;
    return &realtime->masters[index];
}

// Frees a slot and moves up those behind it that would no longer be found.
static void free_slot(ez_realtime *realtime, size_t hole) {
    size_t mask = realtime->slot_count - 1;
    for (size_t at = (hole + 1) & mask; realtime->slots[at] != NONE; at = (at + 1) & mask) {
        size_t home = slot_of(realtime, realtime->masters[realtime->slots[at]].id);
        if (((at - home) & mask) < ((at - hole) & mask))
            continue; // its home lies behind the hole
        realtime->slots[hole] = realtime->slots[at];
        hole = at;
    }
    realtime->slots[hole] = NONE;
}

static void drop(ez_realtime *realtime, size_t index) {
    free(realtime->masters[index].ring);
    free_slot(realtime, probe(realtime, realtime->masters[index].id));
    size_t last = --realtime->count;
    if (index == last)
        return;
    realtime->slots[probe(realtime, realtime->masters[last].id)] = (uint32_t)index;
    realtime->masters[index] = realtime->masters[last];
}

// ---- Adding and reading

void ez_realtime_add_master(ez_realtime *realtime, int64_t master_id, const ez_realtime_sums *sums, uint64_t now_s) {
    pthread_mutex_lock(&realtime->lock);
    window *w = find(realtime, master_id);
    w = w ? w : make(realtime, master_id);
    if (w)
        window_add(w, sums, now_s);
    pthread_mutex_unlock(&realtime->lock);
}

void ez_realtime_add_system(ez_realtime *realtime, const ez_realtime_sums *sums, uint64_t now_s) {
    pthread_mutex_lock(&realtime->lock);
    window_add(&realtime->system, sums, now_s);
    pthread_mutex_unlock(&realtime->lock);
}

void ez_realtime_system(ez_realtime *realtime, uint64_t now_s, ez_realtime_view *out) {
    pthread_mutex_lock(&realtime->lock);
    expire(&realtime->system, now_s);
    *out = view_of(&realtime->system, now_s);
    pthread_mutex_unlock(&realtime->lock);
}

void ez_realtime_master(ez_realtime *realtime, int64_t master_id, uint64_t now_s, ez_realtime_view *out) {
    *out = (ez_realtime_view){.master_id = master_id};
    pthread_mutex_lock(&realtime->lock);
    window *w = find(realtime, master_id);
    if (w) {
        expire(w, now_s);
        *out = view_of(w, now_s);
    }
    pthread_mutex_unlock(&realtime->lock);
}

size_t ez_realtime_masters(ez_realtime *realtime, uint64_t now_s) {
    size_t busy = 0;
    pthread_mutex_lock(&realtime->lock);
    for (size_t i = 0; i < realtime->count; i++) {
        expire(&realtime->masters[i], now_s);
        busy += realtime->masters[i].count > 0;
    }
    pthread_mutex_unlock(&realtime->lock);
    return busy;
}

// Most requests first; among equals the least id, so that lists keep still.
static int by_requests(const void *a, const void *b) {
    const window *const *left = a, *const *right = b;
    if ((*left)->sums.requests != (*right)->sums.requests)
        return (*left)->sums.requests > (*right)->sums.requests ? -1 : 1;
    return (*left)->id < (*right)->id ? -1 : 1;
}

static size_t give(ez_realtime *realtime, size_t count, uint64_t now_s, ez_realtime_view *out, size_t room) {
    if (count > 1)
        qsort(realtime->picked, count, sizeof(window *), by_requests);
    count = count < room ? count : room;
    for (size_t i = 0; i < count; i++)
        out[i] = view_of(realtime->picked[i], now_s);
    return count;
}

size_t ez_realtime_busiest(ez_realtime *realtime, uint64_t now_s, ez_realtime_view *out, size_t room) {
    pthread_mutex_lock(&realtime->lock);
    size_t count = 0;
    for (size_t i = 0; i < realtime->count; i++) {
        expire(&realtime->masters[i], now_s);
        if (realtime->masters[i].count > 0)
            realtime->picked[count++] = &realtime->masters[i];
    }
    count = give(realtime, count, now_s, out, room);
    pthread_mutex_unlock(&realtime->lock);
    return count;
}

// The last seconds pass while the window's sums stay: that is a change too.
static bool differs(const window *w, uint64_t now_s) {
    ez_realtime_view view = view_of(w, now_s);
    return !w->is_shown || view.requests_short != w->shown.requests_short ||
           memcmp(&view.sums, &w->shown.sums, sizeof view.sums) != 0;
}

// Its zeros were shown, or there was no room to show them for as long again as the window is.
static bool is_over(const window *w, uint64_t now_s) {
    return w->count == 0 && (!w->is_shown || !differs(w, now_s) || w->last_s + 2 * EZ_REALTIME_WINDOW_S <= now_s);
}

size_t ez_realtime_changed(ez_realtime *realtime, uint64_t now_s, ez_realtime_view *out, size_t room) {
    pthread_mutex_lock(&realtime->lock);
    size_t count = 0;
    for (size_t i = 0; i < realtime->count;) {
        expire(&realtime->masters[i], now_s);
        if (is_over(&realtime->masters[i], now_s))
            drop(realtime, i); // another one is in its place now
        else
            i++;
    }
    for (size_t i = 0; i < realtime->count; i++)
        if (differs(&realtime->masters[i], now_s))
            realtime->picked[count++] = &realtime->masters[i];
    count = give(realtime, count, now_s, out, room);
    for (size_t i = 0; i < count; i++) {
        realtime->picked[i]->shown = out[i];
        realtime->picked[i]->is_shown = true;
    }
    pthread_mutex_unlock(&realtime->lock);
    return count;
}

Ez__V1__RealtimeStats ez_realtime_stats(const ez_realtime_view *view) {
    Ez__V1__RealtimeStats stats = EZ__V1__REALTIME_STATS__INIT;
    stats.requests = view->sums.requests;
    stats.tokens = view->sums.tokens;
    stats.errors = view->sums.errors;
    stats.rate_limited = view->sums.rate_limited;
    stats.qps_10s = (double)view->requests_short / EZ_REALTIME_SHORT_S;
    stats.qps_60s = (double)view->sums.requests / EZ_REALTIME_WINDOW_S;
    return stats;
}
