// SPDX-License-Identifier: Apache-2.0
//
// SQLite as a backend: opening, closing, and the table of operations. An ez_sqlite owns the lock on the file, the path
// and the connection that writes; readers are connections of their own and are closed before it, so that the last one
// to close is the one that may checkpoint.
#include <stdlib.h>
#include <string.h>

#include "server/state/store/rollup.h"
#include "server/state/store/sqlite/db.h"

static ez_status no_memory(ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory to open the store");
}

static void backend_close(void *db) {
    ez_sqlite *store = db;
    if (!store)
        return;
    ez_sqlite_conn_close(&store->conn);
    ez_sqlite_file_close(store->lock_fd);
    ez_rollup_destroy(store->rollup);
    free(store->path);
    free(store);
}

static ez_status backend_open(const ez_store_options *options, const char *path, void **out, ez_error *error) {
    // SQLite reads ":memory:" and "" as databases without a file, which would be another one for each connection, and
    // "file:" as a URI where it was built so.
    if (!path[0] || path[0] == ':' || strncmp(path, "file:", 5) == 0)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "STORE_URL", "EZ_STORE needs a path: sqlite:PATH");
    ez_sqlite *store = calloc(1, sizeof *store);
    if (!store)
        return no_memory(error);
    store->lock_fd = -1;
    store->path = strdup(path);
    ez_status status = store->path ? EZ_OK : no_memory(error);
    if (!status)
        status = ez_sqlite_file_open(store->path, &store->lock_fd, error);
    if (!status)
        status = ez_sqlite_conn_open(&store->conn, store->path, true, error);
    if (!status)
        status = ez_sqlite_migrate(&store->conn, options, error);
    if (status)
        backend_close(store);
    else
        *out = store;
    return status;
}

static ez_status open_reader(void *db, void **out, ez_error *error) {
    ez_sqlite *store = db;
    ez_sqlite_conn *conn = calloc(1, sizeof *conn);
    if (!conn)
        return no_memory(error);
    ez_status status = ez_sqlite_conn_open(conn, store->path, false, error);
    if (status)
        free(conn);
    else
        *out = conn;
    return status;
}

static void close_reader(void *reader) {
    if (!reader)
        return;
    ez_sqlite_conn_close(reader);
    free(reader);
}

const ez_backend ez_backend_sqlite = {
    .name = "sqlite",
    .open = backend_open,
    .close = backend_close,
    .read_head = ez_sqlite_read_head,
    .each_row = ez_sqlite_each_row,
    .each_change = ez_sqlite_each_change,
    .oldest_change = ez_sqlite_oldest_change,
    .commit = ez_sqlite_commit,
    .find_idempotent = ez_sqlite_find_idempotent,
    .trim = ez_sqlite_trim,
    .take_lease = ez_sqlite_take_lease,
    .drop_lease = ez_sqlite_drop_lease,
    .open_reader = open_reader,
    .close_reader = close_reader,
    .reader_each_audit = ez_sqlite_reader_each_audit,
    .reader_each_change = ez_sqlite_reader_each_change,
    .reader_oldest_change = ez_sqlite_reader_oldest_change,
    .reader_ping = ez_sqlite_reader_ping,
    .meter = &ez_meter_sqlite,
    .sync = &ez_sync_sqlite,
    .alerts = &ez_alerts_sqlite,
    .claims = &ez_claims_sqlite,
};
