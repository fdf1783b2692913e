// SPDX-License-Identifier: Apache-2.0
//
// Masters (traps 4, 5 and 10): names and limits, namespaces that come along, and what fails alone.
#include <criterion/criterion.h>
#include <string.h>

#include "proto/crypto/token.h"
#include "tests/unit/import/support/loader.h"

static ez_loader *l;

static void begin(void) {
    l = given_loader();
}

static void end(void) {
    end_loader(l);
}

TestSuite(import_masters, .init = begin, .fini = end);

Test(import_masters, come_in_as_they_are) {
    load(l, "'masters':[{'name':' acme ','group':'vip','namespaces':['default','vip'],'default_namespace':'vip',"
            "'max_child_keys':20,'global_qps':50,'status':'active','_source_user_id':17,'_original_id':4},"
            "{'name':'gone','status':'Suspended'}]");
    expect_counts(l, EZ_PLAN_MASTERS, 2, 0, 0, 0);
    expect_no_warnings(l);
    Ez__V1__Master *acme = master_named(l, "acme"), *gone = master_named(l, "gone");
    cr_assert_str_eq(acme->group, "vip");
    cr_assert_str_eq(acme->default_namespace, "vip");
    cr_assert_eq(acme->max_child_keys, 20);
    cr_assert_eq(acme->global_qps, 50);
    cr_assert_eq(acme->status, EZ__V1__MASTER_STATUS__MASTER_STATUS_ACTIVE);
    const void *labels = acme->labels;
    cr_assert_str_eq(label_of(labels, acme->n_labels, "source_user_id"), "17");
    cr_assert_str_eq(label_of(labels, acme->n_labels, "original_id"), "4");
    cr_assert_eq(gone->status, EZ__V1__MASTER_STATUS__MASTER_STATUS_SUSPENDED);
    cr_assert_eq(gone->max_child_keys, 5);
}

Test(import_masters, each_gets_a_new_key_that_is_hashed) {
    load(l, "'masters':[{'name':'acme'},{'name':'bolt'}]");
    const char *at = strstr(l->master_keys, "acme ezm_");
    cr_assert_not_null(at);
    cr_assert_not_null(strstr(l->master_keys, "bolt ezm_"));
    at += strlen("acme ");
    uint8_t hash[EZ_TOKEN_HASH_LEN];
    ez_token_hash(at, strcspn(at, "\n"), hash);
    Ez__V1__Master *acme = master_named(l, "acme");
    cr_assert_eq(acme->token_sha256.len, sizeof hash);
    cr_assert_eq(memcmp(acme->token_sha256.data, hash, sizeof hash), 0);
    cr_assert_str_eq(acme->master_key, "");
}

Test(import_masters, empty_names_mean_default) {
    load(l, "'masters':[{'name':'a','group':'','namespaces':[''],'default_namespace':''},{'name':'b'}]");
    expect_counts(l, EZ_PLAN_MASTERS, 2, 0, 0, 0);
    Ez__V1__Master *a = master_named(l, "a"), *b = master_named(l, "b");
    cr_assert_str_eq(a->group, "default");
    cr_assert_str_eq(a->default_namespace, "default");
    cr_assert_eq(a->n_namespaces, 1);
    cr_assert_str_eq(a->namespaces[0], "default");
    cr_assert_str_eq(b->group, "default");
    expect_no_warnings(l);
}

Test(import_masters, groups_become_namespaces) {
    load(l, "'masters':[{'name':'a','namespaces':['VIP','高级','gpt 4.5'],'default_namespace':'VIP'}]");
    expect_counts(l, EZ_PLAN_NAMESPACES, 3, 0, 1, 0);
    cr_assert(has_namespace(l, "VIP") && has_namespace(l, "高级") && has_namespace(l, "gpt-4-5"));
    cr_assert_str_eq(master_named(l, "a")->namespaces[2], "gpt-4-5");
    expect_warning(l, "\"gpt 4.5\" can't be a namespace's name: it becomes \"gpt-4-5\"");
}

Test(import_masters, max_child_keys_is_raised_to_what_comes_along) {
    load(l, "'masters':[{'name':'few','max_child_keys':1},{'name':'none','max_child_keys':0},{'name':'unsaid'}],"
            "'keys':[{'master_ref':'few','original_token':'t1'},{'master_ref':'few','original_token':'t2'},"
            "{'master_ref':'none','original_token':'t3'},{'master_ref':'unsaid','original_token':'t4'}]");
    expect_counts(l, EZ_PLAN_KEYS, 4, 0, 0, 0);
    cr_assert_eq(master_named(l, "few")->max_child_keys, 2);
    cr_assert_eq(master_named(l, "none")->max_child_keys, 1);
    cr_assert_eq(master_named(l, "unsaid")->max_child_keys, 5);
    expect_warning(l, "\"few\": max_child_keys raised from 1 to 2");
    expect_warning(l, "\"none\": max_child_keys raised from 0 to 1");
    cr_assert_null(strstr(l->warnings, "unsaid"));
}

Test(import_masters, warns_once_in_a_dry_run_too) {
    l->dry_run = true;
    uint64_t head = head_of(l->w);
    load(l, "'masters':[{'name':'few','max_child_keys':1}],'keys':[{'master_ref':'few','original_token':'t1',"
            "'namespaces':['vip']},{'master_ref':'few','original_token':'t2'}]");
    expect_counts(l, EZ_PLAN_MASTERS, 1, 0, 0, 0);
    expect_counts(l, EZ_PLAN_KEYS, 2, 0, 0, 0);
    expect_counts(l, EZ_PLAN_NAMESPACES, 1, 0, 1, 0);
    expect_warning(l, "max_child_keys raised");
    expect_warning(l, "its keys use namespace \"vip\"");
    cr_assert_eq(head_of(l->w), head);
    cr_assert(!has_namespace(l, "vip"));
}

Test(import_masters, gets_the_namespaces_its_keys_use) {
    load(l, "'masters':[{'name':'a','namespaces':['default']}],"
            "'keys':[{'master_ref':'a','name':'k','original_token':'t','namespaces':['vip','default']}]");
    expect_counts(l, EZ_PLAN_KEYS, 1, 0, 0, 0);
    cr_assert_eq(master_named(l, "a")->n_namespaces, 2);
    expect_warning(l, "its keys use namespace \"vip\", which it did not list: added");
    cr_assert_null(strstr(l->warnings, "\"default\""), "its own default namespace is its own: %s", l->warnings);
}

Test(import_masters, names_at_their_limits) {
    char most[65], more[66];
    memset(most, 'n', sizeof most);
    memset(more, 'm', sizeof more);
    most[64] = more[65] = 0;
    load(l, "'masters':[{'name':'%s'},{'name':'%s'},{'name':''},{},{'name':7}]", most, more);
    expect_counts(l, EZ_PLAN_MASTERS, 1, 0, 0, 4);
    master_named(l, most);
    expect_failure(l, "masters[1]", "name: must have at most 64 bytes");
    expect_failure(l, "masters[2]", "it has no name");
    expect_failure(l, "masters[3]", "it has no name");
    expect_failure(l, "masters[4]", "it has no name");
}

Test(import_masters, the_second_of_a_name_fails_naming_the_first) {
    load(l, "'masters':[{'name':'a'},{'name':'b'},{'name':' a','global_qps':9}]");
    expect_counts(l, EZ_PLAN_MASTERS, 2, 0, 0, 1);
    expect_failure(l, "masters[2]", "masters[0] has the same name");
    cr_assert_eq(master_named(l, "a")->global_qps, 0);
}

// What decides whether a tenant may call is not guessed.
Test(import_masters, what_is_not_understood_fails_alone) {
    load(l, "'masters':[{'name':'a','status':'frozen'},{'name':'b','status':2},{'name':'c','global_qps':-1},"
            "{'name':'d','global_qps':1.5},{'name':'e','max_child_keys':'5'},{'name':'f','namespaces':[1]},"
            "{'name':'g','namespaces':'vip'},7,{'name':'ok','global_qps':2.0,'max_child_keys':null,'status':null}]");
    expect_counts(l, EZ_PLAN_MASTERS, 1, 0, 0, 8);
    expect_failure(l, "masters[0]", "neither active nor suspended");
    expect_failure(l, "masters[1]", "neither active nor suspended");
    expect_failure(l, "masters[2]", "global_qps");
    expect_failure(l, "masters[3]", "global_qps: must be a whole number");
    expect_failure(l, "masters[4]", "max_child_keys: must be a whole number");
    expect_failure(l, "masters[5]", "namespaces: must be a list of texts");
    expect_failure(l, "masters[6]", "namespaces: must be a list of texts");
    expect_failure(l, "masters[7]", "it is not an object");
    cr_assert_eq(master_named(l, "ok")->global_qps, 2);
}
