// SPDX-License-Identifier: Apache-2.0
//
// ez_auto_bans: takes API keys that the detector condemned out of service for a while. One change at a time, made by
// the writer like any other, under the lease. Who is condemned while one is out is not kept: the next round finds it
// again.
#pragma once

#include "server/domain/alerts/detector.h"
#include "server/domain/routing/routing.h"

typedef struct ez_auto_bans ez_auto_bans;

typedef struct ez_auto_bans_options {
    ez_writer *writer; // all must outlive the object
    ez_routing *routing;
    ez_holder holder; // only while it says so
    int64_t seconds;  // how long a ban lasts; 0: nothing is banned
    // Told of each that was banned, on the writer's thread; as ez_alerts_raise. NULL: nobody is told.
    bool (*raise)(void *user, const ez_alert_report *reports, size_t count, const char *by);
    void *raise_user;
} ez_auto_bans_options;

ez_status ez_auto_bans_create(const ez_auto_bans_options *options, ez_auto_bans **out, ez_error *error) EZ_MUST_CHECK;
// After the writer ended: nothing of this job may be out with it.
void ez_auto_bans_destroy(ez_auto_bans *bans);

// For the detector's condemned; user: the ez_auto_bans. Never waits.
void ez_auto_bans_condemn(void *user, const ez_condemned *api_keys, size_t count);
