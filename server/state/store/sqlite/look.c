// SPDX-License-Identifier: Apache-2.0
//
// Pages that look at a bounded number of rows, in SQLite: both statements in one transaction.
#include "server/state/store/sqlite/look.h"

#include "proto/runtime/cleanup.h"

// The statement that write makes, its texts bound.
static ez_status prepare(ez_sqlite_conn *conn, ez_look *look, ez_look_text_fn *write, sqlite3_stmt **out,
                         ez_error *error) {
    ez_auto(ez_buf) text;
    const char *words = ez_look_write(look, write, &text, error);
    ez_status status = words ? ez_sqlite_prepare(conn, words, out, error) : EZ_RESOURCE_EXHAUSTED;
    for (int i = 0; !status && i < look->text_count; i++)
        ez_sqlite_bind_text(*out, i + 1, look->texts[i]);
    return status;
}

static ez_status find_end(ez_sqlite_conn *conn, ez_look *look, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = prepare(conn, look, look->end_text, &statement, error);
    int code = SQLITE_DONE;
    if (!status && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        look->has_end = true;
        look->end =
            (ez_look_place){.time_ns = sqlite3_column_int64(statement, 0), .id = sqlite3_column_int64(statement, 1)};
        code = sqlite3_step(statement);
        look->is_behind = code == SQLITE_ROW;
    }
    if (!status && code != SQLITE_ROW && code != SQLITE_DONE)
        status = ez_sqlite_fail(conn, code, error);
    sqlite3_finalize(statement);
    return status;
}

static ez_status read_page(ez_sqlite_conn *conn, ez_look *look, ez_sqlite_look_fn *each, void *user, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = prepare(conn, look, look->page_text, &statement, error);
    int code;
    while (!status && !look->has_more && (code = sqlite3_step(statement)) != SQLITE_DONE) {
        if (code != SQLITE_ROW)
            status = ez_sqlite_fail(conn, code, error);
        else if (ez_look_takes(look))
            status = each(user, statement, &look->at, error);
    }
    sqlite3_finalize(statement);
    return status;
}

ez_status ez_sqlite_look(ez_sqlite_conn *conn, ez_look *look, ez_sqlite_look_fn *each, void *user, ez_error *error) {
    ez_look_begin(look);
    // Both statements see the same moment.
    ez_status status = ez_sqlite_exec(conn, "BEGIN", error);
    if (!status && look->has_rest)
        status = find_end(conn, look, error);
    if (!status)
        status = read_page(conn, look, each, user, error);
    ez_sqlite_rollback(conn);
    return status;
}
