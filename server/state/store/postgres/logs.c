// SPDX-License-Identifier: Apache-2.0
//
// Log records in PostgreSQL, one transaction: log_head is locked, which lets one such transaction at a time through
// across servers, and open hours and days and the marks are read; records and bodies go in by COPY; rollups, days, the
// next id and the marks go in one pipeline; COMMIT. Rollups are merged while the server is at the COPY.
//
// Awkward: the partition of a day may be missing because nobody made it (it is made here) or because another server
// dropped it while this one believed it there (the COPY fails, and all is tried again).
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/cleanup.h"
#include "server/state/store/postgres/copy.h"
#include "server/state/store/postgres/meter.h"
#include "server/state/store/postgres/partitions.h"
#include "server/state/store/postgres/stream.h"

#define DAY_NS INT64_C(86400000000000)

const char ez_pg_lock_log_head[] =
    "SELECT next_id, minutes_from_s, hours_from_s FROM log_head WHERE one = 1 FOR UPDATE";

typedef struct add {
    ez_pg *store;
    ez_log_batch *batches;
    size_t count;
    int64_t now_ns;
    ez_marks marks;
    int64_t first_id, next_id;
    ez_rollup_places places;
    size_t batch, row; // what is merged next
    size_t updates;    // rows that UPDATEs must find
    size_t updated;    // those that they found
    int64_t only_day;  // the day of all records, or −1 where they are of several
} add;

static void add_fini(add *work) {
    ez_marks_fini(&work->marks);
    ez_open_steps_fini(&work->places.open);
}

static bool is_taken(const ez_log_batch *batch) {
    return batch->mark.outcome == EZ_MARK_TAKEN;
}

// ---- The head and the marks

static ez_status take_head(void *user, unsigned at, const PGresult *result, ez_error *error) {
    add *work = user;
    if (at == 3)
        return ez_pg_take_open(&work->places.open, result, error);
    if (at == 4)
        ez_pg_take_marks(&work->marks, result);
    if (at != 2)
        return EZ_OK;
    if (PQntuples(result) != 1)
        return ez_error_set(error, EZ_DATA_LOSS, "STORE_CORRUPT",
                            "the database %s has no log head: restore it from a backup", work->store->where);
    work->first_id = work->next_id = ez_pg_int(result, 0, 0);
    work->places.edges = (ez_rollup_edges){ez_pg_int(result, 0, 1), ez_pg_int(result, 0, 2)};
    return EZ_OK;
}

static ez_status read_head(add *work, ez_pg_attempt *try, ez_error *error) {
    ez_pg_params none = {0};
    ez_marks_clear(&work->marks);
    ez_status status = ez_pg_begin(try, error);
    if (!status)
        status = ez_pg_push(try, ez_pg_lock_log_head, &none, error);
    if (!status)
        status = ez_pg_push(try, ez_sql_open_steps, &none, error);
    if (!status)
        status = ez_pg_push_read_marks(try, EZ_STREAM_LOGS, &work->marks, error);
    if (!status)
        status = ez_pg_collect(try, take_head, work, error);
    if (status)
        return status;
    ez_marks_take(&work->marks, work->batches, work->count, sizeof *work->batches);
    ez_rollup_edges first = ez_rollup_edges_at(work->now_ns);
    ez_rollup_edges *edges = &work->places.edges;
    edges->minutes_from_s = edges->minutes_from_s ? edges->minutes_from_s : first.minutes_from_s;
    edges->hours_from_s = edges->hours_from_s ? edges->hours_from_s : first.hours_from_s;
    return EZ_OK;
}

static ez_status push_head(add *work, ez_pg_attempt *try, ez_error *error) {
    ez_pg_params params = {0};
    ez_pg_put_int(&params, work->next_id);
    ez_pg_put_int(&params, work->places.edges.minutes_from_s);
    ez_pg_put_int(&params, work->places.edges.hours_from_s);
    return ez_pg_push(try, "UPDATE log_head SET next_id = $1, minutes_from_s = $2, hours_from_s = $3 WHERE one = 1",
                      &params, error);
}

// ---- Partitions

static int compare_days(const void *left, const void *right) {
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return a < b ? -1 : a > b;
}

// The days of the records that are taken, each once; few records in a row change the day.
static ez_status ensure_partitions(add *work, ez_pg_attempt *try, size_t *rows, ez_error *error) {
    size_t made = 0, kept = 0, most = 0;
    for (size_t b = 0; b < work->count; b++)
        most += is_taken(&work->batches[b]) ? work->batches[b].row_count : 0;
    *rows = most;
    ez_autofree int64_t *days = most ? malloc(most * sizeof *days) : NULL;
    if (most && !days)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for %zu log records", most);
    for (size_t b = 0; b < work->count; b++) {
        for (size_t i = 0; is_taken(&work->batches[b]) && i < work->batches[b].row_count; i++) {
            int64_t day = work->batches[b].rows[i].time_ns / DAY_NS;
            if (made == 0 || days[made - 1] != day)
                days[made++] = day;
        }
    }
    if (made)
        qsort(days, made, sizeof *days, compare_days);
    for (size_t i = 0; i < made; i++) {
        if (kept == 0 || days[kept - 1] != days[i])
            days[kept++] = days[i];
    }
    work->only_day = kept == 1 ? days[0] : -1;
    return ez_pg_partitions_ensure(work->store->partitions, try, days, kept, error);
}

// ---- Records

static void copy_record(ez_pg_copy *copy, const ez_log_row *row, int64_t id) {
    ez_pg_copy_int(copy, row->time_ns);
    ez_pg_copy_int(copy, id);
    ez_pg_copy_int(copy, row->received_ns);
    ez_pg_copy_int(copy, row->data_plane_id);
    ez_pg_copy_bytes(copy, row->request_id);
    ez_pg_copy_int(copy, row->master_id);
    ez_pg_copy_int(copy, row->key_id);
    ez_pg_copy_bytes(copy, row->namespace);
    ez_pg_copy_bytes(copy, row->model);
    ez_pg_copy_bytes(copy, row->upstream_model);
    ez_pg_copy_int(copy, row->group_id);
    ez_pg_copy_int(copy, row->api_key_id);
    ez_pg_copy_bytes(copy, row->provider_type);
    ez_pg_copy_int(copy, row->status_code);
    ez_pg_copy_int(copy, row->latency_ms);
    ez_pg_copy_int(copy, row->ttft_ms);
    ez_pg_copy_int(copy, row->tokens_in);
    ez_pg_copy_int(copy, row->tokens_out);
    ez_pg_copy_int(copy, row->cached_tokens);
    ez_pg_copy_int(copy, row->reasoning_tokens);
    ez_pg_copy_int(copy, row->cost_nano_usd);
    ez_pg_copy_bytes(copy, row->client_ip);
    ez_pg_copy_int(copy, row->request_bytes);
    ez_pg_copy_int(copy, row->response_bytes);
    ez_pg_copy_bytes(copy, row->error_message);
    ez_pg_copy_int(copy, row->stream);
    ez_pg_copy_int(copy, row->body.len > 0);
}

// COPY into the partition where there is one only: that spares finding it for each row.
static ez_status start_copy(add *work, ez_pg_copy *copy, const char *table, const char *columns, ez_error *error) {
    char text[640], day[EZ_PG_DAY_MAX] = "";
    if (work->only_day >= 0)
        ez_pg_day_name(work->only_day, day);
    snprintf(text, sizeof text, "COPY %s%s%s (%s) FROM STDIN (FORMAT binary)", table, day[0] ? "_p" : "", day, columns);
    return ez_pg_copy_start(copy, text, error);
}

static ez_status send_records(add *work, ez_pg_copy *copy, ez_error *error) {
    ez_status status = start_copy(work, copy, "log_records", EZ_SQL_LOG_COLUMNS, error);
    work->next_id = work->first_id;
    for (size_t b = 0; !status && b < work->count; b++) {
        const ez_log_batch *batch = &work->batches[b];
        for (size_t i = 0; !status && is_taken(batch) && i < batch->row_count; i++) {
            status = ez_pg_copy_row(copy, EZ_SQL_LOG_COLUMN_COUNT, error);
            if (!status)
                copy_record(copy, &batch->rows[i], work->next_id++);
        }
    }
    return status ? status : ez_pg_copy_end(copy, error);
}

static bool has_bodies(const add *work) {
    for (size_t b = 0; b < work->count; b++) {
        for (size_t i = 0; is_taken(&work->batches[b]) && i < work->batches[b].row_count; i++) {
            if (work->batches[b].rows[i].body.len)
                return true;
        }
    }
    return false;
}

static ez_status send_bodies(add *work, ez_pg_copy *copy, ez_error *error) {
    ez_status status = start_copy(work, copy, "log_bodies", "time_ns, id, body", error);
    int64_t id = work->first_id;
    for (size_t b = 0; !status && b < work->count; b++) {
        const ez_log_batch *batch = &work->batches[b];
        for (size_t i = 0; !status && is_taken(batch) && i < batch->row_count; i++, id++) {
            if (batch->rows[i].body.len == 0)
                continue;
            status = ez_pg_copy_row(copy, 3, error);
            if (status)
                break;
            ez_pg_copy_int(copy, batch->rows[i].time_ns);
            ez_pg_copy_int(copy, id);
            ez_pg_copy_bytes(copy, batch->rows[i].body);
        }
    }
    return status ? status : ez_pg_copy_end(copy, error);
}

// Merges records until there are no more or the rollup is full.
static ez_status merge(add *work, ez_error *error) {
    ez_rollup *rollup = work->store->rollup;
    for (; work->batch < work->count; work->batch++, work->row = 0) {
        const ez_log_batch *batch = &work->batches[work->batch];
        for (; is_taken(batch) && work->row < batch->row_count; work->row++) {
            if (ez_rollup_is_full(rollup))
                return EZ_OK;
            ez_status status = ez_rollup_add(rollup, &batch->rows[work->row], &work->places, error);
            if (status)
                return status;
        }
    }
    return EZ_OK;
}

static ez_status copy_all(add *work, ez_pg_attempt *try, ez_error *error) {
    ez_auto(ez_pg_copy) copy;
    ez_pg_copy_init(&copy, try);
    ez_rollup_clear(work->store->rollup);
    work->batch = work->row = 0;
    ez_status status = send_records(work, &copy, error);
    if (!status)
        status = merge(work, error);
    if (!status)
        status = ez_pg_copy_finish(&copy, error);
    if (status || !has_bodies(work))
        return status;
    status = send_bodies(work, &copy, error);
    return status ? status : ez_pg_copy_finish(&copy, error);
}

static ez_status count_updates(void *user, unsigned at, const PGresult *result, ez_error *error) {
    (void)at;
    (void)error;
    add *work = user;
    PGresult *answer = (PGresult *)(uintptr_t)result; // which is only read
    if (strncmp(PQcmdStatus(answer), "UPDATE", 6) == 0)
        work->updated += strtoull(PQcmdTuples(answer), NULL, 10);
    return EZ_OK;
}

static ez_status push_all(add *work, ez_pg_attempt *try, size_t rows, ez_error *error) {
    ez_status status = ez_pg_resume(try, error);
    work->updates = rows > 0; // the head
    work->updated = 0;
    while (!status && rows) {
        status = ez_pg_push_rollups(try, work->store->rollup, &work->store->known, &work->updates, error);
        if (status || work->batch == work->count)
            break;
        status = merge(work, error);
    }
    if (!status && rows)
        status = ez_pg_push_open(try, &work->places.open, error);
    if (!status && rows)
        status = push_head(work, try, error);
    if (!status)
        status = ez_pg_push_write_marks(try, EZ_STREAM_LOGS, &work->marks, work->now_ns, error);
    if (!status)
        status = ez_pg_collect(try, count_updates, work, error);
    if (status || work->updated == work->updates)
        return status;
    try->again = true; // what was known was wrong, and is forgotten
    return ez_error_set(error, EZ_UNAVAILABLE, "STORE_CONFLICT", "rollups of PostgreSQL at %s are not as expected",
                        work->store->where);
}

static void forget_known(ez_pg *store) {
    ez_pg_partitions_forget(store->partitions);
    ez_pg_known_forget(&store->known);
}

static ez_status write_all(void *user, ez_pg_attempt *try, ez_error *error) {
    add *work = user;
    size_t rows = 0;
    ez_status status = read_head(work, try, error);
    if (!status)
        status = ensure_partitions(work, try, &rows, error);
    if (!status && rows)
        status = copy_all(work, try, error);
    if (!status)
        status = push_all(work, try, rows, error);
    if (status)
        forget_known(work->store); // what was made is rolled back, what is missing was dropped
    return status;
}

ez_status ez_pg_add_logs(void *db, ez_log_batch *batches, size_t count, int64_t now_ns, ez_error *error) {
    ez_pg *store = db;
    ez_auto(add) work = {.store = store, .batches = batches, .count = count, .now_ns = now_ns};
    work.places.now_s = now_ns / 1000000000;
    bool is_unknown = false;
    ez_status status = ez_marks_init(&work.marks, batches, count, sizeof *batches, error);
    if (!status && !store->rollup)
        status = ez_rollup_create(&store->rollup, error);
    if (!status)
        status = ez_pg_transact(&store->logs, write_all, &work, "log records: send them again, their mark tells",
                                &is_unknown, error);
    if (status)
        forget_known(store);
    return status;
}

typedef struct count_run {
    int64_t records, oldest_ns;
} count_run;

static ez_status take_count(void *user, const PGresult *row, ez_error *error) {
    (void)error;
    *(count_run *)user = (count_run){ez_pg_int(row, 0, 0), ez_pg_int(row, 0, 1)};
    return EZ_OK;
}

ez_status ez_pg_count_logs(void *db, int64_t *records, int64_t *oldest_ns, ez_error *error) {
    ez_pg_params none = {0};
    count_run run = {0};
    ez_pg_stream query = {.text = ez_sql_count_logs, .params = &none, .row = take_count, .user = &run};
    ez_status status = ez_pg_stream_run(&((ez_pg *)db)->logs, &query, error);
    if (!status) {
        *records = run.records;
        *oldest_ns = run.oldest_ns;
    }
    return status;
}
