// SPDX-License-Identifier: Apache-2.0
//
// A ring: the oldest gives its place to a new one.
#include "server/domain/alerts/notify_told.h"

static struct ez_notify_told_alert *find(const ez_notify_told *told, int64_t alert_id) {
    for (size_t i = 0; alert_id != 0 && i < EZ_NOTIFY_TOLD_MAX; i++)
        if (told->alerts[i].id == alert_id)
            return (struct ez_notify_told_alert *)&told->alerts[i];
    return NULL;
}

uint32_t ez_notify_told_get(const ez_notify_told *told, int64_t alert_id) {
    const struct ez_notify_told_alert *found = find(told, alert_id);
    return found ? found->severities : 0;
}

void ez_notify_told_put(ez_notify_told *told, int64_t alert_id, uint32_t severities) {
    struct ez_notify_told_alert *place = find(told, alert_id);
    if (!place && severities != 0) {
        place = &told->alerts[told->next];
        told->next = (told->next + 1) % EZ_NOTIFY_TOLD_MAX;
    }
    if (place) {
        place->id = severities != 0 ? alert_id : 0;
        place->severities = severities;
    }
}
