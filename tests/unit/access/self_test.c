// SPDX-License-Identifier: Apache-2.0
//
// What a tenant sees and may do with its master key: its own, and no more.
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/access/support/world.h"

static world *given_tenant(Ez__V1__Master **master) {
    world *w = given_world();
    given_namespace(w, "a");
    given_namespace(w, "b");
    *master = expect_ok(w, "Masters/Create", "{'master':{'name':'acme','namespaces':['a'],'max_child_keys':3}}");
    w->tenant = (*master)->id;
    return w;
}

Test(self, sees_itself_without_its_key) {
    Ez__V1__Master *master;
    world *w = given_tenant(&master);
    Ez__V1__Master *self = expect_ok(w, "Self/Get", "{}");
    cr_assert_eq(self->id, master->id);
    cr_assert_str_eq(self->master_key, "");
    expect_ok(w, "Self/CreateKey", "{'key':{'name':'web'}}");
    self = expect_ok(w, "Self/Get", "{}");
    cr_assert_eq(self->key_count, 1);
    end_world(w);
}

Test(self, issues_within_its_limits) {
    Ez__V1__Master *master;
    world *w = given_tenant(&master);
    Ez__V1__Key *key = expect_ok(w, "Self/CreateKey", "{'key':{'name':'web','namespaces':['a']}}");
    cr_assert_eq(key->master_id, master->id);
    cr_assert_eq(strncmp(key->token, "sk-", 3), 0);
    expect_error(w, EZ_FAILED_PRECONDITION, "NAMESPACE_NOT_ALLOWED", "\"b\"", "Self/CreateKey",
                 "{'key':{'namespaces':['b']}}");
    expect_error(w, EZ_PERMISSION_DENIED, "FIELD_NOT_YOURS", "group", "Self/CreateKey", "{'key':{'group':'gold'}}");
    expect_ok(w, "Self/CreateKey", "{'key':{'group':'default'}}");
    expect_ok(w, "Self/CreateKey", "{'key':{}}");
    expect_error(w, EZ_RESOURCE_EXHAUSTED, "KEY_LIMIT_REACHED", "at most 3", "Self/CreateKey", "{'key':{}}");
    end_world(w);
}

Test(self, a_suspended_master_issues_nothing_but_admins_may) {
    Ez__V1__Master *master;
    world *w = given_tenant(&master);
    w->tenant = 0;
    expect_ok(w, "Masters/Update", "{'id':%lld,'master':{'status':'suspended'}}", (long long)master->id);
    w->tenant = master->id;
    expect_error(w, EZ_FAILED_PRECONDITION, "MASTER_SUSPENDED", "suspended", "Self/CreateKey", "{'key':{}}");
    w->tenant = 0;
    given_key(w, master->id, "by an admin");
    end_world(w);
}

Test(self, other_masters_keys_are_not_there) {
    Ez__V1__Master *master;
    world *w = given_tenant(&master);
    w->tenant = 0;
    Ez__V1__Master *other = given_master(w, "beta");
    Ez__V1__Key *foreign = given_key(w, other->id, "secret name");
    w->tenant = master->id;
    expect_ok(w, "Self/CreateKey", "{'key':{'name':'own'}}");
    long long id = (long long)foreign->id;
    expect_error(w, EZ_NOT_FOUND, "NOT_FOUND", "there is no key 1", "Self/GetKey", "{'id':%lld}", id);
    expect_error(w, EZ_NOT_FOUND, "NOT_FOUND", "there is no key 1", "Self/UpdateKey", "{'id':%lld,'key':{'name':'x'}}",
                 id);
    expect_error(w, EZ_NOT_FOUND, "NOT_FOUND", "there is no key 1", "Self/DeleteKey", "{'id':%lld}", id);
    w->if_match = 99999; // not even that it has another revision
    expect_error(w, EZ_NOT_FOUND, "NOT_FOUND", "there is no key 1", "Self/DeleteKey", "{'id':%lld}", id);
    Ez__V1__ListKeysResponse *list = expect_ok(w, "Self/ListKeys", "{'with_total':true}");
    cr_assert_eq(list->n_items, 1);
    cr_assert_eq(list->total, 1);
    cr_assert_str_eq(list->items[0]->name, "own");
    end_world(w);
}

Test(self, changes_its_own_within_bounds) {
    Ez__V1__Master *master;
    world *w = given_tenant(&master);
    Ez__V1__Key *key = expect_ok(w, "Self/CreateKey", "{'key':{'name':'web'}}");
    long long id = (long long)key->id;
    key = expect_ok(w, "Self/UpdateKey",
                    "{'id':%lld,'key':{'name':'web2','status':'disabled','quota_limit':10,'allow_ips':['10.0.0.0/8'],"
                    "'model_limits_enabled':true,'model_limits':['m']}}",
                    id);
    cr_assert_str_eq(key->name, "web2");
    cr_assert_eq(key->status, EZ__V1__KEY_STATUS__KEY_STATUS_DISABLED);
    cr_assert_eq(key->n_allow_ips, 1);
    expect_error(w, EZ_PERMISSION_DENIED, "FIELD_NOT_YOURS", "group", "Self/UpdateKey",
                 "{'id':%lld,'key':{'group':'gold'}}", id);
    expect_error(w, EZ_PERMISSION_DENIED, "FIELD_NOT_YOURS", "scopes", "Self/CreateKey",
                 "{'key':{'name':'api','scopes':['all']}}");
    expect_error(w, EZ_PERMISSION_DENIED, "FIELD_NOT_YOURS", "scopes", "Self/UpdateKey",
                 "{'id':%lld,'key':{'scopes':['all']}}", id);
    expect_error(w, EZ_FAILED_PRECONDITION, "NAMESPACE_NOT_ALLOWED", "\"b\"", "Self/UpdateKey",
                 "{'id':%lld,'key':{'namespaces':['b']}}", id);
    // What the server sets is passed over, whatever is sent.
    key = expect_ok(w, "Self/UpdateKey", "{'id':%lld,'key':{'master_id':99},'update_mask':['master_id']}", id);
    cr_assert_eq(key->master_id, master->id);
    expect_ok(w, "Self/DeleteKey", "{'id':%lld}", id);
    expect_error(w, EZ_NOT_FOUND, "NOT_FOUND", "there is no key", "Self/GetKey", "{'id':%lld}", id);
    end_world(w);
}
