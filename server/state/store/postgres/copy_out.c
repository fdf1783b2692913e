// SPDX-License-Identifier: Apache-2.0
//
// The form: a header with the first row, each row a count of columns and for each column a length and its bytes, a
// count of -1 at the end (PostgreSQL's documentation of COPY, "Binary Format"). libpq gives a row at a time.
#include "server/state/store/postgres/copy_out.h"

#include <endian.h>
#include <string.h>

#include "proto/runtime/clock.h"

#define HEADER_BYTES 19 // signature, flags, and the length of an extension, which is none
#define NUMBER_BYTES 8

static const char signature[11] = "PGCOPY\n\377\r\n";

typedef struct rows {
    const ez_pg_copy_out *run;
    bool has_begun; // the header was read
} rows;

static ez_status is_strange(ez_error *error) {
    return ez_error_set(error, EZ_INTERNAL, "STORE_STRANGE_ROW", "PostgreSQL sent a row that was not asked for");
}

static bool read_header(rows *it, const char **at, const char *end) {
    if (it->has_begun)
        return true;
    if (end - *at < HEADER_BYTES || memcmp(*at, signature, sizeof signature) != 0)
        return false;
    *at += HEADER_BYTES;
    it->has_begun = true;
    return true;
}

static bool read_number(const char **at, const char *end, int64_t *out) {
    uint32_t len;
    uint64_t bits;
    if (end - *at < (ptrdiff_t)(sizeof len + sizeof bits))
        return false;
    memcpy(&len, *at, sizeof len);
    memcpy(&bits, *at + sizeof len, sizeof bits);
    *at += sizeof len + sizeof bits;
    *out = (int64_t)be64toh(bits);
    return be32toh(len) == NUMBER_BYTES;
}

static ez_status take(rows *it, const char *at, size_t len, ez_error *error) {
    const char *end = at + len;
    uint16_t count;
    if (!read_header(it, &at, end))
        return is_strange(error);
    if (at == end) // the header may come alone
        return EZ_OK;
    if (end - at < (ptrdiff_t)sizeof count)
        return is_strange(error);
    memcpy(&count, at, sizeof count);
    at += sizeof count;
    if (be16toh(count) == UINT16_MAX)
        return EZ_OK;
    int64_t numbers[EZ_PG_COPY_COLUMNS_MAX];
    bool is_well = be16toh(count) == it->run->columns;
    for (int i = 0; is_well && i < it->run->columns; i++)
        is_well = read_number(&at, end, &numbers[i]);
    return is_well && at == end ? it->run->row(it->run->user, numbers, error) : is_strange(error);
}

static ez_status take_all(ez_pg_conn *conn, rows *it, uint64_t deadline, ez_error *error) {
    for (;;) {
        char *row = NULL;
        int len = PQgetCopyData(conn->pg, &row, 1);
        if (len < 0)
            return EZ_OK; // its end, which ez_pg_next tells
        ez_status status = len == 0 ? ez_pg_take_in(conn, deadline, error) : take(it, row, (size_t)len, error);
        PQfreemem(row);
        if (status) {
            ez_pg_drop(conn);
            return status;
        }
    }
}

// What the statement says at its beginning and at its end.
static ez_status expect(ez_pg_conn *conn, ExecStatusType what, uint64_t deadline, ez_error *error) {
    ez_pg_autoclear PGresult *result = NULL;
    ez_status status = ez_pg_next(conn, deadline, &result, error);
    return status || PQresultStatus(result) == what ? status : ez_pg_fail(conn, result, error);
}

ez_status ez_pg_copy_out_run(ez_pg_conn *conn, const ez_pg_copy_out *run, uint64_t deadline, ez_error *error) {
    rows it = {.run = run};
    ez_status status = ez_pg_send(conn, run->text, NULL, error);
    if (!status)
        status = expect(conn, PGRES_COPY_OUT, deadline, error);
    if (!status)
        status = take_all(conn, &it, deadline, error);
    if (!status)
        status = expect(conn, PGRES_COMMAND_OK, deadline, error);
    if (!status)
        return ez_pg_drain(conn, deadline, error);
    if (conn->pg && ez_pg_drain(conn, ez_clock_mono_ms() + EZ_PG_IDLE_MS, NULL) != EZ_OK)
        ez_pg_drop(conn);
    return status;
}
