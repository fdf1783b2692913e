// SPDX-License-Identifier: Apache-2.0
//
// Marks in SQLite, within the caller's transaction.
#include "server/state/store/sqlite/meter.h"

ez_status ez_sqlite_read_marks(ez_sqlite_conn *conn, ez_stream stream, ez_marks *marks, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(conn, EZ_SQLITE_READ_MARK, &statement, error);
    for (size_t i = 0; !status && i < marks->count; i++) {
        ez_marks_row *row = &marks->rows[i];
        sqlite3_bind_int64(statement, 1, row->data_plane_id);
        sqlite3_bind_int64(statement, 2, ez_marks_stream(row, stream));
        sqlite3_bind_int64(statement, 3, (int64_t)row->epoch);
        int code = sqlite3_step(statement);
        if (code == SQLITE_ROW)
            row->sequence = (uint64_t)sqlite3_column_int64(statement, 0);
        else if (code != SQLITE_DONE)
            status = ez_sqlite_fail(conn, code, error);
        sqlite3_reset(statement);
    }
    return status;
}

ez_status ez_sqlite_write_marks(ez_sqlite_conn *conn, ez_stream stream, const ez_marks *marks, int64_t now_ns,
                                ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(conn, EZ_SQLITE_PUT_MARK, &statement, error);
    for (size_t i = 0; !status && i < marks->count; i++) {
        const ez_marks_row *row = &marks->rows[i];
        if (!row->is_moved)
            continue;
        sqlite3_bind_int64(statement, 1, row->data_plane_id);
        sqlite3_bind_int64(statement, 2, ez_marks_stream(row, stream));
        sqlite3_bind_int64(statement, 3, (int64_t)row->epoch);
        sqlite3_bind_int64(statement, 4, (int64_t)row->sequence);
        sqlite3_bind_int64(statement, 5, now_ns);
        status = ez_sqlite_run(conn, statement, error);
    }
    return status;
}
