// SPDX-License-Identifier: Apache-2.0
//
// Writing a group to PostgreSQL: two round trips whatever its size. The first is a pipeline: BEGIN, the settings, the
// head (locked against other servers until the end, and moved by an UPDATE that finds its row only where the group was
// built on it), then the rows as arrays. The second is COMMIT, sent only when all of the first is known to be good.
//
// The audit chain is not the revision's: alerts continue it too. The entries are chained to what this server knows to
// be the newest; where that was wrong, the next attempt locks the head before it chains, which takes one round trip
// more.
//
// Awkward: where the head had moved, what follows it in the pipeline may fail on rows that are there already: the
// head's own answer is looked at first.
#include <stdio.h>
#include <string.h>

#include "ez/v1/common.pb-c.h"
#include "proto/runtime/cleanup.h"
#include "proto/runtime/clock.h"
#include "server/state/store/postgres/audits.h"
#include "server/state/store/postgres/listen.h"

typedef struct commit {
    ez_pg_attempt *try;
    ez_pg *store;
    const ez_store_commit_group *group;
    const uint32_t *latest;
    size_t latest_count;
    unsigned lock, head; // which statements lock and move the head
    ez_pg_chain_end end; // where the audit entries are chained to
    bool is_careful;     // the chain had another end than was known
    bool is_locking;     // the head is locked, and looked at, before the rest is sent
} commit;

static ez_status moved(const commit *work, ez_error *error) {
    return ez_error_set(error, EZ_ABORTED, "HEAD_MOVED", "the store is no longer at revision %llu: read its head",
                        (unsigned long long)work->group->from);
}

// The head, locked: it may have moved, or only its audit chain. Where the group was chained already, it is chained anew
// by the next attempt.
static ez_status take_lock(commit *work, const PGresult *result, ez_error *error) {
    if (PQntuples((PGresult *)(uintptr_t)result) != 1 || (uint64_t)ez_pg_int(result, 0, 0) != work->group->epoch ||
        (uint64_t)ez_pg_int(result, 0, 1) != work->group->from)
        return moved(work, error);
    bool fits = true;
    ez_status status =
        ez_pg_chain_take(&work->store->chain, work->try->conn, result, work->group->audits, &fits, &work->end, error);
    if (status || fits || work->is_locking)
        return status;
    work->is_careful = work->try->again = true;
    return ez_error_set(error, EZ_ABORTED, "AUDIT_MOVED", "another audit entry came first");
}

static ez_status look_at_lock(void *user, unsigned at, const PGresult *result, ez_error *error) {
    commit *work = user;
    ez_status status = ez_pg_check_fence(work->try, at, result, error);
    return status || at != work->lock ? status : take_lock(work, result, error);
}

// What it says of the chain is looked at with the rest, or here where the chain must be known first.
static ez_status send_lock(commit *work, ez_error *error) {
    const ez_store_commit_group *group = work->group;
    bool is_known = ez_pg_chain_known(&work->store->chain, &work->end);
    work->is_locking = work->is_careful || work->store->conn.is_held || !is_known;
    work->lock = EZ_PG_NO_STATEMENT;
    if (group->audit_count == 0)
        return EZ_OK;
    work->lock = work->try->sent;
    ez_status status = ez_pg_push_lock_head(work->try, error);
    if (!status && work->is_locking) {
        status = ez_pg_collect(work->try, look_at_lock, work, error);
        if (!status)
            status = ez_pg_resume(work->try, error);
        work->lock = work->try->fence_at = EZ_PG_NO_STATEMENT;
    }
    if (!status)
        ez_pg_chain_audits(&work->end, group->audits, group->audit_count);
    return status;
}

static ez_status send_head(commit *work, ez_error *error) {
    static const char text[] = "UPDATE feed_head SET n = $1, next_audit_id = greatest(next_audit_id, $2), "
                               "audit_hash = coalesce($3, audit_hash) WHERE one = 1 AND epoch = $4 AND n = $5";
    const ez_store_commit_group *group = work->group;
    const ez_store_audit *last = group->audit_count ? &group->audits[group->audit_count - 1] : NULL;
    ez_pg_params params = {0};
    ez_pg_put_int(&params, ez_sql_n(group->to));
    ez_pg_put_int(&params, last ? last->id + 1 : 0);
    ez_pg_put_bytes(&params, last ? last->hash : NULL, last ? EZ_SHA256_LEN : 0);
    ez_pg_put_int(&params, (int64_t)group->epoch);
    ez_pg_put_int(&params, ez_sql_n(group->from));
    work->head = work->try->sent;
    return ez_pg_push(work->try, text, &params, error);
}

static ez_status send_changes(commit *work, ez_error *error) {
    static const char text[] =
        "INSERT INTO changes (n, seq, kind, id, op, secret_version, time_ns, data, sealed) "
        "SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::int8[], $7::int8[], "
        "$8::bytea[], $9::bytea[])";
    ez_auto(ez_pg_arrays) arrays;
    ez_pg_arrays_init(&arrays, "iiiiiiibb");
    ez_status status = EZ_OK;
    for (size_t i = 0; !status && i < work->group->change_count; i++) {
        const ez_store_change *change = &work->group->changes[i];
        ez_pg_arrays_int(&arrays, ez_sql_n(change->n));
        ez_pg_arrays_int(&arrays, change->seq);
        ez_pg_arrays_int(&arrays, change->kind);
        ez_pg_arrays_int(&arrays, change->id);
        ez_pg_arrays_int(&arrays, change->op);
        ez_pg_arrays_int(&arrays, (int64_t)change->secret_version);
        ez_pg_arrays_int(&arrays, change->time_ns);
        ez_pg_arrays_bytes(&arrays, change->data.data, change->data.len);
        ez_pg_arrays_bytes(&arrays, change->sealed.data, change->sealed.len);
        status = ez_pg_push_full(work->try, text, &arrays, error);
    }
    return status ? status : ez_pg_push_arrays(work->try, text, &arrays, error);
}

// The puts and the deletions of one kind: latest[from … to).
static ez_status send_kind(commit *work, int kind, size_t from, size_t to, ez_error *error) {
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
        const ez_store_change *change = &work->group->changes[work->latest[i]];
        if (change->op == EZ__V1__OP__OP_DELETE) {
            ez_pg_arrays_int(&deletions, change->id);
            status = ez_pg_push_full(work->try, del, &deletions, error);
            continue;
        }
        ez_pg_arrays_int(&puts, change->id);
        ez_pg_arrays_int(&puts, ez_sql_n(change->n));
        ez_pg_arrays_int(&puts, (int64_t)change->secret_version);
        ez_pg_arrays_bytes(&puts, change->sealed.data, change->sealed.len);
        ez_pg_arrays_bytes(&puts, change->data.data, change->data.len);
        status = ez_pg_push_full(work->try, put, &puts, error);
    }
    if (!status)
        status = ez_pg_push_arrays(work->try, put, &puts, error);
    return status ? status : ez_pg_push_arrays(work->try, del, &deletions, error);
}

static ez_status send_resources(commit *work, ez_error *error) {
    ez_status status = EZ_OK;
    for (size_t from = 0, to; !status && from < work->latest_count; from = to) {
        int kind = work->group->changes[work->latest[from]].kind;
        for (to = from; to < work->latest_count && work->group->changes[work->latest[to]].kind == kind;)
            to++;
        status = send_kind(work, kind, from, to, error);
    }
    return status;
}

static ez_status send_audits(commit *work, ez_error *error) {
    return ez_pg_push_audits(work->try, work->group->audits, work->group->audit_count, error);
}

// One statement a record: there are as many as calls that carried a key, and the same key may come twice.
static ez_status send_idempotents(commit *work, ez_error *error) {
    static const char text[] =
        "INSERT INTO idempotency (key, request_hash, revision, time_ns, reply) VALUES ($1, $2, $3, $4, $5) "
        "ON CONFLICT (key) DO UPDATE SET request_hash = excluded.request_hash, revision = excluded.revision, "
        "time_ns = excluded.time_ns, reply = excluded.reply";
    ez_status status = EZ_OK;
    for (size_t i = 0; !status && i < work->group->idempotent_count; i++) {
        const ez_store_idempotent *record = &work->group->idempotents[i];
        ez_pg_params params = {0};
        ez_pg_put_bytes(&params, record->key, EZ_SHA256_LEN);
        ez_pg_put_bytes(&params, record->request_hash, EZ_SHA256_LEN);
        ez_pg_put_int(&params, ez_sql_n(record->revision));
        ez_pg_put_int(&params, record->time_ns);
        ez_pg_put_bytes(&params, record->reply.len ? (const void *)record->reply.data : "", record->reply.len);
        status = ez_pg_push(work->try, text, &params, error);
    }
    return status;
}

static ez_status send_counters(commit *work, ez_error *error) {
    static const char text[] =
        "INSERT INTO counters (kind, next_id) SELECT * FROM unnest($1::int8[], $2::int8[]) "
        "ON CONFLICT (kind) DO UPDATE SET next_id = greatest(counters.next_id, excluded.next_id)";
    const int64_t *next_id = work->group->next_id;
    ez_auto(ez_pg_arrays) arrays;
    ez_pg_arrays_init(&arrays, "ii");
    for (int kind = 1; next_id && kind < EZ_KIND_COUNT; kind++) {
        if (next_id[kind] == work->store->next_id[kind])
            continue; // it can only have gone up since
        ez_pg_arrays_int(&arrays, kind);
        ez_pg_arrays_int(&arrays, next_id[kind]);
    }
    return ez_pg_push_arrays(work->try, text, &arrays, error);
}

static ez_status look(void *user, unsigned at, const PGresult *result, ez_error *error) {
    commit *work = user;
    ez_status status = look_at_lock(user, at, result, error);
    if (status)
        return status;
    return at == work->head && strcmp(PQcmdTuples((PGresult *)(uintptr_t)result), "1") != 0 ? moved(work, error)
                                                                                            : EZ_OK;
}

static ez_status write_all(void *user, ez_pg_attempt *try, ez_error *error) {
    static ez_status (*const parts[])(commit *, ez_error *) = {
        send_lock, send_head, send_changes, send_resources, send_audits, send_idempotents, send_counters,
    };
    commit *work = user;
    work->try = try;
    ez_status status = ez_pg_begin(try, error);
    if (!status)
        status = ez_pg_push_fence(try, work->group->fence, error);
    for (size_t i = 0; !status && i < sizeof parts / sizeof parts[0]; i++)
        status = parts[i](work, error);
    return status ? status : ez_pg_collect(try, look, work, error);
}

ez_status ez_pg_commit(void *db, const ez_store_commit_group *group, const uint32_t *latest, size_t latest_count,
                       ez_error *error) {
    ez_pg *store = db;
    commit work = {.store = store, .group = group, .latest = latest, .latest_count = latest_count};
    char lost[96];
    bool is_unknown = false;
    snprintf(lost, sizeof lost, "revision %llu: read the head to learn whether it is there",
             (unsigned long long)group->to);
    ez_status status = ez_pg_transact(&store->conn, write_all, &work, lost, &is_unknown, error);
    store->is_unsettled = store->is_unsettled || is_unknown;
    if ((!status || is_unknown) && group->to > group->from)
        ez_pg_listener_tell(store->listener, group->to);
    ez_pg_chain_settle(&store->chain, status ? NULL : group->audits, group->audit_count);
    if (!status && group->next_id)
        memcpy(store->next_id, group->next_id, sizeof store->next_id);
    return status;
}

// ---- Holding the head over reads and a commit

static ez_status lock_head(ez_pg_attempt *try, ez_error *error) {
    ez_pg_params none = {0};
    ez_status status = ez_pg_resume(try, error);
    // What is read under the lock must be what is committed by then, whatever the database's default is.
    if (!status)
        status = ez_pg_push(try, "BEGIN ISOLATION LEVEL READ COMMITTED", &none, error);
    if (!status)
        status = ez_pg_push(try, ez_pg_settings, &none, error);
    if (!status)
        status = ez_pg_push(try, "SELECT n FROM feed_head WHERE one = 1 FOR UPDATE", &none, error);
    return status ? status : ez_pg_collect(try, NULL, NULL, error);
}

ez_status ez_pg_hold_head(void *db, ez_error *error) {
    ez_pg_conn *conn = &((ez_pg *)db)->conn;
    ez_pg_attempt try = {.conn = conn, .deadline = ez_clock_mono_ms() + EZ_PG_COMMIT_MS};
    if (conn->is_held)
        return EZ_OK;
    ez_status status = ez_pg_ready(conn, true, try.deadline, error);
    if (!status)
        status = lock_head(&try, error);
    if (status)
        ez_pg_rollback(conn);
    else
        conn->is_held = true;
    return status;
}

void ez_pg_release_head(void *db) {
    ez_pg_conn *conn = &((ez_pg *)db)->conn;
    if (conn->is_held)
        ez_pg_rollback(conn);
}
