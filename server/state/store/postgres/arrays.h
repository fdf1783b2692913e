// SPDX-License-Identifier: Apache-2.0
//
// Rows as one array per column, in PostgreSQL's binary form: what "INSERT … SELECT * FROM unnest($1, $2, …)" takes, so
// that a thousand rows cost one statement. Values are put in the order of the columns, row after row. Bounded: send and
// clear when it says it is full. Owned by one thread.
#pragma once

#include "proto/runtime/buf.h"
#include "server/state/store/postgres/db.h"

#define EZ_PG_ARRAYS_ROWS  10000
#define EZ_PG_ARRAYS_BYTES (8u << 20) // after which it is full; the last row may go past it

typedef struct ez_pg_arrays {
    int count;                        // columns
    Oid types[EZ_PG_PARAMS_MAX];      // of the elements
    ez_buf columns[EZ_PG_PARAMS_MAX]; // header and elements
    int at;                           // the column that comes next
    uint32_t rows;
    size_t bytes;
} ez_pg_arrays;

// columns: a letter each, i an integer, t text, b bytes.
void ez_pg_arrays_init(ez_pg_arrays *arrays, const char *columns);
void ez_pg_arrays_fini(ez_pg_arrays *arrays);
void ez_pg_arrays_clear(ez_pg_arrays *arrays); // keeps the memory

void ez_pg_arrays_int(ez_pg_arrays *arrays, int64_t value);
void ez_pg_arrays_text(ez_pg_arrays *arrays, const char *value); // NULL: ""
void ez_pg_arrays_slice(ez_pg_arrays *arrays, ez_slice value);   // as text
void ez_pg_arrays_bytes(ez_pg_arrays *arrays, const void *data, size_t len);
bool ez_pg_arrays_is_full(const ez_pg_arrays *arrays);
// The arrays as parameters, which point into them. RESOURCE_EXHAUSTED where there was no memory for a value.
ez_status ez_pg_arrays_params(ez_pg_arrays *arrays, ez_pg_params *params, ez_error *error) EZ_MUST_CHECK;
