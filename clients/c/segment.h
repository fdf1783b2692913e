// SPDX-License-Identifier: Apache-2.0
//
// ez_segment: one append-only file of a spool (spool.h). A header that says whose it is, then records, each with a
// checksum over its head and one over its body; bodies are sealed. Internal to libezplane; one thread at a time.
//
//     header   "EZSPOOL1" | stream (1) | 0 (7) | number (8) | note (8) | owner (16) | 0 (8) | checksum (8)
//     record   "EZR1" | type (1) | 0 (3) | body bytes (4) | rows (4) | a (8) | b (8) | c (8) | body checksum (16)
//              | checksum (8) | body
//
// Numbers are little-endian. Checksums are the first bytes of SHA-256; a record's covers owner, stream and number too,
// so that what another file held there before is never taken for this one's.
#pragma once

#include "proto/crypto/seal.h"
#include "proto/runtime/buf.h"
#include "proto/runtime/error.h"
#include "proto/runtime/frame.h"

#define EZ_SEGMENT_HEAD   64
#define EZ_RECORD_HEAD    64
#define EZ_RECORD_MAX     (5u << 20) // bytes of a body
#define EZ_SPOOL_OWNER    16
#define EZ_SEGMENT_NAME   48
#define EZ_SEGMENT_SUFFIX ".spool"

typedef enum ez_record_type {
    EZ_RECORD_BATCH = 1, // a: epoch, b: sequence; the body: packed rows
    EZ_RECORD_COMMIT,    // ends what is written together. a: note, b: first sequence, c: epoch, rows: batches
    EZ_RECORD_ACK,       // a: epoch, b: sequence: that batch, and all before it
    EZ_RECORD_RELABEL,   // a: epoch, b: first sequence, rows: batches; c: their new epoch, in which they begin at 1
    EZ_RECORD_HOLLOW,    // a: epoch, b: sequence: that batch was rejected and is sent without rows
} ez_record_type;

typedef struct ez_record {
    ez_record_type type;
    uint32_t body_len; // sealed
    uint32_t rows;
    uint64_t a, b, c;
    uint64_t offset;
    bool is_damaged; // its head is good, its body is not
} ez_record;

// What a data plane's spool is sealed with, from its token.
typedef struct ez_spool_key {
    ez_sealer *sealer;
    uint8_t owner[EZ_SPOOL_OWNER];
} ez_spool_key;

ez_status ez_spool_key_make(const char *token, ez_spool_key *out, ez_error *error) EZ_MUST_CHECK;
void ez_spool_key_clear(ez_spool_key *key);

typedef struct ez_segment {
    int fd;
    int dir; // its directory; not owned
    uint8_t stream;
    uint64_t number;
    uint64_t note; // of the header
    uint64_t size; // up to the end of the last good record
    const ez_spool_key *key;
    unsigned held; // the spool's: batches of it that are not acknowledged
    char name[EZ_SEGMENT_NAME];
} ez_segment;

// Makes a new file, its header durable, its name too.
ez_status ez_segment_create(int dir, const char *name, uint8_t stream, uint64_t number, uint64_t note,
                            const ez_spool_key *key, ez_segment **out, ez_error *error) EZ_MUST_CHECK;
// Opens one with whichever of the keys it belongs to. DATA_LOSS (SPOOL_TORN): it has no whole header, as after a crash
// while it was made; DATA_LOSS (SPOOL_DAMAGED): the header is damaged; FAILED_PRECONDITION (SPOOL_FOREIGN): it is
// another data plane's.
ez_status ez_segment_open(int dir, const char *name, uint8_t stream, uint64_t number, const ez_spool_key *keys,
                          unsigned key_count, ez_segment **out, ez_error *error) EZ_MUST_CHECK;
// Closes the file, which stays.
void ez_segment_close(ez_segment *segment);
// Closes and deletes it, durably where the system allows.
void ez_segment_remove(ez_segment *segment);

// Gives every record whose head is good, in order; looks for the next one behind what is damaged. *skipped: bytes that
// were passed over. Returns UNAVAILABLE where the file can't be read.
typedef void ez_segment_each(void *user, const ez_record *record);
ez_status ez_segment_scan(ez_segment *segment, ez_segment_each *each, void *user, uint64_t *skipped,
                          ez_error *error) EZ_MUST_CHECK;

// Encodes a record as it would stand in this segment, its body sealed.
ez_status ez_segment_encode(const ez_segment *segment, const ez_record *record, ez_slice body, ez_buf *out,
                            ez_error *error) EZ_MUST_CHECK;
// Appends records that were encoded for it; durable where is_durable. All or nothing: what a failed write left behind
// is cut off, or written over by the next one.
ez_status ez_segment_append(ez_segment *segment, const ez_buf *records, bool is_durable, ez_error *error) EZ_MUST_CHECK;
// Cuts the file off at segment->size.
ez_status ez_segment_cut(ez_segment *segment, ez_error *error) EZ_MUST_CHECK;
// Reads the body of the record at an offset and opens it. DATA_LOSS where it is damaged.
ez_status ez_segment_read(const ez_segment *segment, uint64_t offset, ez_buf *out, ez_error *error) EZ_MUST_CHECK;
