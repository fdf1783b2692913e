// SPDX-License-Identifier: Apache-2.0
//
// Keys as admins handle them, and their access records. Get is the busiest call of all: it copies the packed bytes from
// the directory into the reply. SetAccess is an Update of two fields, so that a mask means the same in both.
#include <string.h>

#include "proto/runtime/message.h"
#include "server/domain/access/inside.h"

ez_status ez_handle_keys_create(ez_access *self, ez_call *call, ez_txn *txn, Ez__V1__CreateKeyRequest *request) {
    return ez_key_issue(self, txn, call, request->master_id, 0, request->key);
}

ez_status ez_handle_keys_get(ez_access *self, ez_call *call, Ez__V1__GetKeyRequest *request) {
    ez_directory_enter();
    const ez_entry *entry = ez_directory_get(self->directory, KIND_KEY, request->id);
    ez_status status = entry ? ez_key_reply(self, call, entry) : ez_kind_missing(KIND_KEY, request->id, &call->error);
    ez_directory_leave();
    return status;
}

ez_status ez_handle_keys_list(ez_access *self, ez_call *call, Ez__V1__ListKeysRequest *request) {
    ez_key_list list = {.master_id = request->master_id,
                        .status = (int)request->status,
                        .page_size = request->page_size,
                        .page_token = request->page_token,
                        .order_by = request->order_by,
                        .q = request->q,
                        .with_total = request->with_total};
    return ez_key_reply_list(self, call, &list);
}

ez_status ez_handle_keys_update(ez_access *self, ez_call *call, ez_txn *txn, Ez__V1__UpdateKeyRequest *request) {
    ez_key_patch patch = {request->id, request->key, request->n_update_mask, request->update_mask};
    return ez_key_update(self, txn, call, &patch, 0);
}

ez_status ez_handle_keys_delete(ez_access *self, ez_call *call, ez_txn *txn, Ez__V1__DeleteKeyRequest *request) {
    (void)self;
    return ez_key_delete(txn, call, request->id, 0);
}

// ---- Access

static ez_status read_access(const ez_directory *directory, ez_call *call, int64_t id) {
    const ez_entry *entry = ez_directory_get(directory, KIND_KEY, id);
    if (!entry)
        return ez_kind_missing(KIND_KEY, id, &call->error);
    Ez__V1__Key *key = (Ez__V1__Key *)ez_entry_unpack(entry, &call->arena);
    if (!key)
        return ez_no_memory(&call->error);
    entry = ez_directory_get(directory, KIND_MASTER, key->master_id);
    Ez__V1__Master *master = entry ? (Ez__V1__Master *)ez_entry_unpack(entry, &call->arena) : NULL;
    if (!master)
        return entry ? ez_no_memory(&call->error) : ez_kind_missing(KIND_KEY, id, &call->error);
    Ez__V1__Access access = EZ__V1__ACCESS__INIT;
    access.default_namespace = key->default_namespace[0] ? key->default_namespace : master->default_namespace;
    access.n_namespaces = key->n_namespaces > 0 ? key->n_namespaces : master->n_namespaces;
    access.namespaces = key->n_namespaces > 0 ? key->namespaces : master->namespaces;
    return ez_call_reply(call, &access.base);
}

ez_status ez_handle_keys_get_access(ez_access *self, ez_call *call, Ez__V1__GetKeyAccessRequest *request) {
    ez_directory_enter();
    ez_status status = read_access(self->directory, call, request->id);
    ez_directory_leave();
    return status;
}

ez_status ez_handle_keys_set_access(ez_access *self, ez_call *call, ez_txn *txn, Ez__V1__SetKeyAccessRequest *request) {
    (void)self;
    ez_error *error = &call->error;
    ProtobufCMessage *loaded;
    ez_status status = ez_txn_load(txn, KIND_KEY, request->id, &loaded, error);
    if (status != EZ_OK)
        return status;
    Ez__V1__Key *key = (Ez__V1__Key *)loaded;
    Ez__V1__Access access = EZ__V1__ACCESS__INIT;
    access.default_namespace = key->default_namespace;
    access.n_namespaces = key->n_namespaces;
    access.namespaces = key->namespaces;
    status = ez_message_merge(ez_message_rule_find(&ez__v1__access__descriptor), &access.base, &request->access->base,
                              request->n_update_mask, request->update_mask, error);
    Ez__V1__Master *master;
    if (status == EZ_OK)
        status = ez_master_read(txn, key->master_id, &master, error);
    if (status != EZ_OK)
        return status;
    key->default_namespace = access.default_namespace;
    key->n_namespaces = access.n_namespaces;
    key->namespaces = access.namespaces;
    status = ez_allowed_check_key(txn, master, key, error);
    if (status == EZ_OK)
        status = ez_txn_put_changed(txn, KIND_KEY, request->id, loaded, error);
    if (status != EZ_OK)
        return status;
    access.n_namespaces = key->n_namespaces; // without repeats
    access.namespaces = key->namespaces;
    return ez_call_reply(call, &access.base);
}
