// SPDX-License-Identifier: Apache-2.0
//
// Rollups by brute force. Each row of the table that may be used, up to its edge, is added up anew from all records;
// that a bucket lacks none is seen from the count of its records.
#include "tests/unit/store/log_model.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ez_slice text(const char *value) {
    return (ez_slice){(const uint8_t *)value, strlen(value)};
}

ez_log_row random_record(int64_t time_ns) {
    static const char *const models[] = {"gpt-4o", "claude", "größe", "", "a model with a name that is rather long"};
    static const int32_t statuses[] = {200, 200, 200, 429, 500, 0};
    return (ez_log_row){.time_ns = time_ns,
                        .received_ns = time_ns + 5,
                        .data_plane_id = 1 + rand() % 3,
                        .master_id = rand() % 3,
                        .key_id = rand() % 4,
                        .group_id = rand() % 2,
                        .api_key_id = rand() % 3,
                        .request_id = text("r-1"),
                        .namespace = text("default"),
                        .model = text(models[rand() % 5]),
                        .upstream_model = text("up"),
                        .provider_type = text("openai"),
                        .client_ip = text("10.0.0.1"),
                        .error_message = text(""),
                        .status_code = statuses[rand() % 6],
                        .latency_ms = rand() % 200000,
                        .tokens_in = rand() % 1000,
                        .tokens_out = rand() % 1000,
                        .cost_nano_usd = rand(),
                        .stream = rand() % 2};
}

void add_records(ez_store *store, log_model *model, const ez_log_row *rows, size_t count, int64_t now_ns) {
    ez_log_batch batch = {.rows = rows, .row_count = count};
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_store_add_logs(store, &batch, 1, now_ns, &error), EZ_OK, "%s", error.message);
    cr_assert_leq(model->count + count, (size_t)MODEL_ROWS);
    for (size_t i = 0; i < count; i++)
        model->rows[model->count++] = rows[i];
}

unsigned fold_all(ez_store *store, int64_t now_ns) {
    ez_error error = EZ_ERROR_INIT;
    unsigned steps = 0;
    for (bool more = true; more; steps++) {
        cr_assert_eq(ez_store_fold_rollups(store, EZ_NO_FENCE, now_ns, &more, &error), EZ_OK, "%s", error.message);
        cr_assert_lt(steps, 100000u);
    }
    return steps - 1;
}

typedef struct edges {
    long long minutes_from_s, hours_from_s;
    ez_open_steps open;
} edges;

static void read_open(const place *at, ez_open_steps *out) {
    char *rows = rows_of(at, "SELECT step, time_s, from_s, until_s, folded FROM rollup_open"), *rest = rows, *line;
    while ((line = strsep(&rest, "\n")) && line[0]) {
        long long time_s, from_s, until_s;
        ez_open_step open = {0};
        cr_assert_eq(sscanf(line, "%d|%lld|%lld|%lld|%d", &open.step, &time_s, &from_s, &until_s, &open.folded), 5);
        open.time_s = time_s;
        open.from_s = from_s;
        open.until_s = until_s;
        cr_assert_eq(ez_open_steps_put(out, &open, NULL), EZ_OK);
    }
    free(rows);
}

// Up to when a level's rows of a step have everything, and may be used.
static int64_t usable_until(const edges *at, int step, int64_t time_s, int level) {
    if (step == EZ_ROLLUP_MINUTE)
        return time_s >= at->minutes_from_s ? time_s + step : time_s;
    if (step == EZ_ROLLUP_HOUR && time_s < at->hours_from_s)
        return time_s;
    for (size_t i = 0; i < at->open.count; i++) {
        const ez_open_step *open = &at->open.items[i];
        if (open->step == step && open->time_s == time_s)
            return ez_open_step_edge(open, level);
    }
    return time_s + step;
}

static bool is_of(const ez_log_row *record, const ez_rollup_row *row, int64_t until_s) {
    int64_t second = record->time_ns / SECOND_NS;
    if (second < row->time_s || second >= until_s)
        return false;
    bool has_model =
        row->level == EZ_ROLLUP_MODEL || row->level == EZ_ROLLUP_KEY_MODEL || row->level == EZ_ROLLUP_API_KEY_MODEL;
    if (has_model && (record->model.len != row->model.len ||
                      (row->model.len && memcmp(record->model.data, row->model.data, row->model.len) != 0)))
        return false;
    switch (row->level) {
    case EZ_ROLLUP_MASTER:
        return record->master_id == row->a;
    case EZ_ROLLUP_KEY:
    case EZ_ROLLUP_KEY_MODEL:
        return record->master_id == row->a && record->key_id == row->b;
    case EZ_ROLLUP_GROUP:
        return record->group_id == row->a;
    case EZ_ROLLUP_API_KEY:
    case EZ_ROLLUP_API_KEY_MODEL:
        return record->group_id == row->a && record->api_key_id == row->b;
    default:
        return true;
    }
}

static ez_rollup_sums sum_of(const log_model *model, const ez_rollup_row *row, int64_t until_s) {
    static const int64_t bounds[] = {10,   25,   50,   100,   250,   500,   750,    1000,
                                     2000, 4000, 8000, 15000, 30000, 60000, 120000, INT64_MAX};
    ez_rollup_sums sums = {0};
    for (size_t i = 0; i < model->count; i++) {
        const ez_log_row *record = &model->rows[i];
        if (!is_of(record, row, until_s))
            continue;
        size_t bucket = 0;
        while (record->latency_ms > bounds[bucket])
            bucket++;
        sums.requests++;
        sums.errors += record->status_code == 0 || record->status_code >= 400;
        sums.rate_limited += record->status_code == 429;
        sums.tokens_in += record->tokens_in;
        sums.tokens_out += record->tokens_out;
        sums.cost_nano_usd += record->cost_nano_usd;
        sums.latency_ms += record->latency_ms;
        sums.histogram[bucket]++;
    }
    return sums;
}

// "step|level|time|a|b|model|…"
static ez_rollup_row parse(char *line) {
    char *fields[6 + 23];
    for (int i = 0; i < 6 + 23; i++) {
        fields[i] = strsep(&line, "|");
        cr_assert_not_null(fields[i]);
    }
    ez_rollup_row row = {.step = atoi(fields[0]),
                         .level = atoi(fields[1]),
                         .time_s = atoll(fields[2]),
                         .a = atoll(fields[3]),
                         .b = atoll(fields[4]),
                         .model = text(fields[5])};
    int64_t *sums = (int64_t *)&row.sums;
    for (int i = 0; i < 23; i++)
        sums[i] = atoll(fields[6 + i]);
    return row;
}

static size_t count_in(const log_model *model, int step, int64_t time_s, int64_t until_s) {
    const ez_rollup_row total = {.step = step, .level = EZ_ROLLUP_TOTAL, .time_s = time_s};
    return (size_t)sum_of(model, &total, until_s).requests;
}

// Every record's minute, hour and day that may be used has as many requests as the model, at each level.
static void expect_counts(const place *at, const edges *its, const log_model *model) {
    static const int steps[] = {EZ_ROLLUP_MINUTE, EZ_ROLLUP_HOUR, EZ_ROLLUP_DAY};
    char *rows = rows_of(at, "SELECT step, time_s, level, sum(requests) FROM rollups GROUP BY step, time_s, level");
    char *lined = NULL;
    cr_assert_geq(asprintf(&lined, "\n%s", rows), 0);
    for (size_t i = 0; i < model->count; i++) {
        for (int s = 0; s < 3; s++) {
            int64_t time_s = ez_rollup_floor(model->rows[i].time_ns / SECOND_NS, steps[s]);
            int level = (int)ez_rollup_kept(steps[s], (ez_rollup_level)(1 + i % 8));
            size_t count = count_in(model, steps[s], time_s, usable_until(its, steps[s], time_s, level));
            if (count == 0)
                continue;
            char want[96];
            snprintf(want, sizeof want, "\n%d|%lld|%d|%zu\n", steps[s], (long long)time_s, level, count);
            cr_assert_not_null(strstr(lined, want), "no %s", want + 1);
        }
    }
    free(lined);
    free(rows);
}

void expect_rollups(const place *at, const log_model *model) {
    edges its = {.minutes_from_s = number_of(at, "SELECT minutes_from_s FROM log_head"),
                 .hours_from_s = number_of(at, "SELECT hours_from_s FROM log_head")};
    read_open(at, &its.open);
    cr_assert_leq(its.hours_from_s, its.minutes_from_s);
    char *rows = rows_of(at, "SELECT * FROM rollups"), *all = rows, *rest;
    while ((rest = strsep(&all, "\n")) && rest[0]) {
        ez_rollup_row row = parse(rest);
        int64_t until_s = usable_until(&its, row.step, row.time_s, row.level);
        if (until_s == row.time_s)
            continue;
        ez_rollup_sums want = sum_of(model, &row, until_s);
        cr_assert_eq(memcmp(&want, &row.sums, sizeof want), 0,
                     "step %d level %d time %lld: %lld requests, %lld latency; %lld and %lld are right", row.step,
                     row.level, (long long)row.time_s, (long long)row.sums.requests, (long long)row.sums.latency_ms,
                     (long long)want.requests, (long long)want.latency_ms);
    }
    expect_counts(at, &its, model);
    free(rows);
    ez_open_steps_fini(&its.open);
}
