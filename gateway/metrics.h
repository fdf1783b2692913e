// SPDX-License-Identifier: Apache-2.0
//
// The gateway's own counters, one set per loop so that loops do not share cache lines. Written by their loop, read by
// any thread.
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "gateway/backend.h"
#include "gateway/events.h"
#include "proto/runtime/buf.h"

#define EZ_METRICS_LOOPS_MAX 64

typedef struct ez_counters {
    _Alignas(64) atomic_ullong requests[6]; // by the first digit of the status
    atomic_ullong duration_us;              // sum over all requests
    atomic_ullong refused, timeouts;        // connections
    atomic_ullong streams_lost;             // times a stream was told that events are lost
} ez_counters;

// Which loops there are: filled before they start, read-only after.
typedef struct ez_metrics {
    unsigned loops;
    const ez_counters *counters[EZ_METRICS_LOOPS_MAX];
    const ez_backend *backends[EZ_METRICS_LOOPS_MAX];
    const ez_events *events[EZ_METRICS_LOOPS_MAX];
    const atomic_uint *connections, *streams;
} ez_metrics;

// Counts one answered request.
void ez_metrics_answered(ez_counters *counters, int status, uint64_t duration_us);

// Appends the sums as Prometheus text, version 0.0.4.
void ez_metrics_write(const ez_metrics *metrics, ez_buf *out);
