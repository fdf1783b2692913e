// SPDX-License-Identifier: Apache-2.0
//
// Usage and logs on PostgreSQL where connections break, and where two servers write at once: what is told to a data
// plane, and what its repeat then finds.
#include <criterion/criterion.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/store/fixture.h"
#include "tests/unit/store/log_model.h"
#include "tests/unit/store/relay.h"

#define NOW (INT64_C(20000) * DAY_NS)

static void setup(void) {
    cr_assert(is_postgres(), "run this with EZ_TEST_STORE=postgres");
    given_store();
}

TestSuite(store_postgres_meter, .init = setup, .fini = drop_store, .timeout = 100);

static const ez_usage_row one_request = {.table = EZ_USAGE_KEYS, .id = 1, .add = {.requests = 1}};

static ez_status add_usage(ez_store *to, uint64_t sequence, ez_mark *mark, ez_error *error) {
    ez_usage_batch batch = {
        .mark = {.data_plane_id = 1, .epoch = 2, .sequence = sequence}, .rows = &one_request, .row_count = 1};
    ez_status status = ez_store_add_usage(to, &batch, 1, NOW, NULL, NULL, error);
    *mark = batch.mark;
    return status;
}

static ez_status add_log(ez_store *to, uint64_t sequence, ez_mark *mark, ez_error *error) {
    ez_log_row row = random_record(NOW);
    row.body = (ez_slice){(const uint8_t *)"b", 1};
    ez_log_batch batch = {.mark = {.data_plane_id = 1, .epoch = 2, .sequence = sequence}, .rows = &row, .row_count = 1};
    ez_status status = ez_store_add_logs(to, &batch, 1, NOW, error);
    *mark = batch.mark;
    return status;
}

typedef ez_status adder(ez_store *to, uint64_t sequence, ez_mark *mark, ez_error *error);

static void expect_total(adder *add, long long want) {
    if (add == add_usage) {
        cr_assert_eq(number_of(&at, "SELECT requests FROM key_usage WHERE id = 1"), want);
        return;
    }
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM log_records"), want);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM log_bodies"), want);
    cr_assert_eq(number_of(&at, "SELECT records FROM log_days"), want);
    cr_assert_eq(number_of(&at, "SELECT sum(requests) FROM rollups WHERE level = 1"), want);
}

// The connection breaks around COMMIT: nobody knows, and the repeat tells.
static void lose_a_commit(adder *add, relay_end end, ez_mark_outcome outcome) {
    relay *wire = relay_start(getenv("EZ_TEST_POSTGRES"));
    place through = at;
    relay_url(wire, at.url, through.url, sizeof through.url);
    ez_store *other = open_store(&through);
    ez_mark mark;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(add(other, 1, &mark, &error), EZ_OK, "%s", error.message);
    relay_cut(wire, "COMMIT", end);
    expect_error(add(other, 2, &mark, &error), &error, EZ_UNAVAILABLE, "COMMIT_UNKNOWN", "again");
    cr_assert_eq(relay_cuts(wire), 1u);
    cr_assert_eq(add(other, 2, &mark, &error), EZ_OK, "%s", error.message);
    cr_assert_eq(mark.outcome, outcome);
    cr_assert_eq(add(other, 3, &mark, &error), EZ_OK, "%s", error.message);
    cr_assert_eq(mark.outcome, EZ_MARK_TAKEN);
    expect_total(add, 3);
    ez_store_close(other);
    relay_stop(wire);
}

Test(store_postgres_meter, lost_answer_to_usage_is_a_repeat) {
    lose_a_commit(add_usage, RELAY_LOSE_ANSWER, EZ_MARK_REPEATED);
}

Test(store_postgres_meter, lost_usage_is_taken_again) {
    lose_a_commit(add_usage, RELAY_LOSE_REQUEST, EZ_MARK_TAKEN);
}

Test(store_postgres_meter, lost_answer_to_logs_is_a_repeat) {
    lose_a_commit(add_log, RELAY_LOSE_ANSWER, EZ_MARK_REPEATED);
}

Test(store_postgres_meter, lost_logs_are_taken_again) {
    lose_a_commit(add_log, RELAY_LOSE_REQUEST, EZ_MARK_TAKEN);
}

// The server is still at the COMMIT when the repeat comes: it has to wait for it, not to look past it.
Test(store_postgres_meter, a_repeat_waits_for_a_slow_commit) {
    sql(&at,
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN NULL; END'");
    sql(&at,
        "CREATE CONSTRAINT TRIGGER slow AFTER INSERT OR UPDATE ON marks DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
        "EXECUTE FUNCTION slow()");
    lose_a_commit(add_usage, RELAY_LEAVE, EZ_MARK_REPEATED);
    lose_a_commit(add_log, RELAY_LEAVE, EZ_MARK_REPEATED);
}

// Before COMMIT nothing can have happened: it is tried again, by itself.
static void lose_before_commit(adder *add, const char *word) {
    relay *wire = relay_start(getenv("EZ_TEST_POSTGRES"));
    place through = at;
    relay_url(wire, at.url, through.url, sizeof through.url);
    ez_store *other = open_store(&through);
    ez_mark mark;
    ez_error error = EZ_ERROR_INIT;
    relay_cut(wire, word, RELAY_LOSE_ANSWER);
    cr_assert_eq(add(other, 1, &mark, &error), EZ_OK, "%s", error.message);
    cr_assert_eq(mark.outcome, EZ_MARK_TAKEN);
    cr_assert_eq(relay_cuts(wire), 1u);
    expect_total(add, 1);
    ez_store_close(other);
    relay_stop(wire);
}

Test(store_postgres_meter, usage_lost_before_commit_is_tried_again) {
    lose_before_commit(add_usage, "INSERT INTO marks");
}

Test(store_postgres_meter, logs_lost_in_a_copy_are_tried_again) {
    lose_before_commit(add_log, "COPY log_bodies");
}

Test(store_postgres_meter, logs_lost_before_commit_are_tried_again) {
    lose_before_commit(add_log, "UPDATE log_head");
}

// Rows that this process knows may be gone: it finds out and adds them anew.
Test(store_postgres_meter, rollup_rows_that_vanished_come_again) {
    ez_mark mark;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(add_log(store, 1, &mark, &error), EZ_OK, "%s", error.message);
    sql(&at, "DELETE FROM rollups");
    for (uint64_t sequence = 2; sequence < 5; sequence++)
        cr_assert_eq(add_log(store, sequence, &mark, &error), EZ_OK, "%s", error.message);
    cr_assert_eq(number_of(&at, "SELECT sum(requests) FROM rollups WHERE level = 1"), 3);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM log_records"), 4);
}

// ---- Two servers

enum { calls = 40, keys = 300 };

typedef struct racer {
    pthread_t thread;
    ez_store *store;
    int64_t plane;
    unsigned seed;
} racer;

static void race_once(racer *me, uint64_t sequence) {
    ez_usage_row usage[keys];
    ez_log_row logs[20];
    ez_error error = EZ_ERROR_INIT;
    for (int i = 0; i < keys; i++) // in any order: what locks rows as they come would deadlock
        usage[i] = (ez_usage_row){.table = EZ_USAGE_KEYS, .id = 1 + rand_r(&me->seed) % keys, .add = {.requests = 1}};
    for (int i = 0; i < 20; i++)
        logs[i] = (ez_log_row){.time_ns = NOW + (int64_t)(rand_r(&me->seed) % 7) * DAY_NS, .key_id = i % 5};
    ez_usage_batch usage_batch = {
        .mark = {.data_plane_id = me->plane, .epoch = 2, .sequence = sequence}, .rows = usage, .row_count = keys};
    ez_log_batch log_batch = {
        .mark = {.data_plane_id = me->plane, .epoch = 2, .sequence = sequence}, .rows = logs, .row_count = 20};
    cr_assert_eq(ez_store_add_usage(me->store, &usage_batch, 1, NOW, NULL, NULL, &error), EZ_OK, "%s", error.message);
    cr_assert_eq(ez_store_add_logs(me->store, &log_batch, 1, NOW, &error), EZ_OK, "%s", error.message);
    bool more = false;
    if (sequence % 3 == 0)
        cr_assert_eq(ez_store_fold_rollups(me->store, EZ_NO_FENCE, NOW + 8 * DAY_NS, &more, &error), EZ_OK, "%s",
                     error.message);
}

static void *race(void *user) {
    racer *me = user;
    for (uint64_t sequence = 1; sequence <= calls; sequence++)
        race_once(me, sequence);
    return NULL;
}

static void race_two(void) {
    racer racers[2] = {{.store = store, .plane = 1, .seed = 1}, {.store = open_store(&at), .plane = 2, .seed = 2}};
    for (int i = 0; i < 2; i++)
        pthread_create(&racers[i].thread, NULL, race, &racers[i]);
    for (int i = 0; i < 2; i++)
        pthread_join(racers[i].thread, NULL);
    cr_assert_eq(number_of(&at, "SELECT sum(requests) FROM key_usage"), 2 * calls * keys);
    cr_assert_eq(number_of(&at, "SELECT count(DISTINCT id) FROM log_records"), 2 * calls * 20);
    cr_assert_eq(number_of(&at, "SELECT sum(records) FROM log_days"), 2 * calls * 20);
    cr_assert_eq(number_of(&at, "SELECT sum(requests) FROM rollups WHERE level = 5 AND step = 60"), 2 * calls * 20);
    fold_all(store, NOW + 9 * DAY_NS);
    cr_assert_eq(number_of(&at, "SELECT sum(requests) FROM rollups WHERE level = 4 AND step = 86400"), 2 * calls * 20);
    ez_store_close(racers[1].store);
}

Test(store_postgres_meter, two_servers_lose_nothing) {
    race_two();
}

Test(store_postgres_meter, serialization_failures_are_tried_again) {
    char text[160];
    snprintf(text, sizeof text, "ALTER DATABASE %s SET default_transaction_isolation = 'serializable'", at.database);
    sql(NULL, text);
    ez_store_close(store);
    store = open_store(&at);
    race_two();
}

// A query that reads a day keeps it from being dropped; the caller is told, and nothing waits for long.
Test(store_postgres_meter, a_day_that_is_read_is_dropped_later) {
    ez_mark mark;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(add_log(store, 1, &mark, &error), EZ_OK, "%s", error.message);
    PGconn *reader = PQconnectdb(at.url);
    PQclear(PQexec(reader, "BEGIN; SELECT count(*) FROM log_records"));
    cr_assert_eq(PQtransactionStatus(reader), PQTRANS_INTRANS);
    ez_log_limits limits = {.before_ns = NOW + 2 * DAY_NS};
    bool more = false;
    ez_status status = ez_store_trim_logs(store, EZ_NO_FENCE, &limits, NOW, 100, &more, &error);
    expect_error(status, &error, EZ_UNAVAILABLE, "STORE_BUSY", "lock");
    cr_assert_eq(number_of(&at, "SELECT records FROM log_days"), 1);
    PQfinish(reader);
    cr_assert_eq(ez_store_trim_logs(store, EZ_NO_FENCE, &limits, NOW, 100, &more, &error), EZ_OK, "%s", error.message);
    cr_assert(more);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'log_records'::regclass"), 0);
}
