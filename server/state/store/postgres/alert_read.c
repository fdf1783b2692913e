// SPDX-License-Identifier: Apache-2.0
//
// Alerts from PostgreSQL.
#include "proto/runtime/cleanup.h"
#include "server/state/store/postgres/alerts.h"
#include "server/state/store/postgres/snapshot.h"
#include "server/state/store/postgres/stream.h"

ez_alert_row ez_pg_alert_at(const PGresult *result, int row) {
    int64_t numbers[EZ_SQL_ALERT_NUMBERS];
    const char *texts[EZ_SQL_ALERT_TEXTS];
    for (int i = 0; i < EZ_SQL_ALERT_NUMBERS; i++)
        numbers[i] = ez_pg_int(result, row, i);
    for (int i = 0; i < EZ_SQL_ALERT_TEXTS; i++)
        texts[i] = PQgetvalue(result, row, EZ_SQL_ALERT_NUMBERS + i);
    return ez_alert_row_of(numbers, texts);
}

typedef struct page_run {
    ez_alert_page page;
    ez_alert_fn *each;
    void *user;
    bool started;
    size_t given;
    bool has_more; // than the limit
    bool behind;   // what may be looked at
    int64_t at_id;
} page_run;

static const char *words_of(ez_buf *text, ez_error *error) {
    const char *words = text->overflow ? NULL : ez_buf_cstr(text);
    if (!words)
        ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for a query");
    return words;
}

static void put_texts(const ez_alert_page *page, ez_pg_params *params) {
    for (int i = 0; i < page->text_count; i++)
        ez_pg_put_text(params, page->texts[i]);
}

static ez_status find_end(const ez_pg_snapshot *within, page_run *run, ez_error *error) {
    ez_auto(ez_buf) text;
    ez_buf_init(&text, EZ_ALERT_TEXT_MAX);
    ez_alert_page_end_text(&run->page, &text);
    const char *words = words_of(&text, error);
    if (!words)
        return EZ_RESOURCE_EXHAUSTED;
    ez_pg_params params = {0};
    put_texts(&run->page, &params);
    ez_pg_autoclear PGresult *result = NULL;
    ez_status status = ez_pg_run(within->conn, words, &params, within->deadline, &result, error);
    if (status || !PQntuples(result))
        return status;
    run->page.end_id = ez_pg_int(result, 0, 0);
    run->behind = PQntuples(result) > 1;
    return EZ_OK;
}

static ez_status give(void *user, const PGresult *row, ez_error *error) {
    page_run *run = user;
    if (run->given == run->page.limit) {
        run->has_more = true;
        return EZ_OK;
    }
    ez_alert_row alert = ez_pg_alert_at(row, 0);
    run->started = true;
    run->given++;
    run->at_id = alert.id;
    return run->each(run->user, &alert, error);
}

static ez_status read_page(const ez_pg_snapshot *within, void *user, ez_error *error) {
    page_run *run = user;
    run->page.end_id = 0;
    run->behind = run->has_more = false;
    ez_status status = run->page.has_rest ? find_end(within, run, error) : EZ_OK;
    if (status)
        return status;
    ez_auto(ez_buf) text;
    ez_buf_init(&text, EZ_ALERT_TEXT_MAX);
    ez_alert_page_text(&run->page, &text);
    const char *words = words_of(&text, error);
    if (!words)
        return EZ_RESOURCE_EXHAUSTED;
    ez_pg_params params = {0};
    put_texts(&run->page, &params);
    ez_pg_stream query = {.text = words, .params = &params, .row = give, .user = run, .is_reader = true};
    return ez_pg_stream_within(within->conn, &query, within->deadline, error);
}

ez_status ez_pg_reader_each_alert(void *reader, const ez_alert_filter *filter, ez_alert_fn *each, void *user,
                                  bool *more, int64_t *at_id, ez_error *error) {
    page_run run = {.each = each, .user = user};
    ez_status status = ez_alert_page_init(&run.page, filter, EZ_ALERT_POSTGRES, error);
    if (!status)
        status = ez_pg_snapshot_run(reader, ez_pg_begin_pages, read_page, &run, &run.started, error);
    if (status)
        return status;
    bool is_short = !run.has_more && run.behind;
    *more = run.has_more || is_short;
    *at_id = is_short ? run.page.end_id : run.at_id;
    return EZ_OK;
}

typedef struct find_run {
    ez_alert_fn *each;
    void *user;
} find_run;

static ez_status give_found(void *user, const PGresult *row, ez_error *error) {
    find_run *run = user;
    ez_alert_row alert = ez_pg_alert_at(row, 0);
    return run->each(run->user, &alert, error);
}

ez_status ez_pg_reader_find_alert(void *reader, int64_t id, ez_alert_fn *each, void *user, ez_error *error) {
    ez_pg_params params = {0};
    ez_pg_put_int(&params, id);
    find_run run = {.each = each, .user = user};
    ez_pg_stream query = {
        .text = ez_sql_alert_by_id, .params = &params, .row = give_found, .user = &run, .is_reader = true};
    return ez_pg_stream_run(reader, &query, error);
}

static ez_status take_count(void *user, const PGresult *row, ez_error *error) {
    (void)error;
    ez_alert_counts *counts = user;
    int64_t at = ez_pg_int(row, 0, 0), severity = ez_pg_int(row, 0, 1), type = ez_pg_int(row, 0, 2);
    if (at >= 0 && at < EZ_ALERT_STATUSES && severity >= 0 && severity < EZ_ALERT_SEVERITIES && type >= 0 &&
        type < EZ_ALERT_TYPES)
        counts->n[at][severity][type] = ez_pg_int(row, 0, 3);
    return EZ_OK;
}

ez_status ez_pg_reader_count_alerts(void *reader, ez_alert_counts *out, ez_error *error) {
    ez_pg_params none = {0};
    *out = (ez_alert_counts){0};
    ez_pg_stream query = {
        .text = ez_sql_count_alerts, .params = &none, .row = take_count, .user = out, .is_reader = true};
    return ez_pg_stream_run(reader, &query, error);
}

const ez_alert_ops ez_alerts_postgres = {
    .change = ez_pg_change_alerts,
    .trim = ez_pg_trim_alerts,
    .reader_each = ez_pg_reader_each_alert,
    .reader_find = ez_pg_reader_find_alert,
    .reader_count = ez_pg_reader_count_alerts,
};
