// SPDX-License-Identifier: Apache-2.0
//
// Rollup rows in memory: an array, and a hash table of indexes into it. Texts are copied into an arena when their row
// is made. Sorting for ez_rollup_rows moves the rows, so that nothing may be added after it until the rollup is
// cleared.
//
// Awkward: every record is in a row of every level that the step keeps, also where it names no key or model, so that
// each level's sums are those of all records.
#include "server/state/store/rollup.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/arena.h"
#include "server/state/store/latency.h"

#define TEXTS_MAX (64u << 20)

struct ez_rollup {
    ez_rollup_row *rows;
    size_t count, room;
    uint32_t *slots; // index + 1 of a row; 0: free
    size_t slot_count;
    ez_log_day *days; // ascending
    size_t day_count, day_room;
    ez_arena texts;
    bool is_sorted;
};

static ez_status no_memory(ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for the rollups of log records");
}

ez_status ez_rollup_create(ez_rollup **out, ez_error *error) {
    ez_rollup *rollup = calloc(1, sizeof *rollup);
    if (!rollup)
        return no_memory(error);
    ez_arena_init(&rollup->texts, TEXTS_MAX);
    *out = rollup;
    return EZ_OK;
}

void ez_rollup_destroy(ez_rollup *rollup) {
    if (!rollup)
        return;
    free(rollup->rows);
    free(rollup->slots);
    free(rollup->days);
    ez_arena_fini(&rollup->texts);
    free(rollup);
}

void ez_rollup_clear(ez_rollup *rollup) {
    rollup->count = rollup->day_count = 0;
    rollup->is_sorted = false;
    if (rollup->slots)
        memset(rollup->slots, 0, rollup->slot_count * sizeof *rollup->slots);
    ez_arena_reset(&rollup->texts);
}

bool ez_rollup_is_full(const ez_rollup *rollup) {
    return rollup->count >= EZ_ROLLUP_ROWS_MAX || rollup->texts.used > TEXTS_MAX / 2;
}

// ---- The table

static uint64_t mix(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 32;
}

static uint64_t hash_text(ez_slice text) {
    uint64_t hash = text.len;
    for (size_t i = 0; i < text.len; i += 8) {
        uint64_t word = 0;
        memcpy(&word, text.data + i, text.len - i < 8 ? text.len - i : 8);
        hash = mix(hash, word);
    }
    return hash;
}

uint64_t ez_rollup_hash(const ez_rollup_row *row) {
    uint64_t hash = mix((uint64_t)row->time_s, (uint64_t)(row->step * EZ_ROLLUP_LEVELS + row->level));
    return mix(mix(mix(hash, (uint64_t)row->a), (uint64_t)row->b), hash_text(row->model));
}

static int compare_texts(ez_slice a, ez_slice b) {
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter ? memcmp(a.data, b.data, shorter) : 0;
    return order ? order : a.len < b.len ? -1 : a.len > b.len;
}

static int compare_numbers(int64_t a, int64_t b) {
    return a < b ? -1 : a > b;
}

static int compare_rows(const void *left, const void *right) {
    const ez_rollup_row *a = left, *b = right;
    int order = compare_numbers(a->step, b->step);
    order = order ? order : compare_numbers(a->level, b->level);
    order = order ? order : compare_numbers(a->time_s, b->time_s);
    order = order ? order : compare_numbers(a->a, b->a);
    order = order ? order : compare_numbers(a->b, b->b);
    return order ? order : compare_texts(a->model, b->model);
}

static bool grow(ez_rollup *rollup) {
    size_t room = rollup->room ? rollup->room * 2 : 1024;
    ez_rollup_row *rows = realloc(rollup->rows, room * sizeof *rows);
    if (!rows)
        return false;
    rollup->rows = rows;
    uint32_t *slots = calloc(room * 2, sizeof *slots);
    if (!slots)
        return false;
    free(rollup->slots);
    rollup->slots = slots;
    rollup->slot_count = room * 2;
    rollup->room = room;
    for (size_t i = 0; i < rollup->count; i++) {
        size_t slot = ez_rollup_hash(&rows[i]) & (rollup->slot_count - 1);
        while (slots[slot])
            slot = (slot + 1) & (rollup->slot_count - 1);
        slots[slot] = (uint32_t)i + 1;
    }
    return true;
}

// The row of a key, new ones with zeros; NULL where there is no memory.
static ez_rollup_row *find_or_make(ez_rollup *rollup, const ez_rollup_row *key) {
    assert(!rollup->is_sorted);
    if (rollup->count == rollup->room && !grow(rollup))
        return NULL;
    size_t slot = ez_rollup_hash(key) & (rollup->slot_count - 1);
    for (; rollup->slots[slot]; slot = (slot + 1) & (rollup->slot_count - 1)) {
        ez_rollup_row *row = &rollup->rows[rollup->slots[slot] - 1];
        if (compare_rows(row, key) == 0)
            return row;
    }
    ez_rollup_row *row = &rollup->rows[rollup->count];
    *row = (ez_rollup_row){.step = key->step, .level = key->level, .time_s = key->time_s, .a = key->a, .b = key->b};
    if (key->model.len) {
        row->model = (ez_slice){ez_arena_memdup(&rollup->texts, key->model.data, key->model.len), key->model.len};
        if (!row->model.data)
            return NULL;
    }
    rollup->slots[slot] = (uint32_t)++rollup->count;
    return row;
}

ez_status ez_rollup_put(ez_rollup *rollup, const ez_rollup_row *row, ez_error *error) {
    ez_rollup_row *own = find_or_make(rollup, row);
    if (!own)
        return no_memory(error);
    ez_rollup_sums_add(&own->sums, &row->sums);
    return EZ_OK;
}

// ---- Records

int64_t ez_rollup_floor(int64_t time_s, int step) {
    int64_t rest = time_s % step;
    return time_s - (rest < 0 ? rest + step : rest);
}

ez_rollup_edges ez_rollup_edges_at(int64_t now_ns) {
    int64_t now_s = now_ns / 1000000000;
    int64_t minutes = ez_rollup_floor(now_s - EZ_ROLLUP_MINUTES_KEEP_S, EZ_ROLLUP_HOUR);
    int64_t hours = ez_rollup_floor(now_s - EZ_ROLLUP_HOURS_KEEP_S, EZ_ROLLUP_DAY);
    return (ez_rollup_edges){minutes > EZ_ROLLUP_DAY ? minutes : EZ_ROLLUP_DAY,
                             hours > EZ_ROLLUP_DAY ? hours : EZ_ROLLUP_DAY};
}

static ez_rollup_sums sums_of(const ez_log_row *record) {
    ez_rollup_sums sums = {
        .requests = 1,
        .errors = record->status_code < 1 || record->status_code >= 400,
        .rate_limited = record->status_code == 429,
        .tokens_in = record->tokens_in,
        .tokens_out = record->tokens_out,
        .cost_nano_usd = record->cost_nano_usd,
        .latency_ms = record->latency_ms,
    };
    sums.histogram[ez_latency_bucket(record->latency_ms)] = 1;
    return sums;
}

// Where a record is added.
typedef struct place {
    int64_t second, minute_s, hour_s;
    bool has_minute, has_hour; // such rows are kept of its time
    ez_open_step hour, day;
} place;

static ez_status find_place(const ez_log_row *record, ez_rollup_places *places, place *out, ez_error *error) {
    int64_t second = ez_rollup_floor(record->time_ns, 1000000000) / 1000000000;
    *out = (place){.second = second,
                   .minute_s = ez_rollup_floor(second, EZ_ROLLUP_MINUTE),
                   .hour_s = ez_rollup_floor(second, EZ_ROLLUP_HOUR),
                   .has_minute = second >= places->edges.minutes_from_s,
                   .has_hour = second >= places->edges.hours_from_s};
    out->hour.from_s = out->day.from_s = INT64_MAX;
    ez_status status = EZ_OK;
    if (out->has_minute)
        status = ez_open_steps_use(&places->open, EZ_ROLLUP_HOUR, out->hour_s, places->now_s, &out->hour, error);
    if (!status && out->has_hour)
        status = ez_open_steps_use(&places->open, EZ_ROLLUP_DAY, ez_rollup_floor(second, EZ_ROLLUP_DAY), places->now_s,
                                   &out->day, error);
    return status;
}

static bool is_placed(const place *at, int step, int level) {
    bool in_hour = at->has_hour && (!at->has_minute || at->minute_s < ez_open_step_edge(&at->hour, level));
    if (step == EZ_ROLLUP_MINUTE)
        return at->has_minute && ez_rollup_kept(step, (ez_rollup_level)level) == (ez_rollup_level)level;
    if (step == EZ_ROLLUP_HOUR)
        return in_hour;
    return !at->has_hour || (in_hour && at->hour_s < ez_open_step_edge(&at->day, level));
}

static ez_status count_day(ez_rollup *rollup, int64_t day, ez_error *error) {
    size_t at = rollup->day_count;
    while (at > 0 && rollup->days[at - 1].day > day)
        at--;
    if (at > 0 && rollup->days[at - 1].day == day) {
        rollup->days[at - 1].records++;
        return EZ_OK;
    }
    if (rollup->day_count == rollup->day_room) {
        size_t room = rollup->day_room ? rollup->day_room * 2 : 64;
        ez_log_day *days = realloc(rollup->days, room * sizeof *days);
        if (!days)
            return no_memory(error);
        rollup->days = days;
        rollup->day_room = room;
    }
    memmove(&rollup->days[at + 1], &rollup->days[at], (rollup->day_count - at) * sizeof *rollup->days);
    rollup->days[at] = (ez_log_day){day, 1};
    rollup->day_count++;
    return EZ_OK;
}

const ez_log_day *ez_rollup_days(const ez_rollup *rollup, size_t *count) {
    *count = rollup->day_count;
    return rollup->days;
}

ez_status ez_rollup_add(ez_rollup *rollup, const ez_log_row *record, ez_rollup_places *places, ez_error *error) {
    static const int steps[] = {EZ_ROLLUP_MINUTE, EZ_ROLLUP_HOUR, EZ_ROLLUP_DAY};
    place at;
    ez_status status = find_place(record, places, &at, error);
    int64_t master = record->master_id, key = record->key_id, group = record->group_id, api_key = record->api_key_id;
    ez_slice none = {0}, model = record->model;
    const struct {
        int64_t a, b;
        ez_slice model;
    } keys[EZ_ROLLUP_LEVELS] = {
        [EZ_ROLLUP_TOTAL] = {0, 0, none},
        [EZ_ROLLUP_MODEL] = {0, 0, model},
        [EZ_ROLLUP_MASTER] = {master, 0, none},
        [EZ_ROLLUP_KEY] = {master, key, none},
        [EZ_ROLLUP_KEY_MODEL] = {master, key, model},
        [EZ_ROLLUP_GROUP] = {group, 0, none},
        [EZ_ROLLUP_API_KEY] = {group, api_key, none},
        [EZ_ROLLUP_API_KEY_MODEL] = {group, api_key, model},
    };
    ez_rollup_row row = {.sums = sums_of(record)};
    for (int i = 0; !status && i < 3 * (EZ_ROLLUP_LEVELS - 1); i++) {
        row.step = steps[i / (EZ_ROLLUP_LEVELS - 1)];
        row.level = EZ_ROLLUP_TOTAL + i % (EZ_ROLLUP_LEVELS - 1);
        if (!is_placed(&at, row.step, row.level))
            continue;
        row.time_s = ez_rollup_floor(at.second, row.step);
        row.a = keys[row.level].a;
        row.b = keys[row.level].b;
        row.model = keys[row.level].model;
        status = ez_rollup_put(rollup, &row, error);
    }
    return status ? status : count_day(rollup, ez_rollup_floor(at.second, EZ_ROLLUP_DAY) / EZ_ROLLUP_DAY, error);
}

const ez_rollup_row *ez_rollup_rows(ez_rollup *rollup, size_t *count) {
    if (!rollup->is_sorted && rollup->count)
        qsort(rollup->rows, rollup->count, sizeof *rollup->rows, compare_rows);
    rollup->is_sorted = true;
    *count = rollup->count;
    return rollup->rows;
}
