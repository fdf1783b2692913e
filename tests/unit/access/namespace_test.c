// SPDX-License-Identifier: Apache-2.0
//
// Namespaces: names that never change, and what keeps one from being deleted.
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/access/support/world.h"

static long long id_of(world *w, const char *name) {
    Ez__V1__ListNamespacesResponse *list = expect_ok(w, "Namespaces/List", "{'q':'%s'}", name);
    for (size_t i = 0; i < list->n_items; i++)
        if (strcmp(list->items[i]->name, name) == 0)
            return (long long)list->items[i]->id;
    cr_assert_fail("there is no namespace %s", name);
    return 0;
}

Test(namespace, create_read_update) {
    world *w = given_world();
    Ez__V1__Namespace *made = expect_ok(w, "Namespaces/Create", "{'namespace':{'name':'团队','description':'one'}}");
    cr_assert_eq(made->status, EZ__V1__NAMESPACE_STATUS__NAMESPACE_STATUS_ACTIVE);
    Ez__V1__Namespace *read = expect_ok(w, "Namespaces/Get", "{'id':%lld}", (long long)made->id);
    cr_assert_str_eq(read->name, "团队");
    read = expect_ok(w, "Namespaces/Update", "{'id':%lld,'namespace':{'name':'团队','status':'disabled'}}",
                     (long long)made->id);
    cr_assert_eq(read->status, EZ__V1__NAMESPACE_STATUS__NAMESPACE_STATUS_DISABLED);
    cr_assert_str_eq(read->description, "one");
    Ez__V1__ListNamespacesResponse *list = expect_ok(w, "Namespaces/List", "{'status':'disabled'}");
    cr_assert_eq(list->n_items, 1);
    end_world(w);
}

Test(namespace, refusals) {
    world *w = given_world();
    given_namespace(w, "a");
    expect_error(w, EZ_ALREADY_EXISTS, "NAME_TAKEN", "\"a\"", "Namespaces/Create", "{'namespace':{'name':'a'}}");
    static const char *const bad[] = {"a.b", "a/b", "a b", "a\\tb"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_error(w, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "name", "Namespaces/Create",
                     "{'namespace':{'name':'%s'}}", bad[i]);
    expect_error(w, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "name", "Namespaces/Update",
                 "{'id':%lld,'namespace':{'name':'b'}}", id_of(w, "a"));
    expect_error(w, EZ_NOT_FOUND, "NOT_FOUND", "there is no namespace 99", "Namespaces/Get", "{'id':99}");
    end_world(w);
}

Test(namespace, default_stays) {
    world *w = given_world();
    long long id = id_of(w, "default");
    expect_error(w, EZ_FAILED_PRECONDITION, "NAMESPACE_DEFAULT", "disable it", "Namespaces/Delete",
                 "{'id':%lld,'cascade':true}", id);
    expect_ok(w, "Namespaces/Update", "{'id':%lld,'namespace':{'status':'disabled'}}", id);
    end_world(w);
}

Test(namespace, users_keep_it) {
    world *w = given_world();
    given_namespace(w, "a");
    long long id = id_of(w, "a");
    Ez__V1__Master *master = expect_ok(w, "Masters/Create", "{'master':{'name':'acme','namespaces':['a']}}");
    expect_error(w, EZ_FAILED_PRECONDITION, "NAMESPACE_IN_USE", "1 masters: 1 (acme)", "Namespaces/Delete",
                 "{'id':%lld,'cascade':true}", id);
    expect_ok(w, "Masters/Update",
              "{'id':%lld,'master':{'default_namespace':'a'},'update_mask':"
              "['namespaces','default_namespace']}",
              (long long)master->id);
    expect_error(w, EZ_FAILED_PRECONDITION, "NAMESPACE_IN_USE", "1 masters: 1 (acme)", "Namespaces/Delete",
                 "{'id':%lld}", id);
    expect_ok(w, "Masters/Update", "{'id':%lld,'master':{'default_namespace':'default'}}", (long long)master->id);
    expect_ok(w, "Namespaces/Delete", "{'id':%lld}", id);
    expect_error(w, EZ_NOT_FOUND, "NOT_FOUND", "there is no namespace", "Namespaces/Delete", "{'id':%lld}", id);
    end_world(w);
}

Test(namespace, a_key_that_names_it_against_the_rules_keeps_it_too) {
    world *w = given_world();
    given_namespace(w, "a");
    Ez__V1__Master *master = given_master(w, "acme");
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    char *names[] = {(char *)"a"};
    uint8_t hash[32] = {1};
    key.master_id = master->id;
    key.name = (char *)"stray";
    key.namespaces = names;
    key.n_namespaces = 1;
    key.token_sha256 = (ProtobufCBinaryData){sizeof hash, hash};
    given_stored(w, EZ__V1__KIND__KIND_KEY, &key.base);
    expect_error(w, EZ_FAILED_PRECONDITION, "NAMESPACE_IN_USE", "1 keys: 1 (stray)", "Namespaces/Delete", "{'id':%lld}",
                 id_of(w, "a"));
    end_world(w);
}

Test(namespace, bindings_go_with_it_only_by_cascade) {
    world *w = given_world();
    given_namespace(w, "a");
    long long id = id_of(w, "a");
    Ez__V1__ProviderGroup *group = given_group(w, "main", "'m1','m2'");
    for (int i = 1; i <= 2; i++)
        expect_ok(w, "Bindings/Create", "{'binding':{'namespace':'a','public_model':'m%d','group_id':%lld}}", i,
                  (long long)group->id);
    expect_error(w, EZ_FAILED_PRECONDITION, "NAMESPACE_IN_USE", "2 bindings: 1 (m1), 2 (m2)", "Namespaces/Delete",
                 "{'id':%lld}", id);
    uint64_t head = head_of(w);
    expect_ok(w, "Namespaces/Delete", "{'id':%lld,'cascade':true}", id);
    cr_assert_eq(head_of(w), head + 1);
    Ez__V1__ListBindingsResponse *list = expect_ok(w, "Bindings/List", "{}");
    cr_assert_eq(list->n_items, 0);
    end_world(w);
}
