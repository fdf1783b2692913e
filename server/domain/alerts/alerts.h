// SPDX-License-Identifier: Apache-2.0
//
// ez_alerts: one alert for each trouble, however many see it. Reports of data planes, of admins and of this server
// itself are counted to the open alert of their fingerprint, or make one; admins acknowledge, resolve and dismiss.
// docs/alerts.md has the rules, docs/adr/0014-alerts.md says why they are kept this way. The handlers are in
// ez/handlers.h.
//
// Threads. Whatever changes an alert runs on the appender's thread that the object owns, and so does noted; reads run
// on the store's readers. ez_alerts_raise and ez_alerts_clear: any thread, nng's and the writer's too; they copy what
// they are given, hold one mutex for an instant, and never wait for the store.
#pragma once

#include "ez/v1/alert.pb-c.h"
#include "server/platform/publish/publish.h"
#include "server/state/directory/directory.h"
#include "server/state/metering/appender.h"

#define EZ_ALERTS_AT_ONCE 100 // reports, or subjects, of one call of raise or clear

typedef struct ez_alerts ez_alerts;

// A trouble as somebody in this server saw it. Texts are UTF-8; NULL is "", and what is too long is cut.
typedef struct ez_alert_report {
    Ez__V1__AlertType type;
    Ez__V1__AlertSeverity severity; // UNSPECIFIED: warning
    const char *title;              // at most 255 bytes; "": what the type is called
    const char *message;            // at most 4,096 bytes
    const char *related_type;       // "master", "key", "api_key", "provider_group", "data_plane", or another word
    int64_t related_id;             // 0: none
    const char *related_name;       // "": as the directory has it
    const char *metadata;           // a JSON object of at most 8,192 bytes; one that is none is left out
    const char *fingerprint;        // at most 128 bytes; "": made of type, related_type and related_id
} ez_alert_report;

// What a trouble is about: names its fingerprint, as in the report.
typedef struct ez_alert_subject {
    Ez__V1__AlertType type;
    const char *related_type;
    int64_t related_id;
    const char *fingerprint; // "" or NULL: made of the three
    int64_t seen_before_ns;  // of a clear: only where nobody reported it then or later, wall clock; 0: in any case
} ez_alert_subject;

typedef struct ez_alerts_options {
    ez_store *store;
    const ez_directory *directory; // for names, and for what is missing
    ez_publish *events;            // topic "alerts"; NULL: none
    ez_holder holder;              // who forgets
    size_t queue;                  // most calls, and most raises and clears, that wait
    int64_t retention_days;        // closed alerts are forgotten after so many; 0: never
    int64_t max_records;           // most alerts that are kept; 0: no bound
    // Told once of each "created", "repeated", "acknowledged", "resolved", "dismissed" and "deleted" (one that was
    // open), by the server that committed it, after the commit, on the appender's thread: must not block, nor call
    // raise or clear and wait. The event is gone when it returns. NULL: nobody wants to know.
    void (*noted)(void *user, const Ez__V1__AlertEvent *event);
    void *noted_user;
} ez_alerts_options;

// What the options name must outlive the object.
ez_status ez_alerts_create(const ez_alerts_options *options, ez_alerts **out, ez_error *error) EZ_MUST_CHECK;
// Finishes what was submitted, raised and cleared, then ends the thread; all refuse from then on. NULL and a second
// time are fine, two threads at once are not.
void ez_alerts_stop(ez_alerts *alerts);
// Stops it first where that was not done. Nobody may use it any more. NULL is fine.
void ez_alerts_destroy(ez_alerts *alerts);

// The appender that calls of the service Alerts go to.
ez_appender *ez_alerts_appender(ez_alerts *alerts);

// Reports up to EZ_ALERTS_AT_ONCE troubles. by: who saw them, a word such as "detector", in the audit
// "system:detector". Returns at once; tried again while the store is away. False, and counted and logged: nothing was
// taken, since too much waits already or the server stops.
bool ez_alerts_raise(ez_alerts *alerts, const ez_alert_report *reports, size_t count, const char *by);
// The troubles are over: resolves the open alerts of these subjects, where there are any, with resolved_by = by. Goes
// behind everything that was raised before it on the same thread. Otherwise as ez_alerts_raise.
bool ez_alerts_clear(ez_alerts *alerts, const ez_alert_subject *subjects, size_t count, const char *by);
// Whether somebody who can wait should raise or clear now. What is handed over while there is room finds a place among
// those that wait for a store that goes away, and crowds out nobody else's. Any thread.
bool ez_alerts_has_room(const ez_alerts *alerts);
// How many raises and clears were not taken, or were given up whole or in part, since the server started. Any thread.
uint64_t ez_alerts_dropped(const ez_alerts *alerts);
