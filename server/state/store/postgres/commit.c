// SPDX-License-Identifier: Apache-2.0
//
// Writing a group to PostgreSQL: two round trips whatever its size. The first is a pipeline: BEGIN, the settings, the
// head (an UPDATE that finds its row only where the group was built on it, and holds it locked against other servers
// until the end), then the rows as arrays. The second is COMMIT, sent only when all of the first is known to be good.
//
// Awkward: the outcome of a connection that breaks. Before COMMIT was sent nothing can have happened, so the group is
// tried again; after it nobody knows, and the caller is told so (COMMIT_UNKNOWN). Where the head had moved, what
// follows it in the pipeline may fail on rows that are there already: the head's own answer is looked at first.
#include <stdio.h>
#include <string.h>

#include "ez/v1/common.pb-c.h"
#include "proto/runtime/cleanup.h"
#include "proto/runtime/clock.h"
#include "server/state/store/postgres/arrays.h"

#define FLUSH_BYTES 65536

typedef struct attempt {
    ez_pg_conn *conn;
    ez_pg *store;
    const ez_store_commit_group *group;
    const uint32_t *latest;
    size_t latest_count;
    uint64_t deadline;
    unsigned sent; // statements in the pipeline
    unsigned head; // which of them moves the head
    bool again;    // nothing was written, and another attempt may go better
} attempt;

// Small statements leave together, with the first large one or at the end of the pipeline; what is large leaves at
// once, so that libpq never holds more than one of them.
static ez_status push(attempt *try, const char *text, const ez_pg_params *params, ez_error *error) {
    size_t bytes = 0;
    for (int i = 0; i < params->count; i++)
        bytes += (size_t)params->lengths[i];
    ez_status status = ez_pg_send(try->conn, text, params, error);
    try->sent++;
    return status || bytes < FLUSH_BYTES ? status : ez_pg_flush(try->conn, try->deadline, error);
}

// Sends what the arrays hold, if anything, and empties them.
static ez_status send_arrays(attempt *try, const char *text, ez_pg_arrays *arrays, ez_error *error) {
    if (arrays->rows == 0)
        return EZ_OK;
    ez_pg_params params;
    ez_status status = ez_pg_arrays_params(arrays, &params, error);
    if (!status)
        status = push(try, text, &params, error);
    ez_pg_arrays_clear(arrays);
    return status;
}

static ez_status send_full(attempt *try, const char *text, ez_pg_arrays *arrays, ez_error *error) {
    return ez_pg_arrays_is_full(arrays) ? send_arrays(try, text, arrays, error) : EZ_OK;
}

static ez_status send_head(attempt *try, ez_error *error) {
    static const char text[] = "UPDATE feed_head SET n = $1, next_audit_id = greatest(next_audit_id, $2), "
                               "audit_hash = coalesce($3, audit_hash) WHERE one = 1 AND epoch = $4 AND n = $5";
    const ez_store_commit_group *group = try->group;
    const ez_store_audit *last = group->audit_count ? &group->audits[group->audit_count - 1] : NULL;
    ez_pg_params params = {0};
    ez_pg_put_int(&params, ez_sql_n(group->to));
    ez_pg_put_int(&params, last ? last->id + 1 : 0);
    ez_pg_put_bytes(&params, last ? last->hash : NULL, last ? EZ_SHA256_LEN : 0);
    ez_pg_put_int(&params, (int64_t)group->epoch);
    ez_pg_put_int(&params, ez_sql_n(group->from));
    try->head = try->sent;
    return push(try, text, &params, error);
}

static ez_status send_changes(attempt *try, ez_error *error) {
    static const char text[] =
        "INSERT INTO changes (n, seq, kind, id, op, secret_version, time_ns, data, sealed) "
        "SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::int8[], $7::int8[], "
        "$8::bytea[], $9::bytea[])";
    ez_auto(ez_pg_arrays) arrays;
    ez_pg_arrays_init(&arrays, "iiiiiiibb");
    ez_status status = EZ_OK;
    for (size_t i = 0; !status && i < try->group->change_count; i++) {
        const ez_store_change *change = &try->group->changes[i];
        ez_pg_arrays_int(&arrays, ez_sql_n(change->n));
        ez_pg_arrays_int(&arrays, change->seq);
        ez_pg_arrays_int(&arrays, change->kind);
        ez_pg_arrays_int(&arrays, change->id);
        ez_pg_arrays_int(&arrays, change->op);
        ez_pg_arrays_int(&arrays, (int64_t)change->secret_version);
        ez_pg_arrays_int(&arrays, change->time_ns);
        ez_pg_arrays_bytes(&arrays, change->data.data, change->data.len);
        ez_pg_arrays_bytes(&arrays, change->sealed.data, change->sealed.len);
        status = send_full(try, text, &arrays, error);
    }
    return status ? status : send_arrays(try, text, &arrays, error);
}

// The puts and the deletions of one kind: latest[from … to).
static ez_status send_kind(attempt *try, int kind, size_t from, size_t to, ez_error *error) {
    char put[384], del[96];
    snprintf(put, sizeof put,
             "INSERT INTO %s (id, revision, secret_version, sealed, data) "
             "SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::bytea[], $5::bytea[]) "
             "ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, secret_version = excluded.secret_version, "
             "sealed = excluded.sealed, data = excluded.data",
             ez_sql_table(kind));
    snprintf(del, sizeof del, "DELETE FROM %s WHERE id = ANY ($1::int8[])", ez_sql_table(kind));
    ez_auto(ez_pg_arrays) puts;
    ez_auto(ez_pg_arrays) deletions;
    ez_pg_arrays_init(&puts, "iiibb");
    ez_pg_arrays_init(&deletions, "i");
    ez_status status = EZ_OK;
    for (size_t i = from; !status && i < to; i++) {
        const ez_store_change *change = &try->group->changes[try->latest[i]];
        if (change->op == EZ__V1__OP__OP_DELETE) {
            ez_pg_arrays_int(&deletions, change->id);
            status = send_full(try, del, &deletions, error);
            continue;
        }
        ez_pg_arrays_int(&puts, change->id);
        ez_pg_arrays_int(&puts, ez_sql_n(change->n));
        ez_pg_arrays_int(&puts, (int64_t)change->secret_version);
        ez_pg_arrays_bytes(&puts, change->sealed.data, change->sealed.len);
        ez_pg_arrays_bytes(&puts, change->data.data, change->data.len);
        status = send_full(try, put, &puts, error);
    }
    if (!status)
        status = send_arrays(try, put, &puts, error);
    return status ? status : send_arrays(try, del, &deletions, error);
}

static ez_status send_resources(attempt *try, ez_error *error) {
    ez_status status = EZ_OK;
    for (size_t from = 0, to; !status && from < try->latest_count; from = to) {
        int kind = try->group->changes[try->latest[from]].kind;
        for (to = from; to < try->latest_count && try->group->changes[try->latest[to]].kind == kind;)
            to++;
        status = send_kind(try, kind, from, to, error);
    }
    return status;
}

static ez_status send_audits(attempt *try, ez_error *error) {
    static const char text[] =
        "INSERT INTO audit (id, time_ns, revision, actor, method, resource, request, request_id, remote, "
        "previous_hash, hash) SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::text[], $5::text[], "
        "$6::text[], $7::text[], $8::text[], $9::text[], $10::bytea[], $11::bytea[])";
    ez_auto(ez_pg_arrays) arrays;
    ez_pg_arrays_init(&arrays, "iiittttttbb");
    ez_status status = EZ_OK;
    for (size_t i = 0; !status && i < try->group->audit_count; i++) {
        const ez_store_audit *audit = &try->group->audits[i];
        ez_pg_arrays_int(&arrays, audit->id);
        ez_pg_arrays_int(&arrays, audit->time_ns);
        ez_pg_arrays_int(&arrays, ez_sql_n(audit->revision));
        ez_pg_arrays_text(&arrays, audit->actor);
        ez_pg_arrays_text(&arrays, audit->method);
        ez_pg_arrays_text(&arrays, audit->resource);
        ez_pg_arrays_text(&arrays, audit->request);
        ez_pg_arrays_text(&arrays, audit->request_id);
        ez_pg_arrays_text(&arrays, audit->remote);
        ez_pg_arrays_bytes(&arrays, audit->previous_hash, EZ_SHA256_LEN);
        ez_pg_arrays_bytes(&arrays, audit->hash, EZ_SHA256_LEN);
        status = send_full(try, text, &arrays, error);
    }
    return status ? status : send_arrays(try, text, &arrays, error);
}

// One statement a record: there are as many as calls that carried a key, and the same key may come twice.
static ez_status send_idempotents(attempt *try, ez_error *error) {
    static const char text[] =
        "INSERT INTO idempotency (key, request_hash, revision, time_ns, reply) VALUES ($1, $2, $3, $4, $5) "
        "ON CONFLICT (key) DO UPDATE SET request_hash = excluded.request_hash, revision = excluded.revision, "
        "time_ns = excluded.time_ns, reply = excluded.reply";
    ez_status status = EZ_OK;
    for (size_t i = 0; !status && i < try->group->idempotent_count; i++) {
        const ez_store_idempotent *record = &try->group->idempotents[i];
        ez_pg_params params = {0};
        ez_pg_put_bytes(&params, record->key, EZ_SHA256_LEN);
        ez_pg_put_bytes(&params, record->request_hash, EZ_SHA256_LEN);
        ez_pg_put_int(&params, ez_sql_n(record->revision));
        ez_pg_put_int(&params, record->time_ns);
        ez_pg_put_bytes(&params, record->reply.len ? (const void *)record->reply.data : "", record->reply.len);
        status = push(try, text, &params, error);
    }
    return status;
}

static ez_status send_counters(attempt *try, ez_error *error) {
    static const char text[] =
        "INSERT INTO counters (kind, next_id) SELECT * FROM unnest($1::int8[], $2::int8[]) "
        "ON CONFLICT (kind) DO UPDATE SET next_id = greatest(counters.next_id, excluded.next_id)";
    const int64_t *next_id = try->group->next_id;
    ez_auto(ez_pg_arrays) arrays;
    ez_pg_arrays_init(&arrays, "ii");
    for (int kind = 1; next_id && kind < EZ_KIND_COUNT; kind++) {
        if (next_id[kind] == try->store->next_id[kind])
            continue; // it can only have gone up since
        ez_pg_arrays_int(&arrays, kind);
        ez_pg_arrays_int(&arrays, next_id[kind]);
    }
    return send_arrays(try, text, &arrays, error);
}

static ez_status send_all(attempt *try, ez_error *error) {
    static ez_status (*const parts[])(attempt *, ez_error *) = {
        send_head, send_changes, send_resources, send_audits, send_idempotents, send_counters,
    };
    ez_pg_params none = {0};
    ez_status status = push(try, "BEGIN", &none, error);
    if (!status)
        status = push(try, ez_pg_settings, &none, error);
    for (size_t i = 0; !status && i < sizeof parts / sizeof parts[0]; i++)
        status = parts[i](try, error);
    return status;
}

static ez_status moved(const attempt *try, ez_error *error) {
    return ez_error_set(error, EZ_ABORTED, "HEAD_MOVED", "the store is no longer at revision %llu: read its head",
                        (unsigned long long)try->group->from);
}

// Reads one answer for each statement. The first failure counts; those after it only say that there was one.
static ez_status collect(attempt *try, ez_error *error) {
    ez_status first = EZ_OK;
    for (unsigned i = 0; i < try->sent; i++) {
        ez_pg_autoclear PGresult *result = NULL, *end = NULL;
        ez_status status = ez_pg_next(try->conn, try->deadline, &result, error);
        if (status)
            return status;
        ExecStatusType got = PQresultStatus(result);
        if (!first && got != PGRES_COMMAND_OK && got != PGRES_TUPLES_OK) {
            try->again = ez_pg_is_conflict(result);
            first = ez_pg_fail(try->conn, result, error);
        } else if (!first && i == try->head && strcmp(PQcmdTuples(result), "1") != 0) {
            first = moved(try, error);
        }
        if (!try->conn->pg)
            return first;
        status = ez_pg_next(try->conn, try->deadline, &end, first ? NULL : error);
        if (status)
            return first ? first : status;
    }
    ez_pg_autoclear PGresult *sync = NULL;
    ez_status status = ez_pg_next(try->conn, try->deadline, &sync, first ? NULL : error);
    return first ? first : status;
}

static ez_status unknown(attempt *try, ez_error *error) {
    ez_pg_drop(try->conn);
    try->store->is_unsettled = true;
    return ez_error_set(error, EZ_UNAVAILABLE, "COMMIT_UNKNOWN",
                        "PostgreSQL at %s was lost while committing revision %llu: read the head to learn whether it "
                        "is there",
                        try->conn->where, (unsigned long long)try->group->to);
}

static ez_status finish(attempt *try, ez_error *error) {
    ez_pg_conn *conn = try->conn;
    ez_pg_autoclear PGresult *result = NULL;
    // From here on a lost connection no longer means that nothing happened. The commit has its own time.
    uint64_t deadline = ez_clock_mono_ms() + EZ_PG_COMMIT_MS;
    if (ez_pg_send(conn, "COMMIT", NULL, NULL) != EZ_OK || ez_pg_next(conn, deadline, &result, NULL) != EZ_OK ||
        !result)
        return unknown(try, error);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        bool conflict = ez_pg_is_conflict(result);
        ez_status status = ez_pg_fail(conn, result, error);
        if (!conn->pg)
            return unknown(try, error);
        try->again = conflict;
        return ez_pg_drain(conn, deadline, NULL) == EZ_OK ? status : unknown(try, error);
    }
    bool committed = strcmp(PQcmdStatus(result), "COMMIT") == 0;
    if (ez_pg_drain(conn, deadline, NULL) != EZ_OK)
        ez_pg_drop(conn); // the answer is known all the same
    return committed ? EZ_OK
                     : ez_error_set(error, EZ_INTERNAL, "STORE_ERROR", "PostgreSQL at %s rolled the commit back",
                                    conn->where);
}

static ez_status run_attempt(attempt *try, ez_error *error) {
    ez_pg_conn *conn = try->conn;
    if (!PQenterPipelineMode(conn->pg))
        return ez_pg_lost(conn, error);
    ez_status status = send_all(try, error);
    if (status) {
        try->again = !conn->pg;
        ez_pg_drop(conn); // what was sent so far is rolled back by that
        return status;
    }
    if (!PQpipelineSync(conn->pg))
        status = ez_pg_lost(conn, error);
    if (!status)
        status = collect(try, error);
    if (conn->pg && !PQexitPipelineMode(conn->pg))
        ez_pg_drop(conn);
    if (!conn->pg && !status)
        status = ez_error_set(error, EZ_UNAVAILABLE, "STORE_UNREACHABLE", "PostgreSQL at %s was lost", conn->where);
    if (!status)
        return finish(try, error);
    try->again = try->again || (!conn->pg && status == EZ_UNAVAILABLE);
    ez_pg_rollback(conn);
    return status;
}

ez_status ez_pg_commit(void *db, const ez_store_commit_group *group, const uint32_t *latest, size_t latest_count,
                       ez_error *error) {
    ez_pg *store = db;
    uint64_t deadline = ez_clock_mono_ms() + EZ_PG_COMMIT_MS;
    for (unsigned tries = 1;; tries++) {
        ez_status status = ez_pg_ready(&store->conn, true, deadline, error);
        if (status)
            return status;
        attempt try = {.conn = &store->conn,
                       .store = store,
                       .group = group,
                       .latest = latest,
                       .latest_count = latest_count,
                       .deadline = deadline};
        status = run_attempt(&try, error);
        if (!status && group->next_id)
            memcpy(store->next_id, group->next_id, sizeof store->next_id);
        if (!status || !try.again || tries >= EZ_PG_ATTEMPTS || ez_clock_mono_ms() >= deadline)
            return status;
        ez_pg_pause((uint64_t)4 << (tries < 8 ? tries : 8), deadline);
    }
}
