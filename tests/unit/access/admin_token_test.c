// SPDX-License-Identifier: Apache-2.0
//
// Admin tokens and the first start: what is made once, what is ignored later, and that nobody locks himself out.
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/access/support/world.h"

static bool knows(world *w, const char *token) {
    uint8_t hash[EZ_TOKEN_HASH_LEN];
    ez_token_hash(token, strlen(token), hash);
    ez_directory_enter();
    bool found = ez_directory_find(w->directory, EZ_INDEX_ADMIN_TOKEN_TOKEN, ez_index_bytes(hash, sizeof hash));
    ez_directory_leave();
    return found;
}

static ez_status bootstrap(world *w, const char *given, bool *is_taken) {
    ez_error_clear(&w->error);
    return ez_access_bootstrap(w->writer, w->directory, given, is_taken, &w->error);
}

Test(bootstrap, makes_namespace_and_token_in_one_revision) {
    world *w = given_empty_world();
    char token[EZ_TOKEN_TEXT_MAX];
    bool is_taken = false;
    cr_assert_eq(ez_token_make("eza_", token), EZ_OK);
    cr_assert_eq(bootstrap(w, token, &is_taken), EZ_OK, "%s", w->error.message);
    cr_assert(is_taken);
    cr_assert_eq(head_of(w), 1);
    cr_assert(knows(w, token));
    Ez__V1__ListAdminTokensResponse *list = expect_ok(w, "AdminTokens/List", "{}");
    cr_assert_eq(list->n_items, 1);
    cr_assert_str_eq(list->items[0]->name, "first");
    cr_assert_str_eq(list->items[0]->token, "");
    cr_assert_eq(strncmp(list->items[0]->token_prefix, token, 7), 0);
    Ez__V1__ListNamespacesResponse *names = expect_ok(w, "Namespaces/List", "{}");
    cr_assert_eq(names->n_items, 1);
    cr_assert_str_eq(names->items[0]->name, "default");

    cr_assert_eq(bootstrap(w, NULL, &is_taken), EZ_OK);
    cr_assert_not(is_taken);
    cr_assert_eq(head_of(w), 1);
    end_world(w);
}

Test(bootstrap, takes_a_given_token_once) {
    static const char given[] = "this-one-was-chosen-by-somebody-else";
    static const char other[] = "and-this-one-came-at-a-later-start-x";
    world *w = given_empty_world();
    bool is_taken = false;
    cr_assert_eq(bootstrap(w, given, &is_taken), EZ_OK, "%s", w->error.message);
    cr_assert(is_taken);
    cr_assert(knows(w, given));
    Ez__V1__AdminToken *first = expect_ok(w, "AdminTokens/Get", "{'id':1}");
    cr_assert_str_eq(first->token_prefix, "");
    cr_assert_str_eq(first->token_last4, "else");
    cr_assert_eq(bootstrap(w, other, &is_taken), EZ_OK);
    cr_assert_not(is_taken);
    cr_assert_not(knows(w, other));
    cr_assert_eq(head_of(w), 1);
    end_world(w);
}

Test(bootstrap, refuses_what_is_too_short_or_cannot_be_sent) {
    world *w = given_empty_world();
    bool is_taken;
    cr_assert_eq(bootstrap(w, "short-secret", &is_taken), EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(w->error.reason, "ADMIN_TOKEN_LENGTH");
    cr_assert_null(strstr(w->error.message, "short-secret"));
    cr_assert_eq(bootstrap(w, "thirty-two characters with blanks", &is_taken), EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(w->error.reason, "ADMIN_TOKEN_CHARACTERS");
    cr_assert_null(strstr(w->error.message, "thirty"));
    cr_assert_eq(head_of(w), 0);
    end_world(w);
}

Test(admin_token, made_once_and_revoked) {
    world *w = given_world();
    Ez__V1__AdminToken *made = expect_ok(w, "AdminTokens/Create", "{'admin_token':{'name':'ci'}}");
    cr_assert_eq(strncmp(made->token, "eza_", 4), 0);
    cr_assert(knows(w, made->token));
    Ez__V1__AdminToken *read = expect_ok(w, "AdminTokens/Get", "{'id':%lld}", (long long)made->id);
    cr_assert_str_eq(read->token, "");
    expect_error(w, EZ_ALREADY_EXISTS, "NAME_TAKEN", "\"ci\"", "AdminTokens/Create", "{'admin_token':{'name':'ci'}}");
    expect_error(w, EZ_INVALID_ARGUMENT, "EXPIRES_IN_PAST", "future", "AdminTokens/Create",
                 "{'admin_token':{'name':'b','expires_at':'2001-01-01T00:00:00Z'}}");
    expect_ok(w, "AdminTokens/Delete", "{'id':%lld}", (long long)made->id);
    cr_assert_not(knows(w, made->token));
    expect_error(w, EZ_NOT_FOUND, "NOT_FOUND", "there is no admin token", "AdminTokens/Delete", "{'id':%lld}",
                 (long long)made->id);
    end_world(w);
}

Test(admin_token, the_last_that_works_stays) {
    world *w = given_world();
    expect_error(w, EZ_FAILED_PRECONDITION, "LAST_ADMIN_TOKEN", "1 (first)", "AdminTokens/Delete", "{'id':1}");
    Ez__V1__AdminToken old = EZ__V1__ADMIN_TOKEN__INIT;
    Google__Protobuf__Timestamp past = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    uint8_t hash[32] = {5};
    past.seconds = 1000000000;
    old.name = (char *)"old";
    old.expires_at = &past;
    old.token_sha256 = (ProtobufCBinaryData){sizeof hash, hash};
    given_stored(w, EZ__V1__KIND__KIND_ADMIN_TOKEN, &old.base);
    expect_error(w, EZ_FAILED_PRECONDITION, "LAST_ADMIN_TOKEN", "1 (first)", "AdminTokens/Delete", "{'id':1}");
    expect_ok(w, "AdminTokens/Delete", "{'id':%lld}", (long long)old.id);
    expect_ok(w, "AdminTokens/Create", "{'admin_token':{'name':'second','expires_at':'2101-01-01T00:00:00Z'}}");
    expect_ok(w, "AdminTokens/Delete", "{'id':1}");
    end_world(w);
}
