// SPDX-License-Identifier: Apache-2.0
//
// The audit and the change feed as lists: order, pages that stay put, filters, tokens that are refused, and no secret
// in what is shown.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/access/support/world.h"

Test(audit, newest_first_in_pages) {
    world *w = given_world(); // one entry
    for (int i = 0; i < 5; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%d", i);
        given_master(w, name);
    }
    Ez__V1__ListAuditResponse *all = expect_ok(w, "Audit/List", "{}");
    cr_assert_eq(all->n_items, 6);
    cr_assert_str_eq(all->next_page_token, "");
    for (size_t i = 0; i < all->n_items; i++)
        cr_assert_eq(all->items[i]->id, (int64_t)(all->n_items - i));
    cr_assert_str_eq(all->items[0]->method, "ez.v1.Masters/Create");
    cr_assert_str_eq(all->items[0]->resource, "master:5");
    cr_assert_str_eq(all->items[0]->actor, "system:test");
    cr_assert_eq(all->items[0]->revision, head_of(w));
    cr_assert_not_null(strstr(all->items[0]->request, "m4"));
    cr_assert_eq(memcmp(all->items[0]->previous_hash.data, all->items[1]->hash.data, 32), 0);

    Ez__V1__ListAuditResponse *page = expect_ok(w, "Audit/List", "{'page_size':4}");
    cr_assert_eq(page->n_items, 4);
    given_master(w, "later"); // moves nothing
    page = expect_ok(w, "Audit/List", "{'page_size':4,'page_token':'%s'}", page->next_page_token);
    cr_assert_eq(page->n_items, 2);
    cr_assert_eq(page->items[0]->id, 2);
    cr_assert_str_eq(page->next_page_token, "");
    end_world(w);
}

Test(audit, filters) {
    world *w = given_world();
    Ez__V1__Master *master = given_master(w, "acme");
    expect_ok(w, "Masters/Update", "{'id':%lld,'master':{'name':'beta'}}", (long long)master->id);
    static const struct {
        const char *filter;
        size_t count;
    } cases[] = {
        {"'method':'ez.v1.Masters/Update'", 1}, {"'resource':'master:1'", 2},
        {"'actor':'system:bootstrap'", 1},      {"'actor':'nobody'", 0},
        {"'since':'2101-01-01T00:00:00Z'", 0},  {"'until':'2101-01-01T00:00:00Z'", 3},
        {"'until':'2001-01-01T00:00:00Z'", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Ez__V1__ListAuditResponse *list = expect_ok(w, "Audit/List", "{%s}", cases[i].filter);
        cr_assert_eq(list->n_items, cases[i].count, "%s: %zu", cases[i].filter, list->n_items);
    }
    end_world(w);
}

Test(audit, no_secret_is_shown) {
    world *w = given_world();
    Ez__V1__ProviderGroup *group = given_group(w, "main", "'m'");
    Ez__V1__ApiKey *key =
        expect_ok(w, "ApiKeys/Create",
                  "{'api_key':{'group_id':%lld,'api_key':'do-not-show-this','refresh_token':'nor-this-one'}}",
                  (long long)group->id);
    expect_ok(w, "ApiKeys/Update", "{'id':%lld,'api_key':{'access_token':'and-not-this'}}", (long long)key->id);
    expect_ok(w, "ApiKeys/Batch", "{'items':[{'create':{'group_id':%lld,'api_key':'hidden-in-a-batch'}}]}",
              (long long)group->id);
    expect_ok(w, "Providers/CreatePreset", "{'provider':'openai','api_key':'hidden-in-a-preset'}");
    Ez__V1__ListAuditResponse *list = expect_ok(w, "Audit/List", "{}");
    cr_assert_eq(list->n_items, 6);
    static const char *const secrets[] = {"do-not-show", "nor-this", "and-not", "hidden"};
    for (size_t i = 0; i < list->n_items; i++)
        for (size_t j = 0; j < sizeof secrets / sizeof secrets[0]; j++)
            cr_assert_null(strstr(list->items[i]->request, secrets[j]), "%s", list->items[i]->request);
    end_world(w);
}

Test(audit, tokens_of_others_are_refused) {
    world *w = given_world();
    given_master(w, "a");
    given_master(w, "b");
    Ez__V1__ListAuditResponse *page = expect_ok(w, "Audit/List", "{'page_size':1}");
    Ez__V1__ListChangesResponse *changes = expect_ok(w, "Changes/List", "{'page_size':1}");
    cr_assert_str_neq(page->next_page_token, "");
    cr_assert_str_neq(changes->next_page_token, "");
    expect_error(w, EZ_INVALID_ARGUMENT, "PAGE_TOKEN_INVALID", "start again", "Audit/List", "{'page_token':'%s'}",
                 changes->next_page_token);
    expect_error(w, EZ_INVALID_ARGUMENT, "PAGE_TOKEN_INVALID", "start again", "Changes/List", "{'page_token':'%s'}",
                 page->next_page_token);
    static const char *const bad[] = {"x", "!!!!!!!!!!!!!!", "AAAAAAAAAAAAAA", "AWEAAAAAAAAABB"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_error(w, EZ_INVALID_ARGUMENT, "PAGE_TOKEN_INVALID", "start again", "Audit/List", "{'page_token':'%s'}",
                     bad[i]);
    end_world(w);
}

Test(changes, oldest_first_across_pages) {
    world *w = given_world(); // revision 1: a namespace and a token
    Ez__V1__Master *master = given_master(w, "acme");
    given_key(w, master->id, "web");
    expect_ok(w, "Masters/Delete", "{'id':%lld,'cascade':true}", (long long)master->id); // two in one revision
    uint64_t revisions[16];
    int ops[16];
    size_t count = 0;
    char token[128] = "";
    do {
        Ez__V1__ListChangesResponse *page = expect_ok(w, "Changes/List", "{'page_size':1,'page_token':'%s'}", token);
        cr_assert_eq(page->n_items, 1);
        cr_assert_eq(page->epoch, 77);
        cr_assert_eq(page->oldest, 1);
        cr_assert_not_null(page->items[0]->time);
        revisions[count] = page->items[0]->revision;
        ops[count++] = (int)page->items[0]->op;
        cr_assert(strlen(page->next_page_token) < sizeof token);
        strcpy(token, page->next_page_token);
    } while (token[0] && count < 16);
    static const uint64_t wanted[] = {1, 1, 2, 3, 4, 4};
    cr_assert_eq(count, 6);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(revisions[i], wanted[i]);
    cr_assert_eq(ops[5], EZ__V1__OP__OP_DELETE);
    Ez__V1__ListChangesResponse *rest = expect_ok(w, "Changes/List", "{'since':3}");
    cr_assert_eq(rest->n_items, 2);
    cr_assert_eq(rest->items[0]->revision, 4);
    rest = expect_ok(w, "Changes/List", "{'since':4}");
    cr_assert_eq(rest->n_items, 0);
    end_world(w);
}

Test(changes, what_was_forgotten_is_out_of_range) {
    world *w = given_world();
    for (int i = 0; i < 6; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%d", i);
        given_master(w, name);
    }
    Ez__V1__ListChangesResponse *first = expect_ok(w, "Changes/List", "{'page_size':1}");
    ez_writer_destroy(w->writer); // the store's one writer from here on is this test
    w->writer = NULL;
    bool more = true;
    while (more)
        cr_assert_eq(ez_store_trim(w->store, EZ_NO_FENCE, 5, 0, 100, &more, &w->error), EZ_OK, "%s", w->error.message);
    expect_error(w, EZ_OUT_OF_RANGE, "REVISION_TOO_OLD", "from revision 5", "Changes/List", "{'since':3}");
    expect_error(w, EZ_OUT_OF_RANGE, "REVISION_TOO_OLD", "since 4", "Changes/List", "{'page_token':'%s'}",
                 first->next_page_token);
    Ez__V1__ListChangesResponse *rest = expect_ok(w, "Changes/List", "{'since':4}");
    cr_assert_eq(rest->n_items, 3);
    cr_assert_eq(rest->oldest, 5);
    end_world(w);
}
