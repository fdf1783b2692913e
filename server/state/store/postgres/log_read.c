// SPDX-License-Identifier: Apache-2.0
//
// Log records from PostgreSQL. Partitions are in order of time, so a page reads the newest one that has records for it,
// and the next ones only where it needs them.
#include "server/state/store/log_query.h"
#include "server/state/store/postgres/look.h"
#include "server/state/store/postgres/meter_read.h"

typedef struct give_run {
    bool with_body;
    ez_log_fn *each;
    void *user;
} give_run;

static ez_status give(void *user, const PGresult *row, ez_look_place *at, ez_error *error) {
    give_run *run = user;
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
    if (run->with_body)
        record.body = ez_pg_bytes(row, 0, 26);
    *at = (ez_look_place){.time_ns = record.time_ns, .id = record.id};
    return run->each(run->user, &record, error);
}

ez_status ez_pg_reader_each_log(void *reader, const ez_log_filter *filter, ez_log_fn *each, void *user, bool *more,
                                int64_t *at_ns, int64_t *at_id, ez_error *error) {
    give_run run = {.with_body = filter->with_body, .each = each, .user = user};
    ez_log_page page;
    ez_status status = ez_log_page_init(&page, filter, EZ_LOOK_POSTGRES, error);
    if (!status)
        status = ez_pg_look(reader, &page.look, give, &run, error);
    if (status)
        return status;
    ez_look_place at = ez_look_stopped(&page.look, more);
    *at_ns = at.time_ns;
    *at_id = at.id;
    return EZ_OK;
}
