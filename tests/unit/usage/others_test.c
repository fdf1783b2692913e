// SPDX-License-Identifier: Apache-2.0
//
// How often a server looks for what others have counted, with a clock that a test sets, over a store that says what a
// test wants.
#include <criterion/criterion.h>
#include <string.h>

#include "server/domain/usage/others.h"

#define SECOND_MS 1000

static uint64_t clock_ms;
static int looks[EZ_USAGE_TABLES];
static int64_t elsewhere[EZ_USAGE_TABLES]; // what the row 1 of a table stands at
static ez_counters *counters;
static ez_others others;

uint64_t __wrap_ez_clock_mono_ms(void);
uint64_t __wrap_ez_clock_mono_ms(void) {
    return clock_ms;
}

const ez_entry *__wrap_ez_directory_next(const ez_directory *directory, int kind, int64_t after, bool descending);
const ez_entry *__wrap_ez_directory_next(const ez_directory *directory, int kind, int64_t after, bool descending) {
    (void)directory, (void)kind, (void)after, (void)descending;
    return NULL;
}

ez_status __wrap_ez_store_usage_since(ez_store *store, ez_usage_table table, int64_t since_ns, int64_t after,
                                      int64_t until, ez_usage_total_fn *each, void *user, ez_error *error);
ez_status __wrap_ez_store_usage_since(ez_store *store, ez_usage_table table, int64_t since_ns, int64_t after,
                                      int64_t until, ez_usage_total_fn *each, void *user, ez_error *error) {
    (void)store, (void)since_ns, (void)after, (void)until, (void)error;
    ez_usage_sums total = {.requests = elsewhere[table]};
    looks[table]++;
    if (elsewhere[table])
        each(user, table, 1, &total);
    return EZ_OK;
}

static void begin(void) {
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_counters_create(&counters, &error), EZ_OK);
    clock_ms = 1000 * SECOND_MS;
    others = (ez_others){.counters = counters, .total = ez_counters_note, .user = counters};
    ez_others_init(&others);
}

static void end(void) {
    ez_counters_destroy(counters);
}

TestSuite(usage_others, .init = begin, .fini = end);

// Steps ten times a second.
static void pass_s(int seconds) {
    memset(looks, 0, sizeof looks);
    for (int i = 0; i < 10 * seconds; i++) {
        bool more;
        ez_others_step(&others, &more);
        clock_ms += SECOND_MS / 10;
    }
}

static int64_t known(ez_usage_table table) {
    ez_usage_sums sums;
    ez_counters_get(counters, table, 1, &sums);
    return sums.requests;
}

Test(usage_others, what_comes_from_elsewhere_is_looked_for_often) {
    for (int minute = 1; minute <= 5; minute++) {
        elsewhere[EZ_USAGE_MASTERS] = minute;
        pass_s(50);
        cr_assert_eq(looks[EZ_USAGE_MASTERS], 50);
        cr_assert_eq(looks[EZ_USAGE_KEYS], 10);
        cr_assert_eq(known(EZ_USAGE_MASTERS), minute);
    }
}

Test(usage_others, a_server_alone_leaves_the_large_tables_in_peace) {
    pass_s(120);
    pass_s(600);
    cr_assert_eq(looks[EZ_USAGE_KEYS], 10);
    cr_assert_eq(looks[EZ_USAGE_API_KEYS], 10);
    cr_assert_eq(looks[EZ_USAGE_GROUPS], 120);
    cr_assert_eq(looks[EZ_USAGE_MASTERS], 120);
}

Test(usage_others, it_learns_soon_that_it_is_not_alone_any_more) {
    pass_s(120);
    elsewhere[EZ_USAGE_MASTERS] = elsewhere[EZ_USAGE_KEYS] = 9;
    pass_s(11);
    cr_assert_eq(known(EZ_USAGE_MASTERS), 9);
    cr_assert_eq(known(EZ_USAGE_KEYS), 9);
    pass_s(10);
    cr_assert_eq(looks[EZ_USAGE_MASTERS], 10);
    cr_assert_eq(looks[EZ_USAGE_KEYS], 2);
}

Test(usage_others, what_only_a_large_table_tells_is_found_within_a_minute) {
    pass_s(120);
    elsewhere[EZ_USAGE_API_KEYS] = 9;
    pass_s(61);
    cr_assert_eq(known(EZ_USAGE_API_KEYS), 9);
}
