// SPDX-License-Identifier: Apache-2.0
//
// One SQLite connection: its settings, its kept statements, its errors. A connection owns its statements; they are
// always reset before a function returns, because a statement in progress holds a read transaction, and that keeps the
// log from being checkpointed.
//
// Awkward: a full disk shows as SQLITE_FULL or, where the limit is on the file (quota, RLIMIT_FSIZE), as an I/O error
// whose errno tells. Both roll back; the next commit starts clean.
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "server/state/store/sqlite/alerts.h"
#include "server/state/store/sqlite/meter.h"
#include "server/state/store/usage.h"

#define SUMS "requests, success, failure, tokens_in, tokens_out, quota_used, rate_limited, last_used_ns"

static const char *const fixed_texts[EZ_SQLITE_PUT_ROW] = {
    [EZ_SQLITE_BEGIN] = "BEGIN IMMEDIATE",
    [EZ_SQLITE_COMMIT] = "COMMIT",
    [EZ_SQLITE_ROLLBACK] = "ROLLBACK",
    [EZ_SQLITE_MOVE_HEAD] = "UPDATE feed_head SET n = $1, next_audit_id = max(next_audit_id, $2), "
                            "audit_hash = coalesce($3, audit_hash) WHERE one = 1 AND epoch = $4 AND n = $5",
    [EZ_SQLITE_MOVE_CHAIN] = ez_sql_move_chain,
    [EZ_SQLITE_PUT_CHANGE] = "INSERT INTO changes (n, seq, kind, id, op, secret_version, time_ns, data, sealed) "
                             "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    [EZ_SQLITE_PUT_AUDIT] = "INSERT INTO audit (id, time_ns, revision, actor, method, resource, request, request_id, "
                            "remote, previous_hash, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    [EZ_SQLITE_PUT_IDEMPOTENT] = "INSERT INTO idempotency (key, request_hash, revision, time_ns, reply) "
                                 "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (key) DO UPDATE SET "
                                 "request_hash = excluded.request_hash, revision = excluded.revision, "
                                 "time_ns = excluded.time_ns, reply = excluded.reply",
    [EZ_SQLITE_PUT_COUNTER] = "INSERT INTO counters (kind, next_id) VALUES ($1, $2) ON CONFLICT (kind) DO UPDATE SET "
                              "next_id = max(next_id, excluded.next_id)",
    [EZ_SQLITE_READ_HEAD] = ez_sql_read_head,
    [EZ_SQLITE_READ_COUNTERS] = ez_sql_read_counters,
    [EZ_SQLITE_OLDEST_CHANGE] = ez_sql_oldest_change,
    [EZ_SQLITE_EACH_CHANGE] = ez_sql_each_change,
    [EZ_SQLITE_PAGE_CHANGE] = ez_sql_page_change,
    [EZ_SQLITE_FIND_IDEMPOTENT] = ez_sql_find_idempotent,
    [EZ_SQLITE_TRIM_IDEMPOTENT] = ez_sql_trim_idempotent,
    [EZ_SQLITE_TRIM_BOUND] = "SELECT max(n), count(*) FROM (SELECT n FROM changes WHERE n < $1 "
                             "ORDER BY n, seq LIMIT $2)",
    [EZ_SQLITE_TRIM_CHANGES] = "DELETE FROM changes WHERE (n, seq) IN (SELECT n, seq FROM changes WHERE n < $1 "
                               "ORDER BY n, seq LIMIT $2)",
    [EZ_SQLITE_TRIM_OLDEST] = "UPDATE feed_head SET oldest = max(oldest, $1) WHERE one = 1",
    [EZ_SQLITE_CHECK_FENCE] = "SELECT token FROM leases WHERE name = 'jobs' AND token = $1",
    [EZ_SQLITE_PING] = "SELECT 1 FROM feed_head WHERE one = 1",
    [EZ_SQLITE_READ_MARK] = "SELECT sequence FROM marks WHERE data_plane_id = $1 AND stream = $2 AND epoch = $3",
    [EZ_SQLITE_PUT_MARK] = "INSERT OR REPLACE INTO marks (data_plane_id, stream, epoch, sequence, time_ns) "
                           "VALUES ($1, $2, $3, $4, $5)",
    [EZ_SQLITE_TAKE_LOG_IDS] = ez_sqlite_take_log_ids,
    [EZ_SQLITE_PUT_LOG] = ez_sqlite_put_log,
    [EZ_SQLITE_PUT_LOG_BODY] = "INSERT INTO log_bodies (time_ns, id, body) VALUES ($1, $2, $3)",
    [EZ_SQLITE_ADD_LOG_DAY] = "INSERT INTO log_days (day, records) VALUES ($1, $2) ON CONFLICT (day) DO UPDATE SET "
                              "records = records + excluded.records",
    [EZ_SQLITE_ALERT_HEAD] = ez_sql_alert_head,
    [EZ_SQLITE_MOVE_ALERT_HEAD] = ez_sql_move_alert_head,
    [EZ_SQLITE_LET_ALERT_GO] = EZ_SQL_ALERT_LET_GO("$1", "= $2"),
    [EZ_SQLITE_UPSERT_ALERT] = ez_sqlite_upsert_alert,
    [EZ_SQLITE_ALERT_BY_ID] = ez_sql_alert_by_id,
    [EZ_SQLITE_ALERT_BY_HOLDER] = ez_sql_alert_by_holder,
    [EZ_SQLITE_PUT_ALERT] = ez_sql_put_alert,
    [EZ_SQLITE_DELETE_ALERT] = ez_sql_delete_alert,
    [EZ_SQLITE_ADD_ALERT_COUNT] = "INSERT INTO alert_counts (status, severity, type, n) VALUES ($1, $2, $3, $4) "
                                  "ON CONFLICT (status, severity, type) DO UPDATE SET n = n + excluded.n",
    [EZ_SQLITE_ENDED_ALERTS] = ez_sql_ended_alerts,
    [EZ_SQLITE_COUNT_LOGS] = ez_sql_count_logs,
    [EZ_SQLITE_ADD_ROLLUP] = ez_sqlite_add_rollup,
    [EZ_SQLITE_READ_OPEN] = ez_sql_open_steps,
    [EZ_SQLITE_PUT_OPEN] = "INSERT OR REPLACE INTO rollup_open (step, time_s, from_s, until_s, folded) VALUES ($1, $2, "
                           "$3, $4, $5)",
    [EZ_SQLITE_DELETE_OPEN] = "DELETE FROM rollup_open WHERE step = $1 AND time_s = $2",
    [EZ_SQLITE_HAS_ROLLUPS] = "SELECT 1 FROM rollups WHERE step = $1 AND level = 1 AND time_s >= $2 AND time_s < $3 "
                              "LIMIT 1",
    [EZ_SQLITE_READ_ROLLUPS] = ez_sqlite_read_rollups,
    [EZ_SQLITE_DELETE_ROLLUPS] = "DELETE FROM rollups WHERE step = $1 AND level = $2 AND time_s = $3",
    [EZ_SQLITE_EACH_LOG_DAY] = ez_sql_each_log_day,
    [EZ_SQLITE_LOG_BOUND] = "SELECT time_ns, id FROM log_records WHERE time_ns < $1 ORDER BY time_ns, id LIMIT 1 "
                            "OFFSET $2",
    [EZ_SQLITE_DELETE_LOGS] = "DELETE FROM log_records WHERE (time_ns, id) < ($1, $2)",
    [EZ_SQLITE_DELETE_LOG_BODIES] = "DELETE FROM log_bodies WHERE (time_ns, id) < ($1, $2)",
    [EZ_SQLITE_TAKE_LOG_DAY] = "UPDATE log_days SET records = records - ?2 WHERE day = ?1",
    [EZ_SQLITE_DELETE_LOG_DAY] = "DELETE FROM log_days WHERE day = $1",
    [EZ_SQLITE_MOVE_EDGES] = ez_sqlite_move_edges,
    [EZ_SQLITE_TRIM_ROLLUPS] = ez_sqlite_trim_rollups,
    [EZ_SQLITE_TRIM_MARKS] = "DELETE FROM marks WHERE (data_plane_id, stream, epoch) IN (SELECT data_plane_id, stream, "
                             "epoch FROM marks WHERE time_ns < $1 AND (time_ns < $2 OR stream >= 256) ORDER BY time_ns "
                             "LIMIT $3)",
    [EZ_SQLITE_PUT_DELIVERY] = "INSERT OR REPLACE INTO deliveries (id, created_ns, kind, url, status, attempts, "
                               "http_status, error, finished_ns) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    [EZ_SQLITE_TRIM_DELIVERIES] = "DELETE FROM deliveries WHERE id <= (SELECT id FROM deliveries ORDER BY id DESC "
                                  "LIMIT 1 OFFSET $1)",
};

// errno of the last fault of the database's file or its log: sqlite3_system_errno has been overwritten by then.
static int last_errno(ez_sqlite_conn *conn, int which) {
    sqlite3_file *file = NULL;
    int number = 0;
    sqlite3_file_control(conn->db, "main", which, &file);
    if (file && file->pMethods)
        file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &number);
    return number;
}

static bool is_full(ez_sqlite_conn *conn, int code) {
    if ((code & 0xFF) == SQLITE_FULL)
        return true;
    if (code != SQLITE_IOERR_WRITE && code != SQLITE_IOERR_SHMSIZE && code != SQLITE_IOERR_TRUNCATE)
        return false;
    int numbers[] = {last_errno(conn, SQLITE_FCNTL_JOURNAL_POINTER), last_errno(conn, SQLITE_FCNTL_FILE_POINTER)};
    for (int i = 0; i < 2; i++) {
        if (numbers[i] == ENOSPC || numbers[i] == EDQUOT || numbers[i] == EFBIG)
            return true;
    }
    return false;
}

ez_status ez_sqlite_fail(ez_sqlite_conn *conn, int code, ez_error *error) {
    const char *text = conn->db ? sqlite3_errmsg(conn->db) : sqlite3_errstr(code);
    if (conn->db && is_full(conn, code))
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "DISK_FULL",
                            "no room for %s: nothing was written; free space on its disk, then try again", conn->path);
    switch (code & 0xFF) {
    case SQLITE_NOMEM:
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for a query of %s", conn->path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ez_error_set(error, EZ_UNAVAILABLE, "STORE_BUSY",
                            "%s is locked: another program has it open for writing; close that program", conn->path);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ez_error_set(error, EZ_DATA_LOSS, "STORE_CORRUPT", "%s is damaged (%s): restore it from a backup",
                            conn->path, text);
    case SQLITE_IOERR:
        return ez_error_set(error, EZ_UNAVAILABLE, "STORE_IO",
                            "%s can't be read or written (%s, code %d): check its disk", conn->path, text, code);
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "STORE_NOT_WRITABLE",
                            "%s can't be opened for writing (%s): check who owns it and its folder", conn->path, text);
    default:
        return ez_error_set(error, EZ_INTERNAL, "STORE_ERROR", "%s: %s (SQLite code %d)", conn->path, text, code);
    }
}

// PRAGMA journal_mode answers with the mode it got, which on some file systems is not the one that was asked for.
static ez_status use_log(ez_sqlite_conn *conn, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_prepare(conn, "PRAGMA journal_mode = WAL", &statement, error);
    if (status)
        return status;
    int code = sqlite3_step(statement);
    if (code != SQLITE_ROW)
        status = ez_sqlite_fail(conn, code, error);
    else if (strcmp((const char *)sqlite3_column_text(statement, 0), "wal") != 0)
        status = ez_error_set(error, EZ_FAILED_PRECONDITION, "STORE_NO_WAL",
                              "%s is on a file system without shared memory: put it on a local disk", conn->path);
    sqlite3_finalize(statement);
    return status;
}

static ez_status settle(ez_sqlite_conn *conn, bool writer, ez_error *error) {
    char text[160];
    snprintf(text, sizeof text, "PRAGMA cache_size = -%d", writer ? EZ_SQLITE_CACHE_KIB : EZ_SQLITE_READER_CACHE_KIB);
    ez_status status = ez_sqlite_exec(conn, text, error);
    if (!status)
        status = ez_sqlite_exec(conn, "PRAGMA temp_store = MEMORY", error);
    if (!status)
        status = ez_sqlite_exec(conn, "PRAGMA foreign_keys = ON", error);
    if (!writer) {
        sqlite3_wal_autocheckpoint(conn->db, 0);
        sqlite3_db_config(conn->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        return status ? status : ez_sqlite_exec(conn, "PRAGMA query_only = ON", error);
    }
    sqlite3_wal_autocheckpoint(conn->db, EZ_SQLITE_CHECKPOINT_PAGES);
    if (!status)
        status = use_log(conn, error);
    snprintf(text, sizeof text, "PRAGMA journal_size_limit = %d", EZ_SQLITE_LOG_KEEP_BYTES);
    if (!status)
        status = ez_sqlite_exec(conn, text, error);
    return status ? status : ez_sqlite_exec(conn, "PRAGMA synchronous = FULL", error);
}

ez_status ez_sqlite_conn_open(ez_sqlite_conn *conn, const char *path, bool writer, ez_error *error) {
    *conn = (ez_sqlite_conn){.path = path};
    int flags = (writer ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) | SQLITE_OPEN_NOMUTEX;
    int code = sqlite3_open_v2(path, &conn->db, flags, NULL);
    if (code != SQLITE_OK) {
        ez_status status = ez_sqlite_fail(conn, code, error);
        ez_sqlite_conn_close(conn);
        return status;
    }
    sqlite3_extended_result_codes(conn->db, 1);
    sqlite3_busy_timeout(conn->db, EZ_SQLITE_BUSY_MS);
    ez_status status = settle(conn, writer, error);
    if (status)
        ez_sqlite_conn_close(conn);
    return status;
}

void ez_sqlite_conn_close(ez_sqlite_conn *conn) {
    for (size_t i = 0; i < EZ_SQLITE_SLOTS; i++) {
        sqlite3_finalize(conn->kept[i]);
        conn->kept[i] = NULL;
    }
    sqlite3_close(conn->db);
    conn->db = NULL;
}

ez_status ez_sqlite_prepare(ez_sqlite_conn *conn, const char *text, sqlite3_stmt **out, ez_error *error) {
    int code = sqlite3_prepare_v2(conn->db, text, -1, out, NULL);
    return code == SQLITE_OK ? EZ_OK : ez_sqlite_fail(conn, code, error);
}

static const char *slot_text(ez_sqlite_slot slot, char *room, size_t size) {
    if (slot < EZ_SQLITE_PUT_ROW)
        return fixed_texts[slot];
    if (slot < EZ_SQLITE_DELETE_ROW)
        snprintf(room, size,
                 "INSERT INTO %s (id, revision, secret_version, sealed, data) VALUES ($1, $2, $3, $4, $5) "
                 "ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, "
                 "secret_version = excluded.secret_version, sealed = excluded.sealed, data = excluded.data",
                 ez_sql_table((int)(slot - EZ_SQLITE_PUT_ROW)));
    else if (slot < EZ_SQLITE_READ_USAGE)
        snprintf(room, size, "DELETE FROM %s WHERE id = $1", ez_sql_table((int)(slot - EZ_SQLITE_DELETE_ROW)));
    else if (slot < EZ_SQLITE_PUT_USAGE)
        snprintf(room, size, "SELECT " SUMS " FROM %s WHERE id = $1", ez_usage_tables[slot - EZ_SQLITE_READ_USAGE]);
    else if (slot < EZ_SQLITE_EACH_USAGE)
        snprintf(room, size, "INSERT OR REPLACE INTO %s (id, " SUMS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                 ez_usage_tables[slot - EZ_SQLITE_PUT_USAGE]);
    else
        snprintf(room, size, "SELECT id, " SUMS " FROM %s", ez_usage_tables[slot - EZ_SQLITE_EACH_USAGE]);
    return room;
}

ez_status ez_sqlite_kept(ez_sqlite_conn *conn, ez_sqlite_slot slot, sqlite3_stmt **out, ez_error *error) {
    if (!conn->kept[slot]) {
        char room[384];
        int code = sqlite3_prepare_v3(conn->db, slot_text(slot, room, sizeof room), -1, SQLITE_PREPARE_PERSISTENT,
                                      &conn->kept[slot], NULL);
        if (code != SQLITE_OK)
            return ez_sqlite_fail(conn, code, error);
    }
    *out = conn->kept[slot];
    return EZ_OK;
}

ez_status ez_sqlite_run(ez_sqlite_conn *conn, sqlite3_stmt *statement, ez_error *error) {
    int code;
    do {
        code = sqlite3_step(statement);
    } while (code == SQLITE_ROW);
    ez_status status = code == SQLITE_DONE ? EZ_OK : ez_sqlite_fail(conn, code, error);
    sqlite3_reset(statement);
    return status;
}

ez_status ez_sqlite_run_kept(ez_sqlite_conn *conn, ez_sqlite_slot slot, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(conn, slot, &statement, error);
    return status ? status : ez_sqlite_run(conn, statement, error);
}

ez_status ez_sqlite_run_numbers(ez_sqlite_conn *conn, ez_sqlite_slot slot, const int64_t *numbers, int count,
                                ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(conn, slot, &statement, error);
    if (status)
        return status;
    for (int i = 0; i < count; i++)
        sqlite3_bind_int64(statement, i + 1, numbers[i]);
    return ez_sqlite_run(conn, statement, error);
}

ez_status ez_sqlite_step_row(ez_sqlite_conn *conn, sqlite3_stmt *statement, ez_error *error) {
    int code = sqlite3_step(statement);
    return code == SQLITE_ROW ? EZ_OK : ez_sqlite_fail(conn, code == SQLITE_DONE ? SQLITE_CORRUPT : code, error);
}

ez_status ez_sqlite_exec(ez_sqlite_conn *conn, const char *text, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_prepare(conn, text, &statement, error);
    if (status)
        return status;
    status = ez_sqlite_run(conn, statement, error);
    sqlite3_finalize(statement);
    return status;
}

void ez_sqlite_forget_bindings(ez_sqlite_conn *conn) {
    for (size_t slot = 0; slot < EZ_SQLITE_SLOTS; slot++) {
        if (conn->kept[slot])
            sqlite3_clear_bindings(conn->kept[slot]);
    }
}

void ez_sqlite_rollback(ez_sqlite_conn *conn) {
    if (sqlite3_get_autocommit(conn->db))
        return;
    // A rollback can itself fail to read the file; the transaction is over all the same.
    if (ez_sqlite_run_kept(conn, EZ_SQLITE_ROLLBACK, NULL) != EZ_OK)
        sqlite3_db_release_memory(conn->db);
}

ez_status ez_sqlite_end(ez_sqlite_conn *conn, ez_status status, ez_error *error) {
    if (!status)
        status = ez_sqlite_run_kept(conn, EZ_SQLITE_COMMIT, error);
    if (status)
        ez_sqlite_rollback(conn);
    return status;
}

int ez_sqlite_bind_bytes(sqlite3_stmt *statement, int at, const void *data, size_t len) {
    return len ? sqlite3_bind_blob64(statement, at, data, len, SQLITE_STATIC) : sqlite3_bind_zeroblob(statement, at, 0);
}

int ez_sqlite_bind_text(sqlite3_stmt *statement, int at, const char *text) {
    return sqlite3_bind_text(statement, at, text ? text : "", -1, SQLITE_STATIC);
}

int ez_sqlite_bind_slice(sqlite3_stmt *statement, int at, ez_slice text) {
    return sqlite3_bind_text64(statement, at, text.len ? (const char *)text.data : "", text.len, SQLITE_STATIC,
                               SQLITE_UTF8);
}

ez_slice ez_sqlite_bytes(sqlite3_stmt *statement, int column) {
    const void *data = sqlite3_column_blob(statement, column);
    return (ez_slice){.data = data, .len = (size_t)sqlite3_column_bytes(statement, column)};
}

ez_status ez_sqlite_hash(ez_sqlite_conn *conn, sqlite3_stmt *statement, int column, uint8_t out[EZ_SHA256_LEN],
                         ez_error *error) {
    ez_slice bytes = ez_sqlite_bytes(statement, column);
    if (bytes.len != EZ_SHA256_LEN)
        return ez_error_set(error, EZ_DATA_LOSS, "STORE_CORRUPT",
                            "%s holds a hash of %zu bytes: restore it from a backup", conn->path, bytes.len);
    memcpy(out, bytes.data, EZ_SHA256_LEN);
    return EZ_OK;
}
