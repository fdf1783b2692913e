// SPDX-License-Identifier: Apache-2.0
//
// A data plane by libezplane against a real server: it follows changes of every kind to the same digest, says what it
// could not use, starts from its cache with nobody there, and holds back an answer that waits for it.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/support/plane.h"

static ez_world w;
static ez_plane plane, other;
static Ez__V1__DataPlane *edge, *far;

static void begin(void) {
    given_world(&w, NULL);
    edge = given_plane(&w.admin, "edge");
    far = given_plane(&w.admin, "far");
}

static void end(void) {
    end_world(&w);
}

TestSuite(plane, .init = begin, .fini = end);

static Ez__V1__DataPlane *seen(const Ez__V1__DataPlane *enrolled) {
    return ask(&w.admin, "DataPlanes/Get", "{'id':%" PRId64 "}", enrolled->id);
}

static bool is_live(const Ez__V1__DataPlane *enrolled) {
    return seen(enrolled)->state == EZ__V1__DATA_PLANE_STATE__DATA_PLANE_STATE_LIVE;
}

// One change of any kind, chosen by the dice; what it does to what is not there is refused, which is fine.
static void change_something(unsigned *dice, int64_t master_id) {
    long id = 1 + rand_r(dice) % 40;
    int n = rand_r(dice);
    ez_caller *a = &w.admin;
    a->next.max_retries = -1;
    switch (rand_r(dice) % 14) {
    case 0:
        try_call(a, NULL, "Masters/Create", "{'master':{'name':'m%d'}}", n);
        break;
    case 1:
        try_call(a, NULL, "Masters/Update", "{'id':%ld,'master':{'group':'g%d'}}", id % 5, n);
        break;
    case 2:
    case 3:
        try_call(a, NULL, "Keys/Create", "{'master_id':%" PRId64 ",'key':{'name':'k%d'}}", master_id, n);
        break;
    case 4:
        try_call(a, NULL, "Keys/Rotate", "{'id':%ld}", id);
        break;
    case 5:
        try_call(a, NULL, "Keys/Disable", "{'id':%ld}", id);
        break;
    case 6:
        try_call(a, NULL, "Keys/Delete", "{'id':%ld}", id);
        break;
    case 7:
        try_call(a, NULL, "Namespaces/Create", "{'namespace':{'name':'n%d'}}", n);
        break;
    case 8:
        try_call(a, NULL, "ProviderGroups/Create",
                 "{'provider_group':{'name':'g%d','type':'openai','models':['a','b%d']}}", n, n % 7);
        break;
    case 9:
        try_call(a, NULL, "ApiKeys/Create", "{'api_key':{'group_id':%ld,'name':'a','api_key':'secret-%d'}}", id % 6, n);
        break;
    case 10:
        try_call(a, NULL, "ApiKeys/Update", "{'id':%ld,'api_key':{'api_key':'secret-%d'}}", id % 9, n);
        break;
    case 11:
        try_call(a, NULL, "Bindings/Create", "{'binding':{'namespace':'default','public_model':'b%d','group_id':%ld}}",
                 n % 7, id % 6);
        break;
    case 12:
        try_call(a, NULL, "ProviderGroups/Delete", "{'id':%ld,'cascade':true}", id % 12);
        break;
    default:
        try_call(a, NULL, "ApiKeys/Ban", "{'id':%ld,'reason':'dice'}", id % 9);
    }
}

Test(plane, it_holds_what_the_server_holds_after_changes_of_every_kind) {
    given_follower(&plane, &w, edge->token, NULL);
    Ez__V1__Master *acme = given_master(&w.admin, "acme");
    unsigned dice = 20;
    for (int i = 0; i < 400; i++)
        change_something(&dice, acme->id);
    expect_agreement(&plane, &w);
    expect_soon(seen(edge)->digest_equal && seen(edge)->applied->n == revision_of(&w));
    ez_session_info info = plane_info(&plane);
    cr_assert_eq(info.rejected, 0);
    cr_assert_gt(info.pushed, 0, "it was pushed to, not only fetched");
    for (int kind = EZ__V1__KIND__KIND_MASTER; kind <= EZ__V1__KIND__KIND_BINDING; kind++)
        cr_assert_gt(plane_puts(&plane, (Ez__V1__Kind)kind), 0, "nothing of kind %d came", kind);
    end_follower(&plane);
    expect_soon(seen(edge)->state == EZ__V1__DATA_PLANE_STATE__DATA_PLANE_STATE_STOPPED);
}

Test(plane, a_secret_reaches_it_and_its_next_version_too) {
    given_follower(&plane, &w, edge->token, NULL);
    Ez__V1__ProviderGroup *group = given_group(&w.admin, "main", "'m'");
    Ez__V1__ApiKey *key = given_api_key(&w.admin, group->id, "one", "first-secret-of-one");
    expect_soon(plane_reached(&plane, revision_of(&w)));
    cr_assert_str_eq(plane.last_secret, "first-secret-of-one");
    ask(&w.admin, "ApiKeys/Update", "{'id':%" PRId64 ",'api_key':{'api_key':'second-secret-of-one'}}", key->id);
    expect_soon(plane_reached(&plane, revision_of(&w)));
    cr_assert_str_eq(plane.last_secret, "second-secret-of-one");
    expect_agreement(&plane, &w);
    end_follower(&plane);
}

Test(plane, what_it_rejects_shows_until_it_can_be_used) {
    given_picky_follower(&plane, &w, edge->token, "unloved");
    Ez__V1__Master *acme = given_master(&w.admin, "acme");
    Ez__V1__Key *key = given_key(&w.admin, acme->id, "unloved");
    expect_soon(seen(edge)->n_rejected == 1);
    Ez__V1__DataPlane *now = seen(edge);
    cr_assert_eq(now->rejected[0]->kind, EZ__V1__KIND__KIND_KEY);
    cr_assert_eq(now->rejected[0]->id, key->id);
    cr_assert_not_null(strstr(now->rejected[0]->reason, "does not take that name"));
    cr_assert_not(now->digest_equal);
    ask(&w.admin, "Keys/Update", "{'id':%" PRId64 ",'key':{'name':'loved'}}", key->id);
    expect_soon(seen(edge)->n_rejected == 0 && seen(edge)->digest_equal);
    end_follower(&plane);
}

Test(plane, it_starts_from_its_cache_with_the_server_away_and_catches_up) {
    char cache[EZ_TEST_PATH_MAX];
    given_folder(cache);
    Ez__V1__Master *acme = given_master(&w.admin, "acme");
    Ez__V1__ProviderGroup *group = given_group(&w.admin, "main", "'m'");
    given_api_key(&w.admin, group->id, "one", "cached-secret");
    for (int i = 0; i < 20; i++)
        given_key(&w.admin, acme->id, "k");
    given_follower(&plane, &w, edge->token, cache);
    expect_agreement(&plane, &w);
    ez_session_info before = plane_info(&plane);
    end_follower(&plane);
    kill_server(&w.server);
    given_follower(&plane, &w, edge->token, cache);
    ez_session_info cached = plane_info(&plane);
    cr_assert(plane.started_from_cache);
    cr_assert_eq(cached.rows, before.rows, "it serves with nobody there");
    cr_assert_eq(cached.at.n, before.at.n);
    cr_assert_eq(memcmp(cached.digest, before.digest, sizeof cached.digest), 0);
    cr_assert_eq(plane_puts(&plane, EZ__V1__KIND__KIND_KEY), 20);
    cr_assert_str_eq(plane.last_secret, "cached-secret");
    start_server(&w.server);
    await_answers(&w);
    given_key(&w.admin, acme->id, "while it was away");
    expect_agreement(&plane, &w);
    cr_assert_eq(plane_info(&plane).snapshots, 0, "a delta was enough");
    end_follower(&plane);
    remove_folder(cache);
}

// ---- Some kinds only

Test(plane, one_that_holds_keys_alone_is_not_told_that_it_drifts) {
    Ez__V1__Master *acme = given_master(&w.admin, "acme");
    given_key(&w.admin, acme->id, "k");
    given_key_follower(&plane, &w, edge->token);
    expect_soon(plane_reached(&plane, revision_of(&w)));
    given_namespace(&w.admin, "n");
    given_key(&w.admin, acme->id, "l");
    expect_soon(plane_reached(&plane, revision_of(&w)));
    cr_assert_eq(plane_info(&plane).rows, 2);
    cr_assert_eq(plane_puts(&plane, EZ__V1__KIND__KIND_NAMESPACE), 0);
    restart_server(&w.server);
    await_answers(&w);
    given_key(&w.admin, acme->id, "m");
    expect_soon(is_live(edge) && seen(edge)->applied->n == revision_of(&w));
    Ez__V1__DataPlane *now = seen(edge);
    cr_assert_eq(now->n_kinds, 1);
    cr_assert_eq(now->kinds[0], EZ__V1__KIND__KIND_KEY);
    cr_assert_not(now->digest_known);
    cr_assert_eq(plane_info(&plane).rows, 3);
    cr_assert_eq(plane_info(&plane).snapshots, 1);
    end_follower(&plane);
}

static Ez__V1__AckConfigResponse *report(ez_caller *mute) {
    uint64_t n = revision_of(&w);
    return ask(mute, "Config/Ack", "{'revision':{'epoch':%" PRIu64 ",'n':%" PRIu64 "},'digest':'%064d'}",
               w.admin.info.epoch, n, 0);
}

// The server knew it by what had been fetched, and forgot it with its sessions: after a restart the digest was compared
// and was not equal.
Test(plane, kinds_are_known_from_hello) {
    ez_caller mute = caller_with(&w, far->token);
    ask(&mute, "DataPlanes/Hello", "{'process_epoch':3,'kinds':['key','master']}");
    ask(&mute, "Config/Fetch", "{}");
    cr_assert_not(report(&mute)->digest_known, "what it fetches is its own affair");
    restart_server(&w.server);
    await_answers(&w);
    ask(&mute, "DataPlanes/Hello", "{'process_epoch':3,'kinds':['key','master']}");
    cr_assert_not(report(&mute)->digest_known);
    cr_assert_eq(seen(far)->n_kinds, 2);
    ask(&mute, "DataPlanes/Hello", "{'process_epoch':4,'keys_as_ids':true}");
    cr_assert_not(report(&mute)->digest_known);
    ask(&mute, "DataPlanes/Hello", "{'process_epoch':5}");
    cr_assert(report(&mute)->digest_known);
    cr_assert_not(report(&mute)->digest_equal);
    cr_assert(seen(far)->digest_known);
    cr_assert_eq(seen(far)->n_kinds, 0);
    ask(&mute, "Config/Fetch", "{'kinds':['key']}");
    cr_assert_not(report(&mute)->digest_known, "one that says nothing is known by what it fetches");
}

// ---- Waiting for the fleet

static void expect_applied(uint32_t planes, uint32_t of) {
    cr_assert_eq(w.admin.info.applied_planes, planes, "%u of %u", w.admin.info.applied_planes, w.admin.info.applied_of);
    cr_assert_eq(w.admin.info.applied_of, of, "%u of %u", w.admin.info.applied_planes, w.admin.info.applied_of);
}

Test(plane, a_change_that_waits_knows_who_has_it) {
    create_and_wait(&w, "nobody", 2000);
    expect_applied(0, 0);
    given_follower(&plane, &w, edge->token, NULL);
    given_follower(&other, &w, far->token, NULL);
    expect_soon(is_live(edge) && is_live(far));
    expect_soon(plane_reached(&plane, revision_of(&w)) && plane_reached(&other, revision_of(&w)));
    create_and_wait(&w, "both", 10000);
    expect_applied(2, 2);
    cr_assert(plane_was_given(&plane, w.admin.info.revision), "it has it when the answer is here");
    cr_assert(plane_was_given(&other, w.admin.info.revision));
    end_follower(&other);
    expect_soon(!is_live(far));
    create_and_wait(&w, "goodbye", 10000);
    expect_applied(1, 1);
    end_follower(&plane);
    w.admin.next.validate_only = true;
    w.admin.next.wait_applied = true;
    ask(&w.admin, "Namespaces/Create", "{'namespace':{'name':'dry'}}");
}

// One that follows and one that said Hello and is silent: waited for until the deadline, then no longer live.
Test(plane, a_silent_one_is_waited_for_and_then_given_up) {
    given_follower(&plane, &w, edge->token, NULL);
    ez_caller mute = caller_with(&w, far->token);
    expect_soon(is_live(edge) && plane_reached(&plane, revision_of(&w)));
    ask(&mute, "DataPlanes/Hello", "{'name':'far','process_epoch':3}");
    create_and_wait(&w, "late", 1500); // less than the silence after which one is lost
    expect_applied(1, 2);
    expect_soon(seen(far)->state == EZ__V1__DATA_PLANE_STATE__DATA_PLANE_STATE_LOST);
    create_and_wait(&w, "later", 10000);
    expect_applied(1, 1);
    ask(&mute, "DataPlanes/Hello", "{'name':'far','process_epoch':4}");
    ask(&mute, "DataPlanes/Goodbye", "{}");
    create_and_wait(&w, "gone", 10000);
    expect_applied(1, 1);
    end_follower(&plane);
}

// An acknowledgement of the future, or of another store, is none.
Test(plane, an_acknowledgement_is_checked) {
    ez_caller mute = caller_with(&w, far->token);
    expect_refused(&mute, EZ_FAILED_PRECONDITION, "NO_SESSION", "Config/Ack", "{'revision':{'epoch':1,'n':1}}");
    ask(&mute, "DataPlanes/Hello", "{'name':'far','process_epoch':3}");
    ask(&mute, "Config/Ack", "{'revision':{'epoch':1,'n':999999}}");
    create_and_wait(&w, "one", 1500);
    expect_applied(0, 1);
    ask(&mute, "Config/Ack", "{'revision':{'epoch':%" PRIu64 ",'n':%" PRIu64 "}}", w.admin.info.epoch,
        w.admin.info.revision + 100);
    create_and_wait(&w, "two", 1500);
    expect_applied(0, 1);
    Ez__V1__AckConfigResponse *reply = ask(&mute, "Config/Ack", "{'revision':{'epoch':%" PRIu64 ",'n':%" PRIu64 "}}",
                                           w.admin.info.epoch, w.admin.info.revision);
    cr_assert_not(reply->digest_equal);
    cr_assert_eq(seen(far)->applied->n, w.admin.info.revision);
}
