// SPDX-License-Identifier: Apache-2.0
//
// ez_alert_sources: turns what other folders notice into alerts: data planes that are lost or can't use their
// configuration, and Redis that is away or will not take a resource. Notices come on any thread, one by one and in
// floods (a network that breaks loses thousands of data planes at once); they are kept in order, bounded, and handed to
// the alerts by the timer, up to EZ_ALERTS_AT_ONCE at a time.
//
// Locking: one mutex over what waits, held for an instant.
#pragma once

#include "server/domain/alerts/alerts.h"
#include "server/domain/fleet/fleet.h"

#define EZ_ALERT_SOURCES_MAX 16384 // notices that wait; more are dropped, and the log says so

typedef struct ez_alert_sources ez_alert_sources;

typedef struct ez_alert_sources_options {
    // As ez_alerts_raise and ez_alerts_clear. NULL: nobody is told.
    bool (*raise)(void *user, const ez_alert_report *reports, size_t count, const char *by);
    bool (*clear)(void *user, const ez_alert_subject *subjects, size_t count, const char *by);
    void *alerts_user; // must outlive the object
} ez_alert_sources_options;

ez_status ez_alert_sources_create(const ez_alert_sources_options *options, ez_alert_sources **out,
                                  ez_error *error) EZ_MUST_CHECK;
// After whoever notices has ended. NULL is fine.
void ez_alert_sources_destroy(ez_alert_sources *sources);

// For the fleet's told, and for Redis's failed and healed; user: the ez_alert_sources. Never wait.
void ez_alert_sources_fleet(void *user, const ez_fleet_notice *notice);
void ez_alert_sources_redis_failed(void *user, const char *what);
void ez_alert_sources_redis_healed(void *user);

// From the timer: hands on what waits, as far as the alerts take it.
void ez_alert_sources_tick(ez_alert_sources *sources);
