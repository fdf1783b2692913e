// SPDX-License-Identifier: Apache-2.0
//
// PostgreSQL that goes away under write load: its backends ended one by one, and the whole server crashing and coming
// back. Nothing that was acknowledged is lost, nothing is done twice, and nobody has to restart ezplaned.
// The crash is of a PostgreSQL of this test's own (tools/with-postgres), since every other test shares the usual one.
#include <criterion/criterion.h>
#include <libpq-fe.h>

#include "tests/fault/support/own_postgres.h"
#include "tests/fault/support/writers.h"
#include "tests/integration/support/plane.h"

static ez_world w;
static ez_writers writers;
static ez_plane plane;

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

Test(postgres, fault_45_postgresql_crashes_under_load, .timeout = 120) {
    need_postgres();
    given_own_postgres();
    begin();
    for (int round = 0; round < 3; round++) {
        await_writes(&writers, 60);
        crash_own_postgres();
        if (round == 1) { // one that starts while the database recovers waits for it
            kill_server(&w.server);
            start_server(&w.server);
        }
        expect_still_right();
    }
    end();
    end_own_postgres();
}
