// SPDX-License-Identifier: Apache-2.0
//
// ez_quotas: what a quota makes of a key, through the feed, so that data planes learn it like any change. A key that
// used up its quota becomes exhausted; when its period has ended it starts from zero and is active again. Each is a
// change by the server itself, of up to EZ_QUOTA_BATCH keys at once.
//
// It follows the feed to know of keys with a limit or a period, so that no one looks at a million keys each second; a
// whole look, in steps, is needed at start and where the feed has lost what it was at.
//
// Threads. Counted and step: the appender's, one at a time. Kick: any. Locking: one mutex guards what waits; it is not
// held while the directory is read or anything is submitted. Teardown: after the appender and the writer.
#pragma once

#include "server/state/directory/writer.h"
#include "server/state/metering/counters.h"

#define EZ_QUOTA_BATCH       1000
#define EZ_QUOTA_WAITING_MAX 100000 // keys that are to be exhausted; beyond, all keys are looked at again

typedef struct ez_quotas ez_quotas;

typedef struct ez_quotas_options {
    const ez_directory *directory;
    ez_feed *feed;
    ez_writer *writer;
    ez_holder holder; // who begins periods; keys are exhausted by whoever counted
    const ez_counters *counters;
} ez_quotas_options;

// Looks at every key. Submits nothing yet.
ez_status ez_quotas_create(const ez_quotas_options *options, ez_quotas **out, ez_error *error) EZ_MUST_CHECK;
void ez_quotas_destroy(ez_quotas *quotas); // NULL is fine

// A key's counters have moved.
void ez_quotas_counted(ez_quotas *quotas, int64_t key_id);
// Hands the writer what is due. What fails is tried again a second later, with a step or a kick.
void ez_quotas_kick(ez_quotas *quotas);
// One bounded step of following the feed, then a kick. *more: there is more to follow.
void ez_quotas_step(ez_quotas *quotas, bool *more);

// ---- quota_change.c: the changes themselves, and the rules they share with the watch

typedef struct ez_quota_facts {
    int status, period;
    bool has_limit;
    int64_t limit, used;
    bool has_reset;
    int64_t reset_ns; // where it has one
} ez_quota_facts;

ez_quota_facts ez_quota_read(const ez_entry *key, const ez_counters *counters);
// Whether it works, and should not.
bool ez_quota_is_over(const ez_quota_facts *facts);
// Whether its period ends at some time: *at_s is when, 0: at once, for want of a time.
bool ez_quota_has_end(const ez_quota_facts *facts, int64_t *at_s);

typedef struct ez_quota_batch {
    const ez_counters *counters;
    int64_t ids[EZ_QUOTA_BATCH];
    size_t count;
} ez_quota_batch;

// ez_handlers for the writer; self: an ez_quota_batch. Keys that are gone, or that it no longer holds for, are left
// alone.
ez_status ez_quota_exhaust(void *batch, ez_call *call, void *txn, ProtobufCMessage *request);
ez_status ez_quota_reset(void *batch, ez_call *call, void *txn, ProtobufCMessage *request);
