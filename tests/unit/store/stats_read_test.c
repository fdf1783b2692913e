// SPDX-License-Identifier: Apache-2.0
//
// Statistics, on each store and in every state of folding, beside what a plain loop over the same records adds up.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/state/store/latency.h"
#include "tests/unit/store/fixture.h"
#include "tests/unit/store/records.h"

static records all;
static ez_rollup_edges edges;

static void setup(void) {
    srand(23);
    given_store();
    add_records(store, &all, 1200);
    edges = edges_of(&at);
    cr_assert_gt(edges.minutes_from_s, NOW_S - 60 * 3600);
    cr_assert_gt(edges.hours_from_s, NOW_S - 100 * INT64_C(86400));
}

TestSuite(stats_read, .init = setup, .fini = drop_store);

// ---- What is wanted

typedef struct wanted {
    int64_t id;
    ez_slice model;
    ez_rollup_sums sums;
} wanted;

typedef struct groups {
    size_t count;
    wanted at[RECORDS_MAX];
} groups;

static wanted *group_of(groups *to, int64_t id, ez_slice model, bool make) {
    for (size_t i = 0; i < to->count; i++) {
        wanted *one = &to->at[i];
        if (one->id == id && one->model.len == model.len && memcmp(one->model.data, model.data, model.len) == 0)
            return one;
    }
    if (!make)
        return NULL;
    to->at[to->count] = (wanted){.id = id, .model = model};
    return &to->at[to->count++];
}

static int64_t down(int64_t time_s, int64_t step) {
    return time_s - time_s % step;
}

static int64_t kept_step(int64_t time_s) {
    return time_s >= edges.minutes_from_s ? 60 : time_s >= edges.hours_from_s ? 3600 : 86400;
}

static bool is_of(int64_t filter, int64_t id) {
    return !filter || id == (filter == EZ_STATS_NONE ? 0 : filter);
}

static bool is_in(const ez_stats_query *query, const ez_log_row *row) {
    int64_t time_s = row->time_ns / 1000000000, last = query->until_s - 1;
    int64_t since = down(query->since_s, kept_step(query->since_s));
    int64_t until = down(last, kept_step(last)) + kept_step(last);
    const char *model = query->model ? query->model : "";
    return time_s >= since && time_s < until && is_of(query->master_id, row->master_id) &&
           is_of(query->key_id, row->key_id) && is_of(query->group_id, row->group_id) &&
           is_of(query->api_key_id, row->api_key_id) &&
           (!model[0] || (row->model.len == strlen(model) && memcmp(row->model.data, model, row->model.len) == 0));
}

static int64_t id_in(ez_stats_by by, const ez_log_row *row) {
    int64_t time_s = row->time_ns / 1000000000, kept = kept_step(time_s);
    switch (by) {
    case EZ_STATS_MASTER:
        return row->master_id;
    case EZ_STATS_KEY:
        return row->key_id;
    case EZ_STATS_GROUP:
        return row->group_id;
    case EZ_STATS_API_KEY:
        return row->api_key_id;
    case EZ_STATS_MINUTE:
        return down(time_s, kept);
    case EZ_STATS_HOUR:
        return down(time_s, kept > 3600 ? kept : 3600);
    case EZ_STATS_DAY:
        return down(time_s, 86400);
    default:
        return 0;
    }
}

static void add_up(const ez_stats_query *query, groups *to) {
    static const uint8_t none[1];
    to->count = 0;
    for (size_t i = 0; i < all.count; i++) {
        const ez_log_row *row = &all.rows[i];
        if (!is_in(query, row))
            continue;
        ez_slice model = query->by == EZ_STATS_MODEL ? row->model : (ez_slice){.data = none};
        ez_rollup_sums one = {.requests = 1,
                              .errors = row->status_code == 0 || row->status_code >= 400,
                              .rate_limited = row->status_code == 429,
                              .tokens_in = row->tokens_in,
                              .tokens_out = row->tokens_out,
                              .cost_nano_usd = row->cost_nano_usd,
                              .latency_ms = row->latency_ms};
        one.histogram[ez_latency_bucket(row->latency_ms)] = 1;
        ez_rollup_sums_add(&group_of(to, id_in(query->by, row), model, true)->sums, &one);
    }
}

// ---- What comes

typedef struct ask {
    ez_stats_query query;
    groups want;
    size_t found;
    int64_t last_id;
    ez_status status;
    ez_error error;
} ask;

static ez_status take(void *user, const ez_stats_row *row, ez_error *error) {
    (void)error;
    ask *it = user;
    static const uint8_t none[1];
    ez_slice model = row->model.len ? row->model : (ez_slice){.data = none};
    wanted *want = group_of(&it->want, row->id, model, false);
    cr_assert_not_null(want, "group %lld \"%.*s\" is not wanted", (long long)row->id, (int)model.len,
                       (const char *)model.data);
    for (size_t i = 0; i < sizeof row->sums / sizeof(int64_t); i++) {
        int64_t got = ((const int64_t *)&row->sums)[i], sum = ((const int64_t *)&want->sums)[i];
        cr_assert_eq(got, sum, "by %d, %lld … %lld: number %zu of group %lld is %lld, not %lld", it->query.by,
                     (long long)it->query.since_s, (long long)it->query.until_s, i, (long long)row->id, (long long)got,
                     (long long)sum);
    }
    cr_assert(it->query.by < EZ_STATS_MINUTE || it->found == 0 || row->id > it->last_id, "by time ascending");
    it->last_id = row->id;
    want->sums.requests = -1; // once
    it->found++;
    return EZ_OK;
}

static void run(ez_reader *reader, void *user) {
    ask *it = user;
    it->status = ez_reader_each_stat(reader, &it->query, take, it, &it->error);
}

static size_t expect_sums(ez_stats_query query) {
    static ask it;
    it.query = query;
    it.found = 0;
    it.error = (ez_error)EZ_ERROR_INIT;
    add_up(&query, &it.want);
    on_reader(store, run, &it);
    cr_assert_eq(it.status, EZ_OK, "%s", it.error.message);
    cr_assert_eq(it.found, it.want.count, "by %d: %zu groups, not %zu", query.by, it.found, it.want.count);
    return it.found;
}

#define ALL_TIME .since_s = NOW_S - 2000 * INT64_C(86400), .until_s = NOW_S + 3600

static void expect_each_by(void) {
    for (int by = EZ_STATS_TOTAL; by <= EZ_STATS_DAY; by++) {
        cr_assert_gt(expect_sums((ez_stats_query){.by = (ez_stats_by)by, ALL_TIME}), 0u);
        cr_assert_gt(expect_sums((ez_stats_query){
                         .by = (ez_stats_by)by, .since_s = NOW_S - 5 * 3600 - 7 * 60, .until_s = NOW_S - 60}),
                     0u);
        expect_sums((ez_stats_query){.by = (ez_stats_by)by, .since_s = NOW_S - 86400 * 3 + 60, .until_s = NOW_S});
    }
}

static ez_stats_query any_query(void) {
    int64_t longest = (int64_t[]){120, 86400, 6 * 86400, 1500 * INT64_C(86400)}[any(4)];
    ez_stats_query query = {.by = (ez_stats_by)any(EZ_STATS_DAY + 1), .since_s = down(NOW_S - any(longest), 60)};
    query.until_s = query.since_s + 60 * (1 + any((NOW_S - query.since_s) / 60 + 10));
    bool tenant = any(2), is_of_group = query.by == EZ_STATS_GROUP || query.by == EZ_STATS_API_KEY;
    bool is_of_master = query.by == EZ_STATS_MASTER || query.by == EZ_STATS_KEY;
    if (any(3) == 0)
        query.model = models[any(MODELS)];
    if (any(3) == 0)
        *(is_of_group || (tenant && !is_of_master) ? &query.group_id : &query.master_id) = 1 + any(4);
    if (any(3) == 0 && !query.group_id && !is_of_group)
        query.key_id = (query.master_id ? query.master_id : 1 + any(4)) * 100 + any(8);
    else if (any(3) == 0 && !query.master_id && !query.key_id && !is_of_master)
        query.api_key_id = 1 + any(11);
    return query;
}

static void expect_any(int rounds) {
    for (int i = 0; i < rounds; i++)
        expect_sums(any_query());
}

Test(stats_read, counts_each_record_once_before_anything_is_folded) {
    expect_each_by();
    expect_any(150);
}

Test(stats_read, counts_each_record_once_however_far_folding_is) {
    for (int i = 0; i < 12; i++) {
        fold(store, 1 + i * i);
        expect_sums((ez_stats_query){.by = EZ_STATS_KEY, ALL_TIME});
        expect_any(25);
    }
    fold(store, 100000);
    expect_each_by();
    expect_any(100);
}

Test(stats_read, counts_what_comes_late) {
    fold(store, 100000);
    for (int i = 0; i < 4; i++) {
        add_records(store, &all, 150);
        expect_each_by();
        fold(store, 20);
        expect_any(30);
    }
    fold(store, 100000);
    expect_each_by();
}

// ---- Rankings

typedef struct ranking {
    ez_stats_by by;
    int sums;
    size_t count;
    int64_t requests;
    ez_status status;
} ranking;

static ez_status take_rank(void *user, const ez_stats_row *row, ez_error *error) {
    (void)error;
    ranking *it = user;
    int64_t requests = 0, errors = 0, rate_limited = 0, owner_id = 0;
    for (size_t i = 0; i < all.count; i++) {
        const ez_log_row *record = &all.rows[i];
        int64_t owner = it->by == EZ_STATS_API_KEY ? record->group_id : record->master_id;
        int64_t id = it->by == EZ_STATS_API_KEY ? record->api_key_id
                     : it->by == EZ_STATS_KEY   ? record->key_id
                                                : record->master_id;
        if (id != row->id)
            continue;
        owner = owner ? owner : EZ_STATS_NONE;
        errors += record->status_code < 1 || record->status_code >= 400;
        rate_limited += record->status_code == 429;
        owner_id = requests++ == 0 || owner == owner_id ? owner : 0;
    }
    cr_assert_eq(row->sums.requests, requests);
    cr_assert_eq(row->sums.errors, it->sums > 1 ? errors : 0);
    cr_assert_eq(row->sums.rate_limited, it->sums > 2 ? rate_limited : 0);
    cr_assert_eq(row->owner_id, owner_id, "of %lld", (long long)row->id);
    cr_assert_eq(row->sums.latency_ms + row->sums.tokens_in + row->sums.histogram[3], 0);
    it->count++;
    it->requests += requests;
    return EZ_OK;
}

static void rank(ez_reader *reader, void *user) {
    ranking *it = user;
    ez_stats_query query = {.by = it->by, ALL_TIME, .first_sums = it->sums, .tells_owner = true};
    it->status = ez_reader_each_stat(reader, &query, take_rank, it, NULL);
}

Test(stats_read, ranks_keys_and_api_keys_and_tells_owners) {
    for (int i = 0; i < 3; i++) {
        ranking keys = {.by = EZ_STATS_KEY, .sums = 1 + i}, api_keys = {.by = EZ_STATS_API_KEY, .sums = 3 - i};
        ranking masters = {.by = EZ_STATS_MASTER, .sums = 3}, others = {.by = EZ_STATS_MODEL, .sums = 1};
        on_reader(store, rank, &keys);
        on_reader(store, rank, &api_keys);
        on_reader(store, rank, &masters);
        on_reader(store, rank, &others);
        cr_assert(keys.status == EZ_OK && api_keys.status == EZ_OK && masters.status == EZ_OK);
        cr_assert_eq(others.status, EZ_INTERNAL);
        cr_assert(keys.count > 1 && api_keys.count > 1 && masters.count > 1);
        cr_assert(keys.requests == (int64_t)all.count && api_keys.requests == (int64_t)all.count);
        fold(store, i ? 100000 : 40);
    }
}

// Those that are left are the ones that a plain look at all leaves.
typedef struct filtered {
    ez_stats_query query;
    size_t left, all, wrong;
} filtered;

static ez_status take_filtered(void *user, const ez_stats_row *row, ez_error *error) {
    (void)error;
    filtered *it = user;
    bool fits = row->sums.requests >= 40 && row->sums.errors >= 3;
    it->all++;
    it->left += fits;
    it->wrong += it->query.least_requests && !fits;
    return EZ_OK;
}

static void read_filtered(ez_reader *reader, void *user) {
    filtered *it = user;
    cr_assert_eq(ez_reader_each_stat(reader, &it->query, take_filtered, it, NULL), EZ_OK);
}

Test(stats_read, leaves_small_groups_out) {
    filtered all_keys = {.query = {.by = EZ_STATS_KEY, ALL_TIME, .first_sums = 2}}, some = all_keys;
    some.query.least_requests = 40;
    some.query.least_errors = 3;
    fold(store, 50);
    on_reader(store, read_filtered, &all_keys);
    on_reader(store, read_filtered, &some);
    cr_assert(some.left > 0 && some.left == all_keys.left && some.wrong == 0);
    cr_assert(some.all == some.left && some.all < all_keys.all);
}

Test(stats_read, answers_for_what_names_no_key) {
    fold(store, 50);
    cr_assert_eq(expect_sums((ez_stats_query){.by = EZ_STATS_TOTAL, ALL_TIME, .key_id = EZ_STATS_NONE}), 1u);
    cr_assert_gt(expect_sums((ez_stats_query){.by = EZ_STATS_GROUP, ALL_TIME, .api_key_id = EZ_STATS_NONE}), 1u);
    cr_assert_gt(expect_sums((ez_stats_query){.by = EZ_STATS_KEY, ALL_TIME, .master_id = EZ_STATS_NONE}), 1u);
}

Test(stats_read, is_empty_where_nothing_happened) {
    cr_assert_eq(expect_sums((ez_stats_query){.by = EZ_STATS_TOTAL, .since_s = NOW_S + 7200, .until_s = NOW_S + 9000}),
                 0u);
    cr_assert_eq(expect_sums((ez_stats_query){.by = EZ_STATS_KEY, ALL_TIME, .key_id = INT64_MAX}), 0u);
    cr_assert_eq(expect_sums((ez_stats_query){.by = EZ_STATS_KEY, ALL_TIME, .key_id = 101, .master_id = INT64_MAX}),
                 0u);
    cr_assert_eq(expect_sums((ez_stats_query){.by = EZ_STATS_MODEL, ALL_TIME, .model = "gpt-4%"}), 0u);
    cr_assert_eq(expect_sums((ez_stats_query){.by = EZ_STATS_MODEL, ALL_TIME, .model = "' OR '1'='1"}), 0u);
    cr_assert_eq(expect_sums((ez_stats_query){.by = EZ_STATS_DAY, ALL_TIME, .model = models[7]}) > 0, true);
    // Ranges that no clock knows.
    static ask it;
    it.query = (ez_stats_query){.by = EZ_STATS_TOTAL, .since_s = INT64_MIN, .until_s = INT64_MAX, .master_id = 1};
    add_up(&(ez_stats_query){.by = EZ_STATS_TOTAL, ALL_TIME, .master_id = 1}, &it.want);
    on_reader(store, run, &it);
    cr_assert_eq(it.found, 1u, "%s", it.error.message);
    it.query.since_s = it.query.until_s = NOW_S;
    it.found = 0;
    on_reader(store, run, &it);
    cr_assert_eq(it.found, 0u, "%s", it.error.message);
}

Test(stats_read, refuses_filters_that_are_not_kept_together) {
    ez_stats_query queries[] = {
        {.by = EZ_STATS_TOTAL, ALL_TIME, .master_id = 1, .group_id = 1},
        {.by = EZ_STATS_TOTAL, ALL_TIME, .key_id = 1, .api_key_id = 1},
        {.by = EZ_STATS_GROUP, ALL_TIME, .master_id = 1},
        {.by = EZ_STATS_KEY, ALL_TIME, .api_key_id = 1},
    };
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        static ask it;
        it = (ask){.query = queries[i], .error = EZ_ERROR_INIT};
        on_reader(store, run, &it);
        expect_error(it.status, &it.error, EZ_INVALID_ARGUMENT, "FILTERS_DO_NOT_MIX", "master and key");
    }
}

Test(stats_read, sums_stay_at_their_bound) {
    static ez_log_row rows[5000];
    for (size_t i = 0; i < 5000; i++)
        rows[i] = (ez_log_row){.time_ns = NOW_NS - (int64_t)i * 60 * 1000000000,
                               .master_id = 77,
                               .request_id = slice_of(""),
                               .model = slice_of("dear"),
                               .status_code = 200,
                               .cost_nano_usd = INT64_C(1000000000000000)};
    ez_log_batch batch = {.rows = rows, .row_count = 5000};
    ez_error error = EZ_ERROR_INIT;
    static ask it;
    it = (ask){.query = {.by = EZ_STATS_TOTAL, ALL_TIME, .master_id = 77}, .error = EZ_ERROR_INIT};
    it.want.count = 1;
    it.want.at[0] = (wanted){.model = {.data = (const uint8_t *)""}};
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(ez_store_add_logs(store, &batch, 1, NOW_NS, &error), EZ_OK, "%s", error.message);
        it.want.at[0].sums = (ez_rollup_sums){.requests = 5000 * (i + 1), .cost_nano_usd = EZ_USAGE_SUM_MAX};
        it.want.at[0].sums.histogram[0] = 5000 * (i + 1);
        it.found = 0;
        on_reader(store, run, &it);
        cr_assert_eq(it.found, 1u, "%s", it.error.message);
    }
}

// ---- While records come in

typedef struct count_run {
    int64_t least, seen;
} count_run;

static ez_status take_total(void *user, const ez_stats_row *row, ez_error *error) {
    (void)error;
    ((count_run *)user)->seen = row->sums.requests;
    return EZ_OK;
}

static void count_all(ez_reader *reader, void *user) {
    ez_stats_query query = {.by = EZ_STATS_TOTAL, ALL_TIME};
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_reader_each_stat(reader, &query, take_total, user, &error), EZ_OK, "%s", error.message);
}

Test(stats_read, total_is_that_of_every_step_on_the_way) {
    // Each fold and each batch is a moment of its own: no total is ever short or double.
    for (int i = 0; i < 60; i++) {
        if (i % 10 == 0)
            add_records(store, &all, 20);
        fold(store, 3);
        count_run it = {0};
        on_reader(store, count_all, &it);
        cr_assert_eq(it.seen, (int64_t)all.count);
    }
}

Test(stats_read, goes_on_after_a_lost_connection) {
    if (!is_postgres())
        cr_skip("there is no connection to lose");
    count_run it = {0};
    on_reader(store, count_all, &it);
    char text[160];
    snprintf(text, sizeof text,
             "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = '%s'", at.database);
    cr_assert_gt(sql(NULL, text), 0);
    it.seen = 0;
    on_reader(store, count_all, &it);
    cr_assert_eq(it.seen, (int64_t)all.count);
}

// ---- Deliveries

typedef struct list {
    char text[4096];
    size_t len;
    ez_delivery_query query;
} list;

static ez_status say(void *user, const ez_delivery *one, ez_error *error) {
    (void)error;
    list *to = user;
    to->len += (size_t)snprintf(to->text + to->len, sizeof to->text - to->len, "%lld %lld %lld %s %s \"%s\" %d %d %d\n",
                                (long long)one->id, (long long)one->created_ns, (long long)one->finished_ns, one->kind,
                                one->url, one->error, (int)one->status, one->attempts, one->http_status);
    return EZ_OK;
}

static void read_deliveries(ez_reader *reader, void *user) {
    list *it = user;
    it->len = 0;
    it->text[0] = 0;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_reader_each_delivery(reader, &it->query, say, it, &error), EZ_OK, "%s", error.message);
}

Test(stats_read, lists_deliveries_newest_first) {
    ez_error error = EZ_ERROR_INIT;
    for (int64_t id = 1; id <= 4; id++) {
        ez_delivery one = {.id = id,
                           .created_ns = id * 10,
                           .finished_ns = id * 10 + 1,
                           .kind = id == 3 ? "alert:on call" : "errors",
                           .url = "https://example.com/a'b",
                           .error = id % 2 ? "" : "it's 500",
                           .status = id % 2 ? EZ_DELIVERY_DELIVERED : EZ_DELIVERY_FAILED,
                           .attempts = (int32_t)id,
                           .http_status = id % 2 ? 200 : 500};
        cr_assert_eq(ez_store_put_delivery(store, &one, &error), EZ_OK, "%s", error.message);
    }
    list it = {.query = {.limit = 2}};
    on_reader(store, read_deliveries, &it);
    cr_assert_str_eq(it.text, "4 40 41 errors https://example.com/a'b \"it's 500\" 3 4 500\n"
                              "3 30 31 alert:on call https://example.com/a'b \"\" 2 3 200\n");
    it.query = (ez_delivery_query){.before_id = 2, .limit = 100};
    on_reader(store, read_deliveries, &it);
    cr_assert_str_eq(it.text, "1 10 11 errors https://example.com/a'b \"\" 2 1 200\n");
    it.query = (ez_delivery_query){.limit = 100, .kind_prefix = "alert:"};
    on_reader(store, read_deliveries, &it);
    cr_assert_str_eq(it.text, "3 30 31 alert:on call https://example.com/a'b \"\" 2 3 200\n");
    it.query.kind_prefix = "%";
    on_reader(store, read_deliveries, &it);
    cr_assert_str_empty(it.text);
}

static size_t count_deliveries(ez_delivery_query query) {
    list it = {.query = query};
    it.query.limit = 100;
    on_reader(store, read_deliveries, &it);
    size_t lines = 0;
    for (const char *c = it.text; *c; c++)
        lines += *c == '\n';
    return lines;
}

// One that waits is taken for failed where its server must have ended.
Test(stats_read, lists_deliveries_by_channel_status_and_time) {
    static const char *const kinds[] = {"alert:a", "alert_test:a", "alert:ab", "errors"};
    ez_error error = EZ_ERROR_INIT;
    for (int64_t id = 1; id <= 12; id++) {
        ez_delivery one = {.id = id,
                           .created_ns = id * 10,
                           .kind = kinds[(id - 1) % 4],
                           .url = "",
                           .error = "",
                           .status = (ez_delivery_status)(1 + (id - 1) / 4)};
        cr_assert_eq(ez_store_put_delivery(store, &one, &error), EZ_OK, "%s", error.message);
    }
    cr_assert_eq(count_deliveries((ez_delivery_query){.kind_prefix = "alert"}), 9u);
    cr_assert_eq(count_deliveries((ez_delivery_query){.kinds = {"alert:a", "alert_test:a"}}), 6u);
    cr_assert_eq(count_deliveries((ez_delivery_query){.since_ns = 110}), 2u);
    cr_assert_eq(count_deliveries((ez_delivery_query){.status = EZ_DELIVERY_DELIVERED}), 4u);
    cr_assert_eq(count_deliveries((ez_delivery_query){.status = EZ_DELIVERY_WAITING}), 4u);
    cr_assert_eq(count_deliveries((ez_delivery_query){.status = EZ_DELIVERY_WAITING, .stale_ns = 20}), 3u);
    cr_assert_eq(count_deliveries((ez_delivery_query){.status = EZ_DELIVERY_FAILED, .stale_ns = 20}), 5u);
    cr_assert_eq(count_deliveries((ez_delivery_query){
                     .kinds = {"alert:a", "alert_test:a"}, .status = EZ_DELIVERY_FAILED, .since_ns = 100}),
                 1u);
}
