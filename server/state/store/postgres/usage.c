// SPDX-License-Identifier: Apache-2.0
//
// Usage counters in PostgreSQL. One transaction, three round trips: the lock and the marks; one UPDATE … FROM unnest
// for each table (10,000 rows at most each), which returns the new totals, and the marks; COMMIT. Rows that are not
// there yet, which the UPDATE did not return, are inserted in one more.
//
// Awkward: an UPDATE that joins a list locks rows in whatever order the plan has, so two servers could wait for each
// other crosswise, and a mark that has no row yet can't be locked. An advisory lock of the transaction lets one flush
// at a time through, across servers; it also makes a repeat wait for the outcome of a COMMIT whose answer was lost.
#include <stdio.h>
#include <stdlib.h>

#include "proto/runtime/cleanup.h"
#include "server/state/store/postgres/meter.h"
#include "server/state/store/postgres/stream.h"
#include "server/state/store/usage.h"

#define LOCK       "7304915228360200" // beside schema.c's
#define SUMS       "requests, success, failure, tokens_in, tokens_out, quota_used, rate_limited, last_used_ns"
#define CHUNKS_MAX (EZ_USAGE_ROWS_MAX / EZ_PG_ARRAYS_ROWS + EZ_USAGE_TABLES)

// Rows merge->rows[from … to) of one table, and the statement they are in.
typedef struct chunk {
    size_t from, to;
    unsigned statement;
} chunk;

typedef struct add {
    ez_usage_batch *batches;
    size_t count;
    int64_t now_ns;
    ez_marks marks;
    ez_usage_merge merge;
    ez_usage_sums *totals; // by row of merge; last_used_ns below 0: not known
    chunk *chunks;
    size_t chunk_count;
} add;

static void add_fini(add *work) {
    ez_marks_fini(&work->marks);
    ez_usage_merge_fini(&work->merge);
    free(work->totals);
    free(work->chunks);
}

static void put_row(ez_pg_arrays *arrays, const ez_usage_row *row) {
    ez_pg_arrays_int(arrays, row->id);
    ez_pg_arrays_int(arrays, row->add.requests);
    ez_pg_arrays_int(arrays, row->add.success);
    ez_pg_arrays_int(arrays, row->add.failure);
    ez_pg_arrays_int(arrays, row->add.tokens_in);
    ez_pg_arrays_int(arrays, row->add.tokens_out);
    ez_pg_arrays_int(arrays, row->add.quota_used);
    ez_pg_arrays_int(arrays, row->add.rate_limited);
    ez_pg_arrays_int(arrays, row->add.last_used_ns);
}

static ez_usage_sums sums_at(const PGresult *result, int row) {
    return (ez_usage_sums){
        .requests = ez_pg_int(result, row, 1),
        .success = ez_pg_int(result, row, 2),
        .failure = ez_pg_int(result, row, 3),
        .tokens_in = ez_pg_int(result, row, 4),
        .tokens_out = ez_pg_int(result, row, 5),
        .quota_used = ez_pg_int(result, row, 6),
        .rate_limited = ez_pg_int(result, row, 7),
        .last_used_ns = ez_pg_int(result, row, 8),
    };
}

#define UNNEST                                                                                                         \
    "unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::int8[], $7::int8[], $8::int8[], "          \
    "$9::int8[])"
#define ADD(column) #column " = least(u." #column " + d." #column ", 4000000000000000000)"
#define SET                                                                                                            \
    ADD(requests)                                                                                                      \
    ", " ADD(success) ", " ADD(failure) ", " ADD(tokens_in) ", " ADD(tokens_out) ", " ADD(quota_used) ", " ADD(        \
        rate_limited) ", last_used_ns = greatest(u.last_used_ns, d.last_used_ns)"
#define ALL                                                                                                            \
    "u.id, u.requests, u.success, u.failure, u.tokens_in, u.tokens_out, u.quota_used, u.rate_limited, u.last_used_ns"
_Static_assert(EZ_USAGE_SUM_MAX == 4000000000000000000, "the statement's bound");

static ez_status push_update(ez_pg_attempt *try, ez_usage_table table, ez_pg_arrays *arrays, ez_error *error) {
    char text[1024];
    snprintf(text, sizeof text,
             "UPDATE %s u SET " SET " FROM " UNNEST " d (id, " SUMS ") WHERE u.id = d.id RETURNING " ALL,
             ez_usage_tables[table]);
    return ez_pg_push_arrays(try, text, arrays, error);
}

static ez_status push_insert(ez_pg_attempt *try, ez_usage_table table, ez_pg_arrays *arrays, ez_error *error) {
    char text[320];
    snprintf(text, sizeof text, "INSERT INTO %s (id, " SUMS ") SELECT * FROM " UNNEST, ez_usage_tables[table]);
    return ez_pg_push_arrays(try, text, arrays, error);
}

static ez_status take_mark_rows(void *user, unsigned at, const PGresult *result, ez_error *error) {
    (void)error;
    add *work = user;
    if (at == 3)
        ez_pg_take_marks(&work->marks, result);
    return EZ_OK;
}

static ez_status read_marks(add *work, ez_pg_attempt *try, ez_error *error) {
    ez_pg_params none = {0};
    ez_marks_clear(&work->marks);
    ez_status status = ez_pg_begin(try, error);
    if (!status)
        status = ez_pg_push(try, "SELECT pg_advisory_xact_lock(" LOCK ")", &none, error);
    if (!status)
        status = ez_pg_push_read_marks(try, EZ_STREAM_USAGE, &work->marks, error);
    if (!status)
        status = ez_pg_collect(try, take_mark_rows, work, error);
    if (!status)
        ez_marks_take(&work->marks, work->batches, work->count, sizeof *work->batches);
    return status;
}

// Merges what was taken, and room for what comes of it. Of an attempt before this one nothing stays.
static ez_status merge(add *work, ez_error *error) {
    ez_usage_merge_fini(&work->merge);
    free(work->totals);
    work->totals = NULL;
    work->chunk_count = 0;
    ez_status status = ez_usage_merge_init(&work->merge, work->batches, work->count, error);
    if (status || work->merge.count == 0)
        return status;
    if (!work->chunks)
        work->chunks = malloc(CHUNKS_MAX * sizeof *work->chunks);
    work->totals = malloc(work->merge.count * sizeof *work->totals);
    if (!work->chunks || !work->totals)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for %zu rows of usage",
                            work->merge.count);
    for (size_t i = 0; i < work->merge.count; i++)
        work->totals[i].last_used_ns = -1;
    return EZ_OK;
}

// Sends rows of one table until the arrays are full or the table ends; returns where it stopped.
static ez_status push_chunk(add *work, ez_pg_attempt *try, ez_pg_arrays *arrays, size_t from, size_t *to,
                            ez_error *error) {
    const ez_usage_row *rows = work->merge.rows;
    size_t end = from;
    while (end < work->merge.count && rows[end].table == rows[from].table && !ez_pg_arrays_is_full(arrays))
        put_row(arrays, &rows[end++]);
    work->chunks[work->chunk_count++] = (chunk){.from = from, .to = end, .statement = try->sent};
    *to = end;
    return push_update(try, rows[from].table, arrays, error);
}

static int compare_ids(const void *key, const void *member) {
    int64_t a = *(const int64_t *)key, b = ((const ez_usage_row *)member)->id;
    return a < b ? -1 : a > b;
}

static ez_status take_totals(void *user, unsigned at, const PGresult *result, ez_error *error) {
    (void)error;
    add *work = user;
    for (size_t c = 0; c < work->chunk_count; c++) {
        const chunk *one = &work->chunks[c];
        if (one->statement != at)
            continue;
        for (int i = 0; i < PQntuples(result); i++) {
            int64_t id = ez_pg_int(result, i, 0);
            const ez_usage_row *row =
                bsearch(&id, &work->merge.rows[one->from], one->to - one->from, sizeof *row, compare_ids);
            if (row)
                work->totals[row - work->merge.rows] = sums_at(result, i);
        }
    }
    return EZ_OK;
}

static ez_status update(add *work, ez_pg_attempt *try, ez_error *error) {
    ez_auto(ez_pg_arrays) arrays;
    ez_pg_arrays_init(&arrays, "iiiiiiiii");
    ez_status status = ez_pg_resume(try, error);
    for (size_t at = 0; !status && at < work->merge.count;)
        status = push_chunk(work, try, &arrays, at, &at, error);
    if (!status)
        status = ez_pg_push_write_marks(try, EZ_STREAM_USAGE, &work->marks, work->now_ns, error);
    return status ? status : ez_pg_collect(try, take_totals, work, error);
}

// What the updates did not find is new.
static ez_status insert(add *work, ez_pg_attempt *try, ez_error *error) {
    ez_auto(ez_pg_arrays) arrays;
    ez_pg_arrays_init(&arrays, "iiiiiiiii");
    const ez_usage_row *rows = work->merge.rows;
    bool any = false;
    ez_status status = EZ_OK;
    for (size_t i = 0; !status && i < work->merge.count; i++) {
        if (arrays.rows && (rows[i].table != rows[i - 1].table || ez_pg_arrays_is_full(&arrays)))
            status = push_insert(try, rows[i - 1].table, &arrays, error);
        if (status || work->totals[i].last_used_ns >= 0)
            continue;
        if (!any)
            status = ez_pg_resume(try, error);
        any = true;
        work->totals[i] = rows[i].add;
        put_row(&arrays, &rows[i]);
    }
    if (!status && arrays.rows)
        status = push_insert(try, rows[work->merge.count - 1].table, &arrays, error);
    return status || !any ? status : ez_pg_collect(try, NULL, NULL, error);
}

static ez_status write_all(void *user, ez_pg_attempt *try, ez_error *error) {
    add *work = user;
    ez_status status = read_marks(work, try, error);
    if (!status)
        status = merge(work, error);
    if (!status)
        status = update(work, try, error);
    return status ? status : insert(work, try, error);
}

ez_status ez_pg_add_usage(void *db, ez_usage_batch *batches, size_t count, int64_t now_ns, ez_usage_total_fn *total,
                          void *user, ez_error *error) {
    ez_auto(add) work = {.batches = batches, .count = count, .now_ns = now_ns};
    bool is_unknown = false;
    ez_status status = ez_marks_init(&work.marks, batches, count, sizeof *batches, error);
    if (!status)
        status = ez_pg_transact(&((ez_pg *)db)->usage, write_all, &work, "usage: send it again, its mark tells",
                                &is_unknown, error);
    for (size_t i = 0; !status && total && i < work.merge.count; i++)
        total(user, work.merge.rows[i].table, work.merge.rows[i].id, &work.totals[i]);
    return status;
}

typedef struct each_run {
    ez_usage_table table;
    ez_usage_total_fn *each;
    void *user;
} each_run;

static ez_status give_row(void *user, const PGresult *row, ez_error *error) {
    (void)error;
    each_run *run = user;
    ez_usage_sums sums = sums_at(row, 0);
    run->each(run->user, run->table, ez_pg_int(row, 0, 0), &sums);
    return EZ_OK;
}

ez_status ez_pg_each_usage(void *db, ez_usage_table table, ez_usage_total_fn *each, void *user, ez_error *error) {
    char text[160];
    ez_pg_params none = {0};
    each_run run = {.table = table, .each = each, .user = user};
    snprintf(text, sizeof text, "SELECT id, " SUMS " FROM %s", ez_usage_tables[table]);
    ez_pg_stream query = {.text = text, .params = &none, .row = give_row, .user = &run};
    return ez_pg_stream_run(&((ez_pg *)db)->usage, &query, error);
}

ez_status ez_pg_usage_since(void *db, ez_usage_table table, int64_t since_ns, int64_t after, int64_t until,
                            ez_usage_total_fn *each, void *user, ez_error *error) {
    char text[240];
    ez_pg_params params = {0};
    each_run run = {.table = table, .each = each, .user = user};
    snprintf(text, sizeof text, "SELECT id, " SUMS " FROM %s WHERE id > $1 AND id <= $2 AND last_used_ns >= $3",
             ez_usage_tables[table]);
    ez_pg_put_int(&params, after);
    ez_pg_put_int(&params, until);
    ez_pg_put_int(&params, since_ns);
    ez_pg_stream query = {.text = text, .params = &params, .row = give_row, .user = &run};
    return ez_pg_stream_run(&((ez_pg *)db)->usage, &query, error);
}
