// SPDX-License-Identifier: Apache-2.0
//
// Trying a transaction. Nothing is owned: the connection is the caller's, usable again or dropped when this returns.
//
// Awkward: the outcome of a connection that breaks. Before COMMIT was sent nothing can have happened, so the work is
// tried again; after it nobody knows, and the caller is told so (COMMIT_UNKNOWN).
#include "server/state/store/postgres/attempt.h"

#include <string.h>

#include "proto/runtime/clock.h"

#define FLUSH_BYTES 65536

ez_status ez_pg_push(ez_pg_attempt *try, const char *text, const ez_pg_params *params, ez_error *error) {
    size_t bytes = 0;
    for (int i = 0; i < params->count; i++)
        bytes += (size_t)params->lengths[i];
    ez_status status = ez_pg_send(try->conn, text, params, error);
    try->sent++;
    return status || bytes < FLUSH_BYTES ? status : ez_pg_flush(try->conn, try->deadline, error);
}

ez_status ez_pg_push_arrays(ez_pg_attempt *try, const char *text, ez_pg_arrays *arrays, ez_error *error) {
    if (arrays->rows == 0)
        return EZ_OK;
    ez_pg_params params;
    ez_status status = ez_pg_arrays_params(arrays, &params, error);
    if (!status)
        status = ez_pg_push(try, text, &params, error);
    ez_pg_arrays_clear(arrays);
    return status;
}

ez_status ez_pg_push_full(ez_pg_attempt *try, const char *text, ez_pg_arrays *arrays, ez_error *error) {
    return ez_pg_arrays_is_full(arrays) ? ez_pg_push_arrays(try, text, arrays, error) : EZ_OK;
}

ez_status ez_pg_resume(ez_pg_attempt *try, ez_error *error) {
    try->sent = 0;
    return PQenterPipelineMode(try->conn->pg) ? EZ_OK : ez_pg_lost(try->conn, error);
}

ez_status ez_pg_begin(ez_pg_attempt *try, ez_error *error) {
    ez_pg_params none = {0};
    ez_status status = ez_pg_resume(try, error);
    if (status)
        return status;
    // libpq 15 hands out the rows of a pipeline's first statement one by one where a stream was read before, as on a
    // connection that is held: one that has no rows goes first.
    if (try->conn->is_held)
        return ez_pg_push(try, "SAVEPOINT held", &none, error);
    status = ez_pg_push(try, "BEGIN", &none, error);
    return status ? status : ez_pg_push(try, ez_pg_settings, &none, error);
}

// The first failure counts; those after it only say that there was one.
static ez_status read_answers(ez_pg_attempt *try, ez_pg_answer_fn *answer, void *user, ez_error *error) {
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
        } else if (!first && answer) {
            first = answer(user, i, result, error);
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

ez_status ez_pg_collect(ez_pg_attempt *try, ez_pg_answer_fn *answer, void *user, ez_error *error) {
    ez_pg_conn *conn = try->conn;
    ez_status status = PQpipelineSync(conn->pg) ? EZ_OK : ez_pg_lost(conn, error);
    if (!status)
        status = read_answers(try, answer, user, error);
    if (conn->pg && !PQexitPipelineMode(conn->pg))
        ez_pg_drop(conn);
    if (!conn->pg && !status)
        status = ez_error_set(error, EZ_UNAVAILABLE, "STORE_UNREACHABLE", "PostgreSQL at %s was lost", conn->where);
    return status;
}

static ez_status unknown(ez_pg_attempt *try, const char *lost, bool *is_unknown, ez_error *error) {
    ez_pg_drop(try->conn);
    *is_unknown = true;
    return ez_error_set(error, EZ_UNAVAILABLE, "COMMIT_UNKNOWN", "PostgreSQL at %s was lost while committing %s",
                        try->conn->where, lost);
}

static ez_status commit(ez_pg_attempt *try, const char *lost, bool *is_unknown, ez_error *error) {
    ez_pg_conn *conn = try->conn;
    ez_pg_autoclear PGresult *result = NULL;
    conn->is_held = false;
    // From here on a lost connection no longer means that nothing happened. The commit has its own time.
    uint64_t deadline = ez_clock_mono_ms() + try->limit_ms;
    if (ez_pg_send(conn, "COMMIT", NULL, NULL) != EZ_OK || ez_pg_next(conn, deadline, &result, NULL) != EZ_OK ||
        !result)
        return unknown(try, lost, is_unknown, error);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        bool conflict = ez_pg_is_conflict(result);
        ez_status status = ez_pg_fail(conn, result, error);
        if (!conn->pg)
            return unknown(try, lost, is_unknown, error);
        try->again = conflict;
        return ez_pg_drain(conn, deadline, NULL) == EZ_OK ? status : unknown(try, lost, is_unknown, error);
    }
    bool committed = strcmp(PQcmdStatus(result), "COMMIT") == 0;
    if (ez_pg_drain(conn, deadline, NULL) != EZ_OK)
        ez_pg_drop(conn); // the answer is known all the same
    return committed ? EZ_OK
                     : ez_error_set(error, EZ_INTERNAL, "STORE_ERROR", "PostgreSQL at %s rolled the commit back",
                                    conn->where);
}

ez_status ez_pg_transact(ez_pg_conn *conn, ez_pg_work_fn *work, void *user, const char *lost, bool *is_unknown,
                         ez_error *error) {
    return ez_pg_transact_within(conn, EZ_PG_COMMIT_MS, work, user, lost, is_unknown, error);
}

ez_status ez_pg_transact_within(ez_pg_conn *conn, uint64_t limit_ms, ez_pg_work_fn *work, void *user, const char *lost,
                                bool *is_unknown, ez_error *error) {
    uint64_t deadline = ez_clock_mono_ms() + limit_ms;
    *is_unknown = false;
    for (unsigned tries = 1;; tries++) {
        ez_status status = ez_pg_ready(conn, true, deadline, error);
        if (status)
            return status;
        ez_pg_attempt try = {.conn = conn, .deadline = deadline, .limit_ms = limit_ms, .fence_at = EZ_PG_NO_STATEMENT};
        status = work(user, &try, error);
        if (!status) {
            status = commit(&try, lost, is_unknown, error);
        } else {
            try.again = try.again || (!conn->pg && status == EZ_UNAVAILABLE);
            ez_pg_rollback(conn); // a pipeline that was left half-way is dropped, and what was sent with it
        }
        if (!status || !try.again || *is_unknown || tries >= EZ_PG_ATTEMPTS || ez_clock_mono_ms() >= deadline)
            return status;
        ez_pg_pause((uint64_t)4 << (tries < 8 ? tries : 8), deadline);
    }
}
