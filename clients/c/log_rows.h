// SPDX-License-Identifier: Apache-2.0
//
// ez_log_rows: log records that were added and are not yet in a batch, packed. Internal to libezplane. Not shared
// between threads, but for ez_log_rows_encode.
#pragma once

#include "ez/v1/log.pb-c.h"
#include "proto/runtime/buf.h"
#include "proto/runtime/error.h"
#include "proto/runtime/frame.h"

#define EZ_LOG_ROWS_BYTES  (16u << 20)
#define EZ_LOG_BATCH_ROWS  5000
#define EZ_LOG_BATCH_BYTES (2u << 20)
#define EZ_LOG_BODY_MAX    (64u << 10) // of a request body; what is behind it is cut

typedef struct ez_log_rows {
    ez_buf packed; // field 3 of IngestLogsRequest, again and again
    size_t count;
    size_t at; // what is before it is in a batch
} ez_log_rows;

// max: bytes, at most EZ_LOG_ROWS_BYTES.
void ez_log_rows_init(ez_log_rows *rows, size_t max);
void ez_log_rows_fini(ez_log_rows *rows);
void ez_log_rows_clear(ez_log_rows *rows);

// Checks a record against its schema and packs it. INVALID_ARGUMENT, UNAVAILABLE (NO_MEMORY).
ez_status ez_log_rows_encode(const Ez__V1__LogRecord *record, ez_buf *out, ez_error *error) EZ_MUST_CHECK;
// RESOURCE_EXHAUSTED (LOGS_FULL).
ez_status ez_log_rows_add(ez_log_rows *rows, const ez_buf *encoded, ez_error *error) EZ_MUST_CHECK;
// The next records, as many as a call takes. Returns how many, 0 at the end.
uint32_t ez_log_rows_take(ez_log_rows *rows, ez_slice *out);
