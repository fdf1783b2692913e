// SPDX-License-Identifier: Apache-2.0
//
// One step of forgetting closed alerts: which, and what it does to the counts. So that new ones find room, those beyond
// a low mark go whatever their age: the number that may be kept, less one in a hundred of it, at least 1 and at most
// 10,000. A step is of one kind or the other.
#pragma once

#include "server/state/store/alerts.h"

#define EZ_ALERT_TRIM_ROWS 500 // of one step

typedef struct ez_alert_trim {
    size_t max_rows; // of this step; at most EZ_ALERT_TRIM_ROWS
    bool is_beyond;  // there are more than the low mark
    bool has_more;
    size_t count;
    int64_t ids[EZ_ALERT_TRIM_ROWS];
    ez_alert_counts deltas;
} ez_alert_trim;

// total: how many alerts there are.
void ez_alert_trim_begin(ez_alert_trim *trim, const ez_alert_limits *limits, int64_t total);
// Before which time alerts go.
int64_t ez_alert_trim_before(const ez_alert_trim *trim, const ez_alert_limits *limits);
void ez_alert_trim_take(ez_alert_trim *trim, int64_t id, int32_t status, int32_t severity, int32_t type);
