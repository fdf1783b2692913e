// SPDX-License-Identifier: Apache-2.0
//
// Streams of rows. Nothing is owned.
//
// Awkward: a stream that breaks before its first row was handed on is simply started again on a new connection; after
// that it fails, for the caller has seen half of it.
#include "server/state/store/postgres/stream.h"

#include "proto/runtime/clock.h"

static ez_status take_rows(ez_pg_conn *conn, ez_pg_stream *run, uint64_t deadline, ez_error *error) {
    for (;;) {
        ez_pg_autoclear PGresult *result = NULL;
        ez_status status =
            ez_pg_next(conn, run->is_reader ? deadline : ez_clock_mono_ms() + EZ_PG_IDLE_MS, &result, error);
        if (status || !result)
            return status;
        ExecStatusType got = PQresultStatus(result);
        if (got == PGRES_SINGLE_TUPLE) {
            run->started = true;
            status = run->row(run->user, result, error);
        } else if (got != PGRES_TUPLES_OK) {
            status = ez_pg_fail(conn, result, error);
        }
        if (status) {
            if (conn->pg && ez_pg_drain(conn, ez_clock_mono_ms() + EZ_PG_IDLE_MS, NULL) != EZ_OK)
                ez_pg_drop(conn);
            return status;
        }
    }
}

ez_status ez_pg_stream_within(ez_pg_conn *conn, ez_pg_stream *run, uint64_t deadline, ez_error *error) {
    ez_status status = ez_pg_send(conn, run->text, run->params, error);
    if (!status && !PQsetSingleRowMode(conn->pg))
        status = ez_pg_lost(conn, error);
    return status ? status : take_rows(conn, run, deadline, error);
}

static ez_status run_once(ez_pg_conn *conn, ez_pg_stream *run, ez_error *error) {
    static const char begin[] = "BEGIN READ ONLY; SET LOCAL statement_timeout = '20s'";
    uint64_t deadline = ez_clock_mono_ms() + (run->is_reader ? EZ_PG_READER_MS : EZ_PG_COMMIT_MS);
    ez_status status = ez_pg_ready(conn, !run->is_reader && !run->is_brief, deadline, error);
    if (status)
        return status;
    if (run->is_reader)
        status = ez_pg_exec(conn, begin, NULL, deadline, error);
    if (!status)
        status = ez_pg_stream_within(conn, run, deadline, error);
    if (run->is_reader)
        ez_pg_rollback(conn); // nothing was changed
    return status;
}

ez_status ez_pg_stream_run(ez_pg_conn *conn, ez_pg_stream *run, ez_error *error) {
    bool was_connected = conn->pg != NULL;
    ez_status status = run_once(conn, run, error);
    if (status && was_connected && !conn->pg && !run->started)
        status = run_once(conn, run, error);
    return status;
}
