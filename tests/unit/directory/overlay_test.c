// SPDX-License-Identifier: Apache-2.0
//
// Transactions over a directory against the plain model: what they see of themselves, of those before them in the
// group, and of nothing after a rollback.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/key.pb-c.h"
#include "ez/v1/master.pb-c.h"
#include "model.h"
#include "server/state/directory/apply.h"
#include "server/state/directory/txn_begin.h"
#include "tests/support/expect.h"

typedef struct txn_scene {
    ez_directory *directory;
    ez_overlay *overlay;
    ez_call call;
    ez_txn txn;
} txn_scene;

static void given_scene(txn_scene *scene) {
    ez_error error = EZ_ERROR_INIT;
    memset(scene, 0, sizeof *scene);
    expect_ok(ez_directory_create(1, NULL, &scene->directory, &error), &error);
    expect_ok(ez_overlay_create(scene->directory, &scene->overlay, &error), &error);
    ez_arena_init(&scene->call.arena, 512u << 20);
}

static void end_scene(txn_scene *scene) {
    ez_overlay_destroy(scene->overlay);
    ez_directory_destroy(scene->directory);
    ez_arena_fini(&scene->call.arena);
}

static void begin(txn_scene *scene, uint64_t n) {
    scene->txn = (ez_txn){.overlay = scene->overlay,
                          .call = &scene->call,
                          .begin = ez_overlay_count(scene->overlay),
                          .epoch = 1,
                          .n = n,
                          .now_ns = 1700000000000000000 + (int64_t)n};
}

// As the writer does after the store said OK.
static void commit(txn_scene *scene) {
    ez_error error = EZ_ERROR_INIT;
    size_t count = ez_overlay_count(scene->overlay);
    for (size_t i = 0; i < count; i++) {
        ez_overlay_record *record = ez_overlay_at(scene->overlay, i);
        if (record->entry)
            expect_ok(ez_directory_reserve(scene->directory, record->entry, &error), &error);
    }
    for (size_t i = 0; i < count; i++) {
        ez_overlay_record *record = ez_overlay_at(scene->overlay, i);
        if (record->entry)
            ez_directory_put(scene->directory, record->entry);
        else
            ez_directory_remove(scene->directory, record->kind, record->id);
        record->entry = NULL;
    }
}

static void change_at_random(txn_scene *scene, model_rows *model, dice *rng) {
    ez_error error = EZ_ERROR_INIT;
    int kind = 1 + (int)rng_below(rng, EZ_KIND_COUNT - 1);
    int64_t id = 1 + rng_below(rng, (unsigned)model->next_id[kind]);
    model_row *there = &model->rows[kind][id];
    unsigned chance = rng_below(rng, 100);
    if (chance < 35) {
        ez_status status = ez_txn_delete(&scene->txn, kind, id, &error);
        expect_code(there->is_there ? EZ_OK : EZ_NOT_FOUND, status, &error);
        there->is_there = false;
        return;
    }
    model_row row = model_random_row(kind, rng);
    row.revision = scene->txn.n;
    bool is_new = chance < 70;
    if (is_new && model->next_id[kind] == MODEL_IDS)
        return;
    int64_t wanted = is_new ? model->next_id[kind] : id;
    ProtobufCMessage *message = model_message(kind, is_new ? 0 : id, &row, &scene->call.arena);
    ez_status status = ez_txn_put(&scene->txn, kind, message, &error);
    if (!is_new && !there->is_there) {
        expect_code(EZ_NOT_FOUND, status, &error);
    } else if (model_conflicts(model, kind, wanted, &row)) {
        expect_code(EZ_ALREADY_EXISTS, status, &error);
    } else {
        expect_ok(status, &error);
        model->rows[kind][wanted] = row;
        model->next_id[kind] += is_new;
    }
}

Test(overlay, sees_what_the_model_sees) {
    static txn_scene scene;
    static model_rows model, before;
    given_scene(&scene);
    model_init(&model);
    dice rng = {23};
    uint64_t n = 0;
    for (int group = 0; group < 60; group++) {
        ez_overlay_begin(scene.overlay, model.next_id);
        for (unsigned txns = 1 + rng_below(&rng, 3); txns > 0; txns--) {
            before = model;
            begin(&scene, ++n);
            for (unsigned changes = rng_below(&rng, 30); changes > 0; changes--)
                change_at_random(&scene, &model, &rng);
            model_view own = {.txn = &scene.txn};
            model_check(&model, &own);
            if (rng_below(&rng, 3) > 0)
                continue;
            ez_txn_rollback(&scene.txn, scene.txn.begin);
            model = before;
            model_check(&model, &own);
        }
        for (int kind = 1; kind < EZ_KIND_COUNT; kind++)
            cr_assert_eq(ez_overlay_next_id(scene.overlay, kind), model.next_id[kind], "ids of a rollback come back");
        commit(&scene);
        ez_overlay_clear(scene.overlay);
        model_view view = {.directory = scene.directory};
        model_check(&model, &view);
        ez_arena_reset(&scene.call.arena);
    }
    end_scene(&scene);
}

static int64_t put_key(txn_scene *scene, int64_t master_id, unsigned number) {
    ez_error error = EZ_ERROR_INIT;
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    uint8_t token[32] = {0};
    memcpy(token, &number, sizeof number);
    key.master_id = master_id;
    key.token_sha256 = (ProtobufCBinaryData){32, token};
    expect_ok(ez_txn_put(&scene->txn, EZ__V1__KIND__KIND_KEY, &key.base, &error), &error);
    return key.id;
}

static const int64_t first_ids[EZ_KIND_COUNT] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

// Deleting a master's keys one by one, always asking for the first that is left: no step may cost a walk over those
// that are gone. With a walk this takes minutes, so the test's own time limit is what fails it.
Test(overlay, a_quarter_of_a_million_deletes_in_one_transaction, .timeout = 100) {
    enum { KEYS = 250000 };
    static txn_scene scene;
    ez_error error = EZ_ERROR_INIT;
    given_scene(&scene);
    ez_overlay_begin(scene.overlay, first_ids);
    begin(&scene, 1);
    for (unsigned i = 0; i < KEYS; i++)
        put_key(&scene, 1, i);
    Ez__V1__Key one_more = EZ__V1__KEY__INIT;
    expect_reason(EZ_RESOURCE_EXHAUSTED, "CHANGE_TOO_LARGE",
                  ez_txn_put(&scene.txn, EZ__V1__KIND__KIND_KEY, &one_more.base, &error), &error);
    commit(&scene);
    ez_overlay_begin(scene.overlay, first_ids);
    begin(&scene, 2);
    size_t deleted = 0;
    const ez_entry *entry;
    while ((entry = ez_txn_member(&scene.txn, EZ_INDEX_KEY_BY_MASTER, ez_index_id(1), 0))) {
        expect_ok(ez_txn_delete(&scene.txn, EZ__V1__KIND__KIND_KEY, ez_entry_id(entry), &error), &error);
        deleted++;
    }
    cr_assert_eq(deleted, KEYS);
    cr_assert_eq(ez_txn_member_count(&scene.txn, EZ_INDEX_KEY_BY_MASTER, ez_index_id(1)), 0);
    cr_assert_null(ez_txn_next(&scene.txn, EZ__V1__KIND__KIND_KEY, 0));
    ez_txn_rollback(&scene.txn, 0);
    cr_assert_eq(ez_txn_member_count(&scene.txn, EZ_INDEX_KEY_BY_MASTER, ez_index_id(1)), KEYS);
    cr_assert_eq(ez_entry_id(ez_txn_member(&scene.txn, EZ_INDEX_KEY_BY_MASTER, ez_index_id(1), 0)), 1);
    end_scene(&scene);
}

Test(overlay, a_batch_item_that_fails_leaves_the_others) {
    static txn_scene scene;
    ez_error error = EZ_ERROR_INIT;
    given_scene(&scene);
    ez_overlay_begin(scene.overlay, first_ids);
    begin(&scene, 1);
    cr_assert_eq(put_key(&scene, 1, 1), 1);
    size_t mark = ez_txn_mark(&scene.txn);
    cr_assert_eq(put_key(&scene, 1, 2), 2);
    expect_ok(ez_txn_delete(&scene.txn, EZ__V1__KIND__KIND_KEY, 1, &error), &error);
    ez_txn_rollback(&scene.txn, mark);
    cr_assert(ez_txn_get(&scene.txn, EZ__V1__KIND__KIND_KEY, 1));
    cr_assert_null(ez_txn_get(&scene.txn, EZ__V1__KIND__KIND_KEY, 2));
    cr_assert_eq(put_key(&scene, 1, 3), 2, "the id of what was undone is given again");
    char subject[EZ_SUBJECT_MAX];
    ez_txn_subject_text(&scene.txn, subject);
    cr_assert_str_eq(subject, "key:1");
    ez_txn_rollback(&scene.txn, 0);
    ez_txn_subject_text(&scene.txn, subject);
    cr_assert_str_eq(subject, "", "nothing is left to name");
    end_scene(&scene);
}

Test(overlay, a_name_may_go_round_within_a_transaction) {
    static txn_scene scene;
    ez_error error = EZ_ERROR_INIT;
    given_scene(&scene);
    ez_overlay_begin(scene.overlay, first_ids);
    begin(&scene, 1);
    Ez__V1__Master one = EZ__V1__MASTER__INIT, two = EZ__V1__MASTER__INIT;
    one.name = (char *)"a";
    two.name = (char *)"b";
    expect_ok(ez_txn_put(&scene.txn, 1, &one.base, &error), &error);
    expect_ok(ez_txn_put(&scene.txn, 1, &two.base, &error), &error);
    two.name = (char *)"a";
    expect_reason(EZ_ALREADY_EXISTS, "NAME_TAKEN", ez_txn_put(&scene.txn, 1, &two.base, &error), &error);
    one.name = (char *)"c";
    expect_ok(ez_txn_put(&scene.txn, 1, &one.base, &error), &error);
    expect_ok(ez_txn_put(&scene.txn, 1, &two.base, &error), &error);
    one.name = (char *)"b";
    expect_ok(ez_txn_put(&scene.txn, 1, &one.base, &error), &error);
    commit(&scene);
    cr_assert_eq(ez_entry_id(ez_directory_find(scene.directory, EZ_INDEX_MASTER_NAME, ez_index_text("a"))), 2);
    cr_assert_eq(ez_entry_id(ez_directory_find(scene.directory, EZ_INDEX_MASTER_NAME, ez_index_text("b"))), 1);
    cr_assert_null(ez_directory_find(scene.directory, EZ_INDEX_MASTER_NAME, ez_index_text("c")));
    end_scene(&scene);
}

Test(overlay, what_is_kept_has_no_secret_and_all_its_stamps) {
    static txn_scene scene;
    ez_error error = EZ_ERROR_INIT;
    given_scene(&scene);
    ez_overlay_begin(scene.overlay, first_ids);
    begin(&scene, 5);
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    key.token = (char *)"sk-not-to-be-kept";
    key.name = (char *)"mine";
    expect_ok(ez_txn_put(&scene.txn, EZ__V1__KIND__KIND_KEY, &key.base, &error), &error);
    cr_assert_str_eq(key.token, "sk-not-to-be-kept", "the caller's message keeps it");
    cr_assert_eq(key.revision, 5);
    cr_assert_eq(key.created_at->seconds, 1700000000);
    cr_assert_eq(key.created_at->nanos, 5);
    const ez_entry *entry = ez_txn_get(&scene.txn, EZ__V1__KIND__KIND_KEY, key.id);
    ez_slice data = ez_entry_data(entry);
    cr_assert_null(memmem(data.data, data.len, "sk-not", 6));
    Ez__V1__Key *kept = (Ez__V1__Key *)ez_entry_unpack(entry, &scene.call.arena);
    cr_assert_eq(kept->revision, 5);
    cr_assert_eq(kept->id, key.id);
    cr_assert_str_eq(kept->name, "mine");
    end_scene(&scene);
}
