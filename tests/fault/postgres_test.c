// SPDX-License-Identifier: Apache-2.0
//
// PostgreSQL that goes away under write load: its backends ended one by one, and the whole server crashing and coming
// back. Nothing that was acknowledged is lost, nothing is done twice, and nobody has to restart ezplaned.
// The crash is of a PostgreSQL of this test's own (tools/with-postgres), since every other test shares the usual one.
#include <criterion/criterion.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fault/support/writers.h"
#include "tests/integration/support/plane.h"

static ez_world w;
static ez_writers writers;
static ez_plane plane;

static void need_postgres(void) {
    const char *store = getenv("EZ_TEST_STORE");
    if (!store || strcmp(store, "postgres") != 0)
        cr_skip_test("this is about PostgreSQL");
}

static void begin(void) {
    given_world(&w, NULL);
    given_follower(&plane, &w, given_plane(&w.admin, "edge")->token, NULL);
    given_writers(&writers, &w, 4);
}

static void end(void) {
    end_writers(&writers);
    end_follower(&plane);
    end_world(&w);
}

static PGconn *connect_to(const char *url) {
    PGconn *conn = PQconnectdb(url);
    cr_assert_eq(PQstatus(conn), CONNECTION_OK, "can't connect to PostgreSQL");
    return conn;
}

static void expect_still_right(void) {
    await_writes(&writers, 4);
    rest(&writers);
    expect_nothing_lost(&writers);
    expect_agreement(&plane, &w);
    resume(&writers);
}

Test(postgres, fault_45_backends_ended_under_load) {
    need_postgres();
    begin();
    PGconn *conn = connect_to(w.server.database);
    for (int round = 0; round < 8; round++) {
        await_writes(&writers, 30);
        PGresult *result = PQexec(conn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
                                        "current_database() AND pid <> pg_backend_pid()");
        cr_assert_eq(PQresultStatus(result), PGRES_TUPLES_OK);
        cr_assert_gt(PQntuples(result), 0);
        PQclear(result);
        if (round % 4 == 3)
            expect_still_right();
    }
    PQfinish(conn);
    end();
}

// ---- A PostgreSQL of one's own

static ez_test_process database;
static char own_url[EZ_TEST_URL_MAX], folder[EZ_TEST_PATH_MAX];

static void given_own_postgres(void) {
    static const char *const args[] = {"sh", "-c", "echo \"at $EZ_TEST_POSTGRES\"; exec sleep 600", NULL};
    static const char *const env[] = {"EZ_TEST_POSTGRES=", NULL};
    char log[EZ_TEST_PATH_MAX + 16];
    given_folder(folder);
    snprintf(log, sizeof log, "%s/log", folder);
    start_process(&database, EZ_WITH_POSTGRES, args, env, log);
    cr_assert(wait_for_line(&database, "at "), "no PostgreSQL can be started here");
    snprintf(own_url, sizeof own_url, "%.*s", EZ_TEST_URL_MAX - 1, database.line + 3);
    setenv("EZ_TEST_POSTGRES", own_url, 1);
}

static void end_own_postgres(void) {
    kill(-database.pid, SIGTERM); // sleep and the shell that waits for it, which then stops PostgreSQL
    wait_process(&database);
    remove_folder(folder);
}

// Ends one backend without a word: the postmaster takes all others down with it and recovers.
static void crash(void) {
    PGconn *conn = connect_to(own_url);
    PGresult *result = PQexec(conn, "SELECT pg_backend_pid()");
    cr_assert_eq(PQresultStatus(result), PGRES_TUPLES_OK);
    cr_assert_eq(kill((pid_t)strtol(PQgetvalue(result, 0, 0), NULL, 10), SIGKILL), 0);
    PQclear(result);
    PQfinish(conn);
}

Test(postgres, fault_45_postgresql_crashes_under_load, .timeout = 120) {
    need_postgres();
    given_own_postgres();
    begin();
    for (int round = 0; round < 3; round++) {
        await_writes(&writers, 60);
        crash();
        expect_still_right();
    }
    end();
    end_own_postgres();
}
