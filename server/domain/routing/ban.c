// SPDX-License-Identifier: Apache-2.0
//
// Bans: an API key taken out of service until :unban or a point in time. Reads see the end of a ban by themselves; the
// bindings of a group that had no other key do not, so the leader's timer asks for passed bans and has them lifted.
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
    key->ban_reason = (char *)"";
    key->ban_until = NULL;
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
        key->ban_reason = (char *)"";
        key->ban_until = NULL;
        ez_status status = change(txn, key, API_KEY_ACTIVE, &call->error);
        if (status != EZ_OK)
            return status;
    }
    return ez_call_reply(call, &nothing.base);
}
