// SPDX-License-Identifier: Apache-2.0
//
// Idempotency keys: a repeat gets the first answer, in the same group, later, and after a restart; another request
// under the key is refused; only successes are remembered.
#include <string.h>

#include "given.h"

static whole_state all;
static salvo volley_;

static void open_all(void) {
    given_state(&all);
}

static void close_all(void) {
    end_state(&all);
}

static ProtobufCMessage *naming(ez_call *call, const char *name) {
    Ez__V1__CreateMasterRequest *request = ez_arena_alloc(&call->arena, sizeof *request);
    ez__v1__create_master_request__init(request);
    request->master = ez_arena_alloc(&call->arena, sizeof *request->master);
    ez__v1__master__init(request->master);
    request->master->name = ez_arena_strdup(&call->arena, name);
    return &request->base;
}

static ez_call *given_keyed_call(const char *key) {
    ez_call *call = given_call("test");
    set_idempotency_key(call, key);
    return call;
}

static ez_status run(ez_call *call, ez_handler *handler, const char *name, ez_error *error) {
    return ez_writer_run(all.writer, call, handler, NULL, naming(call, name), error);
}

static size_t masters(void) {
    return ez_directory_count(all.directory, EZ__V1__KIND__KIND_MASTER);
}

static void expect_same_reply(const ez_call *one, const ez_call *two) {
    cr_assert_eq(one->reply.len, two->reply.len);
    cr_assert_arr_eq(one->reply.data, two->reply.data, one->reply.len);
    cr_assert(memmem(two->reply.data, two->reply.len, "ezm_just-made", 13), "the token is in the repeat, too");
}

Test(repeat, gets_the_first_answer, .init = open_all, .fini = close_all) {
    ez_error error = EZ_ERROR_INIT;
    ez_call *one = given_keyed_call("k1"), *two = given_keyed_call("k1"), *three = given_keyed_call("k1");
    expect_ok(run(one, create_master, "acme", &error), &error);
    expect_ok(run(two, create_master, "acme", &error), &error);
    expect_same_reply(one, two);
    restart_state(&all);
    expect_ok(run(three, create_master, "acme", &error), &error);
    expect_same_reply(one, three);
    cr_assert_eq(masters(), 1);
    cr_assert_eq(ez_feed_head(all.feed).n, 1);
    ez_call_destroy_system(one);
    ez_call_destroy_system(two);
    ez_call_destroy_system(three);
}

Test(repeat, of_another_request_is_refused, .init = open_all, .fini = close_all) {
    ez_error error = EZ_ERROR_INIT;
    ez_call *one = given_keyed_call("k1"), *two = given_keyed_call("k1"), *other = given_keyed_call("k1");
    expect_ok(run(one, create_master, "acme", &error), &error);
    expect_reason(EZ_INVALID_ARGUMENT, "IDEMPOTENCY_KEY_REUSED", run(two, create_master, "zenith", &error), &error);
    cr_assert_eq(masters(), 1);
    other->principal.id = 5; // somebody else's key of the same text
    expect_ok(run(other, create_master, "zenith", &error), &error);
    cr_assert_eq(masters(), 2);
    ez_call_destroy_system(one);
    ez_call_destroy_system(two);
    ez_call_destroy_system(other);
}

Test(repeat, a_failure_is_not_remembered, .init = open_all, .fini = close_all) {
    ez_error error = EZ_ERROR_INIT;
    ez_call *one = given_keyed_call("k1"), *two = given_keyed_call("k1");
    expect_code(EZ_FAILED_PRECONDITION, run(one, refuse, "acme", &error), &error);
    expect_ok(run(two, create_master, "acme", &error), &error);
    ez_call_destroy_system(one);
    ez_call_destroy_system(two);
}

Test(repeat, what_would_happen_is_not_remembered, .init = open_all, .fini = close_all) {
    ez_error error = EZ_ERROR_INIT;
    ez_call *one = given_keyed_call("k1"), *two = given_keyed_call("k1");
    one->header.validate_only = true;
    expect_ok(run(one, create_master, "acme", &error), &error);
    expect_ok(run(two, create_master, "acme", &error), &error);
    cr_assert_eq(masters(), 1);
    ez_call_destroy_system(one);
    ez_call_destroy_system(two);
}

Test(repeat, within_one_group_sees_the_first, .init = open_all, .fini = close_all) {
    ez_call *calls[5];
    volley_begin(&volley_, &all);
    for (int i = 0; i < 5; i++)
        calls[i] = given_keyed_call(i == 4 ? "k2" : "k1");
    volley_add(&volley_, calls[0], refuse, naming(calls[0], "acme"));
    volley_add(&volley_, calls[1], create_master, naming(calls[1], "acme"));
    volley_add(&volley_, calls[2], create_master, naming(calls[2], "acme"));
    volley_add(&volley_, calls[3], create_master, naming(calls[3], "zenith"));
    volley_add(&volley_, calls[4], create_master, naming(calls[4], "acme"));
    volley_fire(&volley_);
    cr_assert_eq(volley_.shots[0].write.status, EZ_FAILED_PRECONDITION);
    cr_assert_eq(volley_.shots[1].write.status, EZ_OK);
    cr_assert_eq(volley_.shots[2].write.status, EZ_OK);
    expect_same_reply(calls[1], calls[2]);
    cr_assert_eq(volley_.shots[2].write.revision.n, 1);
    cr_assert_eq(volley_.shots[3].write.status, EZ_INVALID_ARGUMENT);
    cr_assert_eq(volley_.shots[4].write.status, EZ_ALREADY_EXISTS);
    cr_assert_eq(masters(), 1);
    for (int i = 0; i < 5; i++)
        ez_call_destroy_system(calls[i]);
}

// It changes nothing, so it makes no revision; its answer is kept all the same.
Test(repeat, of_a_call_that_changed_nothing, .init = open_all, .fini = close_all) {
    ez_error error = EZ_ERROR_INIT;
    ez_call *one = given_keyed_call("k1"), *two = given_keyed_call("k1"), *three = given_keyed_call("k1");
    expect_ok(run(one, read_only, "acme", &error), &error);
    cr_assert_eq(ez_feed_head(all.feed).n, 0);
    expect_ok(run(three, refuse, "acme", &error), &error); // the kept answer: the handler is not asked
    expect_reason(EZ_INVALID_ARGUMENT, "IDEMPOTENCY_KEY_REUSED", run(two, read_only, "zenith", &error), &error);
    ez_call_destroy_system(one);
    ez_call_destroy_system(two);
    ez_call_destroy_system(three);
}
