// SPDX-License-Identifier: Apache-2.0
//
// Bans: an API key taken out of service until :unban or a point in time, by an admin or, for a while, by the server
// itself. Reads see the end of a ban by themselves; the bindings of a group that had no other key do not, so the
// leader's timer asks for passed bans and has them lifted.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "server/domain/routing/compile.h"
#include "server/domain/routing/counted.h"
#include "server/domain/routing/inside.h"

// Puts the key with its new status and recompiles where the group came into service or left it.
static ez_status change(ez_txn *txn, Ez__V1__ApiKey *key, Ez__V1__ApiKeyStatus wanted, ez_error *error) {
    bool was_active = key->status == API_KEY_ACTIVE;
    key->status = wanted;
    ez_status status = ez_txn_put_changed(txn, KIND_API_KEY, key->id, &key->base, error);
    if (status != EZ_OK || was_active == (wanted == API_KEY_ACTIVE))
        return status;
    return ez_compile_has_key(txn, key->group_id, key->id) ? EZ_OK : ez_compile_group(txn, key->group_id, error);
}

ez_status ez_ban_end(ez_txn *txn, Ez__V1__ApiKey *key, ez_error *error) {
    key->ban_reason = (char *)"";
    key->ban_until = NULL;
    key->is_auto_banned = false;
    key->ban_ended_at = ez_stamp_make(ez_txn_now_ns(txn), ez_txn_arena(txn));
    return key->ban_ended_at ? EZ_OK : ez_no_memory(error);
}

static ez_status reply(const ez_routing *routing, ez_txn *txn, ez_call *call, Ez__V1__ApiKey *key) {
    ez_counted_fill_api_key(routing->counters, key);
    key->status = (Ez__V1__ApiKeyStatus)ez_api_key_message_status(key, ez_txn_now_ns(txn));
    return ez_call_reply(call, &key->base);
}

ez_status ez_handle_api_keys_ban(ez_routing *self, ez_call *call, ez_txn *txn, Ez__V1__BanApiKeyRequest *request) {
    ProtobufCMessage *loaded;
    ez_status status = ez_txn_load(txn, KIND_API_KEY, request->id, &loaded, &call->error);
    if (status != EZ_OK)
        return status;
    if (ez_stamp_has_passed(request->until, ez_txn_now_ns(txn)))
        return ez_error_set(&call->error, EZ_INVALID_ARGUMENT, "BAN_UNTIL_IN_PAST",
                            "until must be in the future; leave it out for a ban without end");
    Ez__V1__ApiKey *key = (Ez__V1__ApiKey *)loaded;
    key->ban_reason = request->reason;
    key->ban_until = request->until;
    key->is_auto_banned = false;
    status = change(txn, key, API_KEY_BANNED, &call->error);
    return status == EZ_OK ? reply(self, txn, call, key) : status;
}

ez_status ez_handle_api_keys_unban(ez_routing *self, ez_call *call, ez_txn *txn, Ez__V1__UnbanApiKeyRequest *request) {
    ProtobufCMessage *loaded;
    ez_status status = ez_txn_load(txn, KIND_API_KEY, request->id, &loaded, &call->error);
    if (status != EZ_OK)
        return status;
    Ez__V1__ApiKey *key = (Ez__V1__ApiKey *)loaded;
    if (key->status != API_KEY_BANNED)
        return ez_error_set(&call->error, EZ_FAILED_PRECONDITION, "NOT_BANNED", "API key %lld is not banned",
                            (long long)request->id);
    status = ez_ban_end(txn, key, &call->error);
    if (status == EZ_OK)
        status = change(txn, key, API_KEY_ACTIVE, &call->error);
    return status == EZ_OK ? reply(self, txn, call, key) : status;
}

// ---- Bans that have passed

static bool has_passed(const ez_entry *entry, int64_t now_ns) {
    return ez_api_key_stored_status(entry) == API_KEY_BANNED && ez_api_key_status(entry, now_ns) != API_KEY_BANNED;
}

size_t ez_routing_passed_bans(const ez_routing *routing, int64_t now_ns) {
    size_t count = 0;
    int64_t id = 0;
    ez_directory_enter();
    for (const ez_entry *entry; (entry = ez_directory_next(routing->directory, KIND_API_KEY, id, false));) {
        id = ez_entry_id(entry);
        count += has_passed(entry, now_ns);
    }
    ez_directory_leave();
    return count;
}

ez_status ez_routing_lift_bans(void *self, ez_call *call, void *scene, ProtobufCMessage *request) {
    (void)self;
    (void)request;
    static const Ez__V1__Empty nothing = EZ__V1__EMPTY__INIT;
    ez_txn *txn = scene;
    int64_t id = 0;
    for (const ez_entry *entry; (entry = ez_txn_next(txn, KIND_API_KEY, id));) {
        id = ez_entry_id(entry);
        if (!has_passed(entry, ez_txn_now_ns(txn)))
            continue;
        Ez__V1__ApiKey *key = (Ez__V1__ApiKey *)ez_entry_unpack(entry, &call->arena);
        if (!key)
            return ez_no_memory(&call->error);
        ez_status status = ez_ban_end(txn, key, &call->error);
        if (status == EZ_OK)
            status = change(txn, key, API_KEY_ACTIVE, &call->error);
        if (status != EZ_OK)
            return status;
    }
    return ez_call_reply(call, &nothing.base);
}

// ---- Bans by the server itself

// An admin may have been faster, or have ended a ban since the numbers were looked at.
static bool may_be_banned(const Ez__V1__ApiKey *key, const ez_auto_ban_item *item, int64_t now_ns) {
    bool has_auto_ban = key->opt_auto_ban_case != EZ__V1__API_KEY__OPT_AUTO_BAN_AUTO_BAN || key->auto_ban;
    return has_auto_ban && ez_api_key_message_status(key, now_ns) == API_KEY_ACTIVE &&
           (!key->ban_ended_at || ez_stamp_ns(key->ban_ended_at) <= item->judged_ns);
}

static ez_status ban_one(ez_txn *txn, ez_call *call, const ez_auto_ban *batch, ez_auto_ban_item *item) {
    const ez_entry *entry = ez_txn_get(txn, KIND_API_KEY, item->api_key_id);
    if (!entry)
        return EZ_OK;
    Ez__V1__ApiKey *key = (Ez__V1__ApiKey *)ez_entry_unpack(entry, &call->arena);
    if (!key)
        return ez_no_memory(&call->error);
    if (!may_be_banned(key, item, ez_txn_now_ns(txn)))
        return EZ_OK;
    char reason[128];
    snprintf(reason, sizeof reason, "auto-ban: %" PRId64 " of %" PRId64 " requests failed within %d minutes",
             item->errors, item->requests, item->window_minutes);
    item->until_ns = ez_txn_now_ns(txn) + batch->seconds * INT64_C(1000000000);
    key->ban_reason = ez_arena_strdup(&call->arena, reason);
    key->ban_until = ez_stamp_make(item->until_ns, &call->arena);
    key->is_auto_banned = true;
    if (!key->ban_reason || !key->ban_until)
        return ez_no_memory(&call->error);
    return change(txn, key, API_KEY_BANNED, &call->error);
}

ez_status ez_routing_auto_ban(void *self, ez_call *call, void *scene, ProtobufCMessage *request) {
    (void)request;
    ez_auto_ban *batch = self;
    ez_status status = EZ_OK;
    for (size_t i = 0; status == EZ_OK && i < batch->count; i++) {
        batch->items[i].until_ns = 0; // it may be run again
        status = ez_txn_check_deadline(scene, &call->error);
        if (status == EZ_OK)
            status = ban_one(scene, call, batch, &batch->items[i]);
    }
    return status == EZ_OK ? ez_call_reply_bytes(call, "", 0) : status;
}
