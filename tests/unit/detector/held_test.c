// SPDX-License-Identifier: Apache-2.0
//
// What holds, and when it is over.
#include <criterion/criterion.h>

#include "server/domain/alerts/detector_held.h"

static ez_held held;

static void begin(void) {
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_held_init(&held, &error), EZ_OK);
}

static void end(void) {
    ez_held_fini(&held);
}

TestSuite(detector_held, .init = begin, .fini = end);

// A round in which the rule holds of those.
static void round_of(const int64_t *ids, size_t count) {
    ez_held_begin(&held);
    for (size_t i = 0; i < count; i++)
        cr_assert(ez_held_see(&held, EZ_RULE_ERROR_SPIKE, ids[i]));
    ez_held_end(&held);
}

static size_t over(int64_t *ids) {
    return ez_held_over(&held, EZ_RULE_ERROR_SPIKE, ids, 8);
}

Test(detector_held, what_is_gone_for_two_rounds_is_over) {
    int64_t ids[8];
    round_of((int64_t[]){3, 9, 5}, 3);
    cr_assert_eq(over(ids), 0u);
    round_of((int64_t[]){9}, 1);
    cr_assert_eq(over(ids), 0u, "one round is not enough");
    round_of((int64_t[]){9, 5}, 2);
    cr_assert(over(ids) == 1 && ids[0] == 3, "5 came back and begins anew");
    round_of((int64_t[]){9}, 1);
    cr_assert_eq(over(ids), 1u);
    round_of((int64_t[]){9}, 1);
    cr_assert(over(ids) == 2 && ids[0] == 3 && ids[1] == 5, "it stays until it is dropped");
    ez_held_drop(&held, EZ_RULE_ERROR_SPIKE, 3);
    ez_held_drop(&held, EZ_RULE_ERROR_SPIKE, 4);
    cr_assert(over(ids) == 1 && ids[0] == 5);
    cr_assert(ez_held_has(&held, EZ_RULE_ERROR_SPIKE, 9) && !ez_held_has(&held, EZ_RULE_ERROR_SPIKE, 3));
    cr_assert_not(ez_held_has(&held, EZ_RULE_RATE_LIMIT, 9), "rules are apart");
}

Test(detector_held, there_is_a_bound_for_each_rule) {
    ez_held_begin(&held);
    for (int64_t id = EZ_HELD_MAX; id > 0; id--)
        cr_assert(ez_held_see(&held, EZ_RULE_PROVIDER_DOWN, 2 * id));
    cr_assert_not(ez_held_see(&held, EZ_RULE_PROVIDER_DOWN, 3));
    cr_assert(ez_held_see(&held, EZ_RULE_PROVIDER_DOWN, 4), "that one is there");
    cr_assert(ez_held_see(&held, EZ_RULE_ERROR_SPIKE, 3), "of another rule");
    ez_held_drop(&held, EZ_RULE_PROVIDER_DOWN, 4);
    cr_assert(ez_held_see(&held, EZ_RULE_PROVIDER_DOWN, 3));
    for (size_t i = 1; i < held.counts[EZ_RULE_PROVIDER_DOWN]; i++)
        cr_assert_lt(held.entries[EZ_RULE_PROVIDER_DOWN][i - 1].id, held.entries[EZ_RULE_PROVIDER_DOWN][i].id);
}
