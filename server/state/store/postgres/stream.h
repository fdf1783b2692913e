// SPDX-License-Identifier: Apache-2.0
//
// A query whose rows are handed on one at a time (libpq's single-row mode), so memory holds one row whatever the
// table's size. What row gets points into that row.
#pragma once

#include "server/state/store/postgres/db.h"

// One row. An error ends the stream.
typedef ez_status ez_pg_row_fn(void *user, const PGresult *row, ez_error *error);

typedef struct ez_pg_stream {
    const char *text;
    const ez_pg_params *params;
    ez_pg_row_fn *row;
    void *user;
    bool is_reader; // a reader's query: bounded on the server too, and no patience with a server that is down
    bool is_brief;  // no patience either: who asks has something else to do, and asks again
    bool started;   // a row was handed on
} ez_pg_stream;

// A stream that breaks before its first row is started again once, on a new connection.
ez_status ez_pg_stream_run(ez_pg_conn *conn, ez_pg_stream *run, ez_error *error) EZ_MUST_CHECK;
// On a connection that is ready, within whatever transaction is open; never again.
ez_status ez_pg_stream_within(ez_pg_conn *conn, ez_pg_stream *run, uint64_t deadline, ez_error *error) EZ_MUST_CHECK;
