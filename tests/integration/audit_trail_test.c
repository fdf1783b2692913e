// SPDX-License-Identifier: Apache-2.0
//
// Who changed what: one entry a change, chained, without secrets; and the list of changes beside it.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/support/trail.h"

#define UPSTREAM "fake-credential-that-stays-out-of-the-audit"

static ez_world w;

static void begin(void) {
    given_world(&w, NULL);
}

static void end(void) {
    end_world(&w);
}

TestSuite(audit_trail, .init = begin, .fini = end);

Test(audit_trail, every_change_has_one_entry_and_the_chain_holds) {
    Ez__V1__Master *acme = given_master(&w.admin, "acme");
    for (int i = 0; i < 30; i++)
        given_key(&w.admin, acme->id, "k");
    expect_refused(&w.admin, EZ_ALREADY_EXISTS, NULL, "Masters/Create", "{'master':{'name':'acme'}}");
    ez_caller tenant = caller_with(&w, acme->master_key);
    ask(&tenant, "Self/CreateKey", "{'key':{'name':'mine'}}");
    ez_trail trail = given_trail(&w, 0, 7);
    expect_chain(&trail, NULL);
    cr_assert_eq(trail.count, 33, "%zu entries", trail.count); // the first start is one
    const Ez__V1__AuditEntry *last = trail.entries[0];
    cr_assert_str_eq(last->method, "ez.v1.Self/CreateKey");
    cr_assert_eq(strncmp(last->actor, "master:", 7), 0);
    cr_assert_eq(strncmp(last->resource, "key:", 4), 0);
    for (size_t i = 0; i + 1 < trail.count; i++)
        cr_assert_eq(trail.entries[i]->revision, trail.entries[i + 1]->revision + 1);
    end_trail(&trail);
    expect_contiguous_changes(&w, 0);
    restart_server(&w.server);
    await_answers(&w);
    given_key(&w.admin, acme->id, "after");
    trail = given_trail(&w, 0, 0);
    expect_chain(&trail, NULL);
    cr_assert_eq(trail.count, 34);
    end_trail(&trail);
}

Test(audit_trail, no_secret_is_in_it) {
    Ez__V1__ProviderGroup *group = given_group(&w.admin, "main", "'m'");
    Ez__V1__ApiKey *key = given_api_key(&w.admin, group->id, "one", UPSTREAM);
    ask(&w.admin, "ApiKeys/Update", "{'id':%" PRId64 ",'api_key':{'refresh_token':'" UPSTREAM "-2'}}", key->id);
    ask(&w.admin, "ApiKeys/Batch",
        "{'items':[{'create':{'group_id':%" PRId64 ",'name':'b','api_key':'" UPSTREAM "-3'}}]}", group->id);
    ask(&w.admin, "Providers/CreatePreset", "{'provider':'anthropic','api_key':'" UPSTREAM "-4'}");
    Ez__V1__Master *acme = given_master(&w.admin, "acme");
    Ez__V1__Key *issued = given_key(&w.admin, acme->id, "k");
    Ez__V1__Key *rotated = ask(&w.admin, "Keys/Rotate", "{'id':%" PRId64 "}", issued->id);
    Ez__V1__AdminToken *ci = ask(&w.admin, "AdminTokens/Create", "{'admin_token':{'name':'ci'}}");
    ez_trail trail = given_trail(&w, 0, 0);
    const char *secrets[] = {UPSTREAM,       acme->master_key,     issued->token,
                             rotated->token, w.server.admin_token, ci->token};
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
        expect_not_in_trail(&trail, secrets[i]);
    bool has_request = false;
    for (size_t i = 0; i < trail.count; i++)
        has_request = has_request || strstr(trail.entries[i]->request, "acme");
    cr_assert(has_request, "what was asked is there, but for what is secret");
    end_trail(&trail);
    char log[EZ_TEST_PATH_MAX + 16];
    snprintf(log, sizeof log, "%s/ezplaned.log", w.server.home);
    char *text = read_file(log);
    cr_assert_not_null(text);
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
        cr_assert_null(strstr(text, secrets[i]), "secret %zu is in the log", i);
    free(text);
}

Test(audit_trail, entries_are_found_by_what_they_say) {
    Ez__V1__Master *acme = given_master(&w.admin, "acme");
    Ez__V1__Key *key = given_key(&w.admin, acme->id, "k");
    ask(&w.admin, "Keys/Disable", "{'id':%" PRId64 "}", key->id);
    Ez__V1__ListAuditResponse *found = ask(&w.admin, "Audit/List", "{'resource':'key:%" PRId64 "'}", key->id);
    cr_assert_eq(found->n_items, 2);
    cr_assert_str_eq(found->items[0]->method, "ez.v1.Keys/Disable");
    found = ask(&w.admin, "Audit/List", "{'method':'ez.v1.Keys/Disable','since':'2000-01-01T00:00:00Z'}");
    cr_assert_eq(found->n_items, 1);
    found = ask(&w.admin, "Audit/List", "{'until':'2000-01-01T00:00:00Z'}");
    cr_assert_eq(found->n_items, 0);
    found = ask(&w.admin, "Audit/List", "{'actor':'%s'}", "nobody");
    cr_assert_eq(found->n_items, 0);
}

Test(audit_trail, the_change_list_pages_and_says_where_it_begins) {
    Ez__V1__Master *acme = given_master(&w.admin, "acme");
    uint64_t since = revision_of(&w);
    for (int i = 0; i < 10; i++)
        given_key(&w.admin, acme->id, "k");
    Ez__V1__ListChangesResponse *page = ask(&w.admin, "Changes/List", "{'since':%" PRIu64 ",'page_size':4}", since);
    cr_assert_eq(page->n_items, 4);
    cr_assert_eq(page->items[0]->revision, since + 1);
    cr_assert_eq(page->items[0]->kind, EZ__V1__KIND__KIND_KEY);
    page = ask(&w.admin, "Changes/List", "{'since':%" PRIu64 ",'page_size':1000,'page_token':'%s'}", since,
               page->next_page_token);
    cr_assert_eq(page->n_items, 6);
    cr_assert_str_eq(page->next_page_token, "");
    page = ask(&w.admin, "Changes/List", "{'since':%" PRIu64 "}", since + 1000);
    cr_assert_eq(page->n_items, 0);
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "PAGE_TOKEN_INVALID", "Changes/List", "{'page_token':'c.c'}");
}
