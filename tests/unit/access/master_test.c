// SPDX-License-Identifier: Apache-2.0
//
// Masters: defaults, the master key that is shown once, what may not be deleted or taken away, and what propagate does
// to keys. Every test has a store, a directory and a writer of its own.
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/access/support/world.h"

Test(master, defaults_and_master_key_once) {
    world *w = given_world();
    Ez__V1__Master *made = given_master(w, "acme");
    cr_assert_str_eq(made->group, "default");
    cr_assert_str_eq(made->default_namespace, "default");
    cr_assert_eq(made->max_child_keys, 5);
    cr_assert_eq(made->global_qps, 0);
    cr_assert_eq(made->status, EZ__V1__MASTER_STATUS__MASTER_STATUS_ACTIVE);
    cr_assert_eq(strncmp(made->master_key, "ezm_", 4), 0);
    cr_assert_eq(strlen(made->master_key), 47);
    cr_assert_eq(strncmp(made->master_key, made->token_prefix, 7), 0);
    cr_assert_eq(strlen(made->token_prefix), 7);
    cr_assert_str_eq(made->master_key + 43, made->token_last4);
    uint8_t hash[EZ_TOKEN_HASH_LEN];
    ez_token_hash(made->master_key, strlen(made->master_key), hash);
    cr_assert_eq(memcmp(hash, made->token_sha256.data, sizeof hash), 0);

    Ez__V1__Master *read = read_master(w, made->id);
    cr_assert_str_eq(read->master_key, "");
    cr_assert_str_eq(read->name, "acme");
    cr_assert_eq(read->revision, head_of(w));
    end_world(w);
}

Test(master, refusals_at_creation) {
    world *w = given_world();
    given_master(w, "acme");
    expect_error(w, EZ_ALREADY_EXISTS, "NAME_TAKEN", "acme", "Masters/Create", "{'master':{'name':' acme '}}");
    expect_error(w, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "name", "Masters/Create", "{'master':{}}");
    expect_error(w, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "global_qps", "Masters/Create",
                 "{'master':{'name':'b','global_qps':-1}}");
    expect_error(w, EZ_FAILED_PRECONDITION, "NAMESPACE_UNKNOWN", "\"nowhere\"", "Masters/Create",
                 "{'master':{'name':'b','namespaces':['default','nowhere']}}");
    expect_error(w, EZ_FAILED_PRECONDITION, "NAMESPACE_UNKNOWN", "\"nowhere\"", "Masters/Create",
                 "{'master':{'name':'b','default_namespace':'nowhere'}}");
    end_world(w);
}

Test(master, max_child_keys_of_zero_is_kept) {
    world *w = given_world();
    Ez__V1__Master *made = expect_ok(w, "Masters/Create", "{'master':{'name':'none','max_child_keys':0}}");
    cr_assert_eq(read_master(w, made->id)->max_child_keys, 0);
    expect_error(w, EZ_RESOURCE_EXHAUSTED, "KEY_LIMIT_REACHED", "at most 0", "Keys/Create",
                 "{'master_id':%lld,'key':{}}", (long long)made->id);
    end_world(w);
}

Test(master, update_clears_to_defaults_and_makes_no_revision_for_nothing) {
    world *w = given_world();
    Ez__V1__Master *made =
        expect_ok(w, "Masters/Create", "{'master':{'name':'acme','group':'gold','max_child_keys':9}}");
    Ez__V1__Master *changed =
        expect_ok(w, "Masters/Update",
                  "{'id':%lld,'master':{'global_qps':7},'update_mask':['group','max_child_keys','global_qps']}",
                  (long long)made->id);
    cr_assert_str_eq(changed->group, "default");
    cr_assert_eq(changed->max_child_keys, 5);
    cr_assert_eq(changed->global_qps, 7);
    uint64_t head = head_of(w);
    changed = expect_ok(w, "Masters/Update", "{'id':%lld,'master':{'global_qps':7}}", (long long)made->id);
    cr_assert_eq(head_of(w), head);
    cr_assert_eq(changed->revision, head);
    expect_error(w, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "name", "Masters/Update",
                 "{'id':%lld,'master':{},'update_mask':['name']}", (long long)made->id);
    expect_error(w, EZ_NOT_FOUND, "NOT_FOUND", "there is no master 99", "Masters/Update",
                 "{'id':99,'master':{'name':'x'}}");
    end_world(w);
}

Test(master, if_match) {
    world *w = given_world();
    Ez__V1__Master *made = given_master(w, "acme");
    w->if_match = made->revision + 1;
    expect_error(w, EZ_ABORTED, "REVISION_MISMATCH", "read it again", "Masters/Update",
                 "{'id':%lld,'master':{'name':'other'}}", (long long)made->id);
    w->if_match = made->revision + 1;
    expect_error(w, EZ_ABORTED, "REVISION_MISMATCH", "read it again", "Masters/Delete", "{'id':%lld}",
                 (long long)made->id);
    w->if_match = made->revision;
    expect_ok(w, "Masters/Update", "{'id':%lld,'master':{'name':'other'}}", (long long)made->id);
    end_world(w);
}

Test(master, rotate_replaces_the_master_key) {
    world *w = given_world();
    Ez__V1__Master *made = given_master(w, "acme");
    Ez__V1__Master *rotated = expect_ok(w, "Masters/Rotate", "{'id':%lld}", (long long)made->id);
    cr_assert_str_neq(made->master_key, rotated->master_key);
    ez_directory_enter();
    cr_assert_null(ez_directory_find(w->directory, EZ_INDEX_MASTER_TOKEN,
                                     ez_index_bytes(made->token_sha256.data, made->token_sha256.len)));
    cr_assert_not_null(ez_directory_find(w->directory, EZ_INDEX_MASTER_TOKEN,
                                         ez_index_bytes(rotated->token_sha256.data, rotated->token_sha256.len)));
    ez_directory_leave();
    expect_error(w, EZ_NOT_FOUND, "NOT_FOUND", "there is no master 99", "Masters/Rotate", "{'id':99}");
    end_world(w);
}

Test(master, delete_with_keys) {
    world *w = given_world();
    Ez__V1__Master *made = given_master(w, "acme");
    for (int i = 0; i < 5; i++)
        given_key(w, made->id, "web");
    expect_ok(w, "Masters/Update", "{'id':%lld,'master':{'max_child_keys':7}}", (long long)made->id);
    Ez__V1__Key *key = given_key(w, made->id, "last");
    expect_error(w, EZ_FAILED_PRECONDITION, "MASTER_HAS_KEYS", "6 keys: 1 (web), 2 (web)", "Masters/Delete",
                 "{'id':%lld}", (long long)made->id);
    cr_assert_not_null(strstr(w->error.message, "and 1 more"));
    cr_assert_eq(read_master(w, made->id)->key_count, 6);
    uint64_t head = head_of(w);
    expect_ok(w, "Masters/Delete", "{'id':%lld,'cascade':true}", (long long)made->id);
    cr_assert_eq(head_of(w), head + 1);
    expect_error(w, EZ_NOT_FOUND, "NOT_FOUND", "there is no key", "Keys/Get", "{'id':%lld}", (long long)key->id);
    expect_error(w, EZ_NOT_FOUND, "NOT_FOUND", "there is no master", "Masters/Get", "{'id':%lld}", (long long)made->id);
    end_world(w);
}

Test(master, validate_only_changes_nothing) {
    world *w = given_world();
    Ez__V1__Master *made = given_master(w, "acme");
    uint64_t head = head_of(w);
    w->validate_only = true;
    expect_ok(w, "Masters/Delete", "{'id':%lld}", (long long)made->id);
    cr_assert_eq(head_of(w), head);
    read_master(w, made->id);
    end_world(w);
}

Test(master, lists_count_keys_and_filter) {
    world *w = given_world();
    Ez__V1__Master *a = given_master(w, "acme");
    Ez__V1__Master *b = given_master(w, "beta");
    given_key(w, a->id, "one");
    given_key(w, a->id, "two");
    expect_ok(w, "Masters/Update", "{'id':%lld,'master':{'status':'suspended'}}", (long long)b->id);
    Ez__V1__ListMastersResponse *list = expect_ok(w, "Masters/List", "{'with_total':true}");
    cr_assert_eq(list->n_items, 2);
    cr_assert_eq(list->total, 2);
    cr_assert_eq(list->items[0]->key_count, 2);
    cr_assert_eq(list->items[1]->key_count, 0);
    list = expect_ok(w, "Masters/List", "{'status':'suspended'}");
    cr_assert_eq(list->n_items, 1);
    cr_assert_str_eq(list->items[0]->name, "beta");
    list = expect_ok(w, "Masters/List", "{'q':'CM','order_by':'id desc'}");
    cr_assert_eq(list->n_items, 1);
    cr_assert_str_eq(list->items[0]->name, "acme");
    end_world(w);
}

// ---- Access

static Ez__V1__Master *given_master_with(world *w, const char *name, const char *namespaces) {
    return expect_ok(w, "Masters/Create", "{'master':{'name':'%s','namespaces':[%s]}}", name, namespaces);
}

Test(master, repeated_namespaces_are_dropped) {
    world *w = given_world();
    given_namespace(w, "a");
    Ez__V1__Master *made = given_master_with(w, "acme", "'a','default','a'");
    cr_assert_eq(made->n_namespaces, 2);
    Ez__V1__Access *access = expect_ok(w, "Masters/GetAccess", "{'id':%lld}", (long long)made->id);
    cr_assert_eq(access->n_namespaces, 2);
    cr_assert_str_eq(access->namespaces[0], "a");
    expect_error(w, EZ_NOT_FOUND, "NOT_FOUND", "there is no master 99", "Masters/GetAccess", "{'id':99}");
    end_world(w);
}

Test(master, shrinking_is_refused_while_keys_name_what_goes) {
    world *w = given_world();
    given_namespace(w, "a");
    given_namespace(w, "b");
    Ez__V1__Master *made = given_master_with(w, "acme", "'a','b'");
    Ez__V1__Key *key = expect_ok(w, "Keys/Create", "{'master_id':%lld,'key':{'name':'web','namespaces':['a','b']}}",
                                 (long long)made->id);
    Ez__V1__Key *with_default = expect_ok(
        w, "Keys/Create", "{'master_id':%lld,'key':{'name':'cli','default_namespace':'b'}}", (long long)made->id);
    given_key(w, made->id, "plain");
    expect_error(w, EZ_FAILED_PRECONDITION, "KEYS_USE_NAMESPACE", "1 (web), 2 (cli)", "Masters/Update",
                 "{'id':%lld,'master':{'namespaces':['a']}}", (long long)made->id);
    expect_error(w, EZ_FAILED_PRECONDITION, "KEYS_USE_NAMESPACE", "2 keys", "Masters/SetAccess",
                 "{'id':%lld,'access':{'namespaces':['a']}}", (long long)made->id);
    uint64_t head = head_of(w);
    Ez__V1__Access *access = expect_ok(
        w, "Masters/SetAccess", "{'id':%lld,'access':{'namespaces':['a']},'propagate':true}", (long long)made->id);
    cr_assert_eq(access->n_namespaces, 1);
    cr_assert_eq(head_of(w), head + 1);
    key = read_key(w, key->id);
    cr_assert_eq(key->n_namespaces, 1);
    cr_assert_str_eq(key->namespaces[0], "a");
    cr_assert_str_eq(read_key(w, with_default->id)->default_namespace, "");

    // What is left of a key's namespaces may be nothing: it inherits again.
    expect_ok(w, "Masters/SetAccess", "{'id':%lld,'access':{},'update_mask':['namespaces'],'propagate':true}",
              (long long)made->id);
    cr_assert_eq(read_key(w, key->id)->n_namespaces, 0);
    cr_assert_eq(read_master(w, made->id)->n_namespaces, 0);
    end_world(w);
}

Test(master, set_access_checks_and_defaults) {
    world *w = given_world();
    given_namespace(w, "a");
    Ez__V1__Master *made = given_master(w, "acme");
    expect_error(w, EZ_FAILED_PRECONDITION, "NAMESPACE_UNKNOWN", "\"x\"", "Masters/SetAccess",
                 "{'id':%lld,'access':{'namespaces':['x']}}", (long long)made->id);
    Ez__V1__Access *access =
        expect_ok(w, "Masters/SetAccess", "{'id':%lld,'access':{'default_namespace':'a'}}", (long long)made->id);
    cr_assert_str_eq(access->default_namespace, "a");
    access = expect_ok(w, "Masters/SetAccess", "{'id':%lld,'access':{},'update_mask':['default_namespace']}",
                       (long long)made->id);
    cr_assert_str_eq(access->default_namespace, "default");
    end_world(w);
}
