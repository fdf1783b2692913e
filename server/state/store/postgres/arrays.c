// SPDX-License-Identifier: Apache-2.0
//
// Arrays in PostgreSQL's binary form: dimensions, a flag for NULLs, the element's type, length and lower bound, then
// each element behind its length. The header is written first with no length, which is filled in when the array is
// sent. A value that found no memory is remembered by its buffer and reported then.
#include "server/state/store/postgres/arrays.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#define HEADER     20
#define COLUMN_MAX (64u << 20)

void ez_pg_arrays_init(ez_pg_arrays *arrays, const char *columns) {
    *arrays = (ez_pg_arrays){.count = (int)strlen(columns)};
    assert(arrays->count <= EZ_PG_PARAMS_MAX);
    for (int i = 0; i < arrays->count; i++) {
        arrays->types[i] = columns[i] == 'i' ? EZ_PG_INT8 : columns[i] == 't' ? EZ_PG_TEXT : EZ_PG_BYTEA;
        ez_buf_init(&arrays->columns[i], COLUMN_MAX);
    }
}

void ez_pg_arrays_fini(ez_pg_arrays *arrays) {
    for (int i = 0; i < arrays->count; i++)
        ez_buf_fini(&arrays->columns[i]);
}

void ez_pg_arrays_clear(ez_pg_arrays *arrays) {
    for (int i = 0; i < arrays->count; i++)
        ez_buf_clear(&arrays->columns[i]);
    arrays->at = 0;
    arrays->rows = 0;
    arrays->bytes = 0;
}

static void put(ez_pg_arrays *arrays, Oid type, const void *data, size_t len) {
    static const uint8_t header[HEADER];
    ez_buf *column = &arrays->columns[arrays->at];
    assert(arrays->types[arrays->at] == type && len <= INT32_MAX);
    (void)type;
    uint32_t prefix = htobe32((uint32_t)len);
    // A refused append sets overflow, which ez_pg_arrays_params looks at.
    if (column->len == 0)
        (void)ez_buf_append(column, header, sizeof header);
    (void)ez_buf_append(column, &prefix, sizeof prefix);
    (void)ez_buf_append(column, data, len);
    arrays->bytes += len + sizeof prefix;
    if (++arrays->at == arrays->count) {
        arrays->at = 0;
        arrays->rows++;
    }
}

void ez_pg_arrays_int(ez_pg_arrays *arrays, int64_t value) {
    uint64_t number = htobe64((uint64_t)value);
    put(arrays, EZ_PG_INT8, &number, sizeof number);
}

void ez_pg_arrays_text(ez_pg_arrays *arrays, const char *value) {
    put(arrays, EZ_PG_TEXT, value ? value : "", value ? strlen(value) : 0);
}

void ez_pg_arrays_slice(ez_pg_arrays *arrays, ez_slice value) {
    put(arrays, EZ_PG_TEXT, value.len ? (const void *)value.data : "", value.len);
}

void ez_pg_arrays_bytes(ez_pg_arrays *arrays, const void *data, size_t len) {
    put(arrays, EZ_PG_BYTEA, len ? data : "", len);
}

bool ez_pg_arrays_is_full(const ez_pg_arrays *arrays) {
    return arrays->rows >= EZ_PG_ARRAYS_ROWS || arrays->bytes >= EZ_PG_ARRAYS_BYTES;
}

ez_status ez_pg_arrays_params(ez_pg_arrays *arrays, ez_pg_params *params, ez_error *error) {
    assert(arrays->rows && arrays->at == 0);
    *params = (ez_pg_params){.count = arrays->count};
    for (int i = 0; i < arrays->count; i++) {
        ez_buf *column = &arrays->columns[i];
        if (column->overflow || column->len < HEADER)
            return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for a commit of %u rows",
                                arrays->rows);
        const uint32_t header[] = {htobe32(1), 0, htobe32(arrays->types[i]), htobe32(arrays->rows), htobe32(1)};
        _Static_assert(sizeof header == HEADER, "five words");
        memcpy(column->data, header, sizeof header);
        params->types[i] = arrays->types[i] == EZ_PG_INT8   ? EZ_PG_INT8_ARRAY
                           : arrays->types[i] == EZ_PG_TEXT ? EZ_PG_TEXT_ARRAY
                                                            : EZ_PG_BYTEA_ARRAY;
        params->values[i] = (const char *)column->data;
        params->lengths[i] = (int)column->len;
        params->formats[i] = 1;
    }
    return EZ_OK;
}
