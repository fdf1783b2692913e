// SPDX-License-Identifier: Apache-2.0
//
// From SQLSTATE to ez_status. Only the primary message is passed on: the detail quotes rows. Awkward: the words a
// server ends a connection with come as an ordinary result; the connection is dropped here, so that callers see one
// thing only: conn->pg is NULL.
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "server/state/store/postgres/db.h"

static const struct meaning {
    const char *state; // the beginning of SQLSTATE
    ez_status status;
    const char *reason, *advice;
} meanings[] = {
    {"40", EZ_UNAVAILABLE, "STORE_CONFLICT", "another transaction was in the way; try again"},
    {"55P03", EZ_UNAVAILABLE, "STORE_BUSY", "another transaction holds the lock; try again"},
    {"57014", EZ_UNAVAILABLE, "STORE_BUSY", "it took too long; try again"},
    {"25P03", EZ_UNAVAILABLE, "STORE_BUSY", "it took too long; try again"},
    {"53100", EZ_RESOURCE_EXHAUSTED, "DISK_FULL", "nothing was written; free space on the server's disk"},
    {"53300", EZ_UNAVAILABLE, "STORE_UNREACHABLE", "raise its max_connections or lower the number of readers"},
    {"53", EZ_RESOURCE_EXHAUSTED, "STORE_EXHAUSTED", "nothing was written; see the server's log"},
    {"54", EZ_RESOURCE_EXHAUSTED, "STORE_EXHAUSTED", "nothing was written; split the change"},
    {"08", EZ_UNAVAILABLE, "STORE_UNREACHABLE", "check that it runs"},
    {"57P", EZ_UNAVAILABLE, "STORE_UNREACHABLE", "check that it runs"},
    {"25006", EZ_UNAVAILABLE, "STORE_READ_ONLY", "this is a standby; EZ_STORE must reach the primary"},
    {"58", EZ_UNAVAILABLE, "STORE_IO", "check the server's disk"},
    {"XX001", EZ_DATA_LOSS, "STORE_CORRUPT", "restore it from a backup"},
    {"XX002", EZ_DATA_LOSS, "STORE_CORRUPT", "rebuild its indexes or restore it from a backup"},
    {"28", EZ_FAILED_PRECONDITION, "STORE_DENIED", "check user and password in EZ_STORE"},
    {"42501", EZ_FAILED_PRECONDITION, "STORE_DENIED", "let the user create tables in this database"},
    {"", EZ_INTERNAL, "STORE_ERROR", "see the server's log"},
};

// One line, without the line feed libpq ends its texts with.
static void one_line(const char *text, char *out, size_t size) {
    size_t len = 0;
    for (; text && *text && len + 1 < size; text++) {
        char c = *text == '\n' || *text == '\t' ? ' ' : *text;
        if (c != ' ' || (len && out[len - 1] != ' '))
            out[len++] = c;
    }
    while (len && out[len - 1] == ' ')
        len--;
    out[len] = 0;
}

bool ez_pg_is_conflict(const PGresult *result) {
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    return state && (strcmp(state, "40001") == 0 || strcmp(state, "40P01") == 0);
}

ez_status ez_pg_fail(ez_pg_conn *conn, const PGresult *result, ez_error *error) {
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (!state)
        return ez_pg_lost(conn, error);
    const struct meaning *meaning = meanings;
    while (strncmp(state, meaning->state, strlen(meaning->state)) != 0)
        meaning++;
    char text[200];
    one_line(message, text, sizeof text);
    ez_error_set(error, meaning->status, meaning->reason, "PostgreSQL at %s: %s (%s): %s", conn->where, text, state,
                 meaning->advice);
    // A standby stays one for this connection: the next one may find the new primary.
    bool is_over = severity && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0);
    if (is_over || strcmp(state, "25006") == 0 || PQstatus(conn->pg) != CONNECTION_OK)
        ez_pg_drop(conn);
    return meaning->status;
}

ez_status ez_pg_lost(ez_pg_conn *conn, ez_error *error) {
    char text[240] = "no memory";
    if (conn->pg)
        one_line(PQerrorMessage(conn->pg), text, sizeof text);
    ez_pg_drop(conn);
    return ez_error_set(error, EZ_UNAVAILABLE, "STORE_UNREACHABLE",
                        "PostgreSQL at %s can't be reached (%s): check that it runs and that EZ_STORE is right",
                        conn->where, text[0] ? text : "the connection was closed");
}
