// SPDX-License-Identifier: Apache-2.0
//
// Forgetting in PostgreSQL, one step in one transaction under log_head's lock: the partition of the oldest day where
// all of it goes, else its oldest records, so many; where there are none to forget, the edges of rollups move on and
// rows behind them go; then old marks.
//
// Awkward: dropping a partition wants a lock that no query is let past while it is waited for. It is waited for a short
// time only, a few times; where queries never leave a gap, the caller is told and tries again later.
#include <stdio.h>
#include <stdlib.h>

#include "proto/runtime/cleanup.h"
#include "proto/runtime/clock.h"
#include "server/state/store/postgres/meter.h"
#include "server/state/store/postgres/partitions.h"
#include "server/state/store/retention.h"

#define DROP_TRIES    4
#define DROP_PAUSE_MS 100

typedef struct trim {
    ez_pg *store;
    uint64_t fence;
    const ez_log_limits *limits;
    int64_t now_ns, max_rows;
    bool more;
    // Of an attempt.
    ez_pg_attempt *try;
    ez_log_day *days;
    size_t day_count;
    bool is_drop;
} trim;

static ez_status take_days(void *user, unsigned at, const PGresult *result, ez_error *error) {
    trim *work = user;
    if (at != 3)
        return ez_pg_check_fence(work->try, at, result, error);
    size_t count = (size_t)PQntuples(result);
    free(work->days);
    work->days = malloc((count + 1) * sizeof *work->days);
    if (!work->days)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for %zu days", count);
    for (size_t i = 0; i < count; i++)
        work->days[i] = (ez_log_day){ez_pg_int(result, (int)i, 0), ez_pg_int(result, (int)i, 1)};
    work->day_count = count;
    return EZ_OK;
}

static ez_status start(trim *work, ez_pg_attempt *try, ez_error *error) {
    ez_pg_params none = {0};
    ez_status status = ez_pg_begin(try, error);
    if (!status)
        status = ez_pg_push(try, ez_pg_lock_log_head, &none, error);
    if (!status)
        status = ez_pg_push(try, ez_sql_each_log_day, &none, error);
    if (!status)
        status = ez_pg_push_fence(try, work->fence, error);
    return status ? status : ez_pg_collect(try, take_days, work, error);
}

// A partition may be without records, and then log_days says nothing of it: its row is added.
static ez_status join_partitions(trim *work, ez_pg_attempt *try, ez_log_day **out, size_t *count, ez_error *error) {
    const ez_pg_partitions *known = work->store->partitions;
    ez_status status = ez_pg_partitions_load(work->store->partitions, try, error);
    if (status)
        return status;
    ez_log_day *days = malloc((known->count + 1) * sizeof *days);
    if (!days)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for %zu days", known->count);
    for (size_t i = 0, d = 0; i < known->count; i++) {
        while (d < work->day_count && work->days[d].day < known->days[i])
            d++;
        bool has_any = d < work->day_count && work->days[d].day == known->days[i];
        days[i] = (ez_log_day){known->days[i], has_any ? work->days[d].records : 0};
    }
    *out = days;
    *count = known->count;
    return EZ_OK;
}

static ez_status drop_day(trim *work, ez_pg_attempt *try, int64_t day, ez_error *error) {
    char name[EZ_PG_DAY_MAX], text[256];
    ez_pg_day_name(day, name);
    work->is_drop = true;
    ez_pg_partitions_forget(work->store->partitions);
    snprintf(text, sizeof text,
             "SET LOCAL lock_timeout = '250ms'; DROP TABLE IF EXISTS log_records_p%s, log_bodies_p%s; DELETE FROM "
             "log_days WHERE day = %lld",
             name, name, (long long)day);
    work->more = true;
    return ez_pg_exec(try->conn, text, NULL, try->deadline, error);
}

// The record that so many others of a range stand before.
static ez_status find_bound(ez_pg_attempt *try, int64_t from_ns, int64_t until_ns, int64_t rows, PGresult **found,
                            ez_error *error) {
    ez_pg_params at = {0};
    ez_pg_put_int(&at, from_ns);
    ez_pg_put_int(&at, until_ns);
    ez_pg_put_int(&at, rows);
    return ez_pg_run(try->conn,
                     "SELECT time_ns, id FROM log_records WHERE time_ns >= $1 AND time_ns < $2 ORDER BY time_ns, id "
                     "LIMIT 1 OFFSET $3",
                     &at, try->deadline, found, error);
}

// Where a step begins to look: where the last one of the day ended, since what that deleted stays in the indexes until
// a vacuum, and would be passed over by each step again. Where too little is left behind it, at the day's begin: there
// may be records that came late, or that a step which was rolled back left.
static ez_status find_range(const trim *work, ez_pg_attempt *try, int64_t day, int64_t until_ns, int64_t rows,
                            int64_t *from_ns, PGresult **found, ez_error *error) {
    const ez_pg *store = work->store;
    int64_t begin_ns = day * EZ_DAY_NS;
    *from_ns = store->forgot_ns > begin_ns && store->forgot_ns < until_ns ? store->forgot_ns : begin_ns;
    ez_status status = find_bound(try, *from_ns, until_ns, rows, found, error);
    if (status || PQntuples(*found) || *from_ns == begin_ns)
        return status;
    PQclear(*found);
    *found = NULL;
    *from_ns = begin_ns;
    return find_bound(try, *from_ns, until_ns, rows, found, error);
}

// Deletes the oldest records of the day before until_ns, at most so many.
static ez_status forget(const trim *work, ez_pg_attempt *try, int64_t day, int64_t until_ns, int64_t rows,
                        int64_t *gone, ez_error *error) {
    static const char bodies[] =
        "DELETE FROM log_bodies WHERE time_ns >= $1 AND time_ns <= $2 AND (time_ns, id) < ($2, "
        "$3)";
    static const char records[] = "DELETE FROM log_records WHERE time_ns >= $1 AND time_ns <= $2 AND (time_ns, id) < "
                                  "($2, $3)";
    int64_t end_ns = (day + 1) * EZ_DAY_NS, from_ns = 0;
    until_ns = until_ns < end_ns ? until_ns : end_ns;
    ez_pg_params behind = {0}, days = {0};
    ez_pg_autoclear PGresult *found = NULL, *deleted = NULL;
    ez_status status = find_range(work, try, day, until_ns, rows, &from_ns, &found, error);
    if (status)
        return status;
    work->store->forgot_ns = PQntuples(found) ? ez_pg_int(found, 0, 0) : 0;
    ez_pg_put_int(&behind, from_ns);
    ez_pg_put_int(&behind, PQntuples(found) ? ez_pg_int(found, 0, 0) : until_ns);
    ez_pg_put_int(&behind, PQntuples(found) ? ez_pg_int(found, 0, 1) : 0);
    status = ez_pg_exec(try->conn, bodies, &behind, try->deadline, error);
    if (!status)
        status = ez_pg_run(try->conn, records, &behind, try->deadline, &deleted, error);
    if (status)
        return status;
    *gone = strtoll(PQcmdTuples(deleted), NULL, 10);
    ez_pg_put_int(&days, day);
    ez_pg_put_int(&days, *gone);
    return ez_pg_exec(try->conn, "UPDATE log_days SET records = records - $2 WHERE day = $1", &days, try->deadline,
                      error);
}

static ez_status trim_records(trim *work, ez_pg_attempt *try, ez_error *error) {
    ez_autofree ez_log_day *days = NULL;
    size_t count = 0;
    ez_status status = join_partitions(work, try, &days, &count, error);
    if (status)
        return status;
    ez_retention_step step = ez_retention_next(days, count, work->limits);
    if (!step.is_any)
        return EZ_OK;
    if (step.is_whole)
        return drop_day(work, try, step.day, error);
    int64_t gone = 0, day_end = (step.day + 1) * EZ_DAY_NS;
    status = forget(work, try, step.day, step.until_ns, work->max_rows, &gone, error);
    if (!status && gone == 0 && step.excess)
        status = forget(work, try, step.day, day_end, step.excess < work->max_rows ? step.excess : work->max_rows,
                        &gone, error);
    work->more = gone > 0;
    return status;
}

// As far as nothing before is open: $1 and $2 at most.
static const char move_edges[] =
    "UPDATE log_head SET minutes_from_s = m, hours_from_s = greatest(hours_from_s, least($2, m / 86400 * 86400, "
    "coalesce((SELECT min(time_s) FROM rollup_open WHERE step = 86400), $2))) FROM (SELECT greatest(minutes_from_s, "
    "least($1, coalesce((SELECT min(time_s) FROM rollup_open WHERE step = 3600), $1))) AS m FROM log_head WHERE one = "
    "1) AS edge WHERE one = 1 AND minutes_from_s > 0 RETURNING minutes_from_s, hours_from_s";
static const char trim_level[] =
    "DELETE FROM rollups WHERE ctid = ANY (ARRAY (SELECT ctid FROM rollups WHERE step = $1 AND level = $2 AND time_s < "
    "$3 ORDER BY time_s LIMIT $4))";
static const char trim_mark_rows[] =
    "DELETE FROM marks WHERE ctid = ANY (ARRAY (SELECT ctid FROM marks WHERE time_ns < $1 AND (time_ns < $2 OR stream "
    ">= 256) ORDER BY time_ns LIMIT $3))";

static ez_status trim_rollups(trim *work, ez_pg_attempt *try, ez_error *error) {
    ez_rollup_edges want = ez_rollup_edges_at(work->now_ns);
    ez_pg_params edges = {0};
    ez_pg_autoclear PGresult *moved = NULL;
    ez_pg_put_int(&edges, want.minutes_from_s);
    ez_pg_put_int(&edges, want.hours_from_s);
    ez_status status = ez_pg_run(try->conn, move_edges, &edges, try->deadline, &moved, error);
    if (status || PQntuples(moved) == 0)
        return status; // nothing was ever added
    int64_t left = work->max_rows;
    for (int level = EZ_ROLLUP_TOTAL; level < 2 * EZ_ROLLUP_LEVELS && left > 0; level++) {
        bool is_minute = level < EZ_ROLLUP_LEVELS;
        ez_pg_params params = {0};
        ez_pg_autoclear PGresult *deleted = NULL;
        ez_pg_put_int(&params, is_minute ? EZ_ROLLUP_MINUTE : EZ_ROLLUP_HOUR);
        ez_pg_put_int(&params, level % EZ_ROLLUP_LEVELS);
        ez_pg_put_int(&params, ez_pg_int(moved, 0, is_minute ? 0 : 1));
        ez_pg_put_int(&params, left);
        status = ez_pg_run(try->conn, trim_level, &params, try->deadline, &deleted, error);
        if (status)
            return status;
        left -= strtoll(PQcmdTuples(deleted), NULL, 10);
    }
    work->more = left <= 0;
    return EZ_OK;
}

static ez_status trim_marks(trim *work, ez_pg_attempt *try, ez_error *error) {
    ez_pg_params params = {0};
    ez_pg_autoclear PGresult *deleted = NULL;
    ez_pg_put_int(&params, work->now_ns - EZ_KEYS_KEEP_NS);
    ez_pg_put_int(&params, work->now_ns - EZ_MARKS_KEEP_NS);
    ez_pg_put_int(&params, work->max_rows);
    ez_status status = ez_pg_run(try->conn, trim_mark_rows, &params, try->deadline, &deleted, error);
    if (!status)
        work->more = strtoll(PQcmdTuples(deleted), NULL, 10) >= work->max_rows;
    return status;
}

static ez_status trim_all(void *user, ez_pg_attempt *try, ez_error *error) {
    trim *work = user;
    work->try = try;
    work->more = work->is_drop = false;
    ez_status status = start(work, try, error);
    if (!status)
        status = trim_records(work, try, error);
    if (!status && !work->more)
        status = trim_rollups(work, try, error);
    if (!status && !work->more)
        status = trim_marks(work, try, error);
    return status;
}

// Forgetting twice does no harm, so that a COMMIT whose outcome is not known needs no care.
ez_status ez_pg_trim_logs(void *db, uint64_t fence, const ez_log_limits *limits, int64_t now_ns, size_t max_rows,
                          bool *more, ez_error *error) {
    ez_pg *store = db;
    trim work = {.store = store, .fence = fence, .limits = limits, .now_ns = now_ns, .max_rows = ez_sql_n(max_rows)};
    bool is_unknown = false;
    ez_status status = EZ_OK;
    for (int tries = 1; tries <= DROP_TRIES; tries++) {
        status = ez_pg_transact(&store->logs, trim_all, &work, "what forgets log records: it is done again",
                                &is_unknown, error);
        if (status != EZ_UNAVAILABLE || !work.is_drop || !store->logs.pg)
            break;
        ez_pg_pause(DROP_PAUSE_MS, ez_clock_mono_ms() + DROP_PAUSE_MS);
    }
    free(work.days);
    if (status)
        ez_pg_partitions_forget(store->partitions);
    else
        *more = work.more;
    return status;
}
