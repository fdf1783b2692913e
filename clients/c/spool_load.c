// SPDX-License-Identifier: Apache-2.0
//
// What earlier processes left in the spool's directory, read in the order in which it was written: batches count once
// their commit is there, what was acknowledged is not sent again. Awkward: a batch that is damaged leaves a hole. Where
// its head can be read it is sent without rows, so that the sequences behind it stay good; where not, the server tells
// of the gap and the rest gets an epoch of its own.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clients/c/spool_private.h"
#include "proto/runtime/log.h"

#define SEGMENTS_MAX 262144

// One segment being read. Entries from committed on are those whose commit has not come yet.
typedef struct loading {
    ez_spool *spool;
    ez_segment *segment;
    size_t committed;
    uint64_t good_end; // of the last record that counts
    bool has_failed;
} loading;

void ez_spool_segment_name(const ez_spool *spool, uint64_t number, char out[EZ_SEGMENT_NAME]) {
    snprintf(out, EZ_SEGMENT_NAME, "%s-%016" PRIx64 EZ_SEGMENT_SUFFIX, ez_spool_name(spool->options.stream), number);
}

// ---- Records ----

// What was not committed when the same batch comes again is what a failed write left behind.
static void forget_repeated(loading *load, const ez_record *record) {
    for (size_t i = load->committed; i < load->spool->end; i++) {
        const ez_spool_entry *entry = &load->spool->entries[i];
        if (entry->epoch == record->a && entry->sequence == record->b) {
            load->spool->end = i;
        }
    }
}

static void take_batch(loading *load, const ez_record *record) {
    forget_repeated(load, record);
    ez_spool_entry *entry = ez_spool_push(load->spool);
    if (entry == NULL) {
        load->has_failed = true;
        return;
    }
    uint32_t len = record->body_len > EZ_SEAL_OVERHEAD ? record->body_len - EZ_SEAL_OVERHEAD : 0;
    *entry = (ez_spool_entry){.epoch = record->a,
                              .sequence = record->b,
                              .segment = load->segment,
                              .offset = record->offset,
                              .len = len,
                              .rows = record->rows,
                              .is_hollow = record->is_damaged || len == 0};
    if (record->is_damaged) {
        load->spool->info.damaged++;
        ez_log_error("a batch in the spool is damaged: what it held is lost", "file", load->segment->name, "rows",
                     EZ_LOG_INT(record->rows));
    }
}

static void take_commit(loading *load, const ez_record *record) {
    ez_spool *spool = load->spool;
    size_t kept = load->committed;
    for (size_t i = load->committed; i < spool->end; i++) {
        ez_spool_entry *entry = &spool->entries[i];
        bool is_of_it =
            entry->epoch == record->c && entry->sequence >= record->b && entry->sequence - record->b < record->rows;
        if (is_of_it) {
            spool->info.rows += entry->rows;
            load->segment->held++;
            spool->entries[kept++] = *entry;
        }
    }
    load->committed = spool->end = kept;
    spool->info.note = record->a;
}

static bool find(const loading *load, uint64_t epoch, uint64_t sequence, size_t *out) {
    for (size_t i = load->spool->front; i < load->committed; i++) {
        if (load->spool->entries[i].epoch == epoch && load->spool->entries[i].sequence == sequence) {
            *out = i;
            return true;
        }
    }
    return false;
}

static void take_relabel(loading *load, const ez_record *record) {
    ez_spool *spool = load->spool;
    for (size_t i = spool->first; i < load->committed; i++) {
        ez_spool_entry *entry = &spool->entries[i];
        if (entry->epoch != record->a || entry->sequence < record->b || entry->sequence - record->b >= record->rows) {
            continue;
        }
        entry->epoch = record->c;
        entry->sequence -= record->b - 1;
        if (entry->is_acknowledged) {
            entry->is_acknowledged = false;
            entry->segment->held++;
            spool->info.rows += entry->rows;
            spool->front = i < spool->front ? i : spool->front;
        }
    }
}

static void take_record(void *user, const ez_record *record) {
    loading *load = user;
    size_t at;
    bool is_whole = true;
    switch (record->type) {
    case EZ_RECORD_BATCH:
        take_batch(load, record);
        is_whole = false;
        break;
    case EZ_RECORD_COMMIT:
        take_commit(load, record);
        break;
    case EZ_RECORD_ACK:
        if (find(load, record->a, record->b, &at)) {
            ez_spool_take(load->spool, at);
        }
        break;
    case EZ_RECORD_RELABEL:
        take_relabel(load, record);
        break;
    case EZ_RECORD_HOLLOW:
        if (find(load, record->a, record->b, &at)) {
            load->spool->entries[at].is_hollow = true;
        }
        break;
    default: // of a later version
        break;
    }
    if (is_whole && load->spool->end == load->committed) {
        load->good_end = record->offset + EZ_RECORD_HEAD + record->body_len;
    }
}

// ---- Segments ----

static ez_status read_segment(ez_spool *spool, ez_segment *segment, bool is_last, ez_error *error) {
    loading load = {.spool = spool, .segment = segment, .committed = spool->end, .good_end = EZ_SEGMENT_HEAD};
    uint64_t skipped = 0;
    spool->info.note = segment->note;
    ez_status status = ez_segment_scan(segment, take_record, &load, &skipped, error);
    if (status == EZ_OK && load.has_failed) {
        status = ez_error_set(error, EZ_UNAVAILABLE, "NO_MEMORY", "There is no memory for the spool's batches.");
    }
    spool->end = load.committed;
    if (status != EZ_OK) {
        return status;
    }
    uint64_t torn = segment->size - load.good_end;
    if (skipped > torn) {
        spool->info.damaged++;
        ez_log_error("a spool file is damaged: what can't be read of it is lost", "file", segment->name, "bytes",
                     EZ_LOG_INT(skipped - torn));
    }
    if (torn == 0) {
        return EZ_OK;
    }
    if (!is_last) {
        spool->info.damaged++;
        ez_log_error("the end of a spool file is damaged", "file", segment->name, "bytes", EZ_LOG_INT(torn));
        return EZ_OK;
    }
    ez_log_warn("the end of a spool file was being written when its process ended; it is cut off", "file",
                segment->name, "bytes", EZ_LOG_INT(torn));
    spool->info.torn += torn;
    segment->size = load.good_end;
    return ez_segment_cut(segment, error);
}

static ez_status set_aside(ez_spool *spool, const char *name, const ez_error *why, ez_error *error) {
    char aside[EZ_SEGMENT_NAME + 16];
    snprintf(aside, sizeof aside, "%s.damaged", name);
    spool->info.damaged++;
    ez_log_error("a spool file can't be used and is set aside", "file", name, "reason", why->message);
    if (renameat(spool->options.dir, name, spool->options.dir, aside) != 0) {
        return ez_error_set(error, EZ_UNAVAILABLE, "SPOOL_IO", "The spool file %s can't be renamed: %s.", name,
                            strerror(errno));
    }
    return EZ_OK;
}

static ez_status load_segment(ez_spool *spool, uint64_t number, bool is_last, ez_error *error) {
    char name[EZ_SEGMENT_NAME];
    ez_spool_segment_name(spool, number, name);
    spool->next_number = number + 1;
    ez_segment *segment = NULL;
    ez_error why;
    ez_error_clear(&why);
    ez_status status = ez_segment_open(spool->options.dir, name, (uint8_t)spool->options.stream, number,
                                       spool->options.keys, spool->options.key_count, &segment, &why);
    if (status == EZ_DATA_LOSS && is_last && strcmp(why.reason, "SPOOL_TORN") == 0) {
        (void)unlinkat(spool->options.dir, name, 0); // nothing was ever in it
        return EZ_OK;
    }
    if (status == EZ_DATA_LOSS) {
        return set_aside(spool, name, &why, error);
    }
    if (status != EZ_OK) {
        return ez_error_copy(error, &why);
    }
    if (!ez_spool_add_segment(spool, segment)) {
        ez_segment_close(segment);
        return ez_error_set(error, EZ_UNAVAILABLE, "NO_MEMORY", "There is no memory for the spool's files.");
    }
    return read_segment(spool, segment, is_last, error);
}

// ---- The directory ----

typedef struct numbers {
    uint64_t *list;
    size_t count;
} numbers;

static int by_number(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static bool is_segment(const ez_spool *spool, const char *name, uint64_t *number) {
    char want[EZ_SEGMENT_NAME];
    const char *stream = ez_spool_name(spool->options.stream);
    size_t len = strlen(stream);
    if (strncmp(name, stream, len) != 0 || name[len] != '-') {
        return false;
    }
    *number = strtoull(name + len + 1, NULL, 16);
    ez_spool_segment_name(spool, *number, want);
    return strcmp(name, want) == 0;
}

static ez_status list_segments(const ez_spool *spool, numbers *out, ez_error *error) {
    int fd = openat(spool->options.dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    out->list = calloc(SEGMENTS_MAX, sizeof *out->list);
    if (dir == NULL || out->list == NULL) {
        ez_status status = ez_error_set(error, EZ_UNAVAILABLE, "SPOOL_IO", "The spool's directory can't be read: %s.",
                                        strerror(errno));
        if (dir != NULL) {
            closedir(dir);
        } else if (fd >= 0) {
            close(fd);
        }
        return status;
    }
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL && out->count < SEGMENTS_MAX) {
        out->count += is_segment(spool, entry->d_name, &out->list[out->count]);
    }
    closedir(dir);
    if (out->count == SEGMENTS_MAX) {
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "SPOOL_FILES", "The spool has more than %d files.",
                            SEGMENTS_MAX);
    }
    qsort(out->list, out->count, sizeof *out->list, by_number);
    return EZ_OK;
}

ez_status ez_spool_load(ez_spool *spool, ez_error *error) {
    numbers found = {0};
    ez_status status = list_segments(spool, &found, error);
    for (size_t i = 0; i < found.count && status == EZ_OK; i++) {
        status = load_segment(spool, found.list[i], i + 1 == found.count, error);
    }
    free(found.list);
    spool->written = spool->end;
    spool->info.restored = spool->end - spool->front;
    return status;
}
