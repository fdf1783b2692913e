// SPDX-License-Identifier: Apache-2.0
//
// ez_alert_reteller: has the notifier hear of alerts that are still open, for receivers that forget: each ten minutes,
// and soon after this server has come to hold the lease, because what another one had to tell may have died with it.
// All of them, up to EZ_RETELL_MAX, a page at a time and as channels take them, so that news are not crowded out. A
// receiver believes in an alert for some rounds (EZ_NOTIFY_OPEN_S), so one that is left out ends there.
//
// Threads. Tick: the timer's. The pages are read on the store's readers.
#pragma once

#include "server/domain/alerts/notify.h"
#include "server/state/store/alerts.h"
#include "server/state/store/fence.h"

#define EZ_RETELL_EVERY_MS 600000u
#define EZ_RETELL_FIRST_MS 10000u // after the lease came here
#define EZ_RETELL_MAX      50000  // alerts of a round: some minutes of it

typedef struct ez_alert_reteller ez_alert_reteller;

// All must outlive it. holder: who tells.
ez_status ez_alert_reteller_create(ez_store *store, ez_alert_notifier *notifier, ez_holder holder,
                                   ez_alert_reteller **out, ez_error *error) EZ_MUST_CHECK;
// After the store's readers have ended. NULL is fine.
void ez_alert_reteller_destroy(ez_alert_reteller *reteller);

// Some times a second, on the thread of the notifier's tick. now_ms: monotonic.
void ez_alert_reteller_tick(ez_alert_reteller *reteller, uint64_t now_ms);
