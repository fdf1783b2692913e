// SPDX-License-Identifier: Apache-2.0
//
// What handlers share (server/state/directory: edit, few, stamp): names in errors, times past what nanoseconds hold,
// and a deadline that passes while a change is made.
#include "server/state/directory/edit.h"

#include <criterion/criterion.h>
#include <string.h>

#include "proto/runtime/utf8.h"
#include "proto/runtime/wire.h"
#include "server/state/directory/few.h"
#include "server/state/directory/stamp.h"
#include "tests/unit/access/support/world.h"

Test(few, names_five_and_counts_the_rest) {
    ez_few few = {0};
    cr_assert_str_eq(ez_few_text(&few), "");
    ez_few_add(&few, 3, "web", 3);
    ez_few_add(&few, 7, NULL, 0);
    ez_few_add(&few, 0, "name only", 9);
    cr_assert_str_eq(ez_few_text(&few), "3 (web), 7, name only");
    for (int i = 0; i < 12; i++)
        ez_few_add(&few, 100 + i, "", 0);
    cr_assert_str_eq(ez_few_text(&few), "3 (web), 7, name only, 100, 101 and 10 more");
    cr_assert_eq(few.count, 15);
}

Test(few, long_names_are_cut_between_characters_and_fit) {
    ez_few few = {0};
    char name[256];
    for (size_t i = 0; i + 3 < sizeof name; i += 3)
        memcpy(name + i, "模", 3);
    for (int i = 0; i < 1000; i++)
        ez_few_add(&few, INT64_MIN, name, 255);
    const char *text = ez_few_text(&few);
    cr_assert(ez_utf8_is_valid(text, strlen(text)));
    cr_assert_not_null(strstr(text, "and 995 more"));
    cr_assert_lt(strlen(text), sizeof few.text);
}

Test(stamp, goes_both_ways_and_saturates) {
    ez_arena arena;
    ez_arena_init(&arena, 65536);
    static const int64_t times[] = {0, 1, -1, 1700000000123456789, -1700000000123456789};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        Google__Protobuf__Timestamp *stamp = ez_stamp_make(times[i], &arena);
        cr_assert_not_null(stamp);
        cr_assert(stamp->nanos >= 0 && stamp->nanos < 1000000000);
        cr_assert_eq(ez_stamp_ns(stamp), times[i]);
        uint8_t packed[32];
        size_t len = google__protobuf__timestamp__pack(stamp, packed);
        cr_assert_eq(ez_stamp_read((ez_slice){packed, len}), times[i]);
    }
    Google__Protobuf__Timestamp far = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    far.seconds = 253402300799; // the end of 9999
    cr_assert_eq(ez_stamp_ns(&far), INT64_MAX);
    cr_assert_not(ez_stamp_has_passed(&far, INT64_MAX - 1));
    far.seconds = -far.seconds;
    cr_assert_eq(ez_stamp_ns(&far), INT64_MIN);
    cr_assert_not(ez_stamp_has_passed(NULL, INT64_MAX));
    ez_arena_fini(&arena);
}

static ez_status run_late(void *self, ez_call *c, void *scene, ProtobufCMessage *request) {
    (void)request;
    c->deadline_ns = *(uint64_t *)self;
    ez_status status = ez_txn_check_deadline(scene, &c->error);
    return status == EZ_OK ? ez_call_reply_bytes(c, "", 0) : status;
}

static ez_status run_with_deadline(world *w, uint64_t deadline_ns) {
    Ez__V1__Empty nothing = EZ__V1__EMPTY__INIT;
    ez_call *c;
    cr_assert_eq(ez_call_create_system("test", &c), EZ_OK);
    ez_status status = ez_writer_run(w->writer, c, run_late, &deadline_ns, &nothing.base, &w->error);
    ez_call_destroy_system(c);
    return status;
}

Test(edit, a_deadline_that_passes_gives_the_change_up) {
    world *w = given_world();
    cr_assert_eq(run_with_deadline(w, 0), EZ_OK);
    cr_assert_eq(run_with_deadline(w, UINT64_MAX), EZ_OK);
    cr_assert_eq(run_with_deadline(w, 1), EZ_DEADLINE_EXCEEDED);
    cr_assert_str_eq(w->error.reason, "DEADLINE_EXCEEDED");
    end_world(w);
}

// ---- What points to a resource

enum { KEY_NAME = 3 };

static ez_status name_members(void *self, ez_call *c, void *scene, ProtobufCMessage *request) {
    (void)request;
    ez_few few = ez_txn_few_members(scene, EZ_INDEX_KEY_BY_MASTER, ez_index_id(*(int64_t *)self), KEY_NAME);
    const char *text = ez_few_text(&few);
    return ez_call_reply_bytes(c, text, strlen(text) + 1);
}

static ez_status delete_members(void *self, ez_call *c, void *scene, ProtobufCMessage *request) {
    (void)request;
    ez_index_key key = ez_index_id(*(int64_t *)self);
    ez_status status = ez_txn_delete_members(scene, EZ_INDEX_KEY_BY_MASTER, key, &c->error);
    cr_assert_eq(ez_txn_member_count(scene, EZ_INDEX_KEY_BY_MASTER, key), 0);
    return status == EZ_OK ? ez_call_reply_bytes(c, "", 1) : status;
}

static void run_on(world *w, ez_handler *run, int64_t master_id, const char *wanted) {
    Ez__V1__Empty nothing = EZ__V1__EMPTY__INIT;
    ez_call *c;
    cr_assert_eq(ez_call_create_system("test", &c), EZ_OK);
    ez_error_clear(&w->error);
    cr_assert_eq(ez_writer_run(w->writer, c, run, &master_id, &nothing.base, &w->error), EZ_OK, "%s", w->error.message);
    cr_assert_str_eq((const char *)c->reply.data, wanted);
    ez_call_destroy_system(c);
}

Test(edit, members_are_named_and_deleted) {
    world *w = given_world();
    Ez__V1__Master *acme = given_master(w, "acme"), *other = given_master(w, "other");
    expect_ok(w, "Masters/Update", "{'id':%lld,'master':{'max_child_keys':9}}", (long long)acme->id);
    run_on(w, name_members, acme->id, "");
    const char *const names[] = {"a", "b", "c", "d", "e", "f", "g"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        given_key(w, acme->id, names[i]);
    Ez__V1__Key *kept = given_key(w, other->id, "kept");
    run_on(w, name_members, acme->id, "1 (a), 2 (b), 3 (c), 4 (d), 5 (e) and 2 more");
    uint64_t head = head_of(w);
    run_on(w, delete_members, acme->id, "");
    cr_assert_eq(head_of(w), head + 1);
    Ez__V1__ListKeysResponse *list = expect_ok(w, "Keys/List", "{}");
    cr_assert_eq(list->n_items, 1);
    cr_assert_eq(list->items[0]->id, kept->id);
    end_world(w);
}
