// SPDX-License-Identifier: Apache-2.0
//
// ez_traffic: requests that never were, but could have been: mostly good, some refused, some failed, long tails. One
// step is what one data plane serves between two hand-overs. Not shared between threads.
#pragma once

#include "tools/dpsim/held.h"
#include "tools/dpsim/truth.h"

#define EZ_TRAFFIC_STEP_MAX 20000 // records of one step

typedef struct ez_traffic {
    uint64_t random;
    uint64_t made; // requests, for their ids
    ez_usage_delta usage[3 * EZ_HELD_MAX];
    unsigned usage_count;
    Ez__V1__LogRecord records[EZ_TRAFFIC_STEP_MAX];
    Google__Protobuf__Timestamp times[EZ_TRAFFIC_STEP_MAX];
    char ids[EZ_TRAFFIC_STEP_MAX][40];
    unsigned record_count;
} ez_traffic;

void ez_traffic_init(ez_traffic *traffic, uint64_t seed);
// Makes count requests, at most EZ_TRAFFIC_STEP_MAX, by what is held, and the step's sums. They are the traffic's until
// the next step.
void ez_traffic_step(ez_traffic *traffic, const ez_sim_held *held, unsigned count, ez_truth_step *step);
