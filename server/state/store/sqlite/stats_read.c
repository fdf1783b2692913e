// SPDX-License-Identifier: Apache-2.0
//
// Statistics from SQLite. Edges, open steps and rows are read in one transaction, so that they are of one moment. The
// rows come as they are and are added up here: SQLite's GROUP BY sorts all of them, wide as they are, which took twice
// as long (112,000 rows: 215 ms and 70 ms). Groups are handed on when nothing is read any more.
#include "proto/runtime/cleanup.h"
#include "server/state/store/sqlite/meter.h"
#include "server/state/store/sqlite/meter_read.h"
#include "server/state/store/stats_groups.h"
#include "server/state/store/stats_query.h"

#define MINUTE_TEXT_MAX 1024

typedef ez_status row_fn(void *user, sqlite3_stmt *row, ez_error *error);

static ez_status each_row(ez_sqlite_conn *conn, const char *text, const char *model, row_fn *each, void *user,
                          ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_prepare(conn, text, &statement, error);
    if (status)
        return status;
    if (sqlite3_bind_parameter_count(statement))
        ez_sqlite_bind_text(statement, 1, model);
    int code;
    while (!status && (code = sqlite3_step(statement)) != SQLITE_DONE)
        status = code == SQLITE_ROW ? each(user, statement, error) : ez_sqlite_fail(conn, code, error);
    sqlite3_finalize(statement);
    return status;
}

static ez_status take_edges(void *user, sqlite3_stmt *row, ez_error *error) {
    (void)error;
    ez_stats_edges *edges = user;
    edges->minutes_from_s = sqlite3_column_int64(row, 0);
    edges->hours_from_s = sqlite3_column_int64(row, 1);
    return EZ_OK;
}

typedef struct sum_run {
    ez_stats_groups groups;
    const ez_stats_query *query;
    bool is_by_model;
    int sums; // of a row
    ez_stats_fn *each;
    void *user;
} sum_run;

static void sum_run_fini(sum_run *run) {
    ez_stats_groups_fini(&run->groups);
}

static ez_status take_sums(void *user, sqlite3_stmt *row, ez_error *error) {
    sum_run *run = user;
    ez_slice model = run->is_by_model ? ez_sqlite_bytes(row, 0) : (ez_slice){0};
    ez_stats_row *group = NULL;
    ez_status status =
        ez_stats_groups_get(&run->groups, run->is_by_model ? 0 : sqlite3_column_int64(row, 0), model, &group, error);
    if (status)
        return status;
    if (run->query->tells_owner) {
        int64_t a = sqlite3_column_int64(row, run->sums + 1), owner = a ? a : EZ_STATS_NONE;
        group->owner_id = group->sums.requests == 0 || group->owner_id == owner ? owner : 0;
    }
    int64_t *numbers = (int64_t *)&group->sums;
    for (int i = 0; i < run->sums; i++)
        ez_rollup_sum_add(&numbers[i], sqlite3_column_int64(row, i + 1));
    return EZ_OK;
}

static ez_status give(void *user, const ez_stats_row *row, ez_error *error) {
    const sum_run *run = user;
    if (row->sums.requests < run->query->least_requests || row->sums.errors < run->query->least_errors)
        return EZ_OK;
    return run->each(run->user, row, error);
}

static ez_status read_sums(ez_sqlite_conn *conn, const ez_stats_query *query, const ez_stats_ask *ask, sum_run *run,
                           ez_error *error) {
    ez_stats_edges edges = {0};
    ez_status status = each_row(conn, ez_sql_log_edges, NULL, take_edges, &edges, error);
    ez_auto(ez_open_steps) open = {0};
    if (!status)
        status = ez_sqlite_read_open(conn, &open, error);
    if (status)
        return status;
    for (size_t i = 0; i < open.count; i++)
        ez_stats_edges_add(&edges, &open.items[i], (int)ask->level);
    ez_stats_plan plan;
    ez_stats_plan_build(&plan, query->since_s, query->until_s, ask->coarsest, &edges);
    if (!plan.count)
        return EZ_OK;
    ez_auto(ez_buf) text;
    ez_buf_init(&text, EZ_STATS_TEXT_MAX);
    status = ez_stats_rows_text(query, ask, &plan, EZ_STATS_SQLITE, &text, error);
    const char *words = status ? NULL : ez_buf_cstr(&text);
    if (!status && !words)
        status = ez_sqlite_fail(conn, SQLITE_NOMEM, error);
    return status ? status : each_row(conn, words, query->model, take_sums, run, error);
}

ez_status ez_sqlite_reader_each_stat(void *reader, const ez_stats_query *query, ez_stats_fn *each, void *user,
                                     ez_error *error) {
    ez_sqlite_conn *conn = reader;
    ez_stats_ask ask;
    ez_status status = ez_stats_ask_make(query, &ask, error);
    if (status)
        return status;
    ez_auto(sum_run) run = {.is_by_model = ask.is_by_model,
                            .query = query,
                            .sums = (int)ez_stats_sums_of(query),
                            .each = each,
                            .user = user};
    ez_stats_groups_init(&run.groups);
    status = ez_sqlite_exec(conn, "BEGIN", error);
    if (!status)
        status = read_sums(conn, query, &ask, &run, error);
    ez_sqlite_rollback(conn); // nothing was changed
    return status ? status : ez_stats_groups_each(&run.groups, give, &run, error);
}

// ---- One minute

typedef struct minute_run {
    ez_minute_fn *each;
    void *user;
} minute_run;

static ez_status give_minute(void *user, sqlite3_stmt *row, ez_error *error) {
    const minute_run *run = user;
    ez_minute_row one = {sqlite3_column_int64(row, 0), sqlite3_column_int64(row, 1), sqlite3_column_int64(row, 2)};
    return run->each(run->user, &one, error);
}

ez_status ez_sqlite_reader_each_of_minute(void *reader, ez_stats_by by, int64_t minute_s, ez_minute_fn *each,
                                          void *user, ez_error *error) {
    minute_run run = {each, user};
    ez_auto(ez_buf) text;
    ez_buf_init(&text, MINUTE_TEXT_MAX);
    ez_buf_puts(&text, "SELECT b, requests, errors");
    ez_status status = ez_stats_minute_text(by, minute_s, &text, error);
    const char *words = status ? NULL : ez_buf_cstr(&text);
    if (!status && !words)
        status = ez_sqlite_fail(reader, SQLITE_NOMEM, error);
    return status ? status : each_row(reader, words, NULL, give_minute, &run, error);
}
