// SPDX-License-Identifier: Apache-2.0
//
// The newest changes in memory. Each is one block (an item) with its Change message encoded once; a ring of pointers to
// items belongs to the feed, items leave it by RCU. The appender alone writes the ring; readers find where they go on
// by a binary search over revisions and check each item's position, so that one which was overwritten meanwhile reads
// as "too old", never as another change.
//
// Awkward: only config kinds have items. A revision without any still counts, so the least revision a delta may start
// from is kept beside the ring, not derived from its oldest item. And where there is no memory for an item the feed
// can't refuse, since the change is committed: it forgets everything instead, and data planes take a snapshot.
#include "server/state/feed/feed.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/cleanup.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/state/feed/history.h"
#include "server/state/feed/item.h"
#include "server/state/feed/push.h"
#include "server/state/feed/rcu.h"

struct ez_feed {
    uint64_t epoch;
    ez_publish *publish;
    size_t keep; // most items
    size_t mask; // of the ring, whose size is a power of two > keep
    _Atomic uint64_t n;
    _Atomic uint64_t told;    // the revision that was pushed last: a heartbeat must not overtake an event
    _Atomic uint64_t told_ms; // when; monotonic
    _Atomic uint64_t wanted;  // the greatest revision that somebody waits for
    _Atomic uint64_t oldest;
    _Atomic uint64_t first; // position of the oldest item kept
    _Atomic uint64_t last;  // position behind the newest
    const ez_feed_watcher *_Atomic watcher;
    ez_feed_history history;
    ez_feed_item *_Atomic ring[];
};

ez_status ez_feed_create(const ez_feed_options *options, ez_feed **out, ez_error *error) {
    size_t size = 2;
    while (size <= options->keep && size < SIZE_MAX / 4 / sizeof(void *))
        size *= 2;
    ez_feed *feed = options->keep < size ? calloc(1, sizeof *feed + size * sizeof feed->ring[0]) : NULL;
    if (!feed)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory to keep %zu changes",
                            options->keep);
    feed->epoch = options->epoch;
    feed->publish = options->publish;
    feed->keep = options->keep ? options->keep : 1;
    feed->mask = size - 1;
    atomic_store(&feed->n, options->n);
    atomic_store(&feed->told, options->n);
    atomic_store(&feed->oldest, options->n);
    *out = feed;
    return EZ_OK;
}

void ez_feed_destroy(ez_feed *feed) {
    if (!feed)
        return;
    for (size_t i = 0; i <= feed->mask; i++)
        free(atomic_load(&feed->ring[i]));
    ez_rcu_barrier();
    free(feed);
}

ez_revision ez_feed_head(const ez_feed *feed) {
    return (ez_revision){feed->epoch, atomic_load_explicit(&feed->n, memory_order_acquire)};
}

uint64_t ez_feed_oldest(const ez_feed *feed) {
    return atomic_load_explicit(&feed->oldest, memory_order_acquire);
}

bool ez_feed_digest(const ez_feed *feed, uint64_t n, uint8_t out[32]) {
    return ez_feed_history_get(&feed->history, n, out);
}

void ez_feed_note_digest(ez_feed *feed, const uint8_t digest[32]) {
    ez_feed_history_put(&feed->history, atomic_load(&feed->n), digest);
}

void ez_feed_watch(ez_feed *feed, const ez_feed_watcher *watcher) {
    atomic_store_explicit(&feed->watcher, watcher, memory_order_release);
}

// ---- Appending: the writer's thread

static void let_take(const ez_feed *feed, const ez_store_change *changes, size_t count) {
    const ez_feed_watcher *watcher = atomic_load_explicit(&feed->watcher, memory_order_acquire);
    if (watcher && count > 0)
        watcher->take(watcher->user, changes, count);
}

static void tell(const ez_feed *feed) {
    const ez_feed_watcher *watcher = atomic_load_explicit(&feed->watcher, memory_order_acquire);
    if (watcher)
        watcher->told(watcher->user);
}

// Forgets the oldest item: a delta can now start at its revision at the earliest.
static void evict(ez_feed *feed) {
    uint64_t first = atomic_load_explicit(&feed->first, memory_order_relaxed);
    ez_feed_item *item = atomic_load_explicit(&feed->ring[first & feed->mask], memory_order_relaxed);
    atomic_store_explicit(&feed->oldest, item->n, memory_order_release);
    atomic_store_explicit(&feed->first, first + 1, memory_order_release);
    atomic_store_explicit(&feed->ring[first & feed->mask], NULL, memory_order_release);
    ez_rcu_defer(&item->rcu, ez_feed_item_release);
}

static void forget_all(ez_feed *feed) {
    while (atomic_load(&feed->first) != atomic_load(&feed->last))
        evict(feed);
}

// OUT_OF_MEMORY leaves the ring as it was.
static bool keep_change(ez_feed *feed, const ez_store_change *change, uint32_t seq) {
    ez_feed_item *item = ez_feed_item_create(feed->epoch, change, seq);
    if (!item)
        return false;
    uint64_t last = atomic_load_explicit(&feed->last, memory_order_relaxed);
    if (last - atomic_load_explicit(&feed->first, memory_order_relaxed) == feed->keep)
        evict(feed);
    item->position = last;
    atomic_store_explicit(&feed->ring[last & feed->mask], item, memory_order_release);
    atomic_store_explicit(&feed->last, last + 1, memory_order_release);
    return true;
}

// Remembers changes in order; false where some could not be kept and all is forgotten up to "to".
static bool keep_all(ez_feed *feed, const ez_store_change *changes, size_t count, uint64_t to) {
    uint64_t n = 0;
    uint32_t seq = 0;
    for (size_t i = 0; i < count; i++) {
        if (!ez_kind_is_config(changes[i].kind))
            continue;
        seq = changes[i].n == n ? seq + 1 : 0;
        n = changes[i].n;
        if (!keep_change(feed, &changes[i], seq)) {
            forget_all(feed);
            atomic_store_explicit(&feed->oldest, to, memory_order_release);
            return false;
        }
    }
    return true;
}

static const ez_feed_item *item_at(const ez_feed *feed, uint64_t position) {
    const ez_feed_item *item = atomic_load_explicit(&feed->ring[position & feed->mask], memory_order_acquire);
    return item && item->position == position ? item : NULL;
}

// Pushes the items from position begin on, in events of bounded size. Where the ring can't hold all of one commit, its
// first items are gone already, and nothing tells how much of which revision: the whole commit goes as "fetch".
static void push_items(ez_feed *feed, ez_feed_push *push, uint64_t begin, uint64_t end) {
    if (begin < end && !item_at(feed, begin)) {
        ez_feed_push_lost(push);
        return;
    }
    for (uint64_t at = begin; at < end; at++) {
        const ez_feed_item *item = item_at(feed, at);
        ez_feed_push_change(push, item->n, ez_feed_item_encoded(item));
    }
}

static void beat(ez_feed *feed, int64_t time_ns, bool ack_now) {
    atomic_store_explicit(&feed->told_ms, ez_clock_mono_ms(), memory_order_relaxed);
    uint64_t n = atomic_load_explicit(&feed->told, memory_order_acquire);
    ez_publish_event event = {
        .topic = "config", .epoch = feed->epoch, .from = n, .to = n, .time_ns = time_ns, .ack_now = ack_now};
    ez_error error = EZ_ERROR_INIT;
    if (ez_publish_send(feed->publish, &event, &error) != EZ_OK)
        ez_log_warn("a heartbeat was not published", "error", error.message);
}

// The revisions from+1 … to were pushed. Whoever began to wait for one of them meanwhile saw the old "told" and relies
// on us: of the two stores and loads at least one sees the other.
static void note_told(ez_feed *feed, uint64_t from, uint64_t to, int64_t time_ns, bool asked) {
    atomic_store_explicit(&feed->told_ms, ez_clock_mono_ms(), memory_order_relaxed);
    atomic_store(&feed->told, to);
    if (!asked && atomic_load(&feed->wanted) > from)
        beat(feed, time_ns, true);
}

ez_status ez_feed_append(ez_feed *feed, uint64_t to, const ez_store_change *changes, size_t count,
                         const uint8_t digest[32], int64_t time_ns, bool ack_now, ez_error *error) {
    uint64_t from = atomic_load_explicit(&feed->n, memory_order_relaxed);
    assert(to >= from && (count == 0 || (changes[0].n > from && changes[count - 1].n <= to)));
    (void)error;
    uint64_t begin = atomic_load_explicit(&feed->last, memory_order_relaxed);
    bool kept = keep_all(feed, changes, count, to);
    let_take(feed, changes, count);
    ez_feed_history_put(&feed->history, to, digest);
    atomic_store_explicit(&feed->n, to, memory_order_release);
    tell(feed);
    if (!kept)
        ez_log_warn("no memory to keep changes for data planes; they take a snapshot");
    if (!feed->publish || to == from)
        return EZ_OK;
    ez_feed_push push;
    ack_now = ack_now || atomic_load(&feed->wanted) > from;
    ez_feed_push_begin(&push, feed->publish, feed->epoch, from, to, time_ns, ack_now);
    if (kept)
        push_items(feed, &push, begin, atomic_load_explicit(&feed->last, memory_order_relaxed));
    else
        ez_feed_push_lost(&push);
    ez_feed_push_end(&push);
    note_told(feed, from, to, time_ns, ack_now);
    return EZ_OK;
}

void ez_feed_skip(ez_feed *feed, uint64_t to, const uint8_t *digest, int64_t time_ns) {
    uint64_t from = atomic_load_explicit(&feed->n, memory_order_relaxed);
    assert(to >= from);
    forget_all(feed);
    atomic_store_explicit(&feed->oldest, to, memory_order_release);
    if (digest)
        ez_feed_history_put(&feed->history, to, digest);
    atomic_store_explicit(&feed->n, to, memory_order_release);
    tell(feed);
    if (!feed->publish || to == from)
        return;
    ez_feed_push push;
    ez_feed_push_begin(&push, feed->publish, feed->epoch, from, to, time_ns, false);
    ez_feed_push_lost(&push);
    ez_feed_push_end(&push);
    note_told(feed, from, to, time_ns, false);
}

void ez_feed_beat(ez_feed *feed, int64_t time_ns, uint64_t quiet_ms) {
    uint64_t told_ms = atomic_load_explicit(&feed->told_ms, memory_order_relaxed);
    if (feed->publish && ez_clock_mono_ms() >= told_ms + quiet_ms)
        beat(feed, time_ns, false);
}

void ez_feed_want_ack(ez_feed *feed, uint64_t n, int64_t time_ns) {
    uint64_t wanted = atomic_load(&feed->wanted);
    while (wanted < n && !atomic_compare_exchange_weak(&feed->wanted, &wanted, n))
        ;
    if (feed->publish && atomic_load(&feed->told) >= n)
        beat(feed, time_ns, true);
}

// ---- Loading

typedef struct loading {
    ez_feed *feed;
    uint64_t n;   // of the change before
    uint32_t seq; // of the next config change of n
} loading;

static ez_status load_change(void *user, const ez_store_change *change, ez_error *error) {
    loading *at = user;
    if (change->n != at->n && change->n != at->n + 1)
        return ez_error_set(error, EZ_DATA_LOSS, "FEED_HAS_GAP",
                            "the store's change feed has a gap between revisions %llu and %llu: restore a backup",
                            (unsigned long long)at->n, (unsigned long long)change->n);
    if (change->n != at->n)
        at->seq = 0;
    at->n = change->n;
    if (ez_kind_is_config(change->kind) && !keep_change(at->feed, change, at->seq++))
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory for the change feed");
    return EZ_OK;
}

ez_status ez_feed_load(ez_feed *feed, ez_store *store, ez_error *error) {
    uint64_t head = atomic_load(&feed->n);
    uint64_t oldest;
    ez_status status = ez_store_oldest_change(store, &oldest, error);
    if (status != EZ_OK)
        return status;
    if (oldest > head || oldest == 0)
        return EZ_OK;
    loading at = {.feed = feed, .n = oldest - 1};
    atomic_store(&feed->oldest, oldest - 1);
    status = ez_store_each_change(store, oldest - 1, head, 0, load_change, &at, error);
    if (status == EZ_OK && at.n != head)
        status = ez_error_set(error, EZ_DATA_LOSS, "FEED_HAS_GAP",
                              "the store's change feed ends at revision %llu, its head is %llu: restore a backup",
                              (unsigned long long)at.n, (unsigned long long)head);
    return status;
}

// ---- Reading: any thread

static ez_status too_old(const ez_feed *feed, const ez_feed_cursor *cursor, ez_error *error) {
    return ez_error_set(error, EZ_OUT_OF_RANGE, "REVISION_TOO_OLD",
                        "changes after revision %llu are no longer kept, the oldest start is %llu: take a snapshot",
                        (unsigned long long)cursor->n, (unsigned long long)ez_feed_oldest(feed));
}

// The first position whose change lies behind the cursor. False where an item fell out while we looked.
static bool locate(const ez_feed *feed, const ez_feed_cursor *cursor, uint64_t first, uint64_t last, uint64_t *out) {
    while (first < last) {
        uint64_t middle = first + (last - first) / 2;
        const ez_feed_item *item = item_at(feed, middle);
        if (!item)
            return false;
        bool is_given = item->n <= cursor->n || (item->n == cursor->n + 1 && item->seq < cursor->seq);
        if (is_given)
            first = middle + 1;
        else
            last = middle;
    }
    *out = first;
    return true;
}

// Gives the items from position at on. False where one fell out.
static bool give(const ez_feed *feed, uint64_t at, uint64_t last, uint64_t until, ez_feed_cursor *cursor,
                 ez_feed_change_fn *each, void *user, bool *done) {
    for (; at < last; at++) {
        const ez_feed_item *item = item_at(feed, at);
        if (!item)
            return false;
        if (item->n > until)
            break;
        if (!each(user, item->kind, item->id, item->op, item->secret_version, ez_feed_item_encoded(item))) {
            *cursor = (ez_feed_cursor){item->n - 1, item->seq};
            return true;
        }
    }
    if (until > cursor->n)
        *cursor = (ez_feed_cursor){until, 0};
    *done = true;
    return true;
}

ez_status ez_feed_read(ez_feed *feed, ez_feed_cursor *cursor, uint64_t until, ez_feed_change_fn *each, void *user,
                       bool *done, ez_error *error) {
    *done = false;
    ez_rcu_enter();
    uint64_t last = atomic_load_explicit(&feed->last, memory_order_acquire);
    uint64_t first = atomic_load_explicit(&feed->first, memory_order_acquire);
    uint64_t at;
    bool is_kept = cursor->n >= ez_feed_oldest(feed) && locate(feed, cursor, first, last, &at) &&
                   give(feed, at, last, until, cursor, each, user, done);
    ez_rcu_leave();
    return is_kept ? EZ_OK : too_old(feed, cursor, error);
}
