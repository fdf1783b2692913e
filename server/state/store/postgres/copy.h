// SPDX-License-Identifier: Apache-2.0
//
// COPY … FROM STDIN in PostgreSQL's binary form, within a transaction and outside of pipeline mode. Rows leave in
// pieces while they are made, so that the server works meanwhile. After an error the transaction is to be rolled back.
// Owned by one thread.
#pragma once

#include "proto/runtime/buf.h"
#include "server/state/store/postgres/attempt.h"

typedef struct ez_pg_copy {
    ez_pg_attempt *try;
    ez_buf piece;
} ez_pg_copy;

void ez_pg_copy_init(ez_pg_copy *copy, ez_pg_attempt *try);
void ez_pg_copy_fini(ez_pg_copy *copy);
ez_status ez_pg_copy_start(ez_pg_copy *copy, const char *text, ez_error *error) EZ_MUST_CHECK;
// A row begins; its values follow, one for each column.
ez_status ez_pg_copy_row(ez_pg_copy *copy, int columns, ez_error *error) EZ_MUST_CHECK;
void ez_pg_copy_int(ez_pg_copy *copy, int64_t value);
void ez_pg_copy_bytes(ez_pg_copy *copy, ez_slice value); // texts too
// Sends what is left; the server may still be at work.
ez_status ez_pg_copy_end(ez_pg_copy *copy, ez_error *error) EZ_MUST_CHECK;
// Waits for the end.
ez_status ez_pg_copy_finish(ez_pg_copy *copy, ez_error *error) EZ_MUST_CHECK;
