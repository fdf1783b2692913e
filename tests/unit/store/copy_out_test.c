// SPDX-License-Identifier: Apache-2.0
//
// Rows of numbers over COPY, on a connection of its own: all of them, and what is left after one that fails.
#include <criterion/criterion.h>

#include "proto/runtime/clock.h"
#include "server/state/store/postgres/copy_out.h"
#include "tests/unit/store/support.h"

#define MANY 100000

static place at;
static ez_pg_conn conn;
static int64_t rows, sum, fails_at;
static ez_error error;

static void begin(void) {
    given_place(&at);
    ez_pg_init(&conn, at.url, "here");
    cr_assert_eq(ez_pg_ready(&conn, false, ez_clock_mono_ms() + EZ_PG_READER_MS, &error), EZ_OK, "%s", error.message);
}

static void finish(void) {
    ez_pg_drop(&conn);
    drop_place(&at);
}

TestSuite(store_copy_out, .init = begin, .fini = finish, .timeout = 60);

static ez_status take(void *user, const int64_t *numbers, ez_error *why) {
    (void)user;
    cr_assert_eq(numbers[1], -numbers[0]);
    sum += numbers[0];
    rows++;
    return rows == fails_at ? ez_error_set(why, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no room") : EZ_OK;
}

static ez_status copy(const char *text) {
    rows = sum = 0;
    ez_error_clear(&error);
    ez_pg_copy_out run = {.text = text, .columns = 2, .row = take};
    return ez_pg_copy_out_run(&conn, &run, ez_clock_mono_ms() + EZ_PG_READER_MS, &error);
}

static const char all_text[] =
    "COPY (SELECT n, -n FROM generate_series(1::bigint, 100000) AS s (n)) TO STDOUT (FORMAT binary)";

static void expect_all(void) {
    cr_assert_eq(copy(all_text), EZ_OK, "%s", error.message);
    cr_expect_eq(rows, MANY);
    cr_expect_eq(sum, (int64_t)MANY * (MANY + 1) / 2);
}

Test(store_copy_out, all_rows_come) {
    expect_all();
    cr_expect_eq(copy("COPY (SELECT 1::bigint, -1::bigint WHERE false) TO STDOUT (FORMAT binary)"), EZ_OK);
    cr_expect_eq(rows, 0);
    expect_all();
}

// The rest was not read: the connection was lost, and a query that had not begun was asked twice.
Test(store_copy_out, a_statement_that_fails_leaves_the_connection) {
    static const char *const texts[] = {
        "COPY (SELECT n / (n - 1), 1::bigint FROM generate_series(1::bigint, 9) AS s (n)) TO STDOUT (FORMAT binary)",
        "COPY (SELECT n, -n / least(1, 50001 - n) FROM generate_series(1::bigint, 60000) n) TO STDOUT (FORMAT binary)",
        "COPY nothing_of_that_name TO STDOUT (FORMAT binary)"};
    const int64_t come[] = {0, 50000, 0};
    for (size_t i = 0; i < 3; i++) {
        cr_expect_neq(copy(texts[i]), EZ_OK);
        cr_expect_eq(rows, come[i]);
        cr_assert_not_null(conn.pg, "%zu", i);
        expect_all();
    }
}

Test(store_copy_out, a_row_that_is_not_taken_ends_the_connection) {
    fails_at = 10;
    cr_expect_eq(copy(all_text), EZ_RESOURCE_EXHAUSTED);
    cr_expect_str_eq(error.reason, "NO_MEMORY");
    cr_expect_eq(rows, 10);
    cr_expect_null(conn.pg);
}

Test(store_copy_out, rows_of_another_form_are_refused) {
    cr_expect_eq(copy("COPY (SELECT 1::bigint) TO STDOUT (FORMAT binary)"), EZ_INTERNAL);
    cr_expect_str_eq(error.reason, "STORE_STRANGE_ROW");
    cr_expect_null(conn.pg);
}

Test(store_copy_out, narrower_numbers_are_refused) {
    cr_expect_eq(copy("COPY (SELECT 1::int4, 2::int4) TO STDOUT (FORMAT binary)"), EZ_INTERNAL);
    cr_expect_str_eq(error.reason, "STORE_STRANGE_ROW");
}
