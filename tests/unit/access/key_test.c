// SPDX-License-Identifier: Apache-2.0
//
// Keys: issuing and its limits, namespaces within the master's, what is derived when one is read, quotas, rotation, and
// what Resolve fills in for data planes.
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/access/support/world.h"

#define KIND_KEY  EZ__V1__KIND__KIND_KEY
#define ACTIVE    EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE
#define DISABLED  EZ__V1__KEY_STATUS__KEY_STATUS_DISABLED
#define EXPIRED   EZ__V1__KEY_STATUS__KEY_STATUS_EXPIRED
#define EXHAUSTED EZ__V1__KEY_STATUS__KEY_STATUS_EXHAUSTED

#define HOUR_NS INT64_C(3600000000000)

static int64_t ns_of(const Google__Protobuf__Timestamp *stamp) {
    return stamp->seconds * 1000000000 + stamp->nanos;
}

Test(key, defaults_and_token_once) {
    world *w = given_world();
    Ez__V1__Master *master = given_master(w, "acme");
    Ez__V1__Key *made = given_key(w, master->id, "web");
    cr_assert_eq(strncmp(made->token, "sk-", 3), 0);
    cr_assert_eq(strlen(made->token), 46);
    cr_assert_eq(strncmp(made->token, made->token_prefix, 7), 0);
    cr_assert_str_eq(made->token + 42, made->token_last4);
    uint8_t hash[EZ_TOKEN_HASH_LEN];
    ez_token_hash(made->token, strlen(made->token), hash);
    cr_assert_eq(memcmp(hash, made->token_sha256.data, sizeof hash), 0);
    cr_assert_eq(made->master_id, master->id);
    cr_assert_eq(made->quota_limit, -1);
    cr_assert_eq(made->quota_unit, EZ__V1__QUOTA_UNIT__QUOTA_UNIT_UNITS);
    cr_assert_eq(made->quota_period, EZ__V1__QUOTA_PERIOD__QUOTA_PERIOD_NONE);
    cr_assert_eq(made->status, ACTIVE);
    Ez__V1__Key *read = read_key(w, made->id);
    cr_assert_str_eq(read->token, "");
    cr_assert_eq(read->quota_limit, -1);
    cr_assert_str_eq(read->name, "web");
    end_world(w);
}

Test(key, limit_of_the_master) {
    world *w = given_world();
    Ez__V1__Master *master = expect_ok(w, "Masters/Create", "{'master':{'name':'acme','max_child_keys':2}}");
    given_key(w, master->id, "a");
    Ez__V1__Key *second = given_key(w, master->id, "b");
    expect_error(w, EZ_RESOURCE_EXHAUSTED, "KEY_LIMIT_REACHED", "has 2 keys and may have at most 2", "Keys/Create",
                 "{'master_id':%lld,'key':{}}", (long long)master->id);
    // Fewer than it has is allowed; it only stops new ones.
    expect_ok(w, "Masters/Update", "{'id':%lld,'master':{'max_child_keys':1}}", (long long)master->id);
    expect_ok(w, "Keys/Delete", "{'id':%lld}", (long long)second->id);
    expect_error(w, EZ_RESOURCE_EXHAUSTED, "KEY_LIMIT_REACHED", "at most 1", "Keys/Create",
                 "{'master_id':%lld,'key':{}}", (long long)master->id);
    expect_error(w, EZ_NOT_FOUND, "NOT_FOUND", "there is no master 99", "Keys/Create", "{'master_id':99,'key':{}}");
    end_world(w);
}

Test(key, namespaces_exist_and_are_the_masters) {
    world *w = given_world();
    given_namespace(w, "a");
    given_namespace(w, "b");
    Ez__V1__Master *master = expect_ok(w, "Masters/Create", "{'master':{'name':'acme','namespaces':['a']}}");
    long long id = (long long)master->id;
    expect_error(w, EZ_FAILED_PRECONDITION, "NAMESPACE_UNKNOWN", "\"x\"", "Keys/Create",
                 "{'master_id':%lld,'key':{'namespaces':['x']}}", id);
    expect_error(w, EZ_FAILED_PRECONDITION, "NAMESPACE_NOT_ALLOWED", "\"b\"", "Keys/Create",
                 "{'master_id':%lld,'key':{'namespaces':['a','b']}}", id);
    expect_error(w, EZ_FAILED_PRECONDITION, "NAMESPACE_NOT_ALLOWED", "\"b\"", "Keys/Create",
                 "{'master_id':%lld,'key':{'default_namespace':'b'}}", id);
    expect_error(w, EZ_FAILED_PRECONDITION, "NAMESPACE_NOT_ALLOWED", "own namespaces", "Keys/Create",
                 "{'master_id':%lld,'key':{'default_namespace':'default','namespaces':['a']}}", id);
    // The master's default namespace counts as one of its own.
    Ez__V1__Key *key = expect_ok(
        w, "Keys/Create", "{'master_id':%lld,'key':{'namespaces':['default','a','a'],'default_namespace':'a'}}", id);
    cr_assert_eq(key->n_namespaces, 2);
    expect_error(w, EZ_FAILED_PRECONDITION, "NAMESPACE_NOT_ALLOWED", "\"b\"", "Keys/SetAccess",
                 "{'id':%lld,'access':{'namespaces':['b']}}", (long long)key->id);
    Ez__V1__Access *access = expect_ok(w, "Keys/SetAccess",
                                       "{'id':%lld,'access':{},'update_mask':"
                                       "['namespaces','default_namespace']}",
                                       (long long)key->id);
    cr_assert_eq(access->n_namespaces, 0);
    access = expect_ok(w, "Keys/GetAccess", "{'id':%lld}", (long long)key->id);
    cr_assert_eq(access->n_namespaces, 1, "the master's, where it has none");
    cr_assert_str_eq(access->namespaces[0], "a");
    cr_assert_str_eq(access->default_namespace, "default");
    expect_error(w, EZ_NOT_FOUND, "NOT_FOUND", "there is no key 99", "Keys/GetAccess", "{'id':99}");
    end_world(w);
}

Test(key, status_may_be_set_to_two_words) {
    world *w = given_world();
    Ez__V1__Master *master = given_master(w, "acme");
    expect_error(w, EZ_INVALID_ARGUMENT, "KEY_STATUS_DERIVED", "active or disabled", "Keys/Create",
                 "{'master_id':%lld,'key':{'status':'expired'}}", (long long)master->id);
    Ez__V1__Key *key = given_key(w, master->id, "web");
    expect_error(w, EZ_INVALID_ARGUMENT, "KEY_STATUS_DERIVED", "active or disabled", "Keys/Update",
                 "{'id':%lld,'key':{'status':'exhausted'}}", (long long)key->id);
    key = expect_ok(w, "Keys/Disable", "{'id':%lld}", (long long)key->id);
    cr_assert_eq(key->status, DISABLED);
    uint64_t head = head_of(w);
    expect_ok(w, "Keys/Disable", "{'id':%lld}", (long long)key->id);
    cr_assert_eq(head_of(w), head, "a key that is disabled already was changed");
    key = expect_ok(w, "Keys/Enable", "{'id':%lld}", (long long)key->id);
    cr_assert_eq(key->status, ACTIVE);
    expect_error(w, EZ_NOT_FOUND, "NOT_FOUND", "there is no key 99", "Keys/Disable", "{'id':99}");
    end_world(w);
}

Test(key, expires_by_itself) {
    world *w = given_world();
    Ez__V1__Master *master = given_master(w, "acme");
    expect_error(w, EZ_INVALID_ARGUMENT, "EXPIRES_IN_PAST", "future", "Keys/Create",
                 "{'master_id':%lld,'key':{'expires_at':'2001-01-01T00:00:00Z'}}", (long long)master->id);
    Ez__V1__Key *key = expect_ok(w, "Keys/Create", "{'master_id':%lld,'key':{'expires_at':'2101-01-01T00:00:00Z'}}",
                                 (long long)master->id);
    Ez__V1__Key *other = given_key(w, master->id, "other");
    cr_assert_eq(read_key(w, key->id)->status, ACTIVE);
    w->time_ns = ns_of(key->expires_at) - 1;
    cr_assert_eq(read_key(w, key->id)->status, ACTIVE);
    w->time_ns = ns_of(key->expires_at);
    cr_assert_eq(read_key(w, key->id)->status, EXPIRED);
    Ez__V1__ListKeysResponse *list = expect_ok(w, "Keys/List", "{'status':'expired'}");
    cr_assert_eq(list->n_items, 1);
    cr_assert_eq(list->items[0]->id, key->id);
    cr_assert_eq(list->items[0]->status, EXPIRED);
    list = expect_ok(w, "Keys/List", "{'status':'active'}");
    cr_assert_eq(list->n_items, 1);
    cr_assert_eq(list->items[0]->id, other->id);
    w->time_ns = 0;
    // By an update a key may end now; sending back what was read changes nothing; a later end revives it.
    key = expect_ok(w, "Keys/Update", "{'id':%lld,'key':{'expires_at':'2001-01-01T00:00:00Z'}}", (long long)key->id);
    cr_assert_eq(key->status, EXPIRED);
    key = expect_ok(w, "Keys/Update", "{'id':%lld,'key':{'status':'expired','name':'old'}}", (long long)key->id);
    cr_assert_eq(key->status, EXPIRED);
    cr_assert_str_eq(key->name, "old");
    key = expect_ok(w, "Keys/Update", "{'id':%lld,'key':{},'update_mask':['expires_at']}", (long long)key->id);
    cr_assert_eq(key->status, ACTIVE);
    end_world(w);
}

Test(key, a_stored_status_stays_until_its_reason_goes) {
    world *w = given_world();
    Ez__V1__Master *master = given_master(w, "acme");
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    key.master_id = master->id;
    key.name = (char *)"imported";
    key.status = EXHAUSTED;
    key.opt_quota_limit_case = EZ__V1__KEY__OPT_QUOTA_LIMIT_QUOTA_LIMIT;
    key.quota_limit = 100;
    key.quota_used = 120;
    key.quota_unit = EZ__V1__QUOTA_UNIT__QUOTA_UNIT_UNITS;
    key.quota_period = EZ__V1__QUOTA_PERIOD__QUOTA_PERIOD_NONE;
    uint8_t hash[32] = {1};
    key.token_sha256 = (ProtobufCBinaryData){sizeof hash, hash};
    given_stored(w, KIND_KEY, &key.base);
    cr_assert_eq(read_key(w, key.id)->status, EXHAUSTED);
    Ez__V1__Key *now = expect_ok(w, "Keys/Update", "{'id':%lld,'key':{'name':'b'}}", (long long)key.id);
    cr_assert_eq(now->status, EXHAUSTED);
    now = expect_ok(w, "Keys/Update", "{'id':%lld,'key':{'quota_limit':110}}", (long long)key.id);
    cr_assert_eq(now->status, EXHAUSTED);
    now = expect_ok(w, "Keys/Update", "{'id':%lld,'key':{'quota_limit':500}}", (long long)key.id);
    cr_assert_eq(now->status, ACTIVE);
    // And derived where it is used up though it says active.
    now = expect_ok(w, "Keys/Update", "{'id':%lld,'key':{'quota_limit':120}}", (long long)key.id);
    cr_assert_eq(now->status, EXHAUSTED);
    cr_assert_eq(read_key(w, key.id)->status, EXHAUSTED);
    end_world(w);
}

Test(key, quota_periods) {
    world *w = given_world();
    Ez__V1__Master *master = given_master(w, "acme");
    long long id = (long long)master->id;
    expect_error(w, EZ_INVALID_ARGUMENT, "QUOTA_PERIOD_MISSING", "quota_period", "Keys/Create",
                 "{'master_id':%lld,'key':{'quota_reset_at':'2101-01-01T00:00:00Z'}}", id);
    expect_error(w, EZ_INVALID_ARGUMENT, "QUOTA_RESET_IN_PAST", "future", "Keys/Create",
                 "{'master_id':%lld,'key':{'quota_period':'day','quota_reset_at':'2001-01-01T00:00:00Z'}}", id);
    expect_error(w, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "quota_limit", "Keys/Create",
                 "{'master_id':%lld,'key':{'quota_limit':-2}}", id);
    static const char *const periods[] = {"day", "week", "month"};
    static const int64_t most_days[] = {1, 7, 31};
    for (int i = 0; i < 3; i++) {
        Ez__V1__Key *key =
            expect_ok(w, "Keys/Create", "{'master_id':%lld,'key':{'quota_period':'%s'}}", id, periods[i]);
        cr_assert_not_null(key->quota_reset_at);
        int64_t at = key->quota_reset_at->seconds, made = key->created_at->seconds;
        cr_assert_eq(at % 86400, 0);
        cr_assert(at > made && at <= made + most_days[i] * 86400);
        if (i == 1)
            cr_assert_eq((at / 86400 + 3) % 7, 0, "a week begins on a Monday");
    }
    Ez__V1__Key *key =
        expect_ok(w, "Keys/Create",
                  "{'master_id':%lld,'key':{'quota_period':'day','quota_reset_at':'2101-01-01T00:00:00Z'}}", id);
    cr_assert_eq(key->quota_reset_at->seconds, 4133980800);
    key = expect_ok(w, "Keys/Update", "{'id':%lld,'key':{'quota_period':'none'}}", (long long)key->id);
    cr_assert_null(key->quota_reset_at);
    end_world(w);
}

Test(key, a_quota_of_zero_lets_nothing_through) {
    world *w = given_world();
    Ez__V1__Master *master = given_master(w, "acme");
    Ez__V1__Key *key = expect_ok(w, "Keys/Create", "{'master_id':%lld,'key':{'quota_limit':0}}", (long long)master->id);
    cr_assert_eq(key->status, EXHAUSTED);
    cr_assert_eq(key->quota_limit, 0);
    end_world(w);
}

Test(key, rotate_and_delete) {
    world *w = given_world();
    Ez__V1__Master *master = given_master(w, "acme");
    Ez__V1__Key *made = given_key(w, master->id, "web");
    Ez__V1__Key *rotated = expect_ok(w, "Keys/Rotate", "{'id':%lld}", (long long)made->id);
    cr_assert_str_neq(made->token, rotated->token);
    cr_assert_eq(rotated->id, made->id);
    expect_ok(w, "Keys/Delete", "{'id':%lld}", (long long)made->id);
    expect_error(w, EZ_NOT_FOUND, "NOT_FOUND", "there is no key 1", "Keys/Get", "{'id':%lld}", (long long)made->id);
    expect_error(w, EZ_NOT_FOUND, "NOT_FOUND", "there is no key 1", "Keys/Delete", "{'id':%lld}", (long long)made->id);
    expect_error(w, EZ_NOT_FOUND, "NOT_FOUND", "there is no key 1", "Keys/Rotate", "{'id':%lld}", (long long)made->id);
    end_world(w);
}

Test(key, lists_by_master_and_name) {
    world *w = given_world();
    Ez__V1__Master *a = given_master(w, "acme");
    Ez__V1__Master *b = given_master(w, "beta");
    given_key(w, a->id, "web one");
    given_key(w, b->id, "web two");
    given_key(w, b->id, "cli");
    Ez__V1__ListKeysResponse *list =
        expect_ok(w, "Keys/List", "{'master_id':%lld,'with_total':true}", (long long)b->id);
    cr_assert_eq(list->n_items, 2);
    cr_assert_eq(list->total, 2);
    list = expect_ok(w, "Keys/List", "{'q':'WEB'}");
    cr_assert_eq(list->n_items, 2);
    list = expect_ok(w, "Keys/List", "{'page_size':2}");
    cr_assert_eq(list->n_items, 2);
    list = expect_ok(w, "Keys/List", "{'page_size':2,'page_token':'%s'}", list->next_page_token);
    cr_assert_eq(list->n_items, 1);
    cr_assert_str_eq(list->items[0]->name, "cli");
    cr_assert_str_eq(list->next_page_token, "");
    list = expect_ok(w, "Keys/List", "{'master_id':99}");
    cr_assert_eq(list->n_items, 0);
    end_world(w);
}

// ---- Resolve

static Ez__V1__ResolveKeyResponse *resolve(world *w, ProtobufCBinaryData hash) {
    Ez__V1__ResolveKeyRequest request = EZ__V1__RESOLVE_KEY_REQUEST__INIT;
    request.token_sha256 = hash;
    ProtobufCMessage *reply = NULL;
    cr_assert_eq(call_message(w, "Keys/Resolve", &reply, &request.base), EZ_OK, "%s", w->error.message);
    return (Ez__V1__ResolveKeyResponse *)reply;
}

Test(key, resolve_fills_in_what_is_inherited) {
    world *w = given_world();
    given_namespace(w, "a");
    Ez__V1__Master *master = expect_ok(
        w, "Masters/Create", "{'master':{'name':'acme','group':'gold','namespaces':['a','default'],'global_qps':9}}");
    Ez__V1__Key *key = expect_ok(w, "Keys/Create", "{'master_id':%lld,'key':{'name':'web'}}", (long long)master->id);
    Ez__V1__ResolveKeyResponse *reply = resolve(w, key->token_sha256);
    cr_assert(reply->found);
    cr_assert_str_eq(reply->key->group, "gold");
    cr_assert_str_eq(reply->key->default_namespace, "default");
    cr_assert_eq(reply->key->n_namespaces, 2);
    cr_assert_str_eq(reply->key->namespaces[0], "default");
    cr_assert_str_eq(reply->key->namespaces[1], "a");
    cr_assert_eq(reply->key->status, ACTIVE);
    cr_assert_eq(reply->global_qps, 9);
    cr_assert_gt(reply->ttl_ms, 0);
    cr_assert_str_eq(reply->key->token, "");

    expect_ok(w, "Masters/Update", "{'id':%lld,'master':{'status':'suspended'}}", (long long)master->id);
    cr_assert_eq(resolve(w, key->token_sha256)->key->status, DISABLED);
    cr_assert_eq(read_key(w, key->id)->status, ACTIVE, "the key itself is as it was");

    uint8_t nobody[32] = {9};
    reply = resolve(w, (ProtobufCBinaryData){sizeof nobody, nobody});
    cr_assert_not(reply->found);
    cr_assert_null(reply->key);
    cr_assert_gt(reply->ttl_ms, 0);
    end_world(w);
}

Test(key, resolve_is_not_kept_longer_than_the_key_lives) {
    world *w = given_world();
    Ez__V1__Master *master = given_master(w, "acme");
    Ez__V1__Key *key = expect_ok(w, "Keys/Create", "{'master_id':%lld,'key':{'expires_at':'2101-01-01T00:00:00Z'}}",
                                 (long long)master->id);
    w->time_ns = ns_of(key->expires_at) - 5000000;
    cr_assert_eq(resolve(w, key->token_sha256)->ttl_ms, 5);
    w->time_ns = ns_of(key->expires_at) + HOUR_NS;
    cr_assert_eq(resolve(w, key->token_sha256)->key->status, EXPIRED);
    end_world(w);
}
