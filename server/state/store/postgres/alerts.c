// SPDX-License-Identifier: Apache-2.0
//
// Alerts in PostgreSQL. One transaction: the lock and the marks; the reports, merged, as one statement; where something
// became or was made another, the audit's head and its entries; COMMIT. Reports that only count take two round trips
// and COMMIT.
//
// The row alert_head is locked first, across servers: what is read behind it holds, rows are never locked crosswise,
// and a repeat waits for the outcome of a COMMIT whose answer was lost. The head of the feed is locked last, and
// shortly: every change of configuration waits behind it.
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/cleanup.h"
#include "server/state/store/alert_work.h"
#include "server/state/store/postgres/alerts.h"
#include "server/state/store/postgres/audits.h"
#include "server/state/store/postgres/meter.h"

typedef struct change {
    ez_pg *store;
    ez_pg_attempt *try;
    ez_alert_work work;
    ez_pg_chain_end end;        // where the audit entries are chained to
    ez_alert_upserted_fn *done; // of the upsert that runs
    ez_arena *arena;            // of the look-up that runs, as what follows
    ez_alert_row *row;
    bool *found;
} change;

static void change_fini(change *tx) {
    ez_alert_work_fini(&tx->work);
}

// ---- Statements of ez_alert_table

static int compare_merged(const void *key, const void *member) {
    return strcmp(key, ((const ez_alert_merged *)member)->row->fingerprint);
}

static ez_status take_upserted(void *user, unsigned at, const PGresult *result, ez_error *error) {
    (void)at;
    change *tx = user;
    ez_status status = EZ_OK;
    for (int i = 0; !status && i < PQntuples(result); i++) {
        ez_alert_row row = ez_pg_alert_at(result, i);
        const ez_alert_merged *merged =
            bsearch(row.fingerprint, tx->work.merged, tx->work.merged_count, sizeof *merged, compare_merged);
        if (merged)
            status = tx->done(&tx->work, merged, &row, ez_pg_int(result, i, EZ_SQL_ALERT_NUMBERS + EZ_SQL_ALERT_TEXTS),
                              (int32_t)ez_pg_int(result, i, EZ_SQL_ALERT_NUMBERS + EZ_SQL_ALERT_TEXTS + 1), error);
    }
    return status;
}

static void put_merged(ez_pg_arrays *arrays, const ez_alert_merged *merged) {
    const ez_alert_row *row = merged->row;
    const int64_t numbers[] = {merged->id,           row->type,    row->severity, row->related_id,
                               row->related_missing, merged->count};
    const char *texts[] = {row->title,       row->related_type, row->related_name,
                           row->fingerprint, row->message,      row->metadata};
    for (size_t i = 0; i < 6; i++)
        ez_pg_arrays_int(arrays, numbers[i]);
    for (size_t i = 0; i < 6; i++)
        ez_pg_arrays_text(arrays, texts[i]);
}

static ez_status push_let_go(const change *tx, ez_pg_arrays *fingerprints, ez_error *error) {
    ez_pg_params params;
    ez_status status = ez_pg_arrays_params(fingerprints, &params, error);
    if (status)
        return status;
    ez_pg_put_int(&params, tx->work.now_ns - tx->work.rules->cooldown_ns);
    return ez_pg_push(tx->try, EZ_SQL_ALERT_LET_GO("$2", "= ANY ($1::text[])"), &params, error);
}

static ez_status push_upsert(const change *tx, ez_pg_arrays *rows, ez_error *error) {
    static const char text[] =
        "INSERT INTO alerts (id, type, severity, status, holds, related_id, related_missing, count, first_seen_ns, "
        "last_seen_ns, acknowledged_ns, resolved_ns, gap_ns, raised_from, title, related_type, related_name, "
        "fingerprint, acknowledged_by, resolved_by, note, message, metadata) SELECT d.id, d.type, d.severity, 1, 1, "
        "d.related_id, d.related_missing, d.count, $13, $13, 0, 0, 0, 0, d.title, d.related_type, d.related_name, "
        "d.fingerprint, '', '', '', d.message, d.metadata FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[], "
        "$5::int8[], $6::int8[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[]) AS d (id, "
        "type, severity, related_id, related_missing, count, title, related_type, related_name, fingerprint, message, "
        "metadata) " EZ_SQL_ALERT_COUNT_UP("greatest", "$14");
    ez_pg_params params;
    ez_status status = ez_pg_arrays_params(rows, &params, error);
    if (status)
        return status;
    ez_pg_put_int(&params, tx->work.now_ns);
    ez_pg_put_int(&params, tx->work.rules->cooldown_ns);
    return ez_pg_push(tx->try, text, &params, error);
}

// Those that fit one statement; *at moves behind them.
static ez_status push_some(const change *tx, const ez_alert_merged *merged, size_t count, size_t *at, ez_error *error) {
    ez_auto(ez_pg_arrays) fingerprints;
    ez_auto(ez_pg_arrays) rows;
    ez_pg_arrays_init(&fingerprints, "t");
    ez_pg_arrays_init(&rows, "iiiiiitttttt");
    for (; *at < count && !ez_pg_arrays_is_full(&rows); ++*at) {
        ez_pg_arrays_text(&fingerprints, merged[*at].row->fingerprint);
        put_merged(&rows, &merged[*at]);
    }
    ez_status status = push_let_go(tx, &fingerprints, error);
    return status ? status : push_upsert(tx, &rows, error);
}

static ez_status upsert(void *user, ez_alert_work *work, const ez_alert_merged *merged, size_t count,
                        ez_alert_upserted_fn *done, ez_error *error) {
    (void)work;
    change *tx = user;
    tx->done = done;
    ez_status status = ez_pg_resume(tx->try, error);
    for (size_t at = 0; !status && at < count;)
        status = push_some(tx, merged, count, &at, error);
    return status ? status : ez_pg_collect(tx->try, take_upserted, tx, error);
}

static ez_status take_found(void *user, unsigned at, const PGresult *result, ez_error *error) {
    (void)at;
    change *tx = user;
    *tx->found = PQntuples(result) == 1;
    if (!*tx->found)
        return EZ_OK;
    ez_alert_row row = ez_pg_alert_at(result, 0);
    return ez_alert_row_copy(&row, tx->arena, tx->row)
               ? EZ_OK
               : ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for an alert");
}

static ez_status find(void *user, int64_t id, const char *fingerprint, ez_arena *arena, ez_alert_row *out, bool *found,
                      ez_error *error) {
    change *tx = user;
    ez_pg_params params = {0};
    tx->arena = arena;
    tx->row = out;
    tx->found = found;
    if (id)
        ez_pg_put_int(&params, id);
    else
        ez_pg_put_text(&params, fingerprint);
    ez_status status = ez_pg_resume(tx->try, error);
    if (!status)
        status = ez_pg_push(tx->try, id ? ez_sql_alert_by_id : ez_sql_alert_by_holder, &params, error);
    return status ? status : ez_pg_collect(tx->try, take_found, tx, error);
}

static ez_status run_one(ez_pg_attempt *try, const char *text, const ez_pg_params *params, ez_error *error) {
    ez_status status = ez_pg_resume(try, error);
    if (!status)
        status = ez_pg_push(try, text, params, error);
    return status ? status : ez_pg_collect(try, NULL, NULL, error);
}

static ez_status put(void *user, const ez_alert_row *row, ez_alert_hold hold, ez_error *error) {
    ez_pg_params params = {0};
    ez_pg_put_int(&params, row->status);
    ez_pg_put_int(&params, row->acknowledged_ns);
    ez_pg_put_int(&params, row->resolved_ns);
    ez_pg_put_text(&params, row->acknowledged_by);
    ez_pg_put_text(&params, row->resolved_by);
    ez_pg_put_text(&params, row->note);
    ez_pg_put_int(&params, hold);
    ez_pg_put_int(&params, row->id);
    return run_one(((change *)user)->try, ez_sql_put_alert, &params, error);
}

static ez_status remove_row(void *user, int64_t id, ez_error *error) {
    ez_pg_params params = {0};
    ez_pg_put_int(&params, id);
    return run_one(((change *)user)->try, ez_sql_delete_alert, &params, error);
}

static const ez_alert_table table = {.upsert = upsert, .find = find, .put = put, .remove = remove_row};

// ---- The transaction around them

ez_status ez_pg_push_lock_alert_head(ez_pg_attempt *try, ez_error *error) {
    ez_pg_params none = {0};
    return ez_pg_push(try, "SELECT next_id, total FROM alert_head WHERE one = 1 FOR UPDATE", &none, error);
}

ez_status ez_pg_push_alert_head(ez_pg_attempt *try, int64_t next_id, int64_t total, ez_error *error) {
    ez_pg_params params = {0};
    ez_pg_put_int(&params, next_id);
    ez_pg_put_int(&params, total);
    return ez_pg_push(try, ez_sql_move_alert_head, &params, error);
}

ez_status ez_pg_push_alert_counts(ez_pg_attempt *try, const ez_alert_counts *deltas, ez_error *error) {
    static const char text[] =
        "INSERT INTO alert_counts (status, severity, type, n) SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[], "
        "$4::int8[]) ON CONFLICT (status, severity, type) DO UPDATE SET n = alert_counts.n + excluded.n";
    ez_auto(ez_pg_arrays) arrays;
    ez_pg_arrays_init(&arrays, "iiii");
    for (int i = 0; i < EZ_ALERT_STATUSES * EZ_ALERT_SEVERITIES * EZ_ALERT_TYPES; i++) {
        int at = i / (EZ_ALERT_SEVERITIES * EZ_ALERT_TYPES), severity = i / EZ_ALERT_TYPES % EZ_ALERT_SEVERITIES;
        int64_t n = deltas->n[at][severity][i % EZ_ALERT_TYPES];
        if (!n)
            continue;
        ez_pg_arrays_int(&arrays, at);
        ez_pg_arrays_int(&arrays, severity);
        ez_pg_arrays_int(&arrays, i % EZ_ALERT_TYPES);
        ez_pg_arrays_int(&arrays, n);
    }
    return ez_pg_push_arrays(try, text, &arrays, error);
}

static ez_status take_start(void *user, unsigned at, const PGresult *result, ez_error *error) {
    change *tx = user;
    if (at == 3)
        ez_pg_take_marks(&tx->work.marks, result);
    if (at != 2)
        return EZ_OK;
    if (PQntuples(result) != 1)
        return ez_error_set(error, EZ_DATA_LOSS, "STORE_DAMAGED", "the table alert_head has lost its row");
    tx->work.next_id = ez_pg_int(result, 0, 0);
    tx->work.total = ez_pg_int(result, 0, 1);
    return EZ_OK;
}

static ez_status begin(change *tx, ez_error *error) {
    ez_alert_work_reset(&tx->work);
    ez_status status = ez_pg_begin(tx->try, error);
    if (!status)
        status = ez_pg_push_lock_alert_head(tx->try, error);
    if (!status)
        status = ez_pg_push_read_marks(tx->try, EZ_STREAM_ALERTS, &tx->work.marks, error);
    return status ? status : ez_pg_collect(tx->try, take_start, tx, error);
}

static ez_status take_chain(void *user, unsigned at, const PGresult *result, ez_error *error) {
    (void)at;
    change *tx = user;
    bool fits;
    return ez_pg_chain_take(&tx->store->chain, tx->try->conn, result, tx->work.audits, &fits, &tx->end, error);
}

static ez_status chain(change *tx, ez_error *error) {
    if (tx->work.audit_count == 0)
        return EZ_OK;
    ez_status status = ez_pg_resume(tx->try, error);
    if (!status)
        status = ez_pg_push_lock_head(tx->try, error);
    if (!status)
        status = ez_pg_collect(tx->try, take_chain, tx, error);
    if (!status)
        ez_pg_chain_audits(&tx->end, tx->work.audits, tx->work.audit_count);
    return status;
}

static ez_status push_chain(const change *tx, ez_error *error) {
    const ez_alert_work *work = &tx->work;
    if (work->audit_count == 0)
        return EZ_OK;
    const ez_store_audit *last = &work->audits[work->audit_count - 1];
    ez_pg_params params = {0};
    ez_pg_put_int(&params, last->id + 1);
    ez_pg_put_bytes(&params, last->hash, EZ_SHA256_LEN);
    ez_status status = ez_pg_push(tx->try, ez_sql_move_chain, &params, error);
    return status ? status : ez_pg_push_audits(tx->try, work->audits, work->audit_count, error);
}

static ez_status end(const change *tx, ez_error *error) {
    const ez_alert_work *work = &tx->work;
    ez_status status = ez_pg_resume(tx->try, error);
    if (!status)
        status = push_chain(tx, error);
    if (!status)
        status = ez_pg_push_alert_counts(tx->try, &work->deltas, error);
    if (!status && (work->next_id != work->had_next_id || work->total != work->had_total))
        status = ez_pg_push_alert_head(tx->try, work->next_id, work->total, error);
    if (!status)
        status = ez_pg_push_write_marks(tx->try, EZ_STREAM_ALERTS, &work->marks, work->now_ns, error);
    return status ? status : ez_pg_collect(tx->try, NULL, NULL, error);
}

static ez_status write_all(void *user, ez_pg_attempt *try, ez_error *error) {
    change *tx = user;
    tx->try = try;
    ez_status status = begin(tx, error);
    if (!status)
        status = ez_alert_work_run(&tx->work, &table, tx, error);
    if (!status)
        status = chain(tx, error);
    return status ? status : end(tx, error);
}

ez_status ez_pg_change_alerts(void *db, ez_alert_batch *batches, size_t count, const ez_alert_rules *rules,
                              int64_t now_ns, ez_error *error) {
    ez_auto(change) tx = {.store = db};
    bool is_unknown = false;
    ez_status status = ez_alert_work_init(&tx.work, batches, count, rules, now_ns, error);
    if (!status)
        status = ez_pg_transact(&tx.store->alerts, write_all, &tx, "alerts: send it again, its mark tells", &is_unknown,
                                error);
    if (status || tx.work.audit_count > 0)
        ez_pg_chain_settle(&tx.store->chain, status ? NULL : tx.work.audits, tx.work.audit_count);
    return status;
}
