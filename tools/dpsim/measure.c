// SPDX-License-Identifier: Apache-2.0
//
// A histogram with 64 buckets to each power of two of microseconds, so that millions of samples take no memory and a
// percentile is off by 1.6 % at most (it is given as its bucket's upper end, but never above the maximum). Awkward: a
// server's clock may be a little ahead of ours when it is another machine's; such a time counts as zero.
#include "tools/dpsim/measure.h"

#include <string.h>

#define SUB 64

void ez_measure_init(ez_measure *measure) {
    memset(measure, 0, sizeof *measure);
    pthread_mutex_init(&measure->mutex, NULL);
}

void ez_measure_fini(ez_measure *measure) {
    pthread_mutex_destroy(&measure->mutex);
}

void ez_measure_reset(ez_measure *measure) {
    pthread_mutex_lock(&measure->mutex);
    memset(measure->buckets, 0, sizeof measure->buckets);
    measure->count = measure->unmeasured = measure->max_us = 0;
    pthread_mutex_unlock(&measure->mutex);
}

static unsigned bucket_of(uint64_t us) {
    if (us < SUB) {
        return (unsigned)us;
    }
    unsigned power = 63u - (unsigned)__builtin_clzll(us); // 6 or more
    unsigned bucket = (power - 5) * SUB + (unsigned)((us >> (power - 6)) - SUB);
    return bucket < MEASURE_BUCKETS ? bucket : MEASURE_BUCKETS - 1;
}

// The greatest value that falls into a bucket.
static uint64_t end_of(unsigned bucket) {
    if (bucket < SUB) {
        return bucket;
    }
    unsigned power = bucket / SUB + 5;
    uint64_t low = (uint64_t)(SUB + bucket % SUB) << (power - 6);
    return low + ((uint64_t)1 << (power - 6)) - 1;
}

void ez_measure_add(ez_measure *measure, uint64_t microseconds, uint64_t count) {
    pthread_mutex_lock(&measure->mutex);
    measure->buckets[bucket_of(microseconds)] += count;
    measure->count += count;
    if (count > 0 && microseconds > measure->max_us) {
        measure->max_us = microseconds;
    }
    pthread_mutex_unlock(&measure->mutex);
}

void ez_measure_add_unknown(ez_measure *measure, uint64_t count) {
    pthread_mutex_lock(&measure->mutex);
    measure->unmeasured += count;
    pthread_mutex_unlock(&measure->mutex);
}

// Locked.
static double percentile(const ez_measure *measure, double share) {
    uint64_t wanted = (uint64_t)(share * (double)measure->count + 0.5);
    uint64_t seen = 0;
    for (unsigned i = 0; i < MEASURE_BUCKETS && measure->count > 0; i++) {
        seen += measure->buckets[i];
        if (seen >= wanted && seen > 0) {
            uint64_t end = end_of(i);
            return (double)(end < measure->max_us ? end : measure->max_us) / 1000;
        }
    }
    return 0;
}

void ez_measure_read(ez_measure *measure, ez_measure_result *out) {
    pthread_mutex_lock(&measure->mutex);
    *out = (ez_measure_result){
        .changes = measure->count + measure->unmeasured,
        .unmeasured = measure->unmeasured,
        .p50_ms = percentile(measure, 0.50),
        .p99_ms = percentile(measure, 0.99),
        .max_ms = (double)measure->max_us / 1000,
    };
    pthread_mutex_unlock(&measure->mutex);
}
