// SPDX-License-Identifier: Apache-2.0
//
// Clocks and RFC 3339. Dates go by the proleptic Gregorian calendar, computed (Howard Hinnant's days_from_civil), so
// that no libc table, locale or TZ takes part. The awkward cases: an offset that moves a time out of the years 1–9999
// (refused), and second 60 (a leap second counts as the first second of the next minute, as POSIX time has it).
#include "proto/runtime/clock.h"

#include <string.h>
#include <time.h>

#define SECONDS_MIN INT64_C(-62135596800) // 0001-01-01T00:00:00Z
#define SECONDS_MAX INT64_C(253402300799) // 9999-12-31T23:59:59Z

static int64_t now(clockid_t id) {
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

uint64_t ez_clock_mono_ns(void) {
    return (uint64_t)now(CLOCK_MONOTONIC);
}

uint64_t ez_clock_mono_ms(void) {
    return ez_clock_mono_ns() / 1000000;
}

int64_t ez_clock_wall_ns(void) {
    return now(CLOCK_REALTIME);
}

typedef struct civil {
    int year, month, day;
} civil;

static int64_t days_of(civil date) {
    int64_t year = date.month <= 2 ? date.year - 1 : date.year;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t in_era = year - era * 400;
    int64_t in_year = (153 * (date.month + (date.month > 2 ? -3 : 9)) + 2) / 5 + date.day - 1;
    return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

static civil date_of(int64_t days) {
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t in_era = days - era * 146097;
    int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (365 * year + year / 4 - year / 100);
    int64_t shifted = (5 * in_year + 2) / 153;
    int month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    return (civil){(int)(year + era * 400 + (month <= 2)), month, (int)(in_year - (153 * shifted + 2) / 5 + 1)};
}

static char *digits(char *out, int value, int count) {
    for (int i = count - 1; i >= 0; i--) {
        out[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return out + count;
}

size_t ez_clock_format(int64_t seconds, int32_t nanos, char *out) {
    if (seconds < SECONDS_MIN)
        seconds = SECONDS_MIN;
    if (seconds > SECONDS_MAX)
        seconds = SECONDS_MAX;
    if (nanos < 0 || nanos > 999999999)
        nanos = 0;
    int64_t days = seconds >= 0 ? seconds / 86400 : -((-seconds + 86399) / 86400);
    int rest = (int)(seconds - days * 86400);
    civil date = date_of(days);
    char *at = digits(out, date.year, 4);
    *at++ = '-';
    at = digits(at, date.month, 2);
    *at++ = '-';
    at = digits(at, date.day, 2);
    *at++ = 'T';
    at = digits(at, rest / 3600, 2);
    *at++ = ':';
    at = digits(at, rest / 60 % 60, 2);
    *at++ = ':';
    at = digits(at, rest % 60, 2);
    if (nanos) {
        *at++ = '.';
        at = nanos % 1000000 == 0 ? digits(at, nanos / 1000000, 3)
             : nanos % 1000 == 0  ? digits(at, nanos / 1000, 6)
                                  : digits(at, nanos, 9);
    }
    *at++ = 'Z';
    *at = 0;
    return (size_t)(at - out);
}

typedef struct cursor {
    const char *at, *end;
} cursor;

static bool number(cursor *in, int count, int *out) {
    if (in->end - in->at < count)
        return false;
    int value = 0;
    for (int i = 0; i < count; i++) {
        char c = in->at[i];
        if (c < '0' || c > '9')
            return false;
        value = value * 10 + (c - '0');
    }
    in->at += count;
    *out = value;
    return true;
}

static bool one_of(cursor *in, const char *set) {
    if (in->at == in->end || *in->at == 0 || !strchr(set, *in->at))
        return false;
    in->at++;
    return true;
}

static int days_in(int year, int month) {
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return lengths[month - 1] + (month == 2 && leap);
}

static bool read_date(cursor *in, civil *out) {
    if (!number(in, 4, &out->year) || !one_of(in, "-") || !number(in, 2, &out->month) || !one_of(in, "-") ||
        !number(in, 2, &out->day))
        return false;
    return out->year >= 1 && out->month >= 1 && out->month <= 12 && out->day >= 1 &&
           out->day <= days_in(out->year, out->month);
}

static bool read_time(cursor *in, int *seconds, int32_t *nanos) {
    int hour, minute, second;
    if (!number(in, 2, &hour) || !one_of(in, ":") || !number(in, 2, &minute) || !one_of(in, ":") ||
        !number(in, 2, &second) || hour > 23 || minute > 59 || second > 60)
        return false;
    *seconds = hour * 3600 + minute * 60 + second;
    *nanos = 0;
    if (!one_of(in, "."))
        return true;
    int32_t unit = 100000000;
    int digit;
    if (!number(in, 1, &digit))
        return false;
    do {
        *nanos += digit * unit;
        unit /= 10;
    } while (unit > 0 && number(in, 1, &digit));
    return in->at < in->end && (*in->at < '0' || *in->at > '9');
}

static bool read_offset(cursor *in, int *seconds) {
    *seconds = 0;
    if (one_of(in, "Zz"))
        return true;
    if (in->at == in->end)
        return false;
    int sign = *in->at == '-' ? -1 : 1;
    int hour, minute;
    if (!one_of(in, "+-") || !number(in, 2, &hour) || !one_of(in, ":") || !number(in, 2, &minute) || hour > 23 ||
        minute > 59)
        return false;
    *seconds = sign * (hour * 3600 + minute * 60);
    return true;
}

ez_status ez_clock_parse(const char *text, size_t len, int64_t *seconds, int32_t *nanos) {
    cursor in = {text, text + len};
    civil date;
    int time, offset;
    int32_t fraction;
    if (!read_date(&in, &date) || !one_of(&in, "Tt ") || !read_time(&in, &time, &fraction) ||
        !read_offset(&in, &offset) || in.at != in.end)
        return EZ_INVALID_ARGUMENT;
    int64_t sum = days_of(date) * 86400 + time - offset;
    if (sum < SECONDS_MIN || sum > SECONDS_MAX)
        return EZ_INVALID_ARGUMENT;
    *seconds = sum;
    *nanos = fraction;
    return EZ_OK;
}
