// SPDX-License-Identifier: Apache-2.0
//
// ez_spool: the batches of one stream that the server has not acknowledged, in order, on disk (segment.h) or, without a
// directory, in memory. What is committed together is there together after a crash, or not at all; the note of the last
// commit is there with it. Internal to libezplane. Not shared between threads; may block on the disk.
//
// A batch has an epoch and a sequence, which the server's mark counts once: they never change after it may have been
// sent, save where the server said that it did not take them (ez_spool_gap). Batches of earlier processes keep theirs
// and go first.
#pragma once

#include "clients/c/segment.h"

#define EZ_SPOOL_BATCHES_MAX 262144     // a batch each second for three days
#define EZ_SPOOL_BODY_MAX    (4u << 20) // bytes of a batch's rows
#define EZ_SPOOL_KEEP        (8u << 20) // bytes of batches on disk that are kept in memory too
#define EZ_REJECTED_MAX      (64u << 20)

typedef enum ez_spool_stream { EZ_SPOOL_USAGE = 1, EZ_SPOOL_LOGS = 2 } ez_spool_stream;

typedef struct ez_spool ez_spool;

typedef struct ez_spool_options {
    int dir; // of the files; not owned. -1: memory only
    ez_spool_stream stream;
    const ez_spool_key *keys; // the first one seals; all of them open. They outlive the spool
    unsigned key_count;
    uint64_t max; // bytes, of files or of memory
} ez_spool_options;

// "usage" or "logs".
const char *ez_spool_name(ez_spool_stream stream);

// Reads what is there. FAILED_PRECONDITION (SPOOL_FOREIGN), UNAVAILABLE where a file can't be read. What is damaged is
// passed over, counted and logged; a file with a damaged header is renamed to ….damaged.
ez_status ez_spool_open(const ez_spool_options *options, ez_spool **out, ez_error *error) EZ_MUST_CHECK;
void ez_spool_close(ez_spool *spool);

// Whether this much more may be added.
bool ez_spool_has_room(const ez_spool *spool, size_t bytes);
// Adds a batch of packed rows at the end. False where there is no memory: nothing was added.
bool ez_spool_add(ez_spool *spool, ez_slice body, uint32_t rows) EZ_MUST_CHECK;
// Makes all that was added durable, and the note. On failure it stays in memory and may be sent all the same; call
// again. OK without a directory.
ez_status ez_spool_commit(ez_spool *spool, uint64_t note, ez_error *error) EZ_MUST_CHECK;
bool ez_spool_is_committed(const ez_spool *spool);
// Bytes that are not.
uint64_t ez_spool_unwritten(const ez_spool *spool);

typedef struct ez_spool_batch {
    uint64_t epoch, sequence;
    uint32_t rows;
    ez_slice body; // until the next call on the spool
} ez_spool_batch;
// The first batch that is not acknowledged. False where there is none. A body that is damaged becomes empty, is counted
// and logged; UNAVAILABLE where it can't be read now.
ez_status ez_spool_front(ez_spool *spool, ez_spool_batch *out, bool *has, ez_error *error) EZ_MUST_CHECK;

// What the server said of the front: taken (or taken before);
void ez_spool_acknowledge(ez_spool *spool);
// an earlier one is expected (0: it is not known which). Goes back to it where it is still held; else what was not
// taken gets an epoch of its own, durably. On failure nothing changed: ask the server again later.
ez_status ez_spool_gap(ez_spool *spool, uint64_t expected, ez_error *error) EZ_MUST_CHECK;
// it is not to be had: its rows are moved to <stream>.rejected and it is sent without them, so that the mark moves on.
// *rows: what they are, until the next call on the spool; *is_kept: whether there was room for them.
ez_status ez_spool_reject(ez_spool *spool, ez_slice *rows, bool *is_kept, ez_error *error) EZ_MUST_CHECK;

typedef struct ez_spool_info {
    uint64_t note;      // of the last commit
    uint64_t batches;   // that wait
    uint64_t rows;      // in them
    uint64_t bytes;     // of files, or of memory
    uint64_t epoch;     // of what is added now
    uint64_t restored;  // batches that earlier processes left
    uint64_t torn;      // bytes that were cut off at opening: a commit that was never finished
    uint64_t damaged;   // batches, or pieces of files, that can't be read any more
    uint64_t relabeled; // times that batches got an epoch of their own
    uint64_t rejected;  // batches
} ez_spool_info;
void ez_spool_get_info(const ez_spool *spool, ez_spool_info *out);
