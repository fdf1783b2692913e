// SPDX-License-Identifier: Apache-2.0
//
// Log records from SQLite. Rows are handed on as SQLite holds them: they are gone at the next step.
#include "server/state/store/log_query.h"
#include "server/state/store/sqlite/look.h"
#include "server/state/store/sqlite/meter_read.h"

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

typedef struct give_run {
    bool with_body;
    ez_log_fn *each;
    void *user;
} give_run;

static ez_status give(void *user, sqlite3_stmt *statement, ez_look_place *at, ez_error *error) {
    give_run *run = user;
    ez_log_row row = row_at(statement, run->with_body);
    *at = (ez_look_place){.time_ns = row.time_ns, .id = row.id};
    return run->each(run->user, &row, error);
}

ez_status ez_sqlite_reader_each_log(void *reader, const ez_log_filter *filter, ez_log_fn *each, void *user, bool *more,
                                    int64_t *at_ns, int64_t *at_id, ez_error *error) {
    give_run run = {.with_body = filter->with_body, .each = each, .user = user};
    ez_log_page page;
    ez_status status = ez_log_page_init(&page, filter, EZ_LOOK_SQLITE, error);
    if (!status)
        status = ez_sqlite_look(reader, &page.look, give, &run, error);
    if (status)
        return status;
    ez_look_place at = ez_look_stopped(&page.look, more);
    *at_ns = at.time_ns;
    *at_id = at.id;
    return EZ_OK;
}
