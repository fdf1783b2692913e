// SPDX-License-Identifier: Apache-2.0
//
// routes:explain: references, the key that asks, candidates and their shares, and a reason for each that is passed
// over.
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/access/support/world.h"

static Ez__V1__ExplainRouteResponse *explain(world *w, const char *model, long long key) {
    return expect_ok(w, "Routes/Explain", "{'model':'%s','key_id':%lld}", model, key);
}

static void expect_refused(world *w, const char *model, long long key, const char *part) {
    Ez__V1__ExplainRouteResponse *reply = explain(w, model, key);
    cr_assert_not(reply->routable);
    cr_assert_not_null(strstr(reply->refused, part), "\"%s\" does not say \"%s\"", reply->refused, part);
}

Test(explain, references_split_at_the_first_dot) {
    world *w = given_world();
    Ez__V1__ExplainRouteResponse *reply = explain(w, "default.gpt-4.1", 0);
    cr_assert_str_eq(reply->namespace_, "default");
    cr_assert_str_eq(reply->public_model, "gpt-4.1");
    cr_assert_eq(reply->n_candidates, 0);
    cr_assert_not(reply->routable);
    reply = explain(w, "o3", 0);
    cr_assert_str_eq(reply->namespace_, "default");
    cr_assert_str_eq(reply->public_model, "o3");
    cr_assert_str_eq(reply->refused, "no binding of namespace \"default\" has the model \"o3\"");
    expect_refused(w, "gpt-4.1", 0, "no namespace \"gpt-4\"");
    expect_error(w, EZ_NOT_FOUND, "NOT_FOUND", "there is no key 99", "Routes/Explain", "{'model':'m','key_id':99}");
    end_world(w);
}

Test(explain, shares_and_reasons) {
    world *w = given_world();
    Ez__V1__ProviderGroup *good = given_group(w, "good", "'m'");
    Ez__V1__ProviderGroup *other = given_group(w, "other", "'m'");
    Ez__V1__ProviderGroup *off = given_group(w, "off", "'m'");
    Ez__V1__ProviderGroup *empty = given_group(w, "empty", "'m'");
    for (int i = 0; i < 3; i++)
        expect_ok(w, "ApiKeys/Create", "{'api_key':{'group_id':%lld,'name':'k%d','api_key':'x','weight':%d}}",
                  (long long)good->id, i, i == 2 ? 0 : 1 + 2 * i);
    given_api_key(w, other->id, "other");
    given_api_key(w, off->id, "off");
    Ez__V1__ApiKey *banned = given_api_key(w, good->id, "banned");
    expect_ok(w, "ApiKeys/Ban", "{'id':%lld}", (long long)banned->id);
    expect_ok(w, "Bindings/Create", "{'binding':{'namespace':'default','public_model':'m','group_id':%lld,'weight':3}}",
              (long long)good->id);
    given_binding(w, "m", other->id);
    given_binding(w, "m", off->id);
    given_binding(w, "m", empty->id);
    expect_ok(w, "ProviderGroups/Update", "{'id':%lld,'provider_group':{'status':'disabled'}}", (long long)off->id);

    Ez__V1__ExplainRouteResponse *reply = explain(w, "m", 0);
    cr_assert(reply->routable);
    cr_assert_eq(reply->n_candidates, 4);
    Ez__V1__RouteCandidate *first = reply->candidates[0];
    cr_assert_str_eq(first->group_name, "good");
    cr_assert_str_eq(first->provider_type, "openai");
    cr_assert_str_eq(first->upstream_model, "m");
    cr_assert(first->eligible);
    cr_assert_float_eq(first->share, 0.75, 1e-9);
    cr_assert_float_eq(reply->candidates[1]->share, 0.25, 1e-9);
    cr_assert_eq(first->n_upstreams, 4);
    cr_assert_float_eq(first->upstreams[0]->share, 0.25, 1e-9);
    cr_assert_float_eq(first->upstreams[1]->share, 0.75, 1e-9);
    cr_assert_str_eq(first->upstreams[2]->why_not, "its weight is 0");
    cr_assert_str_eq(first->upstreams[3]->why_not, "it is banned");
    cr_assert_not(reply->candidates[2]->eligible);
    cr_assert_str_eq(reply->candidates[2]->why_not, "the provider group is disabled");
    cr_assert_not_null(strstr(reply->candidates[3]->why_not, "no API key in service"));
    cr_assert_float_eq(reply->candidates[3]->share, 0, 1e-9);

    expect_ok(w, "Bindings/Update", "{'id':1,'binding':{'status':'disabled'}}");
    expect_ok(w, "Bindings/Update", "{'id':2,'binding':{'weight':0},'update_mask':['weight']}");
    reply = explain(w, "m", 0);
    cr_assert_str_eq(reply->candidates[0]->why_not, "the binding is disabled");
    end_world(w);
}

Test(explain, a_weight_of_zero_is_no_candidate) {
    world *w = given_world();
    Ez__V1__ProviderGroup *group = given_group(w, "main", "'m'");
    given_api_key(w, group->id, "one");
    expect_ok(w, "Bindings/Create", "{'binding':{'namespace':'default','public_model':'m','group_id':%lld,'weight':0}}",
              (long long)group->id);
    Ez__V1__ExplainRouteResponse *reply = explain(w, "m", 0);
    cr_assert_not(reply->routable);
    cr_assert_str_eq(reply->candidates[0]->why_not, "the binding's weight is 0");
    end_world(w);
}

Test(explain, the_key_that_asks) {
    world *w = given_world();
    given_namespace(w, "a");
    given_namespace(w, "b");
    Ez__V1__ProviderGroup *group = given_group(w, "main", "'m','n'");
    given_api_key(w, group->id, "one");
    expect_ok(w, "Bindings/Create", "{'binding':{'namespace':'a','public_model':'m','group_id':%lld}}",
              (long long)group->id);
    Ez__V1__Master *master =
        expect_ok(w, "Masters/Create", "{'master':{'name':'acme','default_namespace':'a','namespaces':['default']}}");
    Ez__V1__Key *key = given_key(w, master->id, "web");
    long long id = (long long)key->id;
    Ez__V1__ExplainRouteResponse *reply = explain(w, "m", id);
    cr_assert_str_eq(reply->namespace_, "a");
    cr_assert(reply->routable);
    cr_assert(explain(w, "a.m", id)->routable);
    expect_refused(w, "b.m", id, "\"b\" is not among those of key");
    expect_ok(w, "Keys/Update", "{'id':%lld,'key':{'namespaces':['default']}}", id);
    expect_refused(w, "m", id, "\"a\" is not among those of key");
    expect_ok(w, "Keys/Update",
              "{'id':%lld,'key':{'model_limits_enabled':true,'model_limits':['n']},"
              "'update_mask':['namespaces','model_limits_enabled','model_limits']}",
              id);
    expect_refused(w, "m", id, "model_limits");
    expect_ok(w, "Keys/Update", "{'id':%lld,'key':{'model_limits':['a.m']}}", id);
    cr_assert(explain(w, "m", id)->routable);
    expect_ok(w, "Namespaces/Update", "{'id':2,'namespace':{'status':'disabled'}}");
    expect_refused(w, "m", id, "namespace \"a\" is disabled");
    expect_ok(w, "Namespaces/Update", "{'id':2,'namespace':{'status':'active'}}");
    expect_ok(w, "Masters/Update", "{'id':%lld,'master':{'status':'suspended'}}", (long long)master->id);
    expect_refused(w, "m", id, "is suspended");
    cr_assert_eq(explain(w, "m", id)->n_candidates, 1, "the candidates are shown all the same");
    expect_ok(w, "Keys/Disable", "{'id':%lld}", id);
    expect_refused(w, "m", id, "is disabled");
    end_world(w);
}
