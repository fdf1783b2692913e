// SPDX-License-Identifier: Apache-2.0
//
// Buckets about 1.3 to 2.5 apart: from an answer out of a cache to a model that thinks for two minutes, and closest
// where most answers are, between half a second and half a minute.
#include "server/state/store/latency.h"

const int64_t ez_latency_bounds[EZ_LATENCY_BUCKETS - 1] = {10,   25,   50,   100,   250,   500,   750,   1000,
                                                           2000, 4000, 8000, 15000, 30000, 60000, 120000};

size_t ez_latency_bucket(int64_t latency_ms) {
    size_t at = 0;
    while (at < EZ_LATENCY_BUCKETS - 1 && latency_ms > ez_latency_bounds[at])
        at++;
    return at;
}
