// SPDX-License-Identifier: Apache-2.0
//
// Rollups in PostgreSQL: adding to them as arrays, and folding minutes into hours and hours into days, one level of a
// piece of an hour or day at a time, on the server.
//
// Awkward: folding and adding records wait for each other (log_head's row), so that what is added to an hour is folded
// once. Pieces are small, so that the wait is short. The row is updated and not only locked: where the database is set
// to a stricter isolation than READ COMMITTED, whoever waited fails then and tries again, instead of seeing what was.
#include "proto/runtime/cleanup.h"
#include "server/state/store/postgres/meter.h"
#include "server/state/store/stats_query.h"

#define SUM(column) "least(sum(" #column "), " EZ_SQL_SUM_MAX ")::int8"
#define NAMES       EZ_SQL_EACH_SUM(EZ_SQL_NAME)
#define SUMMED      EZ_SQL_EACH_SUM(SUM)
_Static_assert(EZ_SQL_SUM_COUNT == EZ_STATS_SUMS, "sums are sent as an array");

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
            (void)ez_buf_printf(out, ", %s", ez_stats_columns[c]);
    }
    (void)ez_buf_puts(out, ")");
}

static void set_text(uint32_t used, const char *from, ez_buf *out) {
    const char *comma = "";
    for (int c = 0; c < EZ_SQL_SUM_COUNT; c++) {
        if (!(used >> c & 1))
            continue;
        (void)ez_buf_printf(out, "%s%s = least(r.%s + %s.%s, " EZ_SQL_SUM_MAX ")", comma, ez_stats_columns[c],
                            ez_stats_columns[c], from, ez_stats_columns[c]);
        comma = ", ";
    }
}

// INSERT INTO rollups AS r (step, …) SELECT s.*, 0, … FROM unnest(…) AS s ON CONFLICT … DO UPDATE SET …
static void add_text(uint32_t used, ez_buf *out) {
    (void)ez_buf_puts(out, "INSERT INTO rollups AS r (step, level, time_s, a, b, model");
    for (int pass = 1; pass >= 0; pass--) { // first those that are sent
        for (int c = 0; c < EZ_SQL_SUM_COUNT; c++) {
            if ((used >> c & 1) == (uint32_t)pass)
                (void)ez_buf_printf(out, ", %s", ez_stats_columns[c]);
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

static ez_status push_days(ez_pg_attempt *try, const ez_rollup *rollup, ez_error *error) {
    static const char text[] = "INSERT INTO log_days (day, records) SELECT * FROM unnest($1::int8[], $2::int8[]) ON "
                               "CONFLICT (day) DO UPDATE SET records = log_days.records + excluded.records";
    ez_auto(ez_pg_arrays) arrays;
    ez_pg_arrays_init(&arrays, "ii");
    size_t count = 0;
    const ez_log_day *days = ez_rollup_days(rollup, &count);
    ez_status status = EZ_OK;
    for (size_t i = 0; !status && i < count; i++) {
        ez_pg_arrays_int(&arrays, days[i].day);
        ez_pg_arrays_int(&arrays, days[i].records);
        status = ez_pg_push_full(try, text, &arrays, error);
    }
    return status ? status : ez_pg_push_arrays(try, text, &arrays, error);
}

ez_status ez_pg_push_rollups(ez_pg_attempt *try, ez_rollup *rollup, ez_pg_known *known, size_t *updates,
                             ez_error *error) {
    ez_status status = push_rows(try, rollup, known, updates, error);
    if (!status)
        status = push_days(try, rollup, error);
    ez_rollup_clear(rollup);
    return status;
}

// ---- Folding

typedef struct fold {
    uint64_t fence;
    ez_pg_attempt *try;
    int64_t now_s;
    ez_open_steps steps;
    bool found, any;
    ez_fold what;
} fold;

static void fold_fini(fold *work) {
    ez_open_steps_fini(&work->steps);
}

static const char lock_head[] = "UPDATE log_head SET one = one WHERE one = 1";
static const char has_rows[] =
    "SELECT 1::int8 FROM rollups WHERE step = $1 AND level = 1 AND time_s >= $2 AND time_s < "
    "$3 LIMIT 1";
static const char delete_coarse[] = "DELETE FROM rollups WHERE step = $1 AND level BETWEEN $2 AND $3 AND time_s = "
                                    "$4";
// A model's rows beside each other, so that a question about one model (rollups_by_model) reads few pages.
#define ADD(column) #column " = least(r." #column " + excluded." #column ", " EZ_SQL_SUM_MAX ")"
static const char add_coarse[] =
    "INSERT INTO rollups AS r (step, level, time_s, a, b, model, " NAMES ") SELECT $1::int8, $2::int8, $3::int8, a, b, "
    "CASE WHEN $5 = $2 THEN model ELSE '' END, " SUMMED " FROM rollups WHERE step = $4 AND level = $5 AND time_s >= $6 "
    "AND time_s < $7 GROUP BY 4, 5, 6 ORDER BY 6, 4, 5 ON CONFLICT (step, level, time_s, a, b, model) DO UPDATE "
    "SET " EZ_SQL_EACH_SUM(ADD);

static ez_status take_open(void *user, unsigned at, const PGresult *result, ez_error *error) {
    fold *work = user;
    bool is_last = at + 1 == work->try->sent;
    return is_last ? ez_pg_take_open(&work->steps, result, error) : ez_pg_check_fence(work->try, at, result, error);
}

static ez_status take_locked(void *user, unsigned at, const PGresult *result, ez_error *error) {
    return at == 1 ? ez_pg_take_open(&((fold *)user)->steps, result, error) : EZ_OK;
}

static ez_status take_any(void *user, unsigned at, const PGresult *result, ez_error *error) {
    (void)at;
    (void)error;
    ((fold *)user)->any = PQntuples(result) > 0;
    return EZ_OK;
}

static ez_status look(fold *work, ez_pg_attempt *try, ez_error *error) {
    ez_pg_params none = {0};
    ez_status status = ez_pg_begin(try, error);
    if (!status)
        status = ez_pg_push_fence(try, work->fence, error);
    if (!status)
        status = ez_pg_push(try, ez_sql_open_steps, &none, error);
    return status ? status : ez_pg_collect(try, take_open, work, error);
}

// Looks before it locks, so that ingest waits only where there is something to fold, and once more behind the lock.
static ez_status find_work(fold *work, ez_pg_attempt *try, ez_error *error) {
    ez_pg_params none = {0};
    ez_status status = look(work, try, error);
    work->found = !status && ez_open_steps_next(&work->steps, work->now_s, &work->what);
    if (!work->found)
        return status;
    status = ez_pg_resume(try, error);
    if (!status)
        status = ez_pg_push(try, lock_head, &none, error);
    if (!status)
        status = ez_pg_push(try, ez_sql_open_steps, &none, error);
    if (!status)
        status = ez_pg_collect(try, take_locked, work, error);
    work->found = !status && ez_open_steps_next(&work->steps, work->now_s, &work->what);
    return status;
}

static ez_status find_any(fold *work, ez_pg_attempt *try, ez_error *error) {
    ez_pg_params params = {0};
    ez_pg_put_int(&params, ez_fold_finer_step(&work->what));
    ez_pg_put_int(&params, work->what.open.from_s);
    ez_pg_put_int(&params, work->what.until_s);
    ez_status status = ez_pg_resume(try, error);
    if (!status)
        status = ez_pg_push(try, has_rows, &params, error);
    return status ? status : ez_pg_collect(try, take_any, work, error);
}

static ez_status push_delete(const fold *work, ez_pg_attempt *try, ez_error *error) {
    ez_pg_params params = {0};
    ez_pg_put_int(&params, work->what.open.step);
    ez_pg_put_int(&params, work->what.level);
    ez_pg_put_int(&params, work->any ? work->what.level : EZ_ROLLUP_LEVELS - 1);
    ez_pg_put_int(&params, work->what.open.time_s);
    return ez_pg_push(try, delete_coarse, &params, error);
}

static ez_status push_add(const fold *work, ez_pg_attempt *try, ez_error *error) {
    ez_pg_params params = {0};
    ez_pg_put_int(&params, work->what.open.step);
    ez_pg_put_int(&params, work->what.level);
    ez_pg_put_int(&params, work->what.open.time_s);
    ez_pg_put_int(&params, ez_fold_finer_step(&work->what));
    ez_pg_put_int(&params, ez_rollup_kept(ez_fold_finer_step(&work->what), (ez_rollup_level)work->what.level));
    ez_pg_put_int(&params, work->what.open.from_s);
    ez_pg_put_int(&params, work->what.until_s);
    return ez_pg_push(try, add_coarse, &params, error);
}

// Where there is nothing to fold, all levels are done at once.
static ez_status fold_piece(fold *work, ez_pg_attempt *try, ez_error *error) {
    work->any = true;
    ez_status status = work->what.level > EZ_ROLLUP_TOTAL ? EZ_OK : find_any(work, try, error);
    if (!status)
        status = ez_pg_resume(try, error);
    if (!status && ez_fold_is_first(&work->what))
        status = push_delete(work, try, error);
    if (!status && work->any)
        status = push_add(work, try, error);
    ez_open_step open = ez_fold_done(&work->what, !work->any);
    if (!status)
        status = ez_pg_push_moved(try, &open, error);
    return status ? status : ez_pg_collect(try, NULL, NULL, error);
}

static ez_status fold_next(void *user, ez_pg_attempt *try, ez_error *error) {
    fold *work = user;
    work->try = try;
    ez_status status = find_work(work, try, error);
    return work->found ? fold_piece(work, try, error) : status;
}

// Folding is done again where nothing is known of a COMMIT: the edge says whether it was.
ez_status ez_pg_fold_rollups(void *db, uint64_t fence, int64_t now_ns, bool *more, ez_error *error) {
    ez_auto(fold) work = {.fence = fence, .now_s = now_ns / 1000000000};
    bool is_unknown = false;
    ez_status status =
        ez_pg_transact(&((ez_pg *)db)->logs, fold_next, &work, "a rollup: it is folded again", &is_unknown, error);
    if (!status)
        *more = work.found;
    return status;
}
