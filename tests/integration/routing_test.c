// SPDX-License-Identifier: Apache-2.0
//
// Provider groups, API keys and bindings over the wire: that a change of a group recompiles its bindings in the same
// revision, that batches give each item its word, and that explain says what a data plane would do.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/support/world.h"

static ez_world w;

static void begin(void) {
    given_world(&w, NULL);
}

static void end(void) {
    end_world(&w);
}

TestSuite(routing, .init = begin, .fini = end);

static Ez__V1__Binding *binding_now(int64_t id) {
    return ask(&w.admin, "Bindings/Get", "{'id':%" PRId64 "}", id);
}

Test(routing, a_group_is_made_changed_and_refused) {
    Ez__V1__ProviderGroup *group = given_group(&w.admin, "main", "'gpt-4o','gpt-4o-mini'");
    cr_assert_eq(group->n_models, 2);
    expect_refused(&w.admin, EZ_ALREADY_EXISTS, "NAME_TAKEN", "ProviderGroups/Create",
                   "{'provider_group':{'name':'main','type':'openai'}}");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "BASE_URL_REQUIRED", "ProviderGroups/Create",
                   "{'provider_group':{'name':'b','type':'compatible'}}");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "BASE_URL_INSECURE", "ProviderGroups/Create",
                   "{'provider_group':{'name':'b','type':'compatible','base_url':'http://api.example.com'}}");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "HEADER_REFUSED", "ProviderGroups/Create",
                   "{'provider_group':{'name':'b','type':'openai','static_headers':{'Authorization':'x'}}}");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "ProviderGroups/Create",
                   "{'provider_group':{'name':'b','type':'carrier-pigeon'}}");
    given_binding(&w.admin, "default", "gpt-4o", group->id);
    expect_refused(&w.admin, EZ_FAILED_PRECONDITION, "PROVIDER_GROUP_IN_USE", "ProviderGroups/Delete",
                   "{'id':%" PRId64 "}", group->id);
    ask(&w.admin, "ProviderGroups/Delete", "{'id':%" PRId64 ",'cascade':true}", group->id);
    Ez__V1__ListApiKeysResponse *keys = ask(&w.admin, "ApiKeys/List", "{'with_total':true}");
    Ez__V1__ListBindingsResponse *bindings = ask(&w.admin, "Bindings/List", "{'with_total':true}");
    cr_assert_eq(keys->total + bindings->total, 0);
}

Test(routing, a_changed_group_recompiles_its_bindings_in_the_same_revision) {
    Ez__V1__ProviderGroup *group = given_group(&w.admin, "main", "'gpt-4o'");
    Ez__V1__Binding *binding = given_binding(&w.admin, "default", "gpt-4o", group->id);
    cr_assert_str_eq(binding->upstream_model, "gpt-4o");
    ask(&w.admin, "ProviderGroups/Update", "{'id':%" PRId64 ",'provider_group':{'models':['o3']}}", group->id);
    uint64_t revision = w.admin.info.revision;
    Ez__V1__Binding *now = binding_now(binding->id);
    cr_assert_eq(now->error, EZ__V1__BINDING_ERROR__BINDING_ERROR_CONFIG_ERROR);
    cr_assert_str_eq(now->upstream_model, "");
    cr_assert_neq(now->error_detail[0], 0);
    cr_assert_eq(now->revision, revision);
    ask(&w.admin, "ProviderGroups/Update", "{'id':%" PRId64 ",'provider_group':{'models':['a/GPT-4o']}}", group->id);
    ask(&w.admin, "Bindings/Update", "{'id':%" PRId64 ",'binding':{'selector_type':'normalize_exact'}}", binding->id);
    cr_assert_str_eq(binding_now(binding->id)->upstream_model, "a/GPT-4o");
    ask(&w.admin, "ProviderGroups/Update", "{'id':%" PRId64 ",'provider_group':{'status':'disabled'}}", group->id);
    cr_assert_eq(binding_now(binding->id)->error, EZ__V1__BINDING_ERROR__BINDING_ERROR_NO_PROVIDER);
}

Test(routing, an_api_key_taken_out_of_service_takes_its_bindings_with_it) {
    Ez__V1__ProviderGroup *group = ask(&w.admin, "ProviderGroups/Create",
                                       "{'provider_group':{'name':'main','type':'openai','models':['gpt-4o']}}");
    Ez__V1__Binding *binding = given_binding(&w.admin, "default", "gpt-4o", group->id);
    cr_assert_eq(binding->error, EZ__V1__BINDING_ERROR__BINDING_ERROR_NO_PROVIDER);
    Ez__V1__ApiKey *key = given_api_key(&w.admin, group->id, "one", "secret-of-one");
    cr_assert_eq(binding_now(binding->id)->error, EZ__V1__BINDING_ERROR__BINDING_ERROR_NONE);
    ask(&w.admin, "ApiKeys/Ban", "{'id':%" PRId64 ",'reason':'429'}", key->id);
    cr_assert_eq(binding_now(binding->id)->error, EZ__V1__BINDING_ERROR__BINDING_ERROR_NO_PROVIDER);
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "BAN_UNTIL_IN_PAST", "ApiKeys/Ban",
                   "{'id':%" PRId64 ",'until':'2001-01-01T00:00:00Z'}", key->id);
    ask(&w.admin, "ApiKeys/Unban", "{'id':%" PRId64 "}", key->id);
    expect_refused(&w.admin, EZ_FAILED_PRECONDITION, "NOT_BANNED", "ApiKeys/Unban", "{'id':%" PRId64 "}", key->id);
    ask(&w.admin, "ApiKeys/Delete", "{'id':%" PRId64 "}", key->id);
    cr_assert_eq(binding_now(binding->id)->error, EZ__V1__BINDING_ERROR__BINDING_ERROR_NO_PROVIDER);
    expect_refused(&w.admin, EZ_FAILED_PRECONDITION, "GROUP_UNKNOWN", "ApiKeys/Create",
                   "{'api_key':{'group_id':99,'api_key':'x'}}");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "CREDENTIAL_MISSING", "ApiKeys/Create",
                   "{'api_key':{'group_id':%" PRId64 "}}", group->id);
}

Test(routing, bindings_are_unique_and_checked) {
    Ez__V1__ProviderGroup *group = given_group(&w.admin, "main", "'gpt-4o'");
    given_binding(&w.admin, "default", "gpt-4o", group->id);
    expect_refused(&w.admin, EZ_ALREADY_EXISTS, "BINDING_EXISTS", "Bindings/Create",
                   "{'binding':{'namespace':'default','public_model':'gpt-4o','group_id':%" PRId64 "}}", group->id);
    expect_refused(&w.admin, EZ_FAILED_PRECONDITION, "NAMESPACE_UNKNOWN", "Bindings/Create",
                   "{'binding':{'namespace':'nowhere','public_model':'m','group_id':%" PRId64 "}}", group->id);
    expect_refused(&w.admin, EZ_FAILED_PRECONDITION, "GROUP_UNKNOWN", "Bindings/Create",
                   "{'binding':{'namespace':'default','public_model':'m','group_id':99}}");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "SELECTOR_INVALID", "Bindings/Create",
                   "{'binding':{'namespace':'default','public_model':'m','group_id':%" PRId64
                   ",'selector_type':'regex','selector_value':'(a'}}",
                   group->id);
}

Test(routing, a_batch_gives_each_item_its_word_and_all_one_revision) {
    Ez__V1__ProviderGroup *group = given_group(&w.admin, "main", "'a','b'");
    uint64_t before = revision_of(&w);
    Ez__V1__BatchBindingsResponse *reply =
        ask(&w.admin, "Bindings/Batch",
            "{'items':[{'create':{'namespace':'default','public_model':'a','group_id':%" PRId64 "}},"
            "{'create':{'namespace':'nowhere','public_model':'b','group_id':%" PRId64 "}},{'delete':{'id':77}},"
            "{'create':{'namespace':'default','public_model':'b','group_id':%" PRId64 "}},{}]}",
            group->id, group->id, group->id);
    cr_assert_eq(reply->n_results, 5);
    cr_assert_eq(reply->succeeded, 2);
    cr_assert_eq(reply->failed, 3);
    const int codes[] = {EZ_OK, EZ_FAILED_PRECONDITION, EZ_NOT_FOUND, EZ_OK, EZ_INVALID_ARGUMENT};
    for (size_t i = 0; i < 5; i++)
        cr_assert_eq(reply->results[i]->code, codes[i], "item %zu: %d %s", i, reply->results[i]->code,
                     reply->results[i]->message);
    cr_assert_eq(w.admin.info.revision, before + 1);
    cr_assert_eq(reply->results[0]->binding->revision, before + 1);
    cr_assert_eq(reply->results[3]->binding->revision, before + 1);
}

Test(routing, explain_says_what_a_data_plane_would_do) {
    Ez__V1__ProviderGroup *good = given_group(&w.admin, "good", "'gpt-4.1'");
    Ez__V1__ProviderGroup *off = given_group(&w.admin, "off", "'gpt-4.1'");
    given_binding(&w.admin, "default", "gpt-4.1", good->id);
    given_binding(&w.admin, "default", "gpt-4.1", off->id);
    ask(&w.admin, "ProviderGroups/Update", "{'id':%" PRId64 ",'provider_group':{'status':'disabled'}}", off->id);
    Ez__V1__ExplainRouteResponse *reply = ask(&w.admin, "Routes/Explain", "{'model':'default.gpt-4.1'}");
    cr_assert(reply->routable);
    cr_assert_str_eq(reply->public_model, "gpt-4.1");
    cr_assert_eq(reply->n_candidates, 2);
    cr_assert(reply->candidates[0]->eligible);
    cr_assert_not(reply->candidates[1]->eligible);
    cr_assert_neq(reply->candidates[1]->why_not[0], 0);
    Ez__V1__Key *key = given_key(&w.admin, given_master(&w.admin, "acme")->id, "web");
    ask(&w.admin, "Keys/Disable", "{'id':%" PRId64 "}", key->id);
    reply = ask(&w.admin, "Routes/Explain", "{'model':'default.gpt-4.1','key_id':%" PRId64 "}", key->id);
    cr_assert_not(reply->routable);
    cr_assert_neq(reply->refused[0], 0);
    expect_refused(&w.admin, EZ_NOT_FOUND, "NOT_FOUND", "Routes/Explain", "{'model':'m','key_id':99}");
}
