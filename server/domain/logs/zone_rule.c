// SPDX-License-Identifier: Apache-2.0
//
// POSIX's offsets count west, ours east. The awkward case is the southern summer, which begins late in one year and
// ends early in the next.
#include "server/domain/logs/zone_rule.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define DAY_S 86400

// ---- The calendar, after Howard Hinnant's days_from_civil and civil_from_days

int64_t ez_zone_days(int64_t year, int month, int day) {
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void ez_zone_date(int64_t days, int64_t *year, int *month) {
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day = days - era * 146097;
    int64_t of_era = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    int64_t of_year = day - (365 * of_era + of_era / 4 - of_era / 100);
    int64_t shifted = (5 * of_year + 2) / 153;
    *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = of_era + era * 400 + (*month <= 2);
}

static bool is_leap(int64_t year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

// ---- Reading

static bool read_name(const char **at) {
    const char *from = *at;
    if (*from == '<') {
        const char *end = strchr(from, '>');
        *at = end ? end + 1 : from;
        return end != NULL;
    }
    while (isalpha((unsigned char)**at))
        ++*at;
    return *at - from >= 3;
}

static bool read_number(const char **at, int max, int *out) {
    if (!isdigit((unsigned char)**at))
        return false;
    char *end;
    long value = strtol(*at, &end, 10);
    *at = end;
    *out = (int)value;
    return value <= max;
}

// [+-]hh[:mm[:ss]]
static bool read_time(const char **at, int32_t *out) {
    int sign = **at == '-' ? -1 : 1, parts[3] = {0};
    *at += **at == '-' || **at == '+';
    for (int i = 0; i < 3; i++) {
        if (!read_number(at, i == 0 ? 167 : 59, &parts[i]))
            return false;
        if (**at != ':')
            break;
        ++*at;
    }
    *out = sign * (parts[0] * 3600 + parts[1] * 60 + parts[2]);
    return true;
}

static bool read_turn(const char **at, ez_zone_turn *out) {
    *out = (ez_zone_turn){.form = 'N', .time = 2 * 3600};
    if (**at == 'M') {
        ++*at;
        out->form = 'M';
        if (!read_number(at, 12, &out->month) || *(*at)++ != '.' || !read_number(at, 5, &out->week) ||
            *(*at)++ != '.' || !read_number(at, 6, &out->day) || out->month < 1 || out->week < 1)
            return false;
    } else {
        if (**at == 'J') {
            ++*at;
            out->form = 'J';
        }
        if (!read_number(at, 365, &out->day) || (out->form == 'J' && out->day < 1))
            return false;
    }
    if (**at != '/')
        return true;
    ++*at;
    return read_time(at, &out->time);
}

bool ez_zone_rule_read(const char *text, ez_zone_rule *out) {
    const char *at = text;
    int32_t west;
    if (!read_name(&at) || !read_time(&at, &west))
        return false;
    *out = (ez_zone_rule){.standard = -west, .summer = -west + 3600};
    if (!*at)
        return true;
    if (!read_name(&at))
        return false;
    if (*at && *at != ',') {
        if (!read_time(&at, &west))
            return false;
        out->summer = -west;
    }
    out->has_summer = true;
    return *at++ == ',' && read_turn(&at, &out->begin) && *at++ == ',' && read_turn(&at, &out->end) && !*at;
}

// ---- What holds when

// Local seconds since 1970 at which a turn happens in a year.
static int64_t turn_at(const ez_zone_turn *turn, int64_t year) {
    int64_t day;
    if (turn->form == 'M') {
        int64_t first = ez_zone_days(year, turn->month, 1);
        int64_t weekday = ((first + 4) % 7 + 7) % 7; // 1970-01-01 was a Thursday
        int64_t next = turn->month == 12 ? ez_zone_days(year + 1, 1, 1) : ez_zone_days(year, turn->month + 1, 1);
        day = first + (turn->day - weekday + 7) % 7 + 7 * (turn->week - 1);
        while (day >= next)
            day -= 7;
    } else {
        int64_t first = ez_zone_days(year, 1, 1);
        day = turn->form == 'N' ? first + turn->day : first + turn->day - 1 + (turn->day > 59 && is_leap(year));
    }
    return day * DAY_S + turn->time;
}

int32_t ez_zone_rule_offset(const ez_zone_rule *rule, int64_t unix_s) {
    if (!rule->has_summer)
        return rule->standard;
    int64_t local = unix_s + rule->standard, year;
    int month;
    ez_zone_date((local - ((local % DAY_S) + DAY_S) % DAY_S) / DAY_S, &year, &month);
    int64_t begin = turn_at(&rule->begin, year) - rule->standard, end = turn_at(&rule->end, year) - rule->summer;
    bool is_summer = begin < end ? unix_s >= begin && unix_s < end : unix_s >= begin || unix_s < end;
    return is_summer ? rule->summer : rule->standard;
}
