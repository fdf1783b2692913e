// SPDX-License-Identifier: Apache-2.0
//
// Rollups in SQLite: adding to them, and folding minutes into hours and hours into days. A step of folding is one level
// of one hour or day: its finer rows are read in the order they lie, merged in memory, and put in place of the coarse
// ones. What doesn't fit in memory is added piece by piece, which comes to the same.
//
// Awkward: SQLite's sum() fails where it passes 64 bits; merging in memory stays at the bound, as adding does.
#include "proto/runtime/cleanup.h"
#include "server/state/store/sqlite/meter.h"

#define ADD(column) #column " = min(" #column " + excluded." #column ", " EZ_SQL_SUM_MAX ")"

const char ez_sqlite_add_rollup[] = "INSERT INTO rollups (step, level, time_s, a, b, model, " EZ_SQL_EACH_SUM(
    EZ_SQL_NAME) ") VALUES ($1, $2, $3, $4, "
                 "$5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, "
                 "$26, $27, "
                 "$28, $29) ON CONFLICT (step, level, time_s, a, b, model) DO UPDATE SET " EZ_SQL_EACH_SUM(ADD);
const char ez_sqlite_read_rollups[] = "SELECT a, b, model, " EZ_SQL_EACH_SUM(
    EZ_SQL_NAME) " FROM rollups "
                 "WHERE step = $1 AND level = $2 AND time_s >= $3 AND time_s < $4";
// Over and quiet since $1 and $2; a day only when none of its hours waits.
const char ez_sqlite_find_stale[] =
    "SELECT step, time_s, folded FROM rollup_stale AS s WHERE time_s + step <= $1 AND touched_s <= $2 AND (step = 3600 "
    "OR NOT EXISTS (SELECT 1 FROM rollup_stale AS h WHERE h.step = 3600 AND h.time_s >= s.time_s AND h.time_s < "
    "s.time_s + 86400)) ORDER BY step, time_s LIMIT 1";

static ez_status add_row(ez_sqlite_conn *conn, const ez_rollup_row *row, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(conn, EZ_SQLITE_ADD_ROLLUP, &statement, error);
    if (status)
        return status;
    const int64_t *sums = (const int64_t *)&row->sums;
    sqlite3_bind_int(statement, 1, row->step);
    sqlite3_bind_int(statement, 2, row->level);
    sqlite3_bind_int64(statement, 3, row->time_s);
    sqlite3_bind_int64(statement, 4, row->a);
    sqlite3_bind_int64(statement, 5, row->b);
    ez_sqlite_bind_slice(statement, 6, row->model);
    for (int i = 0; i < EZ_SQL_SUM_COUNT; i++)
        sqlite3_bind_int64(statement, 7 + i, sums[i]);
    return ez_sqlite_run(conn, statement, error);
}
_Static_assert(sizeof(ez_rollup_sums) == EZ_SQL_SUM_COUNT * sizeof(int64_t), "sums are bound as an array");

static ez_status add_rows(ez_sqlite_conn *conn, ez_rollup *rollup, ez_error *error) {
    size_t count = 0;
    const ez_rollup_row *rows = ez_rollup_rows(rollup, &count);
    ez_status status = EZ_OK;
    for (size_t i = 0; !status && i < count; i++)
        status = add_row(conn, &rows[i], error);
    return status;
}

// Every record is in one row of the total.
static ez_status add_days(ez_sqlite_conn *conn, ez_rollup *rollup, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    size_t count = 0;
    const ez_rollup_row *rows = ez_rollup_rows(rollup, &count);
    ez_status status = ez_sqlite_kept(conn, EZ_SQLITE_ADD_LOG_DAY, &statement, error);
    for (size_t i = 0; !status && i < count; i++) {
        if (rows[i].level != EZ_ROLLUP_TOTAL)
            continue;
        sqlite3_bind_int64(statement, 1, ez_rollup_floor(rows[i].time_s, EZ_ROLLUP_DAY) / EZ_ROLLUP_DAY);
        sqlite3_bind_int64(statement, 2, rows[i].sums.requests);
        status = ez_sqlite_run(conn, statement, error);
    }
    return status;
}

static ez_status put_marks(ez_sqlite_conn *conn, ez_rollup *rollup, int64_t now_ns, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    const ez_rollup_mark *marks = NULL;
    size_t count = 0;
    ez_status status = ez_rollup_marks(rollup, &marks, &count, error);
    if (!status)
        status = ez_sqlite_kept(conn, EZ_SQLITE_PUT_STALE, &statement, error);
    for (size_t i = 0; !status && i < count; i++) {
        sqlite3_bind_int(statement, 1, marks[i].step);
        sqlite3_bind_int64(statement, 2, marks[i].time_s);
        sqlite3_bind_int64(statement, 3, now_ns / 1000000000);
        status = ez_sqlite_run(conn, statement, error);
    }
    return status;
}

ez_status ez_sqlite_add_rollups(ez_sqlite_conn *conn, ez_rollup *rollup, int64_t now_ns, ez_error *error) {
    ez_status status = add_rows(conn, rollup, error);
    if (!status)
        status = add_days(conn, rollup, error);
    if (!status)
        status = put_marks(conn, rollup, now_ns, error);
    ez_rollup_clear(rollup);
    return status;
}

// ---- Folding

typedef struct fold {
    ez_sqlite_conn *conn;
    ez_rollup *rollup;
    ez_rollup_mark mark;
    int level;
} fold;

// *found false: nothing is to be folded now.
static ez_status find_stale(fold *work, int64_t now_ns, bool *found, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(work->conn, EZ_SQLITE_FIND_STALE, &statement, error);
    if (status)
        return status;
    int64_t quiet = now_ns / 1000000000 - EZ_ROLLUP_QUIET_S;
    sqlite3_bind_int64(statement, 1, quiet);
    sqlite3_bind_int64(statement, 2, quiet);
    int code = sqlite3_step(statement);
    *found = code == SQLITE_ROW;
    if (code == SQLITE_ROW) {
        work->mark = (ez_rollup_mark){sqlite3_column_int(statement, 0), sqlite3_column_int64(statement, 1)};
        work->level = sqlite3_column_int(statement, 2) + 1;
    } else if (code != SQLITE_DONE) {
        status = ez_sqlite_fail(work->conn, code, error);
    }
    sqlite3_reset(statement);
    return status;
}

static ez_status delete_coarse(fold *work, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(work->conn, EZ_SQLITE_DELETE_ROLLUPS, &statement, error);
    if (status)
        return status;
    sqlite3_bind_int(statement, 1, work->mark.step);
    sqlite3_bind_int(statement, 2, work->level);
    sqlite3_bind_int64(statement, 3, work->mark.time_s);
    return ez_sqlite_run(work->conn, statement, error);
}

static int finer_step(const fold *work) {
    return work->mark.step == EZ_ROLLUP_HOUR ? EZ_ROLLUP_MINUTE : EZ_ROLLUP_HOUR;
}

static int finer_level(const fold *work) {
    return (int)ez_rollup_kept(finer_step(work), (ez_rollup_level)work->level);
}

static ez_rollup_row coarse_row(const fold *work, sqlite3_stmt *fine) {
    ez_rollup_row row = {.step = work->mark.step,
                         .level = work->level,
                         .time_s = work->mark.time_s,
                         .a = sqlite3_column_int64(fine, 0),
                         .b = sqlite3_column_int64(fine, 1)};
    if (finer_level(work) == work->level)
        row.model = ez_sqlite_bytes(fine, 2);
    int64_t *sums = (int64_t *)&row.sums;
    for (int i = 0; i < EZ_SQL_SUM_COUNT; i++)
        sums[i] = sqlite3_column_int64(fine, 3 + i);
    return row;
}

static ez_status merge_fine(fold *work, ez_error *error) {
    sqlite3_stmt *fine = NULL;
    ez_status status = ez_sqlite_kept(work->conn, EZ_SQLITE_READ_ROLLUPS, &fine, error);
    if (status)
        return status;
    sqlite3_bind_int(fine, 1, finer_step(work));
    sqlite3_bind_int(fine, 2, finer_level(work));
    sqlite3_bind_int64(fine, 3, work->mark.time_s);
    sqlite3_bind_int64(fine, 4, work->mark.time_s + work->mark.step);
    int code = SQLITE_DONE;
    ez_rollup_clear(work->rollup);
    while (!status && (code = sqlite3_step(fine)) == SQLITE_ROW) {
        ez_rollup_row row = coarse_row(work, fine);
        status = ez_rollup_put(work->rollup, &row, error);
        if (!status && ez_rollup_is_full(work->rollup)) {
            status = add_rows(work->conn, work->rollup, error);
            ez_rollup_clear(work->rollup);
        }
    }
    if (!status && code != SQLITE_DONE)
        status = ez_sqlite_fail(work->conn, code, error);
    sqlite3_reset(fine);
    return status;
}

static ez_status move_mark(fold *work, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    bool is_last = work->level + 1 == EZ_ROLLUP_LEVELS;
    ez_status status =
        ez_sqlite_kept(work->conn, is_last ? EZ_SQLITE_DELETE_STALE : EZ_SQLITE_MOVE_STALE, &statement, error);
    if (status)
        return status;
    sqlite3_bind_int(statement, 1, work->mark.step);
    sqlite3_bind_int64(statement, 2, work->mark.time_s);
    if (!is_last)
        sqlite3_bind_int(statement, 3, work->level);
    return ez_sqlite_run(work->conn, statement, error);
}

static ez_status fold_one(fold *work, int64_t now_ns, bool *found, ez_error *error) {
    ez_status status = find_stale(work, now_ns, found, error);
    if (status || !*found)
        return status;
    status = delete_coarse(work, error);
    if (!status)
        status = merge_fine(work, error);
    if (!status)
        status = add_rows(work->conn, work->rollup, error);
    ez_rollup_clear(work->rollup);
    return status ? status : move_mark(work, error);
}

ez_status ez_sqlite_fold_rollups(void *db, uint64_t fence, int64_t now_ns, bool *more, ez_error *error) {
    ez_sqlite *store = db;
    bool found = false;
    ez_status status = store->rollup ? EZ_OK : ez_rollup_create(&store->rollup, error);
    if (!status)
        status = ez_sqlite_run_kept(&store->conn, EZ_SQLITE_BEGIN, error);
    if (status)
        return status;
    fold work = {.conn = &store->conn, .rollup = store->rollup};
    status = ez_sqlite_check_fence(&store->conn, fence, error);
    if (!status)
        status = fold_one(&work, now_ns, &found, error);
    if (!status)
        status = ez_sqlite_run_kept(&store->conn, EZ_SQLITE_COMMIT, error);
    if (status)
        ez_sqlite_rollback(&store->conn);
    else
        *more = found;
    ez_sqlite_forget_bindings(&store->conn);
    return status;
}
