// SPDX-License-Identifier: Apache-2.0
//
// ez_rows: the configuration a session holds, by (kind, id), with its digest. Internal to libezplane. Owned by one
// session and touched by its worker alone. A row's pointer is good until the next add or remove.
#pragma once

#include "proto/crypto/digest.h"
#include "proto/runtime/frame.h"

#define EZ_REASON_MAX   512
#define EZ_REASONS_KEPT 100 // as many as one report carries

// What a row was made of. One allocation: bytes, then the secret.
typedef struct ez_row_data {
    uint32_t len;
    uint32_t secret_len;
    uint8_t bytes[];
} ez_row_data;

// 64 bytes: a simulator holds thousands of tables.
typedef struct ez_row {
    uint8_t hash[EZ_DIGEST_LEN];
    int64_t id;
    uint64_t secret_version;
    ez_row_data *data;      // NULL where bytes are not kept, or nothing is held
    uint64_t revision : 38; // of what is held, as far as it was said; stays at EZ_ROW_REVISION_MAX beyond that
    uint64_t seen : 16;     // the snapshot that had it last
    uint64_t kind : 8;
    uint64_t is_held : 1;     // 0: there never was a good version
    uint64_t is_rejected : 1; // there is a newer version that could not be used
} ez_row;

#define EZ_ROW_REVISION_MAX (((uint64_t)1 << 38) - 1)

// Why a row was rejected.
typedef struct ez_rejection {
    uint8_t kind;
    int64_t id;
    char *reason;
} ez_rejection;

typedef struct ez_rows {
    ez_row *rows;    // dense; a removed one is replaced by the last
    uint32_t *index; // position + 1, linear probing; 0: empty
    uint32_t count, cap, index_cap, max;
    bool keep_bytes;
    uint64_t held, rejected;
    uint64_t bytes; // of data
    uint8_t digest[EZ_DIGEST_LEN];
    ez_rejection rejections[EZ_REASONS_KEPT];
    unsigned rejection_count;
} ez_rows;

void ez_rows_init(ez_rows *rows, uint32_t max, bool keep_bytes);
void ez_rows_fini(ez_rows *rows); // wipes secrets

// NULL where there is none.
ez_row *ez_rows_find(const ez_rows *rows, uint8_t kind, int64_t id);
// The row, made where it is missing (nothing held). NULL where there is no memory, and EZ_REASONS_KEPT rows past max:
// that many may stand in the table only to say that they were rejected.
ez_row *ez_rows_get(ez_rows *rows, uint8_t kind, int64_t id);
void ez_rows_remove(ez_rows *rows, ez_row *row);

// The row now holds this and is no longer rejected. False where there is no memory: nothing changed.
bool ez_rows_hold(ez_rows *rows, ez_row *row, const uint8_t hash[EZ_DIGEST_LEN], uint64_t secret_version,
                  ez_slice resource, ez_slice secret) EZ_MUST_CHECK;
// The row keeps what it holds; why a newer version was not taken. Reasons past EZ_REASONS_KEPT rows are counted, not
// kept.
void ez_rows_reject(ez_rows *rows, ez_row *row, const char *reason);
// What it holds is of this revision.
void ez_rows_date(ez_row *row, uint64_t revision);
// Its newest version is the one held.
void ez_rows_accept(ez_rows *rows, ez_row *row);

ez_slice ez_row_bytes(const ez_row *row);
ez_slice ez_row_secret(const ez_row *row);
