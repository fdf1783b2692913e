// SPDX-License-Identifier: Apache-2.0
//
// What is PostgreSQL's alone: connections that break at the worst moment, several servers on one database, and what its
// errors may show. Backends are ended with pg_terminate_backend, found by the name of the test's database. Breaking off
// a commit needs a hand on the wire: a relay that passes bytes on until it sees the message that says COMMIT.
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/store/fixture.h"
#include "tests/unit/store/relay.h"

static char out[16384];

static void setup(void) {
    cr_assert(is_postgres(), "run this with EZ_TEST_STORE=postgres");
    given_store();
}

TestSuite(store_postgres, .init = setup, .fini = drop_store);

// Ends every connection to the test's database, from another one; gives how many there were.
static long long end_connections(void) {
    char text[256];
    snprintf(text, sizeof text,
             "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE datname = '%s'", at.database);
    return sql(NULL, text);
}

Test(store_postgres, connection_lost_between_commits_is_survived) {
    for (uint64_t n = 1; n <= 5; n++) {
        commit_many(store, 1);
        cr_assert_geq(end_connections(), 1);
        cr_assert_eq(head_of(store).n, n);
        cr_assert_geq(end_connections(), 1);
        bool more = true;
        ez_error error = EZ_ERROR_INIT;
        cr_assert_eq(ez_store_trim(store, EZ_NO_FENCE, 1, 0, 10, &more, &error), EZ_OK, "%s", error.message);
        cr_assert_geq(end_connections(), 1);
    }
    cr_assert_str_eq(rows_text(store, KIND_MASTER, out, sizeof out), "1:1:1 2:2:2 3:3:3 4:4:4 5:5:5");
}

static void ping(ez_reader *reader, void *user) {
    *(ez_status *)user = ez_reader_ping(reader, NULL);
}

Test(store_postgres, readers_connect_again) {
    ez_status status = EZ_INTERNAL;
    for (int i = 0; i < 4; i++) {
        on_reader(store, ping, &status);
        cr_assert_eq(status, EZ_OK);
        cr_assert_geq(end_connections(), 1);
    }
}

// Breaks the connection around COMMIT. Nobody may be told "committed" where it was not, nor that nothing happened where
// it did; and the head that is read next must be the one that stays.
static void lose_a_commit(relay_end end, uint64_t want_n) {
    relay *wire = relay_start(getenv("EZ_TEST_POSTGRES"));
    place through = at;
    relay_url(wire, at.url, through.url, sizeof through.url);
    ez_store *other = open_store(&through);
    ez_store_head head = head_of(other);
    group one;
    group_start(&one, &head);
    group_put(&one, KIND_MASTER, 1, "x");
    group_audit(&one, "a", "b", "c");
    relay_cut(wire, "COMMIT", end);
    ez_error error = EZ_ERROR_INIT;
    ez_status status = ez_store_commit(other, &one.group, &error);
    expect_error(status, &error, EZ_UNAVAILABLE, "COMMIT_UNKNOWN", "read the head");
    cr_assert_eq(relay_cuts(wire), 1u);
    cr_assert_eq(head_of(other).n, want_n); // the same store, on a new connection
    cr_assert_eq(head_of(other).next_audit_id, (int64_t)want_n + 1);
    commit_many(other, 1);
    ez_store_close(other);
    relay_stop(wire);
}

Test(store_postgres, lost_answer_to_a_commit_is_unknown, .timeout = 60) {
    lose_a_commit(RELAY_LOSE_ANSWER, 1);
}

Test(store_postgres, lost_commit_is_unknown, .timeout = 60) {
    lose_a_commit(RELAY_LOSE_REQUEST, 0);
}

// The server is still busy committing when the head is read again: it must be waited for, not read past.
Test(store_postgres, slow_commit_is_waited_for, .timeout = 60) {
    sql(&at,
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN NULL; END'");
    sql(&at,
        "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON changes DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE "
        "FUNCTION slow()");
    lose_a_commit(RELAY_LEAVE, 1);
}

// Before COMMIT was sent nothing can have happened, and the group is tried again by itself, to one revision.
Test(store_postgres, connection_lost_before_commit_is_tried_again, .timeout = 60) {
    relay *wire = relay_start(getenv("EZ_TEST_POSTGRES"));
    place through = at;
    relay_url(wire, at.url, through.url, sizeof through.url);
    ez_store *other = open_store(&through);
    relay_cut(wire, "INSERT INTO audit", RELAY_LOSE_ANSWER);
    commit_many(other, 1);
    cr_assert_eq(relay_cuts(wire), 1u);
    cr_assert_eq(head_of(other).n, 1u);
    cr_assert_str_eq(changes_text(other, 0, 9, 0, out, sizeof out), "1.0+1/1=1");
    ez_store_close(other);
    relay_stop(wire);
}

typedef struct racer {
    pthread_t thread;
    ez_store *store;
    unsigned wins, losses;
    int64_t base;
} racer;

enum { wins_each = 60 };

static void *race(void *user) {
    racer *me = user;
    while (me->wins < wins_each) {
        ez_store_head head = head_of(me->store);
        group one;
        group_start(&one, &head);
        group_put(&one, KIND_MASTER, me->base + me->wins, "r");
        group_audit(&one, "a", "b", "c");
        ez_error error = EZ_ERROR_INIT;
        ez_status status = ez_store_commit(me->store, &one.group, &error);
        cr_assert(status == EZ_OK || status == EZ_ABORTED, "%s", error.message);
        *(status ? &me->losses : &me->wins) += 1;
    }
    return NULL;
}

static void race_two(void) {
    racer racers[2] = {{.store = store, .base = 1000}, {.store = open_store(&at), .base = 2000}};
    for (int i = 0; i < 2; i++)
        pthread_create(&racers[i].thread, NULL, race, &racers[i]);
    for (int i = 0; i < 2; i++)
        pthread_join(racers[i].thread, NULL);
    ez_store_head head = head_of(store);
    cr_assert_eq(head.n, 2u * wins_each);
    cr_assert_eq(head.next_audit_id, 2 * wins_each + 1);
    cr_assert_eq(sql(&at, "SELECT count(*) FROM masters"), 2 * wins_each);
    cr_assert_eq(sql(&at, "SELECT count(*) FROM changes"), 2 * wins_each);
    cr_assert_eq(sql(&at, "SELECT count(DISTINCT n) FROM changes WHERE n BETWEEN 1 AND 120"), 2 * wins_each);
    ez_store_close(racers[1].store);
}

Test(store_postgres, fault_37_two_servers_lose_no_commit, .timeout = 60) {
    race_two();
}

// A database whose transactions are serializable by default refuses the loser of a race instead of letting it look
// again.
Test(store_postgres, fault_46_serialization_failures_are_tried_again, .timeout = 60) {
    char text[160];
    snprintf(text, sizeof text, "ALTER DATABASE %s SET default_transaction_isolation = 'serializable'", at.database);
    sql(NULL, text);
    ez_store_close(store);
    store = open_store(&at);
    race_two();
}

typedef struct opener {
    pthread_t thread;
    ez_store *store;
} opener;

static void *open_one(void *user) {
    ((opener *)user)->store = open_store(&at);
    return NULL;
}

// The schema is made under a lock: servers that start together on an empty database make one store.
Test(store_postgres, servers_may_start_together, .timeout = 60) {
    opener openers[4];
    ez_store_close(store);
    drop_place(&at);
    given_place(&at);
    for (int i = 0; i < 4; i++)
        pthread_create(&openers[i].thread, NULL, open_one, &openers[i]);
    for (int i = 0; i < 4; i++) {
        pthread_join(openers[i].thread, NULL);
        cr_assert_eq(head_of(openers[i].store).n, 0u);
        ez_store_close(openers[i].store);
    }
    cr_assert_eq(sql(&at, "SELECT count(*) FROM feed_head"), 1);
    store = open_store(&at);
}

static ez_status open_url_within(const char *url, uint32_t timeout_ms, ez_error *error) {
    ez_store_options options = options_for(&at);
    options.url = url;
    options.connect_timeout_ms = timeout_ms;
    ez_store *other = NULL;
    ez_status status = ez_store_open(&options, &other, error);
    ez_store_close(other);
    return status;
}

static ez_status open_url(const char *url, ez_error *error) {
    return open_url_within(url, 400, error);
}

Test(store_postgres, newer_schema_is_refused) {
    sql(&at, "UPDATE ez_schema SET version = 4711");
    ez_error error = EZ_ERROR_INIT;
    expect_error(open_url_within(at.url, 3000, &error), &error, EZ_FAILED_PRECONDITION, "SCHEMA_NEWER", "4711");
}

Test(store_postgres, no_server_is_unavailable) {
    ez_error error = EZ_ERROR_INIT;
    ez_status status = open_url("postgres://ez:hunter2@127.0.0.1:1/nowhere", &error);
    expect_error(status, &error, EZ_UNAVAILABLE, "STORE_UNREACHABLE", "127.0.0.1:1/nowhere");
    cr_assert_null(strstr(error.message, "hunter2"));
}

// A password with raw characters shifts the URL's parts; none of it may come out.
Test(store_postgres, broken_urls_show_nothing_of_the_password) {
    static const char *const urls[] = {
        "postgres://ez:hun@ter2@127.0.0.1:1/d", "postgres://ez:hun/ter2@127.0.0.1:1/d", "postgres://ez:1/ter2@h/d",
        "postgres://ez:hun?ter2@127.0.0.1/d",   "postgres://ez:hun%zzter2@127.0.0.1/d", "postgres://ez:hunter2@[::1/d",
        "postgresql://ez:hun#ter2@h:x/d",
    };
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        ez_error error = EZ_ERROR_INIT;
        ez_status status = open_url(urls[i], &error);
        cr_assert(status == EZ_INVALID_ARGUMENT || status == EZ_UNAVAILABLE, "%s: %s", urls[i], error.message);
        cr_assert_null(strstr(error.message, "ter2"), "%s", error.message);
        cr_assert_null(strstr(error.message, "hun"), "%s", error.message);
    }
}

Test(store_postgres, wrong_password_is_not_shown) {
    char url[512];
    const char *host = strchr(at.url, '@');
    snprintf(url, sizeof url, "postgres://ez:hunter2%s", host);
    ez_error error = EZ_ERROR_INIT;
    ez_status status = open_url_within(url, 3000, &error);
    cr_assert_eq(status, EZ_UNAVAILABLE, "%s", error.message);
    cr_assert_not_null(strstr(error.message, "password"), "%s", error.message);
    cr_assert_null(strstr(error.message, "hunter2"));
}

// A server whose write is refused for a reason that may pass: nothing is written, and the connection is good again.
Test(store_postgres, refused_statement_rolls_everything_back) {
    sql(&at, "ALTER TABLE audit ADD CONSTRAINT broken CHECK (actor <> 'bad')");
    ez_store_head head = head_of(store);
    group one;
    group_start(&one, &head);
    group_put(&one, KIND_MASTER, 1, "x");
    group_audit(&one, "bad", "b", "secret-request");
    ez_error error = EZ_ERROR_INIT;
    ez_status status = ez_store_commit(store, &one.group, &error);
    expect_error(status, &error, EZ_INTERNAL, "STORE_ERROR", "broken");
    cr_assert_null(strstr(error.message, "secret-request")); // the detail quotes the row
    cr_assert_eq(head_of(store).n, 0u);
    cr_assert_str_eq(rows_text(store, KIND_MASTER, out, sizeof out), "");
    commit_put(store, KIND_MASTER, 1, "y");
    cr_assert_eq(head_of(store).n, 1u);
}
