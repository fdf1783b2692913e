// SPDX-License-Identifier: Apache-2.0
//
// Five servers on one PostgreSQL at once, with clocks that differ: three add, two fold and forget, in each isolation
// that a database may be set to.
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/store/sum_check.h"

#define NOW     (INT64_C(20000) * DAY_NS + 13 * HOUR_NS + 1800 * SECOND_NS)
#define ADDERS  3
#define BATCHES 50
#define ROWS    20
#define TRIES   50 // of a batch, where the others win each time

static place at;
static log_model model;
static _Atomic bool are_done;

static void setup(void) {
    given_place(&at);
}

static void teardown(void) {
    drop_place(&at);
}

TestSuite(store_postgres_rollups, .init = setup, .fini = teardown, .timeout = 100);

typedef struct server {
    pthread_t thread;
    ez_store *store;
    int64_t now_ns;
    unsigned seed;
    ez_log_row rows[BATCHES * ROWS]; // of those that add
} server;

static void *add(void *user) {
    server *me = user;
    ez_error error = EZ_ERROR_INIT;
    for (int i = 0; i < BATCHES; i++) {
        ez_log_batch batch = {.rows = &me->rows[i * ROWS], .row_count = ROWS};
        int tries = 0;
        while (ez_store_add_logs(me->store, &batch, 1, me->now_ns, &error) != EZ_OK)
            cr_assert(++tries < TRIES && strcmp(error.reason, "STORE_CONFLICT") == 0, "%s", error.message);
    }
    return NULL;
}

static void *fold(void *user) {
    server *me = user;
    ez_error error = EZ_ERROR_INIT;
    ez_log_limits limits = {0};
    for (int i = 0; !are_done; i++) {
        bool more;
        int64_t now_ns = me->now_ns + rand_r(&me->seed) % 9000 * SECOND_NS;
        ez_status status = i % 20 == 0 ? ez_store_trim_logs(me->store, EZ_NO_FENCE, &limits, now_ns, 100, &more, &error)
                                       : ez_store_fold_rollups(me->store, EZ_NO_FENCE, now_ns, &more, &error);
        cr_assert(status == EZ_OK || strcmp(error.reason, "STORE_CONFLICT") == 0, "%s", error.message);
    }
    return NULL;
}

static void start(server *servers, size_t count) {
    static const int64_t off_s[] = {0, 3600, -3600, 0, 1800};
    for (size_t i = 0; i < count; i++) {
        server *one = &servers[i];
        one->store = open_store(&at);
        one->now_ns = NOW + off_s[i] * SECOND_NS;
        one->seed = (unsigned)i;
        for (size_t r = 0; i < ADDERS && r < BATCHES * ROWS; r++) {
            one->rows[r] = random_record(NOW - rand() % 9000 * SECOND_NS);
            model.rows[model.count++] = one->rows[r];
        }
    }
    for (size_t i = 0; i < count; i++)
        pthread_create(&servers[i].thread, NULL, i < ADDERS ? add : fold, &servers[i]);
}

static void race(const char *isolation) {
    static server servers[ADDERS + 2];
    char text[200];
    snprintf(text, sizeof text, "ALTER DATABASE %s SET default_transaction_isolation = '%s'", at.database, isolation);
    ez_store_close(open_store(&at));
    sql(NULL, text);
    start(servers, ADDERS + 2);
    for (int i = 0; i < ADDERS + 2; i++) {
        are_done = i >= ADDERS;
        pthread_join(servers[i].thread, NULL);
    }
    expect_rollups(&at, &model);
    expect_totals(&at, servers[0].store, &model, NOW, 40);
    fold_all(servers[0].store, NOW + 3 * DAY_NS);
    expect_rollups(&at, &model);
    expect_totals(&at, servers[0].store, &model, NOW, 40);
    for (int i = 0; i < ADDERS + 2; i++)
        ez_store_close(servers[i].store);
}

Test(store_postgres_rollups, five_servers_read_committed) {
    race("read committed");
}

Test(store_postgres_rollups, five_servers_repeatable_read) {
    race("repeatable read");
}

Test(store_postgres_rollups, five_servers_serializable) {
    race("serializable");
}
