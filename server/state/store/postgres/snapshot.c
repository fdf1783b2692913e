// SPDX-License-Identifier: Apache-2.0
//
// A reader's transaction. Its settings are for queries that add many rows up: no compiling (which takes longer than the
// query), no helping processes (which are missing where records are taken in), and room for a hash table of groups.
#include "server/state/store/postgres/snapshot.h"

#include "proto/runtime/clock.h"

static ez_status run_once(ez_pg_conn *conn, ez_pg_snapshot_fn *run, void *user, ez_error *error) {
    static const char begin[] =
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '20s'; SET LOCAL jit = off; "
        "SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL work_mem = '64MB'";
    ez_pg_snapshot within = {.conn = conn, .deadline = ez_clock_mono_ms() + EZ_PG_READER_MS};
    ez_status status = ez_pg_ready(conn, false, within.deadline, error);
    if (!status)
        status = ez_pg_exec(conn, begin, NULL, within.deadline, error);
    if (!status)
        status = run(&within, user, error);
    ez_pg_rollback(conn); // nothing was changed
    return status;
}

ez_status ez_pg_snapshot_run(ez_pg_conn *conn, ez_pg_snapshot_fn *run, void *user, const bool *started,
                             ez_error *error) {
    bool was_connected = conn->pg != NULL;
    ez_status status = run_once(conn, run, user, error);
    if (status && was_connected && !conn->pg && !*started)
        status = run_once(conn, run, user, error);
    return status;
}
