// SPDX-License-Identifier: Apache-2.0
//
// Marks in PostgreSQL. Nothing locks a mark's row: the transactions of a stream come one after the other, across
// servers (usage.c, logs.c), which also keeps two of them from making the same new row.
#include "proto/runtime/cleanup.h"
#include "server/state/store/postgres/meter.h"

ez_status ez_pg_push_read_marks(ez_pg_attempt *try, ez_stream stream, const ez_marks *marks, ez_error *error) {
    static const char text[] = "SELECT data_plane_id, stream, epoch, sequence FROM marks WHERE (data_plane_id, stream, "
                               "epoch) IN (SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[]))";
    ez_auto(ez_pg_arrays) arrays;
    ez_pg_arrays_init(&arrays, "iii");
    for (size_t i = 0; i < marks->count; i++) {
        ez_pg_arrays_int(&arrays, marks->rows[i].data_plane_id);
        ez_pg_arrays_int(&arrays, ez_marks_stream(&marks->rows[i], stream));
        ez_pg_arrays_int(&arrays, (int64_t)marks->rows[i].epoch);
    }
    return ez_pg_push_arrays(try, text, &arrays, error);
}

void ez_pg_take_marks(ez_marks *marks, const PGresult *result) {
    for (int i = 0; i < PQntuples(result); i++)
        ez_marks_found(marks, ez_pg_int(result, i, 0), ez_pg_int(result, i, 1), (uint64_t)ez_pg_int(result, i, 2),
                       (uint64_t)ez_pg_int(result, i, 3));
}

ez_status ez_pg_push_write_marks(ez_pg_attempt *try, ez_stream stream, const ez_marks *marks, int64_t now_ns,
                                 ez_error *error) {
    static const char text[] =
        "INSERT INTO marks (data_plane_id, stream, epoch, sequence, time_ns) "
        "SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[], $5::int8[]) "
        "ON CONFLICT (data_plane_id, stream, epoch) DO UPDATE SET sequence = excluded.sequence, time_ns = "
        "excluded.time_ns";
    ez_auto(ez_pg_arrays) arrays;
    ez_pg_arrays_init(&arrays, "iiiii");
    for (size_t i = 0; i < marks->count; i++) {
        const ez_marks_row *row = &marks->rows[i];
        if (!row->is_moved)
            continue;
        ez_pg_arrays_int(&arrays, row->data_plane_id);
        ez_pg_arrays_int(&arrays, ez_marks_stream(row, stream));
        ez_pg_arrays_int(&arrays, (int64_t)row->epoch);
        ez_pg_arrays_int(&arrays, (int64_t)row->sequence);
        ez_pg_arrays_int(&arrays, now_ns);
    }
    return ez_pg_push_arrays(try, text, &arrays, error);
}
