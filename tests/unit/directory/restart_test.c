// SPDX-License-Identifier: Apache-2.0
//
// What a restart finds: the same rows, digest, feed and ids; secrets that still open, and only in their place.
#include <stdio.h>
#include <string.h>

#include "ez/v1/api_key.pb-c.h"
#include "given.h"
#include "proto/crypto/digest.h"

static whole_state all;

static void open_all(void) {
    given_state(&all);
}

static void close_all(void) {
    end_state(&all);
}

static bool count_change(void *user, int kind, int64_t id, int op, uint64_t secret_version, ez_slice encoded) {
    (void)kind;
    (void)id;
    (void)op;
    (void)secret_version;
    (void)encoded;
    ++*(size_t *)user;
    return true;
}

static size_t changes_since(uint64_t n) {
    ez_error error = EZ_ERROR_INIT;
    ez_feed_cursor cursor = {n, 0};
    size_t count = 0;
    bool done;
    expect_ok(ez_feed_read(all.feed, &cursor, ez_feed_head(all.feed).n, count_change, &count, &done, &error), &error);
    cr_assert(done);
    return count;
}

static ez_status delete_second(void *self, ez_call *call, void *scene, ProtobufCMessage *request) {
    (void)self;
    (void)request;
    return ez_txn_delete(scene, EZ__V1__KIND__KIND_MASTER, 2, &call->error);
}

Test(restart, finds_everything_again, .init = open_all, .fini = close_all) {
    ez_error error = EZ_ERROR_INIT;
    uint8_t before[32], after[32], known[32];
    uint64_t rows;
    given_master(&all, "a");
    given_master(&all, "b");
    given_master(&all, "c");
    ez_call *call = given_call("test");
    expect_ok(ez_writer_run(all.writer, call, delete_second, NULL, NULL, &error), &error);
    ez_call_destroy_system(call);
    ez_directory_digest(all.directory, before, &rows);
    cr_assert_eq(rows, 2);
    restart_state(&all);
    ez_directory_digest(all.directory, after, &rows);
    cr_assert_eq(rows, 2);
    cr_assert_arr_eq(before, after, 32);
    cr_assert(ez_feed_digest(all.feed, 4, known), "the head's digest is known from the start");
    cr_assert_arr_eq(before, known, 32);
    cr_assert_eq(ez_feed_head(all.feed).n, 4);
    cr_assert_eq(ez_feed_oldest(all.feed), 0);
    cr_assert_eq(changes_since(0), 4);
    cr_assert_eq(changes_since(3), 1);
    cr_assert_eq(given_master(&all, "d"), 4, "ids are never given twice");
}

static ez_status put_api_key(void *self, ez_call *call, void *scene, ProtobufCMessage *request) {
    (void)request;
    Ez__V1__ApiKeySecret secret = EZ__V1__API_KEY_SECRET__INIT;
    secret.api_key = self;
    Ez__V1__ApiKey fresh = EZ__V1__API_KEY__INIT;
    Ez__V1__ApiKey *api_key = &fresh;
    const ez_entry *there = ez_txn_get(scene, EZ__V1__KIND__KIND_API_KEY, 1);
    if (there)
        api_key = (Ez__V1__ApiKey *)ez_entry_unpack(there, ez_txn_arena(scene));
    api_key->group_id = 3;
    api_key->api_key = self;
    return self ? ez_txn_put_secret(scene, api_key, &secret, &call->error)
                : ez_txn_put(scene, EZ__V1__KIND__KIND_API_KEY, &api_key->base, &call->error);
}

static void put_with(const char *secret) {
    ez_error error = EZ_ERROR_INIT;
    ez_call *call = given_call("test");
    expect_ok(ez_writer_run(all.writer, call, put_api_key, (void *)secret, NULL, &error), &error);
    ez_call_destroy_system(call);
}

static void expect_secret(const char *wanted, uint64_t version) {
    ez_error error = EZ_ERROR_INIT;
    ez_arena arena;
    Ez__V1__ApiKeySecret *secret;
    ez_arena_init(&arena, 1u << 20);
    ez_directory_enter();
    const ez_entry *entry = ez_directory_get(all.directory, EZ__V1__KIND__KIND_API_KEY, 1);
    ez_slice data = ez_entry_data(entry);
    cr_assert_null(memmem(data.data, data.len, wanted, strlen(wanted)));
    cr_assert_eq(ez_entry_secret_version(entry), version);
    expect_ok(ez_directory_unseal(all.directory, entry, &arena, &secret, &error), &error);
    cr_assert_str_eq(secret->api_key, wanted);
    Ez__V1__ApiKey *api_key = (Ez__V1__ApiKey *)ez_entry_unpack(entry, &arena);
    cr_assert_eq(api_key->secret_version, version);
    cr_assert_str_empty(api_key->api_key);
    ez_directory_leave();
    ez_arena_fini(&arena);
}

Test(restart, a_secret_opens_again_and_stays_with_other_changes, .init = open_all, .fini = close_all) {
    put_with("upstream-secret-one");
    expect_secret("upstream-secret-one", 1);
    put_with(NULL);
    expect_secret("upstream-secret-one", 1);
    restart_state(&all);
    expect_secret("upstream-secret-one", 1);
    put_with("upstream-secret-two");
    expect_secret("upstream-secret-two", 2);
    ez_directory_enter();
    cr_assert_eq(ez_directory_member_count(all.directory, EZ_INDEX_API_KEY_BY_GROUP, ez_index_id(3)), 1);
    ez_directory_leave();
}
