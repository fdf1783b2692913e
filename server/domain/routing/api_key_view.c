// SPDX-License-Identifier: Apache-2.0
//
// API keys as they are read: packed bytes, without secrets by construction, and behind them the counters, and the
// status where time has changed it. A ban that has an end is over when it has passed; an access token that has ended
// without a refresh token that could renew it makes the key expired.
#include <string.h>

#include "proto/runtime/wire.h"
#include "server/domain/routing/counted.h"
#include "server/domain/routing/inside.h"

enum {
    F_NAME = 3,
    F_EXPIRES = 8,
    F_STATUS = 13,
    F_BAN_UNTIL = 16,
    F_HAS_REFRESH = 25,
    F_REFRESH_ENDED = 33,
    F_NEXT_REFRESH = 34
};

typedef struct api_key_facts {
    int status;
    int64_t expires_ns, ban_until_ns; // INT64_MAX: never
    bool has_refresh, has_ended;
} api_key_facts;

static int judge(const api_key_facts *facts, int64_t now_ns) {
    int status = facts->status;
    if (status == API_KEY_BANNED && facts->ban_until_ns <= now_ns)
        status = API_KEY_ACTIVE;
    if (status == API_KEY_ACTIVE && facts->expires_ns <= now_ns && (!facts->has_refresh || facts->has_ended))
        status = API_KEY_EXPIRED;
    return status;
}

static api_key_facts read_facts(ez_slice data) {
    api_key_facts facts = {.expires_ns = INT64_MAX, .ban_until_ns = INT64_MAX};
    size_t at = 0;
    ez_wire_field field;
    while (ez_wire_next(data.data, data.len, &at, &field)) {
        if (field.number == F_EXPIRES)
            facts.expires_ns = ez_stamp_read(field.bytes);
        else if (field.number == F_BAN_UNTIL)
            facts.ban_until_ns = ez_stamp_read(field.bytes);
        else if (field.number == F_STATUS)
            facts.status = (int)field.varint;
        else if (field.number == F_HAS_REFRESH)
            facts.has_refresh = field.varint != 0;
        else if (field.number == F_REFRESH_ENDED)
            facts.has_ended = true;
    }
    return facts;
}

int ez_api_key_status(const ez_entry *entry, int64_t now_ns) {
    api_key_facts facts = read_facts(ez_entry_data(entry));
    return judge(&facts, now_ns);
}

int ez_api_key_stored_status(const ez_entry *entry) {
    ez_slice data = ez_entry_data(entry);
    ez_wire_field field = {.varint = 0};
    ez_wire_find(data.data, data.len, F_STATUS, &field);
    return (int)field.varint;
}

int ez_api_key_message_status(const Ez__V1__ApiKey *key, int64_t now_ns) {
    api_key_facts facts = {.status = (int)key->status,
                           .expires_ns = key->expires_at ? ez_stamp_ns(key->expires_at) : INT64_MAX,
                           .ban_until_ns = key->ban_until ? ez_stamp_ns(key->ban_until) : INT64_MAX,
                           .has_refresh = key->has_refresh_token,
                           .has_ended = key->refresh_ended_at != NULL};
    return judge(&facts, now_ns);
}

void ez_api_key_blank(Ez__V1__ApiKey *key) {
    key->api_key = (char *)"";
    key->access_token = (char *)"";
    key->refresh_token = (char *)"";
}

static ez_status add_derived(const ez_routing *routing, const ez_entry *entry, int64_t now_ns, ez_buf *out) {
    api_key_facts facts = read_facts(ez_entry_data(entry));
    int shown = judge(&facts, now_ns);
    ez_status status = ez_counted_put_api_key(routing->counters, ez_entry_id(entry), out);
    if (status == EZ_OK && routing->next_refresh)
        status = ez_stamp_put(out, F_NEXT_REFRESH, routing->next_refresh(routing->refresh_user, ez_entry_id(entry)));
    return status != EZ_OK || shown == facts.status ? status : ez_wire_put_varint(out, F_STATUS, (uint64_t)shown);
}

static ez_status reply_entry(const ez_routing *routing, ez_call *call, const ez_entry *entry) {
    ez_slice data = ez_entry_data(entry);
    ez_status status = ez_call_reply_bytes(call, data.data, data.len);
    if (status == EZ_OK && add_derived(routing, entry, call->time_ns, &call->reply) != EZ_OK)
        return ez_no_memory(&call->error);
    return status;
}

ez_status ez_handle_api_keys_get(ez_routing *self, ez_call *call, Ez__V1__GetApiKeyRequest *request) {
    ez_directory_enter();
    const ez_entry *entry = ez_directory_get(self->directory, KIND_API_KEY, request->id);
    ez_status status =
        entry ? reply_entry(self, call, entry) : ez_kind_missing(KIND_API_KEY, request->id, &call->error);
    ez_directory_leave();
    return status;
}

typedef struct list_view {
    const ez_routing *routing;
    int64_t now_ns;
    int status;
} list_view;

static bool accept_api_key(void *user, const ez_entry *entry) {
    const list_view *view = user;
    return ez_api_key_status(entry, view->now_ns) == view->status;
}

static ez_status show_api_key(void *user, const ez_entry *entry, ez_call *call, ez_buf *out) {
    (void)call;
    const list_view *view = user;
    ez_slice data = ez_entry_data(entry);
    ez_status status = ez_buf_append(out, data.data, data.len);
    return status == EZ_OK ? add_derived(view->routing, entry, view->now_ns, out) : status;
}

ez_status ez_handle_api_keys_list(ez_routing *self, ez_call *call, Ez__V1__ListApiKeysRequest *request) {
    list_view view = {self, call->time_ns, (int)request->status};
    ez_page page = {.kind = KIND_API_KEY,
                    .page_size = request->page_size,
                    .page_token = request->page_token,
                    .order_by = request->order_by,
                    .with_total = request->with_total,
                    .is_group = request->group_id != 0,
                    .index = EZ_INDEX_API_KEY_BY_GROUP,
                    .key = ez_index_id(request->group_id),
                    .q = request->q,
                    .q_field = F_NAME,
                    .accept = request->status ? accept_api_key : NULL,
                    .show = show_api_key,
                    .user = &view};
    ez_directory_enter();
    ez_status status = ez_page_reply(self->directory, &page, call);
    ez_directory_leave();
    return status;
}
