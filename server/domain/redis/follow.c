// SPDX-License-Identifier: Apache-2.0
//
// Following: the changes after the cursor name resources, at most a batch of them; each is written as the directory has
// it now, then what depends on them, in further batches, and with the last one the revision. What breaks off is begun
// again from the cursor. So nothing is kept here that grows with how long Redis is away: where the feed's ring no
// longer reaches back to the cursor, everything is written anew.
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "server/domain/redis/inside.h"

// ---- Kinds that the ring does not hold

void ez_extras_take(void *user, const ez_store_change *changes, size_t count) {
    ez_extras *extras = &((ez_redis *)user)->extras;
    for (size_t i = 0; i < count; i++) {
        if (ez_kind_is_config(changes[i].kind) || !ez_redis_kind_find(changes[i].kind))
            continue;
        pthread_mutex_lock(&extras->lock);
        if (extras->count < EZ_REDIS_EXTRAS)
            extras->units[extras->count++] = (ez_unit){changes[i].kind, changes[i].id};
        else
            extras->is_over = true;
        pthread_mutex_unlock(&extras->lock);
    }
}

void ez_extras_forget(ez_extras *extras) {
    pthread_mutex_lock(&extras->lock);
    extras->count = 0;
    extras->is_over = false;
    pthread_mutex_unlock(&extras->lock);
}

// Copies some of them to the end of units; they stay until ez_follow has written them. *is_over: some were lost.
static size_t copy_extras(ez_redis *r, size_t count, size_t max, bool *is_over, bool *is_all) {
    ez_extras *extras = &r->extras;
    pthread_mutex_lock(&extras->lock);
    size_t more = extras->count < max - count ? extras->count : max - count;
    memcpy(r->units + count, extras->units, more * sizeof *extras->units);
    *is_over = extras->is_over;
    *is_all = more == extras->count;
    pthread_mutex_unlock(&extras->lock);
    return more;
}

static void drop_extras(ez_redis *r, size_t count) {
    ez_extras *extras = &r->extras;
    pthread_mutex_lock(&extras->lock);
    count = count < extras->count ? count : extras->count;
    extras->count -= count;
    memmove(extras->units, extras->units + count, extras->count * sizeof *extras->units);
    pthread_mutex_unlock(&extras->lock);
}

// ---- The ring

typedef struct gathering {
    ez_unit *units;
    size_t count, max;
} gathering;

static bool gather(void *user, int kind, int64_t id, int op, uint64_t secret_version, ez_slice encoded) {
    (void)op, (void)secret_version, (void)encoded;
    gathering *g = user;
    if (!ez_redis_kind_find(kind))
        return true;
    if (g->count == g->max)
        return false;
    g->units[g->count++] = (ez_unit){kind, id};
    return true;
}

static int compare_units(const void *a, const void *b) {
    const ez_unit *x = a, *y = b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static size_t without_repeats(ez_unit *units, size_t count) {
    qsort(units, count, sizeof *units, compare_units);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || compare_units(&units[kept - 1], &units[i]) != 0)
            units[kept++] = units[i];
    return kept;
}

// ---- What follows from them

static ez_index_key span_key(const ez_redis *r, const ez_span *span, ez_arena *arena) {
    if (span->index != EZ_INDEX_BINDING_BY_NAMESPACE)
        return ez_index_id(span->id);
    const ez_entry *entry = ez_directory_get(r->options.directory, EZ__V1__KIND__KIND_NAMESPACE, span->id);
    const Ez__V1__Namespace *space = entry ? (const Ez__V1__Namespace *)ez_entry_unpack(entry, arena) : NULL;
    return space ? ez_index_text(space->name) : (ez_index_key){.id = -1};
}

// The next members of the spans, at most max. Spans that are through are taken away.
static size_t expand(ez_redis *r, ez_unit *units, size_t max) {
    ez_batch *batch = &r->batch;
    size_t count = 0;
    ez_directory_enter();
    while (batch->span_count > 0 && count < max) {
        ez_span *span = &batch->spans[batch->span_count - 1];
        ez_arena_reset(&batch->arena);
        ez_index_key key = span_key(r, span, &batch->arena);
        const ez_entry *entry = NULL;
        while (count < max &&
               (entry = ez_directory_member(r->options.directory, span->index, key, span->after, false))) {
            span->after = ez_entry_id(entry);
            units[count++] = (ez_unit){span->kind, span->after};
        }
        if (!entry)
            batch->span_count--;
    }
    ez_directory_leave();
    return count;
}

// Writes all of units, in as many batches as it takes, and then what follows from them.
static ez_status write_all(ez_redis *r, ez_trip_kind kind, size_t count, size_t max, ez_error *error) {
    size_t at = 0;
    for (;;) {
        size_t done = 0;
        ez_status status = ez_trip(r, kind, r->units + at, count - at, &done, error);
        if (status != EZ_OK)
            return status;
        at += done;
        if (at < count)
            continue;
        bool had_spans = r->batch.span_count > 0;
        count = expand(r, r->units, max);
        at = 0;
        if (!had_spans && count == 0)
            return EZ_OK;
    }
}

ez_status ez_follow(ez_redis *r, bool *worked, ez_error *error) {
    size_t max = (size_t)r->options.batch < EZ_BATCH_UNITS ? (size_t)r->options.batch : EZ_BATCH_UNITS;
    ez_revision head = ez_feed_head(r->options.feed);
    bool is_over = false, is_all = true, is_read = false;
    gathering g = {.units = r->units, .max = max};
    ez_feed_cursor next = r->at;
    ez_status status = ez_feed_read(r->options.feed, &next, head.n, gather, &g, &is_read, error);
    if (status == EZ_OUT_OF_RANGE) {
        ez_rebuild_ask(r, "Redis is further behind than changes are kept", false);
        return EZ_OK;
    }
    if (status != EZ_OK)
        return status;
    // Those that were taken before the head was read are in there; the revision is not said before they are written.
    size_t extras = copy_extras(r, g.count, max, &is_over, &is_all);
    if (is_over) {
        ez_extras_forget(&r->extras);
        ez_rebuild_ask(r, "more settings changed than are kept", false);
        return EZ_OK;
    }
    bool is_behind = next.n > r->done_n && !ez_rebuild_is_running(r);
    if (g.count + extras == 0 && !is_behind) {
        r->at = next;
        return EZ_OK;
    }
    for (size_t i = 0; i < extras; i++)
        if (r->units[g.count + i].kind == KIND_SETTING)
            ez_state_look_asked(r);
    *worked = true;
    size_t count = without_repeats(r->units, g.count + extras);
    r->goal_n = next.n;
    status = write_all(r, is_all ? EZ_TRIP_FOLLOW : EZ_TRIP_PART, count, EZ_BATCH_UNITS, error);
    if (status != EZ_OK) {
        ez_batch_reset(&r->batch);
        return status;
    }
    r->at = next;
    drop_extras(r, extras);
    return EZ_OK;
}

ez_status ez_follow_due(ez_redis *r, bool *worked, ez_error *error) {
    size_t count = ez_unsent_take(&r->due, ez_clock_wall_ns(), r->units, EZ_BATCH_UNITS);
    if (count == 0)
        return EZ_OK;
    *worked = true;
    r->goal_n = r->done_n;
    ez_status status = write_all(r, EZ_TRIP_FOLLOW, count, EZ_BATCH_UNITS, error);
    if (status != EZ_OK)
        ez_batch_reset(&r->batch);
    return status;
}
