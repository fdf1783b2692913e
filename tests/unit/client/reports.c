// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/client/reports.h"

#define PATIENCE_MS 20000

ez_reporter_options report_options(const char *url, const char *dir) {
    ez_reporter_options options;
    ez_reporter_options_init(&options);
    options.client_options.servers[0] = url == NULL ? NOWHERE : url;
    options.client_options.server_count = 1;
    options.client_options.connect_timeout_ms = url == NULL ? 50 : 0;
    options.token = REPORT_TOKEN;
    options.spool_dir = dir;
    options.flush_ms = EZ_REPORTER_ON_SYNC;
    return options;
}

ez_reporter *open_reporter_with(const ez_reporter_options *options) {
    ez_reporter *reporter = NULL;
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_reporter_open(options, &reporter, &error), &error);
    return reporter;
}

ez_reporter *open_reporter(const char *url, const char *dir) {
    const ez_reporter_options options = report_options(url, dir);
    return open_reporter_with(&options);
}

void add_usage(ez_reporter *reporter, int64_t id) {
    const ez_usage_delta deltas[] = {
        {.of = EZ_USAGE_OF_KEY, .id = id, .requests = 1, .tokens_in = 4, .tokens_out = 6, .quota_used = 3},
        {.of = EZ_USAGE_OF_API_KEY, .id = id, .requests = 1, .success = 1},
        {.of = EZ_USAGE_OF_MASTER, .id = 1, .requests = 1, .tokens_in = 4, .tokens_out = 6},
    };
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_usage_add(reporter, deltas, 3, &error), &error);
}

void add_log(ez_reporter *reporter, const char *request_id) {
    Ez__V1__LogRecord record = EZ__V1__LOG_RECORD__INIT;
    record.request_id = (char *)(uintptr_t)request_id;
    record.model = (char[]){"gpt-4o"};
    record.status_code = 200;
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_log_add(reporter, &record, &error), &error);
}

void sync_reports(ez_reporter *reporter, uint64_t note) {
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_reporter_sync(reporter, note, PATIENCE_MS, &error), &error);
}

void drain_reports(ez_reporter *reporter) {
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_reporter_drain(reporter, PATIENCE_MS, &error), &error);
}

ez_report_info report_info(ez_reporter *reporter, ez_report_stream stream) {
    ez_reporter_info info;
    ez_reporter_get_info(reporter, &info);
    return info.streams[stream];
}

void expect_usage(ledger *book, int64_t count) {
    ledger_sums sums = ledger_look(book);
    cr_assert_eq(sums.key_requests, count, "%ld requests of keys, not %ld", (long)sums.key_requests, (long)count);
    cr_assert_eq(sums.key_tokens, 10 * count);
    cr_assert_eq(sums.quota_used, 3 * count);
    cr_assert_eq(sums.api_key_requests, count);
    cr_assert_eq(sums.api_key_success, count);
    cr_assert_eq(sums.master_requests, count);
    cr_assert_eq(sums.masterless, 0);
}
