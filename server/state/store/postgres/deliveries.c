// SPDX-License-Identifier: Apache-2.0
//
// Webhook deliveries in PostgreSQL: a log of the newest so many.
#include "server/state/store/postgres/meter.h"
#include "server/state/store/retention.h"

static ez_status put(void *user, ez_pg_attempt *try, ez_error *error) {
    static const char text[] =
        "INSERT INTO deliveries (id, created_ns, kind, url, status, attempts, http_status, error, finished_ns) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO UPDATE SET created_ns = excluded.created_ns, "
        "kind = excluded.kind, url = excluded.url, status = excluded.status, attempts = excluded.attempts, "
        "http_status = excluded.http_status, error = excluded.error, finished_ns = excluded.finished_ns";
    static const char trim[] =
        "DELETE FROM deliveries WHERE id <= (SELECT id FROM deliveries ORDER BY id DESC LIMIT 1 OFFSET $1)";
    const ez_delivery *delivery = user;
    ez_pg_params params = {0}, keep = {0};
    ez_pg_put_int(&params, delivery->id);
    ez_pg_put_int(&params, delivery->created_ns);
    ez_pg_put_text(&params, delivery->kind ? delivery->kind : "");
    ez_pg_put_text(&params, delivery->url ? delivery->url : "");
    ez_pg_put_int(&params, delivery->status);
    ez_pg_put_int(&params, delivery->attempts);
    ez_pg_put_int(&params, delivery->http_status);
    ez_pg_put_text(&params, delivery->error ? delivery->error : "");
    ez_pg_put_int(&params, delivery->finished_ns);
    ez_pg_put_int(&keep, EZ_DELIVERIES_KEEP);
    ez_status status = ez_pg_begin(try, error);
    if (!status)
        status = ez_pg_push(try, text, &params, error);
    if (!status)
        status = ez_pg_push(try, trim, &keep, error);
    return status ? status : ez_pg_collect(try, NULL, NULL, error);
}

ez_status ez_pg_put_delivery(void *db, const ez_delivery *delivery, ez_error *error) {
    bool is_unknown = false;
    return ez_pg_transact(&((ez_pg *)db)->logs, put, (void *)(uintptr_t)delivery,
                          "a delivery: put it again, it is replaced", &is_unknown, error);
}
