// SPDX-License-Identifier: Apache-2.0
//
// The lease in PostgreSQL: one row, one pipeline that extends, takes over where the time is up by the database's own
// clock, and reads who has it. On a connection of its own, so that it waits behind no long transaction.
//
// A fenced transaction reads the row FOR KEY SHARE. Extending leaves the row's key alone and so passes it; a new holder
// changes the key (the token) and waits until the transaction has ended: its token is either still good at COMMIT, or
// the check finds another one and nothing is written.
#include <stdio.h>

#include "server/state/store/postgres/attempt.h"

#define NOW_MS "(extract(epoch FROM clock_timestamp()) * 1000)::int8"

static const char extend[] = "UPDATE leases SET until_ms = " NOW_MS " + $2 WHERE name = 'jobs' AND holder = $1";
static const char take_over[] = "UPDATE leases SET token = token + 1, holder = $1, until_ms = " NOW_MS
                                " + $2 WHERE name = 'jobs' AND holder <> $1 AND until_ms <= " NOW_MS;
static const char read_lease[] = "SELECT token, holder FROM leases WHERE name = 'jobs'";
static const char drop[] = "UPDATE leases SET holder = '', until_ms = 0 WHERE name = 'jobs' AND holder = $1";
static const char check[] =
    "SELECT token FROM leases WHERE name = 'jobs' AND token = $1 FOR KEY SHARE"; // see the migration

typedef struct lease_work {
    const char *holder;
    int64_t ttl_ms;
    ez_store_lease got;
    bool is_found;
} lease_work;

static ez_status take_row(void *user, unsigned at, const PGresult *result, ez_error *error) {
    (void)error;
    lease_work *work = user;
    if (at == 4 && PQntuples(result) == 1) {
        work->is_found = true;
        work->got.token = (uint64_t)ez_pg_int(result, 0, 0);
        snprintf(work->got.holder, sizeof work->got.holder, "%s", PQgetvalue(result, 0, 1));
    }
    return EZ_OK;
}

static ez_status take(void *user, ez_pg_attempt *try, ez_error *error) {
    lease_work *work = user;
    ez_pg_params params = {0}, none = {0};
    ez_pg_put_text(&params, work->holder);
    ez_pg_put_int(&params, work->ttl_ms);
    ez_status status = ez_pg_begin(try, error);
    if (!status)
        status = ez_pg_push(try, extend, &params, error);
    if (!status)
        status = ez_pg_push(try, take_over, &params, error);
    if (!status)
        status = ez_pg_push(try, read_lease, &none, error);
    return status ? status : ez_pg_collect(try, take_row, work, error);
}

// Taking twice does no harm: a COMMIT whose outcome is not known is tried again by whoever called.
ez_status ez_pg_take_lease(void *db, const char *holder, uint32_t ttl_ms, uint32_t timeout_ms, ez_store_lease *out,
                           ez_error *error) {
    ez_pg *store = db;
    lease_work work = {.holder = holder, .ttl_ms = ttl_ms};
    bool is_unknown = false;
    ez_status status = ez_pg_transact_within(&store->lease, timeout_ms, take, &work, "the lease: it is taken again",
                                             &is_unknown, error);
    if (!status && !work.is_found)
        status = ez_error_set(error, EZ_DATA_LOSS, "STORE_CORRUPT",
                              "the database %s has no row for the lease: restore it from a backup", store->where);
    if (!status)
        *out = work.got;
    return status;
}

static ez_status give_up(void *user, ez_pg_attempt *try, ez_error *error) {
    ez_pg_params params = {0};
    ez_pg_put_text(&params, user);
    ez_status status = ez_pg_begin(try, error);
    if (!status)
        status = ez_pg_push(try, drop, &params, error);
    return status ? status : ez_pg_collect(try, NULL, NULL, error);
}

ez_status ez_pg_drop_lease(void *db, const char *holder, uint32_t timeout_ms, ez_error *error) {
    bool is_unknown = false;
    return ez_pg_transact_within(&((ez_pg *)db)->lease, timeout_ms, give_up, (void *)(uintptr_t)holder,
                                 "the lease: it ends by itself", &is_unknown, error);
}

// ---- The fence

ez_status ez_pg_push_fence(ez_pg_attempt *try, uint64_t fence, ez_error *error) {
    try->fence_at = EZ_PG_NO_STATEMENT;
    if (fence == EZ_NO_FENCE)
        return EZ_OK;
    ez_pg_params params = {0};
    ez_pg_put_int(&params, ez_sql_n(fence));
    try->fence_at = try->sent;
    return ez_pg_push(try, check, &params, error);
}

ez_status ez_pg_check_fence(const ez_pg_attempt *try, unsigned at, const PGresult *result, ez_error *error) {
    return at == try->fence_at && PQntuples(result) != 1 ? ez_sql_lease_lost(error) : EZ_OK;
}
