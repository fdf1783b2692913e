// SPDX-License-Identifier: Apache-2.0
//
// ez_appender: the thread that adds what data planes give back, one for usage, one for logs, and one for alerts and
// what admins do with them. It takes the calls that wait, lets each one's handler turn its request into rows, commits
// all of them in one transaction, lets the handlers see what became of it, and answers. Between commits it does chores
// (folding, trimming), a bounded step at a time.
//
// Threads. Submit: any. Handlers, committed and done: the appender's own.
//
// Locking: one mutex guards the queue; it is never held while a handler or the store runs. Teardown: refuse new calls,
// finish what was accepted, without chores in between, stop; free once nobody can submit any more.
#pragma once

#include "proto/runtime/call.h"
#include "server/state/store/alerts.h"
#include "server/state/store/meter.h"

typedef struct ez_appender ez_appender;
typedef struct ez_append ez_append;

// A call on its way; embed it. Zeroed but for the first block before submit.
struct ez_append {
    ez_call *call;
    ez_handler *run; // fills the second block, or fails the call alone
    void *self;
    ProtobufCMessage *request;
    void (*done)(ez_append *append); // to answer; the append may be freed within

    // The handler's: rows live in the call's arena until done. A row count of 0 with a mark still moves the mark.
    ez_mark mark;
    const ez_usage_row *usage;
    const ez_log_row *logs;
    ez_alert_op *alerts; // with their results, once committed
    size_t row_count;
    bool takes_some; // of alerts: as in ez_alert_batch
    // After the commit (of a repeat too, which mark.outcome says): writes the reply and tells who wants to know. NULL:
    // an empty reply.
    ez_status (*committed)(void *self, ez_append *append);
    void *note; // the handler's, for committed

    ez_status status; // result
    ez_append *next;  // the queue's
};

typedef struct ez_appender_options {
    ez_store *store;
    ez_stream stream;
    size_t queue;               // most calls waiting
    ez_alert_rules alert_rules; // alerts only
    // After a commit, for each (table, id) that was added to: usage only.
    ez_usage_total_fn *total;
    void *total_user;
    // Called between commits, and each second when nothing comes; one short step. *more: again soon. May be NULL.
    void (*chore)(void *user, bool *more);
    void *chore_user;
} ez_appender_options;

ez_status ez_appender_create(const ez_appender_options *options, ez_appender **out, ez_error *error) EZ_MUST_CHECK;
// Finishes what was submitted, then ends the thread; submit refuses from then on. NULL and a second time are fine, two
// threads at once are not.
void ez_appender_stop(ez_appender *appender);
// Stops it first where that was not done. Nobody may submit any more. NULL is fine.
void ez_appender_destroy(ez_appender *appender);

// RESOURCE_EXHAUSTED (APPEND_QUEUE_FULL) and UNAVAILABLE (STOPPING): done will not be called.
ez_status ez_appender_submit(ez_appender *appender, ez_append *append, ez_error *error) EZ_MUST_CHECK;

// The mark of a call: from epoch and sequence where they are given, else from its Idempotency-Key (SHA-256 of the key,
// the method and the request, as an epoch of its own with sequence 1: the same key with another request is another
// mark), else none. To be called before the request is changed. INVALID_ARGUMENT where only one of the two is given.
ez_status ez_append_mark(ez_append *append, uint64_t epoch, uint64_t sequence) EZ_MUST_CHECK;
