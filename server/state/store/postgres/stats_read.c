// SPDX-License-Identifier: Apache-2.0
//
// Statistics from PostgreSQL: edges, open steps and sums in one snapshot. A sum that no BIGINT holds stays at
// EZ_USAGE_SUM_MAX, as it does in memory.
#include <inttypes.h>

#include "proto/runtime/cleanup.h"
#include "server/state/store/postgres/copy_out.h"
#include "server/state/store/postgres/meter.h"
#include "server/state/store/postgres/meter_read.h"
#include "server/state/store/postgres/snapshot.h"
#include "server/state/store/postgres/stream.h"
#include "server/state/store/stats_query.h"

typedef struct stat_run {
    const ez_stats_query *query;
    ez_stats_ask ask;
    ez_stats_fn *each;
    void *user;
    bool started;
} stat_run;

static ez_status read_edges(const ez_pg_snapshot *within, int level, ez_stats_edges *edges, ez_error *error) {
    ez_pg_params none = {0};
    ez_pg_autoclear PGresult *head = NULL, *rows = NULL;
    ez_auto(ez_open_steps) open = {0};
    ez_status status = ez_pg_run(within->conn, ez_sql_log_edges, &none, within->deadline, &head, error);
    if (!status)
        status = ez_pg_run(within->conn, ez_sql_open_steps, &none, within->deadline, &rows, error);
    if (!status)
        status = ez_pg_take_open(&open, rows, error);
    if (status)
        return status;
    if (PQntuples(head)) {
        edges->minutes_from_s = ez_pg_int(head, 0, 0);
        edges->hours_from_s = ez_pg_int(head, 0, 1);
    }
    for (size_t i = 0; i < open.count; i++)
        ez_stats_edges_add(edges, &open.items[i], level);
    return EZ_OK;
}

// A sum of one column. First sums are counts: PostgreSQL adds doubles up for a fraction of what a BIGINT's sum costs,
// and they are exact up to 9·10¹⁵.
static void put_sum(const ez_stats_query *query, const char *column, ez_buf *out) {
    ez_buf_printf(out, query->first_sums ? "sum(CAST(%s AS DOUBLE PRECISION))" : "sum(%s)", column);
}

static void put_having(const ez_stats_query *query, ez_buf *out) {
    if (query->least_requests <= 0 && query->least_errors <= 0)
        return;
    ez_buf_puts(out, " HAVING ");
    put_sum(query, "requests", out);
    ez_buf_printf(out, " >= %" PRId64, query->least_requests);
    if (query->least_errors <= 0)
        return;
    ez_buf_puts(out, " AND ");
    put_sum(query, "errors", out);
    ez_buf_printf(out, " >= %" PRId64, query->least_errors);
}

static const char *write_text(const stat_run *run, const ez_stats_plan *plan, ez_buf *text, ez_error *error) {
    ez_buf_puts(text, "SELECT grouped");
    for (size_t i = 0; i < ez_stats_sums_of(run->query); i++) {
        ez_buf_puts(text, ", CAST(least(");
        put_sum(run->query, ez_stats_columns[i], text);
        ez_buf_puts(text, ", 4000000000000000000) AS BIGINT)");
    }
    if (run->query->tells_owner)
        ez_buf_puts(text, ", CASE WHEN min(owner) < max(owner) THEN 0 WHEN min(owner) = 0 THEN -1 ELSE min(owner) END");
    ez_buf_puts(text, " FROM (");
    if (ez_stats_rows_text(run->query, &run->ask, plan, EZ_STATS_POSTGRES, text, error) != EZ_OK)
        return NULL;
    ez_buf_puts(text, ") AS found GROUP BY grouped");
    put_having(run->query, text);
    if (run->ask.is_by_time)
        ez_buf_puts(text, " ORDER BY grouped");
    const char *words = text->overflow ? NULL : ez_buf_cstr(text);
    if (!words)
        ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for a query");
    return words;
}

static ez_status give(void *user, const PGresult *row, ez_error *error) {
    stat_run *run = user;
    ez_stats_row group = {0};
    if (run->ask.is_by_model)
        group.model = ez_pg_bytes(row, 0, 0);
    else
        group.id = ez_pg_int(row, 0, 0);
    int64_t *numbers = (int64_t *)&group.sums;
    int count = (int)ez_stats_sums_of(run->query);
    for (int i = 0; i < count; i++)
        numbers[i] = ez_pg_int(row, 0, i + 1);
    if (run->query->tells_owner)
        group.owner_id = ez_pg_int(row, 0, count + 1);
    run->started = true;
    return run->each(run->user, &group, error);
}

static ez_status read_sums(const ez_pg_snapshot *within, void *user, ez_error *error) {
    _Static_assert(EZ_USAGE_SUM_MAX == INT64_C(4000000000000000000) && EZ_STATS_NONE == -1, "statements have them");
    stat_run *run = user;
    ez_stats_edges edges = {0};
    ez_status status = read_edges(within, (int)run->ask.level, &edges, error);
    if (status)
        return status;
    ez_stats_plan plan;
    ez_stats_plan_build(&plan, run->query->since_s, run->query->until_s, run->ask.coarsest, &edges);
    if (!plan.count)
        return EZ_OK;
    ez_auto(ez_buf) text;
    ez_buf_init(&text, EZ_STATS_TEXT_MAX);
    const char *words = write_text(run, &plan, &text, error);
    if (!words)
        return EZ_RESOURCE_EXHAUSTED;
    ez_pg_params params = {0};
    if (run->query->model && run->query->model[0])
        ez_pg_put_text(&params, run->query->model);
    ez_pg_stream query = {.text = words, .params = &params, .row = give, .user = run, .is_reader = true};
    return ez_pg_stream_within(within->conn, &query, within->deadline, error);
}

ez_status ez_pg_reader_each_stat(void *reader, const ez_stats_query *query, ez_stats_fn *each, void *user,
                                 ez_error *error) {
    stat_run run = {.query = query, .each = each, .user = user};
    ez_status status = ez_stats_ask_make(query, &run.ask, error);
    return status ? status : ez_pg_snapshot_run(reader, ez_pg_begin_sums, read_sums, &run, &run.started, error);
}

// ---- One minute

#define MINUTE_TEXT_MAX 1024

typedef struct minute_run {
    ez_stats_by by;
    int64_t minute_s;
    ez_minute_fn *each;
    void *user;
    bool started;
} minute_run;

static ez_status give_minute(void *user, const int64_t *numbers, ez_error *error) {
    minute_run *run = user;
    ez_minute_row one = {numbers[0], numbers[1], numbers[2]};
    run->started = true;
    return run->each(run->user, &one, error);
}

static ez_status read_minute(const ez_pg_snapshot *within, void *user, ez_error *error) {
    minute_run *run = user;
    ez_auto(ez_buf) text;
    ez_buf_init(&text, MINUTE_TEXT_MAX);
    ez_buf_puts(&text, "COPY (SELECT b, requests, errors");
    ez_status status = ez_stats_minute_text(run->by, run->minute_s, &text, error);
    ez_buf_puts(&text, ") TO STDOUT (FORMAT binary)");
    const char *words = text.overflow ? NULL : ez_buf_cstr(&text);
    if (!status && !words)
        status = ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for a query");
    ez_pg_copy_out copy = {.text = words, .columns = 3, .row = give_minute, .user = run};
    return status ? status : ez_pg_copy_out_run(within->conn, &copy, within->deadline, error);
}

ez_status ez_pg_reader_each_of_minute(void *reader, ez_stats_by by, int64_t minute_s, ez_minute_fn *each, void *user,
                                      ez_error *error) {
    minute_run run = {.by = by, .minute_s = minute_s, .each = each, .user = user};
    return ez_pg_snapshot_run(reader, ez_pg_begin_sums, read_minute, &run, &run.started, error);
}
