// SPDX-License-Identifier: Apache-2.0
//
// Stores of older steps, as their own statements made them, brought up to date with what they hold.
#include "server/state/store/migrations/migrations.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/cleanup.h"
#include "tests/unit/store/log_model.h"

static place at;

static void setup(void) {
    given_place(&at);
    FILE *empty = is_postgres() ? NULL : fopen(at.path, "w"); // which SQLite takes for a database
    if (empty)
        fclose(empty);
}

static void teardown(void) {
    drop_place(&at);
}

TestSuite(store_migration, .init = setup, .fini = teardown);

static void run(const char *statement) {
    ez_auto(ez_buf) text;
    ez_buf_init(&text, 16384);
    ez_dialect dialect = is_postgres() ? EZ_DIALECT_POSTGRES : EZ_DIALECT_SQLITE;
    cr_assert_eq(ez_migration_render(statement, dialect, &text), EZ_OK);
    if (strncmp(ez_buf_cstr(&text), "--", 2) != 0)
        free(rows_of(&at, ez_buf_cstr(&text)));
}

static void given_step(int version) {
    char text[64];
    run("CREATE TABLE ez_schema (one @KEY@ CHECK (one = 1), version @INT@ NOT NULL)");
    for (size_t i = 0; i < ez_migration_count && ez_migrations[i].version <= version; i++) {
        for (const char *const *statement = ez_migrations[i].statements; *statement; statement++)
            run(*statement);
    }
    snprintf(text, sizeof text, "INSERT INTO ez_schema (one, version) VALUES (1, %d)", version);
    run(text);
}

static void given_total(int step, int64_t time_s, int requests) {
    char text[512];
    snprintf(
        text, sizeof text,
        "INSERT INTO rollups SELECT %d, %d, %lld, 0, 0, '', %d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, "
        "0, 0, 0, 0, 0",
        step, EZ_ROLLUP_TOTAL, (long long)time_s, requests);
    run(text);
}

static ez_status take(void *user, const ez_stats_row *row, ez_error *error) {
    (void)error;
    *(int64_t *)user = row->sums.requests;
    return EZ_OK;
}

static void ask(ez_reader *reader, void *user) {
    ez_stats_query query = {.by = EZ_STATS_TOTAL, .since_s = 0, .until_s = INT64_C(1) << 32};
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_reader_each_stat(reader, &query, take, user, &error), EZ_OK, "%s", error.message);
}

static int64_t requests(ez_store *store) {
    int64_t sum = 0;
    on_reader(store, ask, &sum);
    return sum;
}

// Step 6 knew hours and days as stale: some of their rows were right, some half folded, none may be used.
Test(store_migration, what_was_stale_is_folded_anew) {
    const int64_t day_s = 20000 * INT64_C(86400), hour_s = day_s + 5 * 3600;
    given_step(6);
    run("UPDATE log_head SET next_id = 11, minutes_from_s = 86400, hours_from_s = 86400");
    given_total(60, hour_s + 600, 7);
    given_total(3600, hour_s, 4); // of a fold before the last record came
    given_total(3600, hour_s - 3600, 3);
    given_total(86400, day_s, 2);
    char text[256];
    snprintf(text, sizeof text, "INSERT INTO rollup_stale VALUES (3600, %lld, %lld, 3), (86400, %lld, %lld, 0)",
             (long long)hour_s, (long long)hour_s, (long long)day_s, (long long)hour_s);
    run(text);
    ez_store *store = open_store(&at);
    cr_assert_eq(requests(store), 10);
    fold_all(store, (hour_s + 1800) * SECOND_NS);
    cr_assert_eq(requests(store), 10);
    fold_all(store, (day_s + 2 * 86400) * SECOND_NS);
    cr_assert_eq(requests(store), 10);
    cr_assert_eq(number_of(&at, "SELECT requests FROM rollups WHERE step = 86400"), 10);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM rollup_open"), 0);
    ez_store_close(store);
}
