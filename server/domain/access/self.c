// SPDX-License-Identifier: Apache-2.0
//
// What a tenant does with its master key. The caller is the master named by the call's principal; everything else is as
// if it were not there, whether it exists or not. The rules are those of admins (key_change.c), and fewer fields.
#include "proto/runtime/wire.h"
#include "server/domain/access/inside.h"

ez_status ez_handle_self_create_key(ez_access *self, ez_call *call, ez_txn *txn, Ez__V1__CreateOwnKeyRequest *request) {
    return ez_key_issue(self, txn, call, call->principal.id, call->principal.id, request->key);
}

static bool is_own(const ez_entry *entry, const ez_call *call) {
    ez_slice data = ez_entry_data(entry);
    ez_wire_field owner;
    return ez_wire_find(data.data, data.len, 2, &owner) && (int64_t)owner.varint == call->principal.id;
}

ez_status ez_handle_self_get_key(ez_access *self, ez_call *call, Ez__V1__GetKeyRequest *request) {
    ez_directory_enter();
    const ez_entry *entry = ez_directory_get(self->directory, KIND_KEY, request->id);
    ez_status status = entry && is_own(entry, call) ? ez_key_reply(self, call, entry)
                                                    : ez_kind_missing(KIND_KEY, request->id, &call->error);
    ez_directory_leave();
    return status;
}

ez_status ez_handle_self_list_keys(ez_access *self, ez_call *call, Ez__V1__ListOwnKeysRequest *request) {
    ez_key_list list = {.master_id = call->principal.id,
                        .status = (int)request->status,
                        .page_size = request->page_size,
                        .page_token = request->page_token,
                        .order_by = request->order_by,
                        .q = request->q,
                        .with_total = request->with_total};
    return ez_key_reply_list(self, call, &list);
}

ez_status ez_handle_self_update_key(ez_access *self, ez_call *call, ez_txn *txn, Ez__V1__UpdateKeyRequest *request) {
    ez_key_patch patch = {request->id, request->key, request->n_update_mask, request->update_mask};
    return ez_key_update(self, txn, call, &patch, call->principal.id);
}

ez_status ez_handle_self_delete_key(ez_access *self, ez_call *call, ez_txn *txn, Ez__V1__DeleteKeyRequest *request) {
    (void)self;
    return ez_key_delete(txn, call, request->id, call->principal.id);
}
