// SPDX-License-Identifier: Apache-2.0
//
// Lists: whole walks in both orders, while rows come and go between pages; filters, totals, tokens.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "ez/v1/key.pb-c.h"
#include "proto/runtime/wire.h"
#include "server/state/directory/apply.h"
#include "server/state/directory/page.h"
#include "server/state/directory/page_token.h"
#include "tests/support/expect.h"

#define KEY EZ__V1__KIND__KIND_KEY

static ez_directory *directory;
static ez_call call;
static ez_method method = {.index = 3};

static void open_all(void) {
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_directory_create(1, NULL, &directory, &error), &error);
    ez_arena_init(&call.arena, 64u << 20);
    ez_buf_init(&call.reply, EZ_CALL_MAX);
    call.method = &method;
}

static void close_all(void) {
    ez_buf_fini(&call.reply);
    ez_arena_fini(&call.arena);
    ez_directory_destroy(directory);
}

static void put_key(int64_t id, int64_t master_id, const char *name) {
    ez_error error = EZ_ERROR_INIT;
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    key.id = id;
    key.master_id = master_id;
    key.name = (char *)name;
    uint8_t bytes[256];
    ez_store_row row = {.id = id, .revision = 1, .data = {bytes, ez__v1__key__pack(&key, bytes)}};
    expect_ok(ez_directory_put_row(directory, KEY, &row, &error), &error);
}

static Ez__V1__ListKeysResponse *list(const ez_page *page) {
    ez_error_clear(&call.error);
    expect_ok(ez_page_reply(directory, page, &call), &call.error);
    Ez__V1__ListKeysResponse *reply =
        ez__v1__list_keys_response__unpack(ez_arena_allocator(&call.arena), call.reply.len, call.reply.data);
    cr_assert(reply);
    return reply;
}

Test(page, goes_through_all_in_both_orders, .init = open_all, .fini = close_all) {
    for (int64_t id = 1; id <= 95; id++)
        put_key(id, 1 + id % 2, "key");
    for (int descending = 0; descending < 2; descending++) {
        ez_page page = {.kind = KEY,
                        .page_size = 10,
                        .order_by = descending ? "created_at desc" : "id",
                        .page_token = "",
                        .with_total = true};
        int64_t expected = descending ? 95 : 1;
        for (int pages = 0; pages < 10; pages++) {
            Ez__V1__ListKeysResponse *reply = list(&page);
            cr_assert_eq(reply->n_items, pages < 9 ? 10 : 5);
            cr_assert_eq(reply->total, 95);
            for (size_t i = 0; i < reply->n_items; i++, expected += descending ? -1 : 1)
                cr_assert_eq(reply->items[i]->id, expected);
            cr_assert_eq(*reply->next_page_token == 0, pages == 9);
            page.page_token = reply->next_page_token;
        }
    }
}

Test(page, a_last_page_that_is_full_has_no_next_one, .init = open_all, .fini = close_all) {
    for (int64_t id = 1; id <= 20; id++)
        put_key(id, 1, "key");
    ez_page page = {.kind = KEY, .page_size = 10, .page_token = ""};
    page.page_token = list(&page)->next_page_token;
    Ez__V1__ListKeysResponse *reply = list(&page);
    cr_assert_eq(reply->n_items, 10);
    cr_assert_str_empty(reply->next_page_token);
    cr_assert_eq(reply->opt_total_case, EZ__V1__LIST_KEYS_RESPONSE__OPT_TOTAL__NOT_SET);
}

// What was there all the time is listed exactly once, whatever comes and goes between pages, the last row of a page
// too.
Test(page, is_stable_while_rows_come_and_go, .init = open_all, .fini = close_all) {
    for (int64_t id = 2; id <= 200; id += 2)
        put_key(id, 1, "stays");
    for (int descending = 0; descending < 2; descending++) {
        for (int is_group = 0; is_group < 2; is_group++) {
            ez_page page = {.kind = KEY,
                            .page_size = 7,
                            .page_token = "",
                            .order_by = descending ? "id desc" : "",
                            .is_group = is_group,
                            .index = EZ_INDEX_KEY_BY_MASTER,
                            .key = ez_index_id(1)};
            unsigned seen[202] = {0};
            int64_t last = 0;
            for (int pages = 0; pages < 100; pages++) {
                Ez__V1__ListKeysResponse *reply = list(&page);
                for (size_t i = 0; i < reply->n_items; i++)
                    seen[last = reply->items[i]->id]++;
                page.page_token = reply->next_page_token;
                if (!*page.page_token)
                    break;
                if (last % 2 == 1)
                    ez_directory_remove(directory, KEY, last); // the token's own row
                for (int64_t id = 1; id <= 201; id += 2 + pages % 3 * 2) {
                    if (pages % 2)
                        put_key(id, 1, "passes");
                    else
                        ez_directory_remove(directory, KEY, id);
                }
            }
            cr_assert_str_empty(page.page_token, "it does not end");
            for (int64_t id = 2; id <= 200; id += 2)
                cr_assert_eq(seen[id], 1, "%lld was listed %u times", (long long)id, seen[id]);
            for (int64_t id = 1; id <= 201; id += 2) {
                cr_assert_leq(seen[id], 1);
                ez_directory_remove(directory, KEY, id);
            }
        }
    }
}

static bool is_third(void *user, const ez_entry *entry) {
    (void)user;
    return ez_entry_id(entry) % 3 == 0;
}

Test(page, filters_by_text_and_by_what_the_caller_accepts, .init = open_all, .fini = close_all) {
    char name[32];
    for (int64_t id = 1; id <= 60; id++) {
        snprintf(name, sizeof name, id % 2 ? "Web-Frontend-%lld" : "batch-%lld", (long long)id);
        put_key(id, 1, name);
    }
    put_key(61, 2, "Gr\xc3\xbc\xc3\x9f");
    ez_page page = {.kind = KEY, .page_token = "", .q = "fRoNt", .q_field = 3, .with_total = true};
    Ez__V1__ListKeysResponse *reply = list(&page);
    cr_assert_eq(reply->n_items, 30);
    cr_assert_eq(reply->total, 30);
    page.accept = is_third;
    reply = list(&page);
    cr_assert_eq(reply->n_items, 10);
    cr_assert_eq(reply->items[0]->id, 3);
    page = (ez_page){.kind = KEY, .page_token = "", .q = "\xc3\xbc", .q_field = 3};
    cr_assert_eq(list(&page)->n_items, 1);
    page.q = "\xc3\x9c"; // the capital: other bytes, and no letter of ASCII
    cr_assert_eq(list(&page)->n_items, 0);
    page.q = "no such thing anywhere";
    cr_assert_eq(list(&page)->n_items, 0);
    page = (ez_page){.kind = KEY,
                     .page_token = "",
                     .is_group = true,
                     .index = EZ_INDEX_KEY_BY_MASTER,
                     .key = ez_index_id(2),
                     .with_total = true};
    reply = list(&page);
    cr_assert_eq(reply->n_items, 1);
    cr_assert_eq(reply->total, 1);
}

// A filter that matches the last of many only: pages are short, none looks at more than the bound, the match is found.
Test(page, a_page_looks_at_a_bounded_number_of_rows, .init = open_all, .fini = close_all, .timeout = 60) {
    enum { MANY = 2 * EZ_PAGE_SCAN_MAX + 10 };
    for (int64_t id = 1; id < MANY; id++)
        put_key(id, 1, "hay");
    put_key(MANY, 1, "needle");
    ez_page page = {.kind = KEY, .page_token = "", .q = "needle", .q_field = 3};
    size_t found = 0;
    int pages = 0;
    do {
        Ez__V1__ListKeysResponse *reply = list(&page);
        found += reply->n_items;
        page.page_token = reply->next_page_token;
        pages++;
    } while (*page.page_token);
    cr_assert_eq(found, 1);
    cr_assert_eq(pages, 3);
}

static ez_status show_large(void *user, const ez_entry *entry, ez_call *shown, ez_buf *out) {
    (void)user;
    (void)shown;
    static char blank[1 << 20];
    ez_status status = ez_wire_put_varint(out, 1, (uint64_t)ez_entry_id(entry));
    memset(blank, ' ', sizeof blank);
    return status == EZ_OK ? ez_wire_put_bytes(out, 3, blank, sizeof blank) : status;
}

Test(page, large_rows_make_a_shorter_page, .init = open_all, .fini = close_all) {
    for (int64_t id = 1; id <= 8; id++)
        put_key(id, 1, "key");
    ez_page page = {.kind = KEY, .page_token = "", .show = show_large};
    Ez__V1__ListKeysResponse *reply = list(&page);
    cr_assert_eq(reply->n_items, 3);
    page.page_token = reply->next_page_token;
    reply = list(&page);
    cr_assert_eq(reply->items[0]->id, 4);
}

static void expect_refused(ez_page page, const char *field) {
    ez_error_clear(&call.error);
    expect_code(EZ_INVALID_ARGUMENT, ez_page_reply(directory, &page, &call), &call.error);
    cr_assert_str_eq(call.error.violations[0].field, field);
}

Test(page, refuses_tokens_that_it_did_not_make, .init = open_all, .fini = close_all) {
    for (int64_t id = 1; id <= 5; id++)
        put_key(id, 1, "key");
    ez_page page = {.kind = KEY, .page_size = 2, .page_token = ""};
    char token[EZ_PAGE_TOKEN_MAX];
    snprintf(token, sizeof token, "%s", list(&page)->next_page_token);
    cr_assert_eq(strlen(token), 24);
    page.page_token = token;
    cr_assert_eq(list(&page)->items[0]->id, 3);
    page.order_by = "id desc";
    expect_refused(page, "page_token");
    page.order_by = "";
    method.index = 4;
    expect_refused(page, "page_token");
    method.index = 3;
    static const char *const bad[] = {"x", "!!!!!!!!!!!!!!!!!!!!!!!!", "AAAAAAAAAAAAAAAAAAAAAAAA",
                                      "========================", "AWQAAAAAAAAABgAAAAAAAAACA"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        page.page_token = bad[i];
        expect_refused(page, "page_token");
    }
    page.page_token = token;
    for (size_t i = 0; i < 13; i++) { // version, list, method and order: each character counts
        char kept = token[i];
        token[i] = kept == 'g' ? 'h' : 'g';
        expect_refused(page, "page_token");
        token[i] = kept;
    }
    cr_assert_eq(token[13], 'g');
    token[13] = 'o'; // the id's highest bit: a negative one
    expect_refused(page, "page_token");
    token[13] = 'g';
    cr_assert_eq(list(&page)->items[0]->id, 3);
    page.page_token = "";
    page.order_by = "name";
    expect_refused(page, "order_by");
    page.order_by = "";
    page.page_size = EZ_PAGE_SIZE_MAX + 1;
    expect_refused(page, "page_size");
}
