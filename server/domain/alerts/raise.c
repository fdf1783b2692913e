// SPDX-License-Identifier: Apache-2.0
//
// Troubles that this server sees itself. A raise is a call of the server's own, copied whole, that goes to the appender
// like a data plane's report. One that the store did not take waits in a short list and is submitted again each second:
// its mark, made here, makes it count once even where a COMMIT's answer was lost.
//
// Awkward: a clear must not overtake its raise. So raises are numbered when they are handed over, the list is in that
// order, and as long as somebody waits there whatever came later goes there too, even where it is in the appender's
// queue already. Where the table of alerts is full, those that found no room are tried once more if nothing came after
// them, for the next chore forgets closed ones.
#include <stdlib.h>
#include <string.h>

#include "proto/crypto/random.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/domain/alerts/inside.h"
#include "server/state/directory/writer.h"

#define AGAIN_MAX 256   // raises and clears that wait for the store to come back
#define QUIET_MS  10000 // without a loss: the next one is logged again

struct ez_raise {
    ez_append append; // first: done gets its address
    ez_alerts *self;
    uint64_t order;
    ez_mark mark;
    ez_alert_op *ops;
    size_t count;
    bool met_full;  // and is tried for the last time
    ez_raise *next; // of those to be tried again
};

static void destroy(ez_raise *raise) {
    atomic_fetch_sub(&raise->self->on_way, 1);
    ez_call_destroy_system(raise->append.call);
    free(raise);
}

// The first loss of many says why; the number of all is among the metrics.
static void count_dropped(ez_alerts *self, const char *who, const char *why) {
    atomic_fetch_add(&self->dropped, 1);
    if (!atomic_exchange(&self->is_dropping, true))
        ez_log_warn("alerts of this server are given up", "who", who, "reason", why);
}

static void drop(ez_raise *raise, const char *why) {
    count_dropped(raise->self, raise->append.call->principal.actor, why);
    destroy(raise);
}

static bool make_mark(ez_raise *raise) {
    raise->mark = (ez_mark){.sequence = 1, .is_key = true};
    return ez_random(&raise->mark.epoch, sizeof raise->mark.epoch) == EZ_OK && raise->mark.epoch;
}

// Where the server stops, those that wait are lost, and nobody waits for them.
static bool is_behind(ez_raise *raise) {
    ez_alerts *self = raise->self;
    pthread_mutex_lock(&self->lock);
    bool is = self->again && self->again->order < raise->order && !atomic_load(&self->is_stopping);
    pthread_mutex_unlock(&self->lock);
    return is;
}

static ez_status run(void *user, ez_call *call, void *scene, ProtobufCMessage *request) {
    (void)user, (void)request;
    ez_append *append = scene;
    ez_raise *raise = (ez_raise *)append;
    if (is_behind(raise))
        return ez_call_fail(call, EZ_UNAVAILABLE, "BEHIND", "what came before it waits for the store");
    append->mark = raise->mark;
    append->alerts = raise->ops;
    append->row_count = raise->count;
    append->takes_some = true;
    return EZ_OK;
}

// Leaves those that found no room.
static ez_status committed(void *user, ez_append *append) {
    ez_alerts *self = user;
    ez_raise *raise = (ez_raise *)append;
    raise->count = 0;
    for (size_t i = 0; i < append->row_count; i++) {
        if (append->alerts[i].outcome == EZ_ALERT_FULL)
            raise->ops[raise->count++] = append->alerts[i];
        else
            ez_alerts_tell(self, &append->alerts[i], &append->call->arena);
    }
    if (raise->count)
        ez_alerts_trim_soon(self);
    return EZ_OK;
}

// Under the lock. False where too many wait already.
static bool keep(ez_alerts *self, ez_raise *raise) {
    if (self->again_count >= AGAIN_MAX)
        return false;
    ez_raise **at = &self->again;
    while (*at && (*at)->order < raise->order)
        at = &(*at)->next;
    raise->next = *at;
    *at = raise;
    self->again_count++;
    return true;
}

static bool keep_for_later(ez_raise *raise) {
    ez_alerts *self = raise->self;
    pthread_mutex_lock(&self->lock);
    bool has_room = keep(self, raise);
    pthread_mutex_unlock(&self->lock);
    return has_room;
}

// Not where something came after it: that may be its clear, and is done by now.
static bool is_newest(ez_raise *raise) {
    ez_alerts *self = raise->self;
    pthread_mutex_lock(&self->lock);
    bool is = self->last_order == raise->order;
    pthread_mutex_unlock(&self->lock);
    return is;
}

static void try_full_again(ez_raise *raise) {
    bool is_last = raise->met_full || !is_newest(raise);
    raise->met_full = true;
    if (is_last || !make_mark(raise) || !keep_for_later(raise))
        drop(raise, "ALERTS_FULL");
}

static void done(ez_append *append) {
    ez_raise *raise = (ez_raise *)append;
    const char *reason = append->call->error.reason;
    if (append->status == EZ_OK && raise->count)
        try_full_again(raise);
    else if (append->status == EZ_OK)
        destroy(raise);
    else if (append->status == EZ_INVALID_ARGUMENT || !keep_for_later(raise))
        drop(raise, reason);
}

static ez_status submit(ez_raise *raise, ez_error *error) {
    raise->append =
        (ez_append){.call = raise->append.call, .run = run, .self = raise->self, .done = done, .committed = committed};
    ez_error_clear(&raise->append.call->error);
    return ez_appender_submit(raise->self->appender, &raise->append, error);
}

static void end_episode(ez_alerts *self) {
    uint64_t dropped = atomic_load(&self->dropped), now_ms = ez_clock_mono_ms();
    if (dropped != self->dropped_then) {
        self->dropped_then = dropped;
        self->quiet_ms = now_ms + QUIET_MS;
    } else if (now_ms >= self->quiet_ms) {
        atomic_store(&self->is_dropping, false);
    }
}

// What the queue has no room for stays first in the list.
void ez_raises_try_again(ez_alerts *self) {
    end_episode(self);
    pthread_mutex_lock(&self->lock);
    while (self->again) {
        ez_raise *raise = self->again, *next = raise->next;
        ez_error error = EZ_ERROR_INIT;
        if (submit(raise, &error) != EZ_OK)
            break;
        self->again = next;
        self->again_count--;
    }
    pthread_mutex_unlock(&self->lock);
}

void ez_raises_destroy(ez_alerts *self) {
    while (self->again) {
        ez_raise *raise = self->again;
        self->again = raise->next;
        drop(raise, "STOPPING");
    }
}

// Half of the places, and of the queue: the other half is for those who can't wait.
bool ez_alerts_has_room(const ez_alerts *alerts) {
    size_t most = alerts->options.queue < AGAIN_MAX ? alerts->options.queue : AGAIN_MAX;
    return atomic_load(&alerts->on_way) < (most + 1) / 2;
}

// A raise with room for count ops. NULL: no memory.
static ez_raise *create(ez_alerts *self, size_t count, const char *by) {
    ez_raise *raise = calloc(1, sizeof *raise);
    if (!raise)
        return NULL;
    raise->self = self;
    if (ez_call_create_system(by, &raise->append.call) != EZ_OK) {
        free(raise);
        return NULL;
    }
    atomic_fetch_add(&self->on_way, 1);
    raise->ops = ez_arena_zalloc(&raise->append.call->arena, (count + 1) * sizeof *raise->ops);
    if (!raise->ops || !make_mark(raise)) {
        destroy(raise);
        return NULL;
    }
    return raise;
}

// Behind those that wait for the store, where there are any.
static ez_status hand_over(ez_alerts *self, ez_raise *raise, ez_error *error) {
    ez_status status = EZ_OK;
    pthread_mutex_lock(&self->lock);
    raise->order = ++self->last_order;
    if (!self->again || atomic_load(&self->is_stopping))
        status = submit(raise, error);
    else if (!keep(self, raise))
        status = ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "TOO_MANY_WAIT", "too many wait for the store already");
    pthread_mutex_unlock(&self->lock);
    return status;
}

// Takes a raise that was filled, or could not be.
static bool send(ez_alerts *self, ez_raise *raise, bool is_filled) {
    ez_error error = EZ_ERROR_INIT;
    if (!raise) {
        count_dropped(self, "", "NO_MEMORY");
        return false;
    }
    ez_status status = is_filled ? hand_over(self, raise, &error) : ez_no_memory(&error);
    if (status != EZ_OK)
        drop(raise, error.reason);
    return status == EZ_OK;
}

// Makes op `at` of a raise from the item at that place.
typedef bool fill_fn(ez_raise *raise, const void *items, size_t at, const char *by);

static bool send_all(ez_alerts *self, fill_fn *fill, const void *items, size_t count, const char *by) {
    if (count > EZ_ALERTS_AT_ONCE)
        count = EZ_ALERTS_AT_ONCE;
    if (count == 0)
        return true;
    ez_raise *raise = create(self, count, by);
    bool is_filled = raise != NULL;
    for (size_t i = 0; is_filled && i < count; i++)
        is_filled = fill(raise, items, i, by);
    if (is_filled)
        raise->count = count;
    return send(self, raise, is_filled);
}

static bool fill_report(ez_raise *raise, const void *items, size_t at, const char *by) {
    (void)by;
    const ez_alert_report *reports = items;
    ez_call *call = raise->append.call;
    return ez_alert_op_fill(raise->self, &reports[at], &call->arena, &raise->ops[at], &call->error) == EZ_OK;
}

bool ez_alerts_raise(ez_alerts *alerts, const ez_alert_report *reports, size_t count, const char *by) {
    return send_all(alerts, fill_report, reports, count, by);
}

static bool fill_clear(ez_raise *raise, const void *items, size_t at, const char *by) {
    const ez_alert_subject *subjects = items;
    ez_arena *arena = &raise->append.call->arena;
    ez_alert_op *op = &raise->ops[at];
    *op = (ez_alert_op){.act = EZ_ALERT_CLEAR, .request = "{}", .seen_before_ns = subjects[at].seen_before_ns};
    op->row.fingerprint = ez_alert_fingerprint(&subjects[at], NULL, arena);
    op->by = ez_arena_strdup(arena, by);
    return op->row.fingerprint && op->by;
}

bool ez_alerts_clear(ez_alerts *alerts, const ez_alert_subject *subjects, size_t count, const char *by) {
    return send_all(alerts, fill_clear, subjects, count, by);
}
