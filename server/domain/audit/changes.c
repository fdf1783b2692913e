// SPDX-License-Identifier: Apache-2.0
//
// The change feed as an admin sees it, oldest first: which resources changed in which revision, without their content.
// The store forgets old changes. The awkward case is forgetting between two pages: what is the oldest kept is read
// after the changes, so a page is never given with a hole before it.
#include <inttypes.h>

#include "server/domain/audit/inside.h"
#include "server/state/directory/edit.h"
#include "server/state/directory/stamp.h"

typedef struct page {
    ez_arena *arena;
    Ez__V1__ChangeRecord **items;
    size_t count, size;
    uint64_t last_n, last_seq; // of the last one shown
    bool has_more;
} page;

static ez_status add(void *user, const ez_store_change *change, ez_error *error) {
    page *p = user;
    if (p->count == p->size) {
        p->has_more = true;
        return EZ_OK;
    }
    Ez__V1__ChangeRecord *item = ez_arena_alloc(p->arena, sizeof *item);
    if (!item)
        return ez_no_memory(error);
    ez__v1__change_record__init(item);
    item->revision = change->n;
    item->kind = (Ez__V1__Kind)change->kind;
    item->id = change->id;
    item->op = (Ez__V1__Op)change->op;
    item->time = ez_stamp_make(change->time_ns, p->arena);
    if (!item->time)
        return ez_no_memory(error);
    p->items[p->count++] = item;
    p->last_n = change->n;
    p->last_seq = change->seq;
    return EZ_OK;
}

// Where to go on: after a whole revision, or after a change within one.
typedef struct place {
    uint64_t n;
    uint32_t seq;
    uint64_t needs; // the oldest revision that must still be kept
} place;

static ez_status read_place(const Ez__V1__ListChangesRequest *request, uint64_t epoch, place *out, ez_error *error) {
    *out = (place){request->since, UINT32_MAX, request->since + 1};
    if (!request->page_token[0])
        return EZ_OK;
    uint64_t numbers[3]; // epoch, revision, place within it
    ez_status status = ez_audit_token_read(EZ_PAGE_TOKEN_CHANGES, request->page_token, numbers, 3, error);
    if (status != EZ_OK)
        return status;
    if (numbers[0] != epoch)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "PAGE_TOKEN_INVALID",
                            "page_token is of another epoch: the store was restored since; start again without it");
    // The rest of its revision may be to come, so that one must still be there.
    *out = (place){numbers[1], (uint32_t)numbers[2], numbers[1]};
    return EZ_OK;
}

static ez_status reply_page(ez_call *call, const page *p, uint64_t epoch, uint64_t oldest) {
    Ez__V1__ListChangesResponse reply = EZ__V1__LIST_CHANGES_RESPONSE__INIT;
    char token[EZ_PAGE_TOKEN_MAX];
    reply.n_items = p->count;
    reply.items = p->items;
    reply.epoch = epoch;
    reply.oldest = oldest;
    if (p->has_more) {
        const uint64_t numbers[3] = {epoch, p->last_n, p->last_seq};
        ez_page_token_write(EZ_PAGE_TOKEN_CHANGES, numbers, 3, token);
        reply.next_page_token = token;
    }
    return ez_call_reply(call, &reply.base);
}

ez_status ez_handle_changes_list(ez_audit *self, ez_call *call, ez_reader *reader,
                                 Ez__V1__ListChangesRequest *request) {
    page p = {.arena = &call->arena, .size = ez_audit_page_size(request->page_size)};
    uint64_t epoch = ez_feed_head(self->feed).epoch;
    if (request->since == UINT64_MAX)
        return ez_error_violation(&call->error, "since", "must be a revision");
    place from;
    ez_status status = read_place(request, epoch, &from, &call->error);
    if (status != EZ_OK)
        return status;
    p.items = ez_arena_alloc(&call->arena, p.size * sizeof(Ez__V1__ChangeRecord *));
    if (!p.items)
        return ez_no_memory(&call->error);
    status = ez_reader_each_change(reader, from.n, from.seq, p.size + 1, add, &p, &call->error);
    uint64_t oldest = 0;
    if (status == EZ_OK)
        status = ez_reader_oldest_change(reader, &oldest, &call->error);
    if (status != EZ_OK)
        return status;
    if (from.needs < oldest)
        return ez_error_set(&call->error, EZ_OUT_OF_RANGE, "REVISION_TOO_OLD",
                            "changes are kept from revision %" PRIu64 " on: ask for since %" PRIu64 " or later", oldest,
                            oldest - 1);
    return reply_page(call, &p, epoch, oldest);
}
