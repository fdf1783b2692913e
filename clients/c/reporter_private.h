// SPDX-License-Identifier: Apache-2.0
//
// What the reporter's files share: reporter.c opens, closes and takes what is added, reporter_work.c is its thread,
// reporter_send.c one stream's calls.
//
// Locking: mutex guards what stands under "Shared"; the rest is the worker's alone. Nothing blocks while it is held.
#pragma once

#include <pthread.h>

#include "clients/c/log_rows.h"
#include "clients/c/reporter.h"
#include "clients/c/session_call.h"
#include "clients/c/spool.h"
#include "clients/c/usage_rows.h"

#define EZ_MS_NS 1000000ull
#define EZ_S_NS  (1000 * EZ_MS_NS)

typedef struct ez_report {
    ez_report_stream stream;
    ez_spool *spool;
    ez_session_call *call;
    const ez_method *method;
    uint64_t retry_at, backoff_ns;
    uint64_t write_at; // a failed write is tried again
    bool was_refused;  // said so already
    bool is_hollow;    // what is under way has no rows
    uint32_t rows;     // of what is under way
    ez_report_info info;
    ez_error why; // the last write failed
} ez_report;

struct ez_reporter {
    ez_client *client;
    bool owns_client;
    char *token;
    int dir, lock; // -1: memory only
    ez_spool_key keys[2];
    unsigned key_count;
    uint64_t max; // of each spool
    uint32_t flush_ms;
    void *user;
    ez_reporter_rejected *on_rejected;
    pthread_t thread;
    bool has_thread;
    ez_report reports[EZ_REPORT_STREAMS];
    ez_usage_rows usage_taken; // being made into batches
    ez_log_rows logs_taken;
    uint64_t told_refused[EZ_REPORT_STREAMS], tell_at; // refusals that were logged
    uint64_t end_by;                                   // 0: not closing

    pthread_mutex_t mutex;
    pthread_cond_t wake; // the worker: there is something to do
    pthread_cond_t done; // who waits: the worker did something
    // Shared:
    ez_usage_rows usage;
    ez_log_rows logs;
    int64_t master_id; // one that was counted; 0: the server adds up masters
    uint64_t first_ns; // when the oldest of usage and logs was added; 0: there is nothing
    bool kick, stop;
    uint64_t added[EZ_REPORT_STREAMS], refused[EZ_REPORT_STREAMS];
    uint64_t wanted; // the last sync that was asked for
    bool has_note;   // … brought a note
    uint64_t note;
    uint64_t synced, failed; // the last one that came to a good, and to a bad end
    ez_error failure;        // of that one
    bool is_drained;         // as of the worker's last turn
    ez_reporter_info info;
};

// reporter_work.c
void *ez_reporter_work(void *reporter);
// What get_info gives of a stream is what it is at now. Locked.
void ez_report_publish(ez_reporter *reporter, ez_report *report);
// Makes the worker look. Locked.
void ez_reporter_kick(ez_reporter *reporter);

// reporter_send.c
ez_status ez_report_open(ez_reporter *reporter, ez_report_stream stream, ez_error *error) EZ_MUST_CHECK;
void ez_report_close(ez_report *report);
// Takes the answer of the call under way; starts the next one where may_send. Returns when to come again.
uint64_t ez_report_send(ez_reporter *reporter, ez_report *report, uint64_t now, bool may_send);
