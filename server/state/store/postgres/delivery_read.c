// SPDX-License-Identifier: Apache-2.0
//
// Webhook deliveries from PostgreSQL.
#include "server/state/store/log_query.h"
#include "server/state/store/postgres/meter_read.h"
#include "server/state/store/postgres/stream.h"

typedef struct each_run {
    ez_delivery_fn *each;
    void *user;
} each_run;

static ez_status give(void *user, const PGresult *row, ez_error *error) {
    each_run *run = user;
    ez_delivery delivery = {
        .id = ez_pg_int(row, 0, 0),
        .created_ns = ez_pg_int(row, 0, 1),
        .kind = PQgetvalue(row, 0, 2),
        .url = PQgetvalue(row, 0, 3),
        .status = (ez_delivery_status)ez_pg_int(row, 0, 4),
        .attempts = (int32_t)ez_pg_int(row, 0, 5),
        .http_status = (int32_t)ez_pg_int(row, 0, 6),
        .error = PQgetvalue(row, 0, 7),
        .finished_ns = ez_pg_int(row, 0, 8),
    };
    return run->each(run->user, &delivery, error);
}

ez_status ez_pg_reader_each_delivery(void *reader, const ez_delivery_query *query, ez_delivery_fn *each, void *user,
                                     ez_error *error) {
    ez_pg_params params = {0};
    ez_pg_put_int(&params, query->before_id > 0 ? query->before_id : INT64_MAX);
    ez_pg_put_text(&params, query->kind_prefix ? query->kind_prefix : "");
    ez_pg_put_text(&params, query->kinds[0] ? query->kinds[0] : "");
    ez_pg_put_text(&params, query->kinds[0] ? query->kinds[1] : "");
    ez_pg_put_int(&params, query->since_ns);
    ez_pg_put_int(&params, query->status);
    ez_pg_put_int(&params, query->stale_ns);
    ez_pg_put_int(&params, query->limit < EZ_STORE_PAGE_MAX ? (int64_t)query->limit : EZ_STORE_PAGE_MAX);
    each_run run = {.each = each, .user = user};
    ez_pg_stream stream = {
        .text = ez_sql_page_delivery, .params = &params, .row = give, .user = &run, .is_reader = true};
    return ez_pg_stream_run(reader, &stream, error);
}
