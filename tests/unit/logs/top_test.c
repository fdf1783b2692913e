// SPDX-License-Identifier: Apache-2.0
//
// The first rows out of many, against sorting all of them; lists by time.
#include "server/domain/logs/top.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ez_arena arena;
static ez_error error;

static void setup(void) {
    ez_arena_init(&arena, 64 << 20);
}

static void teardown(void) {
    ez_arena_fini(&arena);
}

TestSuite(top, .init = setup, .fini = teardown);

static void add(ez_top *top, int64_t id, const char *model, int64_t requests) {
    ez_stats_row row = {.id = id, .model = {(const uint8_t *)model, strlen(model)}, .sums = {.requests = requests}};
    ez_top_add(top, &row);
}

typedef struct pair {
    int64_t id, requests;
} pair;

static int by_rank(const void *a, const void *b) {
    const pair *x = a, *y = b;
    if (x->requests != y->requests)
        return x->requests > y->requests ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

Test(top, keeps_the_first_ones_whatever_their_order) {
    enum { ALL = 5000, KEPT = 100 };
    static pair pairs[ALL];
    ez_top top;
    cr_assert_eq(ez_top_init(&top, KEPT, &arena, &error), EZ_OK);
    uint64_t state = 7;
    int64_t sum = 0;
    for (int i = 0; i < ALL; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        pairs[i] = (pair){i + 1, (int64_t)(state >> 33) % 700}; // many are equal
        sum += pairs[i].requests;
        add(&top, pairs[i].id, "", pairs[i].requests);
    }
    ez_top_sort(&top);
    qsort(pairs, ALL, sizeof pairs[0], by_rank);
    cr_assert_eq(top.count, KEPT);
    cr_assert(top.is_truncated);
    cr_assert_eq(top.total.requests, sum, "what is not shown counts in the total");
    for (int i = 0; i < KEPT; i++)
        cr_assert_eq(top.rows[i]->id, pairs[i].id, "place %d", i);
}

Test(top, models_are_copied) {
    ez_top top;
    char name[300];
    memset(name, 'x', sizeof name);
    name[299] = 0;
    cr_assert_eq(ez_top_init(&top, 2, &arena, &error), EZ_OK);
    add(&top, 0, name, 1);
    memcpy(name, "gone", 5);
    add(&top, 0, "b", 2);
    ez_top_sort(&top);
    cr_assert_not(top.is_truncated);
    cr_assert_str_eq(top.rows[0]->model, "b");
    cr_assert_eq(strlen(top.rows[1]->model), EZ_TOP_MODEL_MAX);
    cr_assert_eq(top.rows[1]->model[0], 'x');
}

Test(top, steps_of_one_time_are_added_up) {
    ez_top top;
    cr_assert_eq(ez_top_init(&top, 2, &arena, &error), EZ_OK);
    for (int64_t time_s = 0; time_s < 6; time_s++)
        ez_top_append(&top, time_s / 2, &(ez_rollup_sums){.requests = 1});
    cr_assert_eq(top.count, 2);
    cr_assert_eq(top.rows[0]->sums.requests, 2);
    cr_assert_eq(top.rows[1]->sums.requests, 2, "a third step must not be added to the second");
    cr_assert_eq(top.total.requests, 6);
    cr_assert(top.is_truncated);
}
