// SPDX-License-Identifier: Apache-2.0
//
// Alerts from PostgreSQL.
#include "server/state/store/postgres/alerts.h"
#include "server/state/store/postgres/look.h"
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

typedef struct give_run {
    ez_alert_fn *each;
    void *user;
} give_run;

static ez_status give(void *user, const PGresult *row, ez_look_place *at, ez_error *error) {
    give_run *run = user;
    ez_alert_row alert = ez_pg_alert_at(row, 0);
    at->id = alert.id;
    return run->each(run->user, &alert, error);
}

ez_status ez_pg_reader_each_alert(void *reader, const ez_alert_filter *filter, ez_alert_fn *each, void *user,
                                  bool *more, int64_t *at_id, ez_error *error) {
    give_run run = {.each = each, .user = user};
    ez_alert_page page;
    ez_status status = ez_alert_page_init(&page, filter, EZ_LOOK_POSTGRES, error);
    if (!status)
        status = ez_pg_look(reader, &page.look, give, &run, error);
    if (!status)
        *at_id = ez_look_stopped(&page.look, more).id;
    return status;
}

static ez_status give_found(void *user, const PGresult *row, ez_error *error) {
    return give(user, row, &(ez_look_place){0}, error);
}

ez_status ez_pg_reader_find_alert(void *reader, int64_t id, ez_alert_fn *each, void *user, ez_error *error) {
    ez_pg_params params = {0};
    ez_pg_put_int(&params, id);
    give_run run = {.each = each, .user = user};
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
