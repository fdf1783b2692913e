// SPDX-License-Identifier: Apache-2.0
//
// Arithmetic on what a rollup's row holds. Sums stay at EZ_USAGE_SUM_MAX rather than wrap: what a data plane says is
// not trusted that far. Pure.
//
// Awkward: the last bucket has no end to interpolate to, so a percentile in it is its beginning, as Prometheus has it.
// And records of 0 ms are in a bucket that ends later: no percentile is more than what all took together.
#include "server/state/store/latency.h"

void ez_rollup_sum_add(int64_t *to, int64_t from) {
    if (__builtin_add_overflow(*to, from, to) || *to > EZ_USAGE_SUM_MAX)
        *to = EZ_USAGE_SUM_MAX;
}

void ez_rollup_sums_add(ez_rollup_sums *to, const ez_rollup_sums *from) {
    ez_rollup_sum_add(&to->requests, from->requests);
    ez_rollup_sum_add(&to->errors, from->errors);
    ez_rollup_sum_add(&to->rate_limited, from->rate_limited);
    ez_rollup_sum_add(&to->tokens_in, from->tokens_in);
    ez_rollup_sum_add(&to->tokens_out, from->tokens_out);
    ez_rollup_sum_add(&to->cost_nano_usd, from->cost_nano_usd);
    ez_rollup_sum_add(&to->latency_ms, from->latency_ms);
    for (size_t i = 0; i < EZ_LATENCY_BUCKETS; i++)
        ez_rollup_sum_add(&to->histogram[i], from->histogram[i]);
}

static double interpolate(const ez_rollup_sums *sums, double share) {
    double count = 0;
    for (size_t i = 0; i < EZ_LATENCY_BUCKETS; i++)
        count += (double)sums->histogram[i];
    if (count <= 0)
        return 0;
    share = share > 0 ? share < 1 ? share : 1 : 0; // not a number: 0
    double rank = share * count, below = 0;
    size_t last = 0; // the last bucket that holds anything: where rounding leaves the rank past the end
    for (size_t i = 0; i < EZ_LATENCY_BUCKETS; i++) {
        double here = (double)sums->histogram[i];
        if (here <= 0)
            continue;
        last = i;
        if (below + here >= rank && i < EZ_LATENCY_BUCKETS - 1) {
            double from = i ? (double)ez_latency_bounds[i - 1] : 0;
            return from + ((double)ez_latency_bounds[i] - from) * (rank - below) / here;
        }
        below += here;
    }
    return (double)ez_latency_bounds[last < EZ_LATENCY_BUCKETS - 1 ? last : EZ_LATENCY_BUCKETS - 2];
}

double ez_rollup_percentile(const ez_rollup_sums *sums, double share) {
    double ms = interpolate(sums, share), all_ms = (double)sums->latency_ms;
    return ms < all_ms ? ms : all_ms;
}
