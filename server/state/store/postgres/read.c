// SPDX-License-Identifier: Apache-2.0
//
// Reading from PostgreSQL, for the writer's connection and for readers: streams of rows (stream.h).
#include <stdio.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "server/state/store/postgres/audits.h"
#include "server/state/store/postgres/stream.h"

// ---- The first row alone, copied out by row

static ez_status no_head(const ez_pg_conn *conn, ez_error *error) {
    return ez_error_set(error, EZ_DATA_LOSS, "STORE_CORRUPT",
                        "the database %s has no feed head: restore it from a backup", conn->where);
}

typedef struct head_run {
    const ez_pg_conn *conn;
    ez_store_head head;
    bool found;
} head_run;

static ez_status take_head(void *user, const PGresult *row, ez_error *error) {
    head_run *run = user;
    run->found = true;
    run->head.epoch = (uint64_t)ez_pg_int(row, 0, 0);
    run->head.n = (uint64_t)ez_pg_int(row, 0, 1);
    run->head.next_audit_id = ez_pg_int(row, 0, 2);
    for (int kind = 1; kind < EZ_KIND_COUNT; kind++)
        run->head.next_id[kind] = PQgetisnull(row, 0, 3 + kind) ? 1 : ez_pg_int(row, 0, 3 + kind);
    return ez_pg_hash(run->conn, row, 0, 3, run->head.audit_hash, error);
}

typedef struct number_run {
    int64_t value;
    bool found;
} number_run;

static ez_status take_number(void *user, const PGresult *row, ez_error *error) {
    (void)error;
    *(number_run *)user = (number_run){.value = ez_pg_int(row, 0, 0), .found = true};
    return EZ_OK;
}

// Where the answer to a COMMIT was lost, the server may still be committing, and a plain read would see the head as it
// was before. The row's lock is held until it is done either way.
static ez_status settle(ez_pg *store, ez_error *error) {
    ez_pg_params none = {0};
    number_run run = {0};
    ez_pg_stream query = {.text = "SELECT one FROM feed_head WHERE one = 1 FOR SHARE",
                          .params = &none,
                          .row = take_number,
                          .user = &run,
                          .is_brief = true};
    ez_status status = ez_pg_stream_run(&store->conn, &query, error);
    if (!status)
        store->is_unsettled = false;
    return status;
}

ez_status ez_pg_read_head(void *db, ez_store_head *out, ez_error *error) {
    // One statement, so that head and counters are of one moment: another server may be committing.
    static const char text[] =
        "SELECT epoch, n, next_audit_id, audit_hash, "
        "(SELECT next_id FROM counters WHERE kind = 1), (SELECT next_id FROM counters WHERE kind = 2), "
        "(SELECT next_id FROM counters WHERE kind = 3), (SELECT next_id FROM counters WHERE kind = 4), "
        "(SELECT next_id FROM counters WHERE kind = 5), (SELECT next_id FROM counters WHERE kind = 6), "
        "(SELECT next_id FROM counters WHERE kind = 7), (SELECT next_id FROM counters WHERE kind = 8), "
        "(SELECT next_id FROM counters WHERE kind = 9), (SELECT next_id FROM counters WHERE kind = 10) "
        "FROM feed_head WHERE one = 1";
    _Static_assert(EZ_KIND_COUNT == 11, "the statement reads ten counters");
    ez_pg_conn *conn = &((ez_pg *)db)->conn;
    ez_pg_params none = {0};
    head_run run = {.conn = conn};
    // The writer looks at the head each second, and to be sure of a refusal: changes wait behind it.
    ez_pg_stream query = {.text = text, .params = &none, .row = take_head, .user = &run, .is_brief = true};
    ez_status status = ((ez_pg *)db)->is_unsettled ? settle(db, error) : EZ_OK;
    if (!status)
        status = ez_pg_stream_run(conn, &query, error);
    if (!status && !run.found)
        status = no_head(conn, error);
    if (!status) {
        ez_pg_chain_note(&((ez_pg *)db)->chain, &run.head);
        *out = run.head;
    }
    return status;
}

static ez_status oldest_change(ez_pg_conn *conn, bool is_reader, uint64_t *out, ez_error *error) {
    ez_pg_params none = {0};
    number_run run = {0};
    ez_pg_stream query = {
        .text = ez_sql_oldest_change, .params = &none, .row = take_number, .user = &run, .is_reader = is_reader};
    ez_status status = ez_pg_stream_run(conn, &query, error);
    if (!status && !run.found)
        status = no_head(conn, error);
    if (!status)
        *out = (uint64_t)run.value;
    return status;
}

ez_status ez_pg_oldest_change(void *db, uint64_t *out, ez_error *error) {
    return oldest_change(&((ez_pg *)db)->conn, false, out, error);
}

ez_status ez_pg_reader_oldest_change(void *reader, uint64_t *out, ez_error *error) {
    return oldest_change(reader, true, out, error);
}

ez_status ez_pg_reader_ping(void *reader, ez_error *error) {
    uint64_t oldest = 0;
    return oldest_change(reader, true, &oldest, error);
}

typedef struct idempotent_run {
    const ez_pg_conn *conn;
    ez_arena *arena;
    ez_store_idempotent record;
    bool found;
} idempotent_run;

static ez_status take_idempotent(void *user, const PGresult *row, ez_error *error) {
    idempotent_run *run = user;
    run->found = true;
    run->record.revision = (uint64_t)ez_pg_int(row, 0, 1);
    run->record.time_ns = ez_pg_int(row, 0, 2);
    ez_slice reply = ez_pg_bytes(row, 0, 3);
    run->record.reply = (ez_slice){.data = ez_arena_memdup(run->arena, reply.data, reply.len), .len = reply.len};
    if (!run->record.reply.data)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for the reply that is kept");
    return ez_pg_hash(run->conn, row, 0, 0, run->record.request_hash, error);
}

ez_status ez_pg_find_idempotent(void *db, const uint8_t key[EZ_SHA256_LEN], ez_arena *arena, ez_store_idempotent *out,
                                bool *found, ez_error *error) {
    ez_pg_conn *conn = &((ez_pg *)db)->conn;
    ez_pg_params params = {0};
    ez_pg_put_bytes(&params, key, EZ_SHA256_LEN);
    idempotent_run run = {.conn = conn, .arena = arena};
    memcpy(run.record.key, key, EZ_SHA256_LEN);
    // Who repeats a call with a key repeats it once more.
    ez_pg_stream query = {
        .text = ez_sql_find_idempotent, .params = &params, .row = take_idempotent, .user = &run, .is_brief = true};
    ez_status status = ez_pg_stream_run(conn, &query, error);
    if (status)
        return status;
    *found = run.found;
    if (run.found)
        *out = run.record;
    return EZ_OK;
}

// ---- Streams

typedef struct each_run {
    const ez_pg_conn *conn;
    ez_store_row_fn *row;
    ez_store_change_fn *change;
    ez_store_audit_fn *audit;
    void *user;
} each_run;

static ez_status give_row(void *user, const PGresult *row, ez_error *error) {
    each_run *run = user;
    ez_store_row resource = {
        .id = ez_pg_int(row, 0, 0),
        .revision = (uint64_t)ez_pg_int(row, 0, 1),
        .secret_version = (uint64_t)ez_pg_int(row, 0, 2),
        .data = ez_pg_bytes(row, 0, 3),
        .sealed = ez_pg_bytes(row, 0, 4),
    };
    return run->row(run->user, &resource, error);
}

ez_status ez_pg_each_row(void *db, int kind, ez_store_row_fn *each, void *user, ez_error *error) {
    char text[128];
    snprintf(text, sizeof text, "SELECT id, revision, secret_version, data, sealed FROM %s ORDER BY id",
             ez_sql_table(kind));
    ez_pg_params none = {0};
    each_run run = {.row = each, .user = user};
    ez_pg_stream query = {.text = text, .params = &none, .row = give_row, .user = &run};
    return ez_pg_stream_run(&((ez_pg *)db)->conn, &query, error);
}

static ez_status give_change(void *user, const PGresult *row, ez_error *error) {
    each_run *run = user;
    ez_store_change change = {
        .n = (uint64_t)ez_pg_int(row, 0, 0),
        .seq = (uint32_t)ez_pg_int(row, 0, 1),
        .kind = (int)ez_pg_int(row, 0, 2),
        .id = ez_pg_int(row, 0, 3),
        .op = (int)ez_pg_int(row, 0, 4),
        .secret_version = (uint64_t)ez_pg_int(row, 0, 5),
        .time_ns = ez_pg_int(row, 0, 6),
    };
    if (PQnfields(row) > 7) {
        change.data = ez_pg_bytes(row, 0, 7);
        change.sealed = ez_pg_bytes(row, 0, 8);
    }
    return run->change(run->user, &change, error);
}

ez_status ez_pg_each_change(void *db, uint64_t after, uint64_t until, size_t limit, ez_store_change_fn *each,
                            void *user, ez_error *error) {
    ez_pg_params params = {0};
    ez_pg_put_int(&params, ez_sql_n(after));
    ez_pg_put_int(&params, ez_sql_n(until));
    ez_pg_put_int(&params, limit ? ez_sql_n(limit) : INT64_MAX);
    each_run run = {.change = each, .user = user};
    ez_pg_stream query = {.text = ez_sql_each_change, .params = &params, .row = give_change, .user = &run};
    return ez_pg_stream_run(&((ez_pg *)db)->conn, &query, error);
}

ez_status ez_pg_reader_each_change(void *reader, uint64_t after_n, uint32_t after_seq, size_t limit,
                                   ez_store_change_fn *each, void *user, ez_error *error) {
    ez_pg_params params = {0};
    ez_pg_put_int(&params, ez_sql_n(after_n));
    ez_pg_put_int(&params, after_seq);
    ez_pg_put_int(&params, limit < EZ_STORE_PAGE_MAX ? (int64_t)limit : EZ_STORE_PAGE_MAX);
    each_run run = {.change = each, .user = user};
    ez_pg_stream query = {
        .text = ez_sql_page_change, .params = &params, .row = give_change, .user = &run, .is_reader = true};
    return ez_pg_stream_run(reader, &query, error);
}

static ez_status give_audit(void *user, const PGresult *row, ez_error *error) {
    each_run *run = user;
    ez_store_audit entry = {
        .id = ez_pg_int(row, 0, 0),
        .time_ns = ez_pg_int(row, 0, 1),
        .revision = (uint64_t)ez_pg_int(row, 0, 2),
        .actor = PQgetvalue(row, 0, 3),
        .method = PQgetvalue(row, 0, 4),
        .resource = PQgetvalue(row, 0, 5),
        .request = PQgetvalue(row, 0, 6),
        .request_id = PQgetvalue(row, 0, 7),
        .remote = PQgetvalue(row, 0, 8),
    };
    ez_status status = ez_pg_hash(run->conn, row, 0, 9, entry.previous_hash, error);
    if (!status)
        status = ez_pg_hash(run->conn, row, 0, 10, entry.hash, error);
    return status ? status : run->audit(run->user, &entry, error);
}

ez_status ez_pg_reader_each_audit(void *reader, const ez_audit_filter *filter, ez_store_audit_fn *each, void *user,
                                  ez_error *error) {
    ez_sql_audit built;
    ez_sql_audit_build(filter, &built);
    ez_pg_params params = {0};
    ez_pg_put_int(&params, built.before_id);
    ez_pg_put_int(&params, built.since_ns);
    ez_pg_put_int(&params, built.until_ns);
    for (unsigned i = 0; i < built.text_count; i++)
        ez_pg_put_text(&params, built.texts[i]);
    ez_pg_put_int(&params, built.limit);
    each_run run = {.conn = reader, .audit = each, .user = user};
    ez_pg_stream query = {.text = built.text, .params = &params, .row = give_audit, .user = &run, .is_reader = true};
    return ez_pg_stream_run(reader, &query, error);
}
