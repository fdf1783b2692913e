// SPDX-License-Identifier: Apache-2.0
//
// ez_truth: what simulated data planes handed to their reporters, for a test to compare with the server's sums to the
// last record. A line says what is going to be handed over under which note, and is on disk before that is done; the
// note that the reporter has after a crash says whether it was:
//
//     begin PLANE NOTE RECORDS ERRORS TOKENS_IN TOKENS_OUT COST K… A… M…
//     end PLANE NOTE USAGE LOGS      1: counts, 0: is gone
//
// K is key:requests,failure,tokens_in,tokens_out,quota_used,rate_limited behind the letter k; A
// api_key:requests,success, failure behind a; M a master's, as K without its quota, behind m. The last begin of a plane
// has no end where the process was killed; the next one writes it, from its reporter's notes. Not shared between
// threads.
#pragma once

#include "clients/c/reporter.h"
#include "proto/runtime/buf.h"

typedef struct ez_truth ez_truth;

// What one data plane hands over at once.
typedef struct ez_truth_step {
    int64_t plane;
    uint64_t note;
    int64_t records, errors, tokens_in, tokens_out, cost_nano_usd; // of its log records
    const ez_usage_delta *usage;
    size_t usage_count;
} ez_truth_step;

// Appends to a file, or makes it; a line that was not finished is cut off.
ez_status ez_truth_open(const char *path, ez_truth **out, ez_error *error) EZ_MUST_CHECK;
void ez_truth_close(ez_truth *truth); // NULL is fine

// The note of a plane's last begin; 0: it has none. *is_open: it has no end.
uint64_t ez_truth_last(ez_truth *truth, int64_t plane, bool *is_open);

// Collected until commit.
void ez_truth_begin(ez_truth *truth, const ez_truth_step *step);
void ez_truth_end(ez_truth *truth, int64_t plane, uint64_t note, bool usage, bool logs);
// Writes what was collected; durable where is_durable.
ez_status ez_truth_commit(ez_truth *truth, bool is_durable, ez_error *error) EZ_MUST_CHECK;
