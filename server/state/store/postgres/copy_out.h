// SPDX-License-Identifier: Apache-2.0
//
// COPY … TO STDOUT in PostgreSQL's binary form, of rows of BIGINTs: for hundreds of thousands of them, which as a
// stream (stream.h) cost several times as much here. Memory holds what came in and was not handed on yet, a few KiB.
// What row gets is the row's, until it returns. Nothing is owned.
#pragma once

#include "server/state/store/postgres/db.h"

#define EZ_PG_COPY_COLUMNS_MAX 8

// One row. An error ends the reading.
typedef ez_status ez_pg_numbers_fn(void *user, const int64_t *numbers, ez_error *error);

typedef struct ez_pg_copy_out {
    const char *text; // the whole statement; its query takes no parameters and has no NULL
    int columns;      // at most EZ_PG_COPY_COLUMNS_MAX
    ez_pg_numbers_fn *row;
    void *user;
} ez_pg_copy_out;

// On a connection that is ready, within whatever transaction is open. Where row fails the connection is dropped: that
// is quicker than to read the rest.
ez_status ez_pg_copy_out_run(ez_pg_conn *conn, const ez_pg_copy_out *run, uint64_t deadline,
                             ez_error *error) EZ_MUST_CHECK;
