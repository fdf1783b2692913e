// SPDX-License-Identifier: Apache-2.0
//
// What stands behind sync.h on SQLite. Written about once a second at most, so statements are not kept.
#include <stdio.h>

#include "server/state/store/sqlite/db.h"

static void copy_text(sqlite3_stmt *row, int column, char *out, size_t size) {
    const char *text = (const char *)sqlite3_column_text(row, column);
    snprintf(out, size, "%s", text ? text : "");
}

static void take_state(sqlite3_stmt *row, ez_sync_state *out) {
    *out = (ez_sync_state){
        .epoch = (uint64_t)sqlite3_column_int64(row, 0),
        .n = (uint64_t)sqlite3_column_int64(row, 1),
        .fence = (uint64_t)sqlite3_column_int64(row, 2),
        .rebuilds = (uint64_t)sqlite3_column_int64(row, 5),
        .retries = (uint64_t)sqlite3_column_int64(row, 6),
        .rebuilt_ns = sqlite3_column_int64(row, 7),
        .error_ns = sqlite3_column_int64(row, 9),
        .updated_ns = sqlite3_column_int64(row, 10),
    };
    copy_text(row, 3, out->state, sizeof out->state);
    copy_text(row, 4, out->server, sizeof out->server);
    copy_text(row, 8, out->error, sizeof out->error);
}

static ez_status read(void *db, ez_sync_state *out, ez_error *error) {
    ez_sqlite_conn *conn = &((ez_sqlite *)db)->conn;
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_prepare(conn, ez_sql_read_sync, &statement, error);
    if (status)
        return status;
    status = ez_sqlite_step_row(conn, statement, error);
    if (!status)
        take_state(statement, out);
    sqlite3_finalize(statement);
    return status;
}

static ez_status each_due(void *db, ez_sync_due_fn *each, void *user, ez_error *error) {
    ez_sqlite_conn *conn = &((ez_sqlite *)db)->conn;
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_prepare(conn, ez_sql_each_sync_due, &statement, error);
    int code;
    while (!status && (code = sqlite3_step(statement)) != SQLITE_DONE) {
        if (code != SQLITE_ROW) {
            status = ez_sqlite_fail(conn, code, error);
            break;
        }
        const char *why = (const char *)sqlite3_column_text(statement, 8);
        ez_sync_due due = {.kind = sqlite3_column_int(statement, 0),
                           .id = sqlite3_column_int64(statement, 1),
                           .n = (uint64_t)sqlite3_column_int64(statement, 2),
                           .place = ez_sqlite_bytes(statement, 3),
                           .tries = (uint32_t)sqlite3_column_int64(statement, 4),
                           .since_ns = sqlite3_column_int64(statement, 5),
                           .next_ns = sqlite3_column_int64(statement, 6),
                           .is_parked = sqlite3_column_int(statement, 7) != 0,
                           .error = why ? why : ""};
        status = each(user, &due, error);
    }
    sqlite3_finalize(statement);
    return status;
}

static ez_status write_state(ez_sqlite_conn *conn, const ez_sync_state *state, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_prepare(conn, ez_sql_write_sync, &statement, error);
    if (status)
        return status;
    sqlite3_bind_int64(statement, 1, (int64_t)state->epoch);
    sqlite3_bind_int64(statement, 2, (int64_t)state->n);
    sqlite3_bind_int64(statement, 3, (int64_t)state->fence);
    ez_sqlite_bind_text(statement, 4, state->state);
    ez_sqlite_bind_text(statement, 5, state->server);
    sqlite3_bind_int64(statement, 6, (int64_t)state->rebuilds);
    sqlite3_bind_int64(statement, 7, (int64_t)state->retries);
    sqlite3_bind_int64(statement, 8, state->rebuilt_ns);
    ez_sqlite_bind_text(statement, 9, state->error);
    sqlite3_bind_int64(statement, 10, state->error_ns);
    sqlite3_bind_int64(statement, 11, state->updated_ns);
    status = ez_sqlite_run(conn, statement, error);
    sqlite3_finalize(statement);
    if (!status && sqlite3_changes(conn->db) == 0)
        return ez_sql_fenced(error);
    return status;
}

static ez_status delete_due(ez_sqlite_conn *conn, const ez_sync_write *write, ez_error *error) {
    if (write->clears)
        return ez_sqlite_exec(conn, "DELETE FROM redis_due", error);
    sqlite3_stmt *statement = NULL;
    ez_status status = write->delete_count ? ez_sqlite_prepare(conn, ez_sql_delete_sync_due, &statement, error) : EZ_OK;
    for (size_t i = 0; !status && i < write->delete_count; i++) {
        sqlite3_bind_int(statement, 1, write->deletes[i].kind);
        sqlite3_bind_int64(statement, 2, write->deletes[i].id);
        status = ez_sqlite_run(conn, statement, error);
    }
    sqlite3_finalize(statement);
    return status;
}

static ez_status put_due(ez_sqlite_conn *conn, const ez_sync_write *write, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = write->put_count ? ez_sqlite_prepare(conn, ez_sql_put_sync_due, &statement, error) : EZ_OK;
    for (size_t i = 0; !status && i < write->put_count; i++) {
        const ez_sync_due *due = &write->puts[i];
        sqlite3_bind_int(statement, 1, due->kind);
        sqlite3_bind_int64(statement, 2, due->id);
        sqlite3_bind_int64(statement, 3, (int64_t)due->n);
        ez_sqlite_bind_bytes(statement, 4, due->place.data, due->place.len);
        sqlite3_bind_int64(statement, 5, due->tries);
        sqlite3_bind_int64(statement, 6, due->since_ns);
        sqlite3_bind_int64(statement, 7, due->next_ns);
        sqlite3_bind_int(statement, 8, due->is_parked);
        ez_sqlite_bind_text(statement, 9, due->error);
        status = ez_sqlite_run(conn, statement, error);
    }
    sqlite3_finalize(statement);
    return status;
}

static ez_status write(void *db, const ez_sync_write *write, ez_error *error) {
    ez_sqlite_conn *conn = &((ez_sqlite *)db)->conn;
    ez_status status = ez_sqlite_run_kept(conn, EZ_SQLITE_BEGIN, error);
    if (!status)
        status = write_state(conn, write->state, error);
    if (!status)
        status = delete_due(conn, write, error);
    if (!status)
        status = put_due(conn, write, error);
    return ez_sqlite_end(conn, status, error);
}

const ez_sync_ops ez_sync_sqlite = {.read = read, .each_due = each_due, .write = write};
