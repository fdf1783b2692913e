// SPDX-License-Identifier: Apache-2.0
//
// Records, newest first, for admins and for tenants. A page's token is the time and id of the last record that was
// looked at, so pages stay put while records come in, and a filter that hits seldom costs a bounded number of records a
// page.
//
// Awkward: q also looks at the upstream model, which tenants do not see. For them the store does not look there: were
// its matches dropped here, an empty page with a next one would tell the name letter by letter.
#include <string.h>

#include "server/domain/logs/inside.h"
#include "server/domain/logs/record.h"

#define PAGE_DEFAULT   50
#define PAGE_BODIES    100   // with bodies, of up to 64 KiB each, a page has at most so many
#define LOOK_MAX       10000 // the store takes fewer where an index helps it
#define REPLY_MAX      (EZ_CALL_MAX - EZ_REPLY_ROOM - 1024)
#define INCLUDE_BODIES "request_body"

typedef struct page {
    ez_arena *arena;
    bool is_own;
    Ez__V1__LogRecord **items;
    size_t count;
    size_t bytes; // packed so far
    bool is_full; // the rest stands on the next page
    int64_t last_ns, last_id;
} page;

static ez_status add(void *user, const ez_log_row *row, ez_error *error) {
    page *p = user;
    if (p->is_full)
        return EZ_OK;
    Ez__V1__LogRecord *record = ez_record_from_row(row, p->is_own, p->arena);
    if (!record)
        return ez_no_memory(error);
    p->bytes += protobuf_c_message_get_packed_size(&record->base) + 8;
    p->is_full = p->bytes > REPLY_MAX && p->count > 0;
    if (p->is_full)
        return EZ_OK;
    p->items[p->count++] = record;
    p->last_ns = row->time_ns;
    p->last_id = row->id;
    return EZ_OK;
}

static bool wants_bodies(const Ez__V1__ListLogsRequest *request) {
    for (size_t i = 0; i < request->n_include; i++)
        if (strcmp(request->include[i], INCLUDE_BODIES) == 0)
            return true;
    return false;
}

static size_t page_size(const Ez__V1__ListLogsRequest *request, bool with_body) {
    size_t size = request->page_size > 0 ? (size_t)request->page_size : PAGE_DEFAULT;
    return with_body && size > PAGE_BODIES ? PAGE_BODIES : size;
}

static const ez_log_class classes[] = {
    [EZ__V1__STATUS_CLASS__STATUS_CLASS_UNSPECIFIED] = EZ_CLASS_ANY,
    [EZ__V1__STATUS_CLASS__STATUS_CLASS_SUCCESS] = EZ_CLASS_SUCCESS,
    [EZ__V1__STATUS_CLASS__STATUS_CLASS_CLIENT_ERROR] = EZ_CLASS_CLIENT_ERROR,
    [EZ__V1__STATUS_CLASS__STATUS_CLASS_SERVER_ERROR] = EZ_CLASS_SERVER_ERROR,
    [EZ__V1__STATUS_CLASS__STATUS_CLASS_ERROR] = EZ_CLASS_ERROR,
};

static ez_status read_filter(const ez_logs *self, const Ez__V1__ListLogsRequest *request, ez_log_filter *out,
                             ez_error *error) {
    ez_log_features features;
    ez_status status = ez_logs_features(self, &features, error);
    if (status != EZ_OK)
        return status;
    bool with_body = wants_bodies(request);
    *out = (ez_log_filter){.since_ns = request->since ? ez_stamp_ns(request->since) : 0,
                           .until_ns = request->until ? ez_stamp_ns(request->until) : 0,
                           .master_id = request->master_id,
                           .key_id = request->key_id,
                           .group_id = request->group_id,
                           .api_key_id = request->api_key_id,
                           .model = request->model,
                           .q = request->q,
                           .request_id = request->request_id,
                           .status_code = request->status_code,
                           .status_class = classes[request->status_class],
                           .with_body = with_body,
                           .limit = page_size(request, with_body),
                           .look_max = LOOK_MAX};
    if (out->until_ns && out->since_ns >= out->until_ns)
        return ez_error_violation(error, "since", "must be before until");
    if (features.purge_before_ns > out->since_ns)
        out->since_ns = features.purge_before_ns; // what was deleted is gone at once, whether its rows still are or not
    uint64_t place[2];
    if (!request->page_token[0])
        return EZ_OK;
    if (!ez_page_token_read(TOKEN_LOGS, request->page_token, place, 2))
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "PAGE_TOKEN_INVALID",
                            "page_token is not one that this list gave: start again without it");
    out->before_ns = (int64_t)place[0];
    out->before_id = (int64_t)place[1];
    return EZ_OK;
}

static ez_status list(ez_call *call, ez_reader *reader, const ez_log_filter *filter, page *p) {
    p->arena = &call->arena;
    p->items = ez_arena_alloc(&call->arena, filter->limit * sizeof(Ez__V1__LogRecord *));
    if (!p->items)
        return ez_no_memory(&call->error);
    bool more = false;
    int64_t at_ns = 0, at_id = 0;
    // Deleted up to where the list would begin at the latest: nothing is left to look at.
    bool is_empty = filter->until_ns && filter->since_ns >= filter->until_ns;
    ez_status status =
        is_empty ? EZ_OK : ez_reader_each_log(reader, filter, add, p, &more, &at_ns, &at_id, &call->error);
    if (status != EZ_OK)
        return status;
    Ez__V1__ListLogsResponse reply = EZ__V1__LIST_LOGS_RESPONSE__INIT;
    char token[EZ_PAGE_TOKEN_MAX];
    reply.n_items = p->count;
    reply.items = p->items;
    if (p->is_full || more) {
        uint64_t place[2] = {(uint64_t)(p->is_full ? p->last_ns : at_ns), (uint64_t)(p->is_full ? p->last_id : at_id)};
        ez_page_token_write(TOKEN_LOGS, place, 2, token);
        reply.next_page_token = token;
    }
    return ez_call_reply(call, &reply.base);
}

ez_status ez_handle_logs_list(ez_logs *self, ez_call *call, ez_reader *reader, Ez__V1__ListLogsRequest *request) {
    ez_log_filter filter;
    page p = {0};
    ez_status status = read_filter(self, request, &filter, &call->error);
    return status == EZ_OK ? list(call, reader, &filter, &p) : status;
}

ez_status ez_handle_logs_list_own(ez_logs *self, ez_call *call, ez_reader *reader, Ez__V1__ListLogsRequest *request) {
    ez_log_filter filter;
    page p = {.is_own = true};
    if (request->group_id)
        return ez_error_violation(&call->error, "group_id", "is not for tenants: leave it out");
    if (request->api_key_id)
        return ez_error_violation(&call->error, "api_key_id", "is not for tenants: leave it out");
    ez_status status = read_filter(self, request, &filter, &call->error);
    if (status != EZ_OK)
        return status;
    filter.master_id = call->principal.id;
    filter.hides_upstream = true;
    return list(call, reader, &filter, &p);
}
