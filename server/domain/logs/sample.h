// SPDX-License-Identifier: Apache-2.0
//
// Sampled records on the events socket, topic "logs": for people who watch. At most so many in each second of the
// monotonic clock, spread over the batch they come in. One thread, the logs appender's.
#pragma once

#include "server/platform/publish/publish.h"
#include "server/state/store/meter.h"

typedef struct ez_sample {
    uint64_t second; // of the monotonic clock
    int64_t given;   // in it
} ez_sample;

// Publishes some of the rows, as an IngestLogsRequest without bodies. per_second 0: nothing.
void ez_sample_publish(ez_sample *sample, ez_publish *events, int64_t per_second, const ez_log_row *rows, size_t count,
                       int64_t now_ns);
