// SPDX-License-Identifier: Apache-2.0
#include "server/domain/logs/error_window.h"

#include <criterion/criterion.h>
#include <stdlib.h>

Test(error_window, holds_what_is_within_it) {
    static ez_error_window window;
    ez_error_window_clear(&window, 10);
    ez_error_window_add(&window, 1000, 3);
    ez_error_window_add(&window, 1000, 1);
    cr_assert_eq(window.sum, 4);
    ez_error_window_add(&window, 1009, 1);
    cr_assert_eq(window.sum, 5);
    ez_error_window_add(&window, 1010, 1);
    cr_assert_eq(window.sum, 2, "the first second is out of it");
    ez_error_window_add(&window, 1025, 1);
    cr_assert_eq(window.sum, 1);
}

Test(error_window, a_clock_that_went_back_starts_anew) {
    static ez_error_window window;
    ez_error_window_clear(&window, 10);
    ez_error_window_add(&window, 1000, 3);
    ez_error_window_add(&window, 999, 1);
    cr_assert_eq(window.sum, 1);
}

// Against a plain list of what happened when.
Test(error_window, is_right_at_random) {
    enum { STEPS = 3000 };
    static ez_error_window window;
    static int64_t times[STEPS];
    for (unsigned seed = 1; seed <= 5; seed++) {
        srand(seed);
        int32_t seconds = 1 + rand() % 90;
        int64_t now = 50000;
        ez_error_window_clear(&window, seconds);
        for (int i = 0; i < STEPS; i++) {
            now += rand() % 5 == 0 ? rand() % 7 : 0;
            now += rand() % 200 == 0 ? rand() % 5000 : 0;
            times[i] = now;
            ez_error_window_add(&window, now, 1);
            uint64_t want = 0;
            for (int k = i; k >= 0 && times[k] > now - seconds; k--) {
                want++;
            }
            cr_assert_eq(window.sum, want, "seed %u, step %d", seed, i);
        }
    }
}

Test(error_window, counts_stay_at_their_bound) {
    static ez_error_window window;
    ez_error_window_clear(&window, 2);
    ez_error_window_add(&window, 5, UINT32_MAX);
    ez_error_window_add(&window, 5, 7);
    cr_assert_eq(window.sum, UINT32_MAX);
    ez_error_window_add(&window, 7, 1);
    cr_assert_eq(window.sum, 1);
}
