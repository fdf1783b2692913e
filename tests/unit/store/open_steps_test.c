// SPDX-License-Identifier: Apache-2.0
//
// Which hours and days are opened, what is folded next, and how far.
#include "server/state/store/open_steps.h"

#include <criterion/criterion.h>

#include "server/state/store/rollup.h"

#define H   EZ_ROLLUP_HOUR
#define D   EZ_ROLLUP_DAY
#define DAY (INT64_C(20000) * D)

static ez_open_steps steps;

static void teardown(void) {
    ez_open_steps_fini(&steps);
}

TestSuite(open_steps, .fini = teardown);

static ez_open_step use(int step, int64_t time_s, int64_t now_s) {
    ez_open_step out;
    cr_assert_eq(ez_open_steps_use(&steps, step, time_s, now_s, &out, NULL), EZ_OK);
    return out;
}

static void put(int step, int64_t time_s, int64_t from_s) {
    ez_open_step open = {.step = step, .time_s = time_s, .from_s = from_s, .until_s = from_s};
    cr_assert_eq(ez_open_steps_put(&steps, &open, NULL), EZ_OK);
}

Test(open_steps, opens_what_is_not_over) {
    int64_t now_s = DAY + 5 * H + 600;
    ez_open_step hour = use(H, DAY + 5 * H, now_s);
    cr_assert(hour.is_new && hour.from_s == DAY + 5 * H);
    cr_assert_eq(steps.count, 2u, "the day with it");
    cr_assert(use(D, DAY, now_s).is_new);
    cr_assert_eq(use(H, DAY + 4 * H, now_s).from_s, INT64_MAX, "over: it has everything");
    cr_assert_eq(use(D, DAY - D, now_s).from_s, INT64_MAX);
    cr_assert_eq(use(H, DAY + 6 * H, now_s).from_s, DAY + 6 * H, "a clock ahead of ours");
    cr_assert_eq(steps.count, 3u);
    for (size_t i = 1; i < steps.count; i++)
        cr_assert(steps.items[i - 1].step < steps.items[i].step || steps.items[i - 1].time_s < steps.items[i].time_s);
}

// The day would not get what comes to such an hour.
Test(open_steps, leaves_an_hour_closed_that_its_day_has) {
    put(D, DAY, DAY + 6 * H);
    cr_assert_eq(use(H, DAY + 5 * H, DAY + 5 * H).from_s, INT64_MAX);
    cr_assert_eq(use(H, DAY + 6 * H, DAY + 5 * H).from_s, DAY + 6 * H);
    // Some levels are further than others: the furthest counts.
    steps.count = 0;
    ez_open_step day = {.step = D, .time_s = DAY, .from_s = DAY + 5 * H, .until_s = DAY + 6 * H, .folded = 1};
    cr_assert_eq(ez_open_steps_put(&steps, &day, NULL), EZ_OK);
    cr_assert_eq(use(H, DAY + 5 * H, DAY + 5 * H).from_s, INT64_MAX);
}

Test(open_steps, folds_minutes_that_are_over_in_pieces) {
    ez_fold fold;
    put(H, DAY, DAY);
    cr_assert_not(ez_open_steps_next(&steps, DAY + 60 + EZ_FOLD_LAG_S - 1, &fold));
    cr_assert(ez_open_steps_next(&steps, DAY + 60 + EZ_FOLD_LAG_S, &fold));
    cr_assert(fold.level == 1 && fold.until_s == DAY + 60);
    cr_assert(ez_open_steps_next(&steps, DAY + 50 * 60, &fold));
    cr_assert_eq(fold.until_s, DAY + EZ_FOLD_MINUTES_S);
    cr_assert_not(ez_open_steps_next(&steps, DAY - 5000, &fold), "a clock that went back");
    // Level by level, then the edge moves, and at the end of the hour it is closed.
    for (int level = 1; level < EZ_ROLLUP_LEVELS; level++) {
        cr_assert(ez_open_steps_next(&steps, DAY + 50 * 60, &fold));
        cr_assert_eq(fold.level, level);
        cr_assert_eq(ez_open_step_edge(&fold.open, level), DAY);
        if (level > 1)
            cr_assert_eq(ez_open_step_edge(&fold.open, level - 1), DAY + EZ_FOLD_MINUTES_S);
        steps.items[0] = ez_fold_done(&fold, false);
    }
    cr_assert(steps.items[0].folded == 0 && steps.items[0].from_s == DAY + EZ_FOLD_MINUTES_S);
    int pieces = 0;
    while (!ez_open_step_is_closed(&steps.items[0])) {
        cr_assert(ez_open_steps_next(&steps, DAY + 2 * H, &fold));
        steps.items[0] = ez_fold_done(&fold, true); // nothing there: every level at once
        pieces++;
    }
    cr_assert_eq(pieces, 11);
}

Test(open_steps, a_day_takes_hours_that_are_closed) {
    ez_fold fold;
    put(D, DAY, DAY);
    put(H, DAY + 2 * H, DAY + 2 * H);
    for (int hour = 1; hour <= 2; hour++) {
        cr_assert(ez_open_steps_next(&steps, DAY + 2 * H + EZ_FOLD_LAG_S, &fold));
        cr_assert(fold.open.step == D && fold.until_s == DAY + hour * H);
        steps.items[1] = ez_fold_done(&fold, true);
    }
    cr_assert_not(ez_open_steps_next(&steps, DAY + 2 * H + EZ_FOLD_LAG_S, &fold), "the third is open");
    cr_assert(ez_open_steps_next(&steps, DAY + 5 * H, &fold));
    cr_assert_eq(fold.open.step, H, "hours go first");
}
