// SPDX-License-Identifier: Apache-2.0
//
// Helpers of the store's tests. A place owns a temporary folder (SQLite) or a database on the server that
// EZ_TEST_POSTGRES names; drop_place removes it. Slices in a group point at the caller's texts.
#include "tests/unit/store/support.h"

#include <criterion/criterion.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char test_key_check[] = "3f0c5a71";

bool is_postgres(void) {
    const char *store = getenv("EZ_TEST_STORE");
    return store && strcmp(store, "postgres") == 0;
}

static void database_url(const char *database, char *out, size_t size) {
    const char *server = getenv("EZ_TEST_POSTGRES");
    cr_assert_not_null(server, "EZ_TEST_POSTGRES is not set: run this through tools/with-postgres");
    const char *slash = strrchr(server, '/');
    snprintf(out, size, "%.*s/%s", (int)(slash - server), server, database);
}

long long sql(const place *at, const char *text) {
    char url[512];
    database_url(at ? at->database : "postgres", url, sizeof url);
    PGconn *connection = PQconnectdb(url);
    cr_assert_eq(PQstatus(connection), CONNECTION_OK, "%s", PQerrorMessage(connection));
    PGresult *result = PQexec(connection, text);
    ExecStatusType status = PQresultStatus(result);
    cr_assert(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK, "%s", PQerrorMessage(connection));
    long long value = status == PGRES_TUPLES_OK && PQntuples(result) ? strtoll(PQgetvalue(result, 0, 0), NULL, 10) : 0;
    PQclear(result);
    PQfinish(connection);
    return value;
}

void given_place(place *out) {
    static unsigned made;
    *out = (place){0};
    if (is_postgres()) {
        char text[128];
        snprintf(out->database, sizeof out->database, "ez_store_%ld_%u", (long)getpid(), ++made);
        snprintf(text, sizeof text, "CREATE DATABASE %s", out->database);
        sql(NULL, text);
        database_url(out->database, out->url, sizeof out->url);
        return;
    }
    snprintf(out->folder, sizeof out->folder, "/tmp/ez-store.XXXXXX");
    cr_assert_not_null(mkdtemp(out->folder));
    snprintf(out->path, sizeof out->path, "%s/ez.db", out->folder);
    snprintf(out->url, sizeof out->url, "sqlite:%s", out->path);
}

void drop_place(place *at) {
    char text[256];
    if (at->database[0]) {
        snprintf(text, sizeof text, "DROP DATABASE %s WITH (FORCE)", at->database);
        sql(NULL, text);
    }
    if (at->folder[0]) {
        snprintf(text, sizeof text, "rm -rf -- '%s'", at->folder);
        cr_assert_eq(system(text), 0);
    }
    *at = (place){0};
}

ez_store_options options_for(const place *at) {
    return (ez_store_options){.url = at->url,
                              .readers = 2,
                              .connect_timeout_ms = 5000,
                              .epoch = 0xF00DFACE12345678u, // does not fit a signed column as it is
                              .now_ns = 1,
                              .key_check = test_key_check};
}

ez_store *open_store(const place *at) {
    ez_store_options options = options_for(at);
    ez_store *store = NULL;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_store_open(&options, &store, &error), EZ_OK, "%s", error.message);
    return store;
}

ez_store_head head_of(ez_store *store) {
    ez_store_head head = {0};
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_store_read_head(store, &head, &error), EZ_OK, "%s", error.message);
    return head;
}

void group_start(group *it, const ez_store_head *head) {
    memset(it, 0, sizeof *it);
    it->head = *head;
    memcpy(it->next_id, head->next_id, sizeof it->next_id);
    it->group = (ez_store_commit_group){.epoch = head->epoch,
                                        .from = head->n,
                                        .to = head->n + 1,
                                        .changes = it->changes,
                                        .audits = it->audits,
                                        .idempotents = it->idempotents,
                                        .next_id = it->next_id};
}

void group_revision(group *it) {
    it->group.to++;
}

static ez_store_change *add(group *it, int kind, int64_t id, int op) {
    size_t at = it->group.change_count++;
    cr_assert_lt(at, (size_t)GROUP_CHANGES);
    ez_store_change *change = &it->changes[at];
    const ez_store_change *before = at ? &it->changes[at - 1] : NULL;
    uint32_t seq = before && before->n == it->group.to ? before->seq + 1 : 0;
    *change = (ez_store_change){
        .n = it->group.to, .seq = seq, .kind = kind, .id = id, .op = op, .time_ns = 1000 * (int64_t)it->group.to};
    if (id >= it->next_id[kind])
        it->next_id[kind] = id + 1;
    return change;
}

void group_put(group *it, int kind, int64_t id, const char *text) {
    ez_store_change *change = add(it, kind, id, EZ__V1__OP__OP_PUT);
    change->data = (ez_slice){.data = (const uint8_t *)text, .len = strlen(text)};
    change->sealed = (ez_slice){.data = (const uint8_t *)"sealed", .len = kind == KIND_KEY ? 6 : 0};
    change->secret_version = kind == KIND_KEY ? 7 : 0;
}

void group_delete(group *it, int kind, int64_t id) {
    add(it, kind, id, EZ__V1__OP__OP_DELETE);
}

void group_audit(group *it, const char *actor, const char *method, const char *resource) {
    size_t at = it->group.audit_count++;
    cr_assert_lt(at, (size_t)GROUP_CHANGES);
    int64_t id = it->head.next_audit_id + (int64_t)at;
    ez_store_audit *audit = &it->audits[at];
    *audit = (ez_store_audit){.id = id,
                              .time_ns = 1000 * id,
                              .revision = it->group.to,
                              .actor = actor,
                              .method = method,
                              .resource = resource,
                              .request = "{\"name\":\"grün\"}",
                              .request_id = "r-1",
                              .remote = "127.0.0.1"};
    memcpy(audit->previous_hash, at ? it->audits[at - 1].hash : it->head.audit_hash, EZ_SHA256_LEN);
    memset(audit->hash, (int)(id % 251) + 1, EZ_SHA256_LEN);
}

void group_idempotent(group *it, uint8_t key, const char *reply, int64_t time_ns) {
    ez_store_idempotent *record = &it->idempotents[it->group.idempotent_count++];
    *record = (ez_store_idempotent){
        .revision = it->group.to, .time_ns = time_ns, .reply = {.data = (const uint8_t *)reply, .len = strlen(reply)}};
    memset(record->key, key, sizeof record->key);
    memset(record->request_hash, key + 100, sizeof record->request_hash);
}

void expect_commit(ez_store *store, group *it) {
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_store_commit(store, &it->group, &error), EZ_OK, "%s", error.message);
}

void commit_put(ez_store *store, int kind, int64_t id, const char *text) {
    ez_store_head head = head_of(store);
    group one;
    group_start(&one, &head);
    group_put(&one, kind, id, text);
    group_audit(&one, "admin:1:first", "ez.v1.Masters/Create", "master:1");
    expect_commit(store, &one);
}

void commit_many(ez_store *store, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        char text[24];
        int64_t id = (int64_t)head_of(store).n + 1;
        snprintf(text, sizeof text, "%lld", (long long)id);
        commit_put(store, KIND_MASTER, id, text);
    }
}

typedef struct text {
    char *out;
    size_t len, size;
} text;

__attribute__((format(printf, 2, 3))) static void say(text *to, const char *format, ...) {
    va_list args;
    va_start(args, format);
    to->len += (size_t)vsnprintf(to->out + to->len, to->size - to->len, format, args);
    va_end(args);
    cr_assert_lt(to->len, to->size);
}

static ez_status say_row(void *user, const ez_store_row *row, ez_error *error) {
    (void)error;
    text *to = user;
    say(to, "%s%lld:%llu:%.*s", to->len ? " " : "", (long long)row->id, (unsigned long long)row->revision,
        (int)row->data.len, row->data.len ? (const char *)row->data.data : "");
    if (row->sealed.len)
        say(to, "/%.*s%llu", (int)row->sealed.len, (const char *)row->sealed.data,
            (unsigned long long)row->secret_version);
    return EZ_OK;
}

const char *rows_text(ez_store *store, int kind, char *out, size_t size) {
    text to = {.out = out, .size = size};
    ez_error error = EZ_ERROR_INIT;
    out[0] = 0;
    cr_assert_eq(ez_store_each_row(store, kind, say_row, &to, &error), EZ_OK, "%s", error.message);
    return out;
}

static ez_status say_change(void *user, const ez_store_change *change, ez_error *error) {
    (void)error;
    text *to = user;
    say(to, "%s%llu.%u%s%d/%lld", to->len ? " " : "", (unsigned long long)change->n, change->seq,
        change->op == EZ__V1__OP__OP_PUT ? "+" : "-", change->kind, (long long)change->id);
    if (change->data.len)
        say(to, "=%.*s", (int)change->data.len, (const char *)change->data.data);
    return EZ_OK;
}

const char *changes_text(ez_store *store, uint64_t after, uint64_t until, size_t limit, char *out, size_t size) {
    text to = {.out = out, .size = size};
    ez_error error = EZ_ERROR_INIT;
    out[0] = 0;
    cr_assert_eq(ez_store_each_change(store, after, until, limit, say_change, &to, &error), EZ_OK, "%s", error.message);
    return out;
}

typedef struct task {
    ez_query query; // first: the query is the task
    void (*fn)(ez_reader *reader, void *user);
    void *user;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;
} task;

static void run_task(ez_query *query, ez_reader *reader) {
    task *one = (task *)query;
    one->fn(reader, one->user);
    pthread_mutex_lock(&one->lock);
    one->done = true;
    pthread_cond_signal(&one->changed);
    pthread_mutex_unlock(&one->lock);
}

void on_reader(ez_store *store, void (*fn)(ez_reader *reader, void *user), void *user) {
    task one = {.query = {.run = run_task},
                .fn = fn,
                .user = user,
                .lock = PTHREAD_MUTEX_INITIALIZER,
                .changed = PTHREAD_COND_INITIALIZER};
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_store_submit(store, &one.query, &error), EZ_OK, "%s", error.message);
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 30;
    pthread_mutex_lock(&one.lock);
    int code = 0;
    while (!one.done && !code)
        code = pthread_cond_timedwait(&one.changed, &one.lock, &deadline);
    pthread_mutex_unlock(&one.lock);
    cr_assert_eq(code, 0, "the query was not run");
}

void expect_error(ez_status status, const ez_error *error, ez_status code, const char *reason, const char *part) {
    cr_assert_eq(status, code, "%s, not %s: %s", ez_status_name(status), ez_status_name(code), error->message);
    cr_assert_eq(error->code, code);
    cr_assert_str_eq(error->reason, reason);
    cr_assert_not_null(strstr(error->message, part), "\"%s\" says nothing of \"%s\"", error->message, part);
}

static void rows_of_sqlite(const place *at, const char *query, FILE *to) {
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    cr_assert_eq(sqlite3_open_v2(at->path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(db, query, -1, &statement, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(statement); i++)
            fprintf(to, "%s%s", i ? "|" : "", (const char *)sqlite3_column_text(statement, i));
        fputc('\n', to);
    }
    cr_assert_eq(code, SQLITE_DONE, "%s", sqlite3_errmsg(db));
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

static void rows_of_postgres(const place *at, const char *query, FILE *to) {
    char url[512];
    database_url(at->database, url, sizeof url);
    PGconn *connection = PQconnectdb(url);
    cr_assert_eq(PQstatus(connection), CONNECTION_OK, "%s", PQerrorMessage(connection));
    PGresult *result = PQexec(connection, query);
    ExecStatusType status = PQresultStatus(result);
    cr_assert(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK, "%s", PQerrorMessage(connection));
    for (int row = 0; row < PQntuples(result); row++) {
        for (int i = 0; i < PQnfields(result); i++)
            fprintf(to, "%s%s", i ? "|" : "", PQgetvalue(result, row, i));
        fputc('\n', to);
    }
    PQclear(result);
    PQfinish(connection);
}

char *rows_of(const place *at, const char *query) {
    char *out = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&out, &size);
    cr_assert_not_null(to);
    if (is_postgres())
        rows_of_postgres(at, query, to);
    else
        rows_of_sqlite(at, query, to);
    fclose(to);
    return out;
}

long long number_of(const place *at, const char *query) {
    char *rows = rows_of(at, query);
    long long value = strtoll(rows, NULL, 10);
    free(rows);
    return value;
}
