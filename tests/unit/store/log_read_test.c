// SPDX-License-Identifier: Apache-2.0
//
// Pages of log records, on each store, beside what a plain loop over the same records finds.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/store/fixture.h"
#include "tests/unit/store/records.h"

static records all;
static const ez_log_row *newest[RECORDS_MAX]; // newest first

static int compare(const void *left, const void *right) {
    const ez_log_row *a = *(const ez_log_row *const *)left, *b = *(const ez_log_row *const *)right;
    if (a->time_ns != b->time_ns)
        return a->time_ns > b->time_ns ? -1 : 1;
    return a->id > b->id ? -1 : a->id < b->id;
}

static void setup(void) {
    srand(11);
    given_store();
    add_records(store, &all, 1200);
    add_records(store, &all, 800);
    for (size_t i = 0; i < all.count; i++)
        newest[i] = &all.rows[i];
    qsort(newest, all.count, sizeof newest[0], compare);
}

TestSuite(log_read, .init = setup, .fini = drop_store);

// ---- What is wanted

static bool has_part(ez_slice text, const char *part) {
    char copy[256];
    cr_assert_lt(text.len, sizeof copy);
    memcpy(copy, text.data, text.len);
    copy[text.len] = 0;
    return strcasestr(copy, part) != NULL;
}

static bool is_text(ez_slice text, const char *wanted) {
    return text.len == strlen(wanted) && memcmp(text.data, wanted, text.len) == 0;
}

static bool is_class(int32_t status, ez_log_class class) {
    bool client = status >= 400 && status < 500, server = status >= 500 || status == 0;
    return class == EZ_CLASS_ANY || (class == EZ_CLASS_CLIENT_ERROR && client) ||
           (class == EZ_CLASS_SERVER_ERROR && server) || (class == EZ_CLASS_ERROR && (client || server)) ||
           (class == EZ_CLASS_SUCCESS && !client && !server);
}

static bool is_wanted(const ez_log_filter *filter, const ez_log_row *row) {
    return (!filter->since_ns || row->time_ns >= filter->since_ns) &&
           (!filter->until_ns || row->time_ns < filter->until_ns) &&
           (!filter->master_id || row->master_id == filter->master_id) &&
           (!filter->key_id || row->key_id == filter->key_id) &&
           (!filter->group_id || row->group_id == filter->group_id) &&
           (!filter->api_key_id || row->api_key_id == filter->api_key_id) &&
           (!filter->model || !filter->model[0] || is_text(row->model, filter->model)) &&
           (!filter->request_id || !filter->request_id[0] || is_text(row->request_id, filter->request_id)) &&
           (!filter->status_code || row->status_code == filter->status_code) &&
           is_class(row->status_code, filter->status_class) &&
           (!filter->q || !filter->q[0] || has_part(row->model, filter->q) ||
            (!filter->hides_upstream && has_part(row->upstream_model, filter->q)) ||
            has_part(row->request_id, filter->q) || has_part(row->error_message, filter->q));
}

// ---- What comes

typedef struct walk {
    ez_log_filter filter;
    size_t next; // in newest
    size_t found, on_page, pages;
    bool more;
    int64_t at_ns, at_id;
    ez_status status;
    ez_error error;
} walk;

static void expect_text(ez_slice got, ez_slice want) {
    cr_assert(got.len == want.len && (!got.len || memcmp(got.data, want.data, got.len) == 0), "\"%.*s\", not \"%.*s\"",
              (int)got.len, (const char *)got.data, (int)want.len, (const char *)want.data);
}

static void expect_record(const ez_log_row *got, const ez_log_row *want, bool with_body) {
    cr_assert_eq(got->id, want->id);
    const ez_slice texts[][2] = {{got->request_id, want->request_id},
                                 {got->namespace, want->namespace},
                                 {got->model, want->model},
                                 {got->upstream_model, want->upstream_model},
                                 {got->provider_type, want->provider_type},
                                 {got->client_ip, want->client_ip},
                                 {got->error_message, want->error_message},
                                 {got->body, with_body ? want->body : (ez_slice){0}}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        expect_text(texts[i][0], texts[i][1]);
    const int64_t numbers[][2] = {{got->time_ns, want->time_ns},
                                  {got->received_ns, want->received_ns},
                                  {got->data_plane_id, want->data_plane_id},
                                  {got->master_id, want->master_id},
                                  {got->key_id, want->key_id},
                                  {got->group_id, want->group_id},
                                  {got->api_key_id, want->api_key_id},
                                  {got->status_code, want->status_code},
                                  {got->latency_ms, want->latency_ms},
                                  {got->ttft_ms, want->ttft_ms},
                                  {got->tokens_in, want->tokens_in},
                                  {got->tokens_out, want->tokens_out},
                                  {got->cached_tokens, want->cached_tokens},
                                  {got->reasoning_tokens, want->reasoning_tokens},
                                  {got->cost_nano_usd, want->cost_nano_usd},
                                  {got->request_bytes, want->request_bytes},
                                  {got->response_bytes, want->response_bytes},
                                  {got->stream, want->stream}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        cr_assert_eq(numbers[i][0], numbers[i][1], "number %zu of record %lld", i, (long long)got->id);
}

static const ez_log_row *next_wanted(walk *it) {
    while (it->next < all.count && !is_wanted(&it->filter, newest[it->next]))
        it->next++;
    return it->next < all.count ? newest[it->next] : NULL;
}

static ez_status take(void *user, const ez_log_row *record, ez_error *error) {
    (void)error;
    walk *it = user;
    const ez_log_row *want = next_wanted(it);
    cr_assert_not_null(want, "record %lld is not wanted", (long long)record->id);
    expect_record(record, want, it->filter.with_body);
    it->next++;
    it->found++;
    it->on_page++;
    return EZ_OK;
}

static void read_page(ez_reader *reader, void *user) {
    walk *it = user;
    it->on_page = 0;
    it->status = ez_reader_each_log(reader, &it->filter, take, it, &it->more, &it->at_ns, &it->at_id, &it->error);
}

// All pages of a filter, which is what is wanted, all of it and nothing else.
static walk expect_all(const ez_log_filter *filter) {
    walk it = {.filter = *filter, .more = true};
    size_t look_max = filter->look_max;
    while (it.more) {
        on_reader(store, read_page, &it);
        cr_assert_eq(it.status, EZ_OK, "%s", it.error.message);
        cr_assert_leq(it.on_page, it.filter.limit);
        it.pages++;
        if (!it.more)
            break;
        // It goes on, and a page that is not full has looked at as many as it may.
        cr_assert(!it.filter.before_ns || it.at_ns < it.filter.before_ns ||
                  (it.at_ns == it.filter.before_ns && it.at_id < it.filter.before_id));
        it.filter.before_ns = it.at_ns;
        it.filter.before_id = it.at_id;
        cr_assert_leq(it.pages, 2 + all.count / look_max + it.found / it.filter.limit);
    }
    cr_assert_null(next_wanted(&it), "%zu came, and there is more", it.found);
    return it;
}

static size_t found(ez_log_filter filter) {
    filter.limit = filter.limit ? filter.limit : 100;
    filter.look_max = filter.look_max ? filter.look_max : 10000;
    return expect_all(&filter).found;
}

Test(log_read, gives_every_record_once_newest_first) {
    cr_assert_eq(found((ez_log_filter){.limit = 1000}), all.count);
    cr_assert_eq(found((ez_log_filter){.limit = 7, .look_max = 3}), all.count);
    cr_assert_eq(found((ez_log_filter){.limit = 2000}), all.count); // exactly a page
    cr_assert_eq(found((ez_log_filter){.limit = 100000}), all.count);
}

Test(log_read, gives_bodies_where_they_are_asked_for) {
    cr_assert_eq(found((ez_log_filter){.with_body = true}), all.count);
    cr_assert_gt(found((ez_log_filter){.with_body = true, .master_id = 2, .status_class = EZ_CLASS_ERROR}), 0u);
}

Test(log_read, finds_by_each_filter) {
    ez_log_filter filters[] = {
        {.master_id = 3},
        {.key_id = 203},
        {.api_key_id = 5},
        {.group_id = 2},
        {.model = "gpt-4o"},
        {.status_code = 429},
        {.status_class = EZ_CLASS_SUCCESS},
        {.status_class = EZ_CLASS_CLIENT_ERROR},
        {.status_class = EZ_CLASS_SERVER_ERROR},
        {.status_class = EZ_CLASS_ERROR},
        {.request_id = "Req-77"},
        {.request_id = "100%_same'--"},
        {.request_id = "100%_same'--", .master_id = 1},
        {.since_ns = NOW_NS - INT64_C(3600) * 1000000000},
        {.until_ns = NOW_NS - INT64_C(7200) * 1000000000},
        {.master_id = 3, .key_id = 303, .api_key_id = 3},
        {.q = "mini"},
        {.q = "UPSTREAM-x"},
        {.q = "eq-77"},
        {.q = "RATE", .status_class = EZ_CLASS_SUCCESS},
    };
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++)
        cr_assert_gt(found(filters[i]), 0u, "filter %zu", i);
}

Test(log_read, a_hidden_upstream_is_not_looked_at) {
    cr_assert_eq(found((ez_log_filter){.q = "UPSTREAM-x", .hides_upstream = true}), 0u);
    cr_assert_gt(found((ez_log_filter){.q = "mini", .hides_upstream = true}), 0u);
    cr_assert_gt(found((ez_log_filter){.q = "eq-77", .hides_upstream = true}), 0u);
    cr_assert_gt(found((ez_log_filter){.q = "RATE", .hides_upstream = true}), 0u);
}

Test(log_read, takes_texts_as_they_are) {
    cr_assert_gt(found((ez_log_filter){.q = "%"}), 0u);
    cr_assert_lt(found((ez_log_filter){.q = "%"}), all.count);
    cr_assert_gt(found((ez_log_filter){.q = "_"}), 0u);
    cr_assert_gt(found((ez_log_filter){.q = "\\"}), 0u);
    cr_assert_gt(found((ez_log_filter){.q = "it's $1"}), 0u);
    cr_assert_gt(found((ez_log_filter){.q = "'; drop TABLE log_records; --"}), 0u);
    cr_assert_gt(found((ez_log_filter){.q = "\nafter \\"}), 0u);
    cr_assert_gt(found((ez_log_filter){.model = "it's"}), 0u);
    cr_assert_gt(found((ez_log_filter){.model = models[7]}), 0u);
    cr_assert_gt(found((ez_log_filter){.model = models[8], .q = "%_"}), 0u);
    cr_assert_eq(found((ez_log_filter){.model = "gpt-4_"}), 0u);
    cr_assert_eq(found((ez_log_filter){.q = "gpt%mini"}), 0u);
    cr_assert_eq(found((ez_log_filter){.q = "' OR '1'='1"}), 0u);
    cr_assert_eq(found((ez_log_filter){.request_id = "' OR 1=1 --"}), 0u);
    // Letters' case is ignored within ASCII only, on every store.
    cr_assert_gt(found((ez_log_filter){.q = "GRO\xC3\x9F"
                                            "ES-"}),
                 0u);
    cr_assert_gt(found((ez_log_filter){.q = "模型"}), 0u);
    cr_assert_eq(all.count, found((ez_log_filter){0}), "nothing was dropped");
}

Test(log_read, finds_nothing_where_there_is_nothing) {
    cr_assert_eq(found((ez_log_filter){.since_ns = NOW_NS + INT64_C(1000000000)}), 0u);
    cr_assert_eq(found((ez_log_filter){.until_ns = 1}), 0u);
    cr_assert_eq(found((ez_log_filter){.since_ns = NOW_NS - 5, .until_ns = NOW_NS - 5}), 0u);
    cr_assert_eq(found((ez_log_filter){.since_ns = NOW_NS, .until_ns = NOW_NS - 1000}), 0u);
    cr_assert_eq(found((ez_log_filter){.key_id = INT64_MAX}), 0u);
    cr_assert_eq(found((ez_log_filter){.group_id = INT64_MAX, .master_id = INT64_MAX}), 0u);
    cr_assert_eq(found((ez_log_filter){.status_code = 999}), 0u);
    cr_assert_eq(found((ez_log_filter){.since_ns = INT64_MIN, .until_ns = INT64_MAX}), all.count);
    walk it = {.filter = {.before_ns = INT64_MAX, .before_id = INT64_MAX, .limit = 5000, .look_max = 1}};
    on_reader(store, read_page, &it);
    cr_assert_eq(it.found, all.count, "without a filter that must be looked at, a page is full");
}

Test(log_read, looks_at_no_more_than_it_may) {
    // Nothing is found, and the page says where it stopped.
    walk it = {.filter = {.q = "no such text", .limit = 10, .look_max = 150}};
    on_reader(store, read_page, &it);
    cr_assert_eq(it.found, 0u);
    cr_assert(it.more);
    cr_assert_eq(it.at_id, newest[149]->id);
    cr_assert_eq(it.at_ns, newest[149]->time_ns);
    // Found on the last that it may look at.
    it = (walk){.filter = {.q = "Req-", .limit = 1000, .look_max = 2}};
    on_reader(store, read_page, &it);
    cr_assert_leq(it.found, 2u);
    // To the last record exactly: no next page.
    ez_log_filter rare = {.q = "no such text", .limit = 10, .look_max = all.count};
    cr_assert_eq(expect_all(&rare).pages, 1u);
    rare.look_max = all.count - 1;
    cr_assert_eq(expect_all(&rare).pages, 2u);
    // Of a key only its own records count as looked at. (Its last page may be empty, where several have one time.)
    ez_log_filter key = {.key_id = 203, .q = "no such text", .limit = 10, .look_max = all.count / 10};
    cr_assert_leq(expect_all(&key).pages, 2u);
}

Test(log_read, refuses_a_text_without_end) {
    static char q[4000];
    memset(q, 'q', sizeof q - 1);
    walk it = {.filter = {.q = q, .limit = 1, .look_max = 1}};
    on_reader(store, read_page, &it);
    expect_error(it.status, &it.error, EZ_INVALID_ARGUMENT, "Q_TOO_LONG", "at most");
}

static ez_log_filter any_filter(void) {
    static const char *const parts[] = {"a", "%", "gpt", "req-1", "100%", "_", "'", "Q", "zzz"};
    ez_log_filter filter = {.limit = 1 + (size_t)any(200), .look_max = 20 + (size_t)any(2000), .with_body = any(2)};
    int64_t day = INT64_C(86400) * 1000000000;
    if (any(4) == 0)
        filter.since_ns = NOW_NS - any(any(2) ? day : 100 * day);
    if (any(4) == 0)
        filter.until_ns = NOW_NS - any(any(2) ? day : 10 * day);
    if (any(3) == 0)
        filter.master_id = any(5);
    if (any(4) == 0)
        filter.key_id = any(500);
    if (any(4) == 0)
        filter.group_id = any(3);
    if (any(4) == 0)
        filter.api_key_id = any(12);
    if (any(4) == 0)
        filter.model = models[any(MODELS)];
    if (any(4) == 0)
        filter.q = parts[any(9)];
    if (any(8) == 0)
        filter.request_id = all.request_ids[any((int64_t)all.count)];
    if (any(8) == 0)
        filter.status_code = any(2) ? 429 : 200;
    filter.status_class = any(2) ? EZ_CLASS_ANY : (ez_log_class)any(5);
    return filter;
}

Test(log_read, agrees_with_a_loop_over_all_records) {
    for (int round = 0; round < 150; round++) {
        ez_log_filter filter = any_filter();
        expect_all(&filter);
    }
}

static ez_status refuse(void *user, const ez_log_row *record, ez_error *error) {
    (void)record;
    return ++*(int *)user < 3 ? EZ_OK : ez_error_set(error, EZ_ABORTED, "ENOUGH", "enough");
}

static void stop_early(ez_reader *reader, void *user) {
    ez_log_filter filter = {.limit = 100, .look_max = 100};
    bool more = false;
    int64_t at_ns = 0, at_id = 0;
    ez_error error = EZ_ERROR_INIT;
    ez_status status = ez_reader_each_log(reader, &filter, refuse, user, &more, &at_ns, &at_id, &error);
    expect_error(status, &error, EZ_ABORTED, "ENOUGH", "enough");
}

Test(log_read, stops_at_the_callers_error_and_reads_on_after_it) {
    int calls = 0;
    on_reader(store, stop_early, &calls);
    cr_assert_eq(calls, 3);
    cr_assert_eq(found((ez_log_filter){0}), all.count);
}
