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

#define SUM(column) "least(sum(" #column "), " EZ_SQL_SUM_MAX ")::int8"
#define NAMES       EZ_SQL_EACH_SUM(EZ_SQL_NAME)
#define SUMMED      EZ_SQL_EACH_SUM(SUM)
_Static_assert(sizeof(ez_rollup_sums) == EZ_SQL_SUM_COUNT * sizeof(int64_t), "sums are sent as an array");

static const char *const columns[EZ_SQL_SUM_COUNT] = {
    "requests",   "errors", "rate_limited", "tokens_in", "tokens_out", "cost_nano_usd",
    "latency_ms", "h0",     "h1",           "h2",        "h3",         "h4",
    "h5",         "h6",     "h7",           "h8",        "h9",         "h10",
    "h11",        "h12",    "h13",          "h14",       "h15",
};

// The columns that say something: of most batches, some buckets of the histogram and other counts are zero in every
// row. Each column that is left out spares the server an array to unroll, which is a good part of what a row costs.
static uint32_t used_columns(const ez_rollup_row *rows, size_t count) {
    uint32_t used = 0;
    for (size_t i = 0; i < count; i++) {
        const int64_t *sums = (const int64_t *)&rows[i].sums;
        for (int c = 0; c < EZ_SQL_SUM_COUNT; c++)
            used |= (uint32_t)(sums[c] != 0) << c;
    }
    return used;
}

// "unnest($1::int8[], …)" of the key and the used columns, which are named behind it.
static void unnest_text(uint32_t used, ez_buf *out) {
    (void)ez_buf_puts(out, " FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::text[]");
    for (int at = 0; at < __builtin_popcount(used); at++)
        (void)ez_buf_printf(out, ", $%d::int8[]", 7 + at);
    (void)ez_buf_puts(out, ") AS s (step, level, time_s, a, b, model");
    for (int c = 0; c < EZ_SQL_SUM_COUNT; c++) {
        if (used >> c & 1)
            (void)ez_buf_printf(out, ", %s", columns[c]);
    }
    (void)ez_buf_puts(out, ")");
}

static void set_text(uint32_t used, const char *from, ez_buf *out) {
    const char *comma = "";
    for (int c = 0; c < EZ_SQL_SUM_COUNT; c++) {
        if (!(used >> c & 1))
            continue;
        (void)ez_buf_printf(out, "%s%s = least(r.%s + %s.%s, " EZ_SQL_SUM_MAX ")", comma, columns[c], columns[c], from,
                            columns[c]);
        comma = ", ";
    }
}

// INSERT INTO rollups AS r (step, …) SELECT s.*, 0, … FROM unnest(…) AS s ON CONFLICT … DO UPDATE SET …
static void add_text(uint32_t used, ez_buf *out) {
    (void)ez_buf_puts(out, "INSERT INTO rollups AS r (step, level, time_s, a, b, model");
    for (int pass = 1; pass >= 0; pass--) { // first those that are sent
        for (int c = 0; c < EZ_SQL_SUM_COUNT; c++) {
            if ((used >> c & 1) == (uint32_t)pass)
                (void)ez_buf_printf(out, ", %s", columns[c]);
        }
    }
    (void)ez_buf_puts(out, ") SELECT s.*");
    for (int c = 0; c < EZ_SQL_SUM_COUNT; c++) {
        if (!(used >> c & 1))
            (void)ez_buf_puts(out, ", 0");
    }
    unnest_text(used, out);
    (void)ez_buf_puts(out, " ON CONFLICT (step, level, time_s, a, b, model) DO UPDATE SET ");
    set_text(used, "excluded", out);
}

static void update_text(uint32_t used, ez_buf *out) {
    (void)ez_buf_puts(out, "UPDATE rollups AS r SET ");
    set_text(used, "s", out);
    unnest_text(used, out);
    (void)ez_buf_puts(out, " WHERE r.step = s.step AND r.level = s.level AND r.time_s = s.time_s AND r.a = s.a AND r.b "
                           "= s.b AND r.model = s.model");
}

static void put_row(ez_pg_arrays *arrays, const ez_rollup_row *row, uint32_t used) {
    const int64_t *sums = (const int64_t *)&row->sums;
    ez_pg_arrays_int(arrays, row->step);
    ez_pg_arrays_int(arrays, row->level);
    ez_pg_arrays_int(arrays, row->time_s);
    ez_pg_arrays_int(arrays, row->a);
    ez_pg_arrays_int(arrays, row->b);
    ez_pg_arrays_slice(arrays, row->model);
    for (int c = 0; c < EZ_SQL_SUM_COUNT; c++) {
        if (used >> c & 1)
            ez_pg_arrays_int(arrays, sums[c]);
    }
}

// The rows that are known to be there, or those that are not; *sent: how many.
static ez_status push_some(ez_pg_attempt *try, const ez_rollup_row *rows, size_t count, const ez_pg_known *known,
                           bool is_known, size_t *sent, ez_error *error) {
    uint32_t used = used_columns(rows, count) | 1; // requests are never zero
    ez_auto(ez_buf) text;
    ez_auto(ez_pg_arrays) arrays;
    ez_buf_init(&text, 16384);
    ez_pg_arrays_init(&arrays, "iiiiitiiiiiiiiiiiiiiiiiiiiiii");
    arrays.count = 6 + __builtin_popcount(used);
    if (is_known)
        update_text(used, &text);
    else
        add_text(used, &text);
    const char *statement = ez_buf_cstr(&text);
    if (!statement || text.overflow)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for the rollups of log records");
    ez_status status = EZ_OK;
    for (size_t i = 0; !status && i < count; i++) {
        if (ez_pg_known_has(known, ez_rollup_hash(&rows[i])) != is_known)
            continue;
        ++*sent;
        put_row(&arrays, &rows[i], used);
        status = ez_pg_push_full(try, statement, &arrays, error);
    }
    return status ? status : ez_pg_push_arrays(try, statement, &arrays, error);
}

static ez_status push_rows(ez_pg_attempt *try, ez_rollup *rollup, ez_pg_known *known, size_t *updates,
                           ez_error *error) {
    size_t count = 0, added = 0;
    const ez_rollup_row *rows = ez_rollup_rows(rollup, &count);
    ez_pg_params none = {0};
    // A join by the whole key, row by row: what the planner believes of the table's size must not make it read it all.
    ez_status status = ez_pg_push(
        try, "SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)", &none,
        error);
    if (!status)
        status = push_some(try, rows, count, known, true, updates, error);
    if (!status)
        status = push_some(try, rows, count, known, false, &added, error);
    for (size_t i = 0; !status && i < count; i++)
        ez_pg_known_put(known, ez_rollup_hash(&rows[i]));
    return status;
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

ez_status ez_pg_push_rollups(ez_pg_attempt *try, ez_rollup *rollup, int64_t now_ns, ez_pg_known *known, size_t *updates,
                             ez_error *error) {
    ez_status status = push_rows(try, rollup, known, updates, error);
    if (!status)
        status = push_days(try, rollup, error);
    if (!status)
        status = push_stale(try, rollup, now_ns, error);
    ez_rollup_clear(rollup);
    return status;
}

// ---- Folding

typedef struct fold {
    uint64_t fence;
    ez_pg_attempt *try;
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
// A model's rows beside each other, so that a question about one model (rollups_by_model) reads few pages.
static const char insert_coarse[] =
    "INSERT INTO rollups (step, level, time_s, a, b, model, " NAMES ") SELECT $1::int8, $2::int8, $3::int8, a, b, CASE "
    "WHEN $5 = $2 THEN model ELSE '' END, " SUMMED " FROM rollups WHERE step = $4 AND level = $5 AND time_s >= $3 AND "
    "time_s < $3 + $1 GROUP BY 4, 5, 6 ORDER BY 6, 4, 5";

static ez_status take_stale(void *user, unsigned at, const PGresult *result, ez_error *error) {
    fold *work = user;
    if (at != 2)
        return ez_pg_check_fence(work->try, at, result, error);
    work->found = PQntuples(result) == 1;
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
    ez_pg_put_int(&sums, ez_rollup_kept(finer, (ez_rollup_level)work->level));
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
    work->try = try;
    work->found = work->is_early = false;
    ez_pg_params params = {0};
    ez_pg_put_int(&params, work->now_s - EZ_ROLLUP_QUIET_S);
    ez_status status = ez_pg_begin(try, error);
    if (!status)
        status = ez_pg_push(try, find_stale, &params, error);
    if (!status)
        status = ez_pg_push_fence(try, work->fence, error);
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
ez_status ez_pg_fold_rollups(void *db, uint64_t fence, int64_t now_ns, bool *more, ez_error *error) {
    fold work = {.fence = fence, .now_s = now_ns / 1000000000};
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
