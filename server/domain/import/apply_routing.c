// SPDX-License-Identifier: Apache-2.0
//
// Provider groups with their API keys, and bindings.
//
// The awkward cases. A group of a type that needs a base URL, without one: an admin's call is refused; an import brings
// it in disabled, so that nothing of the source is lost and nothing is sent anywhere. It is made with a base URL nobody
// can reach (RFC 2606) and loses it in the same transaction. And a group of 10,000 API keys: its keys are found by name
// in a list that is sorted once.
#include <stdlib.h>
#include <string.h>

#include "server/domain/import/apply.h"

#define NOWHERE "https://invalid.invalid"

static ez_status no_memory(ez_applying *a) {
    return ez_call_fail(a->call, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for this row");
}

static ez_status drop_base_url(ez_applying *a, int64_t id) {
    ProtobufCMessage *message;
    ez_status status = ez_txn_load(a->txn, KIND_PROVIDER_GROUP, id, &message, &a->call->error);
    if (status != EZ_OK) {
        return status;
    }
    ((Ez__V1__ProviderGroup *)message)->base_url = (char *)protobuf_c_empty_string;
    return ez_txn_put(a->txn, KIND_PROVIDER_GROUP, message, &a->call->error);
}

static bool is_nowhere(const Ez__V1__ProviderGroup *group) {
    return strcmp(group->type, "compatible") == 0 && group->base_url[0] == '\0';
}

static ez_status create_group(ez_applying *a, const Ez__V1__ProviderGroup *from) {
    Ez__V1__ProviderGroup group = *from;
    Ez__V1__CreateProviderGroupRequest create = EZ__V1__CREATE_PROVIDER_GROUP_REQUEST__INIT;
    create.provider_group = &group;
    if (is_nowhere(from)) {
        group.base_url = (char *)NOWHERE;
        group.status = EZ__V1__PROVIDER_GROUP_STATUS__PROVIDER_GROUP_STATUS_DISABLED;
    }
    ez_status status = ez_handle_provider_groups_create(a->import->routing, a->call, a->txn, &create);
    if (status != EZ_OK) {
        return status;
    }
    (void)ez_apply_created(a);
    return is_nowhere(from) ? drop_base_url(a, a->result->id) : EZ_OK;
}

// Where the file has no base URL, the one that is there stays; where there is none either, the group stays disabled.
static ez_status overwrite_group(ez_applying *a, const ez_entry *met, const Ez__V1__ProviderGroup *from) {
    static const char *const mask[] = {"type", "models", "status", "labels", "base_url"};
    const Ez__V1__ProviderGroup *now = (const Ez__V1__ProviderGroup *)ez_entry_unpack(met, &a->call->arena);
    Ez__V1__ProviderGroup group = *from;
    Ez__V1__UpdateProviderGroupRequest update = EZ__V1__UPDATE_PROVIDER_GROUP_REQUEST__INIT;
    if (now == NULL) {
        return no_memory(a);
    }
    if (is_nowhere(from) && now->base_url[0] == '\0') {
        group.status = EZ__V1__PROVIDER_GROUP_STATUS__PROVIDER_GROUP_STATUS_DISABLED;
    }
    update.id = ez_entry_id(met);
    update.provider_group = &group;
    update.update_mask = (char **)(uintptr_t)mask;
    update.n_update_mask = sizeof mask / sizeof mask[0] - (group.base_url[0] == '\0' ? 1 : 0);
    return ez_handle_provider_groups_update(a->import->routing, a->call, a->txn, &update);
}

// ---- Its API keys

typedef struct named {
    const char *name;
    int64_t id;
} named;

typedef struct named_list {
    named *items; // sorted by name
    size_t count;
} named_list;

static int by_name(const void *a, const void *b) {
    return strcmp(((const named *)a)->name, ((const named *)b)->name);
}

// The API keys the group has before any of the row's come in.
static ez_status list_api_keys(ez_applying *a, int64_t group_id, named_list *out) {
    ez_index_key key = ez_index_id(group_id);
    size_t room = ez_txn_member_count(a->txn, EZ_INDEX_API_KEY_BY_GROUP, key);
    int64_t after = 0;
    const ez_entry *entry;
    out->items = ez_arena_alloc(&a->call->arena, (room + 1) * sizeof *out->items);
    if (out->items == NULL) {
        return no_memory(a);
    }
    while (out->count < room && (entry = ez_txn_member(a->txn, EZ_INDEX_API_KEY_BY_GROUP, key, after)) != NULL) {
        const Ez__V1__ApiKey *met = (const Ez__V1__ApiKey *)ez_entry_unpack(entry, &a->call->arena);
        if (met == NULL) {
            return no_memory(a);
        }
        after = ez_entry_id(entry);
        out->items[out->count++] = (named){met->name, after};
    }
    qsort(out->items, out->count, sizeof *out->items, by_name);
    return EZ_OK;
}

static ez_status apply_api_key(ez_applying *a, int64_t group_id, const named_list *list, Ez__V1__ApiKey *key) {
    const named wanted = {.name = key->name};
    const named *met = list->count > 0 ? bsearch(&wanted, list->items, list->count, sizeof wanted, by_name) : NULL;
    Ez__V1__ApiKey copy = *key;
    copy.group_id = group_id;
    if (met == NULL) {
        Ez__V1__CreateApiKeyRequest create = EZ__V1__CREATE_API_KEY_REQUEST__INIT;
        create.api_key = &copy;
        return ez_handle_api_keys_create(a->import->routing, a->call, a->txn, &create);
    }
    static const char *const mask[] = {"api_key", "weight", "status", "auto_ban", "labels"};
    Ez__V1__UpdateApiKeyRequest update = EZ__V1__UPDATE_API_KEY_REQUEST__INIT;
    update.id = met->id;
    update.api_key = &copy;
    update.update_mask = (char **)(uintptr_t)mask;
    update.n_update_mask = sizeof mask / sizeof mask[0];
    return ez_handle_api_keys_update(a->import->routing, a->call, a->txn, &update);
}

static ez_status check_provider(ez_applying *a, Ez__V1__ImportProvider *row) {
    if (row->provider_group == NULL) {
        return ez_call_fail(a->call, EZ_INVALID_ARGUMENT, "ROW_EMPTY", "this row has no provider group");
    }
    ez_status status = ez_apply_check(a, &row->provider_group->base);
    for (size_t i = 0; status == EZ_OK && i < row->n_api_keys; i++) {
        // The group's id is known once it is made: any will do for the check.
        row->api_keys[i]->group_id = row->api_keys[i]->group_id > 0 ? row->api_keys[i]->group_id : 1;
        status = ez_apply_check(a, &row->api_keys[i]->base);
    }
    return status;
}

ez_status ez_apply_provider(ez_applying *a, Ez__V1__ImportProvider *row) {
    ez_status status = check_provider(a, row);
    if (status != EZ_OK) {
        return status;
    }
    named_list list = {0};
    const ez_entry *met = ez_txn_find(a->txn, EZ_INDEX_PROVIDER_GROUP_NAME, ez_index_text(row->provider_group->name));
    if (met == NULL) {
        status = create_group(a, row->provider_group);
    } else {
        ez_apply_met(a, met);
        if (!a->overwrite) {
            return EZ_OK;
        }
        status = overwrite_group(a, met, row->provider_group);
        status = status != EZ_OK ? status : list_api_keys(a, a->result->id, &list);
    }
    for (size_t i = 0; status == EZ_OK && i < row->n_api_keys; i++) {
        status = apply_api_key(a, a->result->id, &list, row->api_keys[i]);
    }
    return status;
}

// ---- Bindings

static ez_status overwrite_binding(ez_applying *a, int64_t id, Ez__V1__Binding *binding) {
    static const char *const mask[] = {"status", "labels"};
    Ez__V1__UpdateBindingRequest update = EZ__V1__UPDATE_BINDING_REQUEST__INIT;
    update.id = id;
    update.binding = binding;
    update.update_mask = (char **)(uintptr_t)mask;
    update.n_update_mask = sizeof mask / sizeof mask[0];
    return ez_handle_bindings_update(a->import->routing, a->call, a->txn, &update);
}

ez_status ez_apply_binding(ez_applying *a, Ez__V1__ImportBinding *row) {
    const ez_entry *group = ez_txn_find(a->txn, EZ_INDEX_PROVIDER_GROUP_NAME, ez_index_text(row->group_name));
    if (group == NULL || row->binding == NULL) {
        return ez_call_fail(a->call, EZ_FAILED_PRECONDITION, "PROVIDER_GROUP_NOT_FOUND",
                            "there is no provider group \"%s\"", row->group_name);
    }
    Ez__V1__Binding binding = *row->binding;
    binding.group_id = ez_entry_id(group);
    ez_status status = ez_apply_check(a, &binding.base);
    if (status != EZ_OK) {
        return status;
    }
    const ez_entry *met =
        ez_txn_find(a->txn, EZ_INDEX_BINDING_IDENTITY,
                    ez_index_binding(binding.namespace_, binding.public_model, binding.group_id, &a->call->arena));
    if (met != NULL) {
        ez_apply_met(a, met);
        return a->overwrite ? overwrite_binding(a, ez_entry_id(met), &binding) : EZ_OK;
    }
    Ez__V1__CreateBindingRequest create = EZ__V1__CREATE_BINDING_REQUEST__INIT;
    create.binding = &binding;
    status = ez_handle_bindings_create(a->import->routing, a->call, a->txn, &create);
    return status != EZ_OK ? status : ez_apply_created(a);
}
