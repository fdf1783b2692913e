// SPDX-License-Identifier: Apache-2.0
//
// Providers (traps 1, 2 and 3): which elements are one group, what it is called, types ezplane does not know, and API
// keys that keep what they had.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/cleanup.h"
#include "tests/unit/import/support/loader.h"

#define GROUP_ACTIVE   EZ__V1__PROVIDER_GROUP_STATUS__PROVIDER_GROUP_STATUS_ACTIVE
#define GROUP_DISABLED EZ__V1__PROVIDER_GROUP_STATUS__PROVIDER_GROUP_STATUS_DISABLED
#define KEY_ACTIVE     EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE
#define KEY_DISABLED   EZ__V1__API_KEY_STATUS__API_KEY_STATUS_DISABLED

static ez_loader *l;

static void begin(void) {
    l = given_loader();
}

static void end(void) {
    end_loader(l);
}

TestSuite(import_providers, .init = begin, .fini = end);

static const char *label(const Ez__V1__ProviderGroup *group, const char *key) {
    return label_of((const Ez__V1__Master__LabelsEntry *const *)(const void *)group->labels, group->n_labels, key);
}

// A provider's row with the fields every test would repeat.
#define PROVIDER(id, name, more)                                                                                       \
    "{'original_id':" id ",'name':'" name "','type':'openai','api_key':'sk-up-" name "'" more "}"

Test(import_providers, a_channel_with_several_keys_is_one_group) {
    load(
        l, "'providers':[%s,%s,%s,%s]",
        PROVIDER("7", "main", ",'is_multi_key':true,'original_name':'main','models':['a'],'weight':5,'auto_ban':false"),
        PROVIDER("8", "other", ",'models':['x']"),
        PROVIDER("7", "main-2", ",'is_multi_key':true,'original_name':'main','models':['b'],'weight':0"),
        PROVIDER("7", "main-3", ",'is_multi_key':true,'original_name':'main','status':'disabled','weight':9000000"));
    expect_counts(l, EZ_PLAN_PROVIDERS, 2, 0, 0, 0);
    expect_no_warnings(l);
    Ez__V1__ProviderGroup *main = group_named(l, "main");
    cr_assert_eq(main->key_count, 3);
    cr_assert_eq(main->n_models, 2);
    cr_assert_str_eq(label(main, "original_id"), "7");
    Ez__V1__ApiKey *first = api_key_named(l, "main"), *second = api_key_named(l, "main-2"),
                   *third = api_key_named(l, "main-3");
    cr_assert(first->group_id == main->id && second->group_id == main->id && third->group_id == main->id);
    cr_assert(first->weight == 5 && second->weight == 1 && third->weight == 1000000);
    cr_assert(!first->auto_ban && second->auto_ban);
    cr_assert(first->status == KEY_ACTIVE && second->status == KEY_ACTIVE && third->status == KEY_DISABLED);
    cr_assert_str_eq(first->api_key, "");
    cr_assert_str_eq(first->api_key_last4, "main");
}

Test(import_providers, names_are_settled_after_grouping) {
    load(l, "'providers':[%s,%s,%s,%s]", PROVIDER("1", "main", ""), PROVIDER("2", "main", ",'models':['two']"),
         PROVIDER("3", "main-2", ",'models':['three']"), PROVIDER("4", " main ", ",'models':['four']"));
    expect_counts(l, EZ_PLAN_PROVIDERS, 4, 0, 0, 0);
    cr_assert_str_eq(group_named(l, "main-2")->models[0], "three");
    cr_assert_str_eq(group_named(l, "main-3")->models[0], "two");
    cr_assert_str_eq(group_named(l, "main-4")->models[0], "four");
    expect_warning(l, "the later one becomes \"main-3\"");
    expect_warning(l, "the later one becomes \"main-4\"");
}

Test(import_providers, one_original_id_under_different_names_is_one_group) {
    load(l, "'providers':[%s,%s]", PROVIDER("1", "a", ""), PROVIDER("'1'", "b", ""));
    expect_counts(l, EZ_PLAN_PROVIDERS, 1, 0, 0, 0);
    cr_assert_eq(group_named(l, "a")->key_count, 2);
}

// A credential must not go to another's host, whatever the file says of their ids.
Test(import_providers, elements_with_another_host_are_never_one_group) {
    load(l, "'providers':[%s,%s,%s]", PROVIDER("1", "a", ",'base_url':'https://a.example'"),
         PROVIDER("1", "b", ",'base_url':'https://b.example'"), PROVIDER("1", "c", ",'base_url':'https://a.example'"));
    expect_counts(l, EZ_PLAN_PROVIDERS, 2, 0, 0, 0);
    cr_assert_eq(group_named(l, "a")->key_count, 2);
    cr_assert_eq(api_key_named(l, "b")->group_id, group_named(l, "b")->id);
    expect_warning(l, "providers[1] has another type or base_url");
}

Test(import_providers, without_an_original_id_each_is_alone) {
    load(l,
         "'providers':[{'name':'a','type':'openai','api_key':'k1'},{'name':'b','type':'openai','api_key':'k2'},%s,%s]",
         PROVIDER("0", "c", ""), PROVIDER("0", "d", ""));
    expect_counts(l, EZ_PLAN_PROVIDERS, 4, 0, 0, 0);
}

Test(import_providers, unknown_types_become_compatible) {
    load(
        l,
        "'providers':[{'original_id':1,'name':'far','type':' DeepSeek ','base_url':'https://d.example','api_key':'k1'},"
        "{'original_id':2,'name':'near','type':'ollama','api_key':'k2'},"
        "{'original_id':3,'name':'bare','type':'compatible','api_key':'k3'},"
        "{'original_id':4,'name':'known','type':'Gemini','api_key':'k4'}]");
    expect_counts(l, EZ_PLAN_PROVIDERS, 4, 0, 0, 0);
    Ez__V1__ProviderGroup *far = group_named(l, "far"), *near = group_named(l, "near"), *bare = group_named(l, "bare");
    cr_assert_str_eq(far->type, "compatible");
    cr_assert_str_eq(label(far, "original_type"), "deepseek");
    cr_assert_eq(far->status, GROUP_ACTIVE);
    cr_assert_str_eq(label(near, "original_type"), "ollama");
    cr_assert_eq(near->status, GROUP_DISABLED);
    cr_assert_str_eq(near->base_url, "", "the host it was made with is gone");
    cr_assert_eq(bare->status, GROUP_DISABLED);
    cr_assert_str_eq(group_named(l, "known")->type, "gemini");
    expect_warning(l, "type \"deepseek\" is not known");
    expect_warning(l, "type \"ollama\" is not known here: it comes in as \"compatible\", disabled until");
    expect_warning(l, "\"bare\" has no base_url");
}

Test(import_providers, one_bad_api_key_fails_alone) {
    load(l, "'providers':[%s,%s,%s]", PROVIDER("1", "a", ""), PROVIDER("1", "b", ",'status':'resting'"),
         PROVIDER("1", "c", ",'weight':'heavy'"));
    cr_assert_eq(group_named(l, "a")->key_count, 1);
    expect_counts(l, EZ_PLAN_PROVIDERS, 1, 0, 0, 2);
    expect_failure(l, "provider groups[1]", "neither active nor disabled");
    expect_failure(l, "provider groups[2]", "weight: must be a whole number");
}

Test(import_providers, a_group_none_of_whose_api_keys_can_be_fails) {
    load(l, "'providers':[%s,%s]", PROVIDER("1", "a", ",'status':'resting'"),
         PROVIDER("2", "b", ",'base_url':'nowhere'"));
    expect_counts(l, EZ_PLAN_PROVIDERS, 0, 0, 0, 2);
    expect_failure(l, "provider groups[0]", "neither active nor disabled");
    expect_failure(l, "provider groups[1]", "base_url");
}

Test(import_providers, one_without_an_api_key_comes_in_without_it) {
    load(l, "'providers':[{'original_id':1,'name':'a','type':'openai'}]");
    expect_counts(l, EZ_PLAN_PROVIDERS, 1, 0, 0, 0);
    cr_assert_eq(group_named(l, "a")->key_count, 0);
    cr_assert_eq(group_named(l, "a")->status, GROUP_DISABLED);
    expect_warning(l, "has no api_key");
}

// By name they are found again when the file is imported again.
Test(import_providers, api_keys_of_one_name_get_numbers) {
    load(l, "'providers':[%s,%s,%s]", PROVIDER("1", "a", ""), PROVIDER("1", "a", ",'weight':2"),
         PROVIDER("1", "a-2", ",'weight':3"));
    cr_assert_eq(group_named(l, "a")->key_count, 3);
    cr_assert_eq(api_key_named(l, "a-2")->weight, 2);
    cr_assert_eq(api_key_named(l, "a-2-2")->weight, 3);
}

static char *models(size_t count) {
    char *text = malloc(count * 16 + 1), *at = text;
    cr_assert_not_null(text);
    *text = 0;
    for (size_t i = 0; i < count; i++)
        at += sprintf(at, "%s'model-%05zu'", i ? "," : "", i);
    return text;
}

Test(import_providers, ten_thousand_models_are_taken_and_one_more_is_not) {
    ez_autofree char *most = models(10000);
    ez_autofree char *more = models(10001);
    load(l,
         "'providers':[{'original_id':1,'name':'a','type':'openai','api_key':'k','models':[%s]},"
         "{'original_id':2,'name':'b','type':'openai','api_key':'k','models':[%s]},%s]",
         most, more, PROVIDER("3", "c", ""));
    expect_counts(l, EZ_PLAN_PROVIDERS, 2, 0, 0, 1);
    cr_assert_eq(group_named(l, "a")->n_models, 10000);
    expect_failure(l, "provider groups[1]", "models");
}

// A text of 1 KiB once stood for "no memory" and ended the whole import.
Test(import_providers, a_model_that_is_too_long_fails_its_own_provider) {
    char model[2000];
    memset(model, 'm', sizeof model);
    model[sizeof model - 1] = 0;
    load(l, "'providers':[{'original_id':1,'name':'a','type':'openai','api_key':'k','models':['%s']},%s]", model,
         PROVIDER("2", "b", ""));
    expect_counts(l, EZ_PLAN_PROVIDERS, 1, 0, 0, 1);
    expect_failure(l, "provider groups[0]", "models[0]: must have at most 255 bytes");
}

Test(import_providers, long_names_are_cut_between_characters) {
    char name[1200] = "";
    for (int i = 0; i < 300; i++)
        strcat(name, "道");
    load(l,
         "'providers':[{'original_id':1,'name':'%s','type':'openai','api_key':'k1'},"
         "{'original_id':2,'name':'%s','type':'openai','api_key':'k2'}]",
         name, name);
    expect_counts(l, EZ_PLAN_PROVIDERS, 2, 0, 0, 0);
}

static char *api_keys(size_t count) {
    char *text = malloc(count * 96 + 1), *at = text;
    cr_assert_not_null(text);
    for (size_t i = 0; i < count; i++)
        at += sprintf(at, "%s{'original_id':1,'name':'k-%05zu','type':'openai','api_key':'sk-%05zu'}", i ? "," : "", i,
                      i);
    return text;
}

// Each was once found by reading all of the group's: 25 million reads for 5,000.
Test(import_providers, a_group_of_many_api_keys_twice, .timeout = 90) {
    ez_autofree char *keys = api_keys(5000);
    load(l, "'providers':[%s]", keys);
    cr_assert_eq(group_named(l, "k-00000")->key_count, 5000);
    uint64_t head = head_of(l->w);
    l->overwrite = true;
    load(l, "'providers':[%s]", keys);
    expect_counts(l, EZ_PLAN_PROVIDERS, 0, 1, 0, 0);
    cr_assert_eq(group_named(l, "k-00000")->key_count, 5000);
    cr_assert_eq(head_of(l->w), head);
}

Test(import_providers, more_than_ten_thousand_api_keys_fail_alone) {
    end_loader(l);
    l = given_planner();
    ez_autofree char *keys = api_keys(10001);
    load(l, "'providers':[%s,%s]", keys, PROVIDER("2", "b", ""));
    expect_counts(l, EZ_PLAN_PROVIDERS, 1, 0, 0, 1);
    expect_failure(l, "provider groups[0]", "it has 10001 API keys, of at most 10000");
}
