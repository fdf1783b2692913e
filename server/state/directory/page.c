// SPDX-License-Identifier: Apache-2.0
//
// One page of a list. Entries are walked by id, up or down; what matches is appended to the reply as it lies in memory,
// so a page costs a copy, not a decode. The token is the last id that was given or looked at, bound to the method and
// the order it was made for.
//
// Awkward: creation gives ids in order, so "created_at" is the order of ids. A filter that matches little ends a page
// early, by its bound, with a token that goes on where it stopped. And a page that would not fit a reply ends early
// too.
#include "server/state/directory/page.h"

#include <string.h>

#include "proto/runtime/cleanup.h"
#include "proto/runtime/wire.h"
#include "server/state/directory/page_token.h"

#define REPLY_MAX (EZ_CALL_MAX - EZ_REPLY_ROOM - 128) // 128: the token and the total behind the items

typedef struct page_walk {
    const ez_directory *directory;
    const ez_page *page;
    ez_call *call;
    bool is_descending;
    int64_t at;    // the last id looked at
    int64_t given; // the last id on the page
    size_t size;   // most items
    size_t items;  // so far
    size_t looked; // entries looked at
    bool has_more;
    ez_buf out;
} page_walk;

static const ez_entry *next_entry(const page_walk *walk, int64_t after) {
    const ez_page *page = walk->page;
    if (page->is_group)
        return ez_directory_member(walk->directory, page->index, page->key, after, walk->is_descending);
    return ez_directory_next(walk->directory, page->kind, after, walk->is_descending);
}

static char fold(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

// Whether text has part in it, ASCII letters of either case being the same.
static bool contains(ez_slice text, const char *part, size_t len) {
    const char *data = (const char *)text.data;
    for (size_t at = 0; at + len <= text.len; at++) {
        size_t i = 0;
        while (i < len && fold(data[at + i]) == fold(part[i]))
            i++;
        if (i == len)
            return true;
    }
    return false;
}

static bool has_text(const ez_page *page, const ez_entry *entry) {
    ez_slice data = ez_entry_data(entry);
    ez_slice text = {NULL, 0};
    ez_wire_field field;
    // Fields are in ascending order: nothing past q_field matters.
    for (size_t at = 0; ez_wire_next(data.data, data.len, &at, &field) && field.number <= page->q_field;) {
        if (field.number == page->q_field && field.type == 2)
            text = field.bytes;
    }
    return contains(text, page->q, strlen(page->q));
}

static bool has_filter(const ez_page *page) {
    return page->accept || (page->q && *page->q);
}

static bool matches(const ez_page *page, const ez_entry *entry) {
    if (page->q && *page->q && !has_text(page, entry))
        return false;
    return !page->accept || page->accept(page->user, entry);
}

// ---- The page

static ez_status parse_order(const char *order_by, bool *is_descending, ez_call *call) {
    static const struct {
        const char *text;
        bool is_descending;
    } orders[] = {{"", false}, {"id", false}, {"created_at", false}, {"id desc", true}, {"created_at desc", true}};
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        if (strcmp(order_by ? order_by : "", orders[i].text) == 0) {
            *is_descending = orders[i].is_descending;
            return EZ_OK;
        }
    }
    return ez_error_violation(&call->error, "order_by",
                              "must be \"id\", \"id desc\", \"created_at\" or \"created_at desc\"");
}

// Appends one item; *fits false where the page has no room for it.
static ez_status append(page_walk *walk, const ez_entry *entry, ez_buf *shown, bool *fits) {
    ez_slice item = ez_entry_data(entry);
    if (walk->page->show) {
        ez_buf_clear(shown);
        ez_status status = walk->page->show(walk->page->user, entry, walk->call, shown);
        if (status != EZ_OK)
            return status;
        item = (ez_slice){shown->data, shown->len};
    }
    *fits = walk->out.len + item.len + 16 <= REPLY_MAX;
    if (!*fits && walk->items == 0)
        return ez_call_fail(walk->call, EZ_RESOURCE_EXHAUSTED, "REPLY_TOO_LARGE",
                            "%s %lld alone is too large for a list: get it by its id",
                            ez_kind_word(ez_entry_kind(entry)), (long long)ez_entry_id(entry));
    if (*fits && ez_wire_put_bytes(&walk->out, 1, item.data, item.len) != EZ_OK)
        return ez_call_fail(walk->call, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory for the list");
    return EZ_OK;
}

// Fills the page and looks whether there is another match behind it.
static ez_status fill(page_walk *walk) {
    ez_buf shown;
    ez_buf_init(&shown, EZ_CALL_MAX);
    ez_status status = EZ_OK;
    const ez_entry *entry = next_entry(walk, walk->at);
    for (; entry && status == EZ_OK; entry = next_entry(walk, walk->at)) {
        if (walk->looked == EZ_PAGE_SCAN_MAX) {
            walk->has_more = true;
            if (walk->items < walk->size)
                walk->given = walk->at; // the page goes on behind what was looked at in vain
            break;
        }
        walk->looked++;
        if (matches(walk->page, entry)) {
            bool fits = walk->items < walk->size;
            if (fits)
                status = append(walk, entry, &shown, &fits);
            if (!fits) {
                walk->has_more = true;
                break;
            }
            walk->items++;
            walk->given = ez_entry_id(entry);
        }
        walk->at = ez_entry_id(entry);
    }
    ez_buf_fini(&shown);
    return status;
}

static size_t count_all(const page_walk *walk) {
    const ez_page *page = walk->page;
    if (!has_filter(page))
        return page->is_group ? ez_directory_member_count(walk->directory, page->index, page->key)
                              : ez_directory_count(walk->directory, page->kind);
    size_t count = 0, looked = 0;
    const ez_entry *entry = next_entry(walk, walk->is_descending ? INT64_MAX : 0);
    for (; entry && looked < EZ_PAGE_SCAN_MAX; looked++) {
        count += matches(page, entry);
        entry = next_entry(walk, ez_entry_id(entry));
    }
    return count;
}

// What a token is bound to: the method and the order.
static uint64_t maker_of(const page_walk *walk) {
    const ez_method *method = walk->call->method; // NULL: a call of the server's own
    return (method ? (uint64_t)method->index : UINT16_MAX) << 1 | walk->is_descending;
}

static ez_status finish(page_walk *walk) {
    ez_status status = EZ_OK;
    if (walk->has_more) {
        char token[EZ_PAGE_TOKEN_MAX];
        const uint64_t numbers[2] = {maker_of(walk), (uint64_t)walk->given};
        ez_page_token_write(EZ_PAGE_TOKEN_DIRECTORY, numbers, 2, token);
        status = ez_wire_put_bytes(&walk->out, 2, token, strlen(token));
    }
    if (status == EZ_OK && walk->page->with_total)
        status = ez_wire_put_varint(&walk->out, 3, count_all(walk));
    if (status != EZ_OK)
        return ez_call_fail(walk->call, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory for the list");
    return ez_call_reply_bytes(walk->call, walk->out.data, walk->out.len);
}

static ez_status start(page_walk *walk) {
    const ez_page *page = walk->page;
    if (page->page_size < 0 || page->page_size > EZ_PAGE_SIZE_MAX)
        return ez_error_violation(&walk->call->error, "page_size", "must be 0 to %d", EZ_PAGE_SIZE_MAX);
    walk->size = page->page_size ? (size_t)page->page_size : EZ_PAGE_SIZE_DEFAULT;
    ez_status status = parse_order(page->order_by, &walk->is_descending, walk->call);
    if (status != EZ_OK)
        return status;
    walk->at = walk->is_descending ? INT64_MAX : 0;
    if (!page->page_token || !*page->page_token)
        return EZ_OK;
    uint64_t numbers[2];
    if (!ez_page_token_read(EZ_PAGE_TOKEN_DIRECTORY, page->page_token, numbers, 2) || numbers[0] != maker_of(walk) ||
        numbers[1] > INT64_MAX)
        return ez_error_violation(&walk->call->error, "page_token",
                                  "is not a token of this method and order: start without one");
    walk->at = (int64_t)numbers[1];
    return EZ_OK;
}

ez_status ez_page_reply(const ez_directory *directory, const ez_page *page, ez_call *call) {
    page_walk walk = {.directory = directory, .page = page, .call = call};
    ez_buf_init(&walk.out, EZ_CALL_MAX);
    ez_status status = start(&walk);
    walk.given = walk.at;
    if (status == EZ_OK) {
        ez_directory_enter();
        status = fill(&walk);
        if (status == EZ_OK)
            status = finish(&walk);
        ez_directory_leave();
    }
    ez_buf_fini(&walk.out);
    return status;
}
