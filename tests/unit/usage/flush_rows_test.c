// SPDX-License-Identifier: Apache-2.0
#include <criterion/criterion.h>

#include "server/domain/usage/flush_rows.h"

static ez_arena arena;

static void begin(void) {
    ez_arena_init(&arena, 64u << 20);
}

static void end(void) {
    ez_arena_fini(&arena);
}

TestSuite(flush_rows, .init = begin, .fini = end);

Test(flush_rows, one_resource_is_one_row) {
    ez_flush_rows rows;
    cr_assert(ez_flush_rows_init(&rows, 8, &arena));
    ez_usage_sums sums = {1, 2, 3, 4, 5, 6, 7, 800};
    ez_flush_rows_add(&rows, EZ_USAGE_KEYS, 9, &sums);
    sums.last_used_ns = 300;
    ez_flush_rows_add(&rows, EZ_USAGE_KEYS, 9, &sums);
    ez_flush_rows_add(&rows, EZ_USAGE_MASTERS, 9, &sums);
    ez_flush_rows_add(&rows, EZ_USAGE_KEYS, 10, &sums);
    cr_assert_eq(rows.count, 3);
    ez_usage_sums want = {2, 4, 6, 8, 10, 12, 14, 800};
    cr_assert_eq(memcmp(&rows.rows[0].add, &want, sizeof want), 0, "sums, and the latest time");
    cr_assert_not(rows.is_too_much);
}

Test(flush_rows, as_many_as_a_flush_may_have) {
    ez_flush_rows rows;
    enum { COUNT = 150000 };
    cr_assert(ez_flush_rows_init(&rows, COUNT, &arena));
    ez_usage_sums sums = {.requests = 1};
    for (int twice = 0; twice < 2; twice++)
        for (int64_t id = 1; id <= COUNT; id++)
            ez_flush_rows_add(&rows, EZ_USAGE_API_KEYS, id * 512, &sums);
    cr_assert_eq(rows.count, COUNT);
    for (size_t i = 0; i < rows.count; i++)
        cr_assert_eq(rows.rows[i].add.requests, 2);
}

Test(flush_rows, too_much_is_seen_and_does_not_overflow) {
    ez_flush_rows rows;
    cr_assert(ez_flush_rows_init(&rows, 2, &arena));
    ez_usage_sums sums = {.quota_used = EZ_USAGE_SUM_MAX};
    ez_flush_rows_add(&rows, EZ_USAGE_KEYS, 1, &sums);
    cr_assert_not(rows.is_too_much);
    ez_flush_rows_add(&rows, EZ_USAGE_KEYS, 1, &sums);
    cr_assert(rows.is_too_much);
    cr_assert_eq(rows.rows[0].add.quota_used, EZ_USAGE_SUM_MAX);
}
