// SPDX-License-Identifier: Apache-2.0
//
// The object behind the services Logs and Settings. It holds what the handlers read by, and little else: settings are
// in the directory, records in the store.
#include "server/domain/logs/logs.h"

#include <stdlib.h>

#include "proto/runtime/clock.h"
#include "server/domain/logs/inside.h"

ez_status ez_logs_create(const ez_logs_options *options, ez_logs **out, ez_error *error) {
    ez_logs *logs = calloc(1, sizeof *logs);
    if (!logs)
        return ez_no_memory(error);
    logs->options = *options;
    ez_status status = ez_counts_create(options->directory, options->feed, &logs->counts, error);
    if (status != EZ_OK) {
        free(logs);
        return status;
    }
    *out = logs;
    return EZ_OK;
}

void ez_logs_destroy(ez_logs *logs) {
    if (!logs)
        return;
    ez_counts_destroy(logs->counts);
    free(logs);
}

void ez_logs_tick(ez_logs *logs) {
    ez_counts_tick(logs->counts, ez_clock_wall_ns());
}
