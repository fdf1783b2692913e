// SPDX-License-Identifier: Apache-2.0
//
// The binary COPY format: a signature, then a count of columns and each value behind its length, a row after the other,
// then −1. Owns the piece that is being made.
//
// Awkward: a server that refuses a row says so at once and lets the client go on sending into nothing; the answer is
// read when all was sent. A connection in COPY can't be rolled back but by ending the COPY: it is dropped instead.
#include "server/state/store/postgres/copy.h"

#include <endian.h>
#include <string.h>

#define PIECE_BYTES 65536
#define PIECE_MAX   (4u << 20) // one row may go past a piece

// No such table, or no partition for a row.
static bool is_missing(const PGresult *result) {
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    return state && (strcmp(state, "42P01") == 0 || strcmp(state, "23514") == 0);
}

void ez_pg_copy_init(ez_pg_copy *copy, ez_pg_attempt *try) {
    *copy = (ez_pg_copy){.try = try};
    ez_buf_init(&copy->piece, PIECE_MAX);
}

void ez_pg_copy_fini(ez_pg_copy *copy) {
    ez_buf_fini(&copy->piece);
}

ez_status ez_pg_copy_start(ez_pg_copy *copy, const char *text, ez_error *error) {
    static const char header[19] = "PGCOPY\n\377\r\n"; // and a NUL, flags, and the length of nothing more
    ez_pg_conn *conn = copy->try->conn;
    ez_pg_autoclear PGresult *result = NULL;
    ez_buf_clear(&copy->piece);
    ez_status status = ez_pg_send(conn, text, NULL, error);
    if (!status)
        status = ez_pg_next(conn, copy->try->deadline, &result, error);
    if (!status && PQresultStatus(result) != PGRES_COPY_IN) {
        copy->try->again = ez_pg_is_conflict(result) || is_missing(result);
        status = ez_pg_fail(conn, result, error);
        if (conn->pg && ez_pg_drain(conn, copy->try->deadline, NULL) != EZ_OK)
            ez_pg_drop(conn);
        return status;
    }
    // A refused append shows when the piece is sent.
    (void)ez_buf_append(&copy->piece, header, sizeof header);
    return status;
}

static ez_status send_piece(ez_pg_copy *copy, ez_error *error) {
    ez_pg_conn *conn = copy->try->conn;
    if (copy->piece.overflow) {
        ez_pg_drop(conn);
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for log records");
    }
    int sent;
    while ((sent = PQputCopyData(conn->pg, (const char *)copy->piece.data, (int)copy->piece.len)) == 0) {
        ez_status status = ez_pg_flush(conn, copy->try->deadline, error);
        if (status)
            return status;
    }
    ez_buf_clear(&copy->piece);
    return sent < 0 ? ez_pg_lost(conn, error) : ez_pg_flush(conn, copy->try->deadline, error);
}

ez_status ez_pg_copy_row(ez_pg_copy *copy, int columns, ez_error *error) {
    uint16_t count = htobe16((uint16_t)columns);
    ez_status status = copy->piece.len >= PIECE_BYTES ? send_piece(copy, error) : EZ_OK;
    (void)ez_buf_append(&copy->piece, &count, sizeof count);
    return status;
}

void ez_pg_copy_int(ez_pg_copy *copy, int64_t value) {
    struct {
        uint32_t len;
        uint32_t high, low;
    } field = {htobe32(8), htobe32((uint32_t)((uint64_t)value >> 32)), htobe32((uint32_t)value)};
    (void)ez_buf_append(&copy->piece, &field, sizeof field);
}

void ez_pg_copy_bytes(ez_pg_copy *copy, ez_slice value) {
    uint32_t len = htobe32((uint32_t)value.len);
    (void)ez_buf_append(&copy->piece, &len, sizeof len);
    if (value.len)
        (void)ez_buf_append(&copy->piece, value.data, value.len);
}

ez_status ez_pg_copy_end(ez_pg_copy *copy, ez_error *error) {
    static const uint8_t trailer[2] = {0xFF, 0xFF};
    ez_pg_conn *conn = copy->try->conn;
    (void)ez_buf_append(&copy->piece, trailer, sizeof trailer);
    ez_status status = send_piece(copy, error);
    int sent = 0;
    while (!status && (sent = PQputCopyEnd(conn->pg, NULL)) == 0)
        status = ez_pg_flush(conn, copy->try->deadline, error);
    if (!status && sent < 0)
        status = ez_pg_lost(conn, error);
    return status ? status : ez_pg_flush(conn, copy->try->deadline, error);
}

ez_status ez_pg_copy_finish(ez_pg_copy *copy, ez_error *error) {
    ez_pg_conn *conn = copy->try->conn;
    ez_pg_autoclear PGresult *result = NULL;
    ez_status status = ez_pg_next(conn, copy->try->deadline, &result, error);
    if (status)
        return status;
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        copy->try->again = ez_pg_is_conflict(result) || is_missing(result);
        status = ez_pg_fail(conn, result, error);
    }
    if (conn->pg && ez_pg_drain(conn, copy->try->deadline, status ? NULL : error) != EZ_OK && !status)
        status = EZ_UNAVAILABLE;
    return status;
}
