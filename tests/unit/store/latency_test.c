// SPDX-License-Identifier: Apache-2.0
//
// The latency histogram and what is read from it.
#include "server/state/store/latency.h"

#include <criterion/criterion.h>
#include <math.h>

Test(latency, bounds_are_inclusive_and_the_last_bucket_is_open) {
    cr_assert_eq(ez_latency_bucket(-5), 0u);
    cr_assert_eq(ez_latency_bucket(0), 0u);
    for (size_t i = 0; i < EZ_LATENCY_BUCKETS - 1; i++) {
        cr_assert(i == 0 || ez_latency_bounds[i] > ez_latency_bounds[i - 1]);
        cr_assert_eq(ez_latency_bucket(ez_latency_bounds[i]), i);
        cr_assert_eq(ez_latency_bucket(ez_latency_bounds[i] + 1), i + 1);
    }
    cr_assert_eq(ez_latency_bucket(INT64_MAX), (size_t)EZ_LATENCY_BUCKETS - 1);
}

Test(latency, percentile_is_within_the_bucket_of_the_true_one) {
    ez_rollup_sums sums = {0};
    cr_assert_eq(ez_rollup_percentile(&sums, 0.5), 0);
    for (int64_t ms = 1; ms <= 1000; ms++) {
        sums.histogram[ez_latency_bucket(ms)]++;
        sums.latency_ms += ms;
    }
    // Evenly spread, so that interpolation is exact.
    for (int percent = 1; percent <= 100; percent++)
        cr_assert(fabs(ez_rollup_percentile(&sums, percent / 100.0) - percent * 10) < 1.5, "p%d is %f", percent,
                  ez_rollup_percentile(&sums, percent / 100.0));
    cr_assert_eq(ez_rollup_percentile(&sums, 1), 1000);
    cr_assert_eq(ez_rollup_percentile(&sums, 7), 1000);
    cr_assert_eq(ez_rollup_percentile(&sums, -1), ez_rollup_percentile(&sums, 0));
    cr_assert_eq(ez_rollup_percentile(&sums, (double)NAN), ez_rollup_percentile(&sums, 0));
}

Test(latency, percentile_skips_empty_buckets_and_knows_no_end_of_the_last) {
    ez_rollup_sums sums = {.latency_ms = INT64_MAX};
    sums.histogram[3] = 10;
    cr_assert(ez_rollup_percentile(&sums, 0) >= ez_latency_bounds[2]);
    cr_assert_eq(ez_rollup_percentile(&sums, 1), ez_latency_bounds[3]);
    sums.histogram[EZ_LATENCY_BUCKETS - 1] = 990;
    cr_assert_eq(ez_rollup_percentile(&sums, 0.99), ez_latency_bounds[EZ_LATENCY_BUCKETS - 2]);
}

Test(latency, records_of_0_ms_have_percentiles_of_0) {
    ez_rollup_sums sums = {0};
    sums.histogram[0] = 10;
    cr_assert_eq(ez_rollup_percentile(&sums, 0.5), 0);
    cr_assert_eq(ez_rollup_percentile(&sums, 0.99), 0);
    sums.latency_ms = 3; // one of them took 3 ms, or three took 1
    cr_assert_leq(ez_rollup_percentile(&sums, 0.99), 3);
}

Test(latency, sums_add_each_field_and_stop_at_the_bound) {
    ez_rollup_sums one, two;
    for (size_t i = 0; i < sizeof one / sizeof(int64_t); i++) {
        ((int64_t *)&one)[i] = (int64_t)i + 1;
        ((int64_t *)&two)[i] = 100;
    }
    ez_rollup_sums_add(&two, &one);
    for (size_t i = 0; i < sizeof one / sizeof(int64_t); i++)
        cr_assert_eq(((int64_t *)&two)[i], (int64_t)i + 101);
    two.cost_nano_usd = EZ_USAGE_SUM_MAX - 1;
    two.tokens_in = INT64_MAX;
    ez_rollup_sums_add(&two, &one);
    cr_assert_eq(two.cost_nano_usd, EZ_USAGE_SUM_MAX);
    cr_assert_eq(two.tokens_in, EZ_USAGE_SUM_MAX);
}
