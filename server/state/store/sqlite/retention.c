// SPDX-License-Identifier: Apache-2.0
//
// Forgetting in SQLite, one short step in one transaction: log records of the oldest day, oldest first, with their
// bodies; where there are none to forget, the edges of rollups move on and rows behind them go; then old marks.
//
// Awkward: how many records a day has is a number of its own (log_days). Where a day that is to go whole has no record
// any more, its number goes, whatever it says.
#include "server/state/store/retention.h"
#include "proto/runtime/cleanup.h"
#include "server/state/store/sqlite/meter.h"

#define DAYS_MAX 100000 // looked at in one step; the oldest

// As far as nothing before is open: ?1 and ?2 at most.
const char ez_sqlite_move_edges[] =
    "UPDATE log_head SET (minutes_from_s, hours_from_s) = (SELECT m, max(hours_from_s, min(?2, m / 86400 * 86400, "
    "coalesce((SELECT min(time_s) FROM rollup_open WHERE step = 86400), ?2))) FROM (SELECT max(minutes_from_s, "
    "min(?1, "
    "coalesce((SELECT min(time_s) FROM rollup_open WHERE step = 3600), ?1))) AS m)) WHERE one = 1 AND minutes_from_s "
    "> "
    "0 RETURNING minutes_from_s, hours_from_s";
const char ez_sqlite_trim_rollups[] =
    "DELETE FROM rollups WHERE (step, level, time_s, a, b, model) IN (SELECT step, level, time_s, a, b, model FROM "
    "rollups WHERE step = $1 AND level = $2 AND time_s < $3 ORDER BY time_s LIMIT $4)";

typedef struct trim {
    ez_sqlite_conn *conn;
    int64_t now_ns, max_rows;
    bool more;
} trim;

static ez_status run_numbers(trim *work, ez_sqlite_slot slot, const int64_t *numbers, int count, int64_t *changed,
                             ez_error *error) {
    ez_status status = ez_sqlite_run_numbers(work->conn, slot, numbers, count, error);
    if (!status && changed)
        *changed = sqlite3_changes64(work->conn->db);
    return status;
}

static ez_status read_days(trim *work, ez_log_day **out, size_t *count, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    size_t room = 0;
    ez_status status = ez_sqlite_kept(work->conn, EZ_SQLITE_EACH_LOG_DAY, &statement, error);
    int code = SQLITE_DONE;
    while (!status && *count < DAYS_MAX && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        if (*count == room) {
            room = room ? room * 2 : 64;
            ez_log_day *days = realloc(*out, room * sizeof *days);
            if (!days) {
                status = ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for %zu days", room);
                break;
            }
            *out = days;
        }
        (*out)[(*count)++] = (ez_log_day){sqlite3_column_int64(statement, 0), sqlite3_column_int64(statement, 1)};
    }
    if (!status && code != SQLITE_DONE && code != SQLITE_ROW)
        status = ez_sqlite_fail(work->conn, code, error);
    sqlite3_reset(statement);
    return status;
}

// Deletes the oldest records before until_ns, at most so many, which are all of one day.
static ez_status forget(trim *work, int64_t day, int64_t until_ns, int64_t rows, int64_t *gone, ez_error *error) {
    sqlite3_stmt *bound = NULL;
    int64_t behind[2] = {until_ns, 0};
    ez_status status = ez_sqlite_kept(work->conn, EZ_SQLITE_LOG_BOUND, &bound, error);
    if (status)
        return status;
    sqlite3_bind_int64(bound, 1, until_ns);
    sqlite3_bind_int64(bound, 2, rows);
    int code = sqlite3_step(bound);
    if (code == SQLITE_ROW) {
        behind[0] = sqlite3_column_int64(bound, 0);
        behind[1] = sqlite3_column_int64(bound, 1);
    } else if (code != SQLITE_DONE) {
        status = ez_sqlite_fail(work->conn, code, error);
    }
    sqlite3_reset(bound);
    if (!status)
        status = run_numbers(work, EZ_SQLITE_DELETE_LOG_BODIES, behind, 2, NULL, error);
    if (!status)
        status = run_numbers(work, EZ_SQLITE_DELETE_LOGS, behind, 2, gone, error);
    int64_t taken[2] = {day, *gone};
    return status ? status : run_numbers(work, EZ_SQLITE_TAKE_LOG_DAY, taken, 2, NULL, error);
}

static ez_status trim_records(trim *work, const ez_log_limits *limits, ez_error *error) {
    ez_autofree ez_log_day *days = NULL;
    size_t count = 0;
    ez_status status = read_days(work, &days, &count, error);
    if (status)
        return status;
    ez_retention_step step = ez_retention_next(days, count, limits);
    if (!step.is_any)
        return EZ_OK;
    int64_t gone = 0, day_end = (step.day + 1) * EZ_DAY_NS;
    status = forget(work, step.day, step.until_ns, work->max_rows, &gone, error);
    if (!status && gone == 0 && step.excess)
        status =
            forget(work, step.day, day_end, step.excess < work->max_rows ? step.excess : work->max_rows, &gone, error);
    if (!status && gone < work->max_rows && step.is_whole)
        status = run_numbers(work, EZ_SQLITE_DELETE_LOG_DAY, &step.day, 1, NULL, error);
    work->more = gone > 0 || step.is_whole;
    return status;
}

static ez_status move_edges(trim *work, ez_rollup_edges *edges, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(work->conn, EZ_SQLITE_MOVE_EDGES, &statement, error);
    if (status)
        return status;
    *edges = ez_rollup_edges_at(work->now_ns);
    sqlite3_bind_int64(statement, 1, edges->minutes_from_s);
    sqlite3_bind_int64(statement, 2, edges->hours_from_s);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *edges = (ez_rollup_edges){sqlite3_column_int64(statement, 0), sqlite3_column_int64(statement, 1)};
    else if (code == SQLITE_DONE)
        *edges = (ez_rollup_edges){0}; // nothing was ever added
    else
        status = ez_sqlite_fail(work->conn, code, error);
    sqlite3_reset(statement);
    return status;
}

static ez_status trim_rollups(trim *work, ez_error *error) {
    ez_rollup_edges edges;
    ez_status status = move_edges(work, &edges, error);
    int64_t left = work->max_rows;
    for (int level = EZ_ROLLUP_TOTAL; !status && level < 2 * EZ_ROLLUP_LEVELS && left > 0; level++) {
        bool is_minute = level < EZ_ROLLUP_LEVELS;
        int64_t gone = 0;
        int64_t numbers[4] = {is_minute ? EZ_ROLLUP_MINUTE : EZ_ROLLUP_HOUR, level % EZ_ROLLUP_LEVELS,
                              is_minute ? edges.minutes_from_s : edges.hours_from_s, left};
        status = run_numbers(work, EZ_SQLITE_TRIM_ROLLUPS, numbers, 4, &gone, error);
        left -= gone;
    }
    work->more = left <= 0;
    return status;
}

static ez_status trim_marks(trim *work, ez_error *error) {
    int64_t gone = 0;
    int64_t numbers[3] = {work->now_ns - EZ_KEYS_KEEP_NS, work->now_ns - EZ_MARKS_KEEP_NS, work->max_rows};
    ez_status status = run_numbers(work, EZ_SQLITE_TRIM_MARKS, numbers, 3, &gone, error);
    work->more = gone == work->max_rows;
    return status;
}

ez_status ez_sqlite_trim_logs(void *db, uint64_t fence, const ez_log_limits *limits, int64_t now_ns, size_t max_rows,
                              bool *more, ez_error *error) {
    ez_sqlite_conn *conn = &((ez_sqlite *)db)->conn;
    trim work = {.conn = conn, .now_ns = now_ns, .max_rows = ez_sql_n(max_rows)};
    ez_status status = ez_sqlite_run_kept(conn, EZ_SQLITE_BEGIN, error);
    if (!status)
        status = ez_sqlite_check_fence(conn, fence, error);
    if (!status)
        status = trim_records(&work, limits, error);
    if (!status && !work.more)
        status = trim_rollups(&work, error);
    if (!status && !work.more)
        status = trim_marks(&work, error);
    status = ez_sqlite_end(conn, status, error);
    if (!status)
        *more = work.more;
    return status;
}
