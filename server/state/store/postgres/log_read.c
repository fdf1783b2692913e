// SPDX-License-Identifier: Apache-2.0
//
// Log records from PostgreSQL. Partitions are in order of time, so a page reads the newest one that has records for it,
// and the next ones only where it needs them.
#include "proto/runtime/cleanup.h"
#include "server/state/store/log_query.h"
#include "server/state/store/postgres/meter_read.h"
#include "server/state/store/postgres/snapshot.h"
#include "server/state/store/postgres/stream.h"

typedef struct page_run {
    ez_log_page page;
    ez_log_fn *each;
    void *user;
    bool started;
    size_t given;
    bool has_more; // than the limit
    bool behind;   // what may be looked at
    int64_t at_ns, at_id;
} page_run;

static const char *words_of(ez_buf *text, ez_error *error) {
    const char *words = text->overflow ? NULL : ez_buf_cstr(text);
    if (!words)
        ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for a query");
    return words;
}

static void put_texts(const ez_log_page *page, ez_pg_params *params) {
    for (int i = 0; i < page->text_count; i++)
        ez_pg_put_text(params, page->texts[i]);
}

static ez_status find_end(const ez_pg_snapshot *within, page_run *run, ez_error *error) {
    ez_auto(ez_buf) text;
    ez_buf_init(&text, EZ_LOG_TEXT_MAX);
    ez_log_page_end_text(&run->page, &text);
    const char *words = words_of(&text, error);
    if (!words)
        return EZ_RESOURCE_EXHAUSTED;
    ez_pg_params params = {0};
    put_texts(&run->page, &params);
    ez_pg_autoclear PGresult *result = NULL;
    ez_status status = ez_pg_run(within->conn, words, &params, within->deadline, &result, error);
    if (status || !PQntuples(result))
        return status;
    run->page.has_end = true;
    run->page.end_ns = ez_pg_int(result, 0, 0);
    run->page.end_id = ez_pg_int(result, 0, 1);
    run->behind = PQntuples(result) > 1;
    return EZ_OK;
}

static ez_status give(void *user, const PGresult *row, ez_error *error) {
    page_run *run = user;
    if (run->given == run->page.limit) {
        run->has_more = true;
        return EZ_OK;
    }
    ez_log_row record = {.stream = ez_pg_int(row, 0, 25) != 0};
    int64_t *numbers[] = {&record.id,        &record.time_ns, &record.received_ns, &record.data_plane_id,
                          &record.master_id, &record.key_id,  &record.group_id,    &record.api_key_id};
    ez_slice *texts[] = {&record.request_id,    &record.namespace, &record.model,        &record.upstream_model,
                         &record.provider_type, &record.client_ip, &record.error_message};
    int64_t *others[] = {&record.latency_ms,    &record.ttft_ms,       &record.tokens_in,
                         &record.tokens_out,    &record.cached_tokens, &record.reasoning_tokens,
                         &record.cost_nano_usd, &record.request_bytes, &record.response_bytes};
    for (int i = 0; i < 8; i++)
        *numbers[i] = ez_pg_int(row, 0, i);
    for (int i = 0; i < 7; i++)
        *texts[i] = ez_pg_bytes(row, 0, 8 + i);
    record.status_code = (int32_t)ez_pg_int(row, 0, 15);
    for (int i = 0; i < 9; i++)
        *others[i] = ez_pg_int(row, 0, 16 + i);
    if (run->page.filter->with_body)
        record.body = ez_pg_bytes(row, 0, 26);
    run->started = true;
    run->given++;
    run->at_ns = record.time_ns;
    run->at_id = record.id;
    return run->each(run->user, &record, error);
}

static ez_status read_page(const ez_pg_snapshot *within, void *user, ez_error *error) {
    page_run *run = user;
    run->page.has_end = run->behind = run->has_more = false;
    ez_status status = run->page.has_rest ? find_end(within, run, error) : EZ_OK;
    if (status)
        return status;
    ez_auto(ez_buf) text;
    ez_buf_init(&text, EZ_LOG_TEXT_MAX);
    ez_log_page_text(&run->page, &text);
    const char *words = words_of(&text, error);
    if (!words)
        return EZ_RESOURCE_EXHAUSTED;
    ez_pg_params params = {0};
    put_texts(&run->page, &params);
    ez_pg_stream query = {.text = words, .params = &params, .row = give, .user = run, .is_reader = true};
    return ez_pg_stream_within(within->conn, &query, within->deadline, error);
}

ez_status ez_pg_reader_each_log(void *reader, const ez_log_filter *filter, ez_log_fn *each, void *user, bool *more,
                                int64_t *at_ns, int64_t *at_id, ez_error *error) {
    page_run run = {.each = each, .user = user};
    ez_status status = ez_log_page_init(&run.page, filter, EZ_LOG_POSTGRES, error);
    if (!status)
        status = ez_pg_snapshot_run(reader, read_page, &run, &run.started, error);
    if (status)
        return status;
    bool is_short = !run.has_more && run.behind;
    *more = run.has_more || is_short;
    *at_ns = is_short ? run.page.end_ns : run.at_ns;
    *at_id = is_short ? run.page.end_id : run.at_id;
    return EZ_OK;
}
