// SPDX-License-Identifier: Apache-2.0
//
// Adding, folding and forgetting by servers whose clocks differ, by seconds or by days: after each of them every record
// counts once. On PostgreSQL two servers take turns.
#include <criterion/criterion.h>
#include <stdlib.h>

#include "tests/unit/store/sum_check.h"

#define NOW (INT64_C(20000) * DAY_NS + 13 * HOUR_NS + 1800 * SECOND_NS)

static place at;
static ez_store *stores[2]; // the same one twice where there can be no other
static log_model model;
static int64_t now_ns;

static void setup(void) {
    given_place(&at);
    stores[0] = open_store(&at);
    stores[1] = is_postgres() ? open_store(&at) : stores[0];
    now_ns = NOW;
}

static void teardown(void) {
    if (stores[1] != stores[0])
        ez_store_close(stores[1]);
    ez_store_close(stores[0]);
    drop_place(&at);
}

TestSuite(store_rollups_clocks, .init = setup, .fini = teardown, .timeout = 200);

static int64_t any_clock(void) {
    static const int64_t off_s[] = {0,     0,    1,     -1,    60,     -60,       1800,       -1800,      3600,
                                    -3600, 7200, -7200, 86400, -86400, 4 * 86400, -4 * 86400, 100 * 86400};
    return now_ns + off_s[(size_t)rand() % (sizeof off_s / sizeof off_s[0])] * SECOND_NS;
}

static void add(ez_store *store) {
    ez_log_row rows[24];
    size_t count = 1 + (size_t)rand() % 24;
    for (size_t i = 0; i < count; i++) {
        int64_t back_s = rand() % (rand() % 3 ? 5400 : rand() % 2 ? 40000 : 400000) - 3600;
        rows[i] = random_record(now_ns - (rand() % 30 ? back_s : 95 * INT64_C(86400)) * SECOND_NS);
    }
    add_records(store, &model, rows, count, any_clock());
}

static void fold(ez_store *store, int steps, int64_t clock_ns) {
    bool more = true;
    ez_error error = EZ_ERROR_INIT;
    while (steps-- > 0 && more)
        cr_assert_eq(ez_store_fold_rollups(store, EZ_NO_FENCE, clock_ns, &more, &error), EZ_OK, "%s", error.message);
}

static void trim(ez_store *store, int steps) {
    bool more = true;
    ez_log_limits limits = {0};
    ez_error error = EZ_ERROR_INIT;
    int64_t clock_ns = any_clock();
    while (steps-- > 0 && more)
        cr_assert_eq(ez_store_trim_logs(store, EZ_NO_FENCE, &limits, clock_ns, 30, &more, &error), EZ_OK, "%s",
                     error.message);
}

static void do_anything(void) {
    ez_store *store = stores[rand() % 2];
    int kind = rand() % 10;
    if (kind < 4)
        add(store);
    else if (kind < 8)
        fold(store, rand() % (rand() % 2 ? 10 : 150), any_clock());
    else if (kind == 8)
        trim(store, rand() % 10);
    else
        now_ns += rand() % (rand() % 4 ? 3600 : 90000) * SECOND_NS;
}

Test(store_rollups_clocks, every_record_counts_once_whatever_clocks_say) {
    for (unsigned seed = 1; seed <= 2; seed++) {
        srand(seed);
        for (int round = 0; round < 80; round++) {
            do_anything();
            if (model.count == 0)
                continue;
            expect_rollups(&at, &model);
            expect_totals(&at, stores[0], &model, now_ns, 6);
        }
        teardown();
        setup();
        model.count = 0;
    }
}

// Closed by a clock that is ahead, with rows, before its day has it: opened again, and put in place of those rows.
Test(store_rollups_clocks, an_hour_that_was_closed_too_early_is_folded_anew) {
    ez_log_row rows[8];
    for (int i = 0; i < 8; i++)
        rows[i] = random_record(NOW - (600 + i) * SECOND_NS);
    add_records(stores[0], &model, rows, 4, NOW);
    while (number_of(&at, "SELECT count(*) FROM rollup_open WHERE step = 3600"))
        fold(stores[0], 1, NOW + HOUR_NS);
    cr_assert_gt(number_of(&at, "SELECT count(*) FROM rollups WHERE step = 3600"), 0);
    // Late by a clock that is ahead: PostgreSQL knows the hour's rows now, which the next fold puts away.
    add_records(stores[0], &model, rows + 4, 1, NOW + HOUR_NS);
    add_records(stores[1], &model, rows + 5, 1, NOW);
    cr_assert_eq(number_of(&at, "SELECT count(*) FROM rollup_open WHERE step = 3600"), 1);
    expect_rollups(&at, &model);
    fold(stores[1], 12, NOW);
    expect_rollups(&at, &model);
    add_records(stores[0], &model, rows + 6, 1, NOW);
    expect_rollups(&at, &model);
    fold_all(stores[1], NOW + HOUR_NS);
    add_records(stores[0], &model, rows + 7, 1, NOW + HOUR_NS);
    expect_rollups(&at, &model);
    expect_totals(&at, stores[0], &model, NOW, 40);
}
