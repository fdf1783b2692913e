// SPDX-License-Identifier: Apache-2.0
//
// The spool itself. It owns entries, their bodies and its segments. Awkward: acknowledged batches stay on disk until
// their whole segment may go; that they were acknowledged is noted without waiting for the disk, since to send one
// again does no harm. The note of the last commit must outlive its segment: the next one's header carries it.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clients/c/spool_private.h"
#include "proto/crypto/random.h"
#include "proto/runtime/log.h"

#define RECORDS_MAX (64u << 20)  // of one commit
#define NOTES_MAX   (1u << 20)   // of notes beyond the spool's bound, which nothing is added for
#define RECYCLE     (256u << 10) // a segment of this size with nothing to send in it is replaced

const char *ez_spool_name(ez_spool_stream stream) {
    return stream == EZ_SPOOL_USAGE ? "usage" : "logs";
}

ez_status ez_spool_new_epoch(uint64_t *out, ez_error *error) {
    if (ez_random(out, sizeof *out) != EZ_OK) {
        return ez_error_set(error, EZ_INTERNAL, "NO_RANDOM", "The system gave no random numbers.");
    }
    *out |= 1; // 0 would be "not given"
    return EZ_OK;
}

static ez_status no_memory(ez_error *error) {
    return ez_error_set(error, EZ_UNAVAILABLE, "NO_MEMORY", "There is no memory for a spool.");
}

ez_status ez_spool_open(const ez_spool_options *options, ez_spool **out, ez_error *error) {
    ez_spool *spool = calloc(1, sizeof *spool);
    if (spool == NULL) {
        return no_memory(error);
    }
    spool->options = *options;
    spool->next_number = 1;
    spool->next_sequence = 1;
    ez_buf_init(&spool->read, EZ_SPOOL_BODY_MAX);
    ez_buf_init(&spool->records, RECORDS_MAX);
    ez_status status = ez_spool_new_epoch(&spool->epoch, error);
    if (status == EZ_OK && options->dir >= 0) {
        status = ez_spool_load(spool, error);
    }
    if (status != EZ_OK) {
        ez_spool_close(spool);
        return status;
    }
    ez_spool_trim(spool);
    *out = spool;
    return EZ_OK;
}

void ez_spool_close(ez_spool *spool) {
    if (spool == NULL) {
        return;
    }
    for (size_t i = spool->first; i < spool->end; i++) {
        ez_spool_drop_body(spool, &spool->entries[i]);
    }
    for (size_t i = 0; i < spool->segment_count; i++) {
        ez_segment_close(spool->segments[i]);
    }
    if (spool->read.data != NULL) {
        ez_wipe(spool->read.data, spool->read.cap);
    }
    ez_buf_fini(&spool->read);
    ez_buf_fini(&spool->records);
    free(spool->segments);
    free(spool->entries);
    free(spool);
}

// ---- Entries ----

void ez_spool_drop_body(ez_spool *spool, ez_spool_entry *entry) {
    if (entry->body != NULL) {
        ez_wipe(entry->body, entry->len);
        free(entry->body);
        entry->body = NULL;
        spool->memory -= entry->len;
    }
}

// Entries move to the front of their array when half of it is gone by.
static void settle(ez_spool *spool) {
    if (spool->first < spool->room / 2 || spool->first == 0) {
        return;
    }
    memmove(spool->entries, spool->entries + spool->first, (spool->end - spool->first) * sizeof *spool->entries);
    spool->front -= spool->first;
    spool->end -= spool->first;
    spool->written -= spool->first;
    spool->first = 0;
}

ez_spool_entry *ez_spool_push(ez_spool *spool) {
    if (spool->end == spool->room) {
        settle(spool);
    }
    if (spool->end == spool->room) {
        size_t room = spool->room == 0 ? 64 : 2 * spool->room;
        ez_spool_entry *entries = reallocarray(spool->entries, room, sizeof *entries);
        if (entries == NULL) {
            return NULL;
        }
        spool->entries = entries;
        spool->room = room;
    }
    ez_spool_entry *entry = &spool->entries[spool->end++];
    *entry = (ez_spool_entry){0};
    return entry;
}

static uint64_t bytes_of(const ez_spool *spool) {
    if (spool->options.dir < 0) {
        return spool->memory;
    }
    uint64_t last = spool->segment_count == 0 ? 0 : spool->segments[spool->segment_count - 1]->size;
    return spool->file_bytes + last;
}

uint64_t ez_spool_unwritten(const ez_spool *spool) {
    uint64_t bytes = 0;
    for (size_t i = spool->written; i < spool->end && spool->options.dir >= 0; i++) {
        bytes += spool->entries[i].len;
    }
    return bytes;
}

bool ez_spool_has_room(const ez_spool *spool, size_t bytes) {
    return bytes_of(spool) + ez_spool_unwritten(spool) + bytes <= spool->options.max &&
           spool->end - spool->front < EZ_SPOOL_BATCHES_MAX;
}

bool ez_spool_add(ez_spool *spool, ez_slice body, uint32_t rows) {
    uint8_t *copy = malloc(body.len == 0 ? 1 : body.len);
    ez_spool_entry *entry = copy == NULL ? NULL : ez_spool_push(spool);
    if (entry == NULL) {
        free(copy);
        return false;
    }
    memcpy(copy, body.data, body.len);
    *entry = (ez_spool_entry){.epoch = spool->epoch,
                              .sequence = spool->next_sequence++,
                              .body = copy,
                              .len = (uint32_t)body.len,
                              .rows = rows};
    spool->memory += body.len;
    spool->info.rows += rows;
    return true;
}

// ---- Segments ----

bool ez_spool_add_segment(ez_spool *spool, ez_segment *segment) {
    if (spool->segment_count == spool->segment_room) {
        size_t room = spool->segment_room == 0 ? 16 : 2 * spool->segment_room;
        ez_segment **segments = reallocarray(spool->segments, room, sizeof(ez_segment *));
        if (segments == NULL) {
            return false;
        }
        spool->segments = segments;
        spool->segment_room = room;
    }
    if (spool->segment_count > 0) {
        spool->file_bytes += spool->segments[spool->segment_count - 1]->size;
    }
    spool->segments[spool->segment_count++] = segment;
    return true;
}

static ez_status begin_segment(ez_spool *spool, ez_error *error) {
    char name[EZ_SEGMENT_NAME];
    ez_spool_segment_name(spool, spool->next_number, name);
    ez_segment *segment = NULL;
    ez_status status = ez_segment_create(spool->options.dir, name, (uint8_t)spool->options.stream, spool->next_number,
                                         spool->info.note, &spool->options.keys[0], &segment, error);
    if (status != EZ_OK) {
        return status;
    }
    if (!ez_spool_add_segment(spool, segment)) {
        ez_segment_remove(segment);
        return no_memory(error);
    }
    spool->next_number++;
    return EZ_OK;
}

static uint64_t segment_bytes(const ez_spool *spool) {
    uint64_t part = spool->options.max / 8;
    return part < EZ_SEGMENT_BYTES ? part : EZ_SEGMENT_BYTES;
}

ez_status ez_spool_active(ez_spool *spool, ez_segment **out, ez_error *error) {
    ez_segment *last = spool->segment_count == 0 ? NULL : spool->segments[spool->segment_count - 1];
    if (last == NULL || last->key != &spool->options.keys[0] || last->size >= segment_bytes(spool)) {
        ez_status status = begin_segment(spool, error);
        if (status != EZ_OK) {
            return status;
        }
    }
    *out = spool->segments[spool->segment_count - 1];
    return EZ_OK;
}

ez_status ez_spool_write_mark(ez_spool *spool, const ez_record *record, bool is_durable, ez_error *error) {
    if (spool->segment_count == 0) {
        return EZ_OK; // nothing that it could be about is on disk
    }
    ez_segment *active = NULL;
    ez_status status = ez_spool_active(spool, &active, error);
    ez_buf_clear(&spool->records);
    if (status == EZ_OK) {
        status = ez_segment_encode(active, record, (ez_slice){0}, &spool->records, error);
    }
    return status == EZ_OK ? ez_segment_append(active, &spool->records, is_durable, error) : status;
}

// The oldest segment, with the batches in it.
static void remove_oldest(ez_spool *spool) {
    ez_segment *oldest = spool->segments[0];
    for (; spool->first < spool->front &&
           (spool->entries[spool->first].segment == oldest || spool->entries[spool->first].segment == NULL);
         spool->first++) {
        ez_spool_drop_body(spool, &spool->entries[spool->first]);
    }
    spool->segment_count--;
    memmove(spool->segments, spool->segments + 1, spool->segment_count * sizeof(ez_segment *));
    spool->file_bytes -= oldest->size;
    ez_segment_remove(oldest);
}

void ez_spool_trim(ez_spool *spool) {
    while (spool->first < spool->front && spool->entries[spool->first].segment == NULL) {
        ez_spool_drop_body(spool, &spool->entries[spool->first++]);
    }
    if (spool->segment_count > 0 && spool->front == spool->end &&
        spool->segments[spool->segment_count - 1]->size >=
            (segment_bytes(spool) < RECYCLE ? segment_bytes(spool) : RECYCLE)) {
        ez_status status = begin_segment(spool, NULL);
        (void)status; // a full disk: the old one stays, and is tried again
    }
    while (spool->segment_count > 1 && spool->segments[0]->held == 0) {
        remove_oldest(spool);
    }
}

// ---- Commits ----

// How many entries from at on have one epoch and sequences without a hole.
static size_t run_of(const ez_spool *spool, size_t at) {
    size_t end = at + 1;
    while (end < spool->end && spool->entries[end].epoch == spool->entries[at].epoch &&
           spool->entries[end].sequence == spool->entries[at].sequence + (end - at)) {
        end++;
    }
    return end - at;
}

static ez_status encode_batch(ez_spool *spool, ez_segment *active, ez_spool_entry *entry, ez_error *error) {
    const ez_record record = {.type = EZ_RECORD_BATCH, .rows = entry->rows, .a = entry->epoch, .b = entry->sequence};
    uint64_t offset = active->size + spool->records.len;
    const ez_slice body = {entry->body, entry->is_hollow ? 0 : entry->len};
    ez_status status = ez_segment_encode(active, &record, body, &spool->records, error);
    entry->offset = offset;
    return status;
}

// A run of batches and what ends it, in one write.
static ez_status commit_run(ez_spool *spool, size_t at, size_t count, uint64_t note, ez_error *error) {
    ez_segment *active = NULL;
    ez_status status = ez_spool_active(spool, &active, error);
    ez_buf_clear(&spool->records);
    for (size_t i = at; i < at + count && status == EZ_OK; i++) {
        status = encode_batch(spool, active, &spool->entries[i], error);
    }
    const ez_record end = {.type = EZ_RECORD_COMMIT,
                           .rows = (uint32_t)count,
                           .a = note,
                           .b = count == 0 ? 0 : spool->entries[at].sequence,
                           .c = count == 0 ? 0 : spool->entries[at].epoch};
    if (status == EZ_OK) {
        status = ez_segment_encode(active, &end, (ez_slice){0}, &spool->records, error);
    }
    if (status == EZ_OK) {
        status = ez_segment_append(active, &spool->records, true, error);
    }
    for (size_t i = at; i < at + count && status == EZ_OK; i++) {
        ez_spool_entry *entry = &spool->entries[i];
        entry->segment = active;
        active->held++;
        if (spool->memory > EZ_SPOOL_KEEP) {
            ez_spool_drop_body(spool, entry);
        }
    }
    return status;
}

bool ez_spool_is_committed(const ez_spool *spool) {
    return spool->options.dir < 0 || spool->written == spool->end || spool->front == spool->end;
}

ez_status ez_spool_commit(ez_spool *spool, uint64_t note, ez_error *error) {
    ez_status status = EZ_OK;
    if (spool->options.dir < 0) {
        spool->info.note = note;
        return EZ_OK;
    }
    if (spool->written < spool->front) {
        spool->written = spool->front; // was sent before it could be written
    }
    while (spool->written < spool->end && status == EZ_OK) {
        size_t count = run_of(spool, spool->written);
        bool is_last = spool->written + count == spool->end;
        status = commit_run(spool, spool->written, count, is_last ? note : spool->info.note, error);
        if (status == EZ_OK) {
            spool->written += count;
            spool->info.note = is_last ? note : spool->info.note;
        }
    }
    if (status == EZ_OK && spool->info.note != note && bytes_of(spool) > spool->options.max + NOTES_MAX) {
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "SPOOL_FULL", "The spool of %s is full.",
                            ez_spool_name(spool->options.stream));
    }
    if (status == EZ_OK && spool->info.note != note) {
        status = commit_run(spool, spool->end, 0, note, error);
        spool->info.note = status == EZ_OK ? note : spool->info.note;
    }
    if (spool->records.cap > EZ_SPOOL_BODY_MAX) {
        ez_buf_fini(&spool->records);
        ez_buf_init(&spool->records, RECORDS_MAX);
    }
    return status;
}

// ---- The front ----

static ez_status read_body(ez_spool *spool, ez_spool_entry *entry, ez_error *error) {
    ez_buf_clear(&spool->read);
    ez_status status = ez_segment_read(entry->segment, entry->offset, &spool->read, error);
    if (status != EZ_DATA_LOSS) {
        return status;
    }
    ez_log_error("a batch in the spool is damaged: what it held is lost", "stream",
                 ez_spool_name(spool->options.stream), "file", entry->segment->name, "rows", EZ_LOG_INT(entry->rows));
    spool->info.damaged++;
    entry->is_hollow = true;
    ez_buf_clear(&spool->read);
    return EZ_OK;
}

ez_status ez_spool_front(ez_spool *spool, ez_spool_batch *out, bool *has, ez_error *error) {
    *has = spool->front < spool->end;
    if (!*has) {
        return EZ_OK;
    }
    ez_spool_entry *entry = &spool->entries[spool->front];
    ez_slice body = {entry->body, entry->len};
    if (entry->body == NULL && !entry->is_hollow && entry->segment != NULL) {
        ez_status status = read_body(spool, entry, error);
        if (status != EZ_OK) {
            return status;
        }
        body = (ez_slice){spool->read.data, spool->read.len};
    }
    *out = (ez_spool_batch){.epoch = entry->epoch,
                            .sequence = entry->sequence,
                            .rows = entry->is_hollow ? 0 : entry->rows,
                            .body = entry->is_hollow ? (ez_slice){0} : body};
    return EZ_OK;
}

void ez_spool_get_info(const ez_spool *spool, ez_spool_info *out) {
    *out = spool->info;
    out->batches = spool->end - spool->front;
    out->bytes = bytes_of(spool);
    out->epoch = spool->epoch;
}
