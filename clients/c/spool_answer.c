// SPDX-License-Identifier: Apache-2.0
//
// What the spool does with the server's answers about its front. Awkward: labels (epoch and sequence) are what makes a
// batch count once. They change only where the server has said that the mark stands before the batch, so that it was
// not taken under its old ones, and the change is on disk before anything is sent under the new ones: else a crash
// would bring the old ones back, and what had been taken under the new ones would be sent again.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clients/c/spool_private.h"
#include "proto/runtime/log.h"

// ---- Taken ----

void ez_spool_take(ez_spool *spool, size_t last) {
    for (; spool->front <= last; spool->front++) {
        ez_spool_entry *entry = &spool->entries[spool->front];
        entry->is_acknowledged = true;
        spool->info.rows -= entry->rows;
        ez_spool_drop_body(spool, entry);
        if (entry->segment != NULL) {
            entry->segment->held--;
        }
    }
}

void ez_spool_acknowledge(ez_spool *spool) {
    ez_spool_entry *entry = &spool->entries[spool->front];
    const ez_record record = {.type = EZ_RECORD_ACK, .a = entry->epoch, .b = entry->sequence};
    bool is_on_disk = entry->segment != NULL;
    ez_spool_take(spool, spool->front);
    if (is_on_disk) {
        ez_status status = ez_spool_write_mark(spool, &record, false, NULL);
        (void)status; // then it is sent again after a crash, and the server says that it has it
    }
    ez_spool_trim(spool);
}

// ---- Gaps ----

// The first entry from which on all up to the front follow each other, can be sent, and were not taken.
static size_t go_back(const ez_spool *spool, uint64_t expected) {
    size_t at = spool->front;
    const ez_spool_entry *entries = spool->entries;
    // A server that expects the first one does not know the epoch at all: it may have forgotten it for its age, and
    // says nothing of what was acknowledged.
    while (expected > 1 && at > spool->first && entries[at].sequence > expected && entries[at - 1].segment != NULL &&
           entries[at - 1].epoch == entries[at].epoch && entries[at - 1].sequence + 1 == entries[at].sequence) {
        at--;
    }
    return at;
}

static void hold_again(ez_spool *spool, size_t from) {
    for (size_t i = from; i < spool->front; i++) {
        ez_spool_entry *entry = &spool->entries[i];
        entry->is_acknowledged = false;
        entry->segment->held++;
        spool->info.rows += entry->rows;
    }
    spool->front = from;
}

void ez_spool_relabel(ez_spool *spool, size_t at, uint32_t count, uint64_t epoch) {
    for (uint32_t i = 0; i < count; i++) {
        spool->entries[at + i].epoch = epoch;
        spool->entries[at + i].sequence = i + 1;
    }
}

static ez_status begin_epoch(ez_spool *spool, size_t at, ez_error *error) {
    size_t end = at + 1;
    while (end < spool->end && spool->entries[end].epoch == spool->entries[at].epoch &&
           spool->entries[end].sequence == spool->entries[end - 1].sequence + 1) {
        end++;
    }
    const ez_spool_entry *first = &spool->entries[at];
    uint64_t epoch;
    ez_status status = ez_spool_new_epoch(&epoch, error);
    const ez_record record = {
        .type = EZ_RECORD_RELABEL, .rows = (uint32_t)(end - at), .a = first->epoch, .b = first->sequence, .c = epoch};
    if (status == EZ_OK && first->segment != NULL) {
        status = ez_spool_write_mark(spool, &record, true, error);
    }
    if (status != EZ_OK) {
        return status;
    }
    ez_log_warn("the server has no longer what was acknowledged before: the rest is sent as a new epoch", "stream",
                ez_spool_name(spool->options.stream), "batches", EZ_LOG_INT(end - at));
    if (end == spool->end && first->epoch == spool->epoch) {
        spool->epoch = epoch;
        spool->next_sequence = end - at + 1;
    }
    if (at < spool->front) {
        hold_again(spool, at);
    }
    ez_spool_relabel(spool, at, (uint32_t)(end - at), epoch);
    spool->info.relabeled++;
    return EZ_OK;
}

ez_status ez_spool_gap(ez_spool *spool, uint64_t expected, ez_error *error) {
    const ez_spool_entry *front = &spool->entries[spool->front];
    if (expected >= front->sequence || front->sequence == 1) {
        return ez_error_set(error, EZ_INTERNAL, "GAP_INVALID",
                            "The server expects a sequence that is not before what it was sent.");
    }
    size_t at = go_back(spool, expected);
    if (spool->entries[at].sequence != expected) {
        return begin_epoch(spool, at, error);
    }
    ez_log_warn("the server went back: what it has no longer is sent again", "stream",
                ez_spool_name(spool->options.stream), "batches", EZ_LOG_INT(spool->front - at));
    hold_again(spool, at);
    return EZ_OK;
}

// ---- Rejected ----

// The file of what was rejected is a segment too, with number 0; made when there is something to put into it.
static ez_status open_rejected(const ez_spool *spool, ez_segment **out, ez_error *error) {
    char name[EZ_SEGMENT_NAME];
    snprintf(name, sizeof name, "%s.rejected", ez_spool_name(spool->options.stream));
    uint8_t stream = (uint8_t)spool->options.stream;
    ez_status status = ez_segment_open(spool->options.dir, name, stream, 0, spool->options.keys, 1, out, error);
    if (status != EZ_UNAVAILABLE && status != EZ_OK) { // of another token, or damaged
        char aside[EZ_SEGMENT_NAME + 8];
        snprintf(aside, sizeof aside, "%s.old", name);
        (void)renameat(spool->options.dir, name, spool->options.dir, aside);
    }
    if (status != EZ_OK && faccessat(spool->options.dir, name, F_OK, 0) != 0) {
        status = ez_segment_create(spool->options.dir, name, stream, 0, 0, &spool->options.keys[0], out, error);
    }
    return status;
}

static ez_status keep(ez_spool *spool, const ez_spool_batch *batch, bool *is_kept, ez_error *error) {
    ez_segment *file = NULL;
    ez_status status = open_rejected(spool, &file, error);
    if (status != EZ_OK) {
        return status;
    }
    const ez_record record = {.type = EZ_RECORD_BATCH, .rows = batch->rows, .a = batch->epoch, .b = batch->sequence};
    ez_buf_clear(&spool->records);
    *is_kept = file->size + batch->body.len + EZ_RECORD_HEAD + EZ_SEAL_OVERHEAD <= EZ_REJECTED_MAX;
    if (*is_kept) {
        status = ez_segment_encode(file, &record, batch->body, &spool->records, error);
        if (status == EZ_OK) {
            status = ez_segment_append(file, &spool->records, true, error);
        }
    }
    ez_segment_close(file);
    return status;
}

ez_status ez_spool_reject(ez_spool *spool, ez_slice *rows, bool *is_kept, ez_error *error) {
    ez_spool_batch batch;
    bool has;
    *is_kept = false;
    ez_status status = ez_spool_front(spool, &batch, &has, error);
    if (status == EZ_OK && spool->options.dir >= 0) {
        status = keep(spool, &batch, is_kept, error);
    }
    ez_spool_entry *entry = &spool->entries[spool->front];
    if (status == EZ_OK && entry->segment != NULL) {
        const ez_record record = {.type = EZ_RECORD_HOLLOW, .a = entry->epoch, .b = entry->sequence};
        status = ez_spool_write_mark(spool, &record, false, error);
    }
    if (status == EZ_OK) {
        *rows = batch.body;
        entry->is_hollow = true;
        spool->info.rejected++;
    }
    return status;
}
