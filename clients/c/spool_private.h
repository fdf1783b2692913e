// SPDX-License-Identifier: Apache-2.0
//
// What the spool's files share: spool.c adds, commits and hands out, spool_load.c reads what an earlier process left,
// spool_answer.c does what the server's answers ask for.
#pragma once

#include "clients/c/spool.h"

typedef struct ez_spool_entry {
    uint64_t epoch, sequence; // as it is sent
    ez_segment *segment;      // NULL: not on disk
    uint64_t offset;
    uint8_t *body; // NULL: on disk only, or empty
    uint32_t len, rows;
    bool is_acknowledged;
    bool is_hollow; // is sent without rows
} ez_spool_entry;

struct ez_spool {
    ez_spool_options options;
    // Batches in order: first … front are acknowledged and held with their segment; front … end are to be sent.
    ez_spool_entry *entries; // count of them from first on
    size_t first, front, end, room;
    size_t written;        // entries before it are committed
    ez_segment **segments; // oldest first; the last one is written to, unless it is another key's
    size_t segment_count, segment_room;
    uint64_t next_number;
    uint64_t file_bytes; // of all segments but the last
    uint64_t memory;     // of bodies
    uint64_t epoch, next_sequence;
    ez_buf read, records;
    ez_spool_info info;
};

#define EZ_SEGMENT_BYTES (8u << 20) // a longer one is followed by a new one

ez_spool_entry *ez_spool_push(ez_spool *spool);
void ez_spool_drop_body(ez_spool *spool, ez_spool_entry *entry);
// The segment that is written to, made where there is none.
ez_status ez_spool_active(ez_spool *spool, ez_segment **out, ez_error *error) EZ_MUST_CHECK;
// One record without a body, in the segment that is written to.
ez_status ez_spool_write_mark(ez_spool *spool, const ez_record *record, bool is_durable, ez_error *error) EZ_MUST_CHECK;
// Lets go of segments of which every batch is acknowledged.
void ez_spool_trim(ez_spool *spool);
ez_status ez_spool_new_epoch(uint64_t *out, ez_error *error) EZ_MUST_CHECK;
bool ez_spool_add_segment(ez_spool *spool, ez_segment *segment) EZ_MUST_CHECK;
void ez_spool_segment_name(const ez_spool *spool, uint64_t number, char out[EZ_SEGMENT_NAME]);
// Marks entries as taken, up to and including this one.
void ez_spool_take(ez_spool *spool, size_t last);
// Gives count entries from at on an epoch of their own, counted from 1.
void ez_spool_relabel(ez_spool *spool, size_t at, uint32_t count, uint64_t epoch);
// Reads the directory. spool_load.c.
ez_status ez_spool_load(ez_spool *spool, ez_error *error) EZ_MUST_CHECK;
