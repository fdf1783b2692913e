// SPDX-License-Identifier: Apache-2.0
//
// Usage counters and their marks, on every store.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "server/state/store/meter.h"
#include "tests/unit/store/fixture.h"

TestSuite(store_usage, .init = given_store, .fini = drop_store);

#define IDS 40
typedef struct model {
    ez_usage_sums sums[EZ_USAGE_TABLES][IDS + 1];
    unsigned seen[EZ_USAGE_TABLES][IDS + 1]; // calls of remember for it
} model;

static void remember(void *user, ez_usage_table table, int64_t id, const ez_usage_sums *total) {
    model *to = user;
    cr_assert(id >= 1 && id <= IDS, "%lld", (long long)id);
    to->sums[table][id] = *total;
    to->seen[table][id]++;
}

static void expect_add(ez_usage_batch *batches, size_t count, model *told) {
    ez_error error = EZ_ERROR_INIT;
    ez_status status = ez_store_add_usage(store, batches, count, 77, told ? remember : NULL, told, &error);
    cr_assert_eq(status, EZ_OK, "%s", error.message);
}

static void read_all(model *out) {
    memset(out, 0, sizeof *out);
    ez_error error = EZ_ERROR_INIT;
    for (int table = 0; table < EZ_USAGE_TABLES; table++)
        cr_assert_eq(ez_store_each_usage(store, (ez_usage_table)table, remember, out, &error), EZ_OK, "%s",
                     error.message);
}

static ez_mark mark(int64_t data_plane, uint64_t epoch, uint64_t sequence) {
    return (ez_mark){.data_plane_id = data_plane, .epoch = epoch, .sequence = sequence};
}

// One request of key 1.
static const ez_usage_row one_request = {
    .table = EZ_USAGE_KEYS, .id = 1, .add = {.requests = 1, .success = 1, .tokens_in = 10, .last_used_ns = 5}};

static ez_usage_batch batch(ez_mark its) {
    return (ez_usage_batch){.mark = its, .rows = &one_request, .row_count = 1};
}

static int64_t requests(void) {
    static model all;
    read_all(&all);
    return all.sums[EZ_USAGE_KEYS][1].requests;
}

static void expect_outcome(const ez_usage_batch *it, ez_mark_outcome want, uint64_t expected) {
    cr_assert_eq(it->mark.outcome, want, "%d", it->mark.outcome);
    if (want == EZ_MARK_GAP)
        cr_assert_eq(it->mark.expected, expected, "%llu", (unsigned long long)it->mark.expected);
}

Test(store_usage, a_batch_counts_once) {
    for (int i = 0; i < 3; i++) {
        ez_usage_batch it = batch(mark(7, 99, 1));
        expect_add(&it, 1, NULL);
        expect_outcome(&it, i ? EZ_MARK_REPEATED : EZ_MARK_TAKEN, 0);
        reopen();
    }
    cr_assert_eq(requests(), 1);
    ez_usage_batch next = batch(mark(7, 99, 2));
    expect_add(&next, 1, NULL);
    expect_outcome(&next, EZ_MARK_TAKEN, 0);
    cr_assert_eq(requests(), 2);
}

Test(store_usage, a_gap_adds_nothing_and_says_what_is_expected) {
    ez_usage_batch it = batch(mark(7, 99, 2));
    expect_add(&it, 1, NULL);
    expect_outcome(&it, EZ_MARK_GAP, 1);
    cr_assert_eq(requests(), 0);
    it = batch(mark(7, 99, 1));
    expect_add(&it, 1, NULL);
    it = batch(mark(7, 99, 5));
    expect_add(&it, 1, NULL);
    expect_outcome(&it, EZ_MARK_GAP, 2);
    cr_assert_eq(requests(), 1);
}

Test(store_usage, batches_of_one_call_follow_each_other) {
    ez_usage_batch first = batch(mark(7, 99, 1));
    expect_add(&first, 1, NULL);
    ez_usage_batch all[] = {batch(mark(7, 99, 2)), batch(mark(7, 99, 2)), batch(mark(8, 99, 1)),
                            batch(mark(7, 99, 4)), batch(mark(7, 99, 3)), batch(mark(7, 99, 4)),
                            batch(mark(7, 98, 1)), batch(mark(0, 0, 0)),  batch(mark(0, 0, 0))};
    static const struct {
        ez_mark_outcome outcome;
        uint64_t expected;
    } want[] = {{EZ_MARK_TAKEN, 0}, {EZ_MARK_REPEATED, 0}, {EZ_MARK_TAKEN, 0}, {EZ_MARK_GAP, 3},  {EZ_MARK_TAKEN, 0},
                {EZ_MARK_TAKEN, 0}, {EZ_MARK_TAKEN, 0},    {EZ_MARK_TAKEN, 0}, {EZ_MARK_TAKEN, 0}};
    expect_add(all, 9, NULL);
    for (size_t i = 0; i < 9; i++)
        expect_outcome(&all[i], want[i].outcome, want[i].expected);
    cr_assert_eq(requests(), 8);
}

Test(store_usage, epochs_of_64_bits_are_kept_apart) {
    static const uint64_t epochs[] = {1, UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63};
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 4; i++) {
            ez_usage_batch it = batch(mark(7, epochs[i], 1));
            expect_add(&it, 1, NULL);
            expect_outcome(&it, round ? EZ_MARK_REPEATED : EZ_MARK_TAKEN, 0);
        }
    }
    cr_assert_eq(requests(), 4);
}

Test(store_usage, an_empty_batch_moves_its_mark) {
    ez_usage_batch it = {.mark = mark(7, 99, 1)};
    expect_add(&it, 1, NULL);
    expect_outcome(&it, EZ_MARK_TAKEN, 0);
    expect_add(&it, 1, NULL);
    expect_outcome(&it, EZ_MARK_REPEATED, 0);
    expect_add(NULL, 0, NULL);
}

Test(store_usage, streams_have_marks_of_their_own) {
    ez_log_batch logs = {.mark = mark(7, 99, 1)};
    ez_usage_batch usage = batch(mark(7, 99, 1));
    ez_error error = EZ_ERROR_INIT;
    expect_add(&usage, 1, NULL);
    cr_assert_eq(ez_store_add_logs(store, &logs, 1, 77, &error), EZ_OK, "%s", error.message);
    cr_assert_eq(logs.mark.outcome, EZ_MARK_TAKEN);
    cr_assert_eq(ez_store_add_logs(store, &logs, 1, 77, &error), EZ_OK, "%s", error.message);
    cr_assert_eq(logs.mark.outcome, EZ_MARK_REPEATED);
}

Test(store_usage, sums_stay_at_their_bound) {
    ez_usage_row rows[] = {
        {.table = EZ_USAGE_GROUPS, .id = 2, .add = {.requests = EZ_USAGE_SUM_MAX - 5, .quota_used = INT64_MAX}},
        {.table = EZ_USAGE_GROUPS, .id = 2, .add = {.requests = INT64_MAX, .quota_used = INT64_MAX, .failure = 3}}};
    ez_usage_batch it = {.rows = rows, .row_count = 1};
    static model told;
    expect_add(&it, 1, &told);
    cr_assert_eq(told.sums[EZ_USAGE_GROUPS][2].requests, EZ_USAGE_SUM_MAX - 5);
    it.row_count = 2;
    for (int i = 0; i < 2; i++) {
        expect_add(&it, 1, &told);
        cr_assert_eq(told.sums[EZ_USAGE_GROUPS][2].requests, EZ_USAGE_SUM_MAX);
        cr_assert_eq(told.sums[EZ_USAGE_GROUPS][2].quota_used, EZ_USAGE_SUM_MAX);
        cr_assert_eq(told.sums[EZ_USAGE_GROUPS][2].failure, 3 * (i + 1));
    }
}

static void add_to_model(model *to, const ez_usage_row *row) {
    ez_usage_sums *sums = &to->sums[row->table][row->id];
    sums->requests += row->add.requests;
    sums->success += row->add.success;
    sums->failure += row->add.failure;
    sums->tokens_in += row->add.tokens_in;
    sums->tokens_out += row->add.tokens_out;
    sums->quota_used += row->add.quota_used;
    sums->rate_limited += row->add.rate_limited;
    if (row->add.last_used_ns > sums->last_used_ns)
        sums->last_used_ns = row->add.last_used_ns;
}

static ez_usage_row random_row(void) {
    return (ez_usage_row){.table = (ez_usage_table)(rand() % EZ_USAGE_TABLES),
                          .id = 1 + rand() % IDS,
                          .add = {.requests = rand() % 10,
                                  .success = rand() % 10,
                                  .failure = rand() % 3,
                                  .tokens_in = rand() % 5000,
                                  .tokens_out = rand() % 5000,
                                  .quota_used = rand(),
                                  .rate_limited = rand() % 2,
                                  .last_used_ns = rand()}};
}

// Random batches, some repeated, some with a gap, against sums made by hand; what is told is what is kept.
Test(store_usage, sums_follow_a_model, .timeout = 60) {
    static model want, told, kept;
    static ez_usage_row rows[8][60];
    uint64_t next[3] = {1, 1, 1};
    srand(11);
    for (int call = 0; call < 40; call++) {
        ez_usage_batch batches[8];
        memset(told.seen, 0, sizeof told.seen);
        for (size_t b = 0; b < 8; b++) {
            int plane = rand() % 3, kind = rand() % 6; // 0: repeated, 1: a gap
            uint64_t sequence = kind == 0 ? next[plane] - 1 : kind == 1 ? next[plane] + 1 : next[plane];
            size_t count = (size_t)(rand() % 60);
            bool is_taken = kind > 1;
            for (size_t i = 0; i < count; i++) {
                rows[b][i] = random_row();
                if (is_taken)
                    add_to_model(&want, &rows[b][i]);
            }
            next[plane] += is_taken;
            batches[b] = (ez_usage_batch){.mark = mark(plane, 5, sequence), .rows = rows[b], .row_count = count};
        }
        expect_add(batches, 8, &told);
        for (int table = 0; table < EZ_USAGE_TABLES; table++) {
            for (int id = 1; id <= IDS; id++)
                cr_assert_leq(told.seen[table][id], 1u);
        }
        if (call % 13 == 0)
            reopen();
    }
    read_all(&kept);
    cr_assert_arr_eq(kept.sums, want.sums, sizeof want.sums);
    cr_assert_arr_eq(told.sums, want.sums, sizeof want.sums);
}

// More rows than one statement of PostgreSQL takes, most of them new, then none.
Test(store_usage, large_batches_are_split, .timeout = 60) {
    enum { many = 25000 };
    ez_usage_row *rows = calloc(many, sizeof *rows);
    for (int i = 0; i < many; i++)
        rows[i] = (ez_usage_row){.table = i % 5 ? EZ_USAGE_KEYS : EZ_USAGE_API_KEYS, .id = 1 + (i * 7919) % many};
    for (int i = 0; i < many; i++)
        rows[i].add.requests = i;
    ez_usage_batch it = {.rows = rows, .row_count = many};
    for (int i = 0; i < 2; i++)
        expect_add(&it, 1, NULL);
    if (is_postgres()) {
        cr_assert_eq(sql(&at, "SELECT count(*) FROM key_usage"), many / 5 * 4);
        cr_assert_eq(sql(&at, "SELECT (SELECT sum(requests) FROM key_usage) + (SELECT sum(requests) FROM "
                              "api_key_usage)"),
                     (long long)many * (many - 1));
    }
    free(rows);
}

// Where others may write: rows by their time and a range of ids, its end included.
Test(store_usage, what_was_added_to_lately_is_found_where_there_may_be_others) {
    ez_usage_row rows[4];
    for (int i = 0; i < 4; i++)
        rows[i] = (ez_usage_row){.table = EZ_USAGE_MASTERS, .id = 10 * (i + 1), .add = {.requests = i + 1}};
    for (int i = 0; i < 4; i++)
        rows[i].add.last_used_ns = 100 * (i + 1);
    rows[3].add.last_used_ns = 50;
    ez_usage_batch it = {.rows = rows, .row_count = 4};
    expect_add(&it, 1, NULL);
    static model found;
    ez_error error = EZ_ERROR_INIT;
    ez_status status = ez_store_usage_since(store, EZ_USAGE_MASTERS, 200, 10, 40, remember, &found, &error);
    cr_assert_eq(status, EZ_OK, "%s", error.message);
    unsigned expected = is_postgres() ? 1 : 0;
    cr_assert_eq(found.seen[EZ_USAGE_MASTERS][10], 0, "it comes after");
    cr_assert_eq(found.seen[EZ_USAGE_MASTERS][20], expected);
    cr_assert_eq(found.seen[EZ_USAGE_MASTERS][30], expected);
    cr_assert_eq(found.seen[EZ_USAGE_MASTERS][40], 0, "its time is before");
    cr_assert_eq(found.sums[EZ_USAGE_MASTERS][20].requests, expected * 2);
    status = ez_store_usage_since(store, EZ_USAGE_MASTERS, 0, 10, 20, remember, &found, &error);
    cr_assert_eq(status, EZ_OK, "%s", error.message);
    cr_assert_eq(found.seen[EZ_USAGE_MASTERS][20], 2 * expected);
    cr_assert_eq(found.seen[EZ_USAGE_MASTERS][30], expected);
}
