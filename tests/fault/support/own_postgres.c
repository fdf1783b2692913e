// SPDX-License-Identifier: Apache-2.0
//
// Both are started by the scripts in tools/, which say where they are and stop them when what they run ends.
#include "tests/fault/support/own_postgres.h"

#include <criterion/criterion.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/database.h"
#include "tests/support/process.h"

typedef struct helper {
    ez_test_process process;
    char url[EZ_TEST_URL_MAX];
    char folder[EZ_TEST_PATH_MAX];
} helper;

static helper database, pooler;

void need_postgres(void) {
    const char *store = getenv("EZ_TEST_STORE");
    if (!store || strcmp(store, "postgres") != 0)
        cr_skip_test("this is about PostgreSQL");
}

static void start(helper *it, const char *script, const char *variable, const char *const *env) {
    char text[96], log[EZ_TEST_PATH_MAX + 16];
    snprintf(text, sizeof text, "echo \"at $%s\"; exec sleep 3600", variable);
    const char *const args[] = {"sh", "-c", text, NULL};
    given_folder(it->folder);
    snprintf(log, sizeof log, "%s/log", it->folder);
    start_process(&it->process, script, args, env, log);
    if (!wait_for_line(&it->process, "at ")) {
        char *said = read_file(log);
        cr_assert_fail("%s: %s", script, said ? said : "");
    }
    snprintf(it->url, sizeof it->url, "%.*s", EZ_TEST_URL_MAX - 1, it->process.line + 3);
}

static void end(helper *it) {
    kill(-it->process.pid, SIGTERM); // sleep and the shell that waits for it, which then stops the server
    wait_process(&it->process);
    remove_folder(it->folder);
}

void given_own_postgres(void) {
    static const char *const env[] = {"EZ_TEST_POSTGRES=", NULL};
    start(&database, EZ_WITH_POSTGRES, "EZ_TEST_POSTGRES", env);
    const char *shared = getenv("EZ_TEST_POSTGRES");
    cr_assert(!shared || strcmp(shared, database.url) != 0, "this is the PostgreSQL of all tests");
    setenv("EZ_TEST_POSTGRES", database.url, 1);
}

void end_own_postgres(void) {
    end(&database);
}

void crash_own_postgres(void) {
    PGconn *conn = PQconnectdb(database.url);
    PGresult *result = PQexec(conn, "SELECT pg_backend_pid()");
    cr_assert_eq(PQresultStatus(result), PGRES_TUPLES_OK, "PostgreSQL is away already");
    cr_assert_eq(kill((pid_t)strtol(PQgetvalue(result, 0, 0), NULL, 10), SIGKILL), 0);
    PQclear(result);
    PQfinish(conn);
}

void given_pooler(void) {
    start(&pooler, EZ_WITH_PGBOUNCER, "EZ_TEST_PGBOUNCER", NULL);
}

void pooler_url(const char *url, char *pooled) {
    const char *name = strrchr(url, '/'), *end_of_place = strrchr(pooler.url, '/');
    int len = snprintf(pooled, EZ_TEST_URL_MAX, "%.*s%s", (int)(end_of_place - pooler.url), pooler.url, name);
    cr_assert(len > 0 && len < EZ_TEST_URL_MAX);
}

void end_pooler(void) {
    end(&pooler);
}
