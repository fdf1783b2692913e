// SPDX-License-Identifier: Apache-2.0
//
// Alerts from SQLite. Rows are handed on as SQLite holds them: they are gone at the next step.
#include "proto/runtime/cleanup.h"
#include "server/state/store/sqlite/alerts.h"

ez_status ez_sqlite_alert_at(ez_sqlite_conn *conn, sqlite3_stmt *statement, ez_alert_row *out, ez_error *error) {
    int64_t numbers[EZ_SQL_ALERT_NUMBERS];
    const char *texts[EZ_SQL_ALERT_TEXTS];
    for (int i = 0; i < EZ_SQL_ALERT_NUMBERS; i++)
        numbers[i] = sqlite3_column_int64(statement, i);
    for (int i = 0; i < EZ_SQL_ALERT_TEXTS; i++) {
        texts[i] = (const char *)sqlite3_column_text(statement, EZ_SQL_ALERT_NUMBERS + i);
        if (!texts[i])
            return ez_sqlite_fail(conn, SQLITE_NOMEM, error);
    }
    *out = ez_alert_row_of(numbers, texts);
    return EZ_OK;
}

static ez_status prepare(ez_sqlite_conn *conn, const ez_alert_page *page, ez_buf *text, sqlite3_stmt **out,
                         ez_error *error) {
    const char *words = text->overflow ? NULL : ez_buf_cstr(text);
    if (!words)
        return ez_sqlite_fail(conn, SQLITE_NOMEM, error);
    ez_status status = ez_sqlite_prepare(conn, words, out, error);
    for (int i = 0; !status && i < page->text_count; i++)
        ez_sqlite_bind_text(*out, i + 1, page->texts[i]);
    return status;
}

// Finds the last alert that may be looked at; *behind: there is one behind it.
static ez_status find_end(ez_sqlite_conn *conn, ez_alert_page *page, bool *behind, ez_error *error) {
    ez_auto(ez_buf) text;
    ez_buf_init(&text, EZ_ALERT_TEXT_MAX);
    ez_alert_page_end_text(page, &text);
    sqlite3_stmt *statement = NULL;
    ez_status status = prepare(conn, page, &text, &statement, error);
    int code = SQLITE_DONE;
    if (!status && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        page->end_id = sqlite3_column_int64(statement, 0);
        code = sqlite3_step(statement);
        *behind = code == SQLITE_ROW;
    }
    if (!status && code != SQLITE_ROW && code != SQLITE_DONE)
        status = ez_sqlite_fail(conn, code, error);
    sqlite3_finalize(statement);
    return status;
}

typedef struct page_run {
    ez_alert_fn *each;
    void *user;
    size_t given;
    bool has_more;
    int64_t at_id;
} page_run;

static ez_status give(ez_sqlite_conn *conn, sqlite3_stmt *statement, const ez_alert_page *page, page_run *run,
                      ez_error *error) {
    if (run->given == page->limit) {
        run->has_more = true;
        return EZ_OK;
    }
    ez_alert_row row;
    ez_status status = ez_sqlite_alert_at(conn, statement, &row, error);
    if (status)
        return status;
    run->given++;
    run->at_id = row.id;
    return run->each(run->user, &row, error);
}

static ez_status read_page(ez_sqlite_conn *conn, ez_alert_page *page, page_run *run, ez_error *error) {
    ez_auto(ez_buf) text;
    ez_buf_init(&text, EZ_ALERT_TEXT_MAX);
    ez_alert_page_text(page, &text);
    sqlite3_stmt *statement = NULL;
    ez_status status = prepare(conn, page, &text, &statement, error);
    int code;
    while (!status && !run->has_more && (code = sqlite3_step(statement)) != SQLITE_DONE)
        status = code == SQLITE_ROW ? give(conn, statement, page, run, error) : ez_sqlite_fail(conn, code, error);
    sqlite3_finalize(statement);
    return status;
}

ez_status ez_sqlite_reader_each_alert(void *reader, const ez_alert_filter *filter, ez_alert_fn *each, void *user,
                                      bool *more, int64_t *at_id, ez_error *error) {
    ez_sqlite_conn *conn = reader;
    ez_alert_page page;
    ez_status status = ez_alert_page_init(&page, filter, EZ_ALERT_SQLITE, error);
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
    *at_id = is_short ? page.end_id : run.at_id;
    return EZ_OK;
}

ez_status ez_sqlite_reader_find_alert(void *reader, int64_t id, ez_alert_fn *each, void *user, ez_error *error) {
    ez_sqlite_conn *conn = reader;
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(conn, EZ_SQLITE_ALERT_BY_ID, &statement, error);
    if (status)
        return status;
    sqlite3_bind_int64(statement, 1, id);
    int code = sqlite3_step(statement);
    ez_alert_row row;
    if (code == SQLITE_ROW) {
        status = ez_sqlite_alert_at(conn, statement, &row, error);
        status = status ? status : each(user, &row, error);
    } else if (code != SQLITE_DONE) {
        status = ez_sqlite_fail(conn, code, error);
    }
    sqlite3_reset(statement);
    return status;
}

ez_status ez_sqlite_reader_count_alerts(void *reader, ez_alert_counts *out, ez_error *error) {
    ez_sqlite_conn *conn = reader;
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_prepare(conn, ez_sql_count_alerts, &statement, error);
    if (status)
        return status;
    *out = (ez_alert_counts){0};
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        unsigned at = (unsigned)sqlite3_column_int(statement, 0), severity = (unsigned)sqlite3_column_int(statement, 1),
                 type = (unsigned)sqlite3_column_int(statement, 2);
        if (at < EZ_ALERT_STATUSES && severity < EZ_ALERT_SEVERITIES && type < EZ_ALERT_TYPES)
            out->n[at][severity][type] = sqlite3_column_int64(statement, 3);
    }
    if (code != SQLITE_DONE)
        status = ez_sqlite_fail(conn, code, error);
    sqlite3_finalize(statement);
    return status;
}

const ez_alert_ops ez_alerts_sqlite = {
    .change = ez_sqlite_change_alerts,
    .trim = ez_sqlite_trim_alerts,
    .reader_each = ez_sqlite_reader_each_alert,
    .reader_find = ez_sqlite_reader_find_alert,
    .reader_count = ez_sqlite_reader_count_alerts,
};
