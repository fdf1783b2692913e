// SPDX-License-Identifier: Apache-2.0
//
// The same change twice under one key: one change, one answer, the secret in it included, also after a restart.
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/support/world.h"

static ez_world w;

static void begin(void) {
    given_world(&w, NULL);
}

static void end(void) {
    end_world(&w);
}

TestSuite(idempotency, .init = begin, .fini = end);

static Ez__V1__Master *create_once(const char *key, const char *name) {
    w.admin.next.idempotency_key = key;
    return ask(&w.admin, "Masters/Create", "{'master':{'name':'%s'}}", name);
}

Test(idempotency, the_same_request_is_given_the_same_answer) {
    Ez__V1__Master *first = create_once("k-1", "acme");
    uint64_t made = w.admin.info.revision;
    uint64_t head = revision_of(&w);
    given_master(&w.admin, "in between");
    Ez__V1__Master *again = create_once("k-1", "acme");
    cr_assert_eq(again->id, first->id);
    cr_assert_str_eq(again->master_key, first->master_key, "the secret is part of the answer");
    cr_assert_eq(w.admin.info.revision, made);
    cr_assert_eq(revision_of(&w), head + 1);
    ez_caller tenant = caller_with(&w, again->master_key);
    ask(&tenant, "Self/Get", "{}");
}

Test(idempotency, another_request_under_the_same_key_is_refused) {
    create_once("k-1", "acme");
    w.admin.next.idempotency_key = "k-1";
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "IDEMPOTENCY_KEY_REUSED", "Masters/Create",
                   "{'master':{'name':'globex'}}");
    w.admin.next.idempotency_key = "k-1";
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "IDEMPOTENCY_KEY_REUSED", "Namespaces/Create",
                   "{'namespace':{'name':'acme'}}");
}

Test(idempotency, a_key_belongs_to_its_caller) {
    Ez__V1__Master *acme = given_master(&w.admin, "acme");
    Ez__V1__Master *globex = given_master(&w.admin, "globex");
    ez_caller one = caller_with(&w, acme->master_key), two = caller_with(&w, globex->master_key);
    one.next.idempotency_key = two.next.idempotency_key = "same";
    Ez__V1__Key *mine = ask(&one, "Self/CreateKey", "{'key':{'name':'k'}}");
    Ez__V1__Key *theirs = ask(&two, "Self/CreateKey", "{'key':{'name':'k'}}");
    cr_assert_neq(mine->id, theirs->id);
    cr_assert_str_neq(mine->token, theirs->token);
}

Test(idempotency, a_refused_change_leaves_the_key_free) {
    given_master(&w.admin, "acme");
    w.admin.next.idempotency_key = "k-1";
    expect_refused(&w.admin, EZ_ALREADY_EXISTS, NULL, "Masters/Create", "{'master':{'name':'acme'}}");
    ask(&w.admin, "Masters/Delete", "{'id':1}");
    Ez__V1__Master *made = create_once("k-1", "acme");
    cr_assert_str_eq(made->name, "acme");
}

Test(idempotency, answers_survive_a_kill_and_a_restart) {
    Ez__V1__Master *first = create_once("k-1", "acme");
    kill_server(&w.server);
    start_server(&w.server);
    await_answers(&w);
    Ez__V1__Master *again = create_once("k-1", "acme");
    cr_assert_eq(again->id, first->id);
    cr_assert_str_eq(again->master_key, first->master_key);
    restart_server(&w.server);
    await_answers(&w);
    again = create_once("k-1", "acme");
    cr_assert_str_eq(again->master_key, first->master_key);
    Ez__V1__ListMastersResponse *all = ask(&w.admin, "Masters/List", "{'with_total':true}");
    cr_assert_eq(all->total, 1);
}

// Eight at once, all with one key: the record may not be there yet when the second arrives.
typedef struct racer {
    pthread_t thread;
    ez_caller caller;
    int64_t id;
    ez_status status;
} racer;

static void *race(void *arg) {
    racer *me = arg;
    Ez__V1__CreateMasterRequest request = EZ__V1__CREATE_MASTER_REQUEST__INIT;
    Ez__V1__Master master = EZ__V1__MASTER__INIT, *reply = NULL;
    master.name = (char *)"raced";
    request.master = &master;
    ez_call_options options = {.idempotency_key = "race", .authorization = me->caller.token};
    me->status = ez_call_masters_create(me->caller.world->client, &request, &options, &reply, &me->caller.error);
    if (me->status == EZ_OK) {
        me->id = reply->id;
        ez__v1__master__free_unpacked(reply, NULL);
    }
    return NULL;
}

Test(idempotency, of_many_at_once_one_is_done) {
    racer racers[8];
    for (size_t i = 0; i < 8; i++) {
        racers[i] = (racer){.caller = w.admin};
        cr_assert_eq(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    for (size_t i = 0; i < 8; i++)
        pthread_join(racers[i].thread, NULL);
    for (size_t i = 0; i < 8; i++) {
        expect_ok(racers[i].status, &racers[i].caller.error);
        cr_assert_eq(racers[i].id, racers[0].id);
    }
    Ez__V1__ListMastersResponse *all = ask(&w.admin, "Masters/List", "{'with_total':true}");
    cr_assert_eq(all->total, 1);
}
