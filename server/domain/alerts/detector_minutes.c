// SPDX-License-Identifier: Apache-2.0
//
// Minutes stand in no order; there are few. A minute is kept as an array, as its rows come: by model, those of one id
// mostly one after the other, which become one entry. The window's sums are made of the arrays each time, in a table
// that is thrown away.
//
// Awkward: a record that comes between the look at a minute's total and its reading counts already, and makes the next
// round read the minute once more.
#include "server/domain/alerts/detector_minutes.h"

#include <stdlib.h>

#include "proto/runtime/error.h"

#define MINUTE_S   INT64_C(60)
#define ROOM_MIN   1024
#define NEIGHBOURS 64

// ---- Sums by id, in a table with linear probing

typedef struct slot {
    int64_t id;
    int64_t requests; // 0: nobody's
    int64_t errors;
} slot;

typedef struct table {
    slot *slots;
    size_t room, count; // room: a power of two, at least twice the count
    size_t expected;    // so many will come; 0: not known
} table;

static void table_fini(table *sums) {
    free(sums->slots);
    *sums = (table){0};
}

// Ids that are neighbours are neighbours here too: rows come by id, or of every hundredth or so, again and again.
static slot *slot_of(const table *sums, int64_t id) {
    uint64_t block = ((uint64_t)id / NEIGHBOURS * UINT64_C(0x9e3779b97f4a7c15)) >> 20;
    size_t at = (size_t)(block * NEIGHBOURS + (uint64_t)id % NEIGHBOURS) & (sums->room - 1);
    while (sums->slots[at].requests && sums->slots[at].id != id)
        at = (at + 1) & (sums->room - 1);
    return &sums->slots[at];
}

static bool grow(table *sums) {
    size_t least = sums->expected ? 2 * sums->expected : ROOM_MIN;
    table wider = {.room = sums->room ? 2 * sums->room : ROOM_MIN, .count = sums->count};
    while (!sums->room && wider.room < least)
        wider.room *= 2;
    wider.slots = sums->count < EZ_MINUTES_IDS ? calloc(wider.room, sizeof *wider.slots) : NULL;
    if (!wider.slots)
        return false;
    for (size_t i = 0; i < sums->room; i++)
        if (sums->slots[i].requests)
            *slot_of(&wider, sums->slots[i].id) = sums->slots[i];
    free(sums->slots);
    *sums = wider;
    return true;
}

// False: there is no room.
static bool add(table *sums, int64_t id, int64_t requests, int64_t errors) {
    if (requests <= 0)
        return true;
    if (2 * (sums->count + 1) > sums->room && !grow(sums))
        return false;
    slot *to = slot_of(sums, id);
    sums->count += to->requests == 0;
    to->id = id;
    ez_rollup_sum_add(&to->requests, requests);
    ez_rollup_sum_add(&to->errors, errors);
    return true;
}

static ez_status no_room(ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for the numbers of minutes");
}

// ---- What is kept

static void forget(ez_minutes *minutes, size_t at) {
    minutes->held -= minutes->minutes[at].count;
    free(minutes->minutes[at].entries);
    minutes->minutes[at] = minutes->minutes[--minutes->count];
}

void ez_minutes_fini(ez_minutes *minutes) {
    while (minutes->count)
        forget(minutes, minutes->count - 1);
}

static void forget_others(ez_minutes *minutes, int64_t since_s, int64_t until_s) {
    for (size_t i = minutes->count; i-- > 0;)
        if (minutes->minutes[i].time_s < since_s || minutes->minutes[i].time_s >= until_s)
            forget(minutes, i);
}

static ez_minute *find(ez_minutes *minutes, int64_t time_s) {
    for (size_t i = 0; i < minutes->count; i++)
        if (minutes->minutes[i].time_s == time_s)
            return &minutes->minutes[i];
    return NULL;
}

static uint32_t narrow(int64_t number) {
    return number < 0 ? 0 : number < UINT32_MAX ? (uint32_t)number : UINT32_MAX;
}

// ---- Reading

typedef struct filling {
    table *sums;
    ez_minute minute;
    size_t room, most; // entries
    bool is_kept;      // there was room so far
} filling;

static bool make_room(filling *it) {
    if (it->minute.count < it->room)
        return true;
    size_t room = it->room ? 2 * it->room : ROOM_MIN;
    room = room < it->most ? room : it->most;
    ez_minute_entry *wider =
        it->minute.count < room ? realloc(it->minute.entries, room * sizeof *it->minute.entries) : NULL;
    if (!wider)
        return false;
    it->minute.entries = wider;
    it->room = room;
    return true;
}

static void keep(filling *it, const ez_minute_row *row) {
    ez_minute *minute = &it->minute;
    ez_minute_entry *last = minute->count ? &minute->entries[minute->count - 1] : NULL;
    if (last && last->id == row->id) {
        last->requests = narrow(last->requests + row->requests);
        last->errors = narrow(last->errors + row->errors);
        return;
    }
    it->is_kept = make_room(it);
    if (it->is_kept)
        minute->entries[minute->count++] = (ez_minute_entry){row->id, narrow(row->requests), narrow(row->errors)};
}

static ez_status take_row(void *user, const ez_minute_row *row, ez_error *error) {
    filling *it = user;
    if (row->requests > 0 && it->is_kept)
        keep(it, row);
    return add(it->sums, row->id, row->requests, row->errors) ? EZ_OK : no_room(error);
}

// One that is not kept, or not as it is now.
static ez_status read_anew(ez_minutes *minutes, ez_reader *reader, ez_stats_by by, int64_t time_s, int64_t total,
                           table *sums, ez_error *error) {
    ez_minute *old = find(minutes, time_s);
    if (old)
        forget(minutes, (size_t)(old - minutes->minutes));
    filling it = {.sums = sums,
                  .minute = {.time_s = time_s, .total = total},
                  .most = EZ_MINUTES_HELD - minutes->held,
                  .is_kept = minutes->count < EZ_MINUTES_MAX};
    minutes->reads++;
    ez_status status = ez_reader_each_of_minute(reader, by, time_s, take_row, &it, error);
    if (status == EZ_OK && it.is_kept) {
        ez_minute_entry *fitting = realloc(it.minute.entries, (it.minute.count + 1) * sizeof *fitting);
        it.minute.entries = fitting ? fitting : it.minute.entries;
        minutes->held += it.minute.count;
        minutes->minutes[minutes->count++] = it.minute;
    } else {
        free(it.minute.entries);
    }
    return status;
}

static ez_status add_minute(ez_minutes *minutes, ez_reader *reader, ez_stats_by by, int64_t time_s, int64_t total,
                            table *sums, ez_error *error) {
    const ez_minute *minute = find(minutes, time_s);
    if (!minute || minute->total != total)
        return read_anew(minutes, reader, by, time_s, total, sums, error);
    for (size_t i = 0; i < minute->count; i++)
        if (!add(sums, minute->entries[i].id, minute->entries[i].requests, minute->entries[i].errors))
            return no_room(error);
    return EZ_OK;
}

typedef struct totals {
    int64_t since_s;
    int64_t requests[EZ_MINUTES_MAX];
} totals;

static ez_status take_total(void *user, const ez_stats_row *row, ez_error *error) {
    (void)error;
    totals *all = user;
    int64_t at = (row->id - all->since_s) / MINUTE_S;
    if (row->id >= all->since_s && at < EZ_MINUTES_MAX)
        all->requests[at] = row->sums.requests;
    return EZ_OK;
}

static ez_status read_all(ez_minutes *minutes, ez_reader *reader, const ez_minutes_ask *ask, table *sums,
                          ez_error *error) {
    totals all = {.since_s = ask->since_s};
    ez_stats_query query = {.by = EZ_STATS_MINUTE, .since_s = ask->since_s, .until_s = ask->until_s};
    ez_status status = ez_reader_each_stat(reader, &query, take_total, &all, error);
    forget_others(minutes, ask->since_s, ask->until_s);
    for (int64_t at = 0; status == EZ_OK && at < EZ_MINUTES_MAX && ask->since_s + at * MINUTE_S < ask->until_s; at++)
        if (all.requests[at])
            status = add_minute(minutes, reader, ask->by, ask->since_s + at * MINUTE_S, all.requests[at], sums, error);
    return status;
}

ez_status ez_minutes_each(ez_minutes *minutes, ez_reader *reader, const ez_minutes_ask *ask,
                          void (*each)(void *user, int64_t id, const ez_rule_numbers *numbers), void *user,
                          ez_error *error) {
    table sums = {.expected = minutes->expected};
    ez_status status = read_all(minutes, reader, ask, &sums, error);
    minutes->expected = sums.count;
    for (size_t i = 0; status == EZ_OK && i < sums.room; i++) {
        const slot *one = &sums.slots[i];
        if (one->requests && one->requests >= ask->least_requests && one->errors >= ask->least_errors)
            each(user, one->id, &(ez_rule_numbers){.requests = one->requests, .errors = one->errors});
    }
    table_fini(&sums);
    return status;
}
