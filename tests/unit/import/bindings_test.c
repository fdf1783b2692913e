// SPDX-License-Identifier: Apache-2.0
//
// Bindings (trap 12): many lines for one, a group of the source where a provider group is meant.
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/import/support/loader.h"

#define ACTIVE   EZ__V1__BINDING_STATUS__BINDING_STATUS_ACTIVE
#define DISABLED EZ__V1__BINDING_STATUS__BINDING_STATUS_DISABLED

static ez_loader *l;

static void begin(void) {
    l = given_loader();
    l->include_bindings = true;
}

static void end(void) {
    end_loader(l);
}

TestSuite(import_bindings, .init = begin, .fini = end);

#define PROVIDER(id, name, more)                                                                                       \
    "{'original_id':" #id ",'name':'" name "','type':'openai','api_key':'sk-" name "'" more "}"
#define BIND(namespace, group, model, more)                                                                            \
    "{'namespace':'" namespace "','route_group':'" group "','model':'" model "'" more "}"

static const char providers[] =
    "'providers':[" PROVIDER(1, "a", ",'models':['m','n'],'all_groups':['default','vip']") "," PROVIDER(
        2, "b", ",'models':['m'],'all_groups':['vip']") "," PROVIDER(3, "c",
                                                                     ",'models':['m'],'primary_group':'"
                                                                     "default'") "," PROVIDER(4, "d",
                                                                                              ",'models':['o']") "]";

Test(import_bindings, once_to_every_group_that_serves_route_group_and_model) {
    load(l, "%s,'bindings':[%s,%s,%s,%s]", providers, BIND("default", "default", "m", ""),
         BIND("default", "default", "m", ""), BIND("vip", "vip", "m", ""),
         BIND("default", "default", "m", ",'status':'active'"));
    expect_counts(l, EZ_PLAN_BINDINGS, 4, 0, 0, 0);
    cr_assert(find_binding(l, "default", "m", "a") && find_binding(l, "default", "m", "c"));
    cr_assert(find_binding(l, "vip", "m", "a") && find_binding(l, "vip", "m", "b"));
    cr_assert_null(find_binding(l, "default", "m", "b"));
    cr_assert_str_eq(find_binding(l, "vip", "m", "b")->upstream_model, "m");
    expect_no_warnings(l);
    cr_assert(has_namespace(l, "vip"));
}

Test(import_bindings, are_left_out_unless_asked_for) {
    l->include_bindings = false;
    load(l, "%s,'bindings':[%s,7,{'model':''}]", providers, BIND("vip", "vip", "m", ""));
    expect_counts(l, EZ_PLAN_BINDINGS, 0, 0, 0, 0);
    cr_assert(!has_namespace(l, "vip"));
}

Test(import_bindings, no_group_at_all_means_default) {
    load(l, "%s,'bindings':[%s]", providers, BIND("", "", "o", ""));
    expect_counts(l, EZ_PLAN_BINDINGS, 1, 0, 0, 0);
    cr_assert_not_null(find_binding(l, "default", "o", "d"));
}

Test(import_bindings, of_repeats_an_active_one_counts_whichever_comes_first) {
    load(l, "%s,'bindings':[%s,%s,%s,%s,%s]", providers, BIND("default", "default", "m", ",'status':'disabled'"),
         BIND("default", "default", "m", ",'status':'active'"), BIND("default", "default", "n", ",'status':'active'"),
         BIND("default", "default", "n", ",'status':'disabled'"),
         BIND("default", "default", "o", ",'status':'disabled'"));
    expect_counts(l, EZ_PLAN_BINDINGS, 4, 0, 0, 0);
    cr_assert_eq(find_binding(l, "default", "m", "a")->status, ACTIVE);
    cr_assert_eq(find_binding(l, "default", "m", "c")->status, ACTIVE);
    cr_assert_eq(find_binding(l, "default", "n", "a")->status, ACTIVE);
    cr_assert_eq(find_binding(l, "default", "o", "d")->status, DISABLED);
}

Test(import_bindings, two_route_groups_of_one_namespace_do_not_bind_twice) {
    load(l, "%s,'bindings':[%s,%s]", providers, BIND("x", "default", "m", ",'status':'disabled'"),
         BIND("x", "vip", "m", ""));
    expect_counts(l, EZ_PLAN_BINDINGS, 3, 0, 0, 0);
    cr_assert_eq(find_binding(l, "x", "m", "a")->status, ACTIVE);
    cr_assert_eq(find_binding(l, "x", "m", "c")->status, DISABLED);
}

Test(import_bindings, served_by_nobody_are_left_out_with_one_warning) {
    load(l, "%s,'bindings':[%s,%s,%s]", providers, BIND("default", "gold", "m", ",'status':'disabled'"),
         BIND("default", "gold", "m", ""), BIND("default", "vip", "zzz", ""));
    expect_counts(l, EZ_PLAN_BINDINGS, 0, 0, 0, 0);
    expect_warning(l, "no imported provider serves model \"m\" in group \"gold\"");
    expect_warning(l, "no imported provider serves model \"zzz\" in group \"vip\"");
}

Test(import_bindings, what_is_wrong_fails_alone_and_once) {
    load(l, "%s,'bindings':[%s,%s,7,%s]", providers, BIND("default", "default", "", ""),
         BIND("default", "default", "m", ",'status':'odd'"), BIND("default", "default", "o", ""));
    expect_counts(l, EZ_PLAN_BINDINGS, 1, 0, 0, 3);
    expect_failure(l, "bindings[0]", "it names no model");
    expect_failure(l, "bindings[1]", "neither active nor disabled");
    expect_failure(l, "bindings[2]", "it is not an object");
}

Test(import_bindings, a_dry_run_says_the_same) {
    l->dry_run = true;
    uint64_t head = head_of(l->w);
    load(l, "%s,'bindings':[%s,%s]", providers, BIND("v.1", "vip", "m", ""), BIND("default", "default", "m", ""));
    expect_counts(l, EZ_PLAN_BINDINGS, 4, 0, 0, 0);
    expect_warning(l, "\"v.1\"");
    cr_assert_eq(head_of(l->w), head);
}

Test(import_bindings, to_a_group_that_failed_fail) {
    load(l, "'providers':[%s],'bindings':[%s]", PROVIDER(1, "a", ",'models':['m'],'base_url':'nowhere'"),
         BIND("default", "default", "m", ""));
    expect_counts(l, EZ_PLAN_BINDINGS, 0, 0, 0, 1);
    expect_failure(l, "bindings[0]", "there is no provider group \"a\"");
}
