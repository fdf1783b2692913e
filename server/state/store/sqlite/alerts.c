// SPDX-License-Identifier: Apache-2.0
//
// Alerts in SQLite: one immediate transaction for all that waits. Nobody else writes the file, so what was read within
// it holds; that a fingerprint has one holder is the index's business all the same.
#include "server/state/store/sqlite/alerts.h"

#include "proto/runtime/cleanup.h"
#include "server/state/store/alert_work.h"
#include "server/state/store/sqlite/meter.h"

const char ez_sqlite_upsert_alert[] =
    "INSERT INTO alerts (id, type, severity, status, holds, related_id, related_missing, count, first_seen_ns, "
    "last_seen_ns, acknowledged_ns, resolved_ns, gap_ns, raised_from, title, related_type, related_name, fingerprint, "
    "acknowledged_by, resolved_by, note, message, metadata) VALUES ($1, $2, $3, 1, 1, $4, $5, $6, $7, $7, 0, 0, 0, 0, "
    "$8, $9, $10, $11, '', '', '', $12, $13) " EZ_SQL_ALERT_COUNT_UP("max", "$14");

static ez_status let_go(ez_sqlite_conn *conn, const ez_alert_work *work, const char *fingerprint, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(conn, EZ_SQLITE_LET_ALERT_GO, &statement, error);
    if (status)
        return status;
    sqlite3_bind_int64(statement, 1, work->now_ns - work->rules->cooldown_ns);
    ez_sqlite_bind_text(statement, 2, fingerprint);
    return ez_sqlite_run(conn, statement, error);
}

static void bind_report(sqlite3_stmt *statement, const ez_alert_work *work, const ez_alert_merged *merged) {
    const ez_alert_row *row = merged->row;
    const int64_t numbers[] = {merged->id,           row->type,     row->severity, row->related_id,
                               row->related_missing, merged->count, work->now_ns};
    const char *texts[] = {row->title,       row->related_type, row->related_name,
                           row->fingerprint, row->message,      row->metadata};
    for (int i = 0; i < 7; i++)
        sqlite3_bind_int64(statement, 1 + i, numbers[i]);
    for (int i = 0; i < 6; i++)
        ez_sqlite_bind_text(statement, 8 + i, texts[i]);
    sqlite3_bind_int64(statement, 14, work->rules->cooldown_ns);
}

static ez_status upsert_one(ez_sqlite_conn *conn, ez_alert_work *work, const ez_alert_merged *merged,
                            ez_alert_upserted_fn *done, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = let_go(conn, work, merged->row->fingerprint, error);
    if (!status)
        status = ez_sqlite_kept(conn, EZ_SQLITE_UPSERT_ALERT, &statement, error);
    if (status)
        return status;
    bind_report(statement, work, merged);
    ez_alert_row row;
    status = ez_sqlite_step_row(conn, statement, error);
    if (!status)
        status = ez_sqlite_alert_at(conn, statement, &row, error);
    if (!status)
        status = done(work, merged, &row, sqlite3_column_int64(statement, EZ_SQL_ALERT_NUMBERS + EZ_SQL_ALERT_TEXTS),
                      sqlite3_column_int(statement, EZ_SQL_ALERT_NUMBERS + EZ_SQL_ALERT_TEXTS + 1), error);
    sqlite3_reset(statement);
    return status;
}

static ez_status upsert(void *tx, ez_alert_work *work, const ez_alert_merged *merged, size_t count,
                        ez_alert_upserted_fn *done, ez_error *error) {
    ez_status status = EZ_OK;
    for (size_t i = 0; !status && i < count; i++)
        status = upsert_one(tx, work, &merged[i], done, error);
    return status;
}

static ez_status find(void *tx, int64_t id, const char *fingerprint, ez_arena *arena, ez_alert_row *out, bool *found,
                      ez_error *error) {
    ez_sqlite_conn *conn = tx;
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(conn, id ? EZ_SQLITE_ALERT_BY_ID : EZ_SQLITE_ALERT_BY_HOLDER, &statement, error);
    if (status)
        return status;
    if (id)
        sqlite3_bind_int64(statement, 1, id);
    else
        ez_sqlite_bind_text(statement, 1, fingerprint);
    int code = sqlite3_step(statement);
    ez_alert_row row;
    *found = code == SQLITE_ROW;
    if (*found)
        status = ez_sqlite_alert_at(conn, statement, &row, error);
    else if (code != SQLITE_DONE)
        status = ez_sqlite_fail(conn, code, error);
    if (!status && *found && !ez_alert_row_copy(&row, arena, out))
        status = ez_sqlite_fail(conn, SQLITE_NOMEM, error);
    sqlite3_reset(statement);
    return status;
}

static ez_status put(void *tx, const ez_alert_row *row, ez_alert_hold hold, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(tx, EZ_SQLITE_PUT_ALERT, &statement, error);
    if (status)
        return status;
    sqlite3_bind_int64(statement, 1, row->status);
    sqlite3_bind_int64(statement, 2, row->acknowledged_ns);
    sqlite3_bind_int64(statement, 3, row->resolved_ns);
    ez_sqlite_bind_text(statement, 4, row->acknowledged_by);
    ez_sqlite_bind_text(statement, 5, row->resolved_by);
    ez_sqlite_bind_text(statement, 6, row->note);
    sqlite3_bind_int64(statement, 7, hold);
    sqlite3_bind_int64(statement, 8, row->id);
    return ez_sqlite_run(tx, statement, error);
}

static ez_status remove_row(void *tx, int64_t id, ez_error *error) {
    return ez_sqlite_run_numbers(tx, EZ_SQLITE_DELETE_ALERT, &id, 1, error);
}

static const ez_alert_table table = {.upsert = upsert, .find = find, .put = put, .remove = remove_row};

ez_status ez_sqlite_add_alert_counts(ez_sqlite_conn *conn, const ez_alert_counts *deltas, ez_error *error) {
    ez_status status = EZ_OK;
    for (int i = 0; !status && i < EZ_ALERT_STATUSES * EZ_ALERT_SEVERITIES * EZ_ALERT_TYPES; i++) {
        int at = i / (EZ_ALERT_SEVERITIES * EZ_ALERT_TYPES), severity = i / EZ_ALERT_TYPES % EZ_ALERT_SEVERITIES;
        int type = i % EZ_ALERT_TYPES;
        const int64_t numbers[] = {at, severity, type, deltas->n[at][severity][type]};
        if (numbers[3])
            status = ez_sqlite_run_numbers(conn, EZ_SQLITE_ADD_ALERT_COUNT, numbers, 4, error);
    }
    return status;
}

ez_status ez_sqlite_read_alert_head(ez_sqlite_conn *conn, int64_t *next_id, int64_t *total, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(conn, EZ_SQLITE_ALERT_HEAD, &statement, error);
    if (status)
        return status;
    status = ez_sqlite_step_row(conn, statement, error);
    *next_id = sqlite3_column_int64(statement, 0);
    *total = sqlite3_column_int64(statement, 1);
    sqlite3_reset(statement);
    return status;
}

ez_status ez_sqlite_write_alert_head(ez_sqlite_conn *conn, int64_t next_id, int64_t total, ez_error *error) {
    const int64_t numbers[] = {next_id, total};
    return ez_sqlite_run_numbers(conn, EZ_SQLITE_MOVE_ALERT_HEAD, numbers, 2, error);
}

// What the head says of the chain is moved with the entries; the revision stays.
static ez_status write_audits(ez_sqlite_conn *conn, ez_alert_work *work, ez_error *error) {
    ez_status status = ez_sqlite_chain_audits(conn, work->audits, work->audit_count, error);
    if (!status)
        status = ez_sqlite_put_audits(conn, work->audits, work->audit_count, error);
    return status || work->audit_count == 0 ? status
                                            : ez_sqlite_move_chain(conn, &work->audits[work->audit_count - 1], error);
}

static ez_status change(ez_sqlite_conn *conn, ez_alert_work *work, ez_error *error) {
    ez_alert_work_reset(work);
    ez_status status = ez_sqlite_read_marks(conn, EZ_STREAM_ALERTS, &work->marks, error);
    if (!status)
        status = ez_sqlite_read_alert_head(conn, &work->next_id, &work->total, error);
    if (!status)
        status = ez_alert_work_run(work, &table, conn, error);
    if (!status)
        status = write_audits(conn, work, error);
    if (!status)
        status = ez_sqlite_add_alert_counts(conn, &work->deltas, error);
    if (!status && (work->next_id != work->had_next_id || work->total != work->had_total))
        status = ez_sqlite_write_alert_head(conn, work->next_id, work->total, error);
    return status ? status : ez_sqlite_write_marks(conn, EZ_STREAM_ALERTS, &work->marks, work->now_ns, error);
}

ez_status ez_sqlite_change_alerts(void *db, ez_alert_batch *batches, size_t count, const ez_alert_rules *rules,
                                  int64_t now_ns, ez_error *error) {
    ez_sqlite_conn *conn = &((ez_sqlite *)db)->conn;
    ez_auto(ez_alert_work) work;
    ez_status status = ez_alert_work_init(&work, batches, count, rules, now_ns, error);
    if (!status)
        status = ez_sqlite_run_kept(conn, EZ_SQLITE_BEGIN, error);
    if (status)
        return status;
    status = change(conn, &work, error);
    status = ez_sqlite_end(conn, status, error);
    ez_sqlite_forget_bindings(conn);
    return status;
}
