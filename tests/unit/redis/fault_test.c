// SPDX-License-Identifier: Apache-2.0
//
// Fault 48 and its kin, against a real redis-server: whatever happens to it, configuration goes on, and once Redis is
// well again it has everything and nothing else.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/state/directory/txn.h"
#include "tests/unit/redis/support/edge.h"

static edge e;

static void end(void) {
    end_edge(&e);
}

static void begin(void) {
    given_edge(&e, NULL);
}

TestSuite(redis_fault, .init = begin, .fini = end);
TestSuite(redis_login, .fini = end);

#define says(...)     redis_says(&e.server, __VA_ARGS__)
#define is_word(word) (strcmp(word_of_edge(&e), word) == 0)
#define is_well()     (is_even(&e) && is_word("ok"))

Test(redis_fault, fault_48_away_and_back_again) {
    given_master(e.w, "before");
    expect_soon(is_well());
    kill_redis(&e.server);
    expect_soon(is_word("away"));
    given_master(e.w, "meanwhile");
    start_redis(&e.server); // empty: it has to be written anew
    expect_soon(is_well());
    cr_assert_str_eq(says("HGET t:auth:master:1 name"), "before");
    cr_assert_str_eq(says("HGET t:auth:master:2 name"), "meanwhile");
}

Test(redis_fault, fault_48_away_at_the_start) {
    close_edge(&e);
    kill_redis(&e.server);
    given_master(e.w, "nobody hears");
    open_edge(&e);
    expect_soon(is_word("away"));
    given_master(e.w, "nor of this");
    start_redis(&e.server);
    expect_soon(is_well());
    cr_assert_str_eq(says("HGET t:auth:master:1 name"), "nobody hears");
    cr_assert_str_eq(says("HGET t:auth:master:2 name"), "nor of this");
}

Test(redis_fault, fault_48_killed_in_the_middle_of_what_follows_from_a_change) {
    Ez__V1__Master *master = expect_ok(e.w, "Masters/Create", "{'master':{'name':'many','max_child_keys':1000}}");
    for (int i = 0; i < 300; i++)
        given_key(e.w, master->id, "k");
    for (int round = 0; round < 3; round++) {
        expect_soon(is_well());
        expect_ok(e.w, "Masters/Update", "{'id':1,'master':{'group':'g%d'},'update_mask':['group']}", round);
        kill_redis(&e.server);
        start_redis(&e.server);
    }
    expect_soon(is_well());
    char key[80];
    for (int64_t id = 1; id <= 300; id += 7)
        cr_assert_str_eq(says("HGET %s group", token_key(read_key(e.w, id), key)), "g2");
}

Test(redis_fault, fault_48_stopped) {
    expect_soon(is_well());
    signal_process(&e.server.process, SIGSTOP);
    given_master(e.w, "while it slept");
    expect_soon(is_word("away"));
    signal_process(&e.server.process, SIGCONT);
    expect_soon(is_well());
    cr_assert_str_eq(says("HGET t:auth:master:1 name"), "while it slept");
    cr_assert_eq(metric_of(&e, "rebuilds_total"), 1, "nothing was lost, so nothing is written anew");
}

Test(redis_fault, fault_48_out_of_memory) {
    expect_soon(is_well());
    says("CONFIG SET maxmemory-policy noeviction");
    says("CONFIG SET maxmemory 1");
    given_master(e.w, "one too many");
    expect_soon(metric_of(&e, "failures_total") >= 2);
    cr_assert(is_word("behind"), "it answers, and refuses");
    cr_assert_str_eq(says("EXISTS t:auth:master:1"), "0");
    cr_assert_eq(metric_of(&e, "parked"), 0, "that is about Redis, not about a resource");
    says("CONFIG SET maxmemory 0");
    expect_soon(is_well());
    cr_assert_str_eq(says("HGET t:auth:master:1 name"), "one too many");
}

static long long used_memory(void) {
    return strtoll(strstr(says("INFO memory"), "used_memory:") + strlen("used_memory:"), NULL, 10);
}

static void put_large_providers(int count) {
    char model[251], *models[120];
    Ez__V1__ProviderGroup group = EZ__V1__PROVIDER_GROUP__INIT;
    memset(model, 'x', sizeof model - 1);
    model[sizeof model - 1] = 0;
    for (size_t i = 0; i < 120; i++)
        models[i] = model;
    group.name = (char *)"large";
    group.type = (char *)"openai";
    group.base_url = (char *)"https://large.example";
    group.models = models;
    group.n_models = 120;
    given_stored(e.w, EZ__V1__KIND__KIND_PROVIDER_GROUP, &group.base);
    for (int i = 0; i < count; i++)
        given_api_key(e.w, 1, "a");
}

// What stood there has its room again, and is as it was; then there is enough.
Test(redis_fault, a_rebuild_that_does_not_fit_takes_its_half_away) {
    put_large_providers(200); // 6 MiB of them, in batches of 2
    expect_soon(is_well());
    says("CONFIG SET maxmemory-policy noeviction");
    cr_assert_str_eq(says("CONFIG SET maxmemory %lld", used_memory() + (3 << 20)), "OK");
    ask_edge(&e, true);
    expect_soon(metric_of(&e, "failures_total") >= 1);
    expect_soon(strcmp(says("KEYS t:*:new"), "") == 0);
    cr_assert_str_eq(says("HLEN t:config:providers"), "200");
    cr_assert(is_word("behind"));
    expect_soon(metric_of(&e, "rebuilds_total") >= 3); // it was tried again, so nothing is in its own way
    says("CONFIG SET maxmemory 0");
    expect_soon(is_well());
    cr_assert_str_eq(says("HLEN t:config:providers"), "200");
    cr_assert_str_eq(says("KEYS t:*:new"), "");
}

Test(redis_fault, flushed) {
    Ez__V1__Master *master = given_master(e.w, "acme");
    given_key(e.w, master->id, "web");
    expect_soon(is_well());
    long long rebuilds = metric_of(&e, "rebuilds_total");
    says("FLUSHALL");
    expect_soon(is_even(&e) && metric_of(&e, "rebuilds_total") == rebuilds + 1 && is_word("ok"));
    cr_assert_str_eq(says("HGET t:auth:master:1 name"), "acme");
    cr_assert_neq(strlen(says("KEYS t:auth:token:*")), 0);
}

// The second rebuild in a row waits for an hour here, and Redis goes meanwhile.
Test(redis_fault, away_while_a_rebuild_waits) {
    expect_soon(is_well());
    close_edge(&e);
    e.interval_ms = 3600000;
    open_edge(&e);
    expect_soon(is_well());
    says("FLUSHALL");
    expect_soon(metric_of(&e, "rebuilds_total") == 1 && is_well());
    says("FLUSHALL");
    expect_soon(is_word("behind"));
    cr_assert_eq(metric_of(&e, "rebuilds_total"), 1, "it waits");
    kill_redis(&e.server);
    expect_soon(is_word("away"));
}

Test(redis_fault, went_back_to_an_older_state) {
    given_master(e.w, "acme");
    expect_soon(is_well());
    says("HSET t:meta:ezplane revision 1");
    says("DEL t:auth:master:1");
    expect_soon(is_even(&e) && is_word("ok"));
    cr_assert_str_eq(says("HGET t:auth:master:1 name"), "acme");
}

static void put_providers(int count) {
    Ez__V1__ProviderGroup *group = given_group(e.w, "main", "'m'");
    for (int i = 0; i < count; i++)
        given_api_key(e.w, group->id, "a");
    given_binding(e.w, "m", group->id);
}

// Back to what was saved before it, with the tables half made. The rules keep the rebuild from going on past the first
// table, so that it is in its middle for certain; they are gone with the process.
Test(redis_fault, a_rebuild_notices_that_redis_went_back_to_before_a_batch) {
    put_providers(3);
    given_master(e.w, "acme");
    expect_soon(is_well());
    ask_edge(&e, true);
    expect_soon(metric_of(&e, "rebuilds_total") == 2 && is_well()); // an asked one: what was saved has its fence
    cr_assert_str_eq(says("SAVE"), "OK");
    cr_assert_str_eq(says("ACL SETUSER default resetkeys -hset ~* (+hset ~t:config:providers* ~t:meta:ezplane*)"),
                     "OK");
    ask_edge(&e, true);
    expect_soon(strcmp(says("HLEN t:config:providers:new"), "3") == 0);
    long long failures = metric_of(&e, "failures_total");
    expect_soon(metric_of(&e, "failures_total") > failures);
    kill_redis(&e.server);
    start_redis(&e.server);
    expect_soon(metric_of(&e, "rebuilds_total") == 4 && is_well());
    cr_assert_str_eq(says("HLEN t:config:providers"), "3");
    cr_assert_str_eq(says("HKEYS t:config:bindings"), "default.m");
    cr_assert_str_eq(says("KEYS t:*:new"), "");
}

// The same between batches of one revision.
Test(redis_fault, went_back_to_an_older_state_of_the_same_revision) {
    given_master(e.w, "acme");
    expect_soon(is_well());
    char before[64];
    snprintf(before, sizeof before, "%s", says("HGET t:meta:ezplane batch"));
    says("HINCRBY t:meta:ezplane batch -1");
    says("DEL t:auth:master:1");
    expect_soon(metric_of(&e, "rebuilds_total") == 2 && is_well());
    cr_assert_gt(strtoll(says("HGET t:meta:ezplane batch"), NULL, 10), strtoll(before, NULL, 10));
    cr_assert_str_eq(says("HGET t:auth:master:1 name"), "acme");
}

// Without it nobody knows which token a key had: one that was revoked would stay valid.
Test(redis_fault, the_index_is_lost) {
    Ez__V1__Master *master = given_master(e.w, "acme");
    Ez__V1__Key *key = given_key(e.w, master->id, "web");
    char first[80], second[80];
    token_key(key, first);
    token_key(given_key(e.w, master->id, "app"), second);
    expect_soon(is_well());
    says("DEL t:meta:ezplane:index");
    expect_soon(metric_of(&e, "rebuilds_total") == 2 && is_well());
    expect_ok(e.w, "Keys/Rotate", "{'id':1}");
    expect_ok(e.w, "Keys/Delete", "{'id':2}");
    expect_soon(is_well());
    cr_assert_str_eq(says("EXISTS %s %s", first, second), "0");
}

Test(redis_fault, another_stores_data) {
    given_master(e.w, "acme");
    expect_soon(is_well());
    close_edge(&e);
    says("HSET t:meta:ezplane epoch 5 fence_epoch 5 fence 99");
    says("HSET t:auth:master:7 name somebody");
    open_edge(&e);
    expect_soon(is_well());
    cr_assert_str_eq(says("EXISTS t:auth:master:7"), "0");
}

// One that writes at this moment, and has said no revision yet.
Test(redis_fault, another_store_writes) {
    given_master(e.w, "acme");
    expect_soon(is_well());
    says("HSET t:meta:ezplane fence_epoch 5 fence 99");
    says("HSET t:auth:master:7 name somebody");
    expect_soon(metric_of(&e, "rebuilds_total") == 2 && is_well());
    cr_assert_str_eq(says("EXISTS t:auth:master:7"), "0");
}

// A value of another type under one of our keys: that resource waits and is parked; all others go on.
Test(redis_fault, a_wrong_type_parks_one_resource) {
    Ez__V1__Master *master = given_master(e.w, "acme");
    Ez__V1__Key *key = given_key(e.w, master->id, "web");
    char name[80];
    token_key(key, name);
    expect_soon(is_well());
    says("SET %s nonsense", name);
    expect_ok(e.w, "Keys/Update", "{'id':1,'key':{'group':'vip'},'update_mask':['group']}");
    given_master(e.w, "other");
    expect_soon(metric_of(&e, "parked") == 1);
    cr_assert_eq(e.failed, 1, "somebody is told, once");
    cr_assert_eq(e.healed, 1, "when it began to write, and not since");
    cr_assert(is_word("behind"));
    cr_assert_str_eq(says("GET %s", name), "nonsense", "what others put there is left alone");
    cr_assert_str_eq(says("HGET t:auth:master:2 name"), "other");
    says("DEL %s", name);
    close_edge(&e);
    open_edge(&e); // the row is the store's
    expect_soon(metric_of(&e, "parked") == 1);
    cr_assert_str_eq(says("EXISTS %s", name), "0");
    cr_assert_eq(e.healed, 1);
    ask_edge(&e, false);
    expect_soon(is_well() && metric_of(&e, "parked") == 0);
    expect_soon(e.healed == 2);
    cr_assert_str_eq(says("HGET %s group", name), "vip");
}

Test(redis_fault, a_rebuild_puts_wrong_types_right) {
    Ez__V1__ProviderGroup *group = given_group(e.w, "main", "'m'");
    Ez__V1__Master *master = given_master(e.w, "acme");
    Ez__V1__Key *key = given_key(e.w, master->id, "web");
    char name[80];
    token_key(key, name);
    expect_soon(is_well());
    says("SET t:config:providers nonsense");
    says("SET %s nonsense", name);
    given_api_key(e.w, group->id, "a");
    expect_soon(metric_of(&e, "parked") == 1);
    ask_edge(&e, true);
    expect_soon(is_well() && metric_of(&e, "parked") == 0);
    cr_assert_str_eq(says("HKEYS t:config:providers"), "1");
    cr_assert_str_eq(says("HGET %s status", name), "active");
    says("SET t:meta:ezplane:index nonsense");
    given_master(e.w, "other");
    expect_soon(is_well());
    says("SET t:meta:ezplane nonsense");
    expect_soon(is_well());
}

// A server that lost its lease and does not know: what the newer one wrote stays.
Test(redis_fault, fault_58_a_newer_server_writes) {
    expect_soon(is_well());
    const char *epoch = says("HGET t:meta:ezplane fence_epoch");
    says("HSET t:meta:ezplane fence 7 fence_epoch %s", epoch);
    given_master(e.w, "too late");
    expect_soon(metric_of(&e, "failures_total") > 0);
    cr_assert_str_eq(says("EXISTS t:auth:master:1"), "0");
    cr_assert_str_eq(says("HGET t:meta:ezplane fence"), "7");
    e.token = 8;
    expect_soon(is_well());
    cr_assert_str_eq(says("HGET t:auth:master:1 name"), "too late");
}

Test(redis_fault, one_that_does_not_write_tells_what_the_writer_left) {
    given_master(e.w, "acme");
    expect_soon(is_well());
    close_edge(&e); // saves
    e.token = 0;
    open_edge(&e);
    expect_soon(is_word("ok"));
    given_master(e.w, "nobody writes it");
    expect_soon(is_word("behind"));
    cr_assert_str_eq(says("EXISTS t:auth:master:2"), "0");
    e.token = 2;
    expect_soon(is_well());
}

#define MORE_THAN_KEPT 10100 // the world's feed keeps 10,000

static ez_status put_many(void *self, ez_call *c, void *scene, ProtobufCMessage *request) {
    (void)self, (void)request;
    for (int i = 0; i < MORE_THAN_KEPT; i++) {
        Ez__V1__Master master = EZ__V1__MASTER__INIT;
        uint8_t token[32] = {(uint8_t)i, (uint8_t)(i >> 8), 1};
        char name[32];
        snprintf(name, sizeof name, "name-%d", i);
        master.name = name;
        master.token_sha256 = (ProtobufCBinaryData){sizeof token, token};
        ez_status status = ez_txn_put(scene, EZ__V1__KIND__KIND_MASTER, &master.base, &c->error);
        if (status != EZ_OK)
            return status;
    }
    return EZ_OK;
}

// More changes than the feed keeps: everything is written anew, and nothing piled up meanwhile.
Test(redis_fault, away_for_longer_than_changes_are_kept) {
    expect_soon(is_well());
    signal_process(&e.server.process, SIGSTOP);
    ez_call *c;
    ez_error error = EZ_ERROR_INIT;
    Ez__V1__Master none = EZ__V1__MASTER__INIT;
    cr_assert_eq(ez_call_create_system("test", &c), EZ_OK);
    cr_assert_eq(ez_writer_run(e.w->writer, c, put_many, NULL, &none.base, &error), EZ_OK, "%s", error.message);
    ez_call_destroy_system(c);
    signal_process(&e.server.process, SIGCONT);
    expect_soon(is_well());
    cr_assert_eq(metric_of(&e, "rebuilds_total"), 2);
    cr_assert_str_eq(says("HGET t:auth:master:10100 name"), "name-10099");
}

Test(redis_login, a_wrong_password) {
    static const char *const args[] = {"--requirepass", "fake-right-password", NULL};
    given_edge(&e, args);
    expect_soon(is_word("away"));
    close_edge(&e);
    snprintf(e.url, sizeof e.url, "redis://:fake-wrong-password@127.0.0.1:%u/0", e.server.port);
    open_edge(&e);
    expect_soon(metric_of(&e, "failures_total") >= 2);
    cr_assert(is_word("away"));
    close_edge(&e);
    snprintf(e.url, sizeof e.url, "redis://:fake-right-password@127.0.0.1:%u/0", e.server.port);
    open_edge(&e);
    expect_soon(is_well());
}
