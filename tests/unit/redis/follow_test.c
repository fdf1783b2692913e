// SPDX-License-Identifier: Apache-2.0
//
// Redis in step: every change of the world is in Redis once Redis says its revision, and nothing else is.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/setting.pb-c.h"
#include "tests/unit/redis/support/edge.h"

static edge e;

static void begin(void) {
    given_edge(&e, NULL);
}

static void end(void) {
    end_edge(&e);
}

TestSuite(redis_follow, .init = begin, .fini = end);

#define says(...) redis_says(&e.server, __VA_ARGS__)

static void expect_says(const char *want, const char *command) {
    const char *got = says(command);
    cr_assert_str_eq(got, want, "%s: %s, not %s", command, got, want);
}

static bool has(const char *command, const char *part) {
    return strstr(says(command), part) != NULL;
}

Test(redis_follow, keys_and_their_masters) {
    char first[80], second[80];
    Ez__V1__Master *master = given_master(e.w, "acme");
    Ez__V1__Key *key = given_key(e.w, master->id, "web");
    token_key(key, first);
    expect_soon(is_even(&e));
    cr_assert_str_eq(says("HMGET %s id status group", first), "1 active default");
    expect_says("1 acme active", "HMGET t:auth:master:1 id name status");
    key = expect_ok(e.w, "Keys/Rotate", "{'id':1}");
    token_key(key, second);
    expect_soon(is_even(&e));
    cr_assert_str_eq(says("EXISTS %s", first), "0", "the old token is gone");
    cr_assert_str_eq(says("HGET %s status", second), "active");
    expect_ok(e.w, "Masters/Update",
              "{'id':1,'master':{'status':'suspended','group':'vip'},'update_mask':['status','group']}");
    expect_soon(is_even(&e));
    cr_assert_str_eq(says("HMGET %s status group", second), "disabled vip", "what a key inherits follows");
    expect_ok(e.w, "Keys/Delete", "{'id':1}");
    expect_soon(is_even(&e));
    cr_assert_str_eq(says("EXISTS %s", second), "0");
    expect_ok(e.w, "Masters/Delete", "{'id':1}");
    expect_soon(is_even(&e));
    expect_says("", "KEYS t:auth:*");
    expect_says("", "HKEYS t:meta:ezplane:index:nothing");
    expect_says("made_at n:1", "HKEYS t:meta:ezplane:index");
}

Test(redis_follow, providers_bindings_and_what_they_depend_on) {
    Ez__V1__ProviderGroup *group = given_group(e.w, "main", "'m','n'");
    given_api_key(e.w, group->id, "a");
    given_binding(e.w, "m", group->id);
    given_binding(e.w, "n", group->id);
    expect_soon(is_even(&e));
    cr_assert(has("HGET t:config:bindings default.m", "\"upstreams\":{\"1\":\"m\"}"));
    cr_assert(has("HGET t:config:providers 1", "\"status\":\"active\""));
    given_api_key(e.w, group->id, "b");
    expect_soon(is_even(&e));
    cr_assert(has("HGET t:config:bindings default.n", "{\"1\":\"n\",\"2\":\"n\"}"), "a new API key is an upstream");
    expect_ok(e.w, "ApiKeys/Ban", "{'id':1,'reason':'x'}");
    expect_soon(is_even(&e));
    cr_assert(has("HGET t:config:bindings default.m", "\"upstreams\":{\"2\":\"m\"}"));
    cr_assert(has("HGET t:config:providers 1", "\"status\":\"banned\""));
    expect_ok(e.w, "ApiKeys/Unban", "{'id':1}");
    expect_soon(is_even(&e));
    cr_assert(has("HGET t:config:bindings default.m", "{\"1\":\"m\",\"2\":\"m\"}"));
    expect_ok(e.w, "ProviderGroups/Update",
              "{'id':1,'provider_group':{'base_url':'https://new.example','labels':{'route_group':'vip'}},"
              "'update_mask':['base_url','labels']}");
    expect_soon(is_even(&e));
    cr_assert(has("HGET t:config:providers 2", "\"base_url\":\"https://new.example\""));
    cr_assert(has("HGET t:config:providers 2", "\"group\":\"vip\""));
    cr_assert(has("HGET t:config:bindings default.n", "\"route_group\":\"vip\""));
    expect_ok(e.w, "ApiKeys/Delete", "{'id':1}");
    expect_soon(is_even(&e));
    expect_says("(nil)", "HGET t:config:providers 1");
    cr_assert(has("HGET t:config:bindings default.m", "\"upstreams\":{\"2\":\"m\"}"));
    expect_ok(e.w, "Bindings/Delete", "{'id':1}");
    expect_soon(is_even(&e));
    expect_says("default.n", "HKEYS t:config:bindings");
    expect_ok(e.w, "ProviderGroups/Delete", "{'id':1,'cascade':true}");
    expect_soon(is_even(&e));
    expect_says("0", "EXISTS t:config:bindings t:config:providers");
}

Test(redis_follow, a_namespace_that_is_disabled_disables_its_bindings) {
    Ez__V1__ProviderGroup *group = given_group(e.w, "main", "'m'");
    given_api_key(e.w, group->id, "a");
    given_binding(e.w, "m", group->id);
    expect_soon(is_even(&e));
    expect_ok(e.w, "Namespaces/Update", "{'id':1,'namespace':{'status':'disabled'},'update_mask':['status']}");
    expect_soon(is_even(&e));
    cr_assert(has("HGET t:config:bindings default.m", "\"public_model\":\"m\",\"status\":\"disabled\""));
    expect_ok(e.w, "Namespaces/Update", "{'id':1,'namespace':{'status':'active'},'update_mask':['status']}");
    expect_soon(is_even(&e));
    cr_assert(has("HGET t:config:bindings default.m", "\"public_model\":\"m\",\"status\":\"active\""));
}

static int64_t set_features(int64_t id, const char *name, const char *value, int32_t days, int64_t records) {
    Ez__V1__Features__FlagsEntry flag = EZ__V1__FEATURES__FLAGS_ENTRY__INIT, *flags[] = {&flag};
    Ez__V1__Features features = EZ__V1__FEATURES__INIT;
    Ez__V1__Setting setting = EZ__V1__SETTING__INIT;
    flag.key = (char *)(uintptr_t)name;
    flag.value = (char *)(uintptr_t)value;
    features.flags = flags;
    features.n_flags = name != NULL;
    features.log_retention_days = days;
    features.log_max_records = records;
    setting.id = id;
    setting.name = (char *)"features";
    setting.features = &features;
    given_stored(e.w, EZ__V1__KIND__KIND_SETTING, &setting.base);
    return setting.id ? setting.id : 1;
}

Test(redis_follow, features_and_overrides) {
    int64_t id = set_features(0, "greeting", "\"hi \\\"you\\\"\"", 7, 1000);
    expect_soon(is_even(&e));
    expect_says("greeting hi \"you\"", "HGETALL t:meta:features");
    expect_says("7 1000", "MGET t:meta:log:retention_days t:meta:log:max_records");
    set_features(id, "beta", "true", 0, 5);
    expect_soon(is_even(&e));
    expect_says("beta true", "HGETALL t:meta:features");
    expect_says("(nil) 5", "MGET t:meta:log:retention_days t:meta:log:max_records");
    set_features(id, NULL, NULL, 0, 0);
    expect_soon(is_even(&e));
    expect_says("0", "EXISTS t:meta:features t:meta:log:max_records");
}

// 250 keys, a batch of 100: the revision is said once all of them are there.
Test(redis_follow, a_change_of_many_is_whole_when_its_revision_is_said) {
    Ez__V1__Master *master = expect_ok(e.w, "Masters/Create", "{'master':{'name':'many','max_child_keys':1000}}");
    for (int i = 0; i < 250; i++)
        given_key(e.w, master->id, "k");
    expect_soon(is_even(&e));
    expect_ok(e.w, "Masters/Update", "{'id':1,'master':{'status':'suspended'},'update_mask':['status']}");
    expect_soon(is_even(&e));
    char key[80];
    for (int64_t id = 1; id <= 250; id++)
        cr_assert_str_eq(says("HGET %s status", token_key(read_key(e.w, id), key)), "disabled");
}

Test(redis_follow, a_rebuild_makes_it_whole_and_takes_away_what_is_stale) {
    Ez__V1__Master *master = given_master(e.w, "acme");
    Ez__V1__Key *key = given_key(e.w, master->id, "web");
    Ez__V1__ProviderGroup *group = given_group(e.w, "main", "'m'");
    given_api_key(e.w, group->id, "a");
    given_binding(e.w, "m", group->id);
    expect_soon(is_even(&e));
    char name[80];
    says("HSET t:auth:token:%064d status active", 7);
    says("HSET t:auth:master:99 status active");
    says("HSET other:auth:token:%064d status active", 7);
    says("DEL %s", token_key(key, name));
    says("HSET t:config:providers 99 {}");
    says("HSET t:meta:features stale true");
    long long before = metric_of(&e, "rebuilds_total");
    ask_edge(&e, true);
    expect_soon(metric_of(&e, "rebuilds_total") == before + 1 && is_even(&e) && strcmp(word_of_edge(&e), "ok") == 0);
    cr_assert_str_eq(says("EXISTS t:auth:token:%064d", 7), "0");
    cr_assert_str_eq(says("EXISTS other:auth:token:%064d", 7), "1", "another prefix is another's");
    expect_says("0", "EXISTS t:auth:master:99 t:meta:features");
    expect_says("1", "HKEYS t:config:providers");
    expect_says("default.m", "HKEYS t:config:bindings");
    cr_assert_str_eq(says("HGET %s status", name), "active");
    expect_says("", "KEYS t:*:new");
}

Test(redis_follow, a_restart_goes_on_where_it_was) {
    given_master(e.w, "before");
    expect_soon(is_even(&e));
    close_edge(&e);
    given_master(e.w, "meanwhile");
    set_features(0, "beta", "true", 0, 0);
    open_edge(&e);
    expect_soon(is_even(&e));
    cr_assert_eq(metric_of(&e, "rebuilds_total"), 0, "it went on from its cursor");
    expect_says("meanwhile", "HGET t:auth:master:2 name");
    expect_says("beta true", "HGETALL t:meta:features");
}

Test(redis_follow, off_is_off) {
    ez_redis_options options = {.store = e.w->store, .directory = e.w->directory, .feed = e.w->feed};
    ez_redis *off;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_redis_create(&options, &off, &error), EZ_OK);
    cr_assert_eq(ez_redis_start(off, &error), EZ_OK);
    cr_assert_str_eq(ez_redis_word(off), "off");
    cr_assert_str_eq(ez_redis_word(NULL), "off");
    ez_redis_destroy(off);
}
