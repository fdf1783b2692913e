// SPDX-License-Identifier: Apache-2.0
//
// Forgetting closed alerts in SQLite, a few at a time.
#include "server/state/store/alert_trim.h"
#include "server/state/store/sqlite/alerts.h"

static ez_status read_ended(ez_sqlite_conn *conn, int64_t before_ns, ez_alert_trim *trim, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(conn, EZ_SQLITE_ENDED_ALERTS, &statement, error);
    if (status)
        return status;
    sqlite3_bind_int64(statement, 1, before_ns);
    sqlite3_bind_int64(statement, 2, (int64_t)trim->max_rows);
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW)
        ez_alert_trim_take(trim, sqlite3_column_int64(statement, 0), sqlite3_column_int(statement, 1),
                           sqlite3_column_int(statement, 2), sqlite3_column_int(statement, 3));
    if (code != SQLITE_DONE)
        status = ez_sqlite_fail(conn, code, error);
    sqlite3_reset(statement);
    return status;
}

static ez_status delete_taken(ez_sqlite_conn *conn, const ez_alert_trim *trim, ez_error *error) {
    ez_status status = EZ_OK;
    for (size_t i = 0; !status && i < trim->count; i++)
        status = ez_sqlite_run_numbers(conn, EZ_SQLITE_DELETE_ALERT, &trim->ids[i], 1, error);
    return status;
}

// What is to be forgotten, and the head that goes with it.
static ez_status look(ez_sqlite_conn *conn, const ez_alert_limits *limits, ez_alert_trim *trim, int64_t *next_id,
                      int64_t *total, ez_error *error) {
    ez_status status = ez_sqlite_read_alert_head(conn, next_id, total, error);
    if (status)
        return status;
    ez_alert_trim_begin(trim, limits, *total);
    return read_ended(conn, ez_alert_trim_before(trim, limits), trim, error);
}

static ez_status trim_all(ez_sqlite_conn *conn, const ez_alert_limits *limits, ez_alert_trim *trim, ez_error *error) {
    int64_t next_id = 0, total = 0;
    ez_status status = look(conn, limits, trim, &next_id, &total, error);
    if (!status)
        status = delete_taken(conn, trim, error);
    if (!status)
        status = ez_sqlite_add_alert_counts(conn, &trim->deltas, error);
    return status || trim->count == 0 ? status
                                      : ez_sqlite_write_alert_head(conn, next_id, total - (int64_t)trim->count, error);
}

// Mostly there is nothing: that is seen without a transaction that writes.
ez_status ez_sqlite_trim_alerts(void *db, uint64_t fence, const ez_alert_limits *limits, size_t max_rows, bool *more,
                                ez_error *error) {
    ez_sqlite_conn *conn = &((ez_sqlite *)db)->conn;
    size_t rows = max_rows < EZ_ALERT_TRIM_ROWS ? max_rows : EZ_ALERT_TRIM_ROWS;
    ez_alert_trim trim = {.max_rows = rows};
    int64_t next_id = 0, total = 0;
    ez_status status = look(conn, limits, &trim, &next_id, &total, error);
    if (!status && trim.count == 0)
        *more = false;
    if (status || trim.count == 0)
        return status;
    trim.max_rows = rows;
    status = ez_sqlite_run_kept(conn, EZ_SQLITE_BEGIN, error);
    if (!status)
        status = ez_sqlite_check_fence(conn, fence, error);
    if (!status)
        status = trim_all(conn, limits, &trim, error);
    status = ez_sqlite_end(conn, status, error);
    if (!status)
        *more = trim.has_more;
    return status;
}
