// SPDX-License-Identifier: Apache-2.0
//
// What real exports are like: the fourteen traps of the import, each with a file that the test makes, through a running
// server.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/crypto/token.h"
#include "tests/integration/support/importer.h"

#define MASTER "{'name':'acme','group':'default','status':'active'}"

static ez_world w;
static ez_importer importer;
static const char *const everything[] = {"--include-bindings", NULL};

static void begin(void) {
    given_world(&w, NULL);
    given_importer(&importer);
}

static void end(void) {
    end_importer(&importer);
    end_world(&w);
}

TestSuite(import_traps, .init = begin, .fini = end);

static void run(int status) {
    run_import(&importer, &w.server, everything, NULL);
    cr_assert_eq(importer.status, status, "exit status %d: %s", importer.status, importer.words);
}

static Ez__V1__ProviderGroup *group_named(const char *name) {
    Ez__V1__ListProviderGroupsResponse *all = ask(&w.admin, "ProviderGroups/List", "{'page_size':1000}");
    for (size_t i = 0; i < all->n_items; i++)
        if (strcmp(all->items[i]->name, name) == 0)
            return all->items[i];
    cr_assert_fail("there is no provider group \"%s\": %s", name, importer.words);
    return NULL;
}

static Ez__V1__Key *find_key(const char *name) {
    Ez__V1__ListKeysResponse *all = ask(&w.admin, "Keys/List", "{'q':'%s'}", name);
    return all->n_items == 1 ? all->items[0] : NULL;
}

static Ez__V1__Key *key_named(const char *name) {
    Ez__V1__Key *key = find_key(name);
    cr_assert_not_null(key, "there is no key \"%s\": %s", name, importer.words);
    return key;
}

static Ez__V1__Master *master_named(const char *name) {
    Ez__V1__ListMastersResponse *all = ask(&w.admin, "Masters/List", "{'q':'%s'}", name);
    cr_assert_eq(all->n_items, 1);
    return all->items[0];
}

Test(import_traps, trap_01_a_channel_of_several_keys_is_one_group) {
    given_export(&importer, "'providers':["
                            "{'original_id':7,'name':'main','type':'openai','api_key':'sk-a','models':['m'],"
                            "'is_multi_key':true,'original_name':'main'},"
                            "{'original_id':7,'name':'main-2','type':'openai','api_key':'sk-b','models':['m'],"
                            "'is_multi_key':true,'multi_key_index':1,'original_name':'main'},"
                            "{'original_id':7,'name':'main-3','type':'openai','api_key':'sk-c','models':['m'],"
                            "'is_multi_key':true,'multi_key_index':2,'original_name':'main'}]");
    run(0);
    cr_assert_eq(imported(&importer, "provider_groups", "created"), 1);
    Ez__V1__ProviderGroup *group = group_named("main");
    cr_assert_not_null(group);
    cr_assert_eq(group->key_count, 3);
}

Test(import_traps, trap_02_names_are_settled_after_grouping) {
    given_export(&importer, "'providers':["
                            "{'original_id':1,'name':'main','type':'openai','api_key':'sk-a','models':['m']},"
                            "{'original_id':2,'name':'main','type':'anthropic','api_key':'sk-b','models':['m']},"
                            "{'original_id':3,'name':'main-2','type':'gemini','api_key':'sk-c','models':['m']}]");
    run(0);
    cr_assert_eq(imported(&importer, "provider_groups", "created"), 3);
    cr_assert_str_eq(group_named("main")->type, "openai");
    cr_assert_str_eq(group_named("main-2")->type, "gemini", "who has the name keeps it");
}

Test(import_traps, trap_03_unknown_types_are_compatible) {
    given_export(&importer, "'providers':["
                            "{'original_id':1,'name':'seek','type':'deepseek','base_url':'https://api.deepseek.com',"
                            "'api_key':'sk-a','models':['m'],'status':'active'},"
                            "{'original_id':2,'name':'bare','type':'zhipu','api_key':'sk-b','models':['m'],"
                            "'status':'active'}]");
    run(0);
    Ez__V1__ProviderGroup *seek = group_named("seek"), *bare = group_named("bare");
    cr_assert_str_eq(seek->type, "compatible");
    cr_assert_eq(seek->status, EZ__V1__PROVIDER_GROUP_STATUS__PROVIDER_GROUP_STATUS_ACTIVE);
    cr_assert_eq(bare->status, EZ__V1__PROVIDER_GROUP_STATUS__PROVIDER_GROUP_STATUS_DISABLED);
    cr_assert(import_warned(&importer, "deepseek") && import_warned(&importer, "zhipu"));
    bool has_label = false;
    for (size_t i = 0; i < seek->n_labels; i++)
        has_label = has_label || (strcmp(seek->labels[i]->key, "original_type") == 0 &&
                                  strcmp(seek->labels[i]->value, "deepseek") == 0);
    cr_assert(has_label);
}

Test(import_traps, trap_04_empty_names_are_default) {
    given_export(&importer, "'masters':[{'name':'acme','group':'','namespaces':[''],'default_namespace':'',"
                            "'status':'active'}]");
    run(0);
    Ez__V1__Master *acme = master_named("acme");
    cr_assert_str_eq(acme->group, "default");
    cr_assert_str_eq(acme->default_namespace, "default");
}

Test(import_traps, trap_05_names_of_namespaces_are_made_valid) {
    given_export(&importer, "'masters':[{'name':'a','group':'VIP','namespaces':['VIP','高级','with blank','v1.5'],"
                            "'default_namespace':'VIP','status':'active'}]");
    run(0);
    Ez__V1__Master *a = master_named("a");
    cr_assert_str_eq(a->default_namespace, "VIP", "a valid name is kept");
    bool has_chinese = false;
    for (size_t i = 0; i < a->n_namespaces; i++) {
        has_chinese = has_chinese || strcmp(a->namespaces[i], "高级") == 0;
        cr_assert_null(strpbrk(a->namespaces[i], " ./"));
    }
    cr_assert(has_chinese);
    cr_assert(import_warned(&importer, "with blank") && import_warned(&importer, "v1.5"));
}

Test(import_traps, trap_06_tokens_are_what_clients_send) {
    given_export(&importer, "'masters':[" MASTER "],'keys':["
                            "{'master_ref':'acme','name':'bare','original_token':'abcdefgh12345678','status':'active'},"
                            "{'master_ref':'acme','name':'whole','original_token':'sk-hgfedcba87654321',"
                            "'status':'active'}]");
    run(0);
    uint8_t hash[32];
    ez_token_hash("sk-abcdefgh12345678", 19, hash);
    Ez__V1__Key *bare = key_named("bare");
    cr_assert_eq(memcmp(bare->token_sha256.data, hash, 32), 0);
    cr_assert_str_eq(bare->token_last4, "5678");
    ez_token_hash("sk-hgfedcba87654321", 19, hash);
    cr_assert_eq(memcmp(key_named("whole")->token_sha256.data, hash, 32), 0);
    char *printed = json_dumps(importer.report, 0);
    cr_assert_null(strstr(printed, "abcdefgh"));
    cr_assert_null(strstr(importer.words, "abcdefgh"));
    free(printed);
    Ez__V1__ListAuditResponse *audit = ask(&w.admin, "Audit/List", "{}");
    for (size_t i = 0; i < audit->n_items; i++)
        cr_assert_null(strstr(audit->items[i]->request, "abcdefgh"));
}

Test(import_traps, trap_07_what_remained_and_what_was_used_make_the_limit) {
    given_export(&importer, "'masters':[" MASTER "],'keys':["
                            "{'master_ref':'acme','name':'some','original_token':'t1aaaaaaaaaa','status':'active',"
                            "'quota_limit':460000,'quota_used':40000},"
                            "{'master_ref':'acme','name':'endless','original_token':'t2aaaaaaaaaa','status':'active',"
                            "'quota_limit':5,'quota_used':3,'unlimited_quota':true},"
                            "{'master_ref':'acme','name':'overdrawn','original_token':'t3aaaaaaaaaa',"
                            "'status':'active','quota_limit':-20,'quota_used':120}]");
    run(0);
    cr_assert_eq(key_named("some")->quota_limit, 500000);
    cr_assert_eq(key_named("some")->quota_used, 40000);
    cr_assert_eq(key_named("endless")->quota_limit, -1);
    Ez__V1__Key *over = key_named("overdrawn");
    cr_assert_eq(over->quota_limit, 120);
    cr_assert_eq(over->quota_used, 120);
    cr_assert_eq(over->status, EZ__V1__KEY_STATUS__KEY_STATUS_EXHAUSTED);
}

Test(import_traps, trap_08_what_had_ended_comes_in_ended) {
    given_export(&importer, "'masters':[" MASTER "],'keys':["
                            "{'master_ref':'acme','name':'past','original_token':'t1aaaaaaaaaa','status':'active',"
                            "'expires_at':'2020-01-01T00:00:00Z','unlimited_quota':true},"
                            "{'master_ref':'acme','name':'ended','original_token':'t2aaaaaaaaaa','status':'expired',"
                            "'unlimited_quota':true},"
                            "{'master_ref':'acme','name':'used','original_token':'t3aaaaaaaaaa','status':'exhausted',"
                            "'quota_limit':0,'quota_used':9}]");
    run(0);
    cr_assert_eq(key_named("past")->status, EZ__V1__KEY_STATUS__KEY_STATUS_EXPIRED);
    cr_assert_eq(key_named("ended")->status, EZ__V1__KEY_STATUS__KEY_STATUS_EXPIRED);
    cr_assert_eq(key_named("used")->status, EZ__V1__KEY_STATUS__KEY_STATUS_EXHAUSTED);
}

Test(import_traps, trap_09_a_bad_address_fails_its_key_alone) {
    given_export(&importer, "'masters':[" MASTER "],'keys':["
                            "{'master_ref':'acme','name':'good','original_token':'t1aaaaaaaaaa','status':'active',"
                            "'allow_ips':[' 10.0.0.1\\n10.1.0.0/16 ','::1'],'unlimited_quota':true},"
                            "{'master_ref':'acme','name':'bad','original_token':'t2aaaaaaaaaa','status':'active',"
                            "'allow_ips':['10.0.0.999'],'unlimited_quota':true}]");
    run(1);
    cr_assert_eq(key_named("good")->n_allow_ips, 3);
    cr_assert_null(find_key("bad"));
    cr_assert(import_failed(&importer, "keys", 1, "allow_ips"));
}

Test(import_traps, trap_10_a_limit_below_the_keys_that_come_is_raised) {
    given_export(&importer,
                 "'masters':[{'name':'acme','group':'default','max_child_keys':1,'status':'active'}],'keys':["
                 "{'master_ref':'acme','name':'a','original_token':'t1aaaaaaaaaa','status':'active'},"
                 "{'master_ref':'acme','name':'b','original_token':'t2aaaaaaaaaa','status':'active'},"
                 "{'master_ref':'acme','name':'c','original_token':'t3aaaaaaaaaa','status':'active'}]");
    run(0);
    cr_assert_eq(master_named("acme")->max_child_keys, 3);
    cr_assert(import_warned(&importer, "max_child_keys"));
}

Test(import_traps, trap_11_orphans_and_repeats_fail_alone) {
    given_export(&importer, "'masters':[" MASTER "],'keys':["
                            "{'master_ref':'acme','name':'first','original_token':'t1aaaaaaaaaa','status':'active'},"
                            "{'master_ref':'gone','name':'orphan','original_token':'t2aaaaaaaaaa','status':'active'},"
                            "{'master_ref':'acme','name':'again','original_token':'sk-t1aaaaaaaaaa',"
                            "'status':'active'}]");
    run(1);
    cr_assert_eq(imported(&importer, "keys", "created"), 1);
    cr_assert_eq(imported(&importer, "keys", "failed"), 2);
    cr_assert(import_failed(&importer, "keys", 1, "gone"));
    cr_assert(import_failed(&importer, "keys", 2, "keys[0]"), "the first one is named by its index");
}

Test(import_traps, trap_12_bindings_meet_the_groups_of_their_route_group) {
    given_export(&importer, "'providers':["
                            "{'original_id':1,'name':'one','type':'openai','api_key':'sk-a','models':['m','n'],"
                            "'all_groups':['default','vip']},"
                            "{'original_id':2,'name':'two','type':'openai','api_key':'sk-b','models':['m'],"
                            "'all_groups':['vip']}],"
                            "'bindings':[{'namespace':'default','route_group':'default','model':'m','status':'active'},"
                            "{'namespace':'default','route_group':'default','model':'m','status':'active'},"
                            "{'namespace':'vip','route_group':'vip','model':'m','status':'active'},"
                            "{'namespace':'vip','route_group':'vip','model':'m','status':'active'}]");
    run_import(&importer, &w.server, everything, NULL);
    cr_assert(importer.status == 0, "exit status %d: %s", importer.status, importer.words);
    Ez__V1__ListBindingsResponse *all = ask(&w.admin, "Bindings/List", "{'with_total':true}");
    cr_assert_eq(all->total, 3, "default.m to one, vip.m to both: %" PRId64, all->total);
    Ez__V1__ListBindingsResponse *vip = ask(&w.admin, "Bindings/List", "{'namespace':'vip'}");
    cr_assert_eq(vip->n_items, 2);
}

// As many keys as a large installation has; the time is the command's own bound (patience), the memory is looked at in
// tests/bench.
Test(import_traps, trap_13_many_keys) {
    enum { KEYS = 10000 };
    size_t size = 160u * KEYS + 4096, len = 0;
    char *text = malloc(size);
    len = (size_t)snprintf(text, size, "'masters':[" MASTER "],'keys':[");
    for (int i = 0; i < KEYS; i++)
        len += (size_t)snprintf(text + len, size - len,
                                "%s{'master_ref':'acme','name':'k','original_token':'many%08d','status':'active',"
                                "'unlimited_quota':true}",
                                i ? "," : "", i);
    snprintf(text + len, size - len, "]");
    given_export(&importer, "%s", text);
    free(text);
    uint64_t before = revision_of(&w);
    run(0);
    cr_assert_eq(imported(&importer, "keys", "created"), KEYS);
    cr_assert_leq(revision_of(&w) - before, 20, "a revision per thousand rows, not per row");
}

static void expect_unusable(const void *data, size_t len) {
    uint64_t before = revision_of(&w);
    given_file(&importer, data, len);
    run(2);
    cr_assert_eq(revision_of(&w), before);
    const char *end = strchr(importer.words, '\n');
    cr_assert_not_null(end, "no word about it");
    cr_assert_eq(end[1], 0, "more than one line: %s", importer.words);
    cr_assert_lt(strlen(importer.words), 600);
}

Test(import_traps, trap_14_what_is_no_export_is_refused_whole) {
    expect_unusable("", 0);
    expect_unusable("not json\n", 9);
    expect_unusable("{\"version\":\"1.0.0\",\"data\":{\"masters\":[{\"na", 42);
    static const char newer[] = "{\"version\":\"9.0.0\",\"source\":{\"type\":\"newapi\"},\"data\":{}}";
    expect_unusable(newer, sizeof newer - 1);
    size_t deep = 64u << 20; // stands for the gigabyte: the file is mapped, nothing grows with it
    char *brackets = malloc(deep);
    memset(brackets, '[', deep);
    expect_unusable(brackets, deep);
    free(brackets);
    static const char binary[] = "\x00\xff\xfe{}";
    expect_unusable(binary, sizeof binary - 1);
    run_import(&importer, &w.server, NULL, "/nonexistent/export.json");
    cr_assert_eq(importer.status, 2);
    const char *const wrong[] = {"--conflict", "maybe", NULL};
    run_import(&importer, &w.server, wrong, NULL);
    cr_assert_eq(importer.status, 2);
}
