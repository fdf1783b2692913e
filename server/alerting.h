// SPDX-License-Identifier: Apache-2.0
//
// ez_alerting: alerts and everything around them in one server, tied together: who notices trouble (the detector, data
// planes, Redis), the alerts themselves, and who is told of them. For serve.c.
#pragma once

#include <stdatomic.h>

#include "server/core.h"
#include "server/domain/alerts/alerts.h"
#include "server/domain/alerts/detector.h"
#include "server/domain/alerts/notify.h"
#include "server/domain/alerts/retell.h"
#include "server/domain/oauth/oauth.h"
#include "server/jobs/alert_sources.h"
#include "server/jobs/auto_bans.h"

typedef struct ez_alerting {
    ez_alerts *alerts;
    ez_alert_notifier *notifier;
    ez_alert_reteller *reteller;
    ez_alert_sources *sources;
    ez_auto_bans *auto_bans;
    ez_detector *detector;
    _Atomic(ez_oauth *) oauth; // the caller's, who puts it here once it is made; NULL: it is told of no alert
    ez_fleet *fleet; // the caller's, who puts it here before the timer starts; NULL: no data plane is looked at again
} ez_alerting;

// What it names must outlive the object.
typedef struct ez_alerting_options {
    const ez_core *core;
    ez_routing *routing;
    ez_publish *events;
    ez_outbound *outbound;
    ez_deliverer *deliverer;
    const char *server_id;
} ez_alerting_options;

// On an error what was made is there to be destroyed.
ez_status ez_alerting_open(ez_alerting *alerting, const ez_alerting_options *options, const ez_settings *settings,
                           ez_error *error) EZ_MUST_CHECK;
// From the timer, four times a second.
void ez_alerting_tick(void *user);
// For /metrics; user: the ez_alerting. Any thread.
void ez_alerting_write_metrics(void *user, ez_buf *out);
// In this order, each also where opening had failed: calls that are held are answered; what was raised is written, and
// sent for as long as the deliverer takes it; the rest, when the store's readers and the writer have ended.
void ez_alerting_stop_calls(ez_alerting *alerting);
void ez_alerting_stop(ez_alerting *alerting);
void ez_alerting_destroy(ez_alerting *alerting);
