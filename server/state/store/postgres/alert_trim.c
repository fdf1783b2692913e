// SPDX-License-Identifier: Apache-2.0
//
// Forgetting closed alerts in PostgreSQL, a few at a time.
#include "server/state/store/alert_trim.h"
#include "proto/runtime/cleanup.h"
#include "server/state/store/postgres/alerts.h"

typedef struct trim_run {
    ez_pg_attempt *try;
    uint64_t fence;
    const ez_alert_limits *limits;
    size_t max_rows;
    unsigned head_at;
    int64_t next_id, total;
    ez_alert_trim trim;
} trim_run;

static ez_status take_head(void *user, unsigned at, const PGresult *result, ez_error *error) {
    trim_run *run = user;
    ez_status status = ez_pg_check_fence(run->try, at, result, error);
    if (status || at != run->head_at)
        return status;
    if (PQntuples(result) != 1)
        return ez_error_set(error, EZ_DATA_LOSS, "STORE_DAMAGED", "the table alert_head has lost its row");
    run->next_id = ez_pg_int(result, 0, 0);
    run->total = ez_pg_int(result, 0, 1);
    return EZ_OK;
}

static ez_status lock(trim_run *run, ez_error *error) {
    ez_status status = ez_pg_begin(run->try, error);
    if (!status)
        status = ez_pg_push_fence(run->try, run->fence, error);
    run->head_at = run->try->sent;
    if (!status)
        status = ez_pg_push_lock_alert_head(run->try, error);
    return status ? status : ez_pg_collect(run->try, take_head, run, error);
}

static ez_status take_ended(void *user, unsigned at, const PGresult *result, ez_error *error) {
    (void)at, (void)error;
    trim_run *run = user;
    for (int i = 0; i < PQntuples(result); i++)
        ez_alert_trim_take(&run->trim, ez_pg_int(result, i, 0), (int32_t)ez_pg_int(result, i, 1),
                           (int32_t)ez_pg_int(result, i, 2), (int32_t)ez_pg_int(result, i, 3));
    return EZ_OK;
}

static ez_status read_ended(trim_run *run, ez_error *error) {
    ez_pg_params params = {0};
    run->trim.max_rows = run->max_rows;
    ez_alert_trim_begin(&run->trim, run->limits, run->total);
    ez_pg_put_int(&params, ez_alert_trim_before(&run->trim, run->limits));
    ez_pg_put_int(&params, (int64_t)run->trim.max_rows);
    ez_status status = ez_pg_resume(run->try, error);
    if (!status)
        status = ez_pg_push(run->try, ez_sql_ended_alerts, &params, error);
    return status ? status : ez_pg_collect(run->try, take_ended, run, error);
}

static ez_status delete_taken(trim_run *run, ez_error *error) {
    ez_auto(ez_pg_arrays) ids;
    ez_pg_arrays_init(&ids, "i");
    for (size_t i = 0; i < run->trim.count; i++)
        ez_pg_arrays_int(&ids, run->trim.ids[i]);
    ez_status status = ez_pg_resume(run->try, error);
    if (!status)
        status = ez_pg_push_arrays(run->try, "DELETE FROM alerts WHERE id = ANY ($1::int8[])", &ids, error);
    if (!status)
        status = ez_pg_push_alert_counts(run->try, &run->trim.deltas, error);
    if (!status)
        status = ez_pg_push_alert_head(run->try, run->next_id, run->total - (int64_t)run->trim.count, error);
    return status ? status : ez_pg_collect(run->try, NULL, NULL, error);
}

static ez_status trim_all(void *user, ez_pg_attempt *try, ez_error *error) {
    trim_run *run = user;
    run->try = try;
    ez_status status = lock(run, error);
    if (!status) {
        try->fence_at = EZ_PG_NO_STATEMENT;
        status = read_ended(run, error);
    }
    return status || run->trim.count == 0 ? status : delete_taken(run, error);
}

ez_status ez_pg_trim_alerts(void *db, uint64_t fence, const ez_alert_limits *limits, size_t max_rows, bool *more,
                            ez_error *error) {
    trim_run run = {.fence = fence, .limits = limits};
    run.max_rows = max_rows < EZ_ALERT_TRIM_ROWS ? max_rows : EZ_ALERT_TRIM_ROWS;
    bool is_unknown = false;
    ez_status status = ez_pg_transact(&((ez_pg *)db)->alerts, trim_all, &run,
                                      "what alerts were forgotten: it is done again", &is_unknown, error);
    if (!status)
        *more = run.trim.has_more;
    return status;
}
