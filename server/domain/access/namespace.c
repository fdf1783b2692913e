// SPDX-License-Identifier: Apache-2.0
//
// Namespaces: names under which public models are bound. Others point to them by name, which therefore never changes.
// Deleting one that a master or key still names is refused whatever cascade says: it would silently take models away
// from tenants; bindings go with it where cascade is set. "default" always exists, though it may be disabled.
#include <string.h>

#include "proto/runtime/wire.h"
#include "server/domain/access/inside.h"

enum { F_NAME = 2, F_STATUS = 4, MASTER_NAME = 2, KEY_NAME = 3, BINDING_MODEL = 3 };

ez_status ez_handle_namespaces_create(ez_access *self, ez_call *call, ez_txn *txn,
                                      Ez__V1__CreateNamespaceRequest *request) {
    (void)self;
    Ez__V1__Namespace copy = *request->namespace_, *name = &copy;
    ez_status status = ez_txn_fill(txn, KIND_NAMESPACE, &name->base, &call->error);
    if (status != EZ_OK)
        return status;
    name->id = 0;
    status = ez_txn_put(txn, KIND_NAMESPACE, &name->base, &call->error);
    return status == EZ_OK ? ez_call_reply(call, &name->base) : status;
}

ez_status ez_handle_namespaces_get(ez_access *self, ez_call *call, Ez__V1__GetNamespaceRequest *request) {
    ez_directory_enter();
    const ez_entry *entry = ez_directory_get(self->directory, KIND_NAMESPACE, request->id);
    ez_slice data = entry ? ez_entry_data(entry) : (ez_slice){NULL, 0};
    ez_status status = entry ? ez_call_reply_bytes(call, data.data, data.len)
                             : ez_kind_missing(KIND_NAMESPACE, request->id, &call->error);
    ez_directory_leave();
    return status;
}

static bool accept_namespace(void *user, const ez_entry *entry) {
    const Ez__V1__ListNamespacesRequest *request = user;
    ez_slice data = ez_entry_data(entry);
    ez_wire_field field;
    return ez_wire_find(data.data, data.len, F_STATUS, &field) && field.varint == (uint64_t)request->status;
}

ez_status ez_handle_namespaces_list(ez_access *self, ez_call *call, Ez__V1__ListNamespacesRequest *request) {
    ez_page page = {.kind = KIND_NAMESPACE,
                    .page_size = request->page_size,
                    .page_token = request->page_token,
                    .order_by = request->order_by,
                    .with_total = request->with_total,
                    .q = request->q,
                    .q_field = F_NAME,
                    .accept = request->status ? accept_namespace : NULL,
                    .user = request};
    ez_directory_enter();
    ez_status status = ez_page_reply(self->directory, &page, call);
    ez_directory_leave();
    return status;
}

ez_status ez_handle_namespaces_update(ez_access *self, ez_call *call, ez_txn *txn,
                                      Ez__V1__UpdateNamespaceRequest *request) {
    (void)self;
    ProtobufCMessage *loaded;
    ez_status status = ez_txn_load_merged(txn, KIND_NAMESPACE, request->id, &request->namespace_->base,
                                          request->n_update_mask, request->update_mask, &loaded, &call->error);
    if (status == EZ_OK)
        status = ez_txn_put_changed(txn, KIND_NAMESPACE, request->id, loaded, &call->error);
    return status == EZ_OK ? ez_call_reply(call, loaded) : status;
}

// ---- Deletion

// A key's namespaces are within its master's, so keys are looked at for those of a faulty import only. The walk over
// all of them costs a few hundred nanoseconds each.
static ez_status refuse_users(ez_txn *txn, const char *name, int kind, uint32_t name_field, ez_error *error) {
    ez_few few = {0};
    int64_t id = 0;
    for (const ez_entry *entry; (entry = ez_txn_next(txn, kind, id)); id = ez_entry_id(entry))
        if (ez_allowed_entry_names(entry, name))
            ez_few_add_entry(&few, entry, name_field);
    if (few.count == 0)
        return EZ_OK;
    return ez_error_set(error, EZ_FAILED_PRECONDITION, "NAMESPACE_IN_USE",
                        "namespace \"%s\" is named by %zu %ss: %s; take it from them first", name, few.count,
                        ez_kind_word(kind), ez_few_text(&few));
}

static ez_status refuse_bindings(ez_txn *txn, const char *name, ez_error *error) {
    ez_few few = ez_txn_few_members(txn, EZ_INDEX_BINDING_BY_NAMESPACE, ez_index_text(name), BINDING_MODEL);
    if (few.count == 0)
        return EZ_OK;
    return ez_error_set(error, EZ_FAILED_PRECONDITION, "NAMESPACE_IN_USE",
                        "namespace \"%s\" has %zu bindings: %s; delete them first, or set cascade", name, few.count,
                        ez_few_text(&few));
}

ez_status ez_handle_namespaces_delete(ez_access *self, ez_call *call, ez_txn *txn,
                                      Ez__V1__DeleteNamespaceRequest *request) {
    (void)self;
    static const Ez__V1__Empty nothing = EZ__V1__EMPTY__INIT;
    ez_error *error = &call->error;
    ProtobufCMessage *loaded;
    ez_status status = ez_txn_load(txn, KIND_NAMESPACE, request->id, &loaded, error);
    if (status != EZ_OK)
        return status;
    const char *name = ((Ez__V1__Namespace *)loaded)->name;
    if (strcmp(name, "default") == 0)
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "NAMESPACE_DEFAULT",
                            "namespace \"default\" can't be deleted; disable it instead");
    status = refuse_users(txn, name, KIND_MASTER, MASTER_NAME, error);
    if (status == EZ_OK)
        status = refuse_users(txn, name, KIND_KEY, KEY_NAME, error);
    if (status == EZ_OK && !request->cascade)
        status = refuse_bindings(txn, name, error);
    if (status != EZ_OK)
        return status;
    ez_txn_subject(txn, KIND_NAMESPACE, request->id);
    status = ez_txn_delete_members(txn, EZ_INDEX_BINDING_BY_NAMESPACE, ez_index_text(name), error);
    if (status == EZ_OK)
        status = ez_txn_delete(txn, KIND_NAMESPACE, request->id, error);
    return status == EZ_OK ? ez_call_reply(call, &nothing.base) : status;
}
