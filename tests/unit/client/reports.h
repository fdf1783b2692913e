// SPDX-License-Identifier: Apache-2.0
//
// Reporters for tests, and what they report: usage n is 1 request, 10 tokens and 3 units of quota of key n, 1 success
// of API key n, 1 request of master 1.
#pragma once

#include "clients/c/reporter.h"
#include "tests/support/expect.h"
#include "tests/support/folder.h"
#include "tests/unit/client/ledger.h"

#define REPORT_TOKEN "ezd_test-token-of-one-data-plane"
#define NOWHERE      "tcp://127.0.0.1:1" // no server is there

// url: NULL for NOWHERE. dir: NULL for memory only. Batches are made on sync only.
ez_reporter_options report_options(const char *url, const char *dir);
ez_reporter *open_reporter(const char *url, const char *dir);
ez_reporter *open_reporter_with(const ez_reporter_options *options);
void add_usage(ez_reporter *reporter, int64_t id);
void add_log(ez_reporter *reporter, const char *request_id);
void sync_reports(ez_reporter *reporter, uint64_t note);
void drain_reports(ez_reporter *reporter);
ez_report_info report_info(ez_reporter *reporter, ez_report_stream stream);
// Everything of count usages arrived once.
void expect_usage(ledger *book, int64_t count);
