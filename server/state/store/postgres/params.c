// SPDX-License-Identifier: Apache-2.0
//
// Values to and from PostgreSQL's binary form: integers are eight bytes, most significant first; texts and bytes are as
// they are. Nothing is owned: parameters point at the caller's bytes, slices into the result.
#include <assert.h>
#include <endian.h>
#include <string.h>

#include "server/state/store/postgres/db.h"

static void put(ez_pg_params *params, Oid type, const void *data, size_t len) {
    assert(params->count < EZ_PG_PARAMS_MAX && len <= INT32_MAX);
    int at = params->count++;
    params->types[at] = type;
    params->values[at] = data;
    params->lengths[at] = (int)len;
    params->formats[at] = 1;
}

void ez_pg_put_int(ez_pg_params *params, int64_t value) {
    uint64_t *place = &params->numbers[params->count];
    *place = htobe64((uint64_t)value);
    put(params, EZ_PG_INT8, place, sizeof *place);
}

void ez_pg_put_text(ez_pg_params *params, const char *value) {
    put(params, EZ_PG_TEXT, value, strlen(value));
}

void ez_pg_put_bytes(ez_pg_params *params, const void *data, size_t len) {
    put(params, EZ_PG_BYTEA, data, len);
}

int64_t ez_pg_int(const PGresult *result, int row, int column) {
    uint64_t number = 0;
    if (PQgetlength(result, row, column) == sizeof number)
        memcpy(&number, PQgetvalue(result, row, column), sizeof number);
    return (int64_t)be64toh(number);
}

ez_slice ez_pg_bytes(const PGresult *result, int row, int column) {
    return (ez_slice){.data = (const uint8_t *)PQgetvalue(result, row, column),
                      .len = (size_t)PQgetlength(result, row, column)};
}

ez_status ez_pg_hash(const ez_pg_conn *conn, const PGresult *result, int row, int column, uint8_t out[EZ_SHA256_LEN],
                     ez_error *error) {
    ez_slice bytes = ez_pg_bytes(result, row, column);
    if (bytes.len != EZ_SHA256_LEN)
        return ez_error_set(error, EZ_DATA_LOSS, "STORE_CORRUPT",
                            "PostgreSQL at %s holds a hash of %zu bytes: restore it from a backup", conn->where,
                            bytes.len);
    memcpy(out, bytes.data, EZ_SHA256_LEN);
    return EZ_OK;
}
