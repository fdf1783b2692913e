// SPDX-License-Identifier: Apache-2.0
//
// Awkward: a dismissed alert that is reported still is closed, but not over: it stays until it was not seen for as
// long. Where too many are kept it may go, and the next report makes a new one.
#include "server/state/store/alert_trim.h"

#define ROOM_MAX 10000

// Of so many alerts that may be kept, how many are where closed ones make room.
static int64_t low_mark(int64_t max_alerts) {
    int64_t room = max_alerts / 100;
    room = room < 1 ? 1 : room;
    return max_alerts - (room < ROOM_MAX ? room : ROOM_MAX);
}

void ez_alert_trim_begin(ez_alert_trim *trim, const ez_alert_limits *limits, int64_t total) {
    int64_t beyond = limits->max_alerts ? total - low_mark(limits->max_alerts) : 0;
    trim->count = 0;
    trim->has_more = false;
    trim->deltas = (ez_alert_counts){0};
    trim->is_beyond = beyond > 0;
    if (trim->is_beyond && (int64_t)trim->max_rows > beyond)
        trim->max_rows = (size_t)beyond;
}

int64_t ez_alert_trim_before(const ez_alert_trim *trim, const ez_alert_limits *limits) {
    return trim->is_beyond ? INT64_MAX : limits->before_ns;
}

void ez_alert_trim_take(ez_alert_trim *trim, int64_t id, int32_t status, int32_t severity, int32_t type) {
    if (trim->count == trim->max_rows)
        return;
    trim->ids[trim->count++] = id;
    trim->has_more = trim->count == trim->max_rows;
    if (status > 0 && status < EZ_ALERT_STATUSES && severity > 0 && severity < EZ_ALERT_SEVERITIES && type > 0 &&
        type < EZ_ALERT_TYPES)
        trim->deltas.n[status][severity][type]--;
}
