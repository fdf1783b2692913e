// SPDX-License-Identifier: Apache-2.0
//
// A TZif file: a header and a block with 32-bit times, then (version 2 and newer) the same with 64-bit ones, then a
// rule for what comes after. Every count is checked against the file's length before anything is read by it, since a
// file may be cut or be none at all.
#include "server/domain/logs/zone.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/domain/logs/zone_rule.h"
#include "server/state/directory/edit.h"

#define FOLDER     "/usr/share/zoneinfo/"
#define NAME_MAX_  64
#define FILE_MAX   (64u << 10)
#define HEADER_LEN 44
#define COUNTS     6 // isutc, isstd, leap, transitions, types, characters
#define TYPE_LEN   6
#define OFFSET_MAX (26 * 3600) // as RFC 8536 recommends to expect
#define DAY_S      86400
#define HOUR_S     3600

enum { ISUTC, ISSTD, LEAP, TRANSITIONS, TYPES, CHARACTERS };

struct ez_zone {
    bool is_utc;
    uint32_t count;       // transitions
    const int64_t *times; // ascending
    const int32_t *after; // the offset from each on
    int32_t before;       // the offset before the first
    bool has_rule;        // for what is after the last
    ez_zone_rule rule;
};

static const ez_zone utc = {.is_utc = true};

static ez_status unknown(const char *name, ez_error *error) {
    return ez_error_set(error, EZ_INVALID_ARGUMENT, "TIME_ZONE_UNKNOWN",
                        "there is no time zone \"%.64s\" here: use an IANA name such as Europe/Berlin, or leave it out "
                        "for UTC",
                        name);
}

// ---- Reading

// Letters, digits, "+", "-", "_" and single slashes within: no way out of the folder.
static bool is_name(const char *name) {
    size_t len = strlen(name);
    if (len == 0 || len > NAME_MAX_ || name[0] == '/' || name[len - 1] == '/' || strstr(name, "//"))
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool is_fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
                       c == '-' || c == '_' || c == '/';
        if (!is_fine)
            return false;
    }
    return true;
}

static bool read_file(const char *name, uint8_t *out, size_t *len) {
    char path[sizeof FOLDER + NAME_MAX_];
    snprintf(path, sizeof path, FOLDER "%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    ssize_t got = 0;
    for (*len = 0; *len < FILE_MAX; *len += (size_t)got) {
        got = read(fd, out + *len, FILE_MAX - *len);
        if (got < 0 && errno == EINTR)
            got = 0;
        else if (got <= 0)
            break;
    }
    close(fd);
    return got == 0 && *len > HEADER_LEN;
}

static int64_t number(const uint8_t *at, unsigned size) {
    uint64_t value = at[0] & 0x80 ? UINT64_MAX : 0; // the sign
    for (unsigned i = 0; i < size; i++)
        value = value << 8 | at[i];
    return (int64_t)value;
}

// The header at *at, and how many bytes its block has with times of so many bytes. False where it is none.
static bool read_header(const uint8_t *file, size_t len, size_t *at, unsigned time_size, uint32_t counts[COUNTS],
                        size_t *block) {
    if (len - *at < HEADER_LEN || memcmp(file + *at, "TZif", 4) != 0)
        return false;
    for (int i = 0; i < COUNTS; i++) {
        counts[i] = (uint32_t)number(file + *at + 20 + 4 * i, 4);
        if (counts[i] > FILE_MAX)
            return false;
    }
    *at += HEADER_LEN;
    *block = (size_t)counts[TRANSITIONS] * (time_size + 1) + (size_t)counts[TYPES] * TYPE_LEN + counts[CHARACTERS] +
             (size_t)counts[LEAP] * (time_size + 4) + counts[ISSTD] + counts[ISUTC];
    return *block <= len - *at && counts[TYPES] > 0 && counts[LEAP] == 0;
}

static bool read_block(const uint8_t *at, unsigned time_size, const uint32_t counts[COUNTS], ez_arena *arena,
                       ez_zone *out) {
    uint32_t count = counts[TRANSITIONS];
    int64_t *times = ez_arena_alloc(arena, (count + 1) * sizeof *times);
    int32_t *after = ez_arena_alloc(arena, (count + 1) * sizeof *after);
    if (!times || !after)
        return false;
    const uint8_t *indexes = at + (size_t)count * time_size, *types = indexes + count;
    for (uint32_t i = 0; i < count; i++) {
        times[i] = number(at + (size_t)i * time_size, time_size);
        if (indexes[i] >= counts[TYPES] || (i > 0 && times[i] <= times[i - 1]))
            return false;
        after[i] = (int32_t)number(types + (size_t)indexes[i] * TYPE_LEN, 4);
        if (after[i] < -OFFSET_MAX || after[i] > OFFSET_MAX)
            return false;
    }
    out->count = count;
    out->times = times;
    out->after = after;
    out->before = (int32_t)number(types, 4);
    return out->before >= -OFFSET_MAX && out->before <= OFFSET_MAX;
}

static bool read_footer(const uint8_t *at, size_t len, ez_zone *out) {
    char text[128];
    const uint8_t *end = len > 1 && at[0] == '\n' ? memchr(at + 1, '\n', len - 1) : NULL;
    if (!end || (size_t)(end - at) > sizeof text)
        return false;
    size_t text_len = (size_t)(end - at - 1);
    memcpy(text, at + 1, text_len);
    text[text_len] = 0;
    out->has_rule = text_len > 0;
    return text_len == 0 || ez_zone_rule_read(text, &out->rule);
}

static bool read_zone(const uint8_t *file, size_t len, ez_arena *arena, ez_zone *out) {
    uint32_t counts[COUNTS];
    size_t at = 0, block;
    bool is_wide = file[4] >= '2';
    if (!read_header(file, len, &at, 4, counts, &block))
        return false;
    if (!is_wide)
        return read_block(file + at, 4, counts, arena, out);
    at += block;
    return read_header(file, len, &at, 8, counts, &block) && read_block(file + at, 8, counts, arena, out) &&
           read_footer(file + at + block, len - at - block, out);
}

ez_status ez_zone_open(const char *name, ez_arena *arena, const ez_zone **out, ez_error *error) {
    if (!name[0] || strcmp(name, "UTC") == 0 || strcmp(name, "Etc/UTC") == 0) {
        *out = &utc;
        return EZ_OK;
    }
    uint8_t *file = ez_arena_alloc(arena, FILE_MAX);
    ez_zone *zone = ez_arena_zalloc(arena, sizeof *zone);
    if (!file || !zone)
        return ez_no_memory(error);
    size_t len;
    if (!is_name(name) || !read_file(name, file, &len) || !read_zone(file, len, arena, zone))
        return arena->refused ? ez_no_memory(error) : unknown(name, error);
    *out = zone;
    return EZ_OK;
}

// ---- Asking

int32_t ez_zone_offset(const ez_zone *zone, int64_t unix_s) {
    if (zone->count == 0 || unix_s < zone->times[0])
        return zone->count == 0 && zone->has_rule ? ez_zone_rule_offset(&zone->rule, unix_s) : zone->before;
    uint32_t low = 0, high = zone->count - 1; // the last transition that is not after unix_s
    while (low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        if (zone->times[middle] <= unix_s)
            low = middle;
        else
            high = middle - 1;
    }
    bool is_past = low == zone->count - 1 && zone->has_rule;
    return is_past ? ez_zone_rule_offset(&zone->rule, unix_s) : zone->after[low];
}

bool ez_zone_is_utc(const ez_zone *zone) {
    return zone->is_utc;
}

bool ez_zone_has_whole_hours(const ez_zone *zone, int64_t since_s, int64_t until_s) {
    if (ez_zone_offset(zone, since_s) % HOUR_S != 0 || ez_zone_offset(zone, until_s) % HOUR_S != 0)
        return false;
    for (uint32_t i = 0; i < zone->count; i++)
        if (zone->times[i] > since_s && zone->times[i] < until_s && zone->after[i] % HOUR_S != 0)
            return false;
    bool has_rule = zone->has_rule && (zone->count == 0 || until_s > zone->times[zone->count - 1]);
    return !has_rule ||
           (zone->rule.standard % HOUR_S == 0 && (!zone->rule.has_summer || zone->rule.summer % HOUR_S == 0));
}

static int64_t day_of(int64_t local_s) {
    return (local_s - ((local_s % DAY_S) + DAY_S) % DAY_S) / DAY_S;
}

// The moment a local day begins: its midnight by the offset that holds then.
static int64_t begin_of(const ez_zone *zone, int64_t day) {
    int64_t guess = day * DAY_S - ez_zone_offset(zone, day * DAY_S);
    int64_t begin = day * DAY_S - ez_zone_offset(zone, guess);
    // Where the clock is put forward at midnight there is none: the day begins with the change.
    if (day_of(begin + ez_zone_offset(zone, begin)) < day)
        begin = day * DAY_S - ez_zone_offset(zone, begin);
    return begin;
}

int64_t ez_zone_day(const ez_zone *zone, int64_t unix_s) {
    return begin_of(zone, day_of(unix_s + ez_zone_offset(zone, unix_s)));
}

int64_t ez_zone_month(const ez_zone *zone, int64_t unix_s) {
    int64_t year;
    int month;
    ez_zone_date(day_of(unix_s + ez_zone_offset(zone, unix_s)), &year, &month);
    return begin_of(zone, ez_zone_days(year, month, 1));
}
