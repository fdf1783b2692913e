// SPDX-License-Identifier: Apache-2.0
//
// Usage counters in SQLite: marks and sums in one immediate transaction. Nobody else writes the file, so a row is read,
// added to here and put back: that gives its new total, costs less than RETURNING, and saturates where the rest of the
// program does.
//
// Awkward: totals are told after the commit only, so they are kept in the merged rows until then.
#include "server/state/store/usage.h"
#include "proto/runtime/cleanup.h"
#include "server/state/store/sqlite/meter.h"

static ez_usage_sums sums_at(sqlite3_stmt *statement, int column) {
    return (ez_usage_sums){
        .requests = sqlite3_column_int64(statement, column),
        .success = sqlite3_column_int64(statement, column + 1),
        .failure = sqlite3_column_int64(statement, column + 2),
        .tokens_in = sqlite3_column_int64(statement, column + 3),
        .tokens_out = sqlite3_column_int64(statement, column + 4),
        .quota_used = sqlite3_column_int64(statement, column + 5),
        .rate_limited = sqlite3_column_int64(statement, column + 6),
        .last_used_ns = sqlite3_column_int64(statement, column + 7),
    };
}

static void bind_sums(sqlite3_stmt *statement, int at, const ez_usage_sums *sums) {
    sqlite3_bind_int64(statement, at, sums->requests);
    sqlite3_bind_int64(statement, at + 1, sums->success);
    sqlite3_bind_int64(statement, at + 2, sums->failure);
    sqlite3_bind_int64(statement, at + 3, sums->tokens_in);
    sqlite3_bind_int64(statement, at + 4, sums->tokens_out);
    sqlite3_bind_int64(statement, at + 5, sums->quota_used);
    sqlite3_bind_int64(statement, at + 6, sums->rate_limited);
    sqlite3_bind_int64(statement, at + 7, sums->last_used_ns);
}

// row->add becomes the row's total.
static ez_status add_row(ez_sqlite_conn *conn, ez_usage_row *row, ez_error *error) {
    sqlite3_stmt *read = NULL, *put = NULL;
    ez_status status = ez_sqlite_kept(conn, EZ_SQLITE_READ_USAGE + (unsigned)row->table, &read, error);
    if (!status)
        status = ez_sqlite_kept(conn, EZ_SQLITE_PUT_USAGE + (unsigned)row->table, &put, error);
    if (status)
        return status;
    sqlite3_bind_int64(read, 1, row->id);
    int code = sqlite3_step(read);
    if (code == SQLITE_ROW) {
        ez_usage_sums sums = sums_at(read, 0);
        ez_usage_sums_add(&row->add, &sums);
    } else if (code != SQLITE_DONE) {
        status = ez_sqlite_fail(conn, code, error);
    }
    sqlite3_reset(read);
    if (status)
        return status;
    sqlite3_bind_int64(put, 1, row->id);
    bind_sums(put, 2, &row->add);
    return ez_sqlite_run(conn, put, error);
}

static ez_status add_all(ez_sqlite_conn *conn, ez_marks *marks, ez_usage_batch *batches, size_t count, int64_t now_ns,
                         ez_usage_merge *merge, ez_error *error) {
    ez_status status = ez_sqlite_read_marks(conn, EZ_STREAM_USAGE, marks, error);
    if (status)
        return status;
    ez_marks_take(marks, batches, count, sizeof *batches);
    status = ez_usage_merge_init(merge, batches, count, error);
    for (size_t i = 0; !status && i < merge->count; i++)
        status = add_row(conn, &merge->rows[i], error);
    return status ? status : ez_sqlite_write_marks(conn, EZ_STREAM_USAGE, marks, now_ns, error);
}

ez_status ez_sqlite_add_usage(void *db, ez_usage_batch *batches, size_t count, int64_t now_ns, ez_usage_total_fn *total,
                              void *user, ez_error *error) {
    ez_sqlite_conn *conn = &((ez_sqlite *)db)->conn;
    ez_auto(ez_marks) marks;
    ez_auto(ez_usage_merge) merge = {0};
    ez_status status = ez_marks_init(&marks, batches, count, sizeof *batches, error);
    if (!status)
        status = ez_sqlite_run_kept(conn, EZ_SQLITE_BEGIN, error);
    if (status)
        return status;
    status = add_all(conn, &marks, batches, count, now_ns, &merge, error);
    status = ez_sqlite_end(conn, status, error);
    for (size_t i = 0; !status && total && i < merge.count; i++)
        total(user, merge.rows[i].table, merge.rows[i].id, &merge.rows[i].add);
    return status;
}

ez_status ez_sqlite_each_usage(void *db, ez_usage_table table, ez_usage_total_fn *each, void *user, ez_error *error) {
    ez_sqlite_conn *conn = &((ez_sqlite *)db)->conn;
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(conn, EZ_SQLITE_EACH_USAGE + (unsigned)table, &statement, error);
    if (status)
        return status;
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        ez_usage_sums sums = sums_at(statement, 1);
        each(user, table, sqlite3_column_int64(statement, 0), &sums);
    }
    if (code != SQLITE_DONE)
        status = ez_sqlite_fail(conn, code, error);
    sqlite3_reset(statement);
    return status;
}
