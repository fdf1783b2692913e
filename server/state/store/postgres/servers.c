// SPDX-License-Identifier: Apache-2.0
//
// The table of servers in PostgreSQL. One statement a second, on a connection of its own: a commit that waits for a
// lock must not make the others take this server for dead.
#include "proto/runtime/clock.h"
#include "server/state/store/postgres/db.h"

#define BEAT_MS 5000

#define NOW "CAST(extract(epoch FROM clock_timestamp()) * 1000000000 AS int8)"

static const char beat[] =
    "WITH self AS (INSERT INTO servers (id, rpc_url, config_url, events_url, version, started_ns, seen_ns) VALUES ($1, "
    "$2, $3, $4, $5, $6, " NOW ") ON CONFLICT (id) DO UPDATE SET seen_ns = excluded.seen_ns), "
    "gone AS (DELETE FROM servers WHERE id <> $1 AND seen_ns < " NOW " - $7) "
    "SELECT id, rpc_url, config_url, events_url, version, started_ns, greatest(0, " NOW
    " - seen_ns) FROM servers WHERE "
    "id <> $1 AND seen_ns >= " NOW " - $7 ORDER BY seen_ns DESC LIMIT $8";

ez_status ez_pg_beat_server(void *db, const ez_store_server *self, int64_t forget_ns, ez_store_server_fn *each,
                            void *user, ez_error *error) {
    ez_pg_conn *conn = &((ez_pg *)db)->servers;
    uint64_t deadline = ez_clock_mono_ms() + BEAT_MS;
    ez_pg_params params = {0};
    ez_pg_put_text(&params, self->id);
    ez_pg_put_text(&params, self->rpc_url);
    ez_pg_put_text(&params, self->config_url);
    ez_pg_put_text(&params, self->events_url);
    ez_pg_put_text(&params, self->version);
    ez_pg_put_int(&params, self->started_ns);
    ez_pg_put_int(&params, forget_ns);
    ez_pg_put_int(&params, EZ_STORE_SERVERS_MAX);
    ez_pg_autoclear PGresult *found = NULL;
    ez_status status = ez_pg_ready(conn, false, deadline, error);
    if (!status)
        status = ez_pg_run(conn, beat, &params, deadline, &found, error);
    for (int i = 0; !status && i < PQntuples(found); i++) {
        const ez_store_server server = {.id = PQgetvalue(found, i, 0),
                                        .rpc_url = PQgetvalue(found, i, 1),
                                        .config_url = PQgetvalue(found, i, 2),
                                        .events_url = PQgetvalue(found, i, 3),
                                        .version = PQgetvalue(found, i, 4),
                                        .started_ns = ez_pg_int(found, i, 5),
                                        .silent_ns = ez_pg_int(found, i, 6)};
        each(user, &server);
    }
    return status;
}

ez_status ez_pg_remove_server(void *db, const char *id, ez_error *error) {
    ez_pg_conn *conn = &((ez_pg *)db)->servers;
    uint64_t deadline = ez_clock_mono_ms() + BEAT_MS;
    ez_pg_params params = {0};
    ez_pg_put_text(&params, id);
    ez_status status = ez_pg_ready(conn, false, deadline, error);
    return status ? status : ez_pg_exec(conn, "DELETE FROM servers WHERE id = $1", &params, deadline, error);
}
