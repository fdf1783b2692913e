// SPDX-License-Identifier: Apache-2.0
//
// What alerts cost: bench_alerts report URL SECONDS | list URL ALERTS SAMPLES
// The store must be new and is left filled; URL: sqlite:PATH or postgres://….
//
// report: 64 calls of 25 reports each, of 100 fingerprints that are all open, in one transaction, as the server's
// appender makes it. Bare: prepared UPDATEs of the 100 rows that come of it in one transaction, or one UPDATE … FROM
// unnest, on a connection of its own to a table of its own. They take turns; one line of JSON with the median ratio.
// list: ALERTS alerts are made through the store's door; all but one in a thousand are then closed by SQL. Each filter
// is asked SAMPLES times for a page of 50 on a reader's thread. One line of JSON a filter, times in ms.
#include <libpq-fe.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "server/state/store/alerts.h"

#define CALLS        64
#define EACH         25
#define FINGERPRINTS 100
#define LOAD_ROWS    5000
#define ROUNDS_MAX   400
#define SAMPLES_MAX  10000
#define NS_PER_S     INT64_C(1000000000)

static ez_store *store;
static sqlite3 *bare_sqlite;
static PGconn *bare_postgres;
static ez_arena arena;
static const ez_alert_rules rules = {.cooldown_ns = 300 * NS_PER_S};
static int64_t now_ns;

static void die(const char *what, const char *text) {
    fprintf(stderr, "bench_alerts: %s: %s\n", what, text);
    exit(1);
}

// A statement on the bare connection.
static void run(const char *text) {
    if (bare_sqlite) {
        if (sqlite3_exec(bare_sqlite, text, NULL, NULL, NULL) != SQLITE_OK)
            die(text, sqlite3_errmsg(bare_sqlite));
        return;
    }
    PGresult *result = PQexec(bare_postgres, text);
    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        die(text, PQerrorMessage(bare_postgres));
    PQclear(result);
}

static void open_both(const char *url, bool is_beside) {
    ez_store_options options = {.url = url, .readers = 1, .connect_timeout_ms = 5000, .epoch = 1, .key_check = "bench"};
    ez_error error = EZ_ERROR_INIT;
    char own[512];
    if (ez_store_open(&options, &store, &error) != EZ_OK)
        die("open", error.message);
    if (strncmp(url, "sqlite:", 7) == 0) {
        snprintf(own, sizeof own, "%s%s", url + 7, is_beside ? ".bare" : "");
        if (sqlite3_open(own, &bare_sqlite) != SQLITE_OK)
            die(own, "can't be opened");
        run("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -32768; "
            "PRAGMA wal_autocheckpoint = 4000; PRAGMA busy_timeout = 60000");
        return;
    }
    bare_postgres = PQconnectdb(url);
    if (PQstatus(bare_postgres) != CONNECTION_OK)
        die("connect", PQerrorMessage(bare_postgres));
}

static ez_alert_op report(const char *fingerprint, int64_t at) {
    static const char *const abouts[] = {"key", "master", "api_key", "provider_group"};
    return (ez_alert_op){.act = EZ_ALERT_REPORT,
                         .request = "{}",
                         .row = {.type = 1 + (int32_t)(at % 10),
                                 .severity = 1 + (int32_t)(at % 3),
                                 .title = at % 50000 == 7 ? "A needle in the haystack" : "Quota nearly used up",
                                 .message = "The key has used 93 % of what it may use until the end of the month.",
                                 .related_type = abouts[at % 4],
                                 .related_id = 1 + at % 20000,
                                 .related_name = "production-web-frontend",
                                 .fingerprint = fingerprint,
                                 .metadata = "{\"share\":0.93,\"limit\":1000000,\"unit\":\"tokens\"}"}};
}

static void change(ez_alert_batch *batches, size_t count) {
    ez_error error = EZ_ERROR_INIT;
    if (ez_store_change_alerts(store, batches, count, &rules, now_ns, &error) != EZ_OK)
        die("change", error.message);
    ez_arena_reset(&arena);
}

static ez_alert_batch batch_of(ez_alert_op *ops, size_t count) {
    return (ez_alert_batch){
        .ops = ops, .op_count = count, .actor = "a", .method = "m", .request_id = "", .remote = "", .arena = &arena};
}

static double since(uint64_t start) {
    return (double)(ez_clock_mono_ns() - start) / 1e9;
}

static int compare_doubles(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

// ---- Reports

static char fingerprints[FINGERPRINTS][72];
static ez_alert_op ops[CALLS][EACH];
static ez_alert_batch batches[CALLS];

static void make_reports(void) {
    for (int i = 0; i < FINGERPRINTS; i++)
        snprintf(fingerprints[i], sizeof fingerprints[i], "%064d", i * 7919);
    for (int c = 0; c < CALLS; c++) {
        for (int i = 0; i < EACH; i++)
            ops[c][i] = report(fingerprints[(c * EACH + i) % FINGERPRINTS], (c * EACH + i) % FINGERPRINTS);
        batches[c] = batch_of(ops[c], EACH);
    }
}

static void make_bare(void) {
    char text[256];
    run("CREATE TABLE bare_alerts (fingerprint TEXT PRIMARY KEY, count BIGINT NOT NULL, last_seen_ns BIGINT NOT NULL)");
    for (int i = 0; i < FINGERPRINTS; i++) {
        snprintf(text, sizeof text, "INSERT INTO bare_alerts VALUES ('%.64s', 1, 1)", fingerprints[i]);
        run(text);
    }
}

static void update_bare_sqlite(void) {
    static sqlite3_stmt *update;
    if (!update && sqlite3_prepare_v2(
                       bare_sqlite, "UPDATE bare_alerts SET count = count + ?, last_seen_ns = ? WHERE fingerprint = ?",
                       -1, &update, NULL) != SQLITE_OK)
        die("prepare", sqlite3_errmsg(bare_sqlite));
    run("BEGIN IMMEDIATE");
    for (int i = 0; i < FINGERPRINTS; i++) {
        sqlite3_bind_int64(update, 1, CALLS * EACH / FINGERPRINTS);
        sqlite3_bind_int64(update, 2, now_ns);
        sqlite3_bind_text(update, 3, fingerprints[i], -1, SQLITE_STATIC);
        if (sqlite3_step(update) != SQLITE_DONE)
            die("step", sqlite3_errmsg(bare_sqlite));
        sqlite3_reset(update);
    }
    run("COMMIT");
}

static void update_bare_postgres(void) {
    static char list[FINGERPRINTS * 70 + 16];
    size_t len = 0;
    for (int i = 0; i < FINGERPRINTS; i++)
        len += (size_t)snprintf(list + len, sizeof list - len, "%c%s", i ? ',' : '{', fingerprints[i]);
    snprintf(list + len, sizeof list - len, "}");
    const char *values[] = {list};
    PGresult *result = PQexecParams(bare_postgres,
                                    "UPDATE bare_alerts b SET count = b.count + 16, last_seen_ns = b.last_seen_ns + 1 "
                                    "FROM unnest($1::text[]) d (f) WHERE b.fingerprint = d.f",
                                    1, NULL, values, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        die("update", PQerrorMessage(bare_postgres));
    PQclear(result);
}

static void bench_report(double seconds) {
    static double ratios[ROUNDS_MAX];
    size_t rounds = 0;
    double ours = 0, theirs = 0;
    make_reports();
    make_bare();
    change(batches, CALLS);
    for (uint64_t start = ez_clock_mono_ns(); since(start) < seconds && rounds < ROUNDS_MAX; rounds++) {
        now_ns += 1000000;
        uint64_t began = ez_clock_mono_ns();
        if (bare_sqlite)
            update_bare_sqlite();
        else
            update_bare_postgres();
        double bare = since(began);
        began = ez_clock_mono_ns();
        change(batches, CALLS);
        double mine = since(began);
        ratios[rounds] = bare / mine;
        ours += mine;
        theirs += bare;
    }
    qsort(ratios, rounds, sizeof ratios[0], compare_doubles);
    double reports = (double)(rounds * CALLS * EACH);
    printf(
        "{\"name\": \"report\", \"rounds\": %zu, \"per_second\": %.0f, \"bare_per_second\": %.0f, \"ratio\": %.3f}\n",
        rounds, reports / ours, reports / theirs, ratios[rounds / 2]);
}

// ---- Lists

static void load(int64_t alerts) {
    static ez_alert_op rows[LOAD_ROWS];
    static char names[LOAD_ROWS][32];
    uint64_t began = ez_clock_mono_ns();
    for (int64_t done = 0; done < alerts; done += LOAD_ROWS) {
        for (int64_t i = 0; i < LOAD_ROWS; i++) {
            snprintf(names[i], sizeof names[i], "f%012lld", (long long)(done + i));
            rows[i] = report(names[i], done + i);
        }
        ez_alert_batch batch = batch_of(rows, LOAD_ROWS);
        now_ns += NS_PER_S;
        change(&batch, 1);
    }
    run("UPDATE alerts SET status = CASE WHEN id % 5 = 0 THEN 4 ELSE 3 END, holds = 0, resolved_ns = last_seen_ns, "
        "resolved_by = 'admin:1:first' WHERE id % 1000 <> 0");
    run(bare_postgres ? "VACUUM ANALYZE alerts" : "PRAGMA wal_checkpoint(TRUNCATE)");
    printf("{\"name\": \"load\", \"alerts\": %lld, \"seconds\": %.1f}\n", (long long)alerts, since(began));
    fflush(stdout);
}

typedef struct question {
    ez_query query; // first: the query is the question
    const char *name;
    ez_alert_filter filter;
    size_t rows;
    double ms;
    bool done;
} question;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static ez_status count_row(void *user, const ez_alert_row *row, ez_error *error) {
    (void)row, (void)error;
    ++*(size_t *)user;
    return EZ_OK;
}

static void answer(ez_query *query, ez_reader *reader) {
    question *it = (question *)query;
    ez_error error = EZ_ERROR_INIT;
    bool more;
    int64_t at_id;
    ez_alert_counts counts;
    uint64_t began = ez_clock_mono_ns();
    it->rows = 0;
    ez_status status = it->filter.limit
                           ? ez_reader_each_alert(reader, &it->filter, count_row, &it->rows, &more, &at_id, &error)
                           : ez_reader_count_alerts(reader, &counts, &error);
    if (status != EZ_OK)
        die(it->name, error.message);
    it->ms = since(began) * 1e3;
    pthread_mutex_lock(&lock);
    it->done = true;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

static void ask(question *it, size_t samples) {
    static double times[SAMPLES_MAX];
    ez_error error = EZ_ERROR_INIT;
    for (size_t i = 0; i < samples; i++) {
        it->done = false;
        it->query.run = answer;
        if (ez_store_submit(store, &it->query, &error) != EZ_OK)
            die(it->name, error.message);
        pthread_mutex_lock(&lock);
        while (!it->done)
            pthread_cond_wait(&changed, &lock);
        pthread_mutex_unlock(&lock);
        times[i] = it->ms;
    }
    qsort(times, samples, sizeof times[0], compare_doubles);
    printf("{\"name\": \"%s\", \"rows\": %zu, \"p50\": %.2f, \"p99\": %.2f}\n", it->name, it->rows, times[samples / 2],
           times[samples * 99 / 100]);
    fflush(stdout);
}

static void bench_list(int64_t alerts, size_t samples) {
    load(alerts);
    question all[] = {
        {.name = "none"},
        {.name = "deep", .filter = {.before_id = alerts / 2}},
        {.name = "status", .filter = {.status = EZ_ALERT_ACTIVE}},
        {.name = "severity", .filter = {.severities = 1u << 3}},
        {.name = "type", .filter = {.type = 4}},
        {.name = "type of none", .filter = {.type = 11}},
        {.name = "related", .filter = {.related_type = "key", .related_id = 4001}},
        {.name = "related type", .filter = {.related_type = "api_key"}},
        {.name = "related id", .filter = {.related_id = 77}},
        {.name = "status and type", .filter = {.status = EZ_ALERT_ACTIVE, .type = 4}},
        {.name = "status and severity", .filter = {.status = EZ_ALERT_DISMISSED, .severities = 1u << 2}},
        {.name = "open, two severities", .filter = {.is_open = true, .severities = 1u << 2 | 1u << 3}},
        {.name = "open and a type", .filter = {.is_open = true, .type = 4}},
        {.name = "since", .filter = {.since_ns = now_ns - NS_PER_S}},
        {.name = "since none", .filter = {.since_ns = now_ns + NS_PER_S}},
        {.name = "q", .filter = {.q = "needle"}},
        {.name = "q of none", .filter = {.q = "nothing of the sort"}},
        {.name = "q, status, type", .filter = {.q = "needle", .status = EZ_ALERT_RESOLVED, .type = 8}},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        all[i].filter.limit = 50;
        all[i].filter.look_max = 10000;
        ask(&all[i], samples);
    }
    question stats = {.name = "stats"};
    ask(&stats, samples);
}

int main(int count, char **arguments) {
    if (count < 4)
        die("usage", "bench_alerts report URL SECONDS | list URL ALERTS SAMPLES");
    bool is_list = strcmp(arguments[1], "list") == 0;
    now_ns = ez_clock_wall_ns();
    ez_arena_init(&arena, 256u << 20);
    open_both(arguments[2], !is_list);
    if (is_list) {
        size_t samples = count > 4 ? strtoul(arguments[4], NULL, 10) : 100;
        bench_list(strtoll(arguments[3], NULL, 10), samples < SAMPLES_MAX && samples ? samples : 100);
    } else {
        bench_report(strtod(arguments[3], NULL));
    }
    ez_store_close(store);
    PQfinish(bare_postgres);
    sqlite3_close(bare_sqlite);
    ez_arena_fini(&arena);
    return 0;
}
