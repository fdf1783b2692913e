// SPDX-License-Identifier: Apache-2.0
//
// A reader's transaction, and what it sets for its queries.
//
// Awkward: a table that was not analyzed yet, as today's partition, makes PostgreSQL guess far too few rows, and then
// reading all of them and sorting looks cheaper than going through an index until the page is full.
#include "server/state/store/postgres/snapshot.h"

#include "proto/runtime/clock.h"

#define BEGIN                                                                                                          \
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '20s'; SET LOCAL jit = off; "      \
    "SET LOCAL max_parallel_workers_per_gather = 0"

// Besides: no compiling, which takes longer than the query, and no helping processes, which are missing where records
// are taken in. Groups are made in a hash table, for which there is room; rows are too wide to be sorted.
const char ez_pg_begin_sums[] = BEGIN "; SET LOCAL work_mem = '64MB'; SET LOCAL enable_sort = off";
const char ez_pg_begin_pages[] =
    BEGIN "; SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = off";

static ez_status run_once(ez_pg_conn *conn, const char *begin, ez_pg_snapshot_fn *run, void *user, ez_error *error) {
    ez_pg_snapshot within = {.conn = conn, .deadline = ez_clock_mono_ms() + EZ_PG_READER_MS};
    ez_status status = ez_pg_ready(conn, false, within.deadline, error);
    if (!status)
        status = ez_pg_exec(conn, begin, NULL, within.deadline, error);
    if (!status)
        status = run(&within, user, error);
    ez_pg_rollback(conn); // nothing was changed
    return status;
}

ez_status ez_pg_snapshot_run(ez_pg_conn *conn, const char *begin, ez_pg_snapshot_fn *run, void *user,
                             const bool *started, ez_error *error) {
    bool was_connected = conn->pg != NULL;
    ez_status status = run_once(conn, begin, run, user, error);
    if (status && was_connected && !conn->pg && !*started)
        status = run_once(conn, begin, run, user, error);
    return status;
}
