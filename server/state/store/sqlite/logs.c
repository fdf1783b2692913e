// SPDX-License-Identifier: Apache-2.0
//
// Log records in SQLite: marks, records, bodies and rollups in one immediate transaction. Ids, the edges of rollups and
// the steps that are open are read in the same transaction, so that what is placed by them can't be wrong.
//
// Awkward: slices are bound without a copy; they are let go of before the caller's memory is gone.
#include "proto/runtime/cleanup.h"
#include "server/state/store/sqlite/meter.h"

const char ez_sqlite_take_log_ids[] =
    "UPDATE log_head SET next_id = next_id + $1, minutes_from_s = CASE minutes_from_s WHEN 0 THEN $2 ELSE "
    "minutes_from_s END, hours_from_s = CASE hours_from_s WHEN 0 THEN $3 ELSE hours_from_s END WHERE one = 1 "
    "RETURNING next_id - $1, minutes_from_s, hours_from_s";
const char ez_sqlite_put_log[] =
    "INSERT INTO log_records (" EZ_SQL_LOG_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, "
    "$14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27)";
_Static_assert(EZ_SQL_LOG_COLUMN_COUNT == 27, "a parameter for each column");

typedef struct add {
    ez_sqlite_conn *conn;
    int64_t now_ns, next_id;
    ez_rollup_places places;
    sqlite3_stmt *record, *body;
    ez_rollup *rollup;
} add;

static void add_fini(add *work) {
    ez_open_steps_fini(&work->places.open);
}

static size_t count_taken(const ez_log_batch *batches, size_t count) {
    size_t rows = 0;
    for (size_t i = 0; i < count; i++)
        rows += batches[i].mark.outcome == EZ_MARK_TAKEN ? batches[i].row_count : 0;
    return rows;
}

static ez_status take_ids(add *work, size_t rows, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(work->conn, EZ_SQLITE_TAKE_LOG_IDS, &statement, error);
    if (status)
        return status;
    ez_rollup_edges edges = ez_rollup_edges_at(work->now_ns);
    sqlite3_bind_int64(statement, 1, (int64_t)rows);
    sqlite3_bind_int64(statement, 2, edges.minutes_from_s);
    sqlite3_bind_int64(statement, 3, edges.hours_from_s);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        work->next_id = sqlite3_column_int64(statement, 0);
        work->places.edges.minutes_from_s = sqlite3_column_int64(statement, 1);
        work->places.edges.hours_from_s = sqlite3_column_int64(statement, 2);
    } else {
        status = code == SQLITE_DONE ? ez_error_set(error, EZ_DATA_LOSS, "STORE_CORRUPT",
                                                    "%s has no log head: restore it from a backup", work->conn->path)
                                     : ez_sqlite_fail(work->conn, code, error);
    }
    sqlite3_reset(statement);
    return status;
}

static ez_status put_record(add *work, const ez_log_row *row, int64_t id, ez_error *error) {
    sqlite3_stmt *put = work->record;
    const int64_t numbers[][2] = {
        {1, row->time_ns},           {2, id},
        {3, row->received_ns},       {4, row->data_plane_id},
        {6, row->master_id},         {7, row->key_id},
        {11, row->group_id},         {12, row->api_key_id},
        {14, row->status_code},      {15, row->latency_ms},
        {16, row->ttft_ms},          {17, row->tokens_in},
        {18, row->tokens_out},       {19, row->cached_tokens},
        {20, row->reasoning_tokens}, {21, row->cost_nano_usd},
        {23, row->request_bytes},    {24, row->response_bytes},
        {26, row->stream},           {27, row->body.len > 0},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sqlite3_bind_int64(put, (int)numbers[i][0], numbers[i][1]);
    ez_sqlite_bind_slice(put, 5, row->request_id);
    ez_sqlite_bind_slice(put, 8, row->namespace);
    ez_sqlite_bind_slice(put, 9, row->model);
    ez_sqlite_bind_slice(put, 10, row->upstream_model);
    ez_sqlite_bind_slice(put, 13, row->provider_type);
    ez_sqlite_bind_slice(put, 22, row->client_ip);
    ez_sqlite_bind_slice(put, 25, row->error_message);
    ez_status status = ez_sqlite_run(work->conn, put, error);
    if (status || row->body.len == 0)
        return status;
    sqlite3_bind_int64(work->body, 1, row->time_ns);
    sqlite3_bind_int64(work->body, 2, id);
    ez_sqlite_bind_bytes(work->body, 3, row->body.data, row->body.len);
    return ez_sqlite_run(work->conn, work->body, error);
}

static ez_status put_batch(add *work, const ez_log_batch *batch, ez_error *error) {
    ez_status status = EZ_OK;
    for (size_t i = 0; !status && i < batch->row_count; i++) {
        status = put_record(work, &batch->rows[i], work->next_id++, error);
        if (!status)
            status = ez_rollup_add(work->rollup, &batch->rows[i], &work->places, error);
        if (!status && ez_rollup_is_full(work->rollup))
            status = ez_sqlite_add_rollups(work->conn, work->rollup, error);
    }
    return status;
}

static ez_status put_all(add *work, const ez_log_batch *batches, size_t count, ez_error *error) {
    size_t rows = count_taken(batches, count);
    if (rows == 0)
        return EZ_OK;
    ez_status status = take_ids(work, rows, error);
    if (!status)
        status = ez_sqlite_read_open(work->conn, &work->places.open, error);
    if (!status)
        status = ez_sqlite_kept(work->conn, EZ_SQLITE_PUT_LOG, &work->record, error);
    if (!status)
        status = ez_sqlite_kept(work->conn, EZ_SQLITE_PUT_LOG_BODY, &work->body, error);
    ez_rollup_clear(work->rollup);
    for (size_t i = 0; !status && i < count; i++) {
        if (batches[i].mark.outcome == EZ_MARK_TAKEN)
            status = put_batch(work, &batches[i], error);
    }
    if (!status)
        status = ez_sqlite_add_rollups(work->conn, work->rollup, error);
    return status ? status : ez_sqlite_write_open(work->conn, &work->places.open, error);
}

ez_status ez_sqlite_add_logs(void *db, ez_log_batch *batches, size_t count, int64_t now_ns, ez_error *error) {
    ez_sqlite *store = db;
    ez_auto(add) work = {.conn = &store->conn, .now_ns = now_ns, .places.now_s = now_ns / 1000000000};
    ez_auto(ez_marks) marks;
    ez_status status = ez_marks_init(&marks, batches, count, sizeof *batches, error);
    if (!status && !store->rollup)
        status = ez_rollup_create(&store->rollup, error);
    if (!status)
        status = ez_sqlite_run_kept(work.conn, EZ_SQLITE_BEGIN, error);
    if (status)
        return status;
    work.rollup = store->rollup;
    status = ez_sqlite_read_marks(work.conn, EZ_STREAM_LOGS, &marks, error);
    if (!status) {
        ez_marks_take(&marks, batches, count, sizeof *batches);
        status = put_all(&work, batches, count, error);
    }
    if (!status)
        status = ez_sqlite_write_marks(work.conn, EZ_STREAM_LOGS, &marks, now_ns, error);
    status = ez_sqlite_end(work.conn, status, error);
    ez_sqlite_forget_bindings(work.conn);
    return status;
}

ez_status ez_sqlite_count_logs(void *db, int64_t *records, int64_t *oldest_ns, ez_error *error) {
    ez_sqlite_conn *conn = &((ez_sqlite *)db)->conn;
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(conn, EZ_SQLITE_COUNT_LOGS, &statement, error);
    if (status)
        return status;
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        *records = sqlite3_column_int64(statement, 0);
        *oldest_ns = sqlite3_column_int64(statement, 1);
    } else {
        status = ez_sqlite_fail(conn, code, error);
    }
    sqlite3_reset(statement);
    return status;
}
