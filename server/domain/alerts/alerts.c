// SPDX-License-Identifier: Apache-2.0
//
// The object behind the service Alerts, and forgetting. It keeps nothing of any alert: all of it is in the store.
#include "server/domain/alerts/alerts.h"

#include <stdlib.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/domain/alerts/inside.h"

#define TRIM_MS   10000 // between looks for what is to be forgotten: other servers may have met the bound
#define TRIM_ROWS 500
#define DAY_NS    (86400 * INT64_C(1000000000))

static void trim(ez_alerts *self) {
    uint64_t fence, now_ms = ez_clock_mono_ms();
    if ((!self->is_trimming && now_ms < self->trim_ms) || !ez_holder_may(&self->options.holder, &fence))
        return;
    ez_alert_limits limits = {.max_alerts = self->options.max_records};
    if (self->options.retention_days > 0)
        limits.before_ns = ez_clock_wall_ns() - self->options.retention_days * DAY_NS;
    ez_error error = EZ_ERROR_INIT;
    self->is_trimming = false;
    self->trim_ms = now_ms + TRIM_MS;
    if (ez_store_trim_alerts(self->options.store, fence, &limits, TRIM_ROWS, &self->is_trimming, &error) != EZ_OK)
        ez_log_warn("old alerts were not forgotten", "error", error.message);
}

void ez_alerts_trim_soon(ez_alerts *self) {
    self->trim_ms = 0;
}

// Those that found no room are tried again behind the trimming.
static void do_chore(void *user, bool *more) {
    ez_alerts *self = user;
    trim(self);
    ez_raises_try_again(self);
    *more = self->is_trimming;
}

ez_status ez_alerts_create(const ez_alerts_options *options, ez_alerts **out, ez_error *error) {
    ez_alerts *self = calloc(1, sizeof *self);
    if (!self)
        return ez_no_memory(error);
    self->options = *options;
    pthread_mutex_init(&self->lock, NULL);
    ez_appender_options appender = {
        .store = options->store,
        .stream = EZ_STREAM_ALERTS,
        .queue = options->queue,
        .alert_rules = {.cooldown_ns = COOLDOWN_NS, .max_alerts = options->max_records},
        .chore = do_chore,
        .chore_user = self,
    };
    ez_status status = ez_appender_create(&appender, &self->appender, error);
    if (status != EZ_OK) {
        pthread_mutex_destroy(&self->lock);
        free(self);
        return status;
    }
    *out = self;
    return EZ_OK;
}

void ez_alerts_stop(ez_alerts *alerts) {
    if (!alerts)
        return;
    atomic_store(&alerts->is_stopping, true);
    ez_appender_stop(alerts->appender);
}

void ez_alerts_destroy(ez_alerts *alerts) {
    if (!alerts)
        return;
    ez_alerts_stop(alerts);
    ez_appender_destroy(alerts->appender);
    ez_raises_destroy(alerts);
    pthread_mutex_destroy(&alerts->lock);
    free(alerts);
}

ez_appender *ez_alerts_appender(ez_alerts *alerts) {
    return alerts->appender;
}

uint64_t ez_alerts_dropped(const ez_alerts *alerts) {
    return atomic_load(&alerts->dropped);
}
