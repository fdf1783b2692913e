// SPDX-License-Identifier: Apache-2.0
//
// Forgetting old changes and idempotency records in PostgreSQL, one bounded step in one transaction. The head is locked
// first, as a commit does, so that the two never wait for each other crosswise; another server that trims at the same
// time waits, and then finds less to do.
#include <stdlib.h>

#include "server/state/store/postgres/attempt.h"

static const char lock_head[] = "SELECT oldest FROM feed_head WHERE one = 1 FOR UPDATE";
static const char trim_changes[] =
    "WITH old AS (SELECT n, seq FROM changes WHERE n < $1 ORDER BY n, seq LIMIT $2), "
    "gone AS (DELETE FROM changes USING old WHERE changes.n = old.n AND changes.seq = old.seq RETURNING changes.n), "
    "seen AS (SELECT max(n) AS last, count(*) AS count FROM gone), "
    "moved AS (UPDATE feed_head SET oldest = greatest(oldest, last + 1) FROM seen WHERE one = 1 AND count > 0) "
    "SELECT count FROM seen";

typedef struct trim {
    uint64_t fence;
    int64_t keep_from, before_ns, max_rows;
    ez_pg_attempt *try;
    unsigned changes_at, records_at;
    bool more;
} trim;

static ez_status take_counts(void *user, unsigned at, const PGresult *result, ez_error *error) {
    trim *work = user;
    PGresult *answer = (PGresult *)(uintptr_t)result; // which is only read
    if (at == work->changes_at)
        work->more = work->more || ez_pg_int(result, 0, 0) == work->max_rows;
    if (at == work->records_at)
        work->more = work->more || strtoll(PQcmdTuples(answer), NULL, 10) == work->max_rows;
    return ez_pg_check_fence(work->try, at, result, error);
}

static ez_status forget(void *user, ez_pg_attempt *try, ez_error *error) {
    trim *work = user;
    ez_pg_params none = {0}, changes = {0}, records = {0};
    ez_pg_put_int(&changes, work->keep_from);
    ez_pg_put_int(&changes, work->max_rows);
    ez_pg_put_int(&records, work->before_ns);
    ez_pg_put_int(&records, work->max_rows);
    work->try = try;
    work->more = false;
    ez_status status = ez_pg_begin(try, error);
    if (!status)
        status = ez_pg_push_fence(try, work->fence, error);
    if (!status)
        status = ez_pg_push(try, lock_head, &none, error);
    work->changes_at = try->sent;
    if (!status)
        status = ez_pg_push(try, trim_changes, &changes, error);
    work->records_at = try->sent;
    if (!status)
        status = ez_pg_push(try, ez_sql_trim_idempotent, &records, error);
    return status ? status : ez_pg_collect(try, take_counts, work, error);
}

// Forgetting twice does no harm, so that a COMMIT whose outcome is not known needs no care.
ez_status ez_pg_trim(void *db, uint64_t fence, uint64_t keep_from, int64_t before_ns, size_t max_rows, bool *more,
                     ez_error *error) {
    trim work = {
        .fence = fence, .keep_from = ez_sql_n(keep_from), .before_ns = before_ns, .max_rows = ez_sql_n(max_rows)};
    bool is_unknown = false;
    ez_status status = ez_pg_transact(&((ez_pg *)db)->conn, forget, &work, "what forgets old changes: it is done again",
                                      &is_unknown, error);
    if (!status)
        *more = work.more;
    return status;
}
