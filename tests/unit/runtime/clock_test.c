// SPDX-License-Identifier: Apache-2.0
//
// RFC 3339: every day of four centuries round trips against the C library, and what is no time is refused.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto/runtime/clock.h"

Test(clock, formats_as_the_c_library_does) {
    for (int64_t day = -719162; day < 2932897; day += 97) {
        time_t seconds = (time_t)(day * 86400 + (day * 7919) % 86400);
        struct tm tm;
        char expected[64], text[EZ_CLOCK_TEXT_MAX];
        gmtime_r(&seconds, &tm);
        if (tm.tm_year + 1900 < 1)
            continue;
        snprintf(expected, sizeof expected, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1,
                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        cr_assert_eq(ez_clock_format(seconds, 0, text), 20);
        cr_assert_str_eq(text, expected);
        int64_t back;
        int32_t nanos;
        cr_assert_eq(ez_clock_parse(text, strlen(text), &back, &nanos), EZ_OK);
        cr_assert_eq(back, seconds);
    }
}

Test(clock, gives_as_many_digits_as_it_takes) {
    char text[EZ_CLOCK_TEXT_MAX];
    ez_clock_format(0, 120000000, text);
    cr_assert_str_eq(text, "1970-01-01T00:00:00.120Z");
    ez_clock_format(0, 120, text);
    cr_assert_str_eq(text, "1970-01-01T00:00:00.000000120Z");
    ez_clock_format(0, 120000, text);
    cr_assert_str_eq(text, "1970-01-01T00:00:00.000120Z");
    ez_clock_format(INT64_MAX, 999999999, text);
    cr_assert_str_eq(text, "9999-12-31T23:59:59.999999999Z");
    ez_clock_format(INT64_MIN, -1, text);
    cr_assert_str_eq(text, "0001-01-01T00:00:00Z");
}

static void expect_time(const char *text, int64_t seconds, int32_t nanos) {
    int64_t s = -1;
    int32_t n = -1;
    cr_assert_eq(ez_clock_parse(text, strlen(text), &s, &n), EZ_OK, "%s", text);
    cr_assert_eq(s, seconds, "%s", text);
    cr_assert_eq(n, nanos, "%s", text);
}

Test(clock, takes_offsets_fractions_and_leap_seconds) {
    expect_time("1970-01-01T00:00:00Z", 0, 0);
    expect_time("1970-01-01t01:00:00.5+01:00", 0, 500000000);
    expect_time("1969-12-31 19:00:00.000000001-05:00", 0, 1);
    expect_time("2016-12-31T23:59:60Z", 1483228800, 0);
    expect_time("2000-02-29T12:00:00z", 951825600, 0);
}

Test(clock, refuses_what_is_no_time) {
    static const char *const bad[] = {"",
                                      "2024",
                                      "2024-01-01",
                                      "2024-01-01T00:00:00",
                                      "2024-13-01T00:00:00Z",
                                      "2024-00-01T00:00:00Z",
                                      "2023-02-29T00:00:00Z",
                                      "2024-01-32T00:00:00Z",
                                      "2024-01-00T00:00:00Z",
                                      "2024-01-01T24:00:00Z",
                                      "2024-01-01T00:60:00Z",
                                      "2024-01-01T00:00:61Z",
                                      "2024-01-01T00:00:00.Z",
                                      "2024-01-01T00:00:00.1234567890Z",
                                      "2024-01-01T00:00:00+24:00",
                                      "2024-01-01T00:00:00+0100",
                                      "2024-01-01T00:00:00Zx",
                                      " 2024-01-01T00:00:00Z",
                                      "0000-01-01T00:00:00Z",
                                      "0001-01-01T00:00:00+00:01",
                                      "9999-12-31T23:59:59-00:01",
                                      "2024-1-01T00:00:00Z",
                                      "2024-01-01T00:00:0"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t seconds = 7;
        int32_t nanos = 7;
        cr_assert_eq(ez_clock_parse(bad[i], strlen(bad[i]), &seconds, &nanos), EZ_INVALID_ARGUMENT, "%s", bad[i]);
        cr_assert_eq(seconds, 7);
    }
}

Test(clock, goes_forward) {
    uint64_t before = ez_clock_mono_ns();
    cr_assert_geq(ez_clock_mono_ns(), before);
    cr_assert_geq(ez_clock_mono_ms(), before / 1000000);
    cr_assert_gt(ez_clock_wall_ns(), INT64_C(1600000000000000000));
}
