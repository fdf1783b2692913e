// SPDX-License-Identifier: Apache-2.0
//
// Audit entries, newest first. A page asks the store for one entry more than it shows, to know whether there is a next
// one; its token is the last id shown, so pages stay put while entries are added.
#include "server/domain/audit/audit.h"

#include <stdlib.h>

#include "server/domain/audit/inside.h"
#include "server/state/directory/edit.h"
#include "server/state/directory/stamp.h"

#define REPLY_MAX (EZ_CALL_MAX - EZ_REPLY_ROOM - 1024) // bytes of a page; entries hold up to 4 KiB of request each

ez_status ez_audit_create(const ez_audit_options *options, ez_audit **out, ez_error *error) {
    ez_audit *audit = calloc(1, sizeof *audit);
    if (!audit)
        return ez_no_memory(error);
    audit->feed = options->feed;
    *out = audit;
    return EZ_OK;
}

void ez_audit_destroy(ez_audit *audit) {
    free(audit);
}

ez_status ez_audit_token_read(char list, const char *token, uint64_t *numbers, size_t count, ez_error *error) {
    if (ez_page_token_read(list, token, numbers, count))
        return EZ_OK;
    return ez_error_set(error, EZ_INVALID_ARGUMENT, "PAGE_TOKEN_INVALID",
                        "page_token is not one that this list gave: start again without it");
}

typedef struct page {
    ez_arena *arena;
    Ez__V1__AuditEntry **items;
    size_t count, size;
    size_t bytes; // packed so far
    bool has_more;
} page;

static char *copy_text(const char *text, ez_arena *arena) {
    return ez_arena_strdup(arena, text ? text : "");
}

static ez_status fill(const ez_store_audit *entry, ez_arena *arena, Ez__V1__AuditEntry *out) {
    ez__v1__audit_entry__init(out);
    out->id = entry->id;
    out->time = ez_stamp_make(entry->time_ns, arena);
    out->revision = entry->revision;
    out->actor = copy_text(entry->actor, arena);
    out->method = copy_text(entry->method, arena);
    out->resource = copy_text(entry->resource, arena);
    out->request = copy_text(entry->request, arena);
    out->request_id = copy_text(entry->request_id, arena);
    out->remote = copy_text(entry->remote, arena);
    out->previous_hash.data = ez_arena_memdup(arena, entry->previous_hash, EZ_SHA256_LEN);
    out->hash.data = ez_arena_memdup(arena, entry->hash, EZ_SHA256_LEN);
    out->previous_hash.len = out->hash.len = EZ_SHA256_LEN;
    bool has_all = out->time && out->actor && out->method && out->resource && out->request && out->request_id &&
                   out->remote && out->previous_hash.data && out->hash.data;
    return has_all ? EZ_OK : EZ_RESOURCE_EXHAUSTED;
}

static ez_status add(void *user, const ez_store_audit *entry, ez_error *error) {
    page *p = user;
    if (p->has_more || p->count == p->size) {
        p->has_more = true;
        return EZ_OK;
    }
    Ez__V1__AuditEntry *item = ez_arena_alloc(p->arena, sizeof *item);
    if (!item || fill(entry, p->arena, item) != EZ_OK)
        return ez_no_memory(error);
    p->bytes += protobuf_c_message_get_packed_size(&item->base) + 8;
    if (p->bytes > REPLY_MAX && p->count > 0)
        p->has_more = true; // it stands on the next page
    else
        p->items[p->count++] = item;
    return EZ_OK;
}

ez_status ez_handle_audit_list(ez_audit *self, ez_call *call, ez_reader *reader, Ez__V1__ListAuditRequest *request) {
    (void)self;
    page p = {.arena = &call->arena, .size = ez_audit_page_size(request->page_size)};
    ez_audit_filter filter = {.since_ns = request->since ? ez_stamp_ns(request->since) : 0,
                              .until_ns = request->until ? ez_stamp_ns(request->until) : 0,
                              .actor = request->actor,
                              .method = request->method,
                              .resource = request->resource,
                              .limit = p.size + 1};
    uint64_t before = 0;
    ez_status status = EZ_OK;
    if (request->page_token[0])
        status = ez_audit_token_read(EZ_PAGE_TOKEN_AUDIT, request->page_token, &before, 1, &call->error);
    filter.before_id = (int64_t)before;
    p.items = ez_arena_alloc(&call->arena, p.size * sizeof(Ez__V1__AuditEntry *));
    if (status == EZ_OK && !p.items)
        return ez_no_memory(&call->error);
    if (status == EZ_OK)
        status = ez_reader_each_audit(reader, &filter, add, &p, &call->error);
    if (status != EZ_OK)
        return status;
    Ez__V1__ListAuditResponse reply = EZ__V1__LIST_AUDIT_RESPONSE__INIT;
    char token[EZ_PAGE_TOKEN_MAX];
    reply.n_items = p.count;
    reply.items = p.items;
    if (p.has_more) {
        uint64_t last = (uint64_t)p.items[p.count - 1]->id;
        ez_page_token_write(EZ_PAGE_TOKEN_AUDIT, &last, 1, token);
        reply.next_page_token = token;
    }
    return ez_call_reply(call, &reply.base);
}
