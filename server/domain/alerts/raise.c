// SPDX-License-Identifier: Apache-2.0
//
// Troubles that this server sees itself. A raise is a call of the server's own, copied whole, that goes to the appender
// like a data plane's report. One that the store did not take waits in a short list and is submitted again each second:
// its mark, made here, makes it count once even where a COMMIT's answer was lost.
#include <stdlib.h>
#include <string.h>

#include "proto/crypto/random.h"
#include "proto/runtime/log.h"
#include "server/domain/alerts/inside.h"
#include "server/state/directory/writer.h"

#define AGAIN_MAX 256 // raises and clears that wait for the store to come back

struct ez_raise {
    ez_append append; // first: done gets its address
    ez_alerts *self;
    ez_mark mark;
    ez_alert_op *ops;
    size_t count;
    ez_raise *next; // of those to be tried again
};

static void destroy(ez_raise *raise) {
    ez_call_destroy_system(raise->append.call);
    free(raise);
}

static void drop(ez_raise *raise, const char *why) {
    atomic_fetch_add(&raise->self->dropped, 1);
    ez_log_warn("an alert of this server was given up", "who", raise->append.call->principal.actor, "reason", why);
    destroy(raise);
}

static ez_status run(void *user, ez_call *call, void *scene, ProtobufCMessage *request) {
    (void)user, (void)call, (void)request;
    ez_append *append = scene;
    ez_raise *raise = (ez_raise *)append;
    append->mark = raise->mark;
    append->alerts = raise->ops;
    append->row_count = raise->count;
    return EZ_OK;
}

static ez_status committed(void *user, ez_append *append) {
    for (size_t i = 0; i < append->row_count; i++)
        ez_alerts_tell(user, &append->alerts[i], &append->call->arena);
    return EZ_OK;
}

// False where too many wait already.
static bool keep_for_later(ez_raise *raise) {
    ez_alerts *self = raise->self;
    pthread_mutex_lock(&self->lock);
    bool has_room = self->again_count < AGAIN_MAX;
    if (has_room) {
        raise->next = NULL;
        *self->last = raise;
        self->last = &raise->next;
        self->again_count++;
    }
    pthread_mutex_unlock(&self->lock);
    return has_room;
}

static void done(ez_append *append) {
    ez_raise *raise = (ez_raise *)append;
    const char *reason = append->call->error.reason;
    if (append->status == EZ_OK)
        destroy(raise);
    else if (append->status != EZ_UNAVAILABLE || !keep_for_later(raise))
        drop(raise, reason);
}

static ez_status submit(ez_raise *raise, ez_error *error) {
    raise->append =
        (ez_append){.call = raise->append.call, .run = run, .self = raise->self, .done = done, .committed = committed};
    ez_error_clear(&raise->append.call->error);
    return ez_appender_submit(raise->self->appender, &raise->append, error);
}

void ez_raises_try_again(ez_alerts *self) {
    pthread_mutex_lock(&self->lock);
    ez_raise *raise = self->again;
    self->again = NULL;
    self->last = &self->again;
    self->again_count = 0;
    pthread_mutex_unlock(&self->lock);
    while (raise) {
        ez_raise *next = raise->next;
        ez_error error = EZ_ERROR_INIT;
        if (submit(raise, &error) != EZ_OK && !keep_for_later(raise))
            drop(raise, error.reason);
        raise = next;
    }
}

void ez_raises_destroy(ez_alerts *self) {
    while (self->again) {
        ez_raise *raise = self->again;
        self->again = raise->next;
        drop(raise, "STOPPING");
    }
}

// A raise with room for count ops. NULL: no memory.
static ez_raise *create(ez_alerts *self, size_t count, const char *by) {
    ez_raise *raise = calloc(1, sizeof *raise);
    if (!raise)
        return NULL;
    raise->self = self;
    raise->mark = (ez_mark){.sequence = 1, .is_key = true};
    if (ez_call_create_system(by, &raise->append.call) != EZ_OK) {
        free(raise);
        return NULL;
    }
    raise->ops = ez_arena_zalloc(&raise->append.call->arena, (count + 1) * sizeof *raise->ops);
    bool is_marked = ez_random(&raise->mark.epoch, sizeof raise->mark.epoch) == EZ_OK && raise->mark.epoch;
    if (!raise->ops || !is_marked) {
        destroy(raise);
        return NULL;
    }
    return raise;
}

// Takes a raise that was filled, or could not be.
static bool send(ez_alerts *self, ez_raise *raise, bool is_filled) {
    ez_error error = EZ_ERROR_INIT;
    if (raise && is_filled) {
        if (submit(raise, &error) == EZ_OK)
            return true;
        drop(raise, error.reason);
        return false;
    }
    if (raise) {
        drop(raise, "NO_MEMORY");
        return false;
    }
    atomic_fetch_add(&self->dropped, 1);
    ez_log_warn("an alert of this server was given up: there is no memory");
    return false;
}

bool ez_alerts_raise(ez_alerts *alerts, const ez_alert_report *reports, size_t count, const char *by) {
    if (count > EZ_ALERTS_AT_ONCE)
        count = EZ_ALERTS_AT_ONCE;
    if (count == 0)
        return true;
    ez_raise *raise = create(alerts, count, by);
    bool is_filled = raise != NULL;
    for (size_t i = 0; is_filled && i < count; i++) {
        ez_call *call = raise->append.call;
        is_filled = ez_alert_op_fill(alerts, &reports[i], &call->arena, &raise->ops[i], &call->error) == EZ_OK;
    }
    if (is_filled)
        raise->count = count;
    return send(alerts, raise, is_filled);
}

static bool fill_clear(ez_raise *raise, const ez_alert_subject *subject, const char *by, ez_alert_op *op) {
    ez_arena *arena = &raise->append.call->arena;
    *op = (ez_alert_op){.act = EZ_ALERT_CLEAR, .request = "{}"};
    op->row.fingerprint = ez_alert_fingerprint(subject, NULL, arena);
    op->by = ez_arena_strdup(arena, by);
    return op->row.fingerprint && op->by;
}

bool ez_alerts_clear(ez_alerts *alerts, const ez_alert_subject *subjects, size_t count, const char *by) {
    if (count > EZ_ALERTS_AT_ONCE)
        count = EZ_ALERTS_AT_ONCE;
    if (count == 0)
        return true;
    ez_raise *raise = create(alerts, count, by);
    bool is_filled = raise != NULL;
    for (size_t i = 0; is_filled && i < count; i++)
        is_filled = fill_clear(raise, &subjects[i], by, &raise->ops[i]);
    if (is_filled)
        raise->count = count;
    return send(alerts, raise, is_filled);
}
