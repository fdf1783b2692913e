// SPDX-License-Identifier: Apache-2.0
//
// ez_usage: what data planes count. Flushes, quotas, live numbers. The handlers are in ez/handlers.h; Usage.Flush runs
// on the usage appender's thread (server/state/metering/appender.h), which also calls ez_usage_counted and
// ez_usage_chore.
#pragma once

#include "server/platform/publish/publish.h"
#include "server/state/directory/writer.h"
#include "server/state/metering/counters.h"
#include "server/state/metering/realtime.h"

typedef struct ez_usage ez_usage;

typedef struct ez_usage_options {
    ez_store *store; // all must outlive the object
    const ez_directory *directory;
    ez_feed *feed;
    ez_writer *writer;
    ez_holder holder;      // who begins periods
    ez_counters *counters; // loaded
    ez_realtime *realtime;
    ez_publish *events; // NULL: nobody is told
} ez_usage_options;

// Looks at every key with a quota: what a crash left undone is due with the first chore.
ez_status ez_usage_create(const ez_usage_options *options, ez_usage **out, ez_error *error) EZ_MUST_CHECK;
// After the appender and the writer have ended. NULL is fine.
void ez_usage_destroy(ez_usage *usage);

// For the appender: an ez_usage_total_fn, and its chore. user is the ez_usage.
void ez_usage_counted(void *user, ez_usage_table table, int64_t id, const ez_usage_sums *total);
void ez_usage_chore(void *user, bool *more);

// Another server has taken usage in, as it told us: this one is not alone, and looks at the usual pace. Any thread.
void ez_usage_hint(ez_usage *usage);

// From the timer, each second: publishes "stats.realtime".
void ez_usage_tick(ez_usage *usage);
