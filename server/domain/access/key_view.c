// SPDX-License-Identifier: Apache-2.0
//
// Keys as they are read. A key is kept and sent as packed bytes; a read adds what time and traffic have made of it
// since: protobuf takes the last value of a field, so the counters and a status that differs are appended and nothing
// is unpacked. Resolve alone unpacks: it fills in what the key inherits from its master.
#include <string.h>

#include "proto/runtime/wire.h"
#include "server/domain/access/inside.h"
#include "server/state/directory/master.h"
#include "server/state/metering/quota.h"

enum {
    F_NAME = 3,
    F_EXPIRES = 13,
    F_LIMIT = 17,
    F_USED = 18,
    F_STATUS = 21,
    F_REQUESTS = 22, // tokens_in and tokens_out follow
    F_LAST_USED = 25,
    F_CARRIED = 31
};

#define RESOLVE_TTL_MS         60000u // of a key that was found; a change to it comes by the feed
#define RESOLVE_UNKNOWN_TTL_MS 10000u // of a no

// What a key's status follows from.
typedef struct key_facts {
    int status;
    bool has_limit;
    int64_t limit;
    int64_t kept, carried; // quota_used as it is kept, and quota_carried
    int64_t used;          // with what was counted
    int64_t expires_ns;    // INT64_MAX: never
} key_facts;

static int judge(const key_facts *facts, int64_t now_ns) {
    if (facts->status != KEY_ACTIVE)
        return facts->status;
    if (facts->expires_ns <= now_ns)
        return KEY_EXPIRED;
    if (facts->has_limit && facts->limit >= 0 && facts->used >= facts->limit)
        return KEY_EXHAUSTED;
    return KEY_ACTIVE;
}

static key_facts read_facts(const ez_access *access, const ez_entry *entry) {
    key_facts facts = {.expires_ns = INT64_MAX};
    ez_slice data = ez_entry_data(entry);
    size_t at = 0;
    ez_wire_field field;
    // Fields are in ascending order: nothing past quota_carried matters.
    while (ez_wire_next(data.data, data.len, &at, &field) && field.number <= F_CARRIED) {
        switch (field.number) {
        case F_EXPIRES:
            facts.expires_ns = ez_stamp_read(field.bytes);
            break;
        case F_LIMIT:
            facts.has_limit = true;
            facts.limit = (int64_t)field.varint;
            break;
        case F_USED:
            facts.kept = (int64_t)field.varint;
            break;
        case F_STATUS:
            facts.status = (int)field.varint;
            break;
        case F_CARRIED:
            facts.carried = (int64_t)field.varint;
            break;
        default:
            break;
        }
    }
    facts.used = ez_quota_used(access->counters, ez_entry_id(entry), facts.kept, facts.carried);
    return facts;
}

int64_t ez_key_used(const ez_access *access, const Ez__V1__Key *key) {
    return ez_quota_used(access->counters, key->id, key->quota_used, key->quota_carried);
}

static int message_status(const ez_access *access, const Ez__V1__Key *key, int64_t now_ns) {
    key_facts facts = {.status = (int)key->status,
                       .has_limit = key->opt_quota_limit_case == EZ__V1__KEY__OPT_QUOTA_LIMIT_QUOTA_LIMIT,
                       .limit = key->quota_limit,
                       .used = ez_key_used(access, key),
                       .expires_ns = key->expires_at ? ez_stamp_ns(key->expires_at) : INT64_MAX};
    return judge(&facts, now_ns);
}

int ez_key_status(const ez_access *access, const ez_entry *entry, int64_t now_ns) {
    key_facts facts = read_facts(access, entry);
    return judge(&facts, now_ns);
}

// Appends what is not as the bytes say.
static ez_status add_derived(const ez_access *access, const ez_entry *entry, int64_t now_ns, ez_buf *out) {
    key_facts facts = read_facts(access, entry);
    int shown = judge(&facts, now_ns);
    int64_t last_used_ns = 0;
    ez_status status = ez_access_put_counted(access, EZ_USAGE_KEYS, ez_entry_id(entry), F_REQUESTS, &last_used_ns, out);
    if (status == EZ_OK && last_used_ns)
        status = ez_stamp_put(out, F_LAST_USED, last_used_ns);
    if (status == EZ_OK && facts.used != facts.kept)
        status = ez_wire_put_varint(out, F_USED, (uint64_t)facts.used);
    return status != EZ_OK || shown == facts.status ? status : ez_wire_put_varint(out, F_STATUS, (uint64_t)shown);
}

ez_status ez_key_reply(const ez_access *access, ez_call *call, const ez_entry *entry) {
    ez_slice data = ez_entry_data(entry);
    ez_status status = ez_call_reply_bytes(call, data.data, data.len);
    if (status == EZ_OK && add_derived(access, entry, call->time_ns, &call->reply) != EZ_OK)
        return ez_no_memory(&call->error);
    return status;
}

// Into a message that is shown and not kept.
static ez_status fill_derived(const ez_access *access, Ez__V1__Key *key, int64_t now_ns, ez_arena *arena) {
    ez_usage_sums sums;
    ez_counters_get(access->counters, EZ_USAGE_KEYS, key->id, &sums);
    key->status = (Ez__V1__KeyStatus)message_status(access, key, now_ns);
    key->quota_used = ez_key_used(access, key);
    key->request_count = sums.requests;
    key->tokens_in = sums.tokens_in;
    key->tokens_out = sums.tokens_out;
    if (sums.last_used_ns == 0)
        return EZ_OK;
    key->last_used_at = ez_stamp_make(sums.last_used_ns, arena);
    return key->last_used_at ? EZ_OK : EZ_RESOURCE_EXHAUSTED;
}

ez_status ez_key_reply_changed(const ez_access *access, ez_call *call, ez_txn *txn, Ez__V1__Key *key) {
    Ez__V1__Key shown = *key;
    if (fill_derived(access, &shown, ez_txn_now_ns(txn), &call->arena) != EZ_OK)
        return ez_no_memory(&call->error);
    return ez_call_reply(call, &shown.base);
}

// ---- Lists

typedef struct list_view {
    const ez_access *access;
    int64_t now_ns;
    int status;
} list_view;

static bool accept_key(void *user, const ez_entry *entry) {
    const list_view *view = user;
    return ez_key_status(view->access, entry, view->now_ns) == view->status;
}

static ez_status show_key(void *user, const ez_entry *entry, ez_call *call, ez_buf *out) {
    (void)call;
    const list_view *view = user;
    ez_slice data = ez_entry_data(entry);
    ez_status status = ez_buf_append(out, data.data, data.len);
    return status == EZ_OK ? add_derived(view->access, entry, view->now_ns, out) : status;
}

ez_status ez_key_reply_list(const ez_access *access, ez_call *call, const ez_key_list *list) {
    list_view view = {access, call->time_ns, list->status};
    ez_page page = {.kind = KIND_KEY,
                    .page_size = list->page_size,
                    .page_token = list->page_token,
                    .order_by = list->order_by,
                    .with_total = list->with_total,
                    .is_group = list->master_id != 0,
                    .index = EZ_INDEX_KEY_BY_MASTER,
                    .key = ez_index_id(list->master_id),
                    .q = list->q,
                    .q_field = F_NAME,
                    .accept = list->status ? accept_key : NULL,
                    .show = show_key,
                    .user = &view};
    ez_directory_enter();
    ez_status status = ez_page_reply(access->directory, &page, call);
    ez_directory_leave();
    return status;
}

// ---- Resolve

static ez_status inherit_namespaces(const Ez__V1__Master *master, Ez__V1__Key *key, ez_arena *arena) {
    key->namespaces = ez_master_namespaces(master, arena, &key->n_namespaces);
    return key->namespaces ? EZ_OK : EZ_RESOURCE_EXHAUSTED;
}

static ez_status fill_in(const ez_access *access, const Ez__V1__Master *master, Ez__V1__Key *key, int64_t now_ns,
                         ez_arena *arena) {
    if (!key->group[0])
        key->group = master->group;
    if (key->n_namespaces == 0 && inherit_namespaces(master, key, arena) != EZ_OK)
        return EZ_RESOURCE_EXHAUSTED;
    if (!key->default_namespace[0])
        key->default_namespace = master->default_namespace;
    if (fill_derived(access, key, now_ns, arena) != EZ_OK)
        return EZ_RESOURCE_EXHAUSTED;
    if (key->status == KEY_ACTIVE && master->status == EZ__V1__MASTER_STATUS__MASTER_STATUS_SUSPENDED)
        key->status = KEY_DISABLED;
    return EZ_OK;
}

// No longer than the key lives.
static uint32_t time_to_live(const Ez__V1__Key *key, int64_t now_ns) {
    if (key->status != KEY_ACTIVE || !key->expires_at)
        return RESOLVE_TTL_MS;
    int64_t left_ms = (ez_stamp_ns(key->expires_at) - now_ns) / 1000000; // active: it is in the future
    return left_ms < RESOLVE_TTL_MS ? (uint32_t)left_ms : RESOLVE_TTL_MS;
}

static ez_status resolve(const ez_access *access, ez_call *call, const Ez__V1__ResolveKeyRequest *request) {
    Ez__V1__ResolveKeyResponse reply = EZ__V1__RESOLVE_KEY_RESPONSE__INIT;
    reply.ttl_ms = RESOLVE_UNKNOWN_TTL_MS;
    ez_index_key hash = ez_index_bytes(request->token_sha256.data, request->token_sha256.len);
    const ez_entry *entry = ez_directory_find(access->directory, EZ_INDEX_KEY_TOKEN, hash);
    if (!entry)
        return ez_call_reply(call, &reply.base);
    Ez__V1__Key *key = (Ez__V1__Key *)ez_entry_unpack(entry, &call->arena);
    if (!key)
        return ez_no_memory(&call->error);
    entry = ez_directory_get(access->directory, KIND_MASTER, key->master_id);
    if (!entry) // both are being deleted
        return ez_call_reply(call, &reply.base);
    Ez__V1__Master *master = (Ez__V1__Master *)ez_entry_unpack(entry, &call->arena);
    if (!master || fill_in(access, master, key, call->time_ns, &call->arena) != EZ_OK)
        return ez_no_memory(&call->error);
    reply.found = true;
    reply.key = key;
    reply.global_qps = master->global_qps;
    reply.ttl_ms = time_to_live(key, call->time_ns);
    return ez_call_reply(call, &reply.base);
}

ez_status ez_handle_keys_resolve(ez_access *self, ez_call *call, Ez__V1__ResolveKeyRequest *request) {
    ez_directory_enter();
    ez_status status = resolve(self, call, request);
    ez_directory_leave();
    return status;
}
