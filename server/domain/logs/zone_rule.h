// SPDX-License-Identifier: Apache-2.0
//
// What holds after the last change a zone's file lists: a rule as POSIX writes it in TZ ("CET-1CEST,M3.5.0,M10.5.0/3").
// Pure.
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct ez_zone_turn {
    char form; // 'M': the week-th weekday of month; 'J': day 1 … 365, without 29 February; 'N': day 0 … 365
    int month, week, day;
    int32_t time; // seconds after local midnight, may be negative or past a day
} ez_zone_turn;

typedef struct ez_zone_rule {
    int32_t standard, summer; // seconds east of UTC
    bool has_summer;
    ez_zone_turn begin, end; // of summer time, in the local time that held before
} ez_zone_rule;

// False where the text is no such rule.
bool ez_zone_rule_read(const char *text, ez_zone_rule *out);
int32_t ez_zone_rule_offset(const ez_zone_rule *rule, int64_t unix_s);

// Days since 1970-01-01 of a date of the proleptic Gregorian calendar; month 1 … 12.
int64_t ez_zone_days(int64_t year, int month, int day);
// The year and month of a day.
void ez_zone_date(int64_t days, int64_t *year, int *month);
