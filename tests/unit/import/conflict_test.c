// SPDX-License-Identifier: Apache-2.0
//
// The same file again, and files that meet what is there: skip changes nothing at all, overwrite makes it as the file
// says and is idempotent, and neither reaches into another tenant.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/cleanup.h"
#include "tests/unit/import/support/loader.h"

static ez_loader *l;

static void begin(void) {
    l = given_loader();
    l->include_bindings = true;
}

static void end(void) {
    end_loader(l);
}

TestSuite(import_conflict, .init = begin, .fini = end);

static void load_demo(void) {
    FILE *file = fopen(EZ_TEST_DATA "/demo-export.json", "r");
    cr_assert_not_null(file);
    ez_autofree char *text = malloc(1 << 20);
    size_t len = fread(text, 1, 1 << 20, file);
    fclose(file);
    cr_assert(len > 0 && len < 1 << 20);
    cr_assert_eq(load_bytes(l, text, len), EZ_OK, "%s", l->error.message);
    cr_assert_str_empty(l->failures, "%s", l->failures);
}

Test(import_conflict, the_demo_comes_in_whole) {
    load_demo();
    expect_counts(l, EZ_PLAN_PROVIDERS, 7, 0, 0, 0);
    expect_counts(l, EZ_PLAN_MASTERS, 4, 0, 0, 0);
    expect_counts(l, EZ_PLAN_KEYS, 25, 0, 0, 0);
    expect_counts(l, EZ_PLAN_NAMESPACES, 2, 0, 1, 0);
    cr_assert_gt(l->counts[EZ_PLAN_BINDINGS][1], 20);
    cr_assert_eq(l->batches, 5, "a revision per kind, not per row");
}

Test(import_conflict, the_same_file_again_with_skip_makes_no_revision) {
    load_demo();
    uint64_t head = head_of(l->w);
    size_t bindings = l->counts[EZ_PLAN_BINDINGS][1];
    load_demo();
    expect_counts(l, EZ_PLAN_PROVIDERS, 0, 0, 7, 0);
    expect_counts(l, EZ_PLAN_MASTERS, 0, 0, 4, 0);
    expect_counts(l, EZ_PLAN_KEYS, 0, 0, 25, 0);
    expect_counts(l, EZ_PLAN_BINDINGS, 0, 0, bindings, 0);
    cr_assert_eq(head_of(l->w), head);
    cr_assert_str_empty(l->master_keys, "%s", l->master_keys);
}

// A group that came in without a base URL could once not be written over: its type asks for one.
Test(import_conflict, the_same_file_again_with_overwrite_makes_no_revision) {
    load_demo();
    uint64_t head = head_of(l->w);
    size_t bindings = l->counts[EZ_PLAN_BINDINGS][1];
    l->overwrite = true;
    load_demo();
    expect_counts(l, EZ_PLAN_PROVIDERS, 0, 7, 0, 0);
    expect_counts(l, EZ_PLAN_MASTERS, 0, 4, 0, 0);
    expect_counts(l, EZ_PLAN_KEYS, 0, 25, 0, 0);
    expect_counts(l, EZ_PLAN_BINDINGS, 0, bindings, 0, 0);
    cr_assert_eq(head_of(l->w), head);
    cr_assert_str_empty(l->master_keys, "an overwritten master keeps its key");
}

#define BEFORE                                                                                                         \
    "'providers':[{'original_id':1,'name':'p','type':'openai','api_key':'sk-old-1111','models':['m'],'weight':3}],"    \
    "'masters':[{'name':'acme','global_qps':1,'max_child_keys':9}],"                                                   \
    "'keys':[{'master_ref':'acme','name':'k','original_token':'token-1','quota_limit':5,'quota_used':1}],"             \
    "'bindings':[{'namespace':'default','route_group':'default','model':'m','status':'active'}]"
#define AFTER                                                                                                          \
    "'providers':[{'original_id':1,'name':'p','type':'openai','api_key':'sk-new-2222','models':['m','n'],'weight':4,"  \
    "'status':'disabled'}],'masters':[{'name':'acme','global_qps':2,'max_child_keys':9,'status':'suspended'}],"        \
    "'keys':[{'master_ref':'acme','name':'renamed','original_token':'token-1','quota_limit':-3,'quota_used':8,"        \
    "'expires_at':'2020-01-01T00:00:00Z','allow_ips':['192.0.2.1']}],"                                                 \
    "'bindings':[{'namespace':'default','route_group':'default','model':'m','status':'disabled'}]"

Test(import_conflict, skip_leaves_what_is_there) {
    load(l, BEFORE);
    uint64_t head = head_of(l->w);
    load(l, AFTER);
    cr_assert_eq(head_of(l->w), head);
    expect_counts(l, EZ_PLAN_KEYS, 0, 0, 1, 0);
    cr_assert_eq(master_named(l, "acme")->global_qps, 1);
    cr_assert_eq(key_named(l, "k")->quota_limit, 6);
    cr_assert_str_eq(api_key_named(l, "p")->api_key_last4, "1111");
}

Test(import_conflict, overwrite_makes_it_as_the_file_says) {
    load(l, BEFORE);
    Ez__V1__Master *before = master_named(l, "acme");
    int64_t id = key_named(l, "k")->id;
    l->overwrite = true;
    load(l, AFTER);
    Ez__V1__Master *acme = master_named(l, "acme");
    cr_assert_eq(acme->global_qps, 2);
    cr_assert_eq(acme->status, EZ__V1__MASTER_STATUS__MASTER_STATUS_SUSPENDED);
    cr_assert_eq(memcmp(acme->token_sha256.data, before->token_sha256.data, 32), 0);
    Ez__V1__Key *key = key_named(l, "renamed");
    cr_assert_eq(key->id, id);
    cr_assert(key->quota_limit == 8 && key->quota_used == 8);
    cr_assert_eq(key->status, EZ__V1__KEY_STATUS__KEY_STATUS_EXHAUSTED);
    cr_assert_eq(key->expires_at->seconds, 1577836800);
    cr_assert_eq(key->n_allow_ips, 1);
    Ez__V1__ApiKey *up = api_key_named(l, "p");
    cr_assert_str_eq(up->api_key_last4, "2222");
    cr_assert_eq(up->weight, 4);
    cr_assert_eq(up->status, EZ__V1__API_KEY_STATUS__API_KEY_STATUS_DISABLED);
    cr_assert_eq(group_named(l, "p")->n_models, 2);
    cr_assert_eq(group_named(l, "p")->status, EZ__V1__PROVIDER_GROUP_STATUS__PROVIDER_GROUP_STATUS_DISABLED);
    cr_assert_eq(find_binding(l, "default", "m", "p")->status, EZ__V1__BINDING_STATUS__BINDING_STATUS_DISABLED);
    load(l, BEFORE); // and back
    cr_assert_eq(key_named(l, "k")->status, EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE);
    cr_assert_null(key_named(l, "k")->expires_at);
    cr_assert_eq(key_named(l, "k")->n_allow_ips, 0);
}

// A token that is here already as another tenant's key was once rewritten with this one's limits.
Test(import_conflict, overwrite_does_not_reach_into_another_tenant) {
    load(l, "'masters':[{'name':'a'}],'keys':[{'master_ref':'a','name':'mine','original_token':'token-1'}]");
    l->overwrite = true;
    load(l, "'masters':[{'name':'b'}],'keys':[{'master_ref':'b','name':'stolen','original_token':'token-1'}]");
    expect_counts(l, EZ_PLAN_KEYS, 0, 0, 0, 1);
    expect_failure(l, "keys[0]", "of another master");
    cr_assert_eq(key_named(l, "mine")->master_id, master_named(l, "a")->id);
}

// An admin has told where it lives and put it in service: a file that does not know leaves that alone.
Test(import_conflict, overwrite_keeps_a_base_url_the_file_does_not_have) {
    static const char file[] =
        "'providers':[{'original_id':1,'name':'near','type':'ollama','api_key':'k','models':['m']}]";
    load(l, file);
    expect_ok(l->w, "ProviderGroups/Update",
              "{'id':%lld,'provider_group':{'base_url':'http://127.0.0.1:1','status':'active'}}",
              (long long)group_named(l, "near")->id);
    l->overwrite = true;
    load(l, file);
    expect_counts(l, EZ_PLAN_PROVIDERS, 0, 1, 0, 0);
    cr_assert_str_eq(group_named(l, "near")->base_url, "http://127.0.0.1:1");
    cr_assert_eq(group_named(l, "near")->status, EZ__V1__PROVIDER_GROUP_STATUS__PROVIDER_GROUP_STATUS_ACTIVE);
}

Test(import_conflict, a_row_that_fails_changes_nothing_and_the_rest_is_in) {
    load(l, "'masters':[{'name':'a','max_child_keys':1}]");
    load(l, "'keys':[{'master_ref':'a','name':'first','original_token':'t1'},{'master_ref':'a','name':'second','"
            "original_token':'t2'}],"
            "'masters':[{'name':'c'}]");
    expect_counts(l, EZ_PLAN_KEYS, 1, 0, 0, 1);
    expect_failure(l, "keys[1]", "may have at most 1");
    key_named(l, "first");
    cr_assert_null(find_key(l, "second"));
    master_named(l, "c");
}

// What a caller of the method sends need not come from a plan.
Test(import_conflict, rows_are_checked_where_they_are_applied) {
    static const struct {
        const char *row, *why;
    } rows[] = {{"{'index':1}", "holds nothing"},
                {"{'index':1,'namespace':'a.b'}", "name"},
                {"{'index':1,'master':{}}", "name"},
                {"{'index':1,'provider':{}}", "no provider group"},
                {"{'index':1,'provider':{'provider_group':{'type':'openai'}}}", "name"},
                {"{'index':1,'binding':{'group_name':'x'}}", "no provider group"},
                {"{'index':1,'key':{'master_name':'x'}}", "token"}};
    uint64_t head = head_of(l->w);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Ez__V1__ImportResult result;
        apply_json(l, rows[i].row, &result);
        cr_assert_eq(result.outcome, EZ__V1__IMPORT_OUTCOME__IMPORT_OUTCOME_FAILED, "%s", rows[i].row);
        cr_assert_not_null(strstr(result.reason, rows[i].why), "%s: %s", rows[i].row, result.reason);
    }
    cr_assert_eq(head_of(l->w), head);
}
