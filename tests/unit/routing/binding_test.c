// SPDX-License-Identifier: Apache-2.0
//
// Bindings: identity, selectors, errors that are kept rather than refused, lists and batches.
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/access/support/world.h"

#define NO_ERROR    EZ__V1__BINDING_ERROR__BINDING_ERROR_NONE
#define CONFIG      EZ__V1__BINDING_ERROR__BINDING_ERROR_CONFIG_ERROR
#define NO_PROVIDER EZ__V1__BINDING_ERROR__BINDING_ERROR_NO_PROVIDER

static Ez__V1__ProviderGroup *given_usable_group(world *w, const char *name, const char *models) {
    Ez__V1__ProviderGroup *group = given_group(w, name, models);
    given_api_key(w, group->id, name);
    return group;
}

Test(binding, defaults) {
    world *w = given_world();
    Ez__V1__ProviderGroup *group = given_usable_group(w, "main", "'gpt-4o','gpt-4o-mini'");
    Ez__V1__Binding *made = given_binding(w, "gpt-4o", group->id);
    cr_assert_eq(made->weight, 1);
    cr_assert_eq(made->selector_type, EZ__V1__SELECTOR_TYPE__SELECTOR_TYPE_EXACT);
    cr_assert_str_eq(made->selector_value, "gpt-4o");
    cr_assert_str_eq(made->upstream_model, "gpt-4o");
    cr_assert_eq(made->error, NO_ERROR);
    cr_assert_eq(read_binding(w, made->id)->weight, 1);
    end_world(w);
}

Test(binding, refusals) {
    world *w = given_world();
    Ez__V1__ProviderGroup *group = given_usable_group(w, "main", "'m'");
    long long id = (long long)group->id;
    Ez__V1__Binding *made = given_binding(w, "m", group->id);
    expect_error(w, EZ_ALREADY_EXISTS, "BINDING_EXISTS", "already", "Bindings/Create",
                 "{'binding':{'namespace':'default','public_model':'m','group_id':%lld}}", id);
    expect_error(w, EZ_FAILED_PRECONDITION, "NAMESPACE_UNKNOWN", "\"x\"", "Bindings/Create",
                 "{'binding':{'namespace':'x','public_model':'m','group_id':%lld}}", id);
    expect_error(w, EZ_FAILED_PRECONDITION, "GROUP_UNKNOWN", "99", "Bindings/Create",
                 "{'binding':{'namespace':'default','public_model':'m','group_id':99}}");
    expect_error(w, EZ_INVALID_ARGUMENT, "SELECTOR_INVALID", "backreference", "Bindings/Create",
                 "{'binding':{'namespace':'default','public_model':'n','group_id':%lld,'selector_type':'regex',"
                 "'selector_value':'(a)\\\\1'}}",
                 id);
    expect_error(w, EZ_INVALID_ARGUMENT, "SELECTOR_INVALID", "lookaround", "Bindings/Update",
                 "{'id':%lld,'binding':{'selector_type':'regex','selector_value':'(?=a)'}}", (long long)made->id);
    expect_error(w, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "public_model", "Bindings/Update",
                 "{'id':%lld,'binding':{'public_model':'other'}}", (long long)made->id);
    expect_error(w, EZ_NOT_FOUND, "NOT_FOUND", "there is no binding 99", "Bindings/Delete", "{'id':99}");
    end_world(w);
}

Test(binding, a_selector_must_hit_one) {
    world *w = given_world();
    Ez__V1__ProviderGroup *group = given_usable_group(w, "main", "'gpt-4o','openai/GPT-4o','gpt-4o-mini'");
    long long id = (long long)group->id;
    Ez__V1__Binding *binding =
        expect_ok(w, "Bindings/Create", "{'binding':{'namespace':'default','public_model':'x','group_id':%lld}}", id);
    cr_assert_eq(binding->error, CONFIG);
    cr_assert_str_eq(binding->upstream_model, "");
    cr_assert_not_null(strstr(binding->error_detail, "none of the 3 models"), "%s", binding->error_detail);
    long long at = (long long)binding->id;
    binding = expect_ok(w, "Bindings/Update",
                        "{'id':%lld,'binding':{'selector_type':'regex','selector_value':'gpt-4o'}}", at);
    cr_assert_eq(binding->error, CONFIG);
    cr_assert_not_null(strstr(binding->error_detail, "2 models"), "%s", binding->error_detail);
    cr_assert_not_null(strstr(binding->error_detail, "gpt-4o-mini"), "%s", binding->error_detail);
    binding = expect_ok(w, "Bindings/Update", "{'id':%lld,'binding':{'selector_value':'mini$'}}", at);
    cr_assert_eq(binding->error, NO_ERROR);
    cr_assert_str_eq(binding->upstream_model, "gpt-4o-mini");
    cr_assert_str_eq(binding->error_detail, "");
    binding = expect_ok(w, "Bindings/Update",
                        "{'id':%lld,'binding':{'selector_type':'normalize_exact','selector_value':'Gpt-4O'}}", at);
    cr_assert_eq(binding->error, CONFIG, "gpt-4o and openai/GPT-4o are the same then");
    binding = expect_ok(w, "Bindings/Update", "{'id':%lld,'binding':{'selector_value':'GPT-4o-MINI'}}", at);
    cr_assert_str_eq(binding->upstream_model, "gpt-4o-mini");
    // Cleared: what it is named.
    binding = expect_ok(w, "Bindings/Update", "{'id':%lld,'binding':{},'update_mask':['selector_value']}", at);
    cr_assert_str_eq(binding->selector_value, "x");
    end_world(w);
}

Test(binding, no_provider_comes_first) {
    world *w = given_world();
    Ez__V1__ProviderGroup *group = given_group(w, "main", "'m'");
    Ez__V1__Binding *binding = given_binding(w, "nothing-like-it", group->id);
    cr_assert_eq(binding->error, NO_PROVIDER);
    cr_assert_not_null(strstr(binding->error_detail, "no API key in service"), "%s", binding->error_detail);
    given_api_key(w, group->id, "one");
    cr_assert_eq(read_binding(w, binding->id)->error, CONFIG);
    expect_ok(w, "ProviderGroups/Update", "{'id':%lld,'provider_group':{'status':'disabled'}}", (long long)group->id);
    binding = read_binding(w, binding->id);
    cr_assert_eq(binding->error, NO_PROVIDER);
    cr_assert_not_null(strstr(binding->error_detail, "is disabled"), "%s", binding->error_detail);
    end_world(w);
}

Test(binding, a_costly_expression_is_kept_with_its_error) {
    world *w = given_world();
    char name[256];
    memset(name, 'a', 254);
    name[254] = '!';
    name[255] = 0;
    Ez__V1__ProviderGroup *group = expect_ok(
        w, "ProviderGroups/Create", "{'provider_group':{'name':'main','type':'openai','models':['%s']}}", name);
    given_api_key(w, group->id, "one");
    Ez__V1__Binding *binding = expect_ok(w, "Bindings/Create",
                                         "{'binding':{'namespace':'default','public_model':'x','group_id':%lld,"
                                         "'selector_type':'regex','selector_value':'^(a+)+$'}}",
                                         (long long)group->id);
    cr_assert_eq(binding->error, CONFIG);
    cr_assert_not_null(strstr(binding->error_detail, "too many steps"), "%s", binding->error_detail);
    end_world(w);
}

Test(binding, lists_by_what_it_binds) {
    world *w = given_world();
    given_namespace(w, "a");
    Ez__V1__ProviderGroup *one = given_usable_group(w, "one", "'m'");
    Ez__V1__ProviderGroup *two = given_usable_group(w, "two", "'m'");
    static const char *const spaces[] = {"default", "a"};
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++)
            expect_ok(w, "Bindings/Create", "{'binding':{'namespace':'%s','public_model':'m','group_id':%lld}}",
                      spaces[i], (long long)(j ? two->id : one->id));
    given_binding(w, "n", one->id);
    expect_ok(w, "Bindings/Update", "{'id':5,'binding':{'status':'disabled'}}");
    static const struct {
        const char *filter;
        size_t count;
    } cases[] = {
        {"", 5},
        {"'namespace':'default'", 3},
        {"'namespace':'default','public_model':'m'", 2},
        {"'public_model':'m'", 4},
        {"'group_id':1", 3},
        {"'group_id':1,'namespace':'a'", 1},
        {"'group_id':2,'namespace':'default','public_model':'m'", 1},
        {"'status':'disabled'", 1},
        {"'q':'N'", 1},
        {"'namespace':'nowhere'", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Ez__V1__ListBindingsResponse *list = expect_ok(w, "Bindings/List", "{%s}", cases[i].filter);
        cr_assert_eq(list->n_items, cases[i].count, "%s: %zu", cases[i].filter, list->n_items);
    }
    end_world(w);
}

// It could be compared with one item only, and the caller would think that it held for all.
Test(binding, batch_refuses_if_match) {
    world *w = given_world();
    Ez__V1__ProviderGroup *group = given_usable_group(w, "main", "'m','n'");
    Ez__V1__Binding *one = given_binding(w, "m", group->id), *two = given_binding(w, "n", group->id);
    w->if_match = one->revision;
    expect_error(w, EZ_INVALID_ARGUMENT, "IF_MATCH_UNSUPPORTED", "one by one", "Bindings/Batch",
                 "{'items':[{'delete':{'id':%lld}},{'delete':{'id':%lld}}]}", (long long)one->id, (long long)two->id);
    read_binding(w, one->id);
    w->if_match = one->revision;
    expect_error(w, EZ_INVALID_ARGUMENT, "IF_MATCH_UNSUPPORTED", "one by one", "ApiKeys/Batch",
                 "{'items':[{'create':{'group_id':%lld,'api_key':'k'}}]}", (long long)group->id);
    end_world(w);
}

Test(binding, batch_answers_each_item) {
    world *w = given_world();
    Ez__V1__ProviderGroup *group = given_usable_group(w, "main", "'m','n'");
    long long id = (long long)group->id;
    uint64_t head = head_of(w);
    Ez__V1__BatchBindingsResponse *reply =
        expect_ok(w, "Bindings/Batch",
                  "{'items':[{'create':{'namespace':'default','public_model':'m','group_id':%lld}},"
                  "{'create':{'namespace':'default','public_model':'m','group_id':%lld}},"
                  "{'create':{'namespace':'default','public_model':'x','group_id':%lld}},"
                  "{'create':{'public_model':'x','group_id':%lld}},{'update':{'id':1,'binding':{'weight':7}}},"
                  "{'update':{'id':1}},{'delete':{'id':99}},{'create':{'namespace':'default','public_model':'n','group_"
                  "id':%lld}},"
                  "{'delete':{'id':2}}]}",
                  id, id, id, id, id);
    cr_assert_eq(head_of(w), head + 1);
    static const int codes[] = {
        EZ_OK, EZ_ALREADY_EXISTS, EZ_OK, EZ_INVALID_ARGUMENT, EZ_OK, EZ_INVALID_ARGUMENT, EZ_NOT_FOUND, EZ_OK, EZ_OK};
    cr_assert_eq(reply->n_results, sizeof codes / sizeof codes[0]);
    for (size_t i = 0; i < reply->n_results; i++)
        cr_assert_eq(reply->results[i]->code, codes[i], "item %zu: %s", i, reply->results[i]->message);
    cr_assert_eq(reply->succeeded, 5);
    cr_assert_eq(reply->failed, 4);
    cr_assert_eq(reply->results[2]->binding->error, CONFIG, "kept, with its error");
    cr_assert_eq(read_binding(w, 1)->weight, 7);
    Ez__V1__ListBindingsResponse *list = expect_ok(w, "Bindings/List", "{}");
    cr_assert_eq(list->n_items, 2);
    end_world(w);
}
