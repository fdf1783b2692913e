// SPDX-License-Identifier: Apache-2.0
//
// ez_reporter: what a data plane gives back, docs/data-planes.md: counters of keys, API keys and masters, and request
// logs. It adds up and collects in memory, makes a batch of it each second, keeps batches in a bounded, sealed spool on
// disk until the server has them, and sends them in order, one at a time for each of the two streams, for as long as it
// takes. Each counts once, whoever dies: what was synced is sent by this process or by the next one.
//
// Without a spool directory batches wait in memory, and what was not sent is gone with the process.
//
// Nothing is dropped in silence. Where there is no room ez_usage_add and ez_log_add refuse; what the server refused,
// and what a disk lost, is counted in ez_reporter_info and logged.
//
// Threads: every function may be called from any thread, save ez_reporter_close, which must be the last, and none but
// ez_reporter_get_info from a callback. A reporter has one thread of its own, which also calls the callback.
// ez_usage_add and ez_log_add never wait for the disk or the network. Locking: callbacks are called without any lock
// held.
#pragma once

#include "clients/c/client.h"
#include "ez/v1/log.pb-c.h"

typedef struct ez_reporter ez_reporter;

typedef enum ez_report_stream { EZ_REPORT_USAGE, EZ_REPORT_LOGS, EZ_REPORT_STREAMS } ez_report_stream;

// A batch that the server does not take (INVALID_ARGUMENT, or too large for it): rows are those of a packed
// FlushUsageRequest or IngestLogsRequest, less epoch and sequence. They live during the call only. is_kept: they are in
// <stream>.rejected in the spool directory too, see ez_reporter_read_rejected; without a directory this call is all
// that is left of them.
typedef void ez_reporter_rejected(void *user, ez_report_stream stream, ez_slice rows, const ez_error *error,
                                  bool is_kept);

// flush_ms: batches are made by ez_reporter_sync, ez_reporter_drain and ez_reporter_close only.
#define EZ_REPORTER_ON_SYNC UINT32_MAX

// Call ez_reporter_options_init first. Texts are copied.
typedef struct ez_reporter_options {
    ez_client *client;                // shared, outlives the reporter; NULL: one of its own by client_options
    ez_client_options client_options; // where client is NULL
    const char *token;                // data-plane token; NULL: client_options.token
    const char *previous_token;       // of the same data plane, where it was given a new one: what lies in the spool is
                                      // sealed with it. NULL: none
    const char *spool_dir;            // directory of this reporter alone; made with mode 0700; NULL: memory only
    uint64_t spool_max; // bytes of each stream on disk; 256 MiB; 1 MiB to 256 GiB. Memory only: at most 32 MiB
    uint32_t flush_ms;  // longest time between an addition and its batch; 1000
    void *user;         // for the callback
    ez_reporter_rejected *on_rejected; // NULL: it is logged and counted only
} ez_reporter_options;

void ez_reporter_options_init(ez_reporter_options *options);

// Reads the spool and begins to send. A control plane that is away is no error. INVALID_ARGUMENT names the option that
// is wrong; FAILED_PRECONDITION: the directory is another reporter's (SPOOL_IN_USE) or another data plane's
// (SPOOL_FOREIGN); UNAVAILABLE where it can't be read or made.
ez_status ez_reporter_open(const ez_reporter_options *options, ez_reporter **out, ez_error *error) EZ_MUST_CHECK;

// Makes durable what was added, waits for the calls under way (at most 3 s; memory only: also for what can be sent in
// that time), frees. What is not sent waits in the spool for the next process. NULL is fine.
void ez_reporter_close(ez_reporter *reporter);

typedef enum ez_usage_of { EZ_USAGE_OF_KEY = 1, EZ_USAGE_OF_API_KEY, EZ_USAGE_OF_MASTER } ez_usage_of;

// What is added to one counter; proto/ez/v1/usage.proto says what each number means and which of them count.
typedef struct ez_usage_delta {
    ez_usage_of of;
    int64_t id;
    int64_t requests, success, failure; // success: API keys only
    int64_t tokens_in, tokens_out, quota_used, rate_limited;
} ez_usage_delta;

// Adds all of them or none; they are flushed together or with what is added later. A data plane either counts masters
// itself, always, or never: then the server adds to a master what its keys say. INVALID_ARGUMENT (USAGE_INVALID);
// RESOURCE_EXHAUSTED (USAGE_FULL): the spool is full, and so is the memory behind it.
ez_status ez_usage_add(ez_reporter *reporter, const ez_usage_delta *deltas, size_t count,
                       ez_error *error) EZ_MUST_CHECK;

// Adds a record. Without a time it gets the present one; a request body is cut at 64 KiB, as the server would.
// INVALID_ARGUMENT: the record breaks a rule of its schema; RESOURCE_EXHAUSTED (LOGS_FULL): the spool is full.
ez_status ez_log_add(ez_reporter *reporter, const Ez__V1__LogRecord *record, ez_error *error) EZ_MUST_CHECK;

// Waits until all that was added before is on disk: from then on it is sent once, whatever happens to this process.
// note: any number; once this returns OK it is the one that ez_reporter_get_info gives, after a crash too, and of what
// was added in between two syncs all is there together with the later note, or nothing of it (with flush_ms
// EZ_REPORTER_ON_SYNC). A program that reads its usage from elsewhere keeps its place by it.
// Errors: FAILED_PRECONDITION (NO_SPOOL), RESOURCE_EXHAUSTED (SPOOL_FULL), UNAVAILABLE (DISK_FULL, SPOOL_IO): it is
// still in memory and will be written or sent; sync again. DEADLINE_EXCEEDED (SYNC_TIMEOUT): it is not known yet.
ez_status ez_reporter_sync(ez_reporter *reporter, uint64_t note, uint32_t timeout_ms, ez_error *error) EZ_MUST_CHECK;
// The same in two steps, for many reporters at once. The ticket is good for one wait.
uint64_t ez_reporter_sync_begin(ez_reporter *reporter, uint64_t note);
ez_status ez_reporter_sync_wait(ez_reporter *reporter, uint64_t ticket, uint32_t timeout_ms,
                                ez_error *error) EZ_MUST_CHECK;
// Waits until the server has all there is; nobody should add meanwhile. DEADLINE_EXCEEDED (DRAIN_TIMEOUT) says how much
// waits.
ez_status ez_reporter_drain(ez_reporter *reporter, uint32_t timeout_ms, ez_error *error) EZ_MUST_CHECK;

typedef struct ez_report_info {
    uint64_t note;            // of the last sync that is durable
    uint64_t added;           // deltas, or records
    uint64_t refused;         // not added: no room, or invalid
    uint64_t batches_waiting; // not acknowledged, earlier processes' included
    uint64_t rows_waiting;    // in them
    uint64_t spool_bytes;     // files, or memory
    uint64_t restored;        // batches that earlier processes left
    uint64_t acknowledged;    // batches
    uint64_t rows_acknowledged;
    uint64_t repeated;         // of these, the server had already
    uint64_t server_skipped;   // rows of unknown ids, or records that it refused
    uint64_t failed_calls;     // each was made again
    uint64_t rejected_batches; // see ez_reporter_rejected
    uint64_t damaged;          // batches or pieces of files that the disk lost
    uint64_t new_epochs;       // the server had lost batches that it had acknowledged
    uint64_t failed_writes;    // of the spool; each was tried again
} ez_report_info;

typedef struct ez_reporter_info {
    ez_report_info streams[EZ_REPORT_STREAMS];
} ez_reporter_info;

// As of the last thing the reporter did.
void ez_reporter_get_info(ez_reporter *reporter, ez_reporter_info *out);

// Gives every batch in <stream>.rejected of a spool directory, oldest first. error is NULL in each call. NOT_FOUND
// where there is none. The directory must not be in use.
ez_status ez_reporter_read_rejected(const char *spool_dir, const char *token, ez_report_stream stream,
                                    ez_reporter_rejected *each, void *user, ez_error *error) EZ_MUST_CHECK;
