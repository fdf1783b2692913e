// SPDX-License-Identifier: Apache-2.0
//
// Two servers of one PostgreSQL store and one Redis: who holds the lease writes, nobody else; the next holder goes on
// where the one before was killed, and one that was asleep meanwhile writes nothing any more.
// Each server is a user of its own to Redis, which refuses the writes of one that has none to make, and notes them.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/sync.pb-c.h"
#include "ez/v1/system.pb-c.h"
#include "tests/fault/support/own_postgres.h"
#include "tests/integration/support/world.h"
#include "tests/support/redis.h"

static ez_world one, two;
static ez_test_redis redis;
static char urls[2][96];

#define says(...) redis_says(&redis, __VA_ARGS__)

static const char *const *env_of(int i) {
    static const char *env[2][4];
    snprintf(urls[i], sizeof urls[i], "EZ_REDIS_URL=redis://server%d:fake@127.0.0.1:%u/0", i, redis.port);
    env[i][0] = urls[i];
    env[i][1] = "EZ_LEASE_SECONDS=2";
    env[i][2] = "EZ_REDIS_PREFIX=t:";
    return env[i];
}

static void begin(void) {
    need_postgres();
    given_redis(&redis, NULL);
    for (int i = 0; i < 2; i++)
        says("ACL SETUSER server%d on >fake ~* &* +@all", i);
    given_world(&one, env_of(0));
    given_second_server(&two.server, &one.server);
    stop_server(&two.server);
    two.server.env = env_of(1);
    start_server(&two.server);
    given_callers(&two);
    await_answers(&two);
}

static void end(void) {
    end_world(&two);
    end_world(&one);
    end_redis(&redis);
}

static Ez__V1__SyncStatus *sync_of(ez_world *w) {
    return ask(&w->admin, "Sync/Get", "{}");
}

static bool is_even(ez_world *w) {
    char n[32];
    snprintf(n, sizeof n, "%" PRIu64, revision_of(w));
    return strcmp(says("HGET t:meta:ezplane revision"), n) == 0;
}

static const char *group_of(int64_t master_id) {
    return says("HGET t:auth:master:%" PRId64 " group", master_id);
}

static void set_group(ez_world *w, int64_t master_id, const char *group) {
    ask(&w->admin, "Masters/Update", "{'id':%" PRId64 ",'master':{'group':'%s'},'update_mask':['group']}", master_id,
        group);
}

// While the other server sleeps: where it was put to sleep within a transaction the store holds its locks for 5 s more,
// as long as a call waits.
static bool sets_group(ez_world *w, int64_t master_id, const char *group) {
    void *reply = NULL;
    return try_call(&w->admin, &reply, "Masters/Update",
                    "{'id':%" PRId64 ",'master':{'group':'%s'},'update_mask':['group']}", master_id, group) == EZ_OK;
}

// Redis refuses its writes from now on, and notes that there were any.
static void forbid_writes(int i) {
    says("ACL SETUSER server%d -multi -exec", i);
}

static bool has_tried_to_write(int i) {
    char user[16];
    snprintf(user, sizeof user, "server%d", i);
    return strstr(says("ACL LOG"), user) != NULL;
}

Test(peers_redis, the_holder_alone_writes_and_the_next_one_goes_on, .timeout = 120) {
    begin();
    cr_assert(holds_lease(&one, 1));
    int64_t id = given_master(&one.admin, "acme")->id;
    expect_soon(is_even(&one) && revision_of(&two) == revision_of(&one));
    forbid_writes(1);
    for (int i = 0; i < 5; i++) { // through either, the holder writes
        char group[16];
        snprintf(group, sizeof group, "g%d", i);
        set_group(i % 2 ? &one : &two, id, group);
        expect_soon(strcmp(group_of(id), group) == 0);
        expect_soon(revision_of(&two) == revision_of(&one));
    }
    cr_assert_not(has_tried_to_write(1), "who does not hold the lease writes");
    cr_assert(sync_of(&one)->is_writer && !sync_of(&two)->is_writer);
    kill_server(&one.server);
    set_group(&two, id, "orphan");
    int64_t late = given_master(&two.admin, "late")->id;
    expect_soon(holds_lease(&two, 2));
    expect_soon(has_tried_to_write(1)); // the one that holds it does
    says("ACL SETUSER server1 +multi +exec");
    expect_soon(is_even(&two));
    cr_assert_str_eq(group_of(id), "orphan");
    cr_assert_str_eq(says("HGET t:auth:master:%" PRId64 " name", late), "late");
    cr_assert_str_eq(says("HGET t:meta:ezplane fence"), "2");
    cr_assert(sync_of(&two)->is_writer);
    says("ACL LOG RESET");
    forbid_writes(0);
    start_server(&one.server);
    await_answers(&one);
    set_group(&one, id, "back");
    expect_soon(strcmp(group_of(id), "back") == 0);
    cr_assert_not(sync_of(&one)->is_writer);
    cr_assert_not(has_tried_to_write(0));
    end();
}

// The holder sleeps past its lease with changes before it that it has not written.
Test(peers_redis, one_that_was_asleep_past_its_lease_writes_nothing, .timeout = 120) {
    begin();
    cr_assert(holds_lease(&one, 1));
    int64_t id = given_master(&one.admin, "acme")->id;
    expect_soon(is_even(&one) && revision_of(&two) == revision_of(&one));
    signal_process(&one.server.process, SIGSTOP);
    expect_soon(sets_group(&two, id, "meanwhile"));
    expect_soon(holds_lease(&two, 2));
    expect_soon(is_even(&two));
    says("HSET t:auth:master:%" PRId64 " group by-hand", id); // who writes this row again is seen
    signal_process(&one.server.process, SIGCONT);
    expect_soon(revision_of(&one) == revision_of(&two));
    expect_soon(!sync_of(&one)->is_writer);
    cr_assert(holds_lease(&two, 2));
    int64_t next = given_master(&one.admin, "next")->id;
    expect_soon(strcmp(says("HGET t:auth:master:%" PRId64 " name", next), "next") == 0);
    cr_assert_str_eq(group_of(id), "by-hand");
    cr_assert_str_eq(says("HGET t:meta:ezplane fence"), "2");
    end();
}
