// SPDX-License-Identifier: Apache-2.0
//
// Webhook deliveries in SQLite: a log of the newest so many.
#include "server/state/store/retention.h"
#include "server/state/store/sqlite/meter.h"

static ez_status put(ez_sqlite_conn *conn, const ez_delivery *delivery, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(conn, EZ_SQLITE_PUT_DELIVERY, &statement, error);
    if (status)
        return status;
    sqlite3_bind_int64(statement, 1, delivery->id);
    sqlite3_bind_int64(statement, 2, delivery->created_ns);
    ez_sqlite_bind_text(statement, 3, delivery->kind);
    ez_sqlite_bind_text(statement, 4, delivery->url);
    sqlite3_bind_int(statement, 5, (int)delivery->status);
    sqlite3_bind_int(statement, 6, delivery->attempts);
    sqlite3_bind_int(statement, 7, delivery->http_status);
    ez_sqlite_bind_text(statement, 8, delivery->error);
    sqlite3_bind_int64(statement, 9, delivery->finished_ns);
    status = ez_sqlite_run(conn, statement, error);
    return status ? status
                  : ez_sqlite_run_numbers(conn, EZ_SQLITE_TRIM_DELIVERIES, (const int64_t[]){EZ_DELIVERIES_KEEP}, 1,
                                          error);
}

ez_status ez_sqlite_put_delivery(void *db, const ez_delivery *delivery, ez_error *error) {
    ez_sqlite_conn *conn = &((ez_sqlite *)db)->conn;
    ez_status status = ez_sqlite_run_kept(conn, EZ_SQLITE_BEGIN, error);
    if (!status)
        status = put(conn, delivery, error);
    status = ez_sqlite_end(conn, status, error);
    ez_sqlite_forget_bindings(conn);
    return status;
}
