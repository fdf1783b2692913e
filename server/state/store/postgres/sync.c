// SPDX-License-Identifier: Apache-2.0
//
// What stands behind sync.h on PostgreSQL, on the connection of the logs. Writing the same again does no harm, so a
// COMMIT whose answer was lost is an error like any other: the next write has it all.
#include <stdio.h>
#include <stdlib.h>

#include "server/state/store/postgres/attempt.h"
#include "server/state/store/postgres/stream.h"

typedef struct reading {
    ez_sync_state *out;
    ez_sync_due_fn *each;
    void *user;
    bool is_found;
} reading;

static ez_status take_state(void *user, const PGresult *row, ez_error *error) {
    (void)error;
    reading *run = user;
    ez_sync_state *out = run->out;
    *out = (ez_sync_state){
        .epoch = (uint64_t)ez_pg_int(row, 0, 0),
        .n = (uint64_t)ez_pg_int(row, 0, 1),
        .fence = (uint64_t)ez_pg_int(row, 0, 2),
        .rebuilds = (uint64_t)ez_pg_int(row, 0, 5),
        .retries = (uint64_t)ez_pg_int(row, 0, 6),
        .rebuilt_ns = ez_pg_int(row, 0, 7),
        .error_ns = ez_pg_int(row, 0, 9),
        .updated_ns = ez_pg_int(row, 0, 10),
    };
    snprintf(out->state, sizeof out->state, "%s", PQgetvalue(row, 0, 3));
    snprintf(out->server, sizeof out->server, "%s", PQgetvalue(row, 0, 4));
    snprintf(out->error, sizeof out->error, "%s", PQgetvalue(row, 0, 8));
    run->is_found = true;
    return EZ_OK;
}

static ez_status read(void *db, ez_sync_state *out, ez_error *error) {
    ez_pg_conn *conn = &((ez_pg *)db)->logs;
    ez_pg_params none = {0};
    reading run = {.out = out};
    ez_pg_stream query = {.text = ez_sql_read_sync, .params = &none, .row = take_state, .user = &run};
    ez_status status = ez_pg_stream_run(conn, &query, error);
    if (!status && !run.is_found)
        return ez_error_set(error, EZ_DATA_LOSS, "STORE_CORRUPT", "%s has no redis_sync row: restore it from a backup",
                            conn->where);
    return status;
}

static ez_status take_due(void *user, const PGresult *row, ez_error *error) {
    reading *run = user;
    ez_sync_due due = {.kind = (int)ez_pg_int(row, 0, 0),
                       .id = ez_pg_int(row, 0, 1),
                       .n = (uint64_t)ez_pg_int(row, 0, 2),
                       .place = ez_pg_bytes(row, 0, 3),
                       .tries = (uint32_t)ez_pg_int(row, 0, 4),
                       .since_ns = ez_pg_int(row, 0, 5),
                       .next_ns = ez_pg_int(row, 0, 6),
                       .is_parked = ez_pg_int(row, 0, 7) != 0,
                       .error = PQgetvalue(row, 0, 8)};
    return run->each(run->user, &due, error);
}

static ez_status each_due(void *db, ez_sync_due_fn *each, void *user, ez_error *error) {
    ez_pg_params none = {0};
    reading run = {.each = each, .user = user};
    ez_pg_stream query = {.text = ez_sql_each_sync_due, .params = &none, .row = take_due, .user = &run};
    return ez_pg_stream_run(&((ez_pg *)db)->logs, &query, error);
}

typedef struct writing {
    const ez_sync_write *write;
    bool is_fenced;
} writing;

static ez_status push_state(ez_pg_attempt *try, const ez_sync_state *state, ez_error *error) {
    ez_pg_params params = {0};
    ez_pg_put_int(&params, (int64_t)state->epoch);
    ez_pg_put_int(&params, (int64_t)state->n);
    ez_pg_put_int(&params, (int64_t)state->fence);
    ez_pg_put_text(&params, state->state);
    ez_pg_put_text(&params, state->server);
    ez_pg_put_int(&params, (int64_t)state->rebuilds);
    ez_pg_put_int(&params, (int64_t)state->retries);
    ez_pg_put_int(&params, state->rebuilt_ns);
    ez_pg_put_text(&params, state->error);
    ez_pg_put_int(&params, state->error_ns);
    ez_pg_put_int(&params, state->updated_ns);
    return ez_pg_push(try, ez_sql_write_sync, &params, error);
}

static ez_status push_deletes(ez_pg_attempt *try, const ez_sync_write *write, ez_error *error) {
    ez_pg_params none = {0};
    if (write->clears)
        return ez_pg_push(try, "DELETE FROM redis_due", &none, error);
    ez_status status = EZ_OK;
    for (size_t i = 0; !status && i < write->delete_count; i++) {
        ez_pg_params params = {0};
        ez_pg_put_int(&params, write->deletes[i].kind);
        ez_pg_put_int(&params, write->deletes[i].id);
        status = ez_pg_push(try, ez_sql_delete_sync_due, &params, error);
    }
    return status;
}

static ez_status push_puts(ez_pg_attempt *try, const ez_sync_write *write, ez_error *error) {
    ez_status status = EZ_OK;
    for (size_t i = 0; !status && i < write->put_count; i++) {
        const ez_sync_due *due = &write->puts[i];
        ez_pg_params params = {0};
        ez_pg_put_int(&params, due->kind);
        ez_pg_put_int(&params, due->id);
        ez_pg_put_int(&params, (int64_t)due->n);
        ez_pg_put_bytes(&params, due->place.len ? (const void *)due->place.data : "", due->place.len);
        ez_pg_put_int(&params, due->tries);
        ez_pg_put_int(&params, due->since_ns);
        ez_pg_put_int(&params, due->next_ns);
        ez_pg_put_int(&params, due->is_parked);
        ez_pg_put_text(&params, due->error);
        status = ez_pg_push(try, ez_sql_put_sync_due, &params, error);
    }
    return status;
}

// Statements 0 and 1 are ez_pg_begin's; the first of ours is the state.
static ez_status look(void *user, unsigned at, const PGresult *result, ez_error *error) {
    writing *run = user;
    if (at != 2 || strtoll(PQcmdTuples((PGresult *)(uintptr_t)result), NULL, 10) > 0)
        return EZ_OK;
    run->is_fenced = true;
    return ez_sql_fenced(error);
}

static ez_status work(void *user, ez_pg_attempt *try, ez_error *error) {
    writing *run = user;
    ez_status status = ez_pg_begin(try, error);
    if (!status)
        status = push_state(try, run->write->state, error);
    if (!status)
        status = push_deletes(try, run->write, error);
    if (!status)
        status = push_puts(try, run->write, error);
    return status ? status : ez_pg_collect(try, look, run, error);
}

static ez_status write(void *db, const ez_sync_write *write, ez_error *error) {
    writing run = {.write = write};
    bool is_unknown = false;
    return ez_pg_transact(&((ez_pg *)db)->logs, work, &run, "how far Redis is: it is written again", &is_unknown,
                          error);
}

const ez_sync_ops ez_sync_postgres = {.read = read, .each_due = each_due, .write = write};
