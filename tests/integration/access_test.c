// SPDX-License-Identifier: Apache-2.0
//
// Masters, keys, namespaces, admin tokens and the tenant's own view, over the wire: what each can be made, changed and
// refused, and that a credential stops working with the reply that takes it away.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/crypto/token.h"
#include "tests/integration/support/world.h"

static ez_world w;

static void begin(void) {
    given_world(&w, NULL);
}

static void end(void) {
    end_world(&w);
}

TestSuite(access, .init = begin, .fini = end);

static Ez__V1__ResolveKeyResponse *resolve(ez_caller *plane, const char *token) {
    Ez__V1__ResolveKeyRequest request = EZ__V1__RESOLVE_KEY_REQUEST__INIT;
    uint8_t hash[EZ_TOKEN_HASH_LEN];
    ez_token_hash(token, strlen(token), hash);
    request.token_sha256 = (ProtobufCBinaryData){.len = sizeof hash, .data = hash};
    void *reply = NULL;
    expect_ok(try_message(plane, &reply, "Keys/Resolve", &request.base), &plane->error);
    return reply;
}

static bool works(ez_caller *plane, const char *token) {
    Ez__V1__ResolveKeyResponse *reply = resolve(plane, token);
    return reply->found && reply->key->status == EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE;
}

Test(access, a_master_lives) {
    Ez__V1__Master *acme = ask(&w.admin, "Masters/Create", "{'master':{'name':'  acme ','max_child_keys':2}}");
    cr_assert_str_eq(acme->name, "acme");
    cr_assert_eq(strncmp(acme->master_key, "ezm_", 4), 0);
    cr_assert_eq(acme->revision, w.admin.info.revision);
    Ez__V1__Master *read = ask(&w.admin, "Masters/Get", "{'id':%" PRId64 "}", acme->id);
    cr_assert_str_eq(read->master_key, "", "a master key is shown once");
    cr_assert_str_eq(read->token_last4, acme->master_key + strlen(acme->master_key) - 4);
    expect_refused(&w.admin, EZ_ALREADY_EXISTS, "NAME_TAKEN", "Masters/Create", "{'master':{'name':'acme'}}");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "Masters/Create",
                   "{'master':{'name':'b','global_qps':-1}}");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "Masters/Create", "{'master':{}}");
    expect_refused(&w.admin, EZ_FAILED_PRECONDITION, "NAMESPACE_UNKNOWN", "Masters/Create",
                   "{'master':{'name':'b','namespaces':['nowhere']}}");

    given_key(&w.admin, acme->id, "one");
    given_key(&w.admin, acme->id, "two");
    expect_refused(&w.admin, EZ_RESOURCE_EXHAUSTED, "KEY_LIMIT_REACHED", "Keys/Create",
                   "{'master_id':%" PRId64 ",'key':{'name':'three'}}", acme->id);
    expect_refused(&w.admin, EZ_FAILED_PRECONDITION, "MASTER_HAS_KEYS", "Masters/Delete", "{'id':%" PRId64 "}",
                   acme->id);
    ask(&w.admin, "Masters/Delete", "{'id':%" PRId64 ",'cascade':true}", acme->id);
    expect_refused(&w.admin, EZ_NOT_FOUND, "NOT_FOUND", "Masters/Get", "{'id':%" PRId64 "}", acme->id);
    Ez__V1__ListKeysResponse *left = ask(&w.admin, "Keys/List", "{'with_total':true}");
    cr_assert_eq(left->n_items, 0);
    cr_assert_eq(left->total, 0);
}

Test(access, a_rotated_master_key_works_and_the_old_one_does_not) {
    Ez__V1__Master *acme = given_master(&w.admin, "acme");
    ez_caller before = caller_with(&w, acme->master_key);
    Ez__V1__Master *self = ask(&before, "Self/Get", "{}");
    cr_assert_eq(self->id, acme->id);
    Ez__V1__Master *rotated = ask(&w.admin, "Masters/Rotate", "{'id':%" PRId64 "}", acme->id);
    expect_refused(&before, EZ_UNAUTHENTICATED, "TOKEN_UNKNOWN", "Self/Get", "{}");
    ez_caller after = caller_with(&w, rotated->master_key);
    ask(&after, "Self/Get", "{}");
    ask(&w.admin, "Masters/Update", "{'id':%" PRId64 ",'master':{'status':'suspended'}}", acme->id);
    expect_refused(&after, EZ_PERMISSION_DENIED, "MASTER_SUSPENDED", "Self/Get", "{}");
}

Test(access, a_key_stops_with_the_reply_that_takes_it_away) {
    Ez__V1__Master *acme = given_master(&w.admin, "acme");
    Ez__V1__Key *key = given_key(&w.admin, acme->id, "web");
    ez_caller plane = caller_with(&w, given_plane(&w.admin, "edge")->token);
    cr_assert(works(&plane, key->token));
    ask(&w.admin, "Keys/Disable", "{'id':%" PRId64 "}", key->id);
    cr_assert_not(works(&plane, key->token));
    ask(&w.admin, "Keys/Enable", "{'id':%" PRId64 "}", key->id);
    cr_assert(works(&plane, key->token));
    Ez__V1__Key *rotated = ask(&w.admin, "Keys/Rotate", "{'id':%" PRId64 "}", key->id);
    cr_assert_not(resolve(&plane, key->token)->found);
    cr_assert(works(&plane, rotated->token));
    ask(&w.admin, "Masters/Update", "{'id':%" PRId64 ",'master':{'status':'suspended'}}", acme->id);
    cr_assert_not(works(&plane, rotated->token), "a suspended master's keys stop at once");
    ask(&w.admin, "Masters/Update", "{'id':%" PRId64 ",'master':{'status':'active'}}", acme->id);
    ask(&w.admin, "Keys/Delete", "{'id':%" PRId64 "}", key->id);
    cr_assert_not(resolve(&plane, rotated->token)->found);
}

Test(access, keys_are_changed_by_mask_and_refused_with_the_field) {
    Ez__V1__Master *acme = given_master(&w.admin, "acme");
    Ez__V1__Key *key = given_key(&w.admin, acme->id, "web");
    Ez__V1__Key *changed = ask(&w.admin, "Keys/Update",
                               "{'id':%" PRId64 ",'key':{'allow_ips':['10.0.0.0/8'],'quota_limit':5},"
                               "'update_mask':['allow_ips','quota_limit']}",
                               key->id);
    cr_assert_eq(changed->n_allow_ips, 1);
    cr_assert_eq(changed->quota_limit, 5);
    cr_assert_str_eq(changed->name, "web");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "Keys/Update",
                   "{'id':%" PRId64 ",'key':{'allow_ips':['10.0.0.0/99']}}", key->id);
    cr_assert_str_eq(w.admin.error.violations[0].field, "key.allow_ips[0]");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "KEY_STATUS_DERIVED", "Keys/Update",
                   "{'id':%" PRId64 ",'key':{'status':'expired'}}", key->id);
    expect_refused(&w.admin, EZ_FAILED_PRECONDITION, "NAMESPACE_UNKNOWN", "Keys/Update",
                   "{'id':%" PRId64 ",'key':{'namespaces':['nowhere']}}", key->id);
    given_namespace(&w.admin, "other");
    expect_refused(&w.admin, EZ_FAILED_PRECONDITION, "NAMESPACE_NOT_ALLOWED", "Keys/Update",
                   "{'id':%" PRId64 ",'key':{'namespaces':['other']}}", key->id);
    expect_refused(&w.admin, EZ_NOT_FOUND, "NOT_FOUND", "Keys/Update", "{'id':99,'key':{'name':'x'}}");
}

Test(access, namespaces_and_who_may_use_them) {
    Ez__V1__Master *acme = given_master(&w.admin, "acme");
    Ez__V1__Key *key = given_key(&w.admin, acme->id, "web");
    Ez__V1__Namespace *team = ask(&w.admin, "Namespaces/Create", "{'namespace':{'name':'团队'}}");
    expect_refused(&w.admin, EZ_ALREADY_EXISTS, "NAME_TAKEN", "Namespaces/Create", "{'namespace':{'name':'团队'}}");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "Namespaces/Create", "{'namespace':{'name':'a.b'}}");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "Namespaces/Update",
                   "{'id':%" PRId64 ",'namespace':{'name':'renamed'},'update_mask':['name']}", team->id);
    ask(&w.admin, "Masters/SetAccess",
        "{'id':%" PRId64 ",'access':{'default_namespace':'团队','namespaces':['团队']},'propagate':true}", acme->id);
    Ez__V1__Access *own = ask(&w.admin, "Keys/GetAccess", "{'id':%" PRId64 "}", key->id);
    cr_assert_str_eq(own->default_namespace, "团队");
    expect_refused(&w.admin, EZ_FAILED_PRECONDITION, "NAMESPACE_IN_USE", "Namespaces/Delete", "{'id':%" PRId64 "}",
                   team->id);
    expect_refused(&w.admin, EZ_FAILED_PRECONDITION, "NAMESPACE_DEFAULT", "Namespaces/Delete", "{'id':1}");
    ask(&w.admin, "Masters/Delete", "{'id':%" PRId64 ",'cascade':true}", acme->id);
    ask(&w.admin, "Namespaces/Delete", "{'id':%" PRId64 "}", team->id);
}

Test(access, admin_tokens_are_made_and_revoked_but_not_the_last) {
    Ez__V1__AdminToken *ci = ask(&w.admin, "AdminTokens/Create", "{'admin_token':{'name':'ci'}}");
    ez_caller second = caller_with(&w, ci->token);
    ask(&second, "Masters/List", "{}");
    Ez__V1__AdminToken *read = ask(&second, "AdminTokens/Get", "{'id':%" PRId64 "}", ci->id);
    cr_assert_str_eq(read->token, "");
    ask(&w.admin, "AdminTokens/Delete", "{'id':%" PRId64 "}", ci->id);
    expect_refused(&second, EZ_UNAUTHENTICATED, "TOKEN_UNKNOWN", "Masters/List", "{}");
    Ez__V1__ListAdminTokensResponse *left = ask(&w.admin, "AdminTokens/List", "{}");
    cr_assert_eq(left->n_items, 1);
    expect_refused(&w.admin, EZ_FAILED_PRECONDITION, "LAST_ADMIN_TOKEN", "AdminTokens/Delete", "{'id':%" PRId64 "}",
                   left->items[0]->id);
}

Test(access, an_expired_admin_token_is_no_credential) {
    Ez__V1__CreateAdminTokenRequest request = EZ__V1__CREATE_ADMIN_TOKEN_REQUEST__INIT;
    Ez__V1__AdminToken token = EZ__V1__ADMIN_TOKEN__INIT;
    Google__Protobuf__Timestamp soon = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    token.name = (char *)"brief";
    token.expires_at = &soon;
    request.admin_token = &token;
    soon.seconds = 1;
    cr_assert_eq(try_message(&w.admin, NULL, "AdminTokens/Create", &request.base), EZ_INVALID_ARGUMENT);
    soon.seconds = (int64_t)time(NULL) + 3;
    void *made = NULL;
    expect_ok(try_message(&w.admin, &made, "AdminTokens/Create", &request.base), &w.admin.error);
    ez_caller brief = caller_with(&w, ((Ez__V1__AdminToken *)made)->token);
    expect_soon(try_call(&brief, NULL, "Masters/List", "{}") == EZ_UNAUTHENTICATED);
}

Test(access, a_tenant_sees_its_own_and_nothing_else) {
    Ez__V1__Master *acme = given_master(&w.admin, "acme");
    Ez__V1__Master *globex = given_master(&w.admin, "globex");
    Ez__V1__Key *theirs = given_key(&w.admin, globex->id, "theirs");
    ez_caller tenant = caller_with(&w, acme->master_key);
    Ez__V1__Key *own = ask(&tenant, "Self/CreateKey", "{'key':{'name':'mine'}}");
    cr_assert_eq(strncmp(own->token, "sk-", 3), 0);
    cr_assert_eq(own->master_id, acme->id);
    Ez__V1__ListKeysResponse *list = ask(&tenant, "Self/ListKeys", "{'with_total':true}");
    cr_assert_eq(list->n_items, 1);
    cr_assert_eq(list->total, 1);
    expect_refused(&tenant, EZ_NOT_FOUND, "NOT_FOUND", "Self/GetKey", "{'id':%" PRId64 "}", theirs->id);
    expect_refused(&tenant, EZ_NOT_FOUND, "NOT_FOUND", "Self/UpdateKey", "{'id':%" PRId64 ",'key':{'name':'x'}}",
                   theirs->id);
    expect_refused(&tenant, EZ_NOT_FOUND, "NOT_FOUND", "Self/DeleteKey", "{'id':%" PRId64 "}", theirs->id);
    expect_refused(&tenant, EZ_PERMISSION_DENIED, "FIELD_NOT_YOURS", "Self/UpdateKey",
                   "{'id':%" PRId64 ",'key':{'group':'vip'}}", own->id);
    ask(&tenant, "Self/DeleteKey", "{'id':%" PRId64 "}", own->id);
    Ez__V1__Key *still = ask(&w.admin, "Keys/Get", "{'id':%" PRId64 "}", theirs->id);
    cr_assert_str_eq(still->name, "theirs");
}

Test(access, lists_page_without_loss_while_rows_are_added) {
    Ez__V1__Master *acme = given_master(&w.admin, "acme");
    for (int i = 0; i < 25; i++) {
        char name[16];
        snprintf(name, sizeof name, "k%02d", i);
        given_key(&w.admin, acme->id, name);
    }
    int64_t last = 0;
    size_t seen = 0;
    char token[600] = "";
    do {
        Ez__V1__ListKeysResponse *page = ask(&w.admin, "Keys/List", "{'page_size':4,'page_token':'%s'}", token);
        for (size_t i = 0; i < page->n_items; i++, seen++) {
            cr_assert_gt(page->items[i]->id, last);
            last = page->items[i]->id;
        }
        snprintf(token, sizeof token, "%s", page->next_page_token);
        if (seen == 4)
            given_key(&w.admin, acme->id, "added meanwhile");
    } while (token[0]);
    cr_assert_eq(seen, 26);
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, NULL, "Keys/List", "{'page_token':'rubbish'}");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, NULL, "Keys/List", "{'order_by':'token_sha256'}");
    Ez__V1__ListKeysResponse *found = ask(&w.admin, "Keys/List", "{'q':'MEANwhile'}");
    cr_assert_eq(found->n_items, 1);
}
