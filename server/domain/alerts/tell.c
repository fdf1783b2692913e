// SPDX-License-Identifier: Apache-2.0
//
// What is told of an alert: on topic "alerts", and to the one listener of this server. Both hear of it after the commit
// and once; what a crash leaves between the two is in the store, and is not told. Nor is what was committed where the
// answer to that was lost: the repeat is known to be one, but not what it came to (a resolved alert has let go of its
// fingerprint).
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/domain/alerts/inside.h"

#define TOPIC     "alerts"
#define EVENT_MAX (64u << 10) // the texts of an alert are bounded well below

static const char *word_of(const ez_alert_op *op) {
    static const char *const statuses[EZ_ALERT_STATUSES] = {
        [EZ_ALERT_ACTIVE] = "created",
        [EZ_ALERT_ACKNOWLEDGED] = "acknowledged",
        [EZ_ALERT_RESOLVED] = "resolved",
        [EZ_ALERT_DISMISSED] = "dismissed",
    };
    if (op->news == EZ_ALERT_CREATED)
        return "created";
    if (op->news == EZ_ALERT_GONE)
        return "deleted";
    return op->news == EZ_ALERT_REPEATED ? "repeated" : statuses[op->after.status];
}

static void publish(ez_alerts *self, const Ez__V1__AlertEvent *event) {
    ez_buf packed;
    ez_buf_init(&packed, EVENT_MAX);
    ez_error error = EZ_ERROR_INIT;
    if (ez_buf_pack(&packed, &event->base) == EZ_OK) {
        ez_publish_event sent = {
            .topic = TOPIC, .time_ns = ez_clock_wall_ns(), .message = packed.data, .len = packed.len};
        if (ez_publish_send(self->options.events, &sent, &error) != EZ_OK)
            ez_log_warn("an alert was not published", "reason", error.reason);
    }
    ez_buf_fini(&packed);
}

void ez_alerts_tell(ez_alerts *self, const ez_alert_op *op, ez_arena *arena) {
    if (op->news == EZ_ALERT_NO_NEWS)
        return;
    Ez__V1__AlertEvent event = EZ__V1__ALERT_EVENT__INIT;
    event.event = (char *)word_of(op);
    event.alert = ez_alert_message(&op->after, arena);
    if (!event.alert) {
        ez_log_warn("an alert was not told: there is no memory", "id", EZ_LOG_INT(op->after.id));
        return;
    }
    if (self->options.events)
        publish(self, &event);
    if (self->options.noted)
        self->options.noted(self->options.noted_user, &event);
}
