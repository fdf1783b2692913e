// SPDX-License-Identifier: Apache-2.0
//
// ez_measure: how long changes took, over all simulated data planes: a histogram of fixed size, exact to 1.6 %.
#pragma once

#include <pthread.h>
#include <stdint.h>

#define MEASURE_BUCKETS (64 * 40)

typedef struct ez_measure {
    pthread_mutex_t mutex; // guards all below
    uint64_t buckets[MEASURE_BUCKETS];
    uint64_t count;      // changes that were timed
    uint64_t unmeasured; // changes whose commit time is not known
    uint64_t max_us;
} ez_measure;

typedef struct ez_measure_result {
    uint64_t changes, unmeasured;
    double p50_ms, p99_ms, max_ms; // 0 where nothing was timed
} ez_measure_result;

void ez_measure_init(ez_measure *measure);
void ez_measure_fini(ez_measure *measure);
// Forgets everything.
void ez_measure_reset(ez_measure *measure);
// count changes that took this long. Any thread.
void ez_measure_add(ez_measure *measure, uint64_t microseconds, uint64_t count);
void ez_measure_add_unknown(ez_measure *measure, uint64_t count);
void ez_measure_read(ez_measure *measure, ez_measure_result *out);
