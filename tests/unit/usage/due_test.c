// SPDX-License-Identifier: Apache-2.0
#include <criterion/criterion.h>
#include <stdlib.h>

#include "server/domain/usage/due.h"

Test(due, the_soonest_comes_first_and_none_before_its_time) {
    ez_due due = {0};
    unsigned dice = 7;
    enum { COUNT = 20000 };
    for (int64_t id = 1; id <= COUNT; id++)
        cr_assert_eq(ez_due_put(&due, rand_r(&dice) % 5000, id), EZ_OK);
    ez_due_entry entry;
    int64_t last = 0, taken = 0;
    while (ez_due_take(&due, 2499, &entry)) {
        cr_assert_geq(entry.at_s, last);
        last = entry.at_s;
        taken++;
    }
    cr_assert_leq(last, 2499);
    cr_assert_geq(due.entries[0].at_s, 2500);
    cr_assert(taken > COUNT / 3 && taken < COUNT);
    while (ez_due_take(&due, INT64_MAX, &entry)) {
        cr_assert_geq(entry.at_s, last);
        last = entry.at_s;
        taken++;
    }
    cr_assert_eq(taken, COUNT);
    cr_assert_not(ez_due_take(&due, INT64_MAX, &entry));
    ez_due_fini(&due);
}

Test(due, an_id_may_be_there_twice) {
    ez_due due = {0};
    ez_due_entry entry;
    cr_assert_eq(ez_due_put(&due, 20, 1), EZ_OK);
    cr_assert_eq(ez_due_put(&due, 10, 1), EZ_OK);
    cr_assert_not(ez_due_take(&due, 9, &entry));
    cr_assert(ez_due_take(&due, 10, &entry) && entry.at_s == 10 && entry.id == 1);
    cr_assert_not(ez_due_take(&due, 10, &entry));
    ez_due_clear(&due);
    cr_assert_not(ez_due_take(&due, 20, &entry));
    ez_due_fini(&due);
}
