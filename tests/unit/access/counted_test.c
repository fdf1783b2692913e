// SPDX-License-Identifier: Apache-2.0
//
// What was counted, joined to whatever is read or answered, and never kept with it.
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/access/support/world.h"

#define ACTIVE    EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE
#define DISABLED  EZ__V1__KEY_STATUS__KEY_STATUS_DISABLED
#define EXHAUSTED EZ__V1__KEY_STATUS__KEY_STATUS_EXHAUSTED

#define USED_NS INT64_C(1790000000250000000)

static world *w;
static Ez__V1__Master *master;
static Ez__V1__Key *key;

static void begin(void) {
    w = given_world();
    master = given_master(w, "acme");
    key = given_key(w, master->id, "web");
}

static void end(void) {
    end_world(w);
}

TestSuite(counted, .init = begin, .fini = end);

static void count(ez_usage_table table, int64_t id, int64_t n) {
    ez_usage_sums sums = {.requests = 10 * n,
                          .success = 7 * n,
                          .failure = 3 * n,
                          .tokens_in = 4 * n,
                          .tokens_out = 5 * n,
                          .quota_used = n,
                          .last_used_ns = USED_NS};
    ez_counters_note(w->counters, table, id, &sums);
}

static void expect_key(const Ez__V1__Key *shown, int64_t n) {
    cr_assert_eq(shown->request_count, 10 * n);
    cr_assert_eq(shown->tokens_in, 4 * n);
    cr_assert_eq(shown->tokens_out, 5 * n);
    cr_assert_eq(shown->quota_used, n);
    cr_assert_not_null(shown->last_used_at);
    cr_assert_eq(shown->last_used_at->seconds, USED_NS / 1000000000);
    cr_assert_eq(shown->last_used_at->nanos, USED_NS % 1000000000);
}

static const Ez__V1__Key *kept(int64_t id) {
    ez_directory_enter();
    const ez_entry *entry = ez_directory_get(w->directory, EZ__V1__KIND__KIND_KEY, id);
    const Ez__V1__Key *out = (const Ez__V1__Key *)ez_entry_unpack(entry, &w->arena);
    ez_directory_leave();
    return out;
}

Test(counted, a_key_wherever_it_is_read_or_answered) {
    cr_assert_null(read_key(w, key->id)->last_used_at);
    count(EZ_USAGE_KEYS, key->id, 6);
    expect_key(read_key(w, key->id), 6);
    Ez__V1__ListKeysResponse *list = expect_ok(w, "Keys/List", "{}");
    expect_key(list->items[0], 6);
    expect_key(expect_ok(w, "Keys/Update", "{'id':%lld,'key':{'name':'b'}}", (long long)key->id), 6);
    expect_key(expect_ok(w, "Keys/Rotate", "{'id':%lld}", (long long)key->id), 6);
    expect_key(expect_ok(w, "Keys/Disable", "{'id':%lld}", (long long)key->id), 6);
    w->tenant = master->id;
    expect_key(expect_ok(w, "Self/GetKey", "{'id':%lld}", (long long)key->id), 6);
    list = expect_ok(w, "Self/ListKeys", "{}");
    expect_key(list->items[0], 6);
    const Ez__V1__Key *now = kept(key->id);
    cr_assert_eq(now->request_count + now->tokens_in + now->quota_used, 0, "data planes are not sent counters");
    cr_assert_null(now->last_used_at);
}

Test(counted, a_status_follows_from_what_was_counted) {
    expect_ok(w, "Keys/Update", "{'id':%lld,'key':{'quota_limit':5}}", (long long)key->id);
    given_key(w, master->id, "other");
    count(EZ_USAGE_KEYS, key->id, 5);
    cr_assert_eq(read_key(w, key->id)->status, EXHAUSTED);
    Ez__V1__ListKeysResponse *list = expect_ok(w, "Keys/List", "{'status':'exhausted'}");
    cr_assert(list->n_items == 1 && list->items[0]->id == key->id);
    list = expect_ok(w, "Keys/List", "{'status':'active'}");
    cr_assert(list->n_items == 1 && list->items[0]->id != key->id);
    cr_assert_eq(kept(key->id)->status, ACTIVE, "the server's own change comes later");
    Ez__V1__Key *now = expect_ok(w, "Keys/Enable", "{'id':%lld}", (long long)key->id);
    cr_assert_eq(now->status, EXHAUSTED);
    cr_assert_eq(kept(key->id)->status, EXHAUSTED);
    now = expect_ok(w, "Keys/Update", "{'id':%lld,'key':{'status':'active'}}", (long long)key->id);
    cr_assert_eq(now->status, EXHAUSTED);
    expect_ok(w, "Keys/Update", "{'id':%lld,'key':{'quota_limit':6}}", (long long)key->id);
    cr_assert_eq(kept(key->id)->status, ACTIVE);
    expect_ok(w, "Keys/Update", "{'id':%lld,'key':{'quota_limit':1}}", (long long)key->id);
    cr_assert_eq(kept(key->id)->status, EXHAUSTED);
    expect_ok(w, "Keys/Update", "{'id':%lld,'key':{'quota_unit':'tokens'}}", (long long)key->id);
    cr_assert_eq(kept(key->id)->status, ACTIVE, "it starts from zero in another unit");
    cr_assert_eq(kept(key->id)->quota_carried, -5);
    cr_assert_eq(read_key(w, key->id)->quota_used, 0);
    count(EZ_USAGE_KEYS, key->id, 7);
    cr_assert_eq(read_key(w, key->id)->quota_used, 2);
}

Test(counted, what_only_the_server_may_say_is_not_taken_from_a_request) {
    count(EZ_USAGE_KEYS, key->id, 5);
    ez_status status = call(w, "Keys/Update", NULL, "{'id':%lld,'key':{'quota_carried':-5}}", (long long)key->id);
    cr_assert(status != EZ_OK || kept(key->id)->quota_carried == 0);
    cr_assert_eq(read_key(w, key->id)->quota_used, 5);
}

Test(counted, resolve_and_explain_judge_by_it) {
    expect_ok(w, "Keys/Update", "{'id':%lld,'key':{'quota_limit':5}}", (long long)key->id);
    count(EZ_USAGE_KEYS, key->id, 5);
    Ez__V1__ResolveKeyRequest request = EZ__V1__RESOLVE_KEY_REQUEST__INIT;
    request.token_sha256 = key->token_sha256;
    ProtobufCMessage *reply;
    cr_assert_eq(call_message(w, "Keys/Resolve", &reply, &request.base), EZ_OK);
    const Ez__V1__ResolveKeyResponse *resolved = (const Ez__V1__ResolveKeyResponse *)reply;
    cr_assert_eq(resolved->key->status, EXHAUSTED);
    expect_key(resolved->key, 5);
    Ez__V1__ExplainRouteResponse *route =
        expect_ok(w, "Routes/Explain", "{'model':'m','key_id':%lld}", (long long)key->id);
    cr_assert_not_null(strstr(route->refused, "quota"), "%s", route->refused);
}

Test(counted, a_master) {
    count(EZ_USAGE_MASTERS, master->id, 2);
    Ez__V1__Master *shown[] = {
        read_master(w, master->id),
        expect_ok(w, "Masters/Update", "{'id':%lld,'master':{'group':'g'}}", (long long)master->id),
        ((Ez__V1__ListMastersResponse *)expect_ok(w, "Masters/List", "{}"))->items[0]};
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(shown[i]->request_count, 20);
        cr_assert_eq(shown[i]->tokens_in, 8);
        cr_assert_eq(shown[i]->tokens_out, 10);
        cr_assert_eq(shown[i]->key_count, 1);
    }
}

static void expect_api_key(const Ez__V1__ApiKey *shown) {
    cr_assert_eq(shown->total_requests, 40);
    cr_assert_eq(shown->success_requests, 28);
    cr_assert_eq(shown->failure_requests, 12);
    cr_assert_float_eq(shown->success_rate, 0.7, 1e-12);
    cr_assert_float_eq(shown->failure_rate, 0.3, 1e-12);
}

Test(counted, api_keys_and_their_groups) {
    Ez__V1__ProviderGroup *group = given_group(w, "main", "'a'");
    Ez__V1__ApiKey *one = given_api_key(w, group->id, "one");
    cr_assert_eq(read_api_key(w, one->id)->success_rate, 0);
    count(EZ_USAGE_API_KEYS, one->id, 4);
    count(EZ_USAGE_GROUPS, group->id, 8);
    long long id = (long long)one->id;
    expect_api_key(read_api_key(w, one->id));
    expect_api_key(expect_ok(w, "ApiKeys/Update", "{'id':%lld,'api_key':{'weight':3}}", id));
    expect_api_key(expect_ok(w, "ApiKeys/Ban", "{'id':%lld,'reason':'r'}", id));
    expect_api_key(expect_ok(w, "ApiKeys/Unban", "{'id':%lld}", id));
    Ez__V1__ListApiKeysResponse *list = expect_ok(w, "ApiKeys/List", "{'status':'active'}");
    expect_api_key(list->items[0]);
    Ez__V1__BatchApiKeysResponse *batch =
        expect_ok(w, "ApiKeys/Batch", "{'items':[{'update':{'id':%lld,'api_key':{'weight':2}}}]}", id);
    expect_api_key(batch->results[0]->api_key);
    Ez__V1__ProviderGroup *shown = expect_ok(w, "ProviderGroups/Get", "{'id':%lld}", (long long)group->id);
    cr_assert_eq(shown->total_requests, 80);
    cr_assert_float_eq(shown->failure_rate, 0.3, 1e-12);
    shown = expect_ok(w, "ProviderGroups/Update", "{'id':%lld,'provider_group':{'headers_profile':'x'}}",
                      (long long)group->id);
    cr_assert_eq(shown->success_requests, 56);
    Ez__V1__ListProviderGroupsResponse *groups = expect_ok(w, "ProviderGroups/List", "{}");
    cr_assert_eq(groups->items[0]->failure_requests, 24);
}

Test(counted, shares_stay_within_1_where_outcomes_are_ahead_of_their_requests) {
    Ez__V1__ProviderGroup *group = given_group(w, "main", "'a'");
    Ez__V1__ApiKey *one = given_api_key(w, group->id, "one");
    ez_usage_sums ahead = {.requests = 10, .success = 15, .failure = 5};
    ez_counters_note(w->counters, EZ_USAGE_API_KEYS, one->id, &ahead);
    ez_counters_note(w->counters, EZ_USAGE_GROUPS, group->id, &ahead);
    Ez__V1__ApiKey *shown = read_api_key(w, one->id);
    cr_assert_eq(shown->total_requests, 10, "what was counted is shown as it is");
    cr_assert_float_eq(shown->success_rate, 0.75, 1e-12);
    cr_assert_float_eq(shown->failure_rate, 0.25, 1e-12);
    Ez__V1__ProviderGroup *all = expect_ok(w, "ProviderGroups/Get", "{'id':%lld}", (long long)group->id);
    cr_assert_float_eq(all->success_rate, 0.75, 1e-12);
    ahead = (ez_usage_sums){.requests = 0, .failure = INT64_MAX, .success = INT64_MAX};
    ez_counters_note(w->counters, EZ_USAGE_API_KEYS, one->id, &ahead);
    shown = read_api_key(w, one->id);
    cr_assert_float_eq(shown->failure_rate, 0.5, 1e-12);
    ahead = (ez_usage_sums){.requests = 10, .failure = 2, .success = 3};
    ez_counters_note(w->counters, EZ_USAGE_API_KEYS, one->id, &ahead);
    shown = read_api_key(w, one->id);
    cr_assert_float_eq(shown->success_rate, 0.3, 1e-12, "requests whose outcome is not told yet count");
}
