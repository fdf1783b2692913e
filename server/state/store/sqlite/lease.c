// SPDX-License-Identifier: Apache-2.0
//
// The lease in SQLite: the process that has the file is the only server, so it takes the lease whoever had it, and
// keeps it for as long as it lives. The token goes up all the same, and fences are checked as anywhere.
#include <stdio.h>

#include "server/state/store/sqlite/db.h"

static ez_status run_with(ez_sqlite_conn *conn, const char *text, const char *holder, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_prepare(conn, text, &statement, error);
    if (status)
        return status;
    ez_sqlite_bind_text(statement, 1, holder);
    status = ez_sqlite_run(conn, statement, error);
    sqlite3_finalize(statement);
    return status;
}

static ez_status read_lease(ez_sqlite_conn *conn, ez_store_lease *out, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status =
        ez_sqlite_prepare(conn, "SELECT token, holder FROM leases WHERE name = 'jobs'", &statement, error);
    if (status)
        return status;
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        out->token = (uint64_t)sqlite3_column_int64(statement, 0);
        snprintf(out->holder, sizeof out->holder, "%s", (const char *)sqlite3_column_text(statement, 1));
    } else if (code == SQLITE_DONE) {
        status = ez_error_set(error, EZ_DATA_LOSS, "STORE_CORRUPT",
                              "%s has no row for the lease: restore it from a backup", conn->path);
    } else {
        status = ez_sqlite_fail(conn, code, error);
    }
    sqlite3_finalize(statement);
    return status;
}

ez_status ez_sqlite_take_lease(void *db, const char *holder, uint32_t ttl_ms, uint32_t timeout_ms, ez_store_lease *out,
                               ez_error *error) {
    (void)ttl_ms, (void)timeout_ms;
    ez_sqlite_conn *conn = &((ez_sqlite *)db)->conn;
    ez_store_lease got;
    ez_status status = run_with(
        conn, "UPDATE leases SET token = token + 1, holder = $1 WHERE name = 'jobs' AND holder <> $1", holder, error);
    if (!status)
        status = read_lease(conn, &got, error);
    if (!status)
        *out = got;
    return status;
}

ez_status ez_sqlite_drop_lease(void *db, const char *holder, uint32_t timeout_ms, ez_error *error) {
    (void)timeout_ms;
    return run_with(&((ez_sqlite *)db)->conn, "UPDATE leases SET holder = '' WHERE name = 'jobs' AND holder = $1",
                    holder, error);
}

ez_status ez_sqlite_check_fence(ez_sqlite_conn *conn, uint64_t fence, ez_error *error) {
    if (fence == EZ_NO_FENCE)
        return EZ_OK;
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(conn, EZ_SQLITE_CHECK_FENCE, &statement, error);
    if (status)
        return status;
    sqlite3_bind_int64(statement, 1, ez_sql_n(fence));
    int code = sqlite3_step(statement);
    if (code == SQLITE_DONE)
        status = ez_sql_lease_lost(error);
    else if (code != SQLITE_ROW)
        status = ez_sqlite_fail(conn, code, error);
    sqlite3_reset(statement);
    return status;
}
