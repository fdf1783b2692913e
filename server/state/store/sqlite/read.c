// SPDX-License-Identifier: Apache-2.0
//
// Reading from SQLite, for the writing connection and for readers. Rows are handed on as SQLite holds them, without a
// copy: they are gone at the next step. Every statement is reset before its function returns, however it returns: one
// in progress would hold a read transaction, and the log could not be checkpointed.
#include <stdio.h>
#include <string.h>

#include "server/state/store/sqlite/db.h"

// Reads the next row: OK with *more, or the error.
static ez_status next(ez_sqlite_conn *conn, sqlite3_stmt *statement, bool *more, ez_error *error) {
    int code = sqlite3_step(statement);
    *more = code == SQLITE_ROW;
    return code == SQLITE_ROW || code == SQLITE_DONE ? EZ_OK : ez_sqlite_fail(conn, code, error);
}

static ez_status no_head(ez_sqlite_conn *conn, ez_error *error) {
    return ez_error_set(error, EZ_DATA_LOSS, "STORE_CORRUPT", "%s has no feed head: restore it from a backup",
                        conn->path);
}

static ez_status read_counters(ez_sqlite_conn *conn, int64_t *next_id, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(conn, EZ_SQLITE_READ_COUNTERS, &statement, error);
    bool more = false;
    while (!status && !(status = next(conn, statement, &more, error)) && more) {
        int kind = sqlite3_column_int(statement, 0);
        if (ez_sql_table(kind))
            next_id[kind] = sqlite3_column_int64(statement, 1);
    }
    sqlite3_reset(statement);
    return status;
}

ez_status ez_sqlite_read_head(void *db, ez_store_head *out, ez_error *error) {
    ez_sqlite_conn *conn = &((ez_sqlite *)db)->conn;
    ez_store_head head = {0};
    for (int kind = 1; kind < EZ_KIND_COUNT; kind++)
        head.next_id[kind] = 1;
    sqlite3_stmt *statement = NULL;
    bool more = false;
    ez_status status = ez_sqlite_kept(conn, EZ_SQLITE_READ_HEAD, &statement, error);
    if (!status)
        status = next(conn, statement, &more, error);
    if (!status && !more)
        status = no_head(conn, error);
    if (!status) {
        head.epoch = (uint64_t)sqlite3_column_int64(statement, 0);
        head.n = (uint64_t)sqlite3_column_int64(statement, 1);
        head.next_audit_id = sqlite3_column_int64(statement, 2);
        status = ez_sqlite_hash(conn, statement, 3, head.audit_hash, error);
    }
    sqlite3_reset(statement);
    if (!status)
        status = read_counters(conn, head.next_id, error);
    if (!status)
        *out = head;
    return status;
}

ez_status ez_sqlite_each_row(void *db, int kind, ez_store_row_fn *each, void *user, ez_error *error) {
    ez_sqlite_conn *conn = &((ez_sqlite *)db)->conn;
    char text[128];
    snprintf(text, sizeof text, "SELECT id, revision, secret_version, data, sealed FROM %s ORDER BY id",
             ez_sql_table(kind));
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_prepare(conn, text, &statement, error);
    bool more = false;
    while (!status && !(status = next(conn, statement, &more, error)) && more) {
        ez_store_row row = {
            .id = sqlite3_column_int64(statement, 0),
            .revision = (uint64_t)sqlite3_column_int64(statement, 1),
            .secret_version = (uint64_t)sqlite3_column_int64(statement, 2),
            .data = ez_sqlite_bytes(statement, 3),
            .sealed = ez_sqlite_bytes(statement, 4),
        };
        status = each(user, &row, error);
    }
    sqlite3_finalize(statement);
    return status;
}

static ez_store_change change_at(sqlite3_stmt *statement) {
    return (ez_store_change){
        .n = (uint64_t)sqlite3_column_int64(statement, 0),
        .seq = (uint32_t)sqlite3_column_int64(statement, 1),
        .kind = sqlite3_column_int(statement, 2),
        .id = sqlite3_column_int64(statement, 3),
        .op = sqlite3_column_int(statement, 4),
        .secret_version = (uint64_t)sqlite3_column_int64(statement, 5),
        .time_ns = sqlite3_column_int64(statement, 6),
    };
}

ez_status ez_sqlite_each_change(void *db, uint64_t after, uint64_t until, size_t limit, ez_store_change_fn *each,
                                void *user, ez_error *error) {
    ez_sqlite_conn *conn = &((ez_sqlite *)db)->conn;
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(conn, EZ_SQLITE_EACH_CHANGE, &statement, error);
    if (status)
        return status;
    sqlite3_bind_int64(statement, 1, ez_sql_n(after));
    sqlite3_bind_int64(statement, 2, ez_sql_n(until));
    sqlite3_bind_int64(statement, 3, limit ? ez_sql_n(limit) : INT64_MAX);
    bool more = false;
    while (!(status = next(conn, statement, &more, error)) && more) {
        ez_store_change change = change_at(statement);
        change.data = ez_sqlite_bytes(statement, 7);
        change.sealed = ez_sqlite_bytes(statement, 8);
        if ((status = each(user, &change, error)))
            break;
    }
    sqlite3_reset(statement);
    return status;
}

static ez_status oldest_change(ez_sqlite_conn *conn, uint64_t *out, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(conn, EZ_SQLITE_OLDEST_CHANGE, &statement, error);
    bool more = false;
    if (!status)
        status = next(conn, statement, &more, error);
    if (!status && !more)
        status = no_head(conn, error);
    if (!status)
        *out = (uint64_t)sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return status;
}

ez_status ez_sqlite_oldest_change(void *db, uint64_t *out, ez_error *error) {
    return oldest_change(&((ez_sqlite *)db)->conn, out, error);
}

ez_status ez_sqlite_find_idempotent(void *db, const uint8_t key[EZ_SHA256_LEN], ez_arena *arena,
                                    ez_store_idempotent *out, bool *found, ez_error *error) {
    ez_sqlite_conn *conn = &((ez_sqlite *)db)->conn;
    ez_store_idempotent record = {0};
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(conn, EZ_SQLITE_FIND_IDEMPOTENT, &statement, error);
    if (status)
        return status;
    ez_sqlite_bind_bytes(statement, 1, key, EZ_SHA256_LEN);
    bool more = false;
    status = next(conn, statement, &more, error);
    if (!status && more)
        status = ez_sqlite_hash(conn, statement, 0, record.request_hash, error);
    if (!status && more) {
        memcpy(record.key, key, EZ_SHA256_LEN);
        record.revision = (uint64_t)sqlite3_column_int64(statement, 1);
        record.time_ns = sqlite3_column_int64(statement, 2);
        ez_slice reply = ez_sqlite_bytes(statement, 3);
        record.reply = (ez_slice){.data = ez_arena_memdup(arena, reply.len ? (const void *)reply.data : "", reply.len),
                                  .len = reply.len};
        if (!record.reply.data)
            status = ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for the reply that is kept");
    }
    sqlite3_reset(statement);
    if (!status) {
        *found = more;
        if (more)
            *out = record;
    }
    return status;
}

static ez_status audit_at(ez_sqlite_conn *conn, sqlite3_stmt *statement, ez_store_audit *out, ez_error *error) {
    const char **texts[] = {&out->actor, &out->method, &out->resource, &out->request, &out->request_id, &out->remote};
    out->id = sqlite3_column_int64(statement, 0);
    out->time_ns = sqlite3_column_int64(statement, 1);
    out->revision = (uint64_t)sqlite3_column_int64(statement, 2);
    for (int i = 0; i < 6; i++) {
        *texts[i] = (const char *)sqlite3_column_text(statement, 3 + i);
        if (!*texts[i])
            return ez_sqlite_fail(conn, SQLITE_NOMEM, error);
    }
    ez_status status = ez_sqlite_hash(conn, statement, 9, out->previous_hash, error);
    return status ? status : ez_sqlite_hash(conn, statement, 10, out->hash, error);
}

ez_status ez_sqlite_reader_each_audit(void *reader, const ez_audit_filter *filter, ez_store_audit_fn *each, void *user,
                                      ez_error *error) {
    ez_sqlite_conn *conn = reader;
    ez_sql_audit query;
    ez_sql_audit_build(filter, &query);
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_prepare(conn, query.text, &statement, error);
    if (status)
        return status;
    sqlite3_bind_int64(statement, 1, query.before_id);
    sqlite3_bind_int64(statement, 2, query.since_ns);
    sqlite3_bind_int64(statement, 3, query.until_ns);
    for (unsigned i = 0; i < query.text_count; i++)
        ez_sqlite_bind_text(statement, (int)i + 4, query.texts[i]);
    sqlite3_bind_int64(statement, (int)query.text_count + 4, query.limit);
    bool more = false;
    while (!(status = next(conn, statement, &more, error)) && more) {
        ez_store_audit entry = {0};
        status = audit_at(conn, statement, &entry, error);
        if (!status)
            status = each(user, &entry, error);
        if (status)
            break;
    }
    sqlite3_finalize(statement);
    return status;
}

ez_status ez_sqlite_reader_each_change(void *reader, uint64_t after_n, uint32_t after_seq, size_t limit,
                                       ez_store_change_fn *each, void *user, ez_error *error) {
    ez_sqlite_conn *conn = reader;
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(conn, EZ_SQLITE_PAGE_CHANGE, &statement, error);
    if (status)
        return status;
    sqlite3_bind_int64(statement, 1, ez_sql_n(after_n));
    sqlite3_bind_int64(statement, 2, after_seq);
    sqlite3_bind_int64(statement, 3, limit < EZ_STORE_PAGE_MAX ? (int64_t)limit : EZ_STORE_PAGE_MAX);
    bool more = false;
    while (!(status = next(conn, statement, &more, error)) && more) {
        ez_store_change change = change_at(statement);
        if ((status = each(user, &change, error)))
            break;
    }
    sqlite3_reset(statement);
    return status;
}

ez_status ez_sqlite_reader_oldest_change(void *reader, uint64_t *out, ez_error *error) {
    return oldest_change(reader, out, error);
}

ez_status ez_sqlite_reader_ping(void *reader, ez_error *error) {
    return ez_sqlite_run_kept(reader, EZ_SQLITE_PING, error);
}
