// SPDX-License-Identifier: Apache-2.0
//
// Brings a SQLite store's schema up to date and sees that it is ours: version not newer, sealing key the same. All of
// it in one exclusive transaction: a start that is cut off half-way leaves the store as it was.
#include <assert.h>
#include <string.h>

#include "proto/runtime/cleanup.h"
#include "server/state/store/migrations/migrations.h"
#include "server/state/store/sqlite/db.h"

static ez_status read_version(ez_sqlite_conn *conn, int *out, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_exec(
        conn,
        "CREATE TABLE IF NOT EXISTS ez_schema (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL)",
        error);
    if (!status)
        status = ez_sqlite_prepare(conn, "SELECT version FROM ez_schema", &statement, error);
    if (status)
        return status;
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *out = sqlite3_column_int(statement, 0);
    else if (code == SQLITE_DONE)
        *out = 0;
    else
        status = ez_sqlite_fail(conn, code, error);
    sqlite3_finalize(statement);
    return status;
}

static ez_status apply(ez_sqlite_conn *conn, const ez_migration *step, ez_error *error) {
    for (const char *const *statement = step->statements; *statement; statement++) {
        ez_auto(ez_buf) text;
        ez_buf_init(&text, 16384);
        const char *rendered = NULL;
        if (ez_migration_render(*statement, EZ_DIALECT_SQLITE, &text) == EZ_OK)
            rendered = ez_buf_cstr(&text);
        if (!rendered)
            return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory to open the store");
        if (strncmp(rendered, "--", 2) == 0) // not for SQLite
            continue;
        ez_status status = ez_sqlite_exec(conn, rendered, error);
        if (status)
            return status;
    }
    sqlite3_stmt *put = NULL;
    ez_status status =
        ez_sqlite_prepare(conn, "INSERT OR REPLACE INTO ez_schema (one, version) VALUES (1, $1)", &put, error);
    if (status)
        return status;
    sqlite3_bind_int(put, 1, step->version);
    status = ez_sqlite_run(conn, put, error);
    sqlite3_finalize(put);
    return status;
}

static ez_status upgrade(ez_sqlite_conn *conn, ez_error *error) {
    int version = 0;
    ez_status status = read_version(conn, &version, error);
    if (!status && version > ez_migration_latest())
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "SCHEMA_NEWER",
                            "%s has schema version %d and this program knows up to %d: run the newer ezplaned, or "
                            "restore a backup from before the upgrade",
                            conn->path, version, ez_migration_latest());
    for (size_t i = 0; !status && i < ez_migration_count; i++) {
        if (ez_migrations[i].version > version)
            status = apply(conn, &ez_migrations[i], error);
    }
    return status;
}

static ez_status make_head(ez_sqlite_conn *conn, const ez_store_options *options, ez_error *error) {
    static const uint8_t zeros[EZ_SHA256_LEN];
    assert(options->epoch);
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_prepare(conn,
                                         "INSERT INTO feed_head (one, epoch, n, oldest, next_audit_id, audit_hash, "
                                         "key_check) VALUES (1, $1, 0, 1, 1, $2, $3)",
                                         &statement, error);
    if (status)
        return status;
    sqlite3_bind_int64(statement, 1, (int64_t)options->epoch);
    sqlite3_bind_blob(statement, 2, zeros, sizeof zeros, SQLITE_STATIC);
    ez_sqlite_bind_text(statement, 3, options->key_check);
    status = ez_sqlite_run(conn, statement, error);
    sqlite3_finalize(statement);
    return status;
}

static ez_status check_head(ez_sqlite_conn *conn, const ez_store_options *options, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_prepare(conn, "SELECT key_check FROM feed_head WHERE one = 1", &statement, error);
    if (status)
        return status;
    int code = sqlite3_step(statement);
    bool is_new = code == SQLITE_DONE;
    if (code == SQLITE_ROW) {
        const char *check = (const char *)sqlite3_column_text(statement, 0);
        if (!check || strcmp(check, options->key_check ? options->key_check : "") != 0)
            status = ez_error_set(error, EZ_FAILED_PRECONDITION, "SEALING_KEY_WRONG",
                                  "the store %s was sealed with another key: give EZ_SECRET_KEY_FILE the key file "
                                  "that was used when the store was made",
                                  conn->path);
    } else if (!is_new) {
        status = ez_sqlite_fail(conn, code, error);
    }
    sqlite3_finalize(statement);
    return is_new && !status ? make_head(conn, options, error) : status;
}

ez_status ez_sqlite_migrate(ez_sqlite_conn *conn, const ez_store_options *options, ez_error *error) {
    ez_status status = ez_sqlite_exec(conn, "BEGIN EXCLUSIVE", error);
    if (!status)
        status = upgrade(conn, error);
    if (!status)
        status = check_head(conn, options, error);
    return ez_sqlite_end(conn, status, error);
}
