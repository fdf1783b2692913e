// SPDX-License-Identifier: Apache-2.0
//
// Log records from SQLite. Rows are handed on as SQLite holds them: they are gone at the next step.
#include "proto/runtime/cleanup.h"
#include "server/state/store/log_query.h"
#include "server/state/store/sqlite/meter_read.h"

// The statement that was written into text, its texts bound.
static ez_status prepare(ez_sqlite_conn *conn, const ez_log_page *page, ez_buf *text, sqlite3_stmt **out,
                         ez_error *error) {
    const char *words = text->overflow ? NULL : ez_buf_cstr(text);
    if (!words)
        return ez_sqlite_fail(conn, SQLITE_NOMEM, error);
    ez_status status = ez_sqlite_prepare(conn, words, out, error);
    for (int i = 0; !status && i < page->text_count; i++)
        ez_sqlite_bind_text(*out, i + 1, page->texts[i]);
    return status;
}

// Finds the last record that may be looked at; *behind: there is one behind it.
static ez_status find_end(ez_sqlite_conn *conn, ez_log_page *page, bool *behind, ez_error *error) {
    ez_auto(ez_buf) text;
    ez_buf_init(&text, EZ_LOG_TEXT_MAX);
    ez_log_page_end_text(page, &text);
    sqlite3_stmt *statement = NULL;
    ez_status status = prepare(conn, page, &text, &statement, error);
    int code = SQLITE_DONE;
    if (!status && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        page->has_end = true;
        page->end_ns = sqlite3_column_int64(statement, 0);
        page->end_id = sqlite3_column_int64(statement, 1);
        code = sqlite3_step(statement);
        *behind = code == SQLITE_ROW;
    }
    if (!status && code != SQLITE_ROW && code != SQLITE_DONE)
        status = ez_sqlite_fail(conn, code, error);
    sqlite3_finalize(statement);
    return status;
}

static ez_log_row row_at(sqlite3_stmt *statement, bool with_body) {
    ez_log_row row = {.stream = sqlite3_column_int(statement, 25) != 0};
    int64_t *numbers[] = {&row.id,        &row.time_ns, &row.received_ns, &row.data_plane_id,
                          &row.master_id, &row.key_id,  &row.group_id,    &row.api_key_id};
    ez_slice *texts[] = {&row.request_id,    &row.namespace, &row.model,        &row.upstream_model,
                         &row.provider_type, &row.client_ip, &row.error_message};
    int64_t *more[] = {&row.latency_ms,    &row.ttft_ms,       &row.tokens_in,
                       &row.tokens_out,    &row.cached_tokens, &row.reasoning_tokens,
                       &row.cost_nano_usd, &row.request_bytes, &row.response_bytes};
    for (int i = 0; i < 8; i++)
        *numbers[i] = sqlite3_column_int64(statement, i);
    for (int i = 0; i < 7; i++)
        *texts[i] = ez_sqlite_bytes(statement, 8 + i);
    row.status_code = sqlite3_column_int(statement, 15);
    for (int i = 0; i < 9; i++)
        *more[i] = sqlite3_column_int64(statement, 16 + i);
    if (with_body)
        row.body = ez_sqlite_bytes(statement, 26);
    return row;
}

typedef struct page_run {
    ez_log_fn *each;
    void *user;
    size_t given;
    bool has_more;
    int64_t at_ns, at_id;
} page_run;

static ez_status read_page(ez_sqlite_conn *conn, ez_log_page *page, page_run *run, ez_error *error) {
    ez_auto(ez_buf) text;
    ez_buf_init(&text, EZ_LOG_TEXT_MAX);
    ez_log_page_text(page, &text);
    sqlite3_stmt *statement = NULL;
    ez_status status = prepare(conn, page, &text, &statement, error);
    int code;
    while (!status && !run->has_more && (code = sqlite3_step(statement)) != SQLITE_DONE) {
        if (code != SQLITE_ROW) {
            status = ez_sqlite_fail(conn, code, error);
        } else if (run->given == page->limit) {
            run->has_more = true;
        } else {
            ez_log_row row = row_at(statement, page->filter->with_body);
            run->given++;
            run->at_ns = row.time_ns;
            run->at_id = row.id;
            status = run->each(run->user, &row, error);
        }
    }
    sqlite3_finalize(statement);
    return status;
}

ez_status ez_sqlite_reader_each_log(void *reader, const ez_log_filter *filter, ez_log_fn *each, void *user, bool *more,
                                    int64_t *at_ns, int64_t *at_id, ez_error *error) {
    ez_sqlite_conn *conn = reader;
    ez_log_page page;
    ez_status status = ez_log_page_init(&page, filter, EZ_LOG_SQLITE, error);
    if (status)
        return status;
    page_run run = {.each = each, .user = user};
    bool behind = false;
    // Both statements see the same moment.
    status = ez_sqlite_exec(conn, "BEGIN", error);
    if (!status && page.has_rest)
        status = find_end(conn, &page, &behind, error);
    if (!status)
        status = read_page(conn, &page, &run, error);
    ez_sqlite_rollback(conn);
    if (status)
        return status;
    bool is_short = !run.has_more && behind;
    *more = run.has_more || is_short;
    *at_ns = is_short ? page.end_ns : run.at_ns;
    *at_id = is_short ? page.end_id : run.at_id;
    return EZ_OK;
}
