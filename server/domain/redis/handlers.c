// SPDX-License-Identifier: Apache-2.0
//
// How far Redis is, for admins, for /status and for Prometheus; and what admins may ask for. What they ask is a
// setting: a change like any other, so it reaches whichever server writes, is audited, and is not lost with a server.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ez/handlers.h"
#include "ez/v1/sync.pb-c.h"
#include "proto/runtime/clock.h"
#include "server/domain/redis/inside.h"
#include "server/state/directory/edit.h"
#include "server/state/directory/stamp.h"

#define STALE_NS INT64_C(2000000000) // what was shown last is no longer believed where changes wait

static void read_view(ez_redis *r, ez_view *out) {
    pthread_mutex_lock(&r->view_lock);
    *out = r->view;
    pthread_mutex_unlock(&r->view_lock);
}

static const char *word_now(const ez_redis *r, const ez_view *view) {
    if (!r->is_on)
        return "off";
    if (!view->word[0])
        return "away"; // not asked yet
    bool waits = view->n < ez_feed_head(r->options.feed).n;
    bool is_old = ez_clock_wall_ns() - view->as_of_ns > STALE_NS;
    if (strcmp(view->word, "ok") == 0)
        return waits && is_old ? "behind" : "ok";
    return strcmp(view->word, "away") == 0 ? "away" : "behind";
}

const char *ez_redis_word(ez_redis *r) {
    if (!r || !r->is_on)
        return "off";
    ez_view *view = malloc(sizeof *view);
    if (!view)
        return "behind";
    read_view(r, view);
    const char *word = word_now(r, view);
    free(view);
    return word;
}

// ---- GET

static int64_t depth_of(const ez_redis *r, const ez_view *view) {
    ez_revision head = ez_feed_head(r->options.feed);
    uint64_t n = view->epoch == head.epoch ? view->n : 0;
    return (int64_t)(head.n > n ? head.n - n : 0) + (int64_t)view->due;
}

static int64_t oldest_of(const ez_redis *r, const ez_view *view) {
    int64_t oldest = view->oldest_ns;
    if (view->n < ez_feed_head(r->options.feed).n || view->epoch == 0) {
        int64_t since = view->behind_since_ns ? view->behind_since_ns : view->as_of_ns;
        oldest = oldest == 0 || since < oldest ? since : oldest;
    }
    return oldest;
}

static Google__Protobuf__Timestamp *stamp(int64_t ns, ez_arena *arena) {
    return ns > 0 ? ez_stamp_make(ns, arena) : NULL;
}

static ez_status fill_rows(const ez_view *view, ez_arena *arena, Ez__V1__SyncStatus *out) {
    out->rows = ez_arena_alloc(arena, (view->row_count + 1) * sizeof(Ez__V1__SyncRow *));
    Ez__V1__SyncRow *rows = ez_arena_alloc(arena, (view->row_count + 1) * sizeof *rows);
    if (!out->rows || !rows)
        return EZ_RESOURCE_EXHAUSTED;
    for (size_t i = 0; i < view->row_count; i++) {
        const ez_view_row *from = &view->rows[i];
        ez__v1__sync_row__init(&rows[i]);
        rows[i].kind = (Ez__V1__Kind)from->unit.kind;
        rows[i].id = from->unit.id;
        rows[i].tries = (int32_t)from->tries;
        rows[i].parked = from->is_parked;
        rows[i].since = stamp(from->since_ns, arena);
        rows[i].next_at = from->is_parked ? NULL : stamp(from->next_ns, arena);
        rows[i].error = ez_arena_strdup(arena, from->error);
        if (!rows[i].error)
            return EZ_RESOURCE_EXHAUSTED;
        out->rows[out->n_rows++] = &rows[i];
    }
    return EZ_OK;
}

static ez_status fill(ez_redis *r, const ez_view *view, ez_arena *arena, Ez__V1__SyncStatus *out) {
    ez_revision head = ez_feed_head(r->options.feed);
    out->state = (char *)word_now(r, view);
    out->head = ez_arena_zalloc(arena, sizeof *out->head);
    out->cursor = view->epoch ? ez_arena_zalloc(arena, sizeof *out->cursor) : NULL;
    if (!out->head || (view->epoch && !out->cursor))
        return EZ_RESOURCE_EXHAUSTED;
    ez__v1__revision__init(out->head);
    out->head->epoch = head.epoch;
    out->head->n = head.n;
    if (!r->is_on)
        return EZ_OK;
    if (out->cursor) {
        ez__v1__revision__init(out->cursor);
        out->cursor->epoch = view->epoch;
        out->cursor->n = view->n;
    }
    out->address = r->url.shown;
    out->depth = depth_of(r, view);
    int64_t oldest = oldest_of(r, view), now = ez_clock_wall_ns();
    out->oldest_at = stamp(oldest, arena);
    out->oldest_age_seconds = oldest > 0 && now > oldest ? (now - oldest) / INT64_C(1000000000) : 0;
    out->due = (int64_t)(view->due - view->parked);
    out->parked = (int64_t)view->parked;
    out->last_error = ez_arena_strdup(arena, view->error);
    out->last_error_at = stamp(view->error_ns, arena);
    out->rebuilding = view->is_rebuilding;
    out->rebuilt_at = stamp(view->rebuilt_ns, arena);
    out->writer = ez_arena_strdup(arena, view->server);
    out->is_writer = view->is_writer;
    out->as_of = stamp(view->as_of_ns, arena);
    out->refresh_waiting = view->refresh_waiting;
    return out->last_error && out->writer ? fill_rows(view, arena, out) : EZ_RESOURCE_EXHAUSTED;
}

static ez_status reply_status(ez_redis *r, ez_call *call) {
    Ez__V1__SyncStatus reply = EZ__V1__SYNC_STATUS__INIT;
    ez_view *view = ez_arena_alloc(&call->arena, sizeof *view);
    if (!view)
        return ez_no_memory(&call->error);
    read_view(r, view);
    if (fill(r, view, &call->arena, &reply) != EZ_OK)
        return ez_no_memory(&call->error);
    return ez_call_reply(call, &reply.base);
}

ez_status ez_handle_sync_get(ez_redis *self, ez_call *call, Ez__V1__GetSyncRequest *request) {
    (void)request;
    return reply_status(self, call);
}

ez_status ez_handle_sync_status(ez_redis *self, ez_call *call, Ez__V1__GetSyncRequest *request) {
    return ez_handle_sync_get(self, call, request);
}

// ---- Asking

static ez_status ask(ez_redis *r, ez_call *call, ez_txn *txn, bool for_rebuild) {
    if (!r->is_on)
        return ez_call_fail(call, EZ_FAILED_PRECONDITION, "REDIS_OFF",
                            "this server writes to no Redis: start it with EZ_REDIS_URL");
    Ez__V1__RedisSync sync = EZ__V1__REDIS_SYNC__INIT;
    Ez__V1__Setting fresh = EZ__V1__SETTING__INIT, *setting = &fresh;
    fresh.name = (char *)SETTING_SYNC;
    const ez_entry *entry = ez_txn_find(txn, EZ_INDEX_SETTING_NAME, ez_index_text(SETTING_SYNC));
    if (entry) {
        ez_status status =
            ez_txn_load(txn, KIND_SETTING, ez_entry_id(entry), (ProtobufCMessage **)&setting, &call->error);
        if (status != EZ_OK)
            return status;
    }
    if (setting->redis_sync)
        sync = *setting->redis_sync;
    sync.rebuilds += for_rebuild;
    sync.retries += !for_rebuild;
    setting->redis_sync = &sync;
    ez_status status = ez_txn_put(txn, KIND_SETTING, &setting->base, &call->error);
    return status == EZ_OK ? reply_status(r, call) : status;
}

ez_status ez_handle_sync_retry(ez_redis *self, ez_call *call, ez_txn *txn, Ez__V1__RetrySyncRequest *request) {
    (void)request;
    return ask(self, call, txn, false);
}

ez_status ez_handle_sync_rebuild(ez_redis *self, ez_call *call, ez_txn *txn, Ez__V1__RebuildSyncRequest *request) {
    (void)request;
    return ask(self, call, txn, true);
}

// ---- Metrics

static void put_metric(ez_buf *out, const char *name, const char *type, const char *help, int64_t value) {
    ez_buf_printf(out, "# HELP ezplane_redis_%s %s\n# TYPE ezplane_redis_%s %s\nezplane_redis_%s %" PRId64 "\n", name,
                  help, name, type, name, value);
}

void ez_redis_write_metrics(ez_redis *r, ez_buf *out) {
    ez_view *view = r && r->is_on ? malloc(sizeof *view) : NULL;
    if (!view)
        return;
    read_view(r, view);
    int64_t oldest = oldest_of(r, view), now = ez_clock_wall_ns();
    put_metric(out, "up", "gauge", "Whether Redis answers.", view->is_answering);
    put_metric(out, "depth", "gauge", "Revisions and resources that Redis does not have yet.", depth_of(r, view));
    put_metric(out, "lag_seconds", "gauge", "Age of the oldest of them.",
               oldest > 0 && now > oldest ? (now - oldest) / INT64_C(1000000000) : 0);
    put_metric(out, "parked", "gauge", "Resources that are not tried again.", (int64_t)view->parked);
    put_metric(out, "refresh_waiting", "gauge", "Requests in the refresh queue; -1: not known.", view->refresh_waiting);
    put_metric(out, "batches_total", "counter", "Batches written by this server.", (int64_t)r->batches);
    put_metric(out, "resources_total", "counter", "Resources written by this server.", (int64_t)r->written);
    put_metric(out, "refused_total", "counter", "Resources that Redis would not take.", (int64_t)r->refused);
    put_metric(out, "parked_total", "counter", "Resources that were parked.", (int64_t)r->parked_total);
    put_metric(out, "failures_total", "counter", "Connections or batches that failed.", (int64_t)r->failures);
    put_metric(out, "rebuilds_total", "counter", "Times Redis was written anew.", (int64_t)r->rebuilds);
    free(view);
    ez_refresher_numbers numbers = {0};
    if (!r->refresher)
        return;
    ez_refresher_count(r->refresher, &numbers);
    put_metric(out, "refresh_taken_total", "counter", "Refresh requests that were handed on.", (int64_t)numbers.taken);
    put_metric(out, "refresh_dead_total", "counter", "Entries of the refresh queue that were no request.",
               (int64_t)numbers.dead);
    put_metric(out, "refresh_retried_total", "counter", "Refresh requests that nobody could take yet.",
               (int64_t)numbers.retried);
}
