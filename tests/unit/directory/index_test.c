// SPDX-License-Identifier: Apache-2.0
//
// Composite keys, and what looks like one but is none.
#include <criterion/criterion.h>
#include <string.h>

#include "server/state/directory/index.h"

Test(index, a_binding_s_key_comes_apart_as_it_was_made) {
    ez_arena arena;
    ez_arena_init(&arena, 4096);
    ez_index_value value;
    cr_assert(
        ez_index_of_key(EZ_INDEX_BINDING_IDENTITY, ez_index_binding("ns", "m.1", 0x0102030405060708, &arena), &value));
    cr_assert_eq(value.a.len, 2);
    cr_assert_arr_eq(value.a.data, "ns", 2);
    cr_assert_eq(value.b.len, 3);
    cr_assert_arr_eq(value.b.data, "m.1", 3);
    cr_assert_eq(value.id, 0x0102030405060708);
    cr_assert(ez_index_of_key(EZ_INDEX_BINDING_BY_MODEL, ez_index_model("ns", "", &arena), &value));
    cr_assert_eq(value.b.len, 0);
    ez_arena_fini(&arena);
}

Test(index, finds_nothing_by_a_key_that_was_not_made) {
    ez_arena full;
    ez_arena_init(&full, 0);
    ez_index_value value;
    cr_assert_not(ez_index_of_key(EZ_INDEX_BINDING_BY_MODEL, ez_index_model("ns", "m", &full), &value));
    cr_assert_not(ez_index_of_key(EZ_INDEX_BINDING_IDENTITY, ez_index_binding("ns", "m", 1, &full), &value));
    cr_assert_not(ez_index_of_key(EZ_INDEX_BINDING_IDENTITY, ez_index_text("no NUL"), &value));
    cr_assert_not(ez_index_of_key(EZ_INDEX_BINDING_IDENTITY, ez_index_bytes("a\0b", 3), &value));
    cr_assert_not(ez_index_of_key(EZ_INDEX_MASTER_NAME, ez_index_text(""), &value));
    cr_assert_not(ez_index_of_key(EZ_INDEX_KEY_BY_MASTER, ez_index_id(0), &value));
    ez_arena_fini(&full);
}

Test(index, a_hash_tells_parts_apart) {
    ez_hash_seed seed = {1, 2};
    ez_index_value one = {.a = {(const uint8_t *)"ab", 2}, .b = {(const uint8_t *)"c", 1}};
    ez_index_value two = {.a = {(const uint8_t *)"a", 1}, .b = {(const uint8_t *)"bc", 2}};
    cr_assert_neq(ez_index_hash(&seed, EZ_INDEX_BINDING_BY_MODEL, &one),
                  ez_index_hash(&seed, EZ_INDEX_BINDING_BY_MODEL, &two));
    cr_assert_not(ez_index_equal(&one, &two));
    ez_index_value three = {.id = 1}, four = {.id = 2};
    cr_assert_neq(ez_index_hash(&seed, EZ_INDEX_KEY_BY_MASTER, &three),
                  ez_index_hash(&seed, EZ_INDEX_KEY_BY_MASTER, &four));
}
