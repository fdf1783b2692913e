// SPDX-License-Identifier: Apache-2.0
//
// What a store's commit costs beside the least its database could do: bench_store sqlite:PATH | postgres://…
// PATH must not exist, the PostgreSQL database must be empty; both are left filled. For groups of 1, 32 and 1,000
// revisions it makes commits for a while through ez_store and, in turn, one bare transaction of as many rows in one
// narrow table, and prints both and their ratio; then it reads a table of 1,000,000 rows both ways.
//
// What a ratio includes: the store writes each revision three times (feed, resource, audit) with five indexes.
#include <libpq-fe.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/common.pb-c.h"
#include "proto/runtime/clock.h"
#include "server/state/store/store.h"

#define GROUP_MAX  1000
#define ROUND_NS   1500000000u
#define ROWS       1000000
#define FILL_GROUP 10000
#define DATA       200

static uint8_t data[DATA];
static ez_store_change changes[FILL_GROUP];
static ez_store_audit audits[FILL_GROUP];
static int64_t next_row = 1;

static void die(const char *what, const char *text) {
    fprintf(stderr, "bench_store: %s: %s\n", what, text);
    exit(1);
}

// ---- Through the store

// The next group on the head as it is; the audit has one entry a revision, as the writer makes it.
static void commit(ez_store *store, ez_store_head *head, int kind, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        changes[i] = (ez_store_change){.n = head->n + 1 + i,
                                       .kind = kind,
                                       .id = next_row++,
                                       .op = EZ__V1__OP__OP_PUT,
                                       .time_ns = 1,
                                       .data = {.data = data, .len = sizeof data}};
        audits[i] = (ez_store_audit){.id = head->next_audit_id + i,
                                     .revision = head->n + 1 + i,
                                     .actor = "admin:1:bench",
                                     .method = "ez.v1.Keys/Create",
                                     .resource = "key:1",
                                     .request = "{\"name\":\"a name of common length\",\"status\":\"active\"}",
                                     .request_id = "0123456789abcdef",
                                     .remote = "127.0.0.1"};
    }
    head->next_id[kind] = next_row;
    ez_store_commit_group group = {.epoch = head->epoch,
                                   .from = head->n,
                                   .to = head->n + count,
                                   .changes = changes,
                                   .change_count = count,
                                   .audits = audits,
                                   .audit_count = count,
                                   .next_id = head->next_id};
    ez_error error = EZ_ERROR_INIT;
    if (ez_store_commit(store, &group, &error) != EZ_OK)
        die("commit", error.message);
    head->n += count;
    head->next_audit_id += count;
}

static double time_store(ez_store *store, ez_store_head *head, unsigned group) {
    unsigned rounds = 0;
    uint64_t start = ez_clock_mono_ns(), now = start;
    for (; now - start < ROUND_NS; now = ez_clock_mono_ns(), rounds++)
        commit(store, head, EZ__V1__KIND__KIND_MASTER, group);
    return rounds * 1e9 / (double)(now - start);
}

static ez_status count_row(void *user, const ez_store_row *row, ez_error *error) {
    (void)error;
    *(size_t *)user += row->data.len == DATA;
    return EZ_OK;
}

static double read_store(ez_store *store) {
    size_t count = 0;
    ez_error error = EZ_ERROR_INIT;
    uint64_t start = ez_clock_mono_ns();
    if (ez_store_each_row(store, EZ__V1__KIND__KIND_KEY, count_row, &count, &error) != EZ_OK)
        die("reading", error.message);
    if (count != ROWS)
        die("reading", "not all rows came");
    return (double)(ez_clock_mono_ns() - start) / 1e9;
}

// ---- Bare

typedef struct bare {
    sqlite3 *sqlite;
    sqlite3_stmt *insert;
    PGconn *postgres;
} bare;

static void run_sqlite(bare *to, const char *text) {
    if (sqlite3_exec(to->sqlite, text, NULL, NULL, NULL) != SQLITE_OK)
        die(text, sqlite3_errmsg(to->sqlite));
}

static void run_postgres(bare *to, const char *text) {
    PGresult *result = PQexec(to->postgres, text);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        die(text, PQerrorMessage(to->postgres));
    PQclear(result);
}

static void open_bare(bare *to, const char *url) {
    static const char table[] = "CREATE TABLE bench_bare (id BIGINT PRIMARY KEY, data TEXT NOT NULL)";
    if (strncmp(url, "sqlite:", 7) == 0) {
        char path[512];
        snprintf(path, sizeof path, "%s.bare", url + 7);
        if (sqlite3_open(path, &to->sqlite) != SQLITE_OK)
            die(path, sqlite3_errmsg(to->sqlite));
        run_sqlite(to, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
        run_sqlite(to, "CREATE TABLE bench_bare (id INTEGER PRIMARY KEY, data TEXT NOT NULL)");
        sqlite3_prepare_v2(to->sqlite, "INSERT INTO bench_bare VALUES ($1, $2)", -1, &to->insert, NULL);
        return;
    }
    to->postgres = PQconnectdb(url);
    if (PQstatus(to->postgres) != CONNECTION_OK)
        die("connect", PQerrorMessage(to->postgres));
    run_postgres(to, table);
}

static void insert_sqlite(bare *to, unsigned count) {
    run_sqlite(to, "BEGIN IMMEDIATE");
    for (unsigned i = 0; i < count; i++) {
        sqlite3_bind_int64(to->insert, 1, next_row++);
        sqlite3_bind_text(to->insert, 2, (const char *)data, sizeof data, SQLITE_STATIC);
        if (sqlite3_step(to->insert) != SQLITE_DONE)
            die("insert", sqlite3_errmsg(to->sqlite));
        sqlite3_reset(to->insert);
    }
    run_sqlite(to, "COMMIT");
}

static void insert_postgres(bare *to, unsigned count) {
    static char ids[GROUP_MAX * 22 + 3], texts[GROUP_MAX * (DATA + 1) + 3];
    size_t id = 0, text = 0;
    for (unsigned i = 0; i < count; i++) {
        id += (size_t)snprintf(ids + id, sizeof ids - id, "%c%lld", i ? ',' : '{', (long long)next_row++);
        text += (size_t)snprintf(texts + text, sizeof texts - text, "%c%.*s", i ? ',' : '{', DATA, (char *)data);
    }
    memcpy(ids + id, "}", 2);
    memcpy(texts + text, "}", 2);
    const char *values[] = {ids, texts};
    PGresult *result = PQexecParams(to->postgres, "INSERT INTO bench_bare SELECT * FROM unnest($1::int8[], $2::text[])",
                                    2, NULL, values, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        die("insert", PQerrorMessage(to->postgres));
    PQclear(result);
}

static double time_bare(bare *to, unsigned group) {
    unsigned rounds = 0;
    uint64_t start = ez_clock_mono_ns(), now = start;
    for (; now - start < ROUND_NS; now = ez_clock_mono_ns(), rounds++) {
        if (to->sqlite)
            insert_sqlite(to, group);
        else
            insert_postgres(to, group);
    }
    return rounds * 1e9 / (double)(now - start);
}

static double read_bare(bare *to, const char *url) {
    static const char text[] = "SELECT id, data FROM keys ORDER BY id";
    uint64_t start = ez_clock_mono_ns();
    size_t count = 0;
    if (to->sqlite) {
        sqlite3 *db = NULL;
        sqlite3_stmt *select = NULL;
        sqlite3_open(url + 7, &db);
        sqlite3_prepare_v2(db, text, -1, &select, NULL);
        while (sqlite3_step(select) == SQLITE_ROW)
            count += sqlite3_column_bytes(select, 1) == DATA;
        sqlite3_finalize(select);
        sqlite3_close(db);
    } else {
        PQsendQueryParams(to->postgres, text, 0, NULL, NULL, NULL, NULL, 1);
        PQsetSingleRowMode(to->postgres);
        for (PGresult *row; (row = PQgetResult(to->postgres)); PQclear(row))
            count += PQntuples(row) == 1 && PQgetlength(row, 0, 1) == DATA;
    }
    if (count != ROWS)
        die("reading bare", "not all rows came");
    return (double)(ez_clock_mono_ns() - start) / 1e9;
}

int main(int argc, char **argv) {
    if (argc != 2)
        die("usage", "bench_store sqlite:PATH | postgres://…");
    memset(data, 'd', sizeof data);
    ez_store_options options = {
        .url = argv[1], .readers = 1, .connect_timeout_ms = 5000, .epoch = 1, .key_check = "bench"};
    ez_store *store = NULL;
    ez_store_head head = {0};
    ez_error error = EZ_ERROR_INIT;
    if (ez_store_open(&options, &store, &error) || ez_store_read_head(store, &head, &error))
        die("open", error.message);
    bare least = {0};
    open_bare(&least, argv[1]);
    for (unsigned group = 1; group <= GROUP_MAX; group = group == 1 ? 32 : group == 32 ? 1000 : GROUP_MAX + 1) {
        double bare_rate = time_bare(&least, group), rate = time_store(store, &head, group);
        printf("%s: groups of %u: %.0f commits/s, %.0f revisions/s; bare %.0f; ratio %.2f\n", ez_store_name(store),
               group, rate, rate * group, bare_rate, rate / bare_rate);
    }
    uint64_t start = ez_clock_mono_ns();
    for (int done = 0; done < ROWS; done += FILL_GROUP)
        commit(store, &head, EZ__V1__KIND__KIND_KEY, FILL_GROUP);
    printf("%s: %d revisions in groups of %d: %.1f s\n", ez_store_name(store), ROWS, FILL_GROUP,
           (double)(ez_clock_mono_ns() - start) / 1e9);
    double seconds = read_store(store), bare_seconds = read_bare(&least, argv[1]);
    printf("%s: each_row over %d rows of %d bytes: %.2f s; bare %.2f s; ratio %.2f\n", ez_store_name(store), ROWS, DATA,
           seconds, bare_seconds, bare_seconds / seconds);
    sqlite3_finalize(least.insert);
    sqlite3_close(least.sqlite);
    PQfinish(least.postgres);
    ez_store_close(store);
    return 0;
}
