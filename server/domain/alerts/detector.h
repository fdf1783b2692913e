// SPDX-License-Identifier: Apache-2.0
//
// ez_detector: looks each minute for trouble that nobody reports, raises alerts for it and clears those that are over.
// docs/alert-detector.md has the rules. On the holder of the lease alone: where that changes, the next one takes over
// what is open. The handlers, of the thresholds, are in ez/handlers.h.
//
// A round is a few short steps on the store's readers, so that other queries get in between: rollups of the last
// minutes by key, and by master and API key beside them by a second reader; then one after the other a walk over the
// directory for quotas, expiry and bans, and telling what came of it. It reads no log records and writes nothing.
//
// Threads. Tick: the timer's. The callbacks run on a reader's thread and must not wait for the store.
#pragma once

#include "server/domain/alerts/alerts.h"
#include "server/state/metering/counters.h"
#include "server/state/metering/realtime.h"

#define EZ_DETECTOR_NAME "detector" // who raises, and who resolves

typedef struct ez_detector ez_detector;

// An API key that auto-ban takes out of service: it has auto_ban, it is active, and too many requests failed.
typedef struct ez_condemned {
    int64_t api_key_id;
    int64_t requests, errors; // of the window, since its last ban
    int32_t window_minutes;
    int64_t judged_ns; // wall clock
} ez_condemned;

// An alert that was told: what it is about.
typedef ez_status ez_detector_told_fn(void *user, Ez__V1__AlertType type, const char *related_type, int64_t related_id,
                                      ez_error *error);

// What the options name must outlive the object.
typedef struct ez_detector_options {
    ez_store *store;
    const ez_directory *directory;
    const ez_counters *counters;
    ez_realtime *realtime; // NULL: rate limits are seen in the logs alone
    ez_holder holder;      // who looks
    uint64_t every_ms;     // from the beginning of a round to that of the next
    // As ez_alerts_raise and ez_alerts_clear. NULL: nobody is told.
    bool (*raise)(void *user, const ez_alert_report *reports, size_t count, const char *by);
    bool (*clear)(void *user, const ez_alert_subject *subjects, size_t count, const char *by);
    // Gives each alert that is active or acknowledged, is of one of the types rate_limit, error_spike, quota_exceeded,
    // provider_down, key_expired and key_disabled, and has the fingerprint that its type and what it is about make; and
    // each of type key_expired that was raised after since_ns, though it is closed. In any order, open ones first; may
    // stop where there are many. Asked once by a new holder. NULL: alerts that an earlier holder raised are left to
    // those who see them.
    ez_status (*each_told)(void *user, ez_reader *reader, int64_t since_ns, ez_detector_told_fn *each, void *each_user,
                           ez_error *error);
    void *alerts_user; // of the three
    // Told in each round of those that are to be banned, at most EZ_CONDEMNED_MAX. NULL: nobody bans.
    void (*condemned)(void *user, const ez_condemned *api_keys, size_t count);
    void *condemned_user;
    // Told in each round of data planes that open alerts say are lost or can't use their configuration, where nothing
    // new was said for EZ_PLANE_AGE_S: it looks whether that is still so. NULL: nobody looks.
    void (*look_again)(void *user, int64_t data_plane_id);
    void *look_user;
} ez_detector_options;

#define EZ_PLANE_AGE_S   30   // by then a server knows what others know of their data planes
#define EZ_CONDEMNED_MAX 1000 // of one round; the others are looked at again in the next

ez_status ez_detector_create(const ez_detector_options *options, ez_detector **out, ez_error *error) EZ_MUST_CHECK;
// After the store's readers have ended. NULL is fine.
void ez_detector_destroy(ez_detector *detector);

// From the timer, each second or so: begins a round where one is due. Never waits.
void ez_detector_tick(ez_detector *detector);

typedef struct ez_detector_view {
    uint64_t rounds, failed; // that ended, and that could not be finished, since the server started
    uint64_t last_ms;        // how long the last one took, waiting for readers included
    bool is_running;         // one is on its way
} ez_detector_view;
// Any thread.
ez_detector_view ez_detector_look(const ez_detector *detector);
