// SPDX-License-Identifier: Apache-2.0
//
// What it costs to keep usage and log records, beside the least its database could do: bench_meter flush | ingest
// sqlite:PATH | postgres://… SECONDS
// PATH must not exist, the PostgreSQL database must be empty; both are left filled. Store and bare database take turns
// with the same rows; one line of JSON with the median of the turns' ratios comes out.
//
// flush: 32 batches of 1,000 rows over 100,000 keys, durable. Bare: one UPDATE … FROM unnest, or prepared UPDATEs in
// one transaction, of the rows as they are after merging, which the bare side gets for nothing. one_by_one: a
// transaction a row. ingest: a batch of 5,000 records, with rollups. Bare: COPY, or prepared INSERTs in one
// transaction, into the same table with the same indexes, without rollups, marks or ids. 2,000 keys, chosen unevenly,
// use three models each of 20; ten groups serve two models each, with 50 API keys.
#include <endian.h>
#include <libpq-fe.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/buf.h"
#include "proto/runtime/clock.h"
#include "server/state/store/meter.h"
#include "server/state/store/sql.h"
#include "server/state/store/usage.h"

#define PLANES     32
#define ROWS       1000
#define KEYS       100000
#define RECORDS    5000
#define ROUNDS_MAX 200

static ez_store *store;
static sqlite3 *bare_sqlite;
static PGconn *bare_postgres;
static ez_usage_row usage_rows[PLANES * ROWS];
static ez_log_row records[RECORDS];

static void die(const char *what, const char *text) {
    fprintf(stderr, "bench_meter: %s: %s\n", what, text);
    exit(1);
}

static void check_postgres(PGresult *result, ExecStatusType want) {
    if (PQresultStatus(result) != want)
        die("PostgreSQL", PQerrorMessage(bare_postgres));
    PQclear(result);
}

static void run_sqlite(const char *text) {
    if (sqlite3_exec(bare_sqlite, text, NULL, NULL, NULL) != SQLITE_OK)
        die(text, sqlite3_errmsg(bare_sqlite));
}

static sqlite3_stmt *prepare_sqlite(const char *text) {
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(bare_sqlite, text, -1, &statement, NULL) != SQLITE_OK)
        die(text, sqlite3_errmsg(bare_sqlite));
    return statement;
}

static void step_sqlite(sqlite3_stmt *statement) {
    if (sqlite3_step(statement) != SQLITE_DONE)
        die("step", sqlite3_errmsg(bare_sqlite));
    sqlite3_reset(statement);
}

static double since(uint64_t start) {
    return (double)(ez_clock_mono_ns() - start) / 1e9;
}

static int compare_doubles(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

static double median(double *values, size_t count) {
    qsort(values, count, sizeof *values, compare_doubles);
    return values[count / 2];
}

static double chance(void) {
    return rand() / (RAND_MAX + 1.0);
}

// ---- The bare side: SQLite has a file of its own, with the tables as the store made them

static int copy_schema(void *user, int count, char **values, char **names) {
    (void)user;
    (void)count;
    (void)names;
    run_sqlite(values[0]);
    return 0;
}

static void open_bare_sqlite(const char *path) {
    char own[512];
    sqlite3 *made = NULL;
    snprintf(own, sizeof own, "%s.bare", path);
    if (sqlite3_open(own, &bare_sqlite) != SQLITE_OK || sqlite3_open(path, &made) != SQLITE_OK)
        die(own, "can't be opened");
    run_sqlite("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -32768; "
               "PRAGMA wal_autocheckpoint = 4000");
    if (sqlite3_exec(made,
                     "SELECT sql FROM sqlite_schema WHERE tbl_name IN ('log_records', 'key_usage') AND sql IS NOT NULL",
                     copy_schema, NULL, NULL) != SQLITE_OK)
        die("schema", sqlite3_errmsg(made));
    sqlite3_close(made);
}

static void open_both(const char *url) {
    ez_store_options options = {.url = url, .readers = 1, .connect_timeout_ms = 5000, .epoch = 1, .key_check = "bench"};
    ez_error error = EZ_ERROR_INIT;
    if (ez_store_open(&options, &store, &error) != EZ_OK)
        die("open", error.message);
    if (strncmp(url, "sqlite:", 7) == 0) {
        open_bare_sqlite(url + 7);
        return;
    }
    bare_postgres = PQconnectdb(url);
    if (PQstatus(bare_postgres) != CONNECTION_OK)
        die("connect", PQerrorMessage(bare_postgres));
}

// ---- Usage

static void ignore_total(void *user, ez_usage_table table, int64_t id, const ez_usage_sums *total) {
    (void)user;
    (void)table;
    (void)id;
    (void)total;
}

static void make_usage(void) {
    for (int i = 0; i < PLANES * ROWS; i++)
        usage_rows[i] = (ez_usage_row){.table = EZ_USAGE_KEYS,
                                       .id = 1 + rand() % KEYS,
                                       .add = {1, 1, 0, rand() % 1000, rand() % 1000, rand() % 100, 0, rand()}};
}

static void split_usage(ez_usage_batch batches[PLANES], uint64_t sequence) {
    for (size_t i = 0; i < PLANES; i++)
        batches[i] = (ez_usage_batch){.mark = {.data_plane_id = (int64_t)i + 1, .epoch = 7, .sequence = sequence},
                                      .rows = &usage_rows[i * ROWS],
                                      .row_count = ROWS};
}

static double flush_store(uint64_t sequence) {
    ez_usage_batch batches[PLANES];
    ez_error error = EZ_ERROR_INIT;
    split_usage(batches, sequence);
    uint64_t start = ez_clock_mono_ns();
    if (ez_store_add_usage(store, batches, PLANES, (int64_t)sequence, ignore_total, NULL, &error) != EZ_OK)
        die("flush", error.message);
    return since(start);
}

#define SETS                                                                                                           \
    "requests = u.requests + d.requests, success = u.success + d.success, failure = u.failure + d.failure, tokens_in " \
    "= u.tokens_in + d.tokens_in, tokens_out = u.tokens_out + d.tokens_out, quota_used = u.quota_used + "              \
    "d.quota_used, rate_limited = u.rate_limited + d.rate_limited, last_used_ns = d.last_used_ns"

static int64_t usage_value(const ez_usage_row *row, int column) {
    return column ? ((const int64_t *)&row->add)[column - 1] : row->id;
}

static void append_int(ez_buf *to, uint32_t value) {
    value = htobe32(value);
    (void)ez_buf_append(to, &value, sizeof value);
}

static double update_postgres(const ez_usage_row *rows, size_t count) {
    static const Oid types[9] = {1016, 1016, 1016, 1016, 1016, 1016, 1016, 1016, 1016};
    static const int formats[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    ez_buf arrays[9];
    const char *values[9];
    int lengths[9];
    for (int c = 0; c < 9; c++) {
        ez_buf_init(&arrays[c], 64u << 20);
        const uint32_t header[] = {1, 0, 20, (uint32_t)count, 1};
        for (int h = 0; h < 5; h++)
            append_int(&arrays[c], header[h]);
        for (size_t i = 0; i < count; i++) {
            uint64_t value = htobe64((uint64_t)usage_value(&rows[i], c));
            append_int(&arrays[c], 8);
            (void)ez_buf_append(&arrays[c], &value, sizeof value);
        }
        values[c] = (const char *)arrays[c].data;
        lengths[c] = (int)arrays[c].len;
    }
    uint64_t start = ez_clock_mono_ns();
    check_postgres(PQexecParams(bare_postgres,
                                "UPDATE key_usage u SET " SETS " FROM unnest($1::int8[], $2::int8[], $3::int8[], "
                                "$4::int8[], $5::int8[], $6::int8[], $7::int8[], $8::int8[], $9::int8[]) d (id, "
                                "requests, success, failure, tokens_in, tokens_out, quota_used, rate_limited, "
                                "last_used_ns) WHERE u.id = d.id",
                                9, types, values, lengths, formats, 1),
                   PGRES_COMMAND_OK);
    double took = since(start);
    for (int c = 0; c < 9; c++)
        ez_buf_fini(&arrays[c]);
    return took;
}

static double update_sqlite(const ez_usage_row *rows, size_t count) {
    static sqlite3_stmt *update;
    if (!update)
        update = prepare_sqlite("UPDATE key_usage SET requests = requests + ?2, success = success + ?3, failure = "
                                "failure + ?4, tokens_in = tokens_in + ?5, tokens_out = tokens_out + ?6, quota_used = "
                                "quota_used + ?7, rate_limited = rate_limited + ?8, last_used_ns = ?9 WHERE id = ?1");
    uint64_t start = ez_clock_mono_ns();
    run_sqlite("BEGIN IMMEDIATE");
    for (size_t i = 0; i < count; i++) {
        for (int c = 0; c < 9; c++)
            sqlite3_bind_int64(update, c + 1, usage_value(&rows[i], c));
        step_sqlite(update);
    }
    run_sqlite("COMMIT");
    return since(start);
}

static double flush_bare(void) {
    ez_usage_batch batches[PLANES];
    ez_usage_merge merge;
    split_usage(batches, 1);
    if (ez_usage_merge_init(&merge, batches, PLANES, NULL) != EZ_OK)
        die("merge", "no memory");
    double took = bare_sqlite ? update_sqlite(merge.rows, merge.count) : update_postgres(merge.rows, merge.count);
    ez_usage_merge_fini(&merge);
    return took;
}

// Seconds for as many rows as a round has, from a few of them.
static double flush_one_by_one(void) {
    enum { some = 300 };
    double took = 0;
    for (int i = 0; i < some; i++)
        took += bare_sqlite ? update_sqlite(&usage_rows[i], 1) : update_postgres(&usage_rows[i], 1);
    return took / some * PLANES * ROWS;
}

static void fill_usage(void) {
    static ez_usage_row rows[KEYS];
    for (int i = 0; i < KEYS; i++)
        rows[i] = (ez_usage_row){.table = EZ_USAGE_KEYS, .id = i + 1};
    ez_usage_batch batch = {.rows = rows, .row_count = KEYS};
    ez_error error = EZ_ERROR_INIT;
    if (ez_store_add_usage(store, &batch, 1, 1, NULL, NULL, &error) != EZ_OK)
        die("fill", error.message);
    if (bare_sqlite)
        run_sqlite("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) INSERT INTO "
                   "key_usage SELECT i, 0, 0, 0, 0, 0, 0, 0, 0 FROM n");
    else
        check_postgres(PQexec(bare_postgres, "VACUUM ANALYZE key_usage"), PGRES_COMMAND_OK);
}

static void bench_flush(double seconds) {
    double ratios[ROUNDS_MAX], times[ROUNDS_MAX], bares[ROUNDS_MAX];
    size_t rounds = 0;
    fill_usage();
    for (uint64_t start = ez_clock_mono_ns(); rounds < ROUNDS_MAX && (rounds < 3 || since(start) < seconds); rounds++) {
        make_usage();
        bares[rounds] = flush_bare();
        times[rounds] = flush_store(rounds + 1);
        ratios[rounds] = bares[rounds] / times[rounds];
    }
    double slow = flush_one_by_one(), took = median(times, rounds);
    printf("{\"ratio\": %.3f, \"rows_per_second\": %.0f, \"bare_rows_per_second\": %.0f, \"times_one_by_one\": %.1f, "
           "\"rounds\": %zu}\n",
           median(ratios, rounds), PLANES * ROWS / took, PLANES * ROWS / median(bares, rounds), slow / took, rounds);
}

// ---- Log records

static ez_slice text_of(const char *format, int number) {
    static char texts[8][100][32];
    static int kinds;
    static const char *formats[8];
    int kind = 0;
    while (kind < kinds && formats[kind] != format)
        kind++;
    if (kind == kinds)
        formats[kinds++] = format;
    char *text = texts[kind][number % 100];
    snprintf(text, 32, format, number % 100);
    return (ez_slice){(const uint8_t *)text, strlen(text)};
}

// now_ns moves as it would at 10,000 records a second.
static void make_records(int64_t now_ns) {
    static char ids[RECORDS][40];
    for (int i = 0; i < RECORDS; i++) {
        int key = (int)(2000 * pow(chance(), 3)), model = (key * 7 + (int)(3 * pow(chance(), 2))) % 20;
        int group = model / 2, api_key = group * 50 + (int)(50 * pow(chance(), 2));
        int length = snprintf(ids[i], sizeof ids[i], "req-%08x%08x", (unsigned)rand(), (unsigned)rand());
        records[i] = (ez_log_row){.time_ns = now_ns + i * 100000,
                                  .received_ns = now_ns,
                                  .data_plane_id = 1 + i % PLANES,
                                  .request_id = {(const uint8_t *)ids[i], (size_t)length},
                                  .master_id = 1 + key / 10,
                                  .key_id = 1 + key,
                                  .group_id = 1 + group,
                                  .api_key_id = 1 + api_key,
                                  .namespace = text_of("default", 0),
                                  .model = text_of("model-%d", model),
                                  .upstream_model = text_of("upstream-model-%d", model),
                                  .provider_type = text_of("openai", 0),
                                  .client_ip = text_of("192.168.10.%d", rand() % 100),
                                  .error_message = {0},
                                  .status_code = rand() % 50 ? 200 : 500,
                                  .latency_ms = rand() % 3000,
                                  .ttft_ms = rand() % 500,
                                  .tokens_in = rand() % 4000,
                                  .tokens_out = rand() % 1000,
                                  .cost_nano_usd = rand(),
                                  .request_bytes = rand() % 10000,
                                  .response_bytes = rand() % 10000};
    }
}

static double ingest_store(uint64_t sequence) {
    ez_log_batch batch = {
        .mark = {.data_plane_id = 1, .epoch = 7, .sequence = sequence}, .rows = records, .row_count = RECORDS};
    ez_error error = EZ_ERROR_INIT;
    uint64_t start = ez_clock_mono_ns();
    if (ez_store_add_logs(store, &batch, 1, records[0].time_ns, &error) != EZ_OK)
        die("ingest", error.message);
    return since(start);
}

// The columns in their order: a number, or a text where it has data.
typedef struct value {
    int64_t number;
    const ez_slice *text;
} value;

static void values_of(const ez_log_row *row, int64_t id, value out[EZ_SQL_LOG_COLUMN_COUNT]) {
    const value all[EZ_SQL_LOG_COLUMN_COUNT] = {
        {row->time_ns, NULL},
        {id, NULL},
        {row->received_ns, NULL},
        {row->data_plane_id, NULL},
        {0, &row->request_id},
        {row->master_id, NULL},
        {row->key_id, NULL},
        {0, &row->namespace},
        {0, &row->model},
        {0, &row->upstream_model},
        {row->group_id, NULL},
        {row->api_key_id, NULL},
        {0, &row->provider_type},
        {row->status_code, NULL},
        {row->latency_ms, NULL},
        {row->ttft_ms, NULL},
        {row->tokens_in, NULL},
        {row->tokens_out, NULL},
        {row->cached_tokens, NULL},
        {row->reasoning_tokens, NULL},
        {row->cost_nano_usd, NULL},
        {0, &row->client_ip},
        {row->request_bytes, NULL},
        {row->response_bytes, NULL},
        {0, &row->error_message},
        {row->stream, NULL},
        {0, NULL},
    };
    memcpy(out, all, sizeof all);
}

// What is made before the clock runs is not counted.
static void make_copy(ez_buf *out, int64_t first_id) {
    static const char header[19] = "PGCOPY\n\377\r\n";
    value values[EZ_SQL_LOG_COLUMN_COUNT];
    (void)ez_buf_append(out, header, sizeof header);
    for (int i = 0; i < RECORDS; i++) {
        uint16_t count = htobe16(EZ_SQL_LOG_COLUMN_COUNT);
        (void)ez_buf_append(out, &count, sizeof count);
        values_of(&records[i], first_id + i, values);
        for (int c = 0; c < EZ_SQL_LOG_COLUMN_COUNT; c++) {
            uint64_t number = htobe64((uint64_t)values[c].number);
            append_int(out, values[c].text ? (uint32_t)values[c].text->len : 8);
            if (!values[c].text)
                (void)ez_buf_append(out, &number, sizeof number);
            else if (values[c].text->len)
                (void)ez_buf_append(out, values[c].text->data, values[c].text->len);
        }
    }
    (void)ez_buf_append(out, "\xFF\xFF", 2);
    if (out->overflow)
        die("copy", "no memory");
}

static double copy_postgres(int64_t first_id) {
    ez_buf copy;
    ez_buf_init(&copy, 64u << 20);
    make_copy(&copy, first_id);
    uint64_t start = ez_clock_mono_ns();
    check_postgres(PQexec(bare_postgres, "COPY log_records (" EZ_SQL_LOG_COLUMNS ") FROM STDIN (FORMAT binary)"),
                   PGRES_COPY_IN);
    if (PQputCopyData(bare_postgres, (const char *)copy.data, (int)copy.len) != 1 ||
        PQputCopyEnd(bare_postgres, NULL) != 1)
        die("copy", PQerrorMessage(bare_postgres));
    check_postgres(PQgetResult(bare_postgres), PGRES_COMMAND_OK);
    PQclear(PQgetResult(bare_postgres));
    double took = since(start);
    ez_buf_fini(&copy);
    return took;
}

static double insert_sqlite(int64_t first_id) {
    static sqlite3_stmt *insert;
    value values[EZ_SQL_LOG_COLUMN_COUNT];
    if (!insert)
        insert =
            prepare_sqlite("INSERT INTO log_records (" EZ_SQL_LOG_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
                           "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    uint64_t start = ez_clock_mono_ns();
    run_sqlite("BEGIN IMMEDIATE");
    for (int i = 0; i < RECORDS; i++) {
        values_of(&records[i], first_id + i, values);
        for (int c = 0; c < EZ_SQL_LOG_COLUMN_COUNT; c++) {
            if (values[c].text)
                sqlite3_bind_text(insert, c + 1, values[c].text->len ? (const char *)values[c].text->data : "",
                                  (int)values[c].text->len, SQLITE_STATIC);
            else
                sqlite3_bind_int64(insert, c + 1, values[c].number);
        }
        step_sqlite(insert);
    }
    run_sqlite("COMMIT");
    return since(start);
}

static void bench_ingest(double seconds) {
    double ratios[ROUNDS_MAX], times[ROUNDS_MAX], bares[ROUNDS_MAX];
    size_t rounds = 0;
    int64_t now_ns = INT64_C(1790000000000000000);
    make_records(now_ns);
    ingest_store(1); // makes the partition
    for (uint64_t start = ez_clock_mono_ns(); rounds < ROUNDS_MAX && (rounds < 3 || since(start) < seconds); rounds++) {
        make_records(now_ns += 500000000);
        int64_t id = 1000000000 + (int64_t)rounds * RECORDS;
        bares[rounds] = bare_sqlite ? insert_sqlite(id) : copy_postgres(id);
        times[rounds] = ingest_store(rounds + 2);
        ratios[rounds] = bares[rounds] / times[rounds];
    }
    printf("{\"ratio\": %.3f, \"records_per_second\": %.0f, \"bare_records_per_second\": %.0f, \"rounds\": %zu}\n",
           median(ratios, rounds), RECORDS / median(times, rounds), RECORDS / median(bares, rounds), rounds);
}

int main(int argc, char **argv) {
    if (argc != 4)
        die("usage", "bench_meter flush|ingest sqlite:PATH|postgres://… SECONDS");
    open_both(argv[2]);
    if (strcmp(argv[1], "flush") == 0)
        bench_flush(atof(argv[3]));
    else
        bench_ingest(atof(argv[3]));
    ez_store_close(store);
    PQfinish(bare_postgres);
    return 0;
}
