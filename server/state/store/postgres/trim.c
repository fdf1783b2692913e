// SPDX-License-Identifier: Apache-2.0
//
// Forgetting old changes and idempotency records in PostgreSQL, one bounded step in one transaction. The head is locked
// first, as a commit does, so that the two never wait for each other crosswise; another server that trims at the same
// time waits, and then finds less to do.
#include <stdlib.h>

#include "proto/runtime/clock.h"
#include "server/state/store/postgres/db.h"

static const char lock_head[] = "SELECT oldest FROM feed_head WHERE one = 1 FOR UPDATE";
static const char trim_changes[] =
    "WITH old AS (SELECT n, seq FROM changes WHERE n < $1 ORDER BY n, seq LIMIT $2), "
    "gone AS (DELETE FROM changes USING old WHERE changes.n = old.n AND changes.seq = old.seq RETURNING changes.n), "
    "seen AS (SELECT max(n) AS last, count(*) AS count FROM gone), "
    "moved AS (UPDATE feed_head SET oldest = greatest(oldest, last + 1) FROM seen WHERE one = 1 AND count > 0) "
    "SELECT count FROM seen";

static ez_status forget(ez_pg_conn *conn, uint64_t keep_from, int64_t before_ns, int64_t max_rows, bool *more,
                        uint64_t deadline, ez_error *error) {
    ez_pg_params none = {0}, changes = {0}, records = {0};
    ez_pg_put_int(&changes, ez_sql_n(keep_from));
    ez_pg_put_int(&changes, max_rows);
    ez_pg_put_int(&records, before_ns);
    ez_pg_put_int(&records, max_rows);
    ez_pg_autoclear PGresult *changed = NULL, *forgotten = NULL;
    ez_status status = ez_pg_exec(conn, "BEGIN", NULL, deadline, error);
    if (!status)
        status = ez_pg_exec(conn, ez_pg_settings, &none, deadline, error);
    if (!status)
        status = ez_pg_exec(conn, lock_head, &none, deadline, error);
    if (!status)
        status = ez_pg_run(conn, trim_changes, &changes, deadline, &changed, error);
    if (!status)
        status = ez_pg_run(conn, ez_sql_trim_idempotent, &records, deadline, &forgotten, error);
    if (!status)
        status = ez_pg_exec(conn, "COMMIT", NULL, deadline, error);
    if (status)
        ez_pg_rollback(conn);
    else
        *more = ez_pg_int(changed, 0, 0) == max_rows || strtoll(PQcmdTuples(forgotten), NULL, 10) == max_rows;
    return status;
}

// Forgetting twice does no harm, so a lost connection needs no care about when it was lost.
ez_status ez_pg_trim(void *db, uint64_t keep_from, int64_t before_ns, size_t max_rows, bool *more, ez_error *error) {
    ez_pg_conn *conn = &((ez_pg *)db)->conn;
    uint64_t deadline = ez_clock_mono_ms() + EZ_PG_COMMIT_MS;
    for (int tries = 1;; tries++) {
        ez_status status = ez_pg_ready(conn, true, deadline, error);
        if (status)
            return status;
        status = forget(conn, keep_from, before_ns, ez_sql_n(max_rows), more, deadline, error);
        if (status != EZ_UNAVAILABLE || tries == 3)
            return status;
    }
}
