// SPDX-License-Identifier: Apache-2.0
//
// Bans that the server makes by itself: who is banned and who is not, what follows, and what is left when they end.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "server/state/directory/stamp.h"
#include "tests/unit/access/support/world.h"

#define ACTIVE   EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE
#define BANNED   EZ__V1__API_KEY_STATUS__API_KEY_STATUS_BANNED
#define NS_PER_S INT64_C(1000000000)

static world *w;
static ez_auto_ban *batch;
static int64_t group;

static void begin(void) {
    w = given_world();
    batch = calloc(1, sizeof *batch);
    batch->seconds = 600;
    group = given_group(w, "main", "'m'")->id;
}

static void end(void) {
    free(batch);
    end_world(w);
}

TestSuite(auto_ban, .init = begin, .fini = end);

static void condemn(int64_t id, int64_t judged_ns) {
    batch->items[batch->count++] =
        (ez_auto_ban_item){.api_key_id = id, .requests = 20, .errors = 15, .window_minutes = 5, .judged_ns = judged_ns};
}

// The change, run twice as where another server was faster.
static ez_status run_twice(void *self, ez_call *c, void *txn, ProtobufCMessage *request) {
    size_t mark = ez_txn_mark(txn);
    cr_assert_eq(ez_routing_auto_ban(self, c, txn, request), EZ_OK);
    ez_txn_rollback(txn, mark);
    return ez_routing_auto_ban(self, c, txn, request);
}

static void run(void) {
    ez_call *c;
    cr_assert_eq(ez_call_create_system("auto-ban", &c), EZ_OK);
    cr_assert_eq(ez_writer_run(w->writer, c, run_twice, batch, NULL, &w->error), EZ_OK, "%s", w->error.message);
    ez_call_destroy_system(c);
}

Test(auto_ban, takes_an_api_key_out_of_service_for_a_while) {
    int64_t id = given_api_key(w, group, "one")->id, other = given_api_key(w, group, "two")->id;
    int64_t before_ns = ez_clock_wall_ns();
    condemn(id, before_ns);
    run();
    Ez__V1__ApiKey *key = read_api_key(w, id);
    cr_assert_eq(key->status, BANNED);
    cr_assert(key->is_auto_banned);
    cr_assert_str_eq(key->ban_reason, "auto-ban: 15 of 20 requests failed within 5 minutes");
    cr_assert_eq(ez_stamp_ns(key->ban_until), batch->items[0].until_ns);
    cr_assert_geq(batch->items[0].until_ns, before_ns + 600 * NS_PER_S);
    cr_assert_leq(batch->items[0].until_ns, ez_clock_wall_ns() + 600 * NS_PER_S);
    cr_assert_eq(read_api_key(w, other)->status, ACTIVE);
    Ez__V1__ListAuditResponse *audit = expect_ok(w, "Audit/List", "{'page_size':1}");
    cr_assert_str_eq(audit->items[0]->actor, "system:auto-ban");
}

Test(auto_ban, leaves_alone_who_is_not_to_be_banned) {
    int64_t without = given_api_key(w, group, "one")->id, off = given_api_key(w, group, "two")->id;
    int64_t by_an_admin = given_api_key(w, group, "three")->id;
    expect_ok(w, "ApiKeys/Update", "{'id':%lld,'api_key':{'auto_ban':false},'update_mask':['auto_ban']}",
              (long long)without);
    expect_ok(w, "ApiKeys/Update", "{'id':%lld,'api_key':{'status':'disabled'}}", (long long)off);
    expect_ok(w, "ApiKeys/Ban", "{'id':%lld,'reason':'mine'}", (long long)by_an_admin);
    uint64_t head = head_of(w);
    condemn(without, ez_clock_wall_ns());
    condemn(off, ez_clock_wall_ns());
    condemn(by_an_admin, ez_clock_wall_ns());
    condemn(4711, ez_clock_wall_ns());
    run();
    cr_assert_eq(head_of(w), head, "nothing changed, and there is no revision");
    for (size_t i = 0; i < batch->count; i++)
        cr_assert_eq(batch->items[i].until_ns, 0);
    cr_assert_str_eq(read_api_key(w, by_an_admin)->ban_reason, "mine");
    cr_assert_not(read_api_key(w, by_an_admin)->is_auto_banned);
}

Test(auto_ban, an_admin_who_ends_the_ban_is_not_overruled_by_old_numbers) {
    int64_t id = given_api_key(w, group, "one")->id, judged_ns = ez_clock_wall_ns();
    condemn(id, judged_ns);
    run();
    Ez__V1__ApiKey *key = expect_ok(w, "ApiKeys/Unban", "{'id':%lld}", (long long)id);
    cr_assert_eq(key->status, ACTIVE);
    cr_assert_not(key->is_auto_banned);
    cr_assert(key->ban_ended_at && ez_stamp_ns(key->ban_ended_at) > judged_ns);
    run();
    cr_assert_eq(read_api_key(w, id)->status, ACTIVE);
    batch->items[0].judged_ns = ez_clock_wall_ns();
    run();
    cr_assert_eq(read_api_key(w, id)->status, BANNED, "by numbers of later");
    key = expect_ok(w, "ApiKeys/Update", "{'id':%lld,'api_key':{'status':'active'}}", (long long)id);
    cr_assert(key->status == ACTIVE && !key->is_auto_banned && key->ban_ended_at);
}

Test(auto_ban, bans_a_groups_last_api_key_and_its_bindings_follow) {
    int64_t id = given_api_key(w, group, "one")->id;
    Ez__V1__Binding *binding = given_binding(w, "m", group);
    cr_assert_eq(binding->error, EZ__V1__BINDING_ERROR__BINDING_ERROR_NONE);
    condemn(id, ez_clock_wall_ns());
    batch->seconds = 1;
    run();
    cr_assert_eq(read_binding(w, binding->id)->error, EZ__V1__BINDING_ERROR__BINDING_ERROR_NO_PROVIDER);
}
