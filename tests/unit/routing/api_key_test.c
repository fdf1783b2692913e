// SPDX-License-Identifier: Apache-2.0
//
// API keys: secrets that go in and never come out, bans, derived statuses, batches, and the bindings that follow when a
// group's last key leaves service.
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/access/support/world.h"

#define ACTIVE   EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE
#define DISABLED EZ__V1__API_KEY_STATUS__API_KEY_STATUS_DISABLED
#define BANNED   EZ__V1__API_KEY_STATUS__API_KEY_STATUS_BANNED
#define EXPIRED  EZ__V1__API_KEY_STATUS__API_KEY_STATUS_EXPIRED

#define NO_ERROR    EZ__V1__BINDING_ERROR__BINDING_ERROR_NONE
#define NO_PROVIDER EZ__V1__BINDING_ERROR__BINDING_ERROR_NO_PROVIDER

// What a data plane would be given.
static Ez__V1__ApiKeySecret *secret_of(world *w, int64_t id) {
    Ez__V1__ApiKeySecret *secret = NULL;
    ez_directory_enter();
    const ez_entry *entry = ez_directory_get(w->directory, EZ__V1__KIND__KIND_API_KEY, id);
    cr_assert_not_null(entry);
    cr_assert_eq(ez_directory_unseal(w->directory, entry, &w->arena, &secret, &w->error), EZ_OK, "%s",
                 w->error.message);
    ez_directory_leave();
    cr_assert_not_null(secret);
    return secret;
}

static bool stored_bytes_hold(world *w, int64_t id, const char *text) {
    ez_directory_enter();
    const ez_entry *entry = ez_directory_get(w->directory, EZ__V1__KIND__KIND_API_KEY, id);
    ez_slice data = ez_entry_data(entry), sealed = ez_entry_sealed(entry);
    bool found = memmem(data.data, data.len, text, strlen(text)) || memmem(sealed.data, sealed.len, text, strlen(text));
    ez_directory_leave();
    return found;
}

Test(api_key, secrets_go_in_and_stay) {
    world *w = given_world();
    Ez__V1__ProviderGroup *group = given_group(w, "main", "'m'");
    Ez__V1__ApiKey *key = expect_ok(
        w, "ApiKeys/Create",
        "{'api_key':{'group_id':%lld,'name':'one','api_key':' sk-secret-wxyz ','refresh_token':'refresh-me-please'}}",
        (long long)group->id);
    cr_assert_str_eq(key->api_key, "");
    cr_assert_str_eq(key->refresh_token, "");
    cr_assert_str_eq(key->api_key_last4, "wxyz");
    cr_assert(key->has_refresh_token);
    cr_assert_not(key->has_access_token);
    cr_assert_eq(key->weight, 1);
    cr_assert(key->auto_ban);
    cr_assert_eq(key->status, ACTIVE);
    cr_assert_eq(key->secret_version, 1);
    cr_assert_str_eq(secret_of(w, key->id)->api_key, "sk-secret-wxyz");
    cr_assert_not(stored_bytes_hold(w, key->id, "sk-secret"));
    cr_assert_not(stored_bytes_hold(w, key->id, "refresh-me"));
    key = read_api_key(w, key->id);
    cr_assert_str_eq(key->api_key, "");
    cr_assert_eq(key->secret_version, 1);
    end_world(w);
}

Test(api_key, refusals) {
    world *w = given_world();
    Ez__V1__ProviderGroup *group = given_group(w, "main", "'m'");
    long long id = (long long)group->id;
    expect_error(w, EZ_FAILED_PRECONDITION, "GROUP_UNKNOWN", "there is no provider group 99", "ApiKeys/Create",
                 "{'api_key':{'group_id':99,'api_key':'k'}}");
    expect_error(w, EZ_INVALID_ARGUMENT, "CREDENTIAL_MISSING", "refresh_token", "ApiKeys/Create",
                 "{'api_key':{'group_id':%lld}}", id);
    expect_error(w, EZ_INVALID_ARGUMENT, "API_KEY_STATUS_DERIVED", ":ban", "ApiKeys/Create",
                 "{'api_key':{'group_id':%lld,'api_key':'k','status':'banned'}}", id);
    expect_error(w, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "weight", "ApiKeys/Create",
                 "{'api_key':{'group_id':%lld,'api_key':'k','weight':-1}}", id);
    expect_error(w, EZ_NOT_FOUND, "NOT_FOUND", "there is no API key 99", "ApiKeys/Update",
                 "{'id':99,'api_key':{'name':'x'}}");
    Ez__V1__ApiKey *key = given_api_key(w, group->id, "one");
    expect_error(w, EZ_INVALID_ARGUMENT, "CREDENTIAL_MISSING", "needs", "ApiKeys/Update",
                 "{'id':%lld,'api_key':{},'update_mask':['api_key']}", (long long)key->id);
    expect_error(w, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "group_id", "ApiKeys/Update",
                 "{'id':%lld,'api_key':{'group_id':77}}", (long long)key->id);
    end_world(w);
}

// The world's outbound lets nothing through.
Test(api_key, a_proxy_is_judged_when_it_is_set) {
    world *w = given_world();
    long long group = (long long)given_group(w, "main", "'m'")->id;
    expect_error(w, EZ_INVALID_ARGUMENT, "URL_NOT_ALLOWED", "api_key.proxy_url", "ApiKeys/Create",
                 "{'api_key':{'group_id':%lld,'api_key':'k','proxy_url':'http://127.0.0.1:3128'}}", group);
    expect_error(w, EZ_INVALID_ARGUMENT, "URL_NOT_HTTPS", "api_key.proxy_url", "ApiKeys/Create",
                 "{'api_key':{'group_id':%lld,'api_key':'k','proxy_url':'http://proxy.example:3128'}}", group);
    Ez__V1__ApiKey *key =
        expect_ok(w, "ApiKeys/Create",
                  "{'api_key':{'group_id':%lld,'api_key':'k','proxy_url':'https://proxy.example:3128'}}", group);
    expect_error(w, EZ_INVALID_ARGUMENT, "URL_NOT_ALLOWED", "api_key.proxy_url", "ApiKeys/Update",
                 "{'id':%lld,'api_key':{'proxy_url':'https://[::1]'}}", (long long)key->id);
    expect_error(w, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "api_key.proxy_url", "ApiKeys/Update",
                 "{'id':%lld,'api_key':{'proxy_url':'https://a:b@proxy.example'}}", (long long)key->id);
    Ez__V1__ApiKey *none = expect_ok(
        w, "ApiKeys/Update", "{'id':%lld,'api_key':{'proxy_url':''},'update_mask':['proxy_url']}", (long long)key->id);
    cr_assert_str_eq(none->proxy_url, "");
    end_world(w);
}

Test(api_key, update_changes_given_secrets_only) {
    world *w = given_world();
    Ez__V1__ProviderGroup *group = given_group(w, "main", "'m'");
    Ez__V1__ApiKey *key = expect_ok(
        w, "ApiKeys/Create", "{'api_key':{'group_id':%lld,'api_key':'first-secret-1111','access_token':'access-1'}}",
        (long long)group->id);
    long long id = (long long)key->id;
    key = expect_ok(w, "ApiKeys/Update", "{'id':%lld,'api_key':{'name':'renamed'}}", id);
    cr_assert_eq(key->secret_version, 1);
    cr_assert_str_eq(secret_of(w, id)->api_key, "first-secret-1111");
    key = expect_ok(w, "ApiKeys/Update", "{'id':%lld,'api_key':{'api_key':'second-secret-2222'}}", id);
    cr_assert_eq(key->secret_version, 2);
    cr_assert_str_eq(key->api_key_last4, "2222");
    cr_assert_str_eq(key->api_key, "");
    cr_assert_str_eq(secret_of(w, id)->api_key, "second-secret-2222");
    cr_assert_str_eq(secret_of(w, id)->access_token, "access-1");
    uint64_t head = head_of(w);
    expect_ok(w, "ApiKeys/Update", "{'id':%lld,'api_key':{'api_key':'second-secret-2222'}}", id);
    cr_assert_eq(head_of(w), head, "the same secret again is no change");
    key = expect_ok(w, "ApiKeys/Update", "{'id':%lld,'api_key':{},'update_mask':['api_key']}", id);
    cr_assert_eq(key->secret_version, 3);
    cr_assert_str_eq(secret_of(w, id)->api_key, "");
    cr_assert_str_eq(secret_of(w, id)->access_token, "access-1");
    cr_assert_str_eq(key->api_key_last4, "ss-1", "of the access token, where there is no api_key");
    end_world(w);
}

Test(api_key, bans) {
    world *w = given_world();
    Ez__V1__ProviderGroup *group = given_group(w, "main", "'m'");
    Ez__V1__ApiKey *key = given_api_key(w, group->id, "one");
    long long id = (long long)key->id;
    expect_error(w, EZ_FAILED_PRECONDITION, "NOT_BANNED", "not banned", "ApiKeys/Unban", "{'id':%lld}", id);
    expect_error(w, EZ_INVALID_ARGUMENT, "BAN_UNTIL_IN_PAST", "future", "ApiKeys/Ban",
                 "{'id':%lld,'until':'2001-01-01T00:00:00Z'}", id);
    key = expect_ok(w, "ApiKeys/Ban", "{'id':%lld,'reason':'401s','until':'2101-01-01T00:00:00Z'}", id);
    cr_assert_eq(key->status, BANNED);
    cr_assert_str_eq(key->ban_reason, "401s");
    cr_assert_eq(read_api_key(w, id)->status, BANNED);
    w->time_ns = key->ban_until->seconds * 1000000000;
    cr_assert_eq(read_api_key(w, id)->status, ACTIVE);
    Ez__V1__ListApiKeysResponse *list =
        expect_ok(w, "ApiKeys/List", "{'group_id':%lld,'status':'active'}", (long long)group->id);
    cr_assert_eq(list->n_items, 1);
    w->time_ns = 0;
    list = expect_ok(w, "ApiKeys/List", "{'status':'active'}");
    cr_assert_eq(list->n_items, 0);
    key = expect_ok(w, "ApiKeys/Update", "{'id':%lld,'api_key':{'status':'banned','name':'sent back'}}", id);
    cr_assert_eq(key->status, BANNED);
    key = expect_ok(w, "ApiKeys/Unban", "{'id':%lld}", id);
    cr_assert_eq(key->status, ACTIVE);
    cr_assert_str_eq(key->ban_reason, "");
    cr_assert_null(key->ban_until);
    expect_ok(w, "ApiKeys/Ban", "{'id':%lld}", id);
    key = expect_ok(w, "ApiKeys/Update", "{'id':%lld,'api_key':{'status':'active'}}", id);
    cr_assert_eq(key->status, ACTIVE);
    expect_error(w, EZ_NOT_FOUND, "NOT_FOUND", "there is no API key 99", "ApiKeys/Ban", "{'id':99}");
    end_world(w);
}

Test(api_key, passed_bans_are_lifted_and_bindings_follow) {
    world *w = given_world();
    Ez__V1__ProviderGroup *group = given_group(w, "main", "'m'");
    Ez__V1__ApiKey key = EZ__V1__API_KEY__INIT;
    Google__Protobuf__Timestamp past = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    past.seconds = 1000000000;
    key.group_id = group->id;
    key.name = (char *)"banned";
    key.status = BANNED;
    key.ban_until = &past;
    given_stored(w, EZ__V1__KIND__KIND_API_KEY, &key.base);
    Ez__V1__Binding *binding = given_binding(w, "m", group->id);
    cr_assert_eq(binding->error, NO_PROVIDER);
    cr_assert_eq(ez_routing_passed_bans(w->routing, INT64_C(999999999000000000)), 0);
    cr_assert_eq(ez_routing_passed_bans(w->routing, INT64_C(1000000000000000000)), 1);
    ez_call *c;
    cr_assert_eq(ez_call_create_system("jobs", &c), EZ_OK);
    Ez__V1__Empty nothing = EZ__V1__EMPTY__INIT;
    cr_assert_eq(ez_writer_run(w->writer, c, ez_routing_lift_bans, w->routing, &nothing.base, &w->error), EZ_OK, "%s",
                 w->error.message);
    ez_call_destroy_system(c);
    cr_assert_eq(ez_routing_passed_bans(w->routing, INT64_MAX), 0);
    cr_assert_eq(read_api_key(w, key.id)->status, ACTIVE);
    cr_assert_eq(read_binding(w, binding->id)->error, NO_ERROR);
    end_world(w);
}

Test(api_key, expires_without_a_refresh_token) {
    world *w = given_world();
    Ez__V1__ProviderGroup *group = given_group(w, "main", "'m'");
    Ez__V1__ApiKey *key =
        expect_ok(w, "ApiKeys/Create",
                  "{'api_key':{'group_id':%lld,'access_token':'a-token-1','expires_at':'2001-01-01T00:00:00Z'}}",
                  (long long)group->id);
    cr_assert_eq(key->status, EXPIRED);
    cr_assert_eq(read_api_key(w, key->id)->status, EXPIRED);
    Ez__V1__ListApiKeysResponse *list = expect_ok(w, "ApiKeys/List", "{'status':'expired'}");
    cr_assert_eq(list->n_items, 1);
    key = expect_ok(w, "ApiKeys/Update", "{'id':%lld,'api_key':{'refresh_token':'r'}}", (long long)key->id);
    cr_assert_eq(key->status, ACTIVE);
    end_world(w);
}

Test(api_key, bindings_follow_a_groups_last_key) {
    world *w = given_world();
    Ez__V1__ProviderGroup *group = given_group(w, "main", "'m'");
    Ez__V1__Binding *binding = given_binding(w, "m", group->id);
    cr_assert_eq(binding->error, NO_PROVIDER);
    cr_assert_str_eq(binding->upstream_model, "");
    uint64_t head = head_of(w);
    Ez__V1__ApiKey *first = given_api_key(w, group->id, "one");
    cr_assert_eq(head_of(w), head + 1, "one revision for both");
    binding = read_binding(w, binding->id);
    cr_assert_eq(binding->error, NO_ERROR);
    cr_assert_str_eq(binding->upstream_model, "m");
    cr_assert_eq(binding->revision, head + 1);
    Ez__V1__ApiKey *second = given_api_key(w, group->id, "two");
    cr_assert_eq(read_binding(w, binding->id)->revision, head + 1, "nothing changed for it");
    expect_ok(w, "ApiKeys/Ban", "{'id':%lld}", (long long)first->id);
    cr_assert_eq(read_binding(w, binding->id)->error, NO_ERROR);
    expect_ok(w, "ApiKeys/Update", "{'id':%lld,'api_key':{'status':'disabled'}}", (long long)second->id);
    cr_assert_eq(read_binding(w, binding->id)->error, NO_PROVIDER);
    expect_ok(w, "ApiKeys/Unban", "{'id':%lld}", (long long)first->id);
    cr_assert_eq(read_binding(w, binding->id)->error, NO_ERROR);
    expect_ok(w, "ApiKeys/Delete", "{'id':%lld}", (long long)first->id);
    cr_assert_eq(read_binding(w, binding->id)->error, NO_PROVIDER);
    end_world(w);
}

Test(api_key, batch_answers_each_item) {
    world *w = given_world();
    Ez__V1__ProviderGroup *group = given_group(w, "main", "'m'");
    Ez__V1__Binding *binding = given_binding(w, "m", group->id);
    Ez__V1__ApiKey *old = given_api_key(w, group->id, "old");
    long long id = (long long)group->id;
    uint64_t head = head_of(w);
    Ez__V1__BatchApiKeysResponse *reply =
        expect_ok(w, "ApiKeys/Batch",
                  "{'items':[{'create':{'group_id':%lld,'api_key':'secret-of-new-1'}},{'create':{'group_id':%lld}},"
                  "{'create':{'group_id':99,'api_key':'k'}},{'update':{'id':%lld,'api_key':{'status':'disabled'}}},"
                  "{'delete':{'id':77}},{},{'create':{'group_id':%lld,'api_key':'k','weight':-1}}]}",
                  id, id, (long long)old->id, id);
    cr_assert_eq(head_of(w), head + 1);
    cr_assert_eq(reply->n_results, 7);
    cr_assert_eq(reply->succeeded, 2);
    cr_assert_eq(reply->failed, 5);
    static const int codes[] = {EZ_OK,        EZ_INVALID_ARGUMENT, EZ_FAILED_PRECONDITION, EZ_OK,
                                EZ_NOT_FOUND, EZ_INVALID_ARGUMENT, EZ_INVALID_ARGUMENT};
    for (size_t i = 0; i < reply->n_results; i++)
        cr_assert_eq(reply->results[i]->code, codes[i], "item %zu: %s", i, reply->results[i]->message);
    cr_assert_str_eq(reply->results[0]->api_key->api_key, "");
    cr_assert_str_eq(reply->results[1]->reason, "CREDENTIAL_MISSING");
    cr_assert_null(reply->results[1]->api_key);
    cr_assert_eq(reply->results[3]->api_key->status, DISABLED);
    cr_assert_eq(reply->results[0]->api_key->id, old->id + 1, "failed items take no id");
    cr_assert_eq(read_binding(w, binding->id)->error, NO_ERROR, "the new key is in service");
    // The rest leaves: the binding follows, once, in the same revision.
    reply = expect_ok(w, "ApiKeys/Batch", "{'items':[{'delete':{'id':%lld}},{'delete':{'id':%lld}}]}",
                      (long long)old->id, (long long)old->id + 1);
    cr_assert_eq(reply->succeeded, 2);
    cr_assert_null(reply->results[0]->api_key);
    cr_assert_eq(head_of(w), head + 2);
    cr_assert_eq(read_binding(w, binding->id)->error, NO_PROVIDER);
    end_world(w);
}

Test(api_key, batch_can_be_tried_without_doing_it) {
    world *w = given_world();
    Ez__V1__ProviderGroup *group = given_group(w, "main", "'m'");
    uint64_t head = head_of(w);
    w->validate_only = true;
    Ez__V1__BatchApiKeysResponse *reply =
        expect_ok(w, "ApiKeys/Batch", "{'items':[{'create':{'group_id':%lld,'api_key':'k'}}]}", (long long)group->id);
    cr_assert_eq(reply->succeeded, 1);
    cr_assert_eq(head_of(w), head);
    Ez__V1__ListApiKeysResponse *list = expect_ok(w, "ApiKeys/List", "{}");
    cr_assert_eq(list->n_items, 0);
    end_world(w);
}
