// SPDX-License-Identifier: Apache-2.0
//
// A page asks the store for one more than it shows; its token is the last id shown.
#include "server/state/delivery/page.h"

#include <stdio.h>
#include <string.h>

#include "server/state/delivery/delivery.h"
#include "server/state/directory/edit.h"
#include "server/state/directory/stamp.h"

#define PAGE_DEFAULT 50
#define TOKEN        'w' // page_token.h

static const char *const words[] = {
    [EZ_DELIVERY_WAITING] = "waiting", [EZ_DELIVERY_DELIVERED] = "delivered", [EZ_DELIVERY_FAILED] = "failed"};

typedef struct page {
    ez_arena *arena;
    Ez__V1__Delivery **items;
    size_t count, size;
    int64_t now_ns;
    bool has_more;
} page;

static char *copy(const char *text, ez_arena *arena) {
    return ez_arena_strdup(arena, text ? text : "");
}

// What stands behind a prefix; NULL: it does not begin so.
static const char *behind(const char *kind, const char *prefix) {
    size_t len = strlen(prefix);
    return strncmp(kind, prefix, len) == 0 ? kind + len : NULL;
}

static void name_kind(const char *kind, ez_arena *arena, Ez__V1__Delivery *out) {
    const char *channel = behind(kind, EZ_DELIVERY_KIND_ALERT), *tested = behind(kind, EZ_DELIVERY_KIND_ALERT_TEST);
    out->is_test = tested != NULL;
    channel = tested ? tested : channel;
    out->kind = copy(channel ? "alert" : kind, arena);
    out->channel = copy(channel, arena);
}

static ez_status fill(const ez_delivery *delivery, ez_arena *arena, Ez__V1__Delivery *out, ez_error *error) {
    ez__v1__delivery__init(out);
    out->id = delivery->id;
    out->created_at = ez_stamp_make(delivery->created_ns, arena);
    name_kind(delivery->kind, arena, out);
    out->url = copy(delivery->url, arena);
    unsigned status = (unsigned)delivery->status;
    out->status = (char *)(status < sizeof words / sizeof words[0] && words[status] ? words[status] : "");
    out->attempts = delivery->attempts;
    out->http_status = delivery->http_status;
    out->error = copy(delivery->error, arena);
    out->finished_at = delivery->finished_ns ? ez_stamp_make(delivery->finished_ns, arena) : NULL;
    bool has_all = out->created_at && out->kind && out->channel && out->url && out->error &&
                   (out->finished_at || !delivery->finished_ns);
    return has_all ? EZ_OK : ez_no_memory(error);
}

static ez_status add(void *user, const ez_delivery *delivery, ez_error *error) {
    page *p = user;
    if (p->count == p->size) {
        p->has_more = true;
        return EZ_OK;
    }
    Ez__V1__Delivery *item = ez_arena_alloc(p->arena, sizeof *item);
    if (!item)
        return ez_no_memory(error);
    p->items[p->count++] = item;
    ez_delivery shown = *delivery;
    ez_delivery_shown(&shown, p->now_ns);
    return fill(&shown, p->arena, item, error);
}

static ez_delivery_status status_of(const char *word) {
    for (unsigned i = 1; word && i < sizeof words / sizeof words[0]; i++)
        if (strcmp(word, words[i]) == 0)
            return (ez_delivery_status)i;
    return 0;
}

// Both kinds of rows that a channel has.
static void put_kinds(const char *channel, char kinds[2][EZ_DELIVERY_KIND_MAX], ez_delivery_query *query) {
    static const char *const prefixes[2] = {EZ_DELIVERY_KIND_ALERT, EZ_DELIVERY_KIND_ALERT_TEST};
    for (int i = 0; channel && channel[0] && i < 2; i++) {
        snprintf(kinds[i], EZ_DELIVERY_KIND_MAX, "%s%s", prefixes[i], channel);
        query->kinds[i] = kinds[i];
    }
}

ez_status ez_delivery_read_page(ez_call *call, ez_reader *reader, const ez_delivery_ask *ask, ez_delivery_page *out) {
    page p = {.arena = &call->arena,
              .now_ns = call->time_ns,
              .size = ask->page_size > 0 ? (size_t)ask->page_size : PAGE_DEFAULT};
    char kinds[2][EZ_DELIVERY_KIND_MAX];
    uint64_t before = 0;
    if (ask->page_token[0] && !ez_page_token_read(TOKEN, ask->page_token, &before, 1))
        return ez_call_fail(call, EZ_INVALID_ARGUMENT, "PAGE_TOKEN_INVALID",
                            "page_token is not one that this list gave: start again without it");
    p.items = ez_arena_alloc(&call->arena, p.size * sizeof(Ez__V1__Delivery *));
    if (!p.items)
        return ez_no_memory(&call->error);
    ez_delivery_query query = {.before_id = (int64_t)before,
                               .limit = p.size + 1,
                               .kind_prefix = ask->kind_prefix,
                               .since_ns = ask->since_ns,
                               .status = status_of(ask->status),
                               .stale_ns = call->time_ns - EZ_DELIVERY_SPAN_NS};
    put_kinds(ask->channel, kinds, &query);
    ez_status status = ez_reader_each_delivery(reader, &query, add, &p, &call->error);
    if (status != EZ_OK)
        return status;
    *out = (ez_delivery_page){.items = p.items, .count = p.count};
    if (p.has_more) {
        uint64_t last = (uint64_t)p.items[p.count - 1]->id;
        ez_page_token_write(TOKEN, &last, 1, out->next_page_token);
    }
    return EZ_OK;
}
