// SPDX-License-Identifier: Apache-2.0
//
// report_victim DIR N: a data plane without a server that adds usage and a record and syncs, N times, adds once more,
// and is killed. Exit status 1: it could not.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clients/c/reporter.h"

#define WAIT_MS 20000

static ez_status add(ez_reporter *reporter, int64_t id, ez_error *error) {
    const ez_usage_delta deltas[] = {
        {.of = EZ_USAGE_OF_KEY, .id = id, .requests = 1, .tokens_in = 4, .tokens_out = 6, .quota_used = 3},
        {.of = EZ_USAGE_OF_API_KEY, .id = id, .requests = 1, .success = 1},
        {.of = EZ_USAGE_OF_MASTER, .id = 1, .requests = 1, .tokens_in = 4, .tokens_out = 6},
    };
    Ez__V1__LogRecord record = EZ__V1__LOG_RECORD__INIT;
    ez_status status = ez_usage_add(reporter, deltas, 3, error);
    return status == EZ_OK ? ez_log_add(reporter, &record, error) : status;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        return 1;
    }
    ez_reporter_options options;
    ez_reporter_options_init(&options);
    options.client_options.servers[0] = "tcp://127.0.0.1:1";
    options.client_options.server_count = 1;
    options.token = "ezd_test-token-of-one-data-plane";
    options.spool_dir = argv[1];
    options.flush_ms = EZ_REPORTER_ON_SYNC;
    ez_reporter *reporter;
    ez_error error = EZ_ERROR_INIT;
    ez_status status = ez_reporter_open(&options, &reporter, &error);
    uint64_t count = strtoull(argv[2], NULL, 10);
    for (uint64_t note = 1; note <= count && status == EZ_OK; note++) {
        status = add(reporter, (int64_t)note, &error);
        if (status == EZ_OK) {
            status = ez_reporter_sync(reporter, note, WAIT_MS, &error);
        }
    }
    if (status == EZ_OK) {
        status = add(reporter, 1, &error);
    }
    if (status != EZ_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    return kill(getpid(), SIGKILL) == 0 ? 0 : 1;
}
