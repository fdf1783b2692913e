// SPDX-License-Identifier: Apache-2.0
//
// Log records on every store: keeping and forgetting them, and the log of deliveries.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/store/fixture.h"
#include "tests/unit/store/log_model.h"

#define NOW (INT64_C(20000) * DAY_NS + 23 * HOUR_NS)

static log_model model;

TestSuite(store_logs, .init = given_store, .fini = drop_store, .timeout = 100);

static void expect_rows(const char *query, const char *want) {
    char *rows = rows_of(&at, query);
    cr_assert_str_eq(rows, want);
    free(rows);
}

static void expect_count(int64_t records, int64_t oldest_ns) {
    int64_t count = -1, oldest = -1;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_store_count_logs(store, &count, &oldest, &error), EZ_OK, "%s", error.message);
    cr_assert_eq(count, records, "%lld", (long long)count);
    cr_assert_eq(oldest, oldest_ns, "%lld", (long long)oldest);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM log_records"), records);
}

Test(store_logs, a_record_is_kept_whole) {
    ez_log_row row = random_record(NOW);
    row.id = 99; // not looked at
    row.model = (ez_slice){(const uint8_t *)"größe", 7};
    row.status_code = 502;
    row.latency_ms = 17;
    row.ttft_ms = 3;
    row.tokens_in = 4;
    row.tokens_out = 5;
    row.cached_tokens = 6;
    row.reasoning_tokens = 7;
    row.cost_nano_usd = INT64_C(1000000000000000);
    row.request_bytes = 8;
    row.response_bytes = 9;
    row.master_id = 11;
    row.key_id = 12;
    row.group_id = 13;
    row.api_key_id = 14;
    row.data_plane_id = 15;
    row.stream = true;
    row.error_message = (ez_slice){(const uint8_t *)"no, \"really\" \\N", 15};
    row.body = (ez_slice){(const uint8_t *)"\0body\xFF", 6};
    ez_log_row plain = random_record(NOW + 1);
    add_records(store, &model, &row, 1, NOW);
    add_records(store, &model, &plain, 1, NOW);
    expect_rows("SELECT id, received_ns - time_ns, data_plane_id, request_id, master_id, key_id, namespace, model, "
                "upstream_model, group_id, api_key_id, provider_type, status_code, latency_ms, ttft_ms, tokens_in, "
                "tokens_out, cached_tokens, reasoning_tokens, cost_nano_usd, client_ip, request_bytes, response_bytes, "
                "error_message, stream, has_body FROM log_records WHERE id = 1",
                "1|5|15|r-1|11|12|default|größe|up|13|14|openai|502|17|3|4|5|6|7|1000000000000000|10.0.0.1|8|9|no, "
                "\"really\" \\N|1|1\n");
    expect_rows("SELECT id, has_body FROM log_records WHERE id > 1", "2|0\n");
    expect_rows("SELECT id, length(body) FROM log_bodies", "1|6\n");
    expect_count(2, NOW);
}

Test(store_logs, a_batch_counts_once) {
    ez_log_row rows[] = {random_record(NOW), random_record(NOW + 1)};
    ez_error error = EZ_ERROR_INIT;
    for (int i = 0; i < 3; i++) {
        ez_log_batch batches[] = {
            {.mark = {.data_plane_id = 3, .epoch = 9, .sequence = 1}, .rows = rows, .row_count = 2},
            {.mark = {.data_plane_id = 3, .epoch = 9, .sequence = 3}, .rows = rows, .row_count = 2},
        };
        cr_assert_eq(ez_store_add_logs(store, batches, 2, NOW, &error), EZ_OK, "%s", error.message);
        cr_assert_eq(batches[0].mark.outcome, i ? EZ_MARK_REPEATED : EZ_MARK_TAKEN);
        cr_assert_eq(batches[1].mark.outcome, EZ_MARK_GAP);
        cr_assert_eq(batches[1].mark.expected, 2u);
    }
    expect_count(2, NOW);
    cr_assert_eq(number_of(&at, "SELECT sum(requests) FROM rollups WHERE step = 60 AND level = 1"), 2);
    cr_assert_eq(number_of(&at, "SELECT next_id FROM log_head"), 3);
}

Test(store_logs, days_are_kept_apart) {
    // The last and the first moment of a day, and forty days back.
    int64_t midnight = 20000 * DAY_NS;
    ez_log_row rows[] = {random_record(midnight - 1), random_record(midnight), random_record(midnight - 40 * DAY_NS),
                         random_record(midnight + DAY_NS - 1)};
    for (int i = 0; i < 4; i++)
        rows[i].body = (ez_slice){(const uint8_t *)"b", 1};
    add_records(store, &model, rows, 4, NOW);
    add_records(store, &model, rows + 1, 1, NOW);
    expect_rows("SELECT day, records FROM log_days ORDER BY day", "19960|1\n19999|1\n20000|3\n");
    expect_count(5, midnight - 40 * DAY_NS);
    if (is_postgres()) {
        expect_rows("SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'log_records'::regclass ORDER BY 1",
                    "log_records_p20240825\nlog_records_p20241003\nlog_records_p20241004\n");
        cr_assert_eq(number_of(&at, "SELECT count(*) FROM log_bodies_p20241004"), 3);
        cr_assert_eq(number_of(&at, "SELECT count(*) FROM pg_indexes WHERE tablename = 'log_records_p20241004'"), 5);
    }
}

Test(store_logs, times_out_of_range_are_refused) {
    ez_log_row row = random_record(-1);
    ez_log_batch batch = {.rows = &row, .row_count = 1};
    ez_error error = EZ_ERROR_INIT;
    expect_error(ez_store_add_logs(store, &batch, 1, NOW, &error), &error, EZ_INVALID_ARGUMENT, "LOG_TIME", "record 0");
    row.time_ns = INT64_MAX;
    expect_error(ez_store_add_logs(store, &batch, 1, NOW, &error), &error, EZ_INVALID_ARGUMENT, "LOG_TIME", "record 0");
    expect_count(0, 0);
}

// ---- Forgetting

static unsigned trim_all(int64_t before_ns, int64_t max_records, size_t max_rows) {
    ez_log_limits limits = {.before_ns = before_ns, .max_records = max_records};
    ez_error error = EZ_ERROR_INIT;
    unsigned steps = 0;
    for (bool more = true; more; steps++) {
        cr_assert_eq(ez_store_trim_logs(store, EZ_NO_FENCE, &limits, NOW, max_rows, &more, &error), EZ_OK, "%s",
                     error.message);
        cr_assert_lt(steps, 1000u);
    }
    return steps;
}

// Ten records a day on each of the five days before and on NOW's, an hour apart; every second one has a body.
static void given_days(void) {
    ez_log_row rows[60];
    for (int day = 0; day < 6; day++) {
        for (int i = 0; i < 10; i++) {
            ez_log_row *row = &rows[10 * day + i];
            *row = random_record((20000 - 5 + day) * DAY_NS + i * HOUR_NS);
            row->body = (ez_slice){(const uint8_t *)"b", i % 2};
        }
    }
    add_records(store, &model, rows, 60, NOW);
}

static void expect_left(int64_t records, int64_t oldest_ns, int64_t bodies) {
    expect_count(records, oldest_ns);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM log_bodies"), bodies);
    cr_assert_eq(number_of(&at, "SELECT sum(records) FROM log_days"), records);
}

Test(store_logs, old_records_are_forgotten) {
    given_days();
    trim_all((20000 - 5) * DAY_NS, 0, 7);
    expect_left(60, 19995 * DAY_NS, 30);
    trim_all(19997 * DAY_NS + 4 * HOUR_NS + 1, 0, 7); // two days and half of one
    expect_left(35, 19997 * DAY_NS + 5 * HOUR_NS, 18);
    cr_assert_eq(number_of(&at, "SELECT sum(requests) FROM rollups WHERE level = 1 AND (step = 3600 OR (step = 60 AND "
                                "time_s >= (SELECT min(time_s) FROM rollup_open WHERE step = 3600)))"),
                 60);
    if (is_postgres())
        cr_assert_eq(number_of(&at, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'log_records'::regclass"), 4);
    trim_all(NOW, 0, 1000);
    expect_left(0, 0, 0);
    // What was dropped can come again.
    given_days();
    expect_left(60, 19995 * DAY_NS, 30);
}

// A step goes on where the one before ended; what comes behind it is found all the same.
Test(store_logs, what_comes_late_to_a_day_that_is_being_forgotten_goes_too) {
    given_days();
    int64_t until_ns = 19995 * DAY_NS + 8 * HOUR_NS;
    ez_log_limits limits = {.before_ns = until_ns};
    ez_error error = EZ_ERROR_INIT;
    bool more = false;
    for (int i = 0; i < 2; i++)
        cr_assert_eq(ez_store_trim_logs(store, EZ_NO_FENCE, &limits, NOW, 3, &more, &error), EZ_OK, "%s",
                     error.message);
    expect_left(54, 19995 * DAY_NS + 6 * HOUR_NS, 27);
    ez_log_row late[] = {random_record(19995 * DAY_NS + HOUR_NS), random_record(19995 * DAY_NS + 2 * HOUR_NS)};
    add_records(store, &model, late, 2, NOW);
    trim_all(until_ns, 0, 3);
    expect_left(52, until_ns, 26);
}

Test(store_logs, records_beyond_the_bound_are_forgotten) {
    given_days();
    trim_all(0, 60, 7);
    expect_left(60, 19995 * DAY_NS, 30);
    trim_all(0, 43, 3);
    expect_left(43, 19996 * DAY_NS + 7 * HOUR_NS, 22);
    trim_all(19998 * DAY_NS, 21, 3); // both: age leaves 30
    expect_left(21, 19998 * DAY_NS + 9 * HOUR_NS, 11);
    trim_all(0, 1, 1000);
    expect_left(1, 20000 * DAY_NS + 9 * HOUR_NS, 1);
}

Test(store_logs, a_step_is_bounded) {
    given_days();
    ez_log_limits limits = {.before_ns = 19995 * DAY_NS + 8 * HOUR_NS};
    bool more = false;
    cr_assert_eq(ez_store_trim_logs(store, EZ_NO_FENCE, &limits, NOW, 3, &more, NULL), EZ_OK);
    cr_assert(more);
    expect_left(57, 19995 * DAY_NS + 3 * HOUR_NS, 29);
}

Test(store_logs, another_server_may_drop_a_day) {
    if (!is_postgres())
        return;
    given_days();
    ez_store *other = open_store(&at);
    ez_log_row row = random_record(19995 * DAY_NS);
    ez_log_batch batch = {.rows = &row, .row_count = 1};
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_store_add_logs(other, &batch, 1, NOW, &error), EZ_OK, "%s", error.message);
    trim_all(19996 * DAY_NS, 0, 1000);
    expect_left(50, 19996 * DAY_NS, 25);
    cr_assert_eq(ez_store_add_logs(other, &batch, 1, NOW, &error), EZ_OK, "%s", error.message);
    expect_left(51, 19995 * DAY_NS, 25);
    ez_store_close(other);
}

Test(store_logs, old_marks_are_forgotten) {
    static const int64_t ages[] = {0, 29, 31, 400};
    for (int i = 0; i < 4; i++) {
        ez_log_batch logs = {.mark = {.data_plane_id = i, .epoch = 1, .sequence = 1}};
        ez_usage_batch usage = {.mark = {.data_plane_id = i, .epoch = 1, .sequence = 1}};
        cr_assert_eq(ez_store_add_logs(store, &logs, 1, NOW - ages[i] * DAY_NS, NULL), EZ_OK);
        cr_assert_eq(ez_store_add_usage(store, &usage, 1, NOW - ages[i] * DAY_NS, NULL, NULL, NULL), EZ_OK);
    }
    trim_all(0, 0, 1);
    expect_rows("SELECT data_plane_id, stream FROM marks ORDER BY data_plane_id, stream", "0|1\n0|2\n1|1\n1|2\n");
}

Test(store_logs, the_mark_of_a_key_is_its_own_and_stays_for_a_day) {
    static const int64_t hours[] = {0, 23, 25, 24 * 29};
    for (int i = 0; i < 4; i++) {
        for (int is_key = 0; is_key < 2; is_key++) {
            ez_log_batch logs = {.mark = {.data_plane_id = i, .epoch = 1, .sequence = 1, .is_key = is_key}};
            ez_usage_batch usage = {.mark = {.data_plane_id = i, .epoch = 1, .sequence = 1, .is_key = is_key}};
            int64_t then = NOW - hours[i] * (DAY_NS / 24);
            for (int again = 0; again < 2; again++) {
                cr_assert_eq(ez_store_add_logs(store, &logs, 1, then, NULL), EZ_OK);
                cr_assert_eq(logs.mark.outcome, again ? EZ_MARK_REPEATED : EZ_MARK_TAKEN);
                cr_assert_eq(ez_store_add_usage(store, &usage, 1, then, NULL, NULL, NULL), EZ_OK);
                cr_assert_eq(usage.mark.outcome, again ? EZ_MARK_REPEATED : EZ_MARK_TAKEN);
            }
        }
    }
    trim_all(0, 0, 1);
    expect_rows("SELECT data_plane_id, stream FROM marks ORDER BY data_plane_id, stream",
                "0|1\n0|2\n0|257\n0|258\n1|1\n1|2\n1|257\n1|258\n2|1\n2|2\n3|1\n3|2\n");
}

// ---- Deliveries

Test(store_logs, deliveries_are_replaced_and_bounded) {
    ez_delivery one = {.id = 5,
                       .created_ns = 5,
                       .kind = "error",
                       .url = "https://example.com",
                       .error = NULL,
                       .status = EZ_DELIVERY_WAITING};
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_store_put_delivery(store, &one, &error), EZ_OK, "%s", error.message);
    one.status = EZ_DELIVERY_FAILED;
    one.attempts = 3;
    one.http_status = 500;
    one.error = "500";
    one.finished_ns = 9;
    cr_assert_eq(ez_store_put_delivery(store, &one, &error), EZ_OK, "%s", error.message);
    expect_rows("SELECT * FROM deliveries", "5|5|error|https://example.com|3|3|500|500|9\n");
    number_of(&at, is_postgres() ? "INSERT INTO deliveries SELECT n, 1, 'k', 'u', 1, 1, 1, '', 1 FROM "
                                   "generate_series(6, 10020) n"
                                 : "WITH RECURSIVE s(n) AS (SELECT 6 UNION ALL SELECT n + 1 FROM s WHERE n < 10020) "
                                   "INSERT INTO deliveries SELECT n, 1, 'k', 'u', 1, 1, 1, '', 1 FROM s");
    one.id = 10021;
    cr_assert_eq(ez_store_put_delivery(store, &one, &error), EZ_OK, "%s", error.message);
    expect_rows("SELECT min(id), max(id), count(*) FROM deliveries", "22|10021|10000\n");
}
