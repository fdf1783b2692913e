// SPDX-License-Identifier: Apache-2.0
//
// A PostgreSQL database of one's own: "ez_" and the process's id, a counter and the time, so that tests that run side
// by side, or a killed run before this one, don't meet. A URL is EZ_TEST_POSTGRES with its last part replaced.
#include "tests/support/database.h"

#include <criterion/criterion.h>
#include <libpq-fe.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/runtime/clock.h"

static const char *base_url(void) {
    const char *url = getenv("EZ_TEST_POSTGRES");
    return url && *url ? url : NULL;
}

bool has_postgres(void) {
    return base_url() != NULL;
}

static void execute_on(const char *url, const char *sql) {
    PGconn *connection = PQconnectdb(url);
    bool is_connected = PQstatus(connection) == CONNECTION_OK;
    PGresult *result = is_connected ? PQexec(connection, sql) : NULL;
    ExecStatusType got = PQresultStatus(result);
    bool is_done = got == PGRES_COMMAND_OK || got == PGRES_TUPLES_OK;
    char message[256];
    snprintf(message, sizeof message, "%s", PQerrorMessage(connection));
    PQclear(result);
    PQfinish(connection);
    cr_assert(is_done, "PostgreSQL: %s", message);
}

static void execute(const char *sql) {
    execute_on(base_url(), sql);
}

void run_sql_on(const char *url, const char *format, ...) {
    char sql[1024];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(sql, sizeof sql, format, args);
    va_end(args);
    cr_assert(len > 0 && (size_t)len < sizeof sql, "the statement is too long");
    execute_on(url, sql);
}

// Where the database's name starts: behind the last slash, before any "?".
static size_t name_at(const char *url) {
    size_t end = strcspn(url, "?");
    while (end > 0 && url[end - 1] != '/')
        end--;
    return end;
}

void given_database(char *url) {
    static unsigned counter;
    const char *base = base_url();
    cr_assert_not_null(base, "EZ_TEST_POSTGRES is not set: run this test by tools/test");
    char name[64], sql[128];
    snprintf(name, sizeof name, "ez_%d_%u_%llx", (int)getpid(), counter++, (unsigned long long)ez_clock_wall_ns());
    snprintf(sql, sizeof sql, "CREATE DATABASE \"%s\"", name);
    execute(sql);
    int len = snprintf(url, EZ_TEST_URL_MAX, "%.*s%s%s", (int)name_at(base), base, name, base + strcspn(base, "?"));
    cr_assert(len > 0 && len < EZ_TEST_URL_MAX, "EZ_TEST_POSTGRES is too long");
}

void drop_database(const char *url) {
    if (!*url || !base_url())
        return;
    size_t at = name_at(url);
    char sql[160];
    snprintf(sql, sizeof sql, "DROP DATABASE IF EXISTS \"%.*s\" WITH (FORCE)", (int)strcspn(url + at, "?"), url + at);
    execute(sql);
}

void end_connections(const char *url) {
    size_t at = name_at(url);
    char sql[256];
    snprintf(sql, sizeof sql, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '%.*s'",
             (int)strcspn(url + at, "?"), url + at);
    execute(sql);
}
