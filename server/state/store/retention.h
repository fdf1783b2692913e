// SPDX-License-Identifier: Apache-2.0
//
// Which log records are to be forgotten next: pure arithmetic over days and how many records each has.
#pragma once

#include "server/state/store/meter.h"

#define EZ_MARKS_KEEP_NS   INT64_C(2592000000000000) // 30 days
#define EZ_KEYS_KEEP_NS    INT64_C(86400000000000)   // 24 hours, as everywhere: one for each call, not for each process
#define EZ_DELIVERIES_KEEP 10000
#define EZ_DAY_NS          INT64_C(86400000000000)

typedef struct ez_log_day {
    int64_t day; // since 1970
    int64_t records;
} ez_log_day;

typedef struct ez_retention_step {
    bool is_any;
    bool is_whole;    // all of the day
    int64_t day;      // the oldest that has something to forget
    int64_t until_ns; // what is older goes, within the day; may be none of it
    int64_t excess;   // then so many of the oldest, also within the day
} ez_retention_step;

// days: ascending. A day without records goes when it is over by age.
ez_retention_step ez_retention_next(const ez_log_day *days, size_t count, const ez_log_limits *limits);
