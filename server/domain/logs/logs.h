// SPDX-License-Identifier: Apache-2.0
//
// ez_logs: request logs that data planes ship: ingest, queries, statistics, dashboards, retention; features and the
// error webhook's settings. The handlers are in ez/handlers.h.
//
// Threads. Ingest and the chore run on the logs' appender; queries on the store's readers, changes on the writer,
// ez_logs_tick on the timer. What they share is the directory and the counts (counts.h), which have their own rules.
#pragma once

#include "proto/crypto/seal.h"
#include "server/platform/outbound/guard.h"
#include "server/platform/publish/publish.h"
#include "server/state/directory/directory.h"
#include "server/state/store/meter.h"

typedef struct ez_logs ez_logs;

typedef struct ez_logs_options {
    const ez_directory *directory;
    const ez_feed *feed; // says whether something changed
    ez_store *store;
    ez_holder holder;               // who folds and forgets
    const ez_sealer *sealer;        // for the webhook's secret
    const ez_outbound_allow *allow; // what the webhook's URL may be
    ez_publish *events;             // topic "logs"; NULL: none
    int64_t retention_days;         // where the features do not say otherwise
    int64_t max_records;            // likewise; 0: no bound
    int64_t sample_per_second;      // records published at most; 0: none
    // Records that were just stored, on the appender's thread: must not block. NULL: nobody wants to know.
    void (*stored)(void *user, const ez_log_row *rows, size_t count);
    void *stored_user;
} ez_logs_options;

// What the options name must outlive the object.
ez_status ez_logs_create(const ez_logs_options *options, ez_logs **out, ez_error *error) EZ_MUST_CHECK;
void ez_logs_destroy(ez_logs *logs); // NULL is fine

// The appender's chore (server/state/metering/appender.h): folds rollups and forgets old records, a bounded step at a
// time. user: the ez_logs.
void ez_logs_chore(void *user, bool *more);
// One short step of counting keys by status, for dashboards over many of them. From the timer, some times a second.
void ez_logs_tick(ez_logs *logs);
