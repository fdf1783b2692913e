// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/store/records.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const models[MODELS] = {
    "gpt-4o",       "GPT-4o-Mini", "100%", "a_b", "it's", "", "großes-模型", "x'; DROP TABLE log_records; --",
    "back\\slash%_"};

static const char *const errors[] = {
    "", "", "", "rate limited", "upstream said: 100% of _quota_ used", "Timeout\nafter \\ 30 s", "it's $1 or $2"};

int64_t any(int64_t below) {
    return (int64_t)(((uint64_t)rand() << 31 | (uint64_t)rand()) % (uint64_t)below);
}

ez_slice slice_of(const char *text) {
    return (ez_slice){.data = (const uint8_t *)text, .len = strlen(text)};
}

// Days and hours are few, because each may be a partition, and is folded in steps that wait for a disk.
static int64_t any_time(void) {
    static const int64_t days_ago[] = {1, 1, 2, 2, 3, 5, 20, 91, 92, 95, 1000};
    int64_t second_ns = 1000000000;
    int64_t time_ns = any(10) < 6 ? NOW_NS - any(6 * 3600 * second_ns)
                                  : NOW_NS - days_ago[any(11)] * 86400 * second_ns + any(4) * 5 * 3600 * second_ns -
                                        any(1200 * second_ns);
    int64_t round_to = any(3) ? 1 : 60 * second_ns;
    return time_ns - time_ns % round_to;
}

static void make(records *all, size_t at) {
    static const int32_t statuses[] = {200, 200, 200, 201, 302, 399, 0, 400, 404, 429, 429, 499, 500, 503, 599};
    snprintf(all->request_ids[at], sizeof all->request_ids[at], at % 50 ? "Req-%zu" : "100%%_same'--", at);
    snprintf(all->bodies[at], sizeof all->bodies[at], "{\"n\":%zu}", at);
    int64_t master = any(5), latency = any(4) ? any(3000) : any(400000);
    all->rows[at] = (ez_log_row){
        .time_ns = any_time(),
        .received_ns = NOW_NS + (int64_t)at,
        .data_plane_id = 1 + any(3),
        .master_id = master,
        .key_id = any(6) ? master * 100 + any(8) : 0,
        .group_id = any(3),
        .api_key_id = any(4) ? any(12) : 0,
        .request_id = slice_of(all->request_ids[at]),
        .namespace = slice_of(any(2) ? "" : "team-a"),
        .model = slice_of(models[any(MODELS)]),
        .upstream_model = slice_of(any(2) ? "" : "Upstream-X"),
        .provider_type = slice_of("openai"),
        .client_ip = slice_of("2001:db8::1"),
        .error_message = slice_of(errors[any(7)]),
        .status_code = statuses[any(15)],
        .latency_ms = latency,
        .ttft_ms = any(latency + 1),
        .tokens_in = any(100000),
        .tokens_out = any(2000),
        .cached_tokens = any(100),
        .reasoning_tokens = any(100),
        .cost_nano_usd = any(INT64_C(1000000000000)),
        .request_bytes = any(100000),
        .response_bytes = any(100000),
        .stream = any(2),
        .body = any(4) ? (ez_slice){0} : (ez_slice){.data = (uint8_t *)all->bodies[at], .len = 12},
    };
}

void add_records(ez_store *store, records *all, size_t count) {
    cr_assert_leq(all->count + count, (size_t)RECORDS_MAX);
    for (size_t i = 0; i < count; i++)
        make(all, all->count + i);
    // Two batches in one call, without marks.
    size_t half = count / 2;
    ez_log_batch batches[] = {{.rows = &all->rows[all->count], .row_count = half},
                              {.rows = &all->rows[all->count + half], .row_count = count - half}};
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_store_add_logs(store, batches, 2, NOW_NS - OPEN_NS, &error), EZ_OK, "%s", error.message);
    for (size_t i = 0; i < count; i++)
        all->rows[all->count + i].id = (int64_t)(all->count + i) + 1;
    all->count += count;
}

void fold(ez_store *store, int steps) {
    bool more = true;
    ez_error error = EZ_ERROR_INIT;
    while (more && steps-- > 0)
        cr_assert_eq(ez_store_fold_rollups(store, EZ_NO_FENCE, NOW_NS + 300 * INT64_C(1000000000), &more, &error),
                     EZ_OK, "%s", error.message);
}

ez_rollup_edges edges_of(const place *at) {
    return (ez_rollup_edges){.minutes_from_s = number_of(at, "SELECT minutes_from_s FROM log_head"),
                             .hours_from_s = number_of(at, "SELECT hours_from_s FROM log_head")};
}
