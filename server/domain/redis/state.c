// SPDX-License-Identifier: Apache-2.0
//
// What outlives the thread: the cursor and the due rows in the store, and what is shown. The cursor is written about
// once a second, not at each batch: a server that ends in between writes a second's changes again, which does no harm,
// and configuration never waits for it. Where the store can't be reached, following goes on.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/domain/redis/inside.h"

#define SAVE_MS     1000
#define SLICE       200 // revisions
#define SETTING_MAX (4u << 20)

static void copy_text(char *out, size_t size, const char *text) {
    snprintf(out, size, "%.*s", (int)size - 1, text ? text : "");
}

void ez_state_note_error(ez_redis *r, const ez_error *error) {
    char text[EZ_SYNC_ERROR_MAX];
    copy_text(text, sizeof text, error->message);
    r->error_ns = ez_clock_wall_ns();
    if (strcmp(r->error, text) == 0 && r->failures_in_a_row > 1)
        return; // the store is not told each time while Redis is away
    ez_log_warn("Redis", "why", error->message, "reason", error->reason);
    copy_text(r->error, sizeof r->error, text);
    r->is_persist_due = true;
}

// ---- What admins asked for

void ez_state_asked(const ez_redis *r, uint64_t *rebuilds, uint64_t *retries) {
    ez_arena arena;
    ez_arena_init(&arena, SETTING_MAX);
    *rebuilds = *retries = 0;
    ez_directory_enter();
    const ez_entry *entry = ez_directory_find(r->options.directory, EZ_INDEX_SETTING_NAME, ez_index_text(SETTING_SYNC));
    const Ez__V1__Setting *setting = entry ? (const Ez__V1__Setting *)ez_entry_unpack(entry, &arena) : NULL;
    if (setting && setting->redis_sync) {
        *rebuilds = setting->redis_sync->rebuilds;
        *retries = setting->redis_sync->retries;
    }
    ez_directory_leave();
    ez_arena_fini(&arena);
}

void ez_state_look_asked(ez_redis *r) {
    uint64_t rebuilds, retries;
    ez_state_asked(r, &rebuilds, &retries);
    if (retries > r->retries_done) {
        size_t count = ez_unsent_unpark(&r->due, ez_clock_wall_ns());
        ez_log_info("parked resources are tried again", "count", EZ_LOG_INT(count));
        r->retries_done = retries;
        r->is_persist_due = true;
    }
    if (rebuilds > r->rebuilds_done)
        ez_rebuild_ask(r, "an admin asked for it", true);
}

// ---- The store's copy

typedef struct first_change {
    ez_redis *r;
    int64_t time_ns; // of the first change Redis does not have; 0: there is none
} first_change;

// Changes between the cursor and the head of kinds that the ring does not hold.
static ez_status take_missed(void *user, const ez_store_change *change, ez_error *error) {
    (void)error;
    first_change *first = user;
    if (first->time_ns == 0)
        first->time_ns = change->time_ns;
    ez_extras_take(first->r, change, 1);
    return EZ_OK;
}

static ez_status take_up(ez_redis *r, const ez_sync_state *state, ez_error *error) {
    ez_revision head = ez_feed_head(r->options.feed);
    r->is_whole = state->epoch == head.epoch && state->n <= head.n;
    r->done_n = r->is_whole ? state->n : 0;
    r->at = (ez_feed_cursor){.n = r->is_whole ? state->n : head.n};
    if (!r->is_whole) {
        ez_rebuild_ask(r, state->epoch == 0 ? "it was never made whole" : "its cursor is of another store", false);
        return EZ_OK;
    }
    if (state->n < ez_feed_oldest(r->options.feed))
        return EZ_OK; // ez_follow finds out
    first_change first = {.r = r};
    ez_store_head stored;
    // The store's own: a change is told to ez_extras_take before the feed's head is moved, so one that was told before
    // the extras were forgotten may lie behind it.
    ez_status status = ez_store_read_head(r->options.store, &stored, error);
    // A few at a time: the store is not held up for long.
    for (uint64_t n = state->n; status == EZ_OK && n < stored.n; n += SLICE) {
        uint64_t until = stored.n - n > SLICE ? n + SLICE : stored.n;
        status = ez_store_each_change(r->options.store, n, until, 0, take_missed, &first, error);
    }
    r->behind_since_ns = first.time_ns;
    return status;
}

ez_status ez_state_load(ez_redis *r, ez_error *error) {
    ez_sync_state state;
    ez_status status = ez_store_read_sync(r->options.store, &state, error);
    if (status == EZ_OK)
        status = ez_unsent_load(&r->due, r->options.store, error);
    if (status != EZ_OK)
        return status;
    r->rebuilds_done = state.rebuilds;
    r->retries_done = state.retries;
    r->rebuilt_ns = state.rebuilt_ns;
    r->error_ns = state.error_ns;
    copy_text(r->error, sizeof r->error, state.error);
    r->rebuild = (ez_rebuild){.phase = EZ_PHASE_NONE};
    r->batch_no = 0; // others may have written since
    ez_batch_reset(&r->batch);
    ez_extras_forget(&r->extras);
    status = take_up(r, &state, error);
    if (status == EZ_OK)
        ez_state_look_asked(r);
    r->is_persist_due = true;
    return status;
}

static const char *word_of(const ez_view *view, uint64_t head) {
    if (!view->is_answering)
        return "away";
    bool is_through = view->epoch != 0 && view->n >= head && !view->is_rebuilding && view->due == 0;
    return is_through ? "ok" : "behind";
}

static void fill_state(const ez_redis *r, ez_sync_state *out) {
    ez_revision head = ez_feed_head(r->options.feed);
    // A server that ends in the middle of a rebuild leaves one that is not whole, whatever Redis says of itself.
    bool is_whole = r->is_whole && r->rebuild.phase == EZ_PHASE_NONE;
    *out = (ez_sync_state){.epoch = is_whole ? head.epoch : 0,
                           .n = r->done_n,
                           .fence = r->token,
                           .rebuilds = r->rebuilds_done,
                           .retries = r->retries_done,
                           .rebuilt_ns = r->rebuilt_ns,
                           .error_ns = r->error_ns,
                           .updated_ns = ez_clock_wall_ns()};
    bool is_through = r->due.count == 0 && is_whole;
    copy_text(out->state, sizeof out->state, !r->is_answering ? "away" : is_through ? "ok" : "behind");
    copy_text(out->server, sizeof out->server, r->options.server_id);
    copy_text(out->error, sizeof out->error, r->error);
}

ez_status ez_state_save(ez_redis *r, bool now, ez_error *error) {
    uint64_t clock = ez_clock_mono_ms();
    if (!r->is_persist_due || (!now && clock < r->persist_ms))
        return EZ_OK;
    r->persist_ms = clock + SAVE_MS;
    ez_sync_state state;
    fill_state(r, &state);
    ez_sync_write write = {.state = &state};
    ez_status status = ez_unsent_fill(&r->due, &write);
    if (status != EZ_OK)
        return ez_error_set(error, status, "NO_MEMORY", "no memory to note how far Redis is");
    status = ez_store_write_sync(r->options.store, &write, error);
    free((void *)(uintptr_t)write.puts);
    free((void *)(uintptr_t)write.deletes);
    if (status != EZ_OK)
        return status;
    ez_unsent_written(&r->due);
    r->is_persist_due = false;
    return EZ_OK;
}

// ---- What is shown

static void put_view(ez_redis *r, ez_view *view) {
    pthread_mutex_lock(&r->view_lock);
    r->view = *view;
    pthread_mutex_unlock(&r->view_lock);
}

static void show_row(ez_view *view, const ez_view_row *row) {
    if (view->row_count < EZ_VIEW_ROWS)
        view->rows[view->row_count++] = *row;
}

static void show_rows(const ez_unsent *due, bool is_parked, ez_view *view) {
    for (size_t i = 0; i < due->count; i++) {
        const ez_unsent_row *from = due->rows[i];
        if (from->is_parked != is_parked)
            continue;
        ez_view_row row = {.unit = from->unit,
                           .n = from->n,
                           .tries = from->tries,
                           .is_parked = from->is_parked,
                           .since_ns = from->since_ns,
                           .next_ns = from->next_ns};
        copy_text(row.error, sizeof row.error, from->error);
        show_row(view, &row);
    }
}

void ez_state_show(ez_redis *r) {
    ez_revision head = ez_feed_head(r->options.feed);
    bool is_behind = !r->is_whole || r->done_n < head.n;
    if (!is_behind)
        r->behind_since_ns = 0;
    else if (r->behind_since_ns == 0)
        r->behind_since_ns = ez_clock_wall_ns();
    ez_view view = {.is_writer = true,
                    .is_answering = r->is_answering,
                    .is_rebuilding = r->rebuild.phase != EZ_PHASE_NONE,
                    .epoch = r->is_whole ? head.epoch : 0,
                    .n = r->done_n,
                    .behind_since_ns = r->behind_since_ns,
                    .due = r->due.count,
                    .parked = ez_unsent_parked(&r->due),
                    .oldest_ns = ez_unsent_oldest_ns(&r->due),
                    .rebuilt_ns = r->rebuilt_ns,
                    .error_ns = r->error_ns,
                    .refresh_waiting = r->refresh_waiting,
                    .as_of_ns = ez_clock_wall_ns()};
    copy_text(view.server, sizeof view.server, r->options.server_id);
    copy_text(view.error, sizeof view.error, r->error);
    copy_text(view.word, sizeof view.word, word_of(&view, head.n));
    show_rows(&r->due, true, &view);
    show_rows(&r->due, false, &view);
    put_view(r, &view);
}

static ez_status show_stored(void *user, const ez_sync_due *due, ez_error *error) {
    (void)error;
    ez_view *view = user;
    view->due++;
    view->parked += due->is_parked;
    if (view->oldest_ns == 0 || due->since_ns < view->oldest_ns)
        view->oldest_ns = due->since_ns;
    ez_view_row row = {.unit = {due->kind, due->id},
                       .n = due->n,
                       .tries = due->tries,
                       .is_parked = due->is_parked,
                       .since_ns = due->since_ns,
                       .next_ns = due->next_ns};
    copy_text(row.error, sizeof row.error, due->error);
    show_row(view, &row);
    return EZ_OK;
}

void ez_state_show_others(ez_redis *r) {
    ez_sync_state state;
    ez_error error = EZ_ERROR_INIT;
    ez_view view = {.is_writer = false, .refresh_waiting = -1, .as_of_ns = ez_clock_wall_ns()};
    if (ez_store_read_sync(r->options.store, &state, &error) != EZ_OK ||
        ez_store_each_sync_due(r->options.store, show_stored, &view, &error) != EZ_OK)
        return; // what was shown before says when it was true
    ez_revision head = ez_feed_head(r->options.feed);
    view.is_answering = strcmp(state.state, "away") != 0 && state.state[0];
    view.epoch = state.epoch == head.epoch ? state.epoch : 0;
    view.n = state.n;
    bool is_behind = view.epoch == 0 || view.n < head.n;
    pthread_mutex_lock(&r->view_lock);
    view.behind_since_ns = !is_behind ? 0 : r->view.behind_since_ns ? r->view.behind_since_ns : view.as_of_ns;
    pthread_mutex_unlock(&r->view_lock);
    view.rebuilt_ns = state.rebuilt_ns;
    view.error_ns = state.error_ns;
    view.is_rebuilding = strcmp(state.state, "behind") == 0 && view.epoch == 0;
    copy_text(view.server, sizeof view.server, state.server);
    copy_text(view.error, sizeof view.error, state.error);
    copy_text(view.word, sizeof view.word, word_of(&view, head.n));
    put_view(r, &view);
}
