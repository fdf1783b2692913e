// SPDX-License-Identifier: Apache-2.0
//
// ez_arena: alignment, the ceiling, what a reset keeps, and its use as protobuf-c's allocator.
#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#include "proto/runtime/arena.h"

Test(arena, gives_aligned_memory_that_does_not_overlap) {
    ez_arena arena;
    ez_arena_init(&arena, 1 << 20);
    char *places[200];
    for (int i = 0; i < 200; i++) {
        places[i] = ez_arena_alloc(&arena, (size_t)i * 7);
        cr_assert_not_null(places[i]);
        cr_assert_eq((uintptr_t)places[i] % 16, 0);
        memset(places[i], i, (size_t)i * 7);
    }
    for (int i = 0; i < 200; i++) {
        for (int j = 0; j < i * 7; j++)
            cr_assert_eq(places[i][j], (char)i);
    }
    ez_arena_fini(&arena);
}

Test(arena, refuses_past_its_ceiling_and_says_so) {
    ez_arena arena;
    ez_arena_init(&arena, 1024);
    cr_assert_not_null(ez_arena_alloc(&arena, 1008));
    cr_assert_not(arena.refused);
    cr_assert_null(ez_arena_alloc(&arena, 17));
    cr_assert(arena.refused);
    cr_assert_not_null(ez_arena_alloc(&arena, 16));
    cr_assert_null(ez_arena_alloc(&arena, 1));
    cr_assert_null(ez_arena_alloc(&arena, SIZE_MAX));
    cr_assert_null(ez_arena_alloc(&arena, SIZE_MAX - 8));
    cr_assert_null(ez_arena_strndup(&arena, "x", SIZE_MAX));
    ez_arena_reset(&arena);
    cr_assert_not(arena.refused);
    cr_assert_not_null(ez_arena_alloc(&arena, 1024));
    ez_arena_fini(&arena);
}

Test(arena, keeps_a_small_first_chunk_only) {
    ez_arena arena;
    ez_arena_init(&arena, 8 << 20);
    void *first = ez_arena_alloc(&arena, 10);
    for (int i = 0; i < 100; i++)
        cr_assert_not_null(ez_arena_alloc(&arena, 10000));
    ez_arena_reset(&arena);
    cr_assert_eq(arena.used, 0);
    cr_assert_eq(ez_arena_alloc(&arena, 10), first);
    ez_arena_fini(&arena);

    cr_assert_not_null(ez_arena_alloc(&arena, 1 << 20));
    ez_arena_reset(&arena);
    cr_assert_null(arena.chunks);
    ez_arena_fini(&arena);
}

Test(arena, copies_texts) {
    ez_arena arena;
    ez_arena_init(&arena, 4096);
    cr_assert_str_eq(ez_arena_strdup(&arena, "abc"), "abc");
    cr_assert_str_eq(ez_arena_strndup(&arena, "abcdef", 3), "abc");
    cr_assert_str_eq(ez_arena_strndup(&arena, NULL, 0), "");
    cr_assert_str_eq(ez_arena_printf(&arena, "%d-%s", 7, "x"), "7-x");
    const char *zero = ez_arena_zalloc(&arena, 100);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(zero[i], 0);
    cr_assert_arr_eq(ez_arena_memdup(&arena, "\1\2\0\3", 4), "\1\2\0\3", 4);
    ez_arena_fini(&arena);
}

Test(arena, may_be_moved_before_it_allocates_for_protobuf) {
    ez_arena first, second;
    ez_arena_init(&first, 4096);
    second = first;
    ProtobufCAllocator *allocator = ez_arena_allocator(&second);
    cr_assert_not_null(allocator->alloc(allocator->allocator_data, 100));
    cr_assert_eq(first.used, 0);
    cr_assert_gt(second.used, 0);
    ez_arena_fini(&second);
    ez_arena_fini(NULL);
}
