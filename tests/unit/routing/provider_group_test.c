// SPDX-License-Identifier: Apache-2.0
//
// Provider groups: what each type needs, lists without repeats, deletion with what points to a group, and presets.
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/access/support/world.h"

Test(provider_group, create_and_read) {
    world *w = given_world();
    Ez__V1__ProviderGroup *made = expect_ok(w, "ProviderGroups/Create",
                                            "{'provider_group':{'name':'main','type':' OpenAI "
                                            "','models':['b','a','b','c','a'],'static_headers':{'X-A':'1'}}}");
    cr_assert_str_eq(made->type, "openai");
    cr_assert_eq(made->n_models, 3);
    cr_assert_str_eq(made->models[0], "b");
    cr_assert_str_eq(made->models[1], "a");
    cr_assert_str_eq(made->models[2], "c");
    cr_assert_eq(made->status, EZ__V1__PROVIDER_GROUP_STATUS__PROVIDER_GROUP_STATUS_ACTIVE);
    given_api_key(w, made->id, "one");
    given_api_key(w, made->id, "two");
    Ez__V1__ProviderGroup *read = expect_ok(w, "ProviderGroups/Get", "{'id':%lld}", (long long)made->id);
    cr_assert_eq(read->key_count, 2);
    given_group(w, "other", "");
    expect_ok(w, "ProviderGroups/Update", "{'id':%lld,'provider_group':{'status':'disabled'}}", (long long)made->id);
    Ez__V1__ListProviderGroupsResponse *list =
        expect_ok(w, "ProviderGroups/List", "{'type':'openai','status':'disabled'}");
    cr_assert_eq(list->n_items, 1);
    cr_assert_eq(list->items[0]->key_count, 2);
    list = expect_ok(w, "ProviderGroups/List", "{'type':'gemini'}");
    cr_assert_eq(list->n_items, 0);
    list = expect_ok(w, "ProviderGroups/List", "{'q':'OTH'}");
    cr_assert_eq(list->n_items, 1);
    end_world(w);
}

Test(provider_group, what_types_need) {
    world *w = given_world();
    expect_error(w, EZ_INVALID_ARGUMENT, "BASE_URL_REQUIRED", "compatible", "ProviderGroups/Create",
                 "{'provider_group':{'name':'a','type':'compatible'}}");
    expect_error(w, EZ_INVALID_ARGUMENT, "BASE_URL_REQUIRED", "compatible", "ProviderGroups/Create",
                 "{'provider_group':{'name':'a','type':'compatible','status':'disabled'}}");
    expect_error(w, EZ_INVALID_ARGUMENT, "BASE_URL_INSECURE", "https", "ProviderGroups/Create",
                 "{'provider_group':{'name':'a','type':'compatible','base_url':'http://example.com/v1'}}");
    expect_error(w, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "type", "ProviderGroups/Create",
                 "{'provider_group':{'name':'a','type':'azure'}}");
    expect_error(w, EZ_INVALID_ARGUMENT, "HEADER_REFUSED", "Authorization", "ProviderGroups/Create",
                 "{'provider_group':{'name':'a','type':'openai','static_headers':{'Authorization':'Bearer x'}}}");
    expect_error(w, EZ_INVALID_ARGUMENT, "HEADER_REFUSED", "twice", "ProviderGroups/Create",
                 "{'provider_group':{'name':'a','type':'openai','static_headers':{'X-A':'1','x-a':'2'}}}");
    Ez__V1__ProviderGroup *vertex =
        expect_ok(w, "ProviderGroups/Create", "{'provider_group':{'name':'v','type':'vertex'}}");
    cr_assert_str_eq(vertex->google_location, "global");
    vertex = expect_ok(w, "ProviderGroups/Create",
                       "{'provider_group':{'name':'v2','type':'vertex-express','google_location':'europe-west1'}}");
    cr_assert_str_eq(vertex->google_location, "europe-west1");
    expect_error(w, EZ_ALREADY_EXISTS, "NAME_TAKEN", "\"v\"", "ProviderGroups/Create",
                 "{'provider_group':{'name':'v','type':'openai'}}");
    expect_error(w, EZ_INVALID_ARGUMENT, "BASE_URL_REQUIRED", "compatible", "ProviderGroups/Update",
                 "{'id':%lld,'provider_group':{'type':'compatible'}}", (long long)vertex->id);
    expect_error(w, EZ_NOT_FOUND, "NOT_FOUND", "there is no provider group 99", "ProviderGroups/Get", "{'id':99}");
    end_world(w);
}

Test(provider_group, an_imported_one_without_base_url_is_changed_but_not_enabled) {
    world *w = given_world();
    Ez__V1__ProviderGroup group = EZ__V1__PROVIDER_GROUP__INIT;
    group.name = (char *)"imported";
    group.type = (char *)"compatible";
    group.status = EZ__V1__PROVIDER_GROUP_STATUS__PROVIDER_GROUP_STATUS_DISABLED;
    given_stored(w, EZ__V1__KIND__KIND_PROVIDER_GROUP, &group.base);
    expect_ok(w, "ProviderGroups/Update", "{'id':%lld,'provider_group':{'name':'renamed'}}", (long long)group.id);
    expect_error(w, EZ_INVALID_ARGUMENT, "BASE_URL_REQUIRED", "compatible", "ProviderGroups/Update",
                 "{'id':%lld,'provider_group':{'status':'active'}}", (long long)group.id);
    expect_ok(w, "ProviderGroups/Update",
              "{'id':%lld,'provider_group':{'status':'active','base_url':'https://llm.example.com/v1'}}",
              (long long)group.id);
    end_world(w);
}

Test(provider_group, deletion_names_what_points_to_it) {
    world *w = given_world();
    Ez__V1__ProviderGroup *group = given_group(w, "main", "'m'");
    Ez__V1__ApiKey *key = given_api_key(w, group->id, "one");
    Ez__V1__Binding *binding = given_binding(w, "m", group->id);
    expect_error(w, EZ_FAILED_PRECONDITION, "PROVIDER_GROUP_IN_USE", "1 API keys: 1 (one) and 1 bindings: 1 (m)",
                 "ProviderGroups/Delete", "{'id':%lld}", (long long)group->id);
    uint64_t head = head_of(w);
    expect_ok(w, "ProviderGroups/Delete", "{'id':%lld,'cascade':true}", (long long)group->id);
    cr_assert_eq(head_of(w), head + 1);
    expect_error(w, EZ_NOT_FOUND, "NOT_FOUND", "API key", "ApiKeys/Get", "{'id':%lld}", (long long)key->id);
    expect_error(w, EZ_NOT_FOUND, "NOT_FOUND", "binding", "Bindings/Get", "{'id':%lld}", (long long)binding->id);
    Ez__V1__ProviderGroup *empty = given_group(w, "empty", "");
    expect_ok(w, "ProviderGroups/Delete", "{'id':%lld}", (long long)empty->id);
    end_world(w);
}

Test(provider, preset_makes_group_and_key_in_one_revision) {
    world *w = given_world();
    uint64_t head = head_of(w);
    Ez__V1__CreateProviderResponse *made =
        expect_ok(w, "Providers/CreatePreset", "{'provider':'OpenAI','api_key':'sk-upstream-abcd','weight':0}");
    cr_assert_eq(head_of(w), head + 1);
    cr_assert_str_eq(made->provider_group->name, "openai");
    cr_assert_str_eq(made->provider_group->base_url, "https://api.openai.com/v1");
    cr_assert_gt(made->provider_group->n_models, 3);
    cr_assert_eq(made->provider_group->key_count, 1);
    cr_assert_eq(made->api_key->weight, 0);
    cr_assert_eq(made->api_key->group_id, made->provider_group->id);
    cr_assert_str_eq(made->api_key->api_key, "");
    cr_assert_str_eq(made->api_key->api_key_last4, "abcd");
    made = expect_ok(w, "Providers/CreatePreset", "{'provider':'openai','api_key':'sk-upstream-abcd','models':['m']}");
    cr_assert_str_eq(made->provider_group->name, "openai-2");
    cr_assert_eq(made->provider_group->n_models, 1);
    cr_assert_eq(made->api_key->weight, 1);
    expect_ok(w, "Providers/CreatePreset", "{'provider':'anthropic','api_key':'k'}");
    expect_ok(w, "Providers/CreatePreset", "{'provider':'gemini','api_key':'k'}");
    expect_error(w, EZ_ALREADY_EXISTS, "NAME_TAKEN", "\"openai\"", "Providers/CreatePreset",
                 "{'provider':'gemini','api_key':'k','name':'openai'}");
    expect_error(w, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "provider", "Providers/CreatePreset",
                 "{'provider':'azure','api_key':'k'}");
    end_world(w);
}

Test(provider, custom_is_compatible) {
    world *w = given_world();
    Ez__V1__CreateProviderResponse *made =
        expect_ok(w, "Providers/CreateCustom",
                  "{'name':'vllm','base_url':'http://vllm:8000/v1','api_key':'k','models':['m','m'],'weight':4}");
    cr_assert_str_eq(made->provider_group->type, "compatible");
    cr_assert_eq(made->provider_group->n_models, 1);
    cr_assert_eq(made->api_key->weight, 4);
    cr_assert_str_eq(made->api_key->api_key_last4, "****");
    expect_error(w, EZ_INVALID_ARGUMENT, "BASE_URL_INSECURE", "https", "Providers/CreateCustom",
                 "{'name':'x','base_url':'http://example.com','api_key':'k','models':['m']}");
    end_world(w);
}
