// SPDX-License-Identifier: Apache-2.0
//
// Rollups in SQLite: adding to them, and folding minutes into hours and hours into days. A step of folding is one level
// of a piece of an hour or a day: its finer rows are read in the order they lie, merged in memory, and added. What
// doesn't fit in memory is added piece by piece, which comes to the same.
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

static ez_status add_days(ez_sqlite_conn *conn, const ez_rollup *rollup, ez_error *error) {
    size_t count = 0;
    const ez_log_day *days = ez_rollup_days(rollup, &count);
    ez_status status = EZ_OK;
    for (size_t i = 0; !status && i < count; i++)
        status = ez_sqlite_run_numbers(conn, EZ_SQLITE_ADD_LOG_DAY, (const int64_t[]){days[i].day, days[i].records}, 2,
                                       error);
    return status;
}

ez_status ez_sqlite_add_rollups(ez_sqlite_conn *conn, ez_rollup *rollup, ez_error *error) {
    ez_status status = add_rows(conn, rollup, error);
    if (!status)
        status = add_days(conn, rollup, error);
    ez_rollup_clear(rollup);
    return status;
}

// ---- Folding

typedef struct fold {
    ez_sqlite_conn *conn;
    ez_rollup *rollup;
    ez_fold what;
} fold;

static int finer_level(const fold *work) {
    return (int)ez_rollup_kept(ez_fold_finer_step(&work->what), (ez_rollup_level)work->what.level);
}

static ez_status has_any(fold *work, bool *out, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(work->conn, EZ_SQLITE_HAS_ROLLUPS, &statement, error);
    if (status)
        return status;
    sqlite3_bind_int(statement, 1, ez_fold_finer_step(&work->what));
    sqlite3_bind_int64(statement, 2, work->what.open.from_s);
    sqlite3_bind_int64(statement, 3, work->what.until_s);
    int code = sqlite3_step(statement);
    *out = code == SQLITE_ROW;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        status = ez_sqlite_fail(work->conn, code, error);
    sqlite3_reset(statement);
    return status;
}

static ez_status delete_coarse(fold *work, int level, ez_error *error) {
    const int64_t numbers[] = {work->what.open.step, level, work->what.open.time_s};
    return ez_sqlite_run_numbers(work->conn, EZ_SQLITE_DELETE_ROLLUPS, numbers, 3, error);
}

static ez_rollup_row coarse_row(const fold *work, sqlite3_stmt *fine) {
    ez_rollup_row row = {.step = work->what.open.step,
                         .level = work->what.level,
                         .time_s = work->what.open.time_s,
                         .a = sqlite3_column_int64(fine, 0),
                         .b = sqlite3_column_int64(fine, 1)};
    if (finer_level(work) == work->what.level)
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
    sqlite3_bind_int(fine, 1, ez_fold_finer_step(&work->what));
    sqlite3_bind_int(fine, 2, finer_level(work));
    sqlite3_bind_int64(fine, 3, work->what.open.from_s);
    sqlite3_bind_int64(fine, 4, work->what.until_s);
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

// Where there is nothing to fold, all levels are done at once.
static ez_status fold_piece(fold *work, ez_error *error) {
    bool any = true;
    int level = work->what.level;
    ez_status status = level > EZ_ROLLUP_TOTAL ? EZ_OK : has_any(work, &any, error);
    int last = any ? level : EZ_ROLLUP_LEVELS - 1;
    for (; !status && ez_fold_is_first(&work->what) && level <= last; level++)
        status = delete_coarse(work, level, error);
    if (!status && any)
        status = merge_fine(work, error);
    if (!status && any)
        status = add_rows(work->conn, work->rollup, error);
    ez_rollup_clear(work->rollup);
    ez_open_step open = ez_fold_done(&work->what, !any);
    return status ? status : ez_sqlite_move_open(work->conn, &open, error);
}

static ez_status fold_next(fold *work, int64_t now_ns, bool *found, ez_error *error) {
    ez_auto(ez_open_steps) steps = {0};
    ez_status status = ez_sqlite_read_open(work->conn, &steps, error);
    *found = !status && ez_open_steps_next(&steps, now_ns / 1000000000, &work->what);
    return *found ? fold_piece(work, error) : status;
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
        status = fold_next(&work, now_ns, &found, error);
    status = ez_sqlite_end(&store->conn, status, error);
    if (!status)
        *more = found;
    ez_sqlite_forget_bindings(&store->conn);
    return status;
}
