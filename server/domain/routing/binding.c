// SPDX-License-Identifier: Apache-2.0
//
// Bindings: (namespace, public model) → a provider group. What a binding is for never changes; weight, selector and
// status do. A binding that finds no upstream model is kept and says why in its error: that is a state, not a failure.
#include <string.h>

#include "proto/runtime/wire.h"
#include "server/domain/routing/compile.h"
#include "server/domain/routing/inside.h"
#include "server/domain/routing/selector.h"

enum { F_NAMESPACE = 2, F_PUBLIC_MODEL = 3, F_GROUP = 4, F_STATUS = 8 };

// An expression that can't be used is the caller's mistake here; later, in a recompilation, it is a config_error.
static ez_status check_selector(Ez__V1__Binding *binding, ez_error *error) {
    if (!binding->selector_value[0])
        binding->selector_value = binding->public_model;
    ez_selector *selector;
    ez_status status = ez_selector_open(binding->selector_type, binding->selector_value, &selector, error);
    if (status == EZ_OK)
        ez_selector_close(selector);
    return status;
}

ez_status ez_binding_make(ez_txn *txn, const Ez__V1__Binding *asked, Ez__V1__Binding **out, ez_error *error) {
    Ez__V1__Binding *binding = ez_arena_memdup(ez_txn_arena(txn), asked, sizeof *asked);
    if (!binding)
        return ez_no_memory(error);
    *out = binding;
    if (!ez_txn_find(txn, EZ_INDEX_NAMESPACE_NAME, ez_index_text(binding->namespace_)))
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "NAMESPACE_UNKNOWN",
                            "there is no namespace \"%s\": create it first", binding->namespace_);
    ez_status status = ez_txn_fill(txn, KIND_BINDING, &binding->base, error);
    if (status == EZ_OK)
        status = check_selector(binding, error);
    if (status == EZ_OK)
        status = ez_compile_binding(txn, binding, error);
    if (status != EZ_OK)
        return status;
    binding->id = 0;
    return ez_txn_put(txn, KIND_BINDING, &binding->base, error);
}

ez_status ez_binding_update(ez_txn *txn, const Ez__V1__UpdateBindingRequest *request, Ez__V1__Binding **out,
                            ez_error *error) {
    ProtobufCMessage *loaded;
    ez_status status = ez_txn_load_merged(txn, KIND_BINDING, request->id, &request->binding->base,
                                          request->n_update_mask, request->update_mask, &loaded, error);
    if (status != EZ_OK)
        return status;
    *out = (Ez__V1__Binding *)loaded;
    status = check_selector(*out, error);
    if (status == EZ_OK)
        status = ez_compile_binding(txn, *out, error);
    return status == EZ_OK ? ez_txn_put_changed(txn, KIND_BINDING, request->id, loaded, error) : status;
}

ez_status ez_binding_delete(ez_txn *txn, int64_t id, ez_error *error) {
    ProtobufCMessage *loaded; // for If-Match
    ez_status status = ez_txn_load(txn, KIND_BINDING, id, &loaded, error);
    return status == EZ_OK ? ez_txn_delete(txn, KIND_BINDING, id, error) : status;
}

// ---- Handlers

ez_status ez_handle_bindings_create(ez_routing *self, ez_call *call, ez_txn *txn,
                                    Ez__V1__CreateBindingRequest *request) {
    (void)self;
    Ez__V1__Binding *binding;
    ez_status status = ez_binding_make(txn, request->binding, &binding, &call->error);
    return status == EZ_OK ? ez_call_reply(call, &binding->base) : status;
}

ez_status ez_handle_bindings_update(ez_routing *self, ez_call *call, ez_txn *txn,
                                    Ez__V1__UpdateBindingRequest *request) {
    (void)self;
    Ez__V1__Binding *binding;
    ez_status status = ez_binding_update(txn, request, &binding, &call->error);
    return status == EZ_OK ? ez_call_reply(call, &binding->base) : status;
}

ez_status ez_handle_bindings_delete(ez_routing *self, ez_call *call, ez_txn *txn,
                                    Ez__V1__DeleteBindingRequest *request) {
    (void)self;
    static const Ez__V1__Empty nothing = EZ__V1__EMPTY__INIT;
    ez_status status = ez_binding_delete(txn, request->id, &call->error);
    return status == EZ_OK ? ez_call_reply(call, &nothing.base) : status;
}

ez_status ez_handle_bindings_get(ez_routing *self, ez_call *call, Ez__V1__GetBindingRequest *request) {
    ez_directory_enter();
    const ez_entry *entry = ez_directory_get(self->directory, KIND_BINDING, request->id);
    ez_slice data = entry ? ez_entry_data(entry) : (ez_slice){NULL, 0};
    ez_status status = entry ? ez_call_reply_bytes(call, data.data, data.len)
                             : ez_kind_missing(KIND_BINDING, request->id, &call->error);
    ez_directory_leave();
    return status;
}

static bool text_is(ez_slice data, uint32_t number, const char *wanted) {
    ez_wire_field field;
    return !wanted[0] || (ez_wire_find(data.data, data.len, number, &field) && field.bytes.len == strlen(wanted) &&
                          memcmp(field.bytes.data, wanted, field.bytes.len) == 0);
}

static bool number_is(ez_slice data, uint32_t number, uint64_t wanted) {
    ez_wire_field field;
    return wanted == 0 || (ez_wire_find(data.data, data.len, number, &field) && field.varint == wanted);
}

static bool accept_binding(void *user, const ez_entry *entry) {
    const Ez__V1__ListBindingsRequest *request = user;
    ez_slice data = ez_entry_data(entry);
    return text_is(data, F_NAMESPACE, request->namespace_) && text_is(data, F_PUBLIC_MODEL, request->public_model) &&
           number_is(data, F_GROUP, (uint64_t)request->group_id) &&
           number_is(data, F_STATUS, (uint64_t)request->status);
}

// The narrowest index the filters allow; accept looks at all of them again.
static void narrow(const Ez__V1__ListBindingsRequest *request, ez_arena *arena, ez_page *page) {
    page->is_group = true;
    if (request->namespace_[0] && request->public_model[0]) {
        page->index = EZ_INDEX_BINDING_BY_MODEL;
        page->key = ez_index_model(request->namespace_, request->public_model, arena);
    } else if (request->group_id != 0) {
        page->index = EZ_INDEX_BINDING_BY_GROUP;
        page->key = ez_index_id(request->group_id);
    } else if (request->namespace_[0]) {
        page->index = EZ_INDEX_BINDING_BY_NAMESPACE;
        page->key = ez_index_text(request->namespace_);
    } else {
        page->is_group = false;
    }
}

ez_status ez_handle_bindings_list(ez_routing *self, ez_call *call, Ez__V1__ListBindingsRequest *request) {
    bool has_filter = request->namespace_[0] || request->public_model[0] || request->group_id || request->status;
    ez_page page = {.kind = KIND_BINDING,
                    .page_size = request->page_size,
                    .page_token = request->page_token,
                    .order_by = request->order_by,
                    .with_total = request->with_total,
                    .q = request->q,
                    .q_field = F_PUBLIC_MODEL,
                    .accept = has_filter ? accept_binding : NULL,
                    .user = request};
    narrow(request, &call->arena, &page);
    ez_directory_enter();
    ez_status status = ez_page_reply(self->directory, &page, call);
    ez_directory_leave();
    return status;
}
