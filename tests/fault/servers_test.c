// SPDX-License-Identifier: Apache-2.0
//
// Several ezplaned on one PostgreSQL: the lease of the background work goes from one to another however the holder
// ends, one that was asleep writes nothing under it, and one that is cut off from the database comes back whole; all of
// it also where a pooler stands between. tests/fault/history_test.c has them under load.
#include <criterion/criterion.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/runtime/clock.h"
#include "tests/fault/support/forwarder.h"
#include "tests/fault/support/own_postgres.h"
#include "tests/fault/support/writers.h"
#include "tests/integration/support/plane.h"

static const char *const brief_lease[] = {"EZ_LEASE_SECONDS=2", NULL};
static const char *const long_lease[] = {"EZ_LEASE_SECONDS=300", NULL};

static ez_world one, two;

static void begin_one(const char *const *env) {
    need_postgres();
    given_world(&one, env);
}

static void begin_both(const char *const *env) {
    begin_one(env);
    given_second_server(&two.server, &one.server);
    given_callers(&two);
}

static void end_both(void) {
    end_world(&two);
    end_world(&one);
}

static const Ez__V1__Status *status_of(ez_world *w) {
    return ask(&w->admin, "System/GetStatus", "{}");
}

static bool knows_of(ez_world *w, const char *holder) {
    return strcmp(status_of(w)->lease_holder, holder) == 0;
}

static bool follows_by(ez_world *w, const char *word) {
    return strcmp(status_of(w)->follows_by, word) == 0;
}

static bool are_equal(void) {
    char a[65], b[65];
    uint64_t n, m;
    digest_of(&one, a, NULL, &n);
    digest_of(&two, b, NULL, &m);
    return n == m && strcmp(a, b) == 0;
}

// Runs a statement on the database; the first value as a number, 0 where there is none.
static long long run_sql(PGconn *conn, const char *text) {
    PGresult *result = PQexec(conn, text);
    ExecStatusType got = PQresultStatus(result);
    cr_assert(got == PGRES_TUPLES_OK || got == PGRES_COMMAND_OK, "%s", PQerrorMessage(conn));
    long long value = got == PGRES_TUPLES_OK && PQntuples(result) ? strtoll(PQgetvalue(result, 0, 0), NULL, 10) : 0;
    PQclear(result);
    return value;
}

static PGconn *connect_to(const char *url) {
    PGconn *conn = PQconnectdb(url);
    cr_assert_eq(PQstatus(conn), CONNECTION_OK, "can't connect to PostgreSQL");
    return conn;
}

// ---- The lease

Test(servers, the_lease_goes_on_however_its_holder_ends, .timeout = 120) {
    begin_both(brief_lease);
    cr_assert(holds_lease(&one, 1));
    char first[64];
    snprintf(first, sizeof first, "%s", status_of(&one)->server_id);
    expect_soon(knows_of(&two, first));
    stop_server(&one.server);
    expect_soon(holds_lease(&two, 2));
    start_server(&one.server);
    await_answers(&one);
    expect_soon(knows_of(&one, status_of(&two)->server_id));
    kill_server(&two.server);
    expect_soon(holds_lease(&one, 3));
    start_server(&two.server);
    await_answers(&two);
    signal_process(&one.server.process, SIGSTOP); // fault_58
    expect_soon(holds_lease(&two, 4));
    signal_process(&one.server.process, SIGCONT);
    expect_soon(knows_of(&one, status_of(&two)->server_id));
    cr_assert(holds_lease(&two, 4));
    end_both();
}

// ---- Past the lease

static size_t lifted(ez_world *w) {
    const Ez__V1__ListAuditResponse *reply = ask(&w->admin, "Audit/List", "{'actor':'system:bans'}");
    return reply->n_items;
}

// RFC 3339 of so many seconds from now.
static const char *in_seconds(int seconds) {
    static char text[40];
    time_t then = (time_t)(ez_clock_wall_ns() / 1000000000) + seconds;
    struct tm parts;
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&then, &parts));
    return text;
}

// A ban that ends in a moment: the holder has something to write then.
static void given_a_ban_that_passes(ez_world *w) {
    Ez__V1__ProviderGroup *group = given_group(&w->admin, "main", "'m'");
    const Ez__V1__ApiKey *key = given_api_key(&w->admin, group->id, "one", "sk-one");
    ask(&w->admin, "ApiKeys/Ban", "{'id':%" PRId64 ",'reason':'test','until':'%s'}", key->id, in_seconds(3));
}

// The holder is stopped when it has begun to write and before its token was looked at; meanwhile another takes over.
Test(servers, fault_58_a_holder_that_was_stopped_past_its_lease_writes_nothing, .timeout = 120) {
    begin_one(long_lease);
    cr_assert(holds_lease(&one, 1));
    PGconn *conn = connect_to(one.server.database), *watch = connect_to(one.server.database);
    run_sql(conn, "BEGIN");
    run_sql(conn, "SELECT token FROM leases FOR UPDATE");
    given_a_ban_that_passes(&one);
    uint64_t before = revision_of(&one);
    expect_soon(run_sql(watch, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "
                               "wait_event_type = 'Lock' AND query LIKE '%leases%KEY SHARE%'") >= 1);
    signal_process(&one.server.process, SIGSTOP);
    run_sql(conn, "UPDATE leases SET token = token + 1, holder = 'another', until_ms = 9000000000000000");
    run_sql(conn, "COMMIT");
    signal_process(&one.server.process, SIGCONT);
    expect_soon(is_in_log(&one, "old changes were not forgotten"));
    expect_soon(is_in_log(&one, "bans that have passed could not be ended"));
    cr_assert(is_in_log(&one, "LEASE_LOST"));
    cr_assert_eq(revision_of(&one), before);
    cr_assert_eq(lifted(&one), 0);
    given_master(&one.admin, "goes on");
    run_sql(conn, "UPDATE leases SET until_ms = 0");
    PQfinish(conn);
    PQfinish(watch);
    // With a lease as long as this one the next question is far off; who starts anew asks at once.
    restart_server(&one.server);
    await_answers(&one);
    expect_soon(holds_lease(&one, 3));
    expect_soon(lifted(&one) == 1);
    end_world(&one);
}

// ---- Cut off

static void expect_change_refused(ez_world *w) {
    w->admin.next = (ez_call_options){.timeout_ms = 1500, .max_retries = -1};
    ez_status status = try_call(&w->admin, NULL, "Masters/Create", "{'master':{'name':'lost'}}");
    cr_assert(status == EZ_UNAVAILABLE || status == EZ_DEADLINE_EXCEEDED, "%s: %s", ez_status_name(status),
              w->admin.error.message);
}

Test(servers, one_that_is_cut_off_serves_reads_and_comes_back, .timeout = 120) {
    begin_both(brief_lease);
    char through[EZ_TEST_URL_MAX];
    ez_forwarder *line = given_forwarder(one.server.database, through, sizeof through);
    stop_server(&two.server);
    snprintf(two.server.store, sizeof two.server.store, "%s", through);
    start_server(&two.server);
    await_answers(&two);
    stop_server(&one.server);
    expect_soon(holds_lease(&two, 2)); // the one that is to be cut off does the background work
    start_server(&one.server);
    await_answers(&one);
    expect_soon(follows_by(&two, "notify"));
    given_master(&one.admin, "before");
    expect_soon(are_equal());
    close_forwarder(line);
    expect_soon(holds_lease(&one, 3));
    given_master(&one.admin, "meanwhile");
    cr_assert_eq(((Ez__V1__ListMastersResponse *)ask(&two.admin, "Masters/List", "{}"))->n_items, 1);
    expect_soon(follows_by(&two, "poll"));
    // What may have been made elsewhere is not said to be missing. A dry run looks for no key of the store: its handler
    // runs, and what that refuses is not known to be so. A commit that was under way when the line was cut is tried for
    // 20 s, and the writer does nothing else; then it is said at once.
    static const char nobody[] = "{'id':4711,'master':{'group':'g'},'update_mask':['group']}";
    for (int i = 0; i < 3; i++) {
        uint32_t timeout_ms = i == 0 ? 30000 : 10000;
        two.admin.next.timeout_ms = timeout_ms;
        expect_refused(&two.admin, EZ_UNAVAILABLE, NULL, "Masters/Update", nobody);
        two.admin.next = (ez_call_options){.timeout_ms = timeout_ms, .validate_only = true};
        expect_refused(&two.admin, EZ_UNAVAILABLE, "STORE_UNAVAILABLE", "Masters/Update", nobody);
    }
    expect_change_refused(&two);
    open_forwarder(line);
    expect_soon(follows_by(&two, "notify"));
    expect_soon(try_call(&two.admin, NULL, "Masters/Create", "{'master':{'name':'after'}}") == EZ_OK);
    expect_soon(are_equal());
    cr_assert(holds_lease(&one, 3));
    end_both();
    end_forwarder(line);
}

// ---- A pooler

static void flush_usage(ez_world *w, const char *token, int64_t key_id, int sequence) {
    ez_caller plane = caller_with(w, token);
    ask(&plane, "Usage/Flush", "{'epoch':7,'sequence':%d,'keys':[{'id':%" PRId64 ",'requests':1}]}", sequence, key_id);
}

static void ship_logs(ez_world *w, const char *token, int sequence) {
    ez_caller plane = caller_with(w, token);
    ask(&plane, "Logs/Ingest", "{'epoch':7,'sequence':%d,'records':[{'time':'%s','model':'m','status_code':200}]}",
        sequence, in_seconds(0));
}

static bool sees_logs(ez_world *w, size_t count) {
    return ((Ez__V1__ListLogsResponse *)ask(&w->admin, "Logs/List", "{}"))->n_items == count;
}

// fault_47: everything works through a pooler that gives out connections by transaction, three for all of a server's
// threads, but LISTEN; and the other server, which is not behind it, is told all the same.
Test(servers, fault_47_one_behind_a_pooler_polls_and_says_so, .timeout = 120) {
    begin_both(brief_lease);
    given_pooler();
    stop_server(&one.server);
    pooler_url(one.server.database, one.server.store);
    start_server(&one.server);
    await_answers(&one);
    expect_soon(is_in_log(&one, "LISTEN hears nothing"));
    cr_assert(follows_by(&one, "poll"));
    expect_soon(follows_by(&two, "notify"));
    ez_writers writers;
    given_writers(&writers, &one, 3);
    const Ez__V1__Key *key = given_key(&two.admin, given_master(&two.admin, "acme")->id, "web");
    const char *token = given_plane(&two.admin, "edge")->token;
    expect_soon(are_equal()); // by the poll
    for (int round = 1; round <= 4; round++) {
        await_writes(&writers, 40);
        flush_usage(&one, token, key->id, round);
        ship_logs(&one, token, round);
        end_connections(one.server.database);
    }
    rest(&writers);
    expect_nothing_lost(&writers);
    expect_soon(are_equal());
    expect_soon(sees_logs(&two, 4));
    expect_soon(((Ez__V1__Key *)ask(&two.admin, "Keys/Get", "{'id':%" PRId64 "}", key->id))->request_count == 4);
    end_writers(&writers);
    end_both();
    end_pooler();
}
