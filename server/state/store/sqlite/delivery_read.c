// SPDX-License-Identifier: Apache-2.0
//
// Webhook deliveries from SQLite.
#include "server/state/store/log_query.h"
#include "server/state/store/sqlite/meter_read.h"

static ez_status take(ez_sqlite_conn *conn, sqlite3_stmt *row, ez_delivery_fn *each, void *user, ez_error *error) {
    ez_delivery delivery = {
        .id = sqlite3_column_int64(row, 0),
        .created_ns = sqlite3_column_int64(row, 1),
        .kind = (const char *)sqlite3_column_text(row, 2),
        .url = (const char *)sqlite3_column_text(row, 3),
        .status = (ez_delivery_status)sqlite3_column_int(row, 4),
        .attempts = sqlite3_column_int(row, 5),
        .http_status = sqlite3_column_int(row, 6),
        .error = (const char *)sqlite3_column_text(row, 7),
        .finished_ns = sqlite3_column_int64(row, 8),
    };
    if (!delivery.kind || !delivery.url || !delivery.error)
        return ez_sqlite_fail(conn, SQLITE_NOMEM, error);
    return each(user, &delivery, error);
}

ez_status ez_sqlite_reader_each_delivery(void *reader, const ez_delivery_query *query, ez_delivery_fn *each, void *user,
                                         ez_error *error) {
    ez_sqlite_conn *conn = reader;
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_prepare(conn, ez_sql_page_delivery, &statement, error);
    if (status)
        return status;
    sqlite3_bind_int64(statement, 1, query->before_id > 0 ? query->before_id : INT64_MAX);
    ez_sqlite_bind_text(statement, 2, query->kind_prefix ? query->kind_prefix : "");
    ez_sqlite_bind_text(statement, 3, query->kinds[0] ? query->kinds[0] : "");
    ez_sqlite_bind_text(statement, 4, query->kinds[0] ? query->kinds[1] : "");
    sqlite3_bind_int64(statement, 5, query->since_ns);
    sqlite3_bind_int64(statement, 6, query->status);
    sqlite3_bind_int64(statement, 7, query->stale_ns);
    sqlite3_bind_int64(statement, 8, query->limit < EZ_STORE_PAGE_MAX ? (int64_t)query->limit : EZ_STORE_PAGE_MAX);
    int code;
    while (!status && (code = sqlite3_step(statement)) != SQLITE_DONE)
        status = code == SQLITE_ROW ? take(conn, statement, each, user, error) : ez_sqlite_fail(conn, code, error);
    sqlite3_finalize(statement);
    return status;
}
