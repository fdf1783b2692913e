// SPDX-License-Identifier: Apache-2.0
//
// ez_notify_told: under which severities a channel has been told of an alert: its end is told there too. To an
// Alertmanager severity is a label, and labels are what an alert is: one that became worse is another one, and the
// former has to be ended. The newest so many are remembered; of what is forgotten all that is less severe is ended. Not
// shared between threads.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EZ_NOTIFY_TOLD_MAX 1024 // alerts

typedef struct ez_notify_told {
    struct ez_notify_told_alert {
        int64_t id; // 0: none
        uint32_t severities;
    } alerts[EZ_NOTIFY_TOLD_MAX];
    size_t next; // the place that is used next
} ez_notify_told;

// Begins with zeros. Bits of severities; 0: none.
uint32_t ez_notify_told_get(const ez_notify_told *told, int64_t alert_id);
void ez_notify_told_put(ez_notify_told *told, int64_t alert_id, uint32_t severities); // 0: forgets it
