// SPDX-License-Identifier: Apache-2.0
//
// Masters and keys. A key comes in by its token's hash, in the state it had: what no admin's call may say (a token
// somebody else made, an expiry that has passed, a quota that is used up) is written over what Keys.Create made, in the
// same transaction.
//
// The awkward cases. Keys.Create counts against max_child_keys; the file's reader has raised that to what comes along.
// And a token may be here already as another master's key: overwriting does not reach into another tenant.
#include "proto/runtime/wire.h"
#include "server/domain/import/apply.h"
#include "server/state/metering/quota.h"

enum { MASTER_KEY = 30 };

static ez_status no_memory(ez_applying *a) {
    return ez_call_fail(a->call, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for this row");
}

static ez_status overwrite_master(ez_applying *a, int64_t id, Ez__V1__Master *master) {
    static const char *const mask[] = {
        "group", "default_namespace", "namespaces", "max_child_keys", "global_qps", "status", "labels"};
    Ez__V1__UpdateMasterRequest update = EZ__V1__UPDATE_MASTER_REQUEST__INIT;
    update.id = id;
    update.master = master;
    update.update_mask = (char **)(uintptr_t)mask;
    update.n_update_mask = sizeof mask / sizeof mask[0];
    return ez_handle_masters_update(a->import->access, a->call, a->txn, &update);
}

static ez_status create_master(ez_applying *a, Ez__V1__Master *master) {
    Ez__V1__CreateMasterRequest create = EZ__V1__CREATE_MASTER_REQUEST__INIT;
    create.master = master;
    ez_status status = ez_handle_masters_create(a->import->access, a->call, a->txn, &create);
    if (status != EZ_OK) {
        return status;
    }
    ez_wire_field key;
    char *made = NULL;
    if (ez_wire_find(a->call->reply.data, a->call->reply.len, MASTER_KEY, &key)) {
        made = ez_arena_strndup(&a->call->arena, (const char *)key.bytes.data, key.bytes.len);
    }
    if (made == NULL) {
        return no_memory(a);
    }
    a->result->master_key = made;
    return ez_apply_created(a);
}

ez_status ez_apply_master(ez_applying *a, Ez__V1__Master *master) {
    ez_status status = ez_apply_check(a, &master->base);
    if (status != EZ_OK) {
        return status;
    }
    const ez_entry *met = ez_txn_find(a->txn, EZ_INDEX_MASTER_NAME, ez_index_text(master->name));
    if (met == NULL) {
        return create_master(a, master);
    }
    ez_apply_met(a, met);
    return a->overwrite ? overwrite_master(a, ez_entry_id(met), master) : EZ_OK;
}

// Writes what only an import may say over the key.
static ez_status settle_key(ez_applying *a, int64_t id, const Ez__V1__ImportKey *row) {
    ProtobufCMessage *message;
    ez_status status = ez_txn_load(a->txn, KIND_KEY, id, &message, &a->call->error);
    if (status != EZ_OK) {
        return status;
    }
    Ez__V1__Key *key = (Ez__V1__Key *)message;
    key->token_sha256 = row->token_sha256;
    key->token_prefix = row->token_prefix;
    key->token_last4 = row->token_last4;
    key->quota_used = 0;
    key->quota_carried = ez_quota_carry(a->import->counters, id, row->quota_used);
    key->expires_at = row->key->expires_at;
    if (row->status != EZ__V1__KEY_STATUS__KEY_STATUS_UNSPECIFIED) {
        key->status = row->status;
    }
    return ez_txn_put_changed(a->txn, KIND_KEY, id, message, &a->call->error);
}

static ez_status update_key(ez_applying *a, int64_t id, Ez__V1__Key *key) {
    static const char *const mask[] = {"name",        "group",        "scopes",    "default_namespace",
                                       "namespaces",  "model_limits", "allow_ips", "deny_ips",
                                       "quota_limit", "quota_unit",   "labels",    "model_limits_enabled"};
    Ez__V1__UpdateKeyRequest update = EZ__V1__UPDATE_KEY_REQUEST__INIT;
    update.id = id;
    update.key = key;
    update.update_mask = (char **)(uintptr_t)mask;
    update.n_update_mask = sizeof mask / sizeof mask[0];
    return ez_handle_keys_update(a->import->access, a->call, a->txn, &update);
}

static ez_status create_key(ez_applying *a, int64_t master_id, Ez__V1__Key *key) {
    Ez__V1__CreateKeyRequest create = EZ__V1__CREATE_KEY_REQUEST__INIT;
    create.master_id = master_id;
    create.key = key;
    ez_status status = ez_handle_keys_create(a->import->access, a->call, a->txn, &create);
    return status != EZ_OK ? status : ez_apply_created(a);
}

static ez_status overwrite_key(ez_applying *a, const ez_entry *met, const ez_entry *master, Ez__V1__Key *key) {
    ProtobufCMessage *message;
    ez_status status = ez_txn_load(a->txn, KIND_KEY, ez_entry_id(met), &message, &a->call->error);
    if (status != EZ_OK) {
        return status;
    }
    if (((const Ez__V1__Key *)message)->master_id != ez_entry_id(master)) {
        return ez_call_fail(a->call, EZ_FAILED_PRECONDITION, "TOKEN_TAKEN",
                            "its token is here already as key %lld of another master: delete that one first",
                            (long long)ez_entry_id(met));
    }
    return update_key(a, ez_entry_id(met), key);
}

ez_status ez_apply_key(ez_applying *a, Ez__V1__ImportKey *row) {
    if (row->token_sha256.len != 32 || row->key == NULL) {
        return ez_call_fail(a->call, EZ_INVALID_ARGUMENT, "TOKEN_MISSING", "the export does not hold this key's token");
    }
    ez_status status = ez_apply_check(a, &row->key->base);
    if (status != EZ_OK) {
        return status;
    }
    const ez_entry *master = ez_txn_find(a->txn, EZ_INDEX_MASTER_NAME, ez_index_text(row->master_name));
    if (master == NULL) {
        return ez_call_fail(a->call, EZ_FAILED_PRECONDITION, "MASTER_NOT_FOUND", "there is no master \"%s\"",
                            row->master_name);
    }
    Ez__V1__Key key = *row->key; // without what only settle_key may say
    key.expires_at = NULL;
    key.status = EZ__V1__KEY_STATUS__KEY_STATUS_UNSPECIFIED;
    ez_index_key token = ez_index_bytes(row->token_sha256.data, row->token_sha256.len);
    const ez_entry *met = ez_txn_find(a->txn, EZ_INDEX_KEY_TOKEN, token);
    if (met == NULL) {
        status = create_key(a, ez_entry_id(master), &key);
    } else {
        ez_apply_met(a, met);
        if (!a->overwrite) {
            return EZ_OK;
        }
        status = overwrite_key(a, met, master, &key);
    }
    return status != EZ_OK ? status : settle_key(a, a->result->id, row);
}
