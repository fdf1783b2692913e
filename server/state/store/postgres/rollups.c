// SPDX-License-Identifier: Apache-2.0
//
// Rollups in PostgreSQL: adding to them as arrays, and folding minutes into hours and hours into days, one level of one
// hour or day at a time, on the server.
//
// Awkward: folding does not lock log_head, so that records come in meanwhile. It locks its mark instead. Whoever adds
// to that hour or day touches the mark last: before the lock, then its rows are seen; or after the commit, then the
// mark is there again. A day's hours may have been marked while its own mark was waited for, so they are looked at once
// more.

#include "proto/runtime/cleanup.h"
#include "server/state/store/postgres/meter.h"

#define ADD(column) #column " = least(rollups." #column " + excluded." #column ", " EZ_SQL_SUM_MAX ")"
#define SUM(column) "least(sum(" #column "), " EZ_SQL_SUM_MAX ")::int8"
_Static_assert(sizeof(ez_rollup_sums) == EZ_SQL_SUM_COUNT * sizeof(int64_t), "sums are sent as an array");

static ez_status push_rows(ez_pg_attempt *try, ez_rollup *rollup, ez_error *error) {
    static const char text[] = "INSERT INTO rollups (step, level, time_s, a, b, model, " EZ_SQL_EACH_SUM(
        EZ_SQL_NAME) ") SELECT * FROM unnest("
                     "$1::int8[], $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::text[], $7::int8[], $8::int8[], "
                     "$9::int8[], "
                     "$10::int8[], $11::int8[], $12::int8[], $13::int8[], $14::int8[], $15::int8[], $16::int8[], "
                     "$17::int8[], "
                     "$18::int8[], $19::int8[], $20::int8[], $21::int8[], $22::int8[], $23::int8[], $24::int8[], "
                     "$25::int8[], "
                     "$26::int8[], $27::int8[], $28::int8[], $29::int8[]) ON CONFLICT (step, level, time_s, a, b, "
                     "model) DO UPDATE "
                     "SET " EZ_SQL_EACH_SUM(ADD);
    ez_auto(ez_pg_arrays) arrays;
    ez_pg_arrays_init(&arrays, "iiiiitiiiiiiiiiiiiiiiiiiiiiii");
    size_t count = 0;
    const ez_rollup_row *rows = ez_rollup_rows(rollup, &count);
    ez_status status = EZ_OK;
    for (size_t i = 0; !status && i < count; i++) {
        const int64_t *sums = (const int64_t *)&rows[i].sums;
        ez_pg_arrays_int(&arrays, rows[i].step);
        ez_pg_arrays_int(&arrays, rows[i].level);
        ez_pg_arrays_int(&arrays, rows[i].time_s);
        ez_pg_arrays_int(&arrays, rows[i].a);
        ez_pg_arrays_int(&arrays, rows[i].b);
        ez_pg_arrays_slice(&arrays, rows[i].model);
        for (int c = 0; c < EZ_SQL_SUM_COUNT; c++)
            ez_pg_arrays_int(&arrays, sums[c]);
        status = ez_pg_push_full(try, text, &arrays, error);
    }
    return status ? status : ez_pg_push_arrays(try, text, &arrays, error);
}

// Every record is in one row of the total.
static ez_status push_days(ez_pg_attempt *try, ez_rollup *rollup, ez_error *error) {
    static const char text[] =
        "INSERT INTO log_days (day, records) SELECT day, sum(n)::int8 FROM unnest($1::int8[], $2::int8[]) AS d (day, "
        "n) "
        "GROUP BY day ORDER BY day ON CONFLICT (day) DO UPDATE SET records = log_days.records + excluded.records";
    ez_auto(ez_pg_arrays) arrays;
    ez_pg_arrays_init(&arrays, "ii");
    size_t count = 0;
    const ez_rollup_row *rows = ez_rollup_rows(rollup, &count);
    ez_status status = EZ_OK;
    for (size_t i = 0; !status && i < count; i++) {
        if (rows[i].level != EZ_ROLLUP_TOTAL)
            continue;
        ez_pg_arrays_int(&arrays, ez_rollup_floor(rows[i].time_s, EZ_ROLLUP_DAY) / EZ_ROLLUP_DAY);
        ez_pg_arrays_int(&arrays, rows[i].sums.requests);
        status = ez_pg_push_full(try, text, &arrays, error);
    }
    return status ? status : ez_pg_push_arrays(try, text, &arrays, error);
}

static ez_status push_stale(ez_pg_attempt *try, ez_rollup *rollup, int64_t now_ns, ez_error *error) {
    static const char text[] = "INSERT INTO rollup_stale (step, time_s, touched_s, folded) "
                               "SELECT step, time_s, touched_s, 0 FROM unnest($1::int8[], $2::int8[], $3::int8[]) AS s "
                               "(step, time_s, touched_s) "
                               "ON CONFLICT (step, time_s) DO UPDATE SET "
                               "touched_s = greatest(rollup_stale.touched_s, excluded.touched_s), folded = 0";
    ez_auto(ez_pg_arrays) arrays;
    ez_pg_arrays_init(&arrays, "iii");
    const ez_rollup_mark *marks = NULL;
    size_t count = 0;
    ez_status status = ez_rollup_marks(rollup, &marks, &count, error);
    for (size_t i = 0; !status && i < count; i++) {
        ez_pg_arrays_int(&arrays, marks[i].step);
        ez_pg_arrays_int(&arrays, marks[i].time_s);
        ez_pg_arrays_int(&arrays, now_ns / 1000000000);
        status = ez_pg_push_full(try, text, &arrays, error);
    }
    return status ? status : ez_pg_push_arrays(try, text, &arrays, error);
}

ez_status ez_pg_push_rollups(ez_pg_attempt *try, ez_rollup *rollup, int64_t now_ns, ez_error *error) {
    ez_status status = push_rows(try, rollup, error);
    if (!status)
        status = push_days(try, rollup, error);
    if (!status)
        status = push_stale(try, rollup, now_ns, error);
    ez_rollup_clear(rollup);
    return status;
}

// ---- Folding

typedef struct fold {
    int64_t now_s;
    bool found;
    ez_rollup_mark mark;
    int level;
    bool is_early; // an hour of the day is stale again
} fold;

// Over and quiet since $1; a day only when none of its hours waits. What another server folds is passed over.
static const char find_stale[] =
    "SELECT step, time_s, folded FROM rollup_stale AS s WHERE time_s + step <= $1 AND touched_s <= $1 AND (step = 3600 "
    "OR NOT EXISTS (SELECT 1 FROM rollup_stale AS h WHERE h.step = 3600 AND h.time_s >= s.time_s AND h.time_s < "
    "s.time_s + 86400)) ORDER BY step, time_s LIMIT 1 FOR UPDATE OF s SKIP LOCKED";
static const char find_hours[] = "SELECT 1::int8 FROM rollup_stale WHERE step = 3600 AND $1 = 86400 AND time_s >= $2 "
                                 "AND time_s < $2 + 86400 LIMIT 1";
static const char delete_coarse[] = "DELETE FROM rollups WHERE step = $1 AND level = $2 AND time_s = $3";
static const char insert_coarse[] = "INSERT INTO rollups (step, level, time_s, a, b, model, " EZ_SQL_EACH_SUM(
    EZ_SQL_NAME) ") SELECT $1::int8, "
                 "$2::int8, $3::int8, a, b, model, " EZ_SQL_EACH_SUM(
                     SUM) " FROM rollups WHERE step = $4 AND level = $2 AND time_s "
                          ">= $3 AND time_s < $3 + $1 GROUP BY a, b, model";

static ez_status take_stale(void *user, unsigned at, const PGresult *result, ez_error *error) {
    (void)error;
    fold *work = user;
    work->found = at == 2 && PQntuples(result) == 1;
    if (work->found) {
        work->mark = (ez_rollup_mark){(int)ez_pg_int(result, 0, 0), ez_pg_int(result, 0, 1)};
        work->level = (int)ez_pg_int(result, 0, 2) + 1;
    }
    return EZ_OK;
}

static ez_status take_hours(void *user, unsigned at, const PGresult *result, ez_error *error) {
    fold *work = user;
    if (at != 0 || PQntuples(result) == 0)
        return EZ_OK;
    work->is_early = true;
    return ez_error_set(error, EZ_ABORTED, "STORE_CONFLICT", "an hour of the day is stale again");
}

static ez_status push_fold(const fold *work, ez_pg_attempt *try, ez_error *error) {
    int finer = work->mark.step == EZ_ROLLUP_HOUR ? EZ_ROLLUP_MINUTE : EZ_ROLLUP_HOUR;
    bool is_last = work->level + 1 == EZ_ROLLUP_LEVELS;
    ez_pg_params hours = {0}, coarse = {0}, sums = {0}, mark = {0};
    ez_pg_put_int(&hours, work->mark.step);
    ez_pg_put_int(&hours, work->mark.time_s);
    ez_pg_put_int(&coarse, work->mark.step);
    ez_pg_put_int(&coarse, work->level);
    ez_pg_put_int(&coarse, work->mark.time_s);
    ez_pg_put_int(&sums, work->mark.step);
    ez_pg_put_int(&sums, work->level);
    ez_pg_put_int(&sums, work->mark.time_s);
    ez_pg_put_int(&sums, finer);
    ez_pg_put_int(&mark, work->mark.step);
    ez_pg_put_int(&mark, work->mark.time_s);
    if (!is_last)
        ez_pg_put_int(&mark, work->level);
    ez_status status = ez_pg_push(try, find_hours, &hours, error);
    if (!status)
        status = ez_pg_push(try, delete_coarse, &coarse, error);
    if (!status)
        status = ez_pg_push(try, insert_coarse, &sums, error);
    if (status)
        return status;
    return ez_pg_push(try,
                      is_last ? "DELETE FROM rollup_stale WHERE step = $1 AND time_s = $2"
                              : "UPDATE rollup_stale SET folded = $3 WHERE step = $1 AND time_s = $2",
                      &mark, error);
}

static ez_status fold_one(void *user, ez_pg_attempt *try, ez_error *error) {
    fold *work = user;
    work->found = work->is_early = false;
    ez_pg_params params = {0};
    ez_pg_put_int(&params, work->now_s - EZ_ROLLUP_QUIET_S);
    ez_status status = ez_pg_begin(try, error);
    if (!status)
        status = ez_pg_push(try, find_stale, &params, error);
    if (!status)
        status = ez_pg_collect(try, take_stale, work, error);
    if (status || !work->found)
        return status;
    status = ez_pg_resume(try, error);
    if (!status)
        status = push_fold(work, try, error);
    return status ? status : ez_pg_collect(try, take_hours, work, error);
}

// Folding twice does no harm, so that a COMMIT whose outcome is not known needs no care.
ez_status ez_pg_fold_rollups(void *db, int64_t now_ns, bool *more, ez_error *error) {
    fold work = {.now_s = now_ns / 1000000000};
    bool is_unknown = false;
    ez_status status =
        ez_pg_transact(&((ez_pg *)db)->logs, fold_one, &work, "a rollup: it is folded again", &is_unknown, error);
    if (work.is_early) {
        status = EZ_OK;
        if (error)
            ez_error_clear(error);
    }
    if (!status)
        *more = work.found && !work.is_early;
    return status;
}
