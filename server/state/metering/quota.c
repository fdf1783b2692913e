// SPDX-License-Identifier: Apache-2.0
//
// Counters only grow. A period begins by carrying the negative of what was counted until then, so that a flush and a
// reset need not know of each other.
#include "server/state/metering/quota.h"

#include <time.h>

#include "ez/v1/key.pb-c.h"

#define DAY_S 86400

static int64_t add(int64_t a, int64_t b) {
    int64_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        return a < 0 ? INT64_MIN : INT64_MAX;
    return sum;
}

int64_t ez_quota_used(const ez_counters *counters, int64_t key_id, int64_t kept, int64_t carried) {
    ez_usage_sums sums;
    ez_counters_get(counters, EZ_USAGE_KEYS, key_id, &sums);
    int64_t used = add(add(sums.quota_used, carried), kept);
    return used > 0 ? used : 0;
}

int64_t ez_quota_carry(const ez_counters *counters, int64_t key_id, int64_t used) {
    ez_usage_sums sums;
    ez_counters_get(counters, EZ_USAGE_KEYS, key_id, &sums);
    return add(used, -sums.quota_used);
}

int64_t ez_quota_next_period(int period, int64_t now_s) {
    int64_t day = now_s / DAY_S;
    if (period == EZ__V1__QUOTA_PERIOD__QUOTA_PERIOD_DAY)
        return (day + 1) * DAY_S;
    if (period == EZ__V1__QUOTA_PERIOD__QUOTA_PERIOD_WEEK)
        return (day + 7 - (day + 3) % 7) * DAY_S; // day 0 was a Thursday
    struct tm tm = {0};
    time_t now = (time_t)now_s;
    gmtime_r(&now, &tm);
    struct tm first = {.tm_year = tm.tm_year, .tm_mon = tm.tm_mon + 1, .tm_mday = 1};
    return (int64_t)timegm(&first);
}
