// SPDX-License-Identifier: Apache-2.0
//
// Audit entries in SQLite, within the caller's transaction: whoever has it is the only one who writes, so the chain
// goes on from what the head says.
#include "server/state/store/audit_hash.h"
#include "server/state/store/sqlite/db.h"

ez_status ez_sqlite_chain_audits(ez_sqlite_conn *conn, ez_store_audit *audits, size_t count, ez_error *error) {
    if (count == 0)
        return EZ_OK;
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(conn, EZ_SQLITE_READ_HEAD, &statement, error);
    if (status)
        return status;
    uint8_t newest[EZ_SHA256_LEN];
    status = ez_sqlite_step_row(conn, statement, error);
    if (!status)
        status = ez_sqlite_hash(conn, statement, 3, newest, error);
    if (!status)
        ez_audit_chain(audits, count, sqlite3_column_int64(statement, 2), newest);
    sqlite3_reset(statement);
    return status;
}

ez_status ez_sqlite_put_audits(ez_sqlite_conn *conn, const ez_store_audit *audits, size_t count, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(conn, EZ_SQLITE_PUT_AUDIT, &statement, error);
    for (size_t i = 0; !status && i < count; i++) {
        const ez_store_audit *audit = &audits[i];
        const char *texts[] = {audit->actor,   audit->method,     audit->resource,
                               audit->request, audit->request_id, audit->remote};
        sqlite3_bind_int64(statement, 1, audit->id);
        sqlite3_bind_int64(statement, 2, audit->time_ns);
        sqlite3_bind_int64(statement, 3, ez_sql_n(audit->revision));
        for (int t = 0; t < 6; t++)
            ez_sqlite_bind_text(statement, 4 + t, texts[t]);
        ez_sqlite_bind_bytes(statement, 10, audit->previous_hash, EZ_SHA256_LEN);
        ez_sqlite_bind_bytes(statement, 11, audit->hash, EZ_SHA256_LEN);
        status = ez_sqlite_run(conn, statement, error);
    }
    return status;
}

ez_status ez_sqlite_move_chain(ez_sqlite_conn *conn, const ez_store_audit *newest, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(conn, EZ_SQLITE_MOVE_CHAIN, &statement, error);
    if (status)
        return status;
    sqlite3_bind_int64(statement, 1, newest->id + 1);
    ez_sqlite_bind_bytes(statement, 2, newest->hash, EZ_SHA256_LEN);
    return ez_sqlite_run(conn, statement, error);
}
