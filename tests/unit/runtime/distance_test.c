// SPDX-License-Identifier: Apache-2.0
//
// Levenshtein's distance: every kind of edit, both ways, and words past the bound.
#include "proto/runtime/distance.h"

#include <criterion/criterion.h>
#include <string.h>

static void expect_distance(unsigned wanted, const char *a, const char *b) {
    cr_expect_eq(ez_distance(a, strlen(a), b, strlen(b)), wanted, "%s, %s", a, b);
    cr_expect_eq(ez_distance(b, strlen(b), a, strlen(a)), wanted, "%s, %s", b, a);
}

Test(distance, counts_edits) {
    expect_distance(0, "", "");
    expect_distance(0, "keys", "keys");
    expect_distance(1, "keys", "key");
    expect_distance(1, "keys", "kegs");
    expect_distance(2, "keys", "kyes");
    expect_distance(3, "kitten", "sitting");
    expect_distance(4, "", "keys");
}

Test(distance, long_words_are_cut) {
    char a[5000], b[5000];
    memset(a, 'x', sizeof a);
    memset(b, 'x', sizeof b);
    cr_assert_eq(ez_distance(a, sizeof a, b, 4), EZ_DISTANCE_MAX - 4);
    memset(b + EZ_DISTANCE_MAX, 'y', sizeof b - EZ_DISTANCE_MAX);
    cr_assert_eq(ez_distance(a, sizeof a, b, sizeof b), 0);
    b[EZ_DISTANCE_MAX - 1] = 'y';
    cr_assert_eq(ez_distance(a, sizeof a, b, sizeof b), 1);
}
