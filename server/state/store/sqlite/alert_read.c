// SPDX-License-Identifier: Apache-2.0
//
// Alerts from SQLite. Rows are handed on as SQLite holds them: they are gone at the next step.
#include "server/state/store/sqlite/alerts.h"
#include "server/state/store/sqlite/look.h"

ez_status ez_sqlite_alert_at(ez_sqlite_conn *conn, sqlite3_stmt *statement, ez_alert_row *out, ez_error *error) {
    int64_t numbers[EZ_SQL_ALERT_NUMBERS];
    const char *texts[EZ_SQL_ALERT_TEXTS];
    for (int i = 0; i < EZ_SQL_ALERT_NUMBERS; i++)
        numbers[i] = sqlite3_column_int64(statement, i);
    for (int i = 0; i < EZ_SQL_ALERT_TEXTS; i++) {
        texts[i] = (const char *)sqlite3_column_text(statement, EZ_SQL_ALERT_NUMBERS + i);
        if (!texts[i])
            return ez_sqlite_fail(conn, SQLITE_NOMEM, error);
    }
    *out = ez_alert_row_of(numbers, texts);
    return EZ_OK;
}

typedef struct give_run {
    ez_sqlite_conn *conn;
    ez_alert_fn *each;
    void *user;
} give_run;

static ez_status give(void *user, sqlite3_stmt *statement, ez_look_place *at, ez_error *error) {
    give_run *run = user;
    ez_alert_row row;
    ez_status status = ez_sqlite_alert_at(run->conn, statement, &row, error);
    if (status)
        return status;
    at->id = row.id;
    return run->each(run->user, &row, error);
}

ez_status ez_sqlite_reader_each_alert(void *reader, const ez_alert_filter *filter, ez_alert_fn *each, void *user,
                                      bool *more, int64_t *at_id, ez_error *error) {
    give_run run = {.conn = reader, .each = each, .user = user};
    ez_alert_page page;
    ez_status status = ez_alert_page_init(&page, filter, EZ_LOOK_SQLITE, error);
    if (!status)
        status = ez_sqlite_look(reader, &page.look, give, &run, error);
    if (!status)
        *at_id = ez_look_stopped(&page.look, more).id;
    return status;
}

ez_status ez_sqlite_reader_find_alert(void *reader, int64_t id, ez_alert_fn *each, void *user, ez_error *error) {
    ez_sqlite_conn *conn = reader;
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(conn, EZ_SQLITE_ALERT_BY_ID, &statement, error);
    if (status)
        return status;
    sqlite3_bind_int64(statement, 1, id);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        status = give(&(give_run){conn, each, user}, statement, &(ez_look_place){0}, error);
    else if (code != SQLITE_DONE)
        status = ez_sqlite_fail(conn, code, error);
    sqlite3_reset(statement);
    return status;
}

ez_status ez_sqlite_reader_count_alerts(void *reader, ez_alert_counts *out, ez_error *error) {
    ez_sqlite_conn *conn = reader;
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_prepare(conn, ez_sql_count_alerts, &statement, error);
    if (status)
        return status;
    *out = (ez_alert_counts){0};
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        unsigned at = (unsigned)sqlite3_column_int(statement, 0), severity = (unsigned)sqlite3_column_int(statement, 1),
                 type = (unsigned)sqlite3_column_int(statement, 2);
        if (at < EZ_ALERT_STATUSES && severity < EZ_ALERT_SEVERITIES && type < EZ_ALERT_TYPES)
            out->n[at][severity][type] = sqlite3_column_int64(statement, 3);
    }
    if (code != SQLITE_DONE)
        status = ez_sqlite_fail(conn, code, error);
    sqlite3_finalize(statement);
    return status;
}

const ez_alert_ops ez_alerts_sqlite = {
    .change = ez_sqlite_change_alerts,
    .trim = ez_sqlite_trim_alerts,
    .reader_each = ez_sqlite_reader_each_alert,
    .reader_find = ez_sqlite_reader_find_alert,
    .reader_count = ez_sqlite_reader_count_alerts,
};
