// SPDX-License-Identifier: Apache-2.0
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>

#include "server/state/metering/counters.h"
#include "tests/support/expect.h"

static ez_counters *given_counters(void) {
    ez_counters *counters = NULL;
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_counters_create(&counters, &error), &error);
    return counters;
}

static ez_usage_sums of(int64_t n) {
    return (ez_usage_sums){n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, n + 7};
}

static void note(ez_counters *counters, ez_usage_table table, int64_t id, int64_t n) {
    ez_usage_sums sums = of(n);
    ez_counters_note(counters, table, id, &sums);
}

static int64_t requests_of(const ez_counters *counters, ez_usage_table table, int64_t id) {
    ez_usage_sums sums;
    ez_counters_get(counters, table, id, &sums);
    return sums.requests;
}

Test(counters, what_was_noted_last_is_read_and_tables_are_apart) {
    ez_counters *counters = given_counters();
    static const int64_t ids[] = {0, 1, 511, 512, 513, 2097151, 2097152, EZ_COUNTERS_ID_MAX};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        for (int t = 0; t < EZ_USAGE_TABLES; t++) {
            note(counters, (ez_usage_table)t, ids[i], 5);
            note(counters, (ez_usage_table)t, ids[i], (int64_t)(100 * i) + t);
        }
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        for (int t = 0; t < EZ_USAGE_TABLES; t++)
            cr_assert_eq(requests_of(counters, (ez_usage_table)t, ids[i]), (int64_t)(100 * i) + t);
    cr_assert_eq(ez_counters_count(counters, EZ_USAGE_KEYS), sizeof ids / sizeof ids[0]);
    ez_usage_sums sums, want = of(100);
    cr_assert(ez_counters_get(counters, EZ_USAGE_KEYS, 1, &sums));
    cr_assert_eq(memcmp(&sums, &want, sizeof sums), 0, "every number is where it belongs");
    ez_counters_destroy(counters);
}

Test(counters, what_was_never_counted_is_zero) {
    ez_counters *counters = given_counters();
    ez_usage_sums sums = of(1);
    cr_assert_not(ez_counters_get(counters, EZ_USAGE_MASTERS, 7, &sums));
    cr_assert_eq(sums.requests + sums.last_used_ns, 0);
    note(counters, EZ_USAGE_MASTERS, 7, 3);
    cr_assert_not(ez_counters_get(counters, EZ_USAGE_MASTERS, 8, &sums));
    cr_assert_not(ez_counters_get(counters, EZ_USAGE_MASTERS, -1, &sums));
    cr_assert_not(ez_counters_get(counters, EZ_USAGE_MASTERS, INT64_MAX, &sums));
    cr_assert_not(ez_counters_get(NULL, EZ_USAGE_MASTERS, 7, &sums));
    cr_assert_not(ez_counters_keep(counters, EZ_USAGE_MASTERS, EZ_COUNTERS_ID_MAX + 1, &sums));
    cr_assert(ez_counters_keep(counters, EZ_USAGE_MASTERS, 7, &sums));
    note(counters, EZ_USAGE_MASTERS, -1, 1);
    cr_assert_eq(ez_counters_count(counters, EZ_USAGE_MASTERS), 1, "ids beyond the bound are left to the store");
    ez_counters_destroy(counters);
}

typedef struct race {
    ez_counters *counters;
    atomic_bool is_over;
} race;

static void *read_rows(void *user) {
    race *r = user;
    int64_t last[4] = {0};
    bool is_whole = true;
    while (!atomic_load(&r->is_over))
        for (int64_t id = 0; id < 4; id++) {
            ez_usage_sums sums;
            if (!ez_counters_get(r->counters, EZ_USAGE_KEYS, id, &sums))
                continue;
            ez_usage_sums want = of(sums.requests);
            is_whole = is_whole && memcmp(&sums, &want, sizeof sums) == 0 && sums.requests >= last[id];
            last[id] = sums.requests;
        }
    return is_whole ? r : NULL;
}

Test(counters, a_reader_sees_a_row_whole_while_it_is_written) {
    race r = {.counters = given_counters()};
    pthread_t reader;
    cr_assert_eq(pthread_create(&reader, NULL, read_rows, &r), 0);
    for (int64_t n = 1; n < 300000; n++)
        note(r.counters, EZ_USAGE_KEYS, n % 4, n);
    atomic_store(&r.is_over, true);
    void *whole;
    pthread_join(reader, &whole);
    cr_assert_not_null(whole);
    ez_counters_destroy(r.counters);
}
