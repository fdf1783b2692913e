// SPDX-License-Identifier: Apache-2.0
//
// The reporter when things go wrong: kills, a full spool, a full disk, a server that lost what it had, batches that it
// does not take.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/process.h"
#include "tests/unit/client/reports.h"

static char dir[EZ_TEST_PATH_MAX];

static void begin(void) {
    given_folder(dir);
}

static void end(void) {
    remove_folder(dir);
}

TestSuite(reporter_fault, .init = begin, .fini = end);

static const char *url_of(ledger *book) {
    return plane_rpc_url(ledger_plane(book));
}

// A process of its own that adds and syncs this often, adds once more, and dies.
static void die_with(const char *synced) {
    char log[EZ_TEST_PATH_MAX + 8];
    snprintf(log, sizeof log, "%s.log", dir);
    ez_test_process victim = {.out = -1};
    start_process(&victim, EZ_REPORT_VICTIM, (const char *const[]){dir, synced, NULL}, NULL, log);
    int status = wait_process(&victim);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "see %s", log);
    unlink(log);
}

Test(reporter_fault, what_was_synced_before_a_kill_is_sent_once_by_the_next_process) {
    die_with("5");
    ledger *book = ledger_start(0);
    ez_reporter *reporter = open_reporter(url_of(book), dir);
    cr_assert_eq(report_info(reporter, EZ_REPORT_USAGE).note, 5);
    cr_assert_eq(report_info(reporter, EZ_REPORT_LOGS).note, 5);
    drain_reports(reporter);
    expect_usage(book, 5);
    cr_assert_eq(ledger_look(book).records, 5);
    ez_reporter_close(reporter);
    reporter = open_reporter(url_of(book), dir);
    cr_assert_eq(report_info(reporter, EZ_REPORT_USAGE).restored, 0, "what was acknowledged is not sent again");
    ez_reporter_close(reporter);
    ledger_stop(book);
}

Test(reporter_fault, a_server_that_comes_late_gets_all_of_several_processes) {
    for (int i = 0; i < 4; i++) {
        die_with("3");
    }
    ledger *book = ledger_start(0);
    ez_reporter *reporter = open_reporter(url_of(book), dir);
    drain_reports(reporter);
    expect_usage(book, 12);
    ez_reporter_close(reporter);
    ledger_stop(book);
}

Test(reporter_fault, a_server_that_forgot_the_marks_gets_the_rest_once_as_a_new_epoch) {
    ledger *book = ledger_start(0);
    ez_reporter *reporter = open_reporter(url_of(book), dir);
    for (uint64_t note = 1; note <= 3; note++) {
        add_usage(reporter, 1);
        sync_reports(reporter, note);
    }
    drain_reports(reporter);
    ledger_forget(book);
    for (uint64_t note = 4; note <= 6; note++) {
        add_usage(reporter, 1);
        sync_reports(reporter, note);
    }
    drain_reports(reporter);
    expect_usage(book, 6);
    cr_assert_eq(report_info(reporter, EZ_REPORT_USAGE).new_epochs, 1);
    ez_reporter_close(reporter);
    ledger_stop(book);
}

Test(reporter_fault, a_server_that_was_put_back_gets_again_what_is_still_in_the_spool) {
    ledger *book = ledger_start(0);
    ez_reporter *reporter = open_reporter(url_of(book), dir);
    for (uint64_t note = 1; note <= 4; note++) {
        add_usage(reporter, 1);
        sync_reports(reporter, note);
    }
    drain_reports(reporter);
    ledger_go_back(book, ledger_at(book, 0).epoch, 3);
    expect_usage(book, 2);
    add_usage(reporter, 1);
    sync_reports(reporter, 5);
    drain_reports(reporter);
    expect_usage(book, 5);
    cr_assert_eq(report_info(reporter, EZ_REPORT_USAGE).new_epochs, 0);
    ez_reporter_close(reporter);
    ledger_stop(book);
}

// ---- Poison ----

typedef struct seen {
    pthread_mutex_t mutex;
    unsigned count;
    size_t bytes;
    bool is_kept;
} seen;

static void on_rejected(void *user, ez_report_stream stream, ez_slice rows, const ez_error *error, bool is_kept) {
    (void)error;
    seen *s = user;
    pthread_mutex_lock(&s->mutex);
    cr_assert_eq(stream, EZ_REPORT_USAGE);
    s->count++;
    s->bytes = rows.len;
    s->is_kept = is_kept;
    pthread_mutex_unlock(&s->mutex);
}

Test(reporter_fault, a_batch_that_is_not_taken_is_set_aside_and_the_next_one_goes) {
    ledger *book = ledger_start(0);
    ledger_refuse_key(book, 666);
    seen told = {.mutex = PTHREAD_MUTEX_INITIALIZER}, read = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    ez_reporter_options options = report_options(url_of(book), dir);
    options.on_rejected = on_rejected;
    options.user = &told;
    ez_reporter *reporter = open_reporter_with(&options);
    static const int64_t ids[] = {1, 666, 2};
    for (uint64_t note = 1; note <= 3; note++) {
        add_usage(reporter, ids[note - 1]);
        sync_reports(reporter, note);
    }
    drain_reports(reporter);
    expect_usage(book, 2);
    cr_assert_eq(report_info(reporter, EZ_REPORT_USAGE).rejected_batches, 1);
    ez_reporter_close(reporter);
    cr_assert_eq(told.count, 1);
    cr_assert(told.is_kept);
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_reporter_read_rejected(dir, REPORT_TOKEN, EZ_REPORT_USAGE, on_rejected, &read, &error), &error);
    cr_assert_eq(read.count, 1);
    cr_assert_eq(read.bytes, told.bytes);
    expect_reason(EZ_NOT_FOUND, "NOTHING_REJECTED",
                  ez_reporter_read_rejected(dir, REPORT_TOKEN, EZ_REPORT_LOGS, on_rejected, &read, &error), &error);
    ledger_stop(book);
}

Test(reporter_fault, a_refusal_is_waited_for) {
    ledger *book = ledger_start(0);
    plane_fail_calls(ledger_plane(book), 2, EZ_RESOURCE_EXHAUSTED, "APPEND_QUEUE_FULL", 1);
    ez_reporter *reporter = open_reporter(url_of(book), dir);
    add_usage(reporter, 1);
    sync_reports(reporter, 1);
    drain_reports(reporter);
    expect_usage(book, 1);
    cr_assert_eq(report_info(reporter, EZ_REPORT_USAGE).failed_calls, 2);
    ez_reporter_close(reporter);
    ledger_stop(book);
}

// ---- No room ----

// A record of about 60 KB.
static ez_status add_big(ez_reporter *reporter, ez_error *error) {
    static uint8_t body[60000];
    Ez__V1__LogRecord record = EZ__V1__LOG_RECORD__INIT;
    record.request_body = (ProtobufCBinaryData){sizeof body, body};
    return ez_log_add(reporter, &record, error);
}

Test(reporter_fault, a_full_spool_refuses_logs_merges_usage_and_loses_nothing_it_took) {
    fake_plane *port = plane_start(1, 0, 0); // a port that is free later
    int rpc_port = plane_rpc_port(port);
    char url[64];
    snprintf(url, sizeof url, "%s", plane_rpc_url(port));
    plane_stop(port);
    ez_reporter_options options = report_options(url, dir);
    options.spool_max = 1u << 20;
    options.client_options.connect_timeout_ms = 50;
    ez_reporter *reporter = open_reporter_with(&options);
    ez_error error = EZ_ERROR_INIT;
    unsigned records = 0, usage = 0;
    ez_status status = EZ_OK;
    for (uint64_t note = 1; status == EZ_OK; note++) {
        expect_ok(add_big(reporter, &error), &error);
        records++;
        status = ez_reporter_sync(reporter, note, 10000, &error);
        cr_assert_lt(note, 40);
    }
    expect_reason(EZ_RESOURCE_EXHAUSTED, "SPOOL_FULL", status, &error);
    for (;; records++) {
        status = add_big(reporter, &error);
        if (status != EZ_OK) {
            break;
        }
        cr_assert_lt(records, 1000);
    }
    expect_reason(EZ_RESOURCE_EXHAUSTED, "LOGS_FULL", status, &error);
    for (; usage < 1000; usage++) {
        add_usage(reporter, 1 + usage % 5);
    }
    cr_assert_eq(report_info(reporter, EZ_REPORT_LOGS).refused, 1);
    ledger *book = ledger_start(rpc_port);
    until(ez_reporter_sync(reporter, 100, 10000, &error) == EZ_OK);
    drain_reports(reporter);
    expect_usage(book, usage);
    cr_assert_eq(ledger_look(book).records, records);
    cr_assert_eq(report_info(reporter, EZ_REPORT_LOGS).note, 100);
    ez_reporter_close(reporter);
    ledger_stop(book);
}

static void limit_files(rlim_t bytes) {
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

Test(reporter_fault, with_a_full_disk_it_says_so_sends_all_the_same_and_goes_on) {
    signal(SIGXFSZ, SIG_IGN);
    ledger *book = ledger_start(0);
    ez_reporter *reporter = open_reporter(url_of(book), dir);
    ez_error error = EZ_ERROR_INIT;
    add_usage(reporter, 1);
    sync_reports(reporter, 1);
    limit_files(300);
    add_usage(reporter, 2);
    expect_ok(add_big(reporter, &error), &error);
    expect_reason(EZ_UNAVAILABLE, "DISK_FULL", ez_reporter_sync(reporter, 2, 10000, &error), &error);
    drain_reports(reporter);
    expect_usage(book, 2);
    cr_assert_eq(ledger_look(book).records, 1);
    cr_assert_gt(report_info(reporter, EZ_REPORT_LOGS).failed_writes, 0);
    limit_files(RLIM_INFINITY);
    add_usage(reporter, 3);
    sync_reports(reporter, 3);
    drain_reports(reporter);
    expect_usage(book, 3);
    ez_reporter_close(reporter);
    reporter = open_reporter(url_of(book), dir);
    cr_assert_eq(report_info(reporter, EZ_REPORT_USAGE).note, 3);
    cr_assert_eq(report_info(reporter, EZ_REPORT_USAGE).damaged, 0);
    drain_reports(reporter);
    expect_usage(book, 3);
    ez_reporter_close(reporter);
    ledger_stop(book);
}
