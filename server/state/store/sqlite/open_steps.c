// SPDX-License-Identifier: Apache-2.0
//
// Open hours and days in SQLite: a small table, read whole.
#include "server/state/store/sqlite/meter.h"

ez_status ez_sqlite_read_open(ez_sqlite_conn *conn, ez_open_steps *steps, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(conn, EZ_SQLITE_READ_OPEN, &statement, error);
    if (status)
        return status;
    ez_open_steps_clear(steps);
    int code = SQLITE_DONE;
    while (!status && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        ez_open_step open = {.step = sqlite3_column_int(statement, 0),
                             .time_s = sqlite3_column_int64(statement, 1),
                             .from_s = sqlite3_column_int64(statement, 2),
                             .until_s = sqlite3_column_int64(statement, 3),
                             .folded = sqlite3_column_int(statement, 4)};
        status = ez_open_steps_put(steps, &open, error);
    }
    if (!status && code != SQLITE_DONE)
        status = ez_sqlite_fail(conn, code, error);
    sqlite3_reset(statement);
    return status;
}

static ez_status put(ez_sqlite_conn *conn, const ez_open_step *open, ez_error *error) {
    const int64_t numbers[] = {open->step, open->time_s, open->from_s, open->until_s, open->folded};
    return ez_sqlite_run_numbers(conn, EZ_SQLITE_PUT_OPEN, numbers, 5, error);
}

ez_status ez_sqlite_write_open(ez_sqlite_conn *conn, const ez_open_steps *steps, ez_error *error) {
    ez_status status = EZ_OK;
    for (size_t i = 0; !status && i < steps->count; i++) {
        if (steps->items[i].is_new)
            status = put(conn, &steps->items[i], error);
    }
    return status;
}

ez_status ez_sqlite_move_open(ez_sqlite_conn *conn, const ez_open_step *open, ez_error *error) {
    if (!ez_open_step_is_closed(open))
        return put(conn, open, error);
    const int64_t numbers[] = {open->step, open->time_s};
    return ez_sqlite_run_numbers(conn, EZ_SQLITE_DELETE_OPEN, numbers, 2, error);
}
