// SPDX-License-Identifier: Apache-2.0
//
// The directory against the plain model, and its digest against one that is computed anew.
#include <criterion/criterion.h>
#include <string.h>

#include "model.h"
#include "server/state/directory/apply.h"
#include "server/state/directory/entry.h"
#include "tests/support/expect.h"

static void put(ez_directory *directory, model_rows *model, int kind, int64_t id, model_row row, uint64_t revision) {
    ez_error error = EZ_ERROR_INIT;
    ez_arena arena;
    ez_arena_init(&arena, 1u << 20);
    ProtobufCMessage *message = model_message(kind, id, &row, &arena);
    uint8_t bytes[512];
    size_t len = protobuf_c_message_pack(message, bytes);
    ez_store_row stored = {.id = id, .revision = revision, .secret_version = revision % 3, .data = {bytes, len}};
    expect_ok(ez_directory_put_row(directory, kind, &stored, &error), &error);
    row.revision = revision;
    model->rows[kind][id] = row;
    ez_arena_fini(&arena);
}

static void check(const ez_directory *directory, const model_rows *model) {
    model_view view = {.directory = directory};
    ez_directory_enter();
    model_check(model, &view);
    uint8_t kept[32], anew[32];
    uint64_t kept_rows, rows;
    ez_directory_digest(directory, kept, &kept_rows);
    model_digest(directory, anew, &rows);
    ez_directory_leave();
    cr_assert_arr_eq(kept, anew, 32);
    cr_assert_eq(kept_rows, rows);
}

Test(directory, answers_as_the_model_does) {
    static model_rows model;
    ez_error error = EZ_ERROR_INIT;
    ez_directory *directory;
    expect_ok(ez_directory_create(1, NULL, &directory, &error), &error);
    model_init(&model);
    dice rng = {11};
    for (uint64_t step = 1; step <= 12000; step++) {
        int kind = 1 + (int)rng_below(&rng, EZ_KIND_COUNT - 1);
        int64_t id = 1 + rng_below(&rng, MODEL_IDS - 1);
        model_row row = model_random_row(kind, &rng);
        if (rng_below(&rng, 100) < (step / 3000 % 2 ? 60u : 25u)) {
            ez_directory_remove(directory, kind, id);
            model.rows[kind][id].is_there = false;
        } else if (!model_conflicts(&model, kind, id, &row)) {
            put(directory, &model, kind, id, row, step);
        }
        if (step % 400 == 0)
            check(directory, &model);
    }
    ez_directory_destroy(directory);
}

Test(directory, an_empty_one_has_an_empty_digest) {
    ez_error error = EZ_ERROR_INIT;
    ez_directory *directory;
    expect_ok(ez_directory_create(1, NULL, &directory, &error), &error);
    uint8_t digest[32], zero[32] = {0};
    uint64_t rows = 1;
    ez_directory_digest(directory, digest, &rows);
    cr_assert_eq(rows, 0);
    cr_assert_arr_eq(digest, zero, 32);
    cr_assert_null(ez_directory_next(directory, EZ__V1__KIND__KIND_KEY, 0, false));
    cr_assert_null(ez_directory_get(directory, 0, 1));
    cr_assert_null(ez_directory_get(directory, 99, 1));
    ez_directory_destroy(directory);
}

Test(directory, two_of_a_name_in_the_store_are_data_loss) {
    static model_rows model;
    ez_error error = EZ_ERROR_INIT;
    ez_directory *directory;
    expect_ok(ez_directory_create(1, NULL, &directory, &error), &error);
    model_init(&model);
    model_row row = {.is_there = true, .name = "name1"};
    put(directory, &model, EZ__V1__KIND__KIND_MASTER, 1, row, 1);
    uint8_t bytes[64];
    ez_arena arena;
    ez_arena_init(&arena, 4096);
    size_t len = protobuf_c_message_pack(model_message(EZ__V1__KIND__KIND_MASTER, 2, &row, &arena), bytes);
    ez_store_row stored = {.id = 2, .revision = 2, .data = {bytes, len}};
    expect_reason(EZ_DATA_LOSS, "STORE_INCONSISTENT",
                  ez_directory_put_row(directory, EZ__V1__KIND__KIND_MASTER, &stored, &error), &error);
    check(directory, &model);
    ez_arena_fini(&arena);
    ez_directory_destroy(directory);
}

// A reservation that is given back, as after a commit that failed, leaves no trace.
Test(directory, a_failed_commit_leaves_nothing) {
    static model_rows model;
    ez_error error = EZ_ERROR_INIT;
    ez_directory *directory;
    expect_ok(ez_directory_create(1, NULL, &directory, &error), &error);
    model_init(&model);
    ez_arena arena;
    ez_arena_init(&arena, 1u << 20);
    dice rng = {5};
    for (int64_t id = 1; id < 50; id++) {
        model_row row = model_random_row(EZ__V1__KIND__KIND_BINDING, &rng);
        uint8_t bytes[256];
        size_t len = protobuf_c_message_pack(model_message(EZ__V1__KIND__KIND_BINDING, id, &row, &arena), bytes);
        ez_entry *entry = ez_entry_create(EZ__V1__KIND__KIND_BINDING, id, 1, 0, len, (ez_slice){0});
        memcpy(ez_entry_bytes(entry), bytes, len);
        expect_ok(ez_directory_reserve(directory, entry, &error), &error);
        ez_directory_unreserve(directory, entry);
        ez_entry_destroy(entry);
    }
    check(directory, &model);
    ez_arena_fini(&arena);
    ez_directory_destroy(directory);
}
