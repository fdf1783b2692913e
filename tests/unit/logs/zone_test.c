// SPDX-License-Identifier: Apache-2.0
//
// Zones against the C library's own reading of the same files, over past and future; days and months at the changes of
// summer time; names that are no zone.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/domain/logs/zone.h"
#include "server/domain/logs/zone_rule.h"

static ez_arena arena;
static ez_error error;

static void setup(void) {
    ez_arena_init(&arena, 16 << 20);
}

static void teardown(void) {
    ez_arena_fini(&arena);
}

TestSuite(zone, .init = setup, .fini = teardown);

static const ez_zone *given_zone(const char *name) {
    const ez_zone *zone = NULL;
    cr_assert_eq(ez_zone_open(name, &arena, &zone, &error), EZ_OK, "%s: %s", name, error.message);
    return zone;
}

// UTC seconds of a date and time.
static int64_t utc(int year, int month, int day, int hour, int minute) {
    return ez_zone_days(year, month, day) * 86400 + hour * 3600 + minute * 60;
}

Test(zone, says_what_the_c_library_says) {
    static const char *const names[] = {
        "Europe/Berlin",     "America/New_York",    "America/Sao_Paulo",   "Asia/Kolkata",
        "Asia/Tokyo",        "Australia/Sydney",    "Australia/Lord_Howe", "Pacific/Apia",
        "Africa/Casablanca", "Asia/Kathmandu",      "America/St_Johns",    "Etc/GMT+5",
        "Europe/Dublin",     "Africa/Johannesburg", "Pacific/Chatham",     "EST5EDT"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const ez_zone *zone = given_zone(names[i]);
        setenv("TZ", names[i], 1);
        tzset();
        for (int64_t at = utc(1971, 1, 1, 0, 0); at < utc(2090, 1, 1, 0, 0); at += 3 * 86400 + 5 * 3600 + 17) {
            time_t moment = (time_t)at;
            struct tm local;
            localtime_r(&moment, &local);
            cr_assert_eq(ez_zone_offset(zone, at), local.tm_gmtoff, "%s at %lld: %d, not %ld", names[i], (long long)at,
                         ez_zone_offset(zone, at), local.tm_gmtoff);
        }
    }
}

Test(zone, changes_to_the_second) {
    const ez_zone *berlin = given_zone("Europe/Berlin");
    int64_t summer = utc(2025, 3, 30, 1, 0), winter = utc(2060, 10, 31, 1, 0); // the second one by the rule
    cr_assert_eq(ez_zone_offset(berlin, summer - 1), 3600);
    cr_assert_eq(ez_zone_offset(berlin, summer), 7200);
    cr_assert_eq(ez_zone_offset(berlin, winter - 1), 7200);
    cr_assert_eq(ez_zone_offset(berlin, winter), 3600);
}

Test(zone, days_begin_at_local_midnight) {
    const ez_zone *berlin = given_zone("Europe/Berlin");
    // 25 hours: the clock goes back on 26 October 2025.
    int64_t begin = utc(2025, 10, 25, 22, 0);
    cr_assert_eq(ez_zone_day(berlin, begin), begin);
    cr_assert_eq(ez_zone_day(berlin, begin - 1), begin - 86400);
    cr_assert_eq(ez_zone_day(berlin, begin + 25 * 3600 - 1), begin);
    cr_assert_eq(ez_zone_day(berlin, begin + 25 * 3600), begin + 25 * 3600);
    const ez_zone *paulo = given_zone("America/Sao_Paulo");
    // No midnight: on 4 November 2018 the clock went from 00:00 to 01:00.
    int64_t change = utc(2018, 11, 4, 3, 0);
    cr_assert_eq(ez_zone_day(paulo, change + 3600), change);
    cr_assert_eq(ez_zone_day(paulo, change - 1), utc(2018, 11, 3, 3, 0));
    const ez_zone *none = given_zone("");
    cr_assert(ez_zone_is_utc(none));
    cr_assert_eq(ez_zone_day(none, utc(2025, 2, 28, 23, 59)), utc(2025, 2, 28, 0, 0));
}

Test(zone, months_begin_with_their_first_day) {
    const ez_zone *york = given_zone("America/New_York");
    cr_assert_eq(ez_zone_month(york, utc(2025, 4, 1, 3, 59)), utc(2025, 3, 1, 5, 0));
    cr_assert_eq(ez_zone_month(york, utc(2025, 4, 1, 4, 0)), utc(2025, 4, 1, 4, 0));
    cr_assert_eq(ez_zone_month(given_zone("UTC"), utc(2024, 2, 29, 12, 0)), utc(2024, 2, 1, 0, 0));
}

Test(zone, whole_hours_are_told_from_others) {
    int64_t since = utc(2025, 1, 1, 0, 0), until = utc(2025, 12, 31, 0, 0);
    cr_assert(ez_zone_has_whole_hours(given_zone("Europe/Berlin"), since, until));
    cr_assert(ez_zone_has_whole_hours(given_zone("UTC"), since, until));
    cr_assert_not(ez_zone_has_whole_hours(given_zone("Asia/Kolkata"), since, until));
    // Whole hours in winter, ten and a half in summer.
    const ez_zone *howe = given_zone("Australia/Lord_Howe");
    cr_assert(ez_zone_has_whole_hours(howe, utc(2025, 1, 1, 0, 0), utc(2025, 2, 1, 0, 0)));
    cr_assert_not(ez_zone_has_whole_hours(howe, since, until));
}

Test(zone, names_that_are_none_are_refused) {
    static const char *const names[] = {
        "Europe/Nowhere", "../../etc/passwd", "/etc/passwd",    "Europe/../Europe/Berlin",
        "Europe/",        "Europe",           "Europe//Berlin", ".",
        "tzdata.zi",      "zone1970.tab",     "leapseconds",    "Europe/Berlin ",
        "a\x01b"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const ez_zone *zone = NULL;
        ez_error_clear(&error);
        cr_assert_eq(ez_zone_open(names[i], &arena, &zone, &error), EZ_INVALID_ARGUMENT, "%s", names[i]);
        cr_assert_str_eq(error.reason, "TIME_ZONE_UNKNOWN");
    }
}

Test(zone, rules_are_read_or_refused) {
    ez_zone_rule rule;
    cr_assert(ez_zone_rule_read("CET-1CEST,M3.5.0,M10.5.0/3", &rule));
    cr_assert_eq(rule.standard, 3600);
    cr_assert_eq(rule.summer, 7200);
    cr_assert(ez_zone_rule_read("<+0330>-3:30", &rule));
    cr_assert_eq(rule.standard, 12600);
    cr_assert_not(rule.has_summer);
    cr_assert(ez_zone_rule_read("A-BC", &rule) == false);
    cr_assert(ez_zone_rule_read("XXX5YYY,J60/0,J300", &rule));
    cr_assert_eq(ez_zone_rule_offset(&rule, utc(2024, 3, 1, 5, 0)), -4 * 3600, "J60 is 1 March in every year");
    cr_assert_eq(ez_zone_rule_offset(&rule, utc(2024, 3, 1, 4, 59)), -5 * 3600);
    static const char *const bad[] = {"",
                                      "CET",
                                      "CET-1CEST",
                                      "CET-1CEST,M3.5.0",
                                      "CET-1CEST,M13.5.0,M10.5.0",
                                      "CET-1CEST,M3.0.0,M10.5.0",
                                      "CET-1CEST,M3.5.0,M10.5.0x",
                                      "<CET-1",
                                      "CET-999",
                                      "CET-1CEST,J0,J5",
                                      "CET-1CEST,400,5"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_not(ez_zone_rule_read(bad[i], &rule), "%s", bad[i]);
}

Test(zone, dates_go_both_ways) {
    for (int64_t day = -200000; day < 400000; day += 13) {
        int64_t year;
        int month;
        ez_zone_date(day, &year, &month);
        int64_t first = ez_zone_days(year, month, 1);
        cr_assert(first <= day && day - first < 31);
    }
    cr_assert_eq(ez_zone_days(1970, 1, 1), 0);
    cr_assert_eq(ez_zone_days(2000, 3, 1), 11017);
}
