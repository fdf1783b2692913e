// SPDX-License-Identifier: Apache-2.0
//
// ez_alert_notifier: tells receivers that admins set of alerts: webhooks, Slack, Prometheus Alertmanager. Which alerts
// a channel wants, and in which form, is configuration (the setting "alert_notifications"); when it is told is
// notify_channel.h. The handlers are in ez/handlers.h. docs/alert-notifications.md has the forms.
//
// What waits to be told lives in memory: a server that is killed loses at most a group's time of it; the alerts
// themselves are in the store. Several servers tell each what was committed on it.
//
// Threads. Note: any; it copies what it is given, holds one mutex for an instant, and never waits. Tick: the timer's.
// Flush: when that has ended. Locking: one mutex guards what was noted and the tests that wait; it is not held while
// the deliverer runs. Teardown: stop, before calls are drained; flush, when nobody notes and ticks any more; then
// outbound and the deliverer stop; destroy.
#pragma once

#include "ez/v1/alert.pb-c.h"
#include "proto/crypto/seal.h"
#include "server/state/delivery/delivery.h"
#include "server/state/directory/directory.h"

#define EZ_NOTIFY_INBOX_MAX 1000 // happenings between two ticks; more are counted, and said so
#define EZ_NOTIFY_TESTS_MAX 16   // calls of Test that wait; more: RESOURCE_EXHAUSTED (TEST_QUEUE_FULL)

typedef struct ez_alert_notifier ez_alert_notifier;

// What it names must outlive the object.
typedef struct ez_alert_notifier_options {
    const ez_directory *directory;
    const ez_sealer *sealer;
    const ez_outbound_allow *allow; // what a channel's URL may be
    ez_deliverer *deliverer;
    const char *server_id;
} ez_alert_notifier_options;

ez_status ez_alert_notifier_create(const ez_alert_notifier_options *options, ez_alert_notifier **out,
                                   ez_error *error) EZ_MUST_CHECK;
// Answers the tests that wait (UNAVAILABLE, STOPPING) and takes no more. NULL is fine, as below.
void ez_alert_notifier_stop(ez_alert_notifier *notifier);
// Sends what waits at once, for as long as the deliverer still takes it.
void ez_alert_notifier_flush(ez_alert_notifier *notifier);
void ez_alert_notifier_destroy(ez_alert_notifier *notifier);

// After its commit, of each alert. event: "created", "repeated", "acknowledged", "resolved", "dismissed", "deleted"; or
// "open", for receivers that forget: of alerts that still are, now and then, by whoever holds the lease. Others are
// passed over.
void ez_alert_notifier_note(ez_alert_notifier *notifier, const char *event, const Ez__V1__Alert *alert);
// Whether another page of "open" ones may be noted without crowding out others. The timer's thread.
bool ez_alert_notifier_has_room(ez_alert_notifier *notifier, uint64_t now_ms);
// Sends what is due, some times a second. now_ms: monotonic.
void ez_alert_notifier_tick(ez_alert_notifier *notifier, uint64_t now_ms);
