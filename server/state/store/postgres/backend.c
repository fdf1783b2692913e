// SPDX-License-Identifier: Apache-2.0
//
// PostgreSQL as a backend: opening, closing, and the table of operations. An ez_pg owns the URL and the writing
// connections. Readers connect when they are first used, and again when they must: a server that is down for a while
// fails queries, not the program.
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "server/state/store/postgres/audits.h"
#include "server/state/store/postgres/listen.h"
#include "server/state/store/postgres/partitions.h"
#include "server/state/store/rollup.h"

static ez_status no_memory(ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory to open the store");
}

static void backend_close(void *db) {
    ez_pg *store = db;
    if (!store)
        return;
    ez_pg_listener_destroy(store->listener);
    ez_pg_drop(&store->conn);
    ez_pg_drop(&store->usage);
    ez_pg_drop(&store->logs);
    ez_pg_drop(&store->alerts);
    ez_pg_drop(&store->lease);
    ez_pg_drop(&store->servers);
    ez_pg_drop(&store->claims);
    ez_rollup_destroy(store->rollup);
    ez_pg_known_fini(&store->known);
    if (store->partitions)
        ez_pg_partitions_fini(store->partitions);
    free(store->partitions);
    if (store->url)
        explicit_bzero(store->url, strlen(store->url));
    free(store->url);
    ez_pg_chain_fini(&store->chain);
    free(store);
}

static ez_status start(ez_pg *store, const ez_store_options *options, ez_error *error) {
    uint64_t deadline = ez_clock_mono_ms() + options->connect_timeout_ms;
    ez_pg_init(&store->conn, store->url, store->where);
    ez_pg_init(&store->usage, store->url, store->where);
    ez_pg_init(&store->logs, store->url, store->where);
    ez_pg_init(&store->alerts, store->url, store->where);
    ez_pg_init(&store->lease, store->url, store->where);
    ez_pg_init(&store->servers, store->url, store->where);
    ez_pg_init(&store->claims, store->url, store->where);
    ez_status status = ez_pg_ready(&store->conn, true, deadline, error);
    // A server that was just reached gets its time for the schema, whatever connecting took.
    return status ? status : ez_pg_migrate(&store->conn, options, ez_clock_mono_ms() + EZ_PG_IDLE_MS, error);
}

static ez_status backend_open(const ez_store_options *options, const char *url, void **out, ez_error *error) {
    ez_pg *store = calloc(1, sizeof *store);
    if (!store)
        return no_memory(error);
    ez_pg_chain_init(&store->chain);
    store->url = strdup(url);
    store->partitions = calloc(1, sizeof *store->partitions);
    ez_status status = store->url && store->partitions ? ez_pg_url_check(url, store->where, error) : no_memory(error);
    if (!status)
        status = start(store, options, error);
    if (status)
        backend_close(store);
    else
        *out = store;
    return status;
}

static ez_status follow(void *db, ez_store_changed_fn *changed, void *user, ez_error *error) {
    ez_pg *store = db;
    ez_pg_listener *listener = NULL;
    ez_status status = ez_pg_listener_create(store->url, store->where, changed, user, &listener, error);
    store->listener = listener;
    return status;
}

static void unfollow(void *db) {
    ez_pg_listener_stop(((ez_pg *)db)->listener);
}

static bool hears(void *db) {
    return ez_pg_listener_hears(((ez_pg *)db)->listener);
}

static ez_status open_reader(void *db, void **out, ez_error *error) {
    ez_pg *store = db;
    ez_pg_conn *conn = calloc(1, sizeof *conn);
    if (!conn)
        return no_memory(error);
    ez_pg_init(conn, store->url, store->where);
    *out = conn;
    return EZ_OK;
}

static void close_reader(void *reader) {
    if (!reader)
        return;
    ez_pg_drop(reader);
    free(reader);
}

const ez_backend ez_backend_postgres = {
    .name = "postgres",
    .open = backend_open,
    .close = backend_close,
    .read_head = ez_pg_read_head,
    .each_row = ez_pg_each_row,
    .each_change = ez_pg_each_change,
    .oldest_change = ez_pg_oldest_change,
    .commit = ez_pg_commit,
    .find_idempotent = ez_pg_find_idempotent,
    .trim = ez_pg_trim,
    .take_lease = ez_pg_take_lease,
    .drop_lease = ez_pg_drop_lease,
    .follow = follow,
    .unfollow = unfollow,
    .hears = hears,
    .hold_head = ez_pg_hold_head,
    .release_head = ez_pg_release_head,
    .beat_server = ez_pg_beat_server,
    .remove_server = ez_pg_remove_server,
    .open_reader = open_reader,
    .close_reader = close_reader,
    .reader_each_audit = ez_pg_reader_each_audit,
    .reader_each_change = ez_pg_reader_each_change,
    .reader_oldest_change = ez_pg_reader_oldest_change,
    .reader_ping = ez_pg_reader_ping,
    .meter = &ez_meter_postgres,
    .sync = &ez_sync_postgres,
    .alerts = &ez_alerts_postgres,
    .claims = &ez_claims_postgres,
};
