// SPDX-License-Identifier: Apache-2.0
//
// The reporter against a peer with marks: what is added arrives, merged and once, in order, with the peer away or
// losing its answers.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/client/reports.h"

static char dir[EZ_TEST_PATH_MAX];
static ledger *book;

static void begin(void) {
    given_folder(dir);
    book = ledger_start(0);
}

static void end(void) {
    ledger_stop(book);
    remove_folder(dir);
}

TestSuite(reporter, .init = begin, .fini = end);

static const char *url(void) {
    return plane_rpc_url(ledger_plane(book));
}

Test(reporter, what_was_added_is_merged_by_id_and_arrives_once) {
    ez_reporter *reporter = open_reporter(url(), dir);
    for (int i = 0; i < 1000; i++) {
        add_usage(reporter, 1 + i % 10);
        add_log(reporter, "r");
    }
    sync_reports(reporter, 1);
    drain_reports(reporter);
    expect_usage(book, 1000);
    cr_assert_eq(ledger_look(book).records, 1000);
    cr_assert_eq(ledger_look(book).usage_calls, 1);
    cr_assert_eq(ledger_look(book).log_calls, 1);
    for (unsigned i = 0; i < 2; i++) {
        ledger_call call = ledger_at(book, i);
        cr_assert_eq(call.rows, call.is_logs ? 1000 : 21);
        cr_assert_eq(call.sequence, 1);
        cr_assert_neq(call.epoch, 0);
    }
    ez_report_info info = report_info(reporter, EZ_REPORT_USAGE);
    cr_assert_eq(info.added, 3000);
    cr_assert_eq(info.rows_acknowledged, 21);
    cr_assert_eq(info.note, 1);
    cr_assert_eq(info.batches_waiting, 0);
    ez_reporter_close(reporter);
}

Test(reporter, batches_are_made_by_time_and_by_size_too) {
    ez_reporter_options options = report_options(url(), dir);
    options.flush_ms = 20;
    ez_reporter *reporter = open_reporter_with(&options);
    add_usage(reporter, 1);
    until(ledger_look(book).usage_calls == 1);
    add_usage(reporter, 2);
    until(ledger_look(book).usage_calls == 2);
    expect_usage(book, 2);
    ez_reporter_close(reporter);

    options.flush_ms = 3600000;
    reporter = open_reporter_with(&options);
    for (int i = 0; i < 5000; i++) {
        add_log(reporter, "r");
    }
    until(ledger_look(book).records == 5000);
    ez_reporter_close(reporter);
}

Test(reporter, a_lost_answer_is_asked_for_again_and_nothing_overtakes) {
    ez_reporter *reporter = open_reporter(url(), dir);
    plane_lose_replies(ledger_plane(book), 2);
    for (uint64_t note = 1; note <= 5; note++) {
        add_usage(reporter, 1);
        sync_reports(reporter, note);
    }
    drain_reports(reporter);
    expect_usage(book, 5);
    static const uint64_t order[] = {1, 1, 1, 2, 3, 4, 5};
    cr_assert_eq(ledger_look(book).usage_calls, 7);
    for (unsigned i = 0; i < 7; i++) {
        cr_assert_eq(ledger_at(book, i).sequence, order[i]);
        cr_assert_eq(ledger_at(book, i).is_repeat, i == 1 || i == 2);
    }
    ez_report_info info = report_info(reporter, EZ_REPORT_USAGE);
    cr_assert_eq(info.repeated, 1);
    cr_assert_eq(info.failed_calls, 2);
    cr_assert_eq(info.acknowledged, 5);
    ez_reporter_close(reporter);
}

Test(reporter, the_next_process_sends_what_this_one_could_not) {
    ez_reporter *reporter = open_reporter(NULL, dir);
    for (uint64_t note = 1; note <= 3; note++) {
        add_usage(reporter, (int64_t)note);
        add_log(reporter, "r");
        sync_reports(reporter, note);
    }
    add_usage(reporter, 4); // closing makes it durable too
    ez_reporter_close(reporter);

    reporter = open_reporter(url(), dir);
    cr_assert_eq(report_info(reporter, EZ_REPORT_USAGE).note, 3, "it is known before anything is done");
    cr_assert_eq(report_info(reporter, EZ_REPORT_USAGE).restored, 4);
    add_usage(reporter, 5);
    sync_reports(reporter, 4);
    drain_reports(reporter);
    expect_usage(book, 5);
    cr_assert_eq(ledger_look(book).records, 3);
    uint64_t epoch = 0, sequence = 0;
    for (unsigned i = 0; i < ledger_look(book).calls; i++) {
        ledger_call call = ledger_at(book, i);
        if (call.is_logs) {
            continue;
        }
        bool is_new = sequence == 4;
        cr_assert_eq(call.sequence, is_new ? 1 : sequence + 1);
        cr_assert(sequence == 0 || (call.epoch != epoch) == is_new);
        epoch = call.epoch;
        sequence = call.sequence;
    }
    ez_reporter_close(reporter);
}

Test(reporter, what_does_not_fit_one_call_goes_as_several_and_each_names_a_master) {
    ez_reporter *reporter = open_reporter(url(), dir);
    for (int64_t id = 1; id <= 25000; id++) {
        add_usage(reporter, id);
    }
    static char body[100000];
    memset(body, 'x', sizeof body);
    Ez__V1__LogRecord record = EZ__V1__LOG_RECORD__INIT;
    record.request_body = (ProtobufCBinaryData){sizeof body, (uint8_t *)body};
    ez_error error = EZ_ERROR_INIT;
    for (int i = 0; i < 100; i++) {
        expect_ok(ez_log_add(reporter, &record, &error), &error);
    }
    for (int i = 0; i < 12000; i++) {
        add_log(reporter, "r");
    }
    sync_reports(reporter, 1);
    drain_reports(reporter);
    expect_usage(book, 25000);
    ledger_sums sums = ledger_look(book);
    cr_assert_eq(sums.records, 12100);
    cr_assert_eq(sums.bodies, 100);
    cr_assert_eq(sums.body_bytes, 100 * 65536, "a body is cut at 64 KiB");
    cr_assert_eq(sums.usage_calls, 3);
    for (unsigned i = 0; i < sums.calls; i++) {
        cr_assert_leq(ledger_at(book, i).rows, ledger_at(book, i).is_logs ? 5000 : 20000);
    }
    ez_reporter_close(reporter);
}

Test(reporter, without_a_directory_it_waits_in_memory_and_says_that_it_is_not_durable) {
    ez_reporter *reporter = open_reporter(url(), NULL);
    ez_error error = EZ_ERROR_INIT;
    add_usage(reporter, 1);
    expect_reason(EZ_FAILED_PRECONDITION, "NO_SPOOL", ez_reporter_sync(reporter, 1, 10000, &error), &error);
    drain_reports(reporter);
    expect_usage(book, 1);
    add_usage(reporter, 2);
    ez_reporter_close(reporter); // sends what it can
    expect_usage(book, 2);
}

static ez_status add_one(ez_reporter *reporter, ez_usage_delta delta, ez_error *error) {
    return ez_usage_add(reporter, &delta, 1, error);
}

Test(reporter, what_is_not_valid_is_refused_where_it_is_added) {
    ez_reporter *reporter = open_reporter(url(), dir);
    ez_error error = EZ_ERROR_INIT;
    const ez_usage_delta bad[] = {
        {.of = EZ_USAGE_OF_KEY, .id = 0, .requests = 1},
        {.of = EZ_USAGE_OF_KEY, .id = -1, .requests = 1},
        {.of = EZ_USAGE_OF_KEY, .id = 1, .requests = -1},
        {.of = EZ_USAGE_OF_KEY, .id = 1, .tokens_in = INT64_MAX},
        {.of = EZ_USAGE_OF_KEY, .id = 1, .quota_used = INT64_C(1000000000000001)},
        {.of = (ez_usage_of)0, .id = 1, .requests = 1},
        {.of = (ez_usage_of)4, .id = 1, .requests = 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        expect_reason(EZ_INVALID_ARGUMENT, "USAGE_INVALID", add_one(reporter, bad[i], &error), &error);
    }
    // All of a call or nothing of it.
    const ez_usage_delta half[] = {{.of = EZ_USAGE_OF_KEY, .id = 7, .requests = 1}, bad[2]};
    expect_reason(EZ_INVALID_ARGUMENT, "USAGE_INVALID", ez_usage_add(reporter, half, 2, &error), &error);
    const ez_usage_delta over[] = {{.of = EZ_USAGE_OF_KEY, .id = 7, .quota_used = INT64_C(900000000000000)},
                                   {.of = EZ_USAGE_OF_KEY, .id = 7, .quota_used = INT64_C(900000000000000)}};
    expect_reason(EZ_RESOURCE_EXHAUSTED, "USAGE_FULL", ez_usage_add(reporter, over, 2, &error), &error);

    Ez__V1__LogRecord record = EZ__V1__LOG_RECORD__INIT;
    record.status_code = 1000;
    expect_code(EZ_INVALID_ARGUMENT, ez_log_add(reporter, &record, &error), &error);
    record.status_code = 200;
    record.model = (char[]){"\xff\xfe"};
    expect_code(EZ_INVALID_ARGUMENT, ez_log_add(reporter, &record, &error), &error);
    drain_reports(reporter);
    expect_usage(book, 0);
    cr_assert_eq(ledger_look(book).records, 0);
    cr_assert_eq(report_info(reporter, EZ_REPORT_LOGS).refused, 2);
    cr_assert_eq(report_info(reporter, EZ_REPORT_USAGE).refused, 11);
    ez_reporter_close(reporter);
}

Test(reporter, options_that_are_wrong_are_named) {
    ez_reporter *reporter = NULL;
    ez_error error = EZ_ERROR_INIT;
    ez_reporter_options options = report_options(url(), dir);
    options.token = NULL;
    expect_reason(EZ_INVALID_ARGUMENT, "TOKEN_MISSING", ez_reporter_open(&options, &reporter, &error), &error);
    options = report_options(url(), dir);
    options.spool_max = 1000;
    expect_reason(EZ_INVALID_ARGUMENT, "SPOOL_MAX_INVALID", ez_reporter_open(&options, &reporter, &error), &error);
    options = report_options(url(), "/nowhere/at/all");
    expect_reason(EZ_UNAVAILABLE, "SPOOL_DIR", ez_reporter_open(&options, &reporter, &error), &error);
    reporter = open_reporter(url(), dir);
    ez_reporter *second = NULL;
    options = report_options(url(), dir);
    expect_reason(EZ_FAILED_PRECONDITION, "SPOOL_IN_USE", ez_reporter_open(&options, &second, &error), &error);
    ez_reporter_close(reporter);
    ez_reporter_close(NULL);
}
