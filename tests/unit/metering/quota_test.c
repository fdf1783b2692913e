// SPDX-License-Identifier: Apache-2.0
#include <criterion/criterion.h>

#include "ez/v1/key.pb-c.h"
#include "proto/runtime/clock.h"
#include "server/state/metering/quota.h"
#include "tests/support/expect.h"

static int64_t seconds(const char *text) {
    int64_t at;
    int32_t nanos;
    cr_assert_eq(ez_clock_parse(text, strlen(text), &at, &nanos), EZ_OK);
    return at;
}

static void expect_next(int period, const char *now, const char *next) {
    char text[EZ_CLOCK_TEXT_MAX];
    text[ez_clock_format(ez_quota_next_period(period, seconds(now)), 0, text)] = 0;
    cr_assert_str_eq(text, next, "after %s comes %s, not %s", now, next, text);
}

#define DAY   EZ__V1__QUOTA_PERIOD__QUOTA_PERIOD_DAY
#define WEEK  EZ__V1__QUOTA_PERIOD__QUOTA_PERIOD_WEEK
#define MONTH EZ__V1__QUOTA_PERIOD__QUOTA_PERIOD_MONTH

Test(quota, periods_begin_at_midnight_on_mondays_and_on_the_first) {
    expect_next(DAY, "2026-02-28T23:59:59Z", "2026-03-01T00:00:00Z");
    expect_next(DAY, "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z");
    expect_next(WEEK, "2026-11-22T23:59:59Z", "2026-11-23T00:00:00Z"); // a Sunday
    expect_next(WEEK, "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"); // a Monday
    expect_next(WEEK, "2026-11-26T12:00:00Z", "2026-11-30T00:00:00Z");
    expect_next(MONTH, "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z");
    expect_next(MONTH, "2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z");
    expect_next(MONTH, "2028-01-31T08:00:00Z", "2028-02-01T00:00:00Z");
}

Test(quota, what_is_carried_and_what_is_counted_add_up_and_never_overflow) {
    ez_counters *counters = NULL;
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_counters_create(&counters, &error), &error);
    ez_usage_sums sums = {.quota_used = 40};
    ez_counters_note(counters, EZ_USAGE_KEYS, 1, &sums);
    cr_assert_eq(ez_quota_used(counters, 1, 0, 0), 40);
    cr_assert_eq(ez_quota_used(counters, 1, 3, 2), 45);
    cr_assert_eq(ez_quota_used(counters, 1, 0, -100), 0, "never below zero");
    cr_assert_eq(ez_quota_used(NULL, 1, 0, 7), 7);
    cr_assert_eq(ez_quota_used(counters, 2, 0, 7), 7);
    cr_assert_eq(ez_quota_used(counters, 1, INT64_MAX, INT64_MAX), INT64_MAX);
    cr_assert_eq(ez_quota_used(counters, 1, 0, ez_quota_carry(counters, 1, 0)), 0);
    cr_assert_eq(ez_quota_used(counters, 1, 0, ez_quota_carry(counters, 1, 12)), 12);
    cr_assert_eq(ez_quota_used(counters, 1, 0, ez_quota_carry(counters, 1, INT64_MAX)), INT64_MAX);
    ez_counters_destroy(counters);
}
