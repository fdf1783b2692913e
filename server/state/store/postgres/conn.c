// SPDX-License-Identifier: Apache-2.0
//
// One PostgreSQL connection: made with a deadline, made again with pauses, and never waited for without a bound. libpq
// blocks without end where a server is stopped but its machine answers, so it is used non-blocking throughout, with
// poll.
//
// Awkward: a connection the server closed while it was idle looks well until it is used; ez_pg_ready reads what has
// come in, which finds most of those, and callers try again for the rest.
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/state/store/postgres/db.h"

const char ez_pg_settings[] =
    "SELECT set_config('statement_timeout', '20s', true), set_config('lock_timeout', '15s', true), "
    "set_config('idle_in_transaction_session_timeout', '5s', true), "
    "CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', true) END";

void ez_pg_init(ez_pg_conn *conn, const char *url, const char *where) {
    *conn = (ez_pg_conn){.url = url, .where = where};
}

void ez_pg_drop(ez_pg_conn *conn) {
    PQfinish(conn->pg);
    conn->pg = NULL;
    conn->is_held = false;
}

static void notice(void *user, const char *text) {
    (void)user;
    ez_log_debug("PostgreSQL says", "text", text);
}

static ez_status late(ez_pg_conn *conn, ez_error *error) {
    ez_pg_drop(conn);
    return ez_error_set(error, EZ_UNAVAILABLE, "STORE_TIMEOUT",
                        "PostgreSQL at %s did not answer in time: check its load and the network", conn->where);
}

// Waits for the socket. OK: look at it; UNAVAILABLE: too late, and the connection was dropped.
static ez_status await(ez_pg_conn *conn, short events, uint64_t deadline, ez_error *error) {
    for (;;) {
        uint64_t now = ez_clock_mono_ms();
        if (now >= deadline)
            return late(conn, error);
        uint64_t left = deadline - now;
        struct pollfd place = {.fd = PQsocket(conn->pg), .events = events};
        int ready = poll(&place, 1, left > 60000 ? 60000 : (int)left);
        if (ready > 0 || (ready < 0 && errno != EINTR))
            return EZ_OK;
    }
}

void ez_pg_pause(uint64_t ms, uint64_t deadline) {
    uint64_t now = ez_clock_mono_ms();
    if (now + ms > deadline)
        ms = deadline > now ? deadline - now : 0;
    poll(NULL, 0, (int)ms);
}

static ez_status connect_once(ez_pg_conn *conn, uint64_t deadline, ez_error *error) {
    // What comes before the URL is a default it may change, what comes after it is not.
    static const char *const keywords[] = {"application_name", "keepalives_idle",  "keepalives_interval",
                                           "keepalives_count", "tcp_user_timeout", "target_session_attrs",
                                           "dbname",           "client_encoding",  NULL};
    const char *const values[] = {"ezplaned", "10", "3", "3", "15000", "read-write", conn->url, "UTF8", NULL};
    conn->pg = PQconnectStartParams(keywords, values, 1);
    if (!conn->pg)
        return ez_pg_lost(conn, error);
    PQsetNoticeProcessor(conn->pg, notice, NULL);
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;
    while (PQstatus(conn->pg) != CONNECTION_BAD && next != PGRES_POLLING_OK && next != PGRES_POLLING_FAILED) {
        ez_status status = await(conn, next == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline, error);
        if (status)
            return status;
        next = PQconnectPoll(conn->pg);
    }
    if (PQstatus(conn->pg) != CONNECTION_OK || PQsetnonblocking(conn->pg, 1) != 0)
        return ez_pg_lost(conn, error);
    return EZ_OK;
}

// Idle, or in the transaction that is to be gone on with, and, as far as can be known, alive. Behind a pooler somebody
// else's notices may come (listen.c): nobody wants them.
static bool is_usable(ez_pg_conn *conn) {
    bool is_alive = conn->pg && PQconsumeInput(conn->pg) && PQstatus(conn->pg) == CONNECTION_OK &&
                    PQtransactionStatus(conn->pg) == (conn->is_held ? PQTRANS_INTRANS : PQTRANS_IDLE) &&
                    PQpipelineStatus(conn->pg) == PQ_PIPELINE_OFF;
    for (PGnotify *notice; is_alive && (notice = PQnotifies(conn->pg));)
        PQfreemem(notice);
    return is_alive;
}

ez_status ez_pg_ready(ez_pg_conn *conn, bool patient, uint64_t deadline, ez_error *error) {
    if (is_usable(conn))
        return EZ_OK;
    ez_pg_drop(conn);
    for (;;) {
        uint64_t now = ez_clock_mono_ms();
        if (now < conn->retry_at && !patient)
            return ez_error_set(error, EZ_UNAVAILABLE, "STORE_UNREACHABLE",
                                "PostgreSQL at %s can't be reached: check that it runs", conn->where);
        if (now < conn->retry_at)
            ez_pg_pause(conn->retry_at - now, deadline);
        now = ez_clock_mono_ms();
        uint64_t until = deadline - now > EZ_PG_CONNECT_MS && deadline > now ? now + EZ_PG_CONNECT_MS : deadline;
        ez_status status = connect_once(conn, until, error);
        if (!status) {
            conn->failures = 0;
            conn->retry_at = 0;
            return EZ_OK;
        }
        // Half of the pause is by chance, so that many servers don't come back at once.
        uint64_t pause = (uint64_t)EZ_PG_BACKOFF_MS << (conn->failures < 6 ? conn->failures : 6);
        pause = pause > EZ_PG_BACKOFF_MAX ? EZ_PG_BACKOFF_MAX : pause;
        conn->failures++;
        now = ez_clock_mono_ms();
        conn->retry_at = now + pause / 2 + now * 2654435761u % (pause / 2 + 1);
        if (!patient || conn->retry_at >= deadline)
            return status;
    }
}

ez_status ez_pg_flush(ez_pg_conn *conn, uint64_t deadline, ez_error *error) {
    for (int left; (left = PQflush(conn->pg)) != 0;) {
        if (left < 0)
            return ez_pg_lost(conn, error);
        // The server may be waiting for us to read before it reads on.
        ez_status status = await(conn, POLLIN | POLLOUT, deadline, error);
        if (status)
            return status;
        if (!PQconsumeInput(conn->pg))
            return ez_pg_lost(conn, error);
    }
    return EZ_OK;
}

ez_status ez_pg_take_in(ez_pg_conn *conn, uint64_t deadline, ez_error *error) {
    ez_status status = await(conn, POLLIN, deadline, error);
    return status ? status : PQconsumeInput(conn->pg) ? EZ_OK : ez_pg_lost(conn, error);
}

ez_status ez_pg_next(ez_pg_conn *conn, uint64_t deadline, PGresult **out, ez_error *error) {
    ez_status status = ez_pg_flush(conn, deadline, error);
    while (!status && PQisBusy(conn->pg))
        status = ez_pg_take_in(conn, deadline, error);
    if (!status)
        *out = PQgetResult(conn->pg);
    return status;
}

ez_status ez_pg_drain(ez_pg_conn *conn, uint64_t deadline, ez_error *error) {
    for (;;) {
        PGresult *result = NULL;
        ez_status status = ez_pg_next(conn, deadline, &result, error);
        if (status || !result)
            return status;
        PQclear(result);
    }
}

ez_status ez_pg_send(ez_pg_conn *conn, const char *text, const ez_pg_params *params, ez_error *error) {
    int sent = params ? PQsendQueryParams(conn->pg, text, params->count, params->types, params->values, params->lengths,
                                          params->formats, 1)
                      : PQsendQuery(conn->pg, text);
    return sent ? EZ_OK : ez_pg_lost(conn, error);
}

ez_status ez_pg_run(ez_pg_conn *conn, const char *text, const ez_pg_params *params, uint64_t deadline, PGresult **out,
                    ez_error *error) {
    ez_status status = ez_pg_send(conn, text, params, error);
    PGresult *kept = NULL;
    while (!status) {
        PGresult *result = NULL;
        status = ez_pg_next(conn, deadline, &result, error);
        if (status || !result)
            break;
        // Of several statements the last counts, unless one failed: nothing ran after that.
        PQclear(kept);
        kept = result;
    }
    ExecStatusType got = kept ? PQresultStatus(kept) : PGRES_FATAL_ERROR;
    if (!status && got != PGRES_COMMAND_OK && got != PGRES_TUPLES_OK)
        status = ez_pg_fail(conn, kept, error);
    if (status)
        PQclear(kept);
    else
        *out = kept;
    return status;
}

ez_status ez_pg_exec(ez_pg_conn *conn, const char *text, const ez_pg_params *params, uint64_t deadline,
                     ez_error *error) {
    PGresult *result = NULL;
    ez_status status = ez_pg_run(conn, text, params, deadline, &result, error);
    if (!status)
        PQclear(result);
    return status;
}

void ez_pg_rollback(ez_pg_conn *conn) {
    conn->is_held = false;
    if (!conn->pg)
        return;
    if (PQtransactionStatus(conn->pg) == PQTRANS_IDLE && PQpipelineStatus(conn->pg) == PQ_PIPELINE_OFF)
        return;
    if (PQpipelineStatus(conn->pg) != PQ_PIPELINE_OFF ||
        ez_pg_exec(conn, "ROLLBACK", NULL, ez_clock_mono_ms() + EZ_PG_CONNECT_MS, NULL) != EZ_OK)
        ez_pg_drop(conn);
}
