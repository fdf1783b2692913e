// SPDX-License-Identifier: Apache-2.0
//
// Brings a PostgreSQL store's schema up to date and sees that it is ours: server new enough, encoding, schema version
// not newer, sealing key the same. All of it in one transaction under an advisory lock of that transaction: several
// servers may start at once, and one that is cut off half-way leaves the store as it was.
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "proto/runtime/cleanup.h"
#include "server/state/store/migrations/migrations.h"
#include "server/state/store/postgres/db.h"

#define SERVER_MIN 150000
#define LOCK       "7304915228360199" // our number among the database's advisory locks

static ez_status check_server(ez_pg_conn *conn, ez_error *error) {
    int version = PQserverVersion(conn->pg);
    const char *encoding = PQparameterStatus(conn->pg, "server_encoding");
    if (version < SERVER_MIN)
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "STORE_TOO_OLD",
                            "PostgreSQL at %s is version %d, 15 is needed: upgrade it", conn->where, version / 10000);
    if (encoding && strcmp(encoding, "UTF8") != 0)
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "STORE_ENCODING",
                            "the database %s has encoding %s: make one with ENCODING 'UTF8'", conn->where, encoding);
    return EZ_OK;
}

// 0 where there is no schema. The table is asked for first: a user who may not create tables can still use a store.
static ez_status read_version(ez_pg_conn *conn, int *out, uint64_t deadline, ez_error *error) {
    ez_pg_params none = {0};
    ez_pg_autoclear PGresult *found = NULL, *result = NULL;
    ez_status status =
        ez_pg_run(conn, "SELECT 1::bigint WHERE to_regclass('ez_schema') IS NOT NULL", &none, deadline, &found, error);
    if (status)
        return status;
    if (PQntuples(found) == 0) {
        *out = 0;
        return ez_pg_exec(conn,
                          "CREATE TABLE ez_schema (one BIGINT PRIMARY KEY CHECK (one = 1), version BIGINT NOT NULL)",
                          NULL, deadline, error);
    }
    status = ez_pg_run(conn, "SELECT version FROM ez_schema", &none, deadline, &result, error);
    if (!status)
        *out = PQntuples(result) ? (int)ez_pg_int(result, 0, 0) : 0;
    return status;
}

static ez_status apply(ez_pg_conn *conn, const ez_migration *step, uint64_t deadline, ez_error *error) {
    for (const char *const *statement = step->statements; *statement; statement++) {
        ez_auto(ez_buf) text;
        ez_buf_init(&text, 16384);
        const char *rendered = NULL;
        if (ez_migration_render(*statement, EZ_DIALECT_POSTGRES, &text) == EZ_OK)
            rendered = ez_buf_cstr(&text);
        if (!rendered)
            return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory to open the store");
        ez_status status = ez_pg_exec(conn, rendered, NULL, deadline, error);
        if (status)
            return status;
    }
    ez_pg_params params = {0};
    ez_pg_put_int(&params, step->version);
    return ez_pg_exec(conn,
                      "INSERT INTO ez_schema (one, version) VALUES (1, $1) ON CONFLICT (one) DO UPDATE SET version = "
                      "excluded.version",
                      &params, deadline, error);
}

static ez_status upgrade(ez_pg_conn *conn, uint64_t deadline, ez_error *error) {
    int version = 0;
    ez_status status = read_version(conn, &version, deadline, error);
    if (!status && version > ez_migration_latest())
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "SCHEMA_NEWER",
                            "the database %s has schema version %d and this program knows up to %d: run the newer "
                            "ezplaned, or restore a backup from before the upgrade",
                            conn->where, version, ez_migration_latest());
    for (size_t i = 0; !status && i < ez_migration_count; i++) {
        if (ez_migrations[i].version > version)
            status = apply(conn, &ez_migrations[i], deadline, error);
    }
    return status;
}

static ez_status check_head(ez_pg_conn *conn, const ez_store_options *options, uint64_t deadline, ez_error *error) {
    static const uint8_t zeros[EZ_SHA256_LEN];
    const char *check = options->key_check ? options->key_check : "";
    ez_pg_params none = {0}, params = {0};
    ez_pg_autoclear PGresult *result = NULL;
    ez_status status =
        ez_pg_run(conn, "SELECT key_check FROM feed_head WHERE one = 1", &none, deadline, &result, error);
    if (status)
        return status;
    if (PQntuples(result)) {
        if (strcmp(PQgetvalue(result, 0, 0), check) == 0)
            return EZ_OK;
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "SEALING_KEY_WRONG",
                            "the store %s was sealed with another key: give EZ_SECRET_KEY_FILE the key file that was "
                            "used when the store was made",
                            conn->where);
    }
    assert(options->epoch);
    ez_pg_put_int(&params, (int64_t)options->epoch);
    ez_pg_put_bytes(&params, zeros, sizeof zeros);
    ez_pg_put_text(&params, check);
    return ez_pg_exec(conn,
                      "INSERT INTO feed_head (one, epoch, n, oldest, next_audit_id, audit_hash, key_check) VALUES "
                      "(1, $1, 0, 1, 1, $2, $3)",
                      &params, deadline, error);
}

ez_status ez_pg_migrate(ez_pg_conn *conn, const ez_store_options *options, uint64_t deadline, ez_error *error) {
    ez_status status = check_server(conn, error);
    if (!status)
        status = ez_pg_exec(conn, "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(" LOCK ")", NULL,
                            deadline, error);
    if (!status)
        status = upgrade(conn, deadline, error);
    if (!status)
        status = check_head(conn, options, deadline, error);
    if (!status)
        status = ez_pg_exec(conn, "COMMIT", NULL, deadline, error);
    if (status)
        ez_pg_rollback(conn);
    return status;
}
