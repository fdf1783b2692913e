// SPDX-License-Identifier: Apache-2.0
//
// Provider groups with their API keys, and bindings.
//
// The awkward case: a group of a type that needs a base URL, without one. An admin's call is refused; an import brings
// it in disabled, so that nothing of the source is lost and nothing is sent anywhere. It is made with a base URL nobody
// can reach (RFC 2606) and loses it in the same transaction.
#include <string.h>

#include "server/domain/import/apply.h"

#define NOWHERE "https://invalid.invalid"

static ez_status drop_base_url(ez_applying *a, int64_t id) {
    ProtobufCMessage *message;
    ez_status status = ez_txn_load(a->txn, KIND_PROVIDER_GROUP, id, &message, &a->call->error);
    if (status != EZ_OK) {
        return status;
    }
    ((Ez__V1__ProviderGroup *)message)->base_url = (char *)protobuf_c_empty_string;
    return ez_txn_put(a->txn, KIND_PROVIDER_GROUP, message, &a->call->error);
}

static ez_status create_group(ez_applying *a, Ez__V1__ProviderGroup *group) {
    bool is_nowhere = strcmp(group->type, "compatible") == 0 && group->base_url[0] == '\0';
    Ez__V1__CreateProviderGroupRequest create = EZ__V1__CREATE_PROVIDER_GROUP_REQUEST__INIT;
    create.provider_group = group;
    if (is_nowhere) {
        group->base_url = (char *)NOWHERE;
        group->status = EZ__V1__PROVIDER_GROUP_STATUS__PROVIDER_GROUP_STATUS_DISABLED;
    }
    ez_status status = ez_handle_provider_groups_create(a->import->routing, a->call, a->txn, &create);
    if (status != EZ_OK) {
        return status;
    }
    (void)ez_apply_created(a);
    return is_nowhere ? drop_base_url(a, a->result->id) : EZ_OK;
}

static ez_status overwrite_group(ez_applying *a, int64_t id, Ez__V1__ProviderGroup *group) {
    // The base URL is last: it stays where the file has none.
    static const char *const mask[] = {"type", "models", "status", "labels", "base_url"};
    Ez__V1__UpdateProviderGroupRequest update = EZ__V1__UPDATE_PROVIDER_GROUP_REQUEST__INIT;
    update.id = id;
    update.provider_group = group;
    update.update_mask = (char **)(uintptr_t)mask;
    update.n_update_mask = sizeof mask / sizeof mask[0] - (group->base_url[0] == '\0' ? 1 : 0);
    return ez_handle_provider_groups_update(a->import->routing, a->call, a->txn, &update);
}

// The group's API key with this name; NULL: none.
static const ez_entry *find_api_key(ez_applying *a, int64_t group_id, const char *name) {
    int64_t after = 0;
    const ez_entry *entry;
    while ((entry = ez_txn_member(a->txn, EZ_INDEX_API_KEY_BY_GROUP, ez_index_id(group_id), after)) != NULL) {
        const Ez__V1__ApiKey *key = (const Ez__V1__ApiKey *)ez_entry_unpack(entry, &a->call->arena);
        if (key != NULL && strcmp(key->name, name) == 0) {
            return entry;
        }
        after = ez_entry_id(entry);
    }
    return NULL;
}

static ez_status apply_api_key(ez_applying *a, int64_t group_id, Ez__V1__ApiKey *key, bool is_new_group) {
    const ez_entry *met = is_new_group ? NULL : find_api_key(a, group_id, key->name);
    key->group_id = group_id;
    if (met == NULL) {
        Ez__V1__CreateApiKeyRequest create = EZ__V1__CREATE_API_KEY_REQUEST__INIT;
        create.api_key = key;
        return ez_handle_api_keys_create(a->import->routing, a->call, a->txn, &create);
    }
    static const char *const mask[] = {"api_key", "weight", "status", "auto_ban", "labels"};
    Ez__V1__UpdateApiKeyRequest update = EZ__V1__UPDATE_API_KEY_REQUEST__INIT;
    update.id = ez_entry_id(met);
    update.api_key = key;
    update.update_mask = (char **)(uintptr_t)mask;
    update.n_update_mask = sizeof mask / sizeof mask[0];
    return ez_handle_api_keys_update(a->import->routing, a->call, a->txn, &update);
}

ez_status ez_apply_provider(ez_applying *a, Ez__V1__ImportProvider *row) {
    if (row->provider_group == NULL) {
        return ez_call_fail(a->call, EZ_INVALID_ARGUMENT, "ROW_EMPTY", "this row has no provider group");
    }
    const ez_entry *met = ez_txn_find(a->txn, EZ_INDEX_PROVIDER_GROUP_NAME, ez_index_text(row->provider_group->name));
    ez_status status;
    if (met == NULL) {
        status = create_group(a, row->provider_group);
    } else {
        ez_apply_met(a, met);
        if (!a->overwrite) {
            return EZ_OK;
        }
        status = overwrite_group(a, ez_entry_id(met), row->provider_group);
    }
    for (size_t i = 0; status == EZ_OK && i < row->n_api_keys; i++) {
        status = apply_api_key(a, a->result->id, row->api_keys[i], met == NULL);
    }
    return status;
}

ez_status ez_apply_binding(ez_applying *a, Ez__V1__ImportBinding *row) {
    const ez_entry *group = ez_txn_find(a->txn, EZ_INDEX_PROVIDER_GROUP_NAME, ez_index_text(row->group_name));
    Ez__V1__Binding *binding = row->binding;
    if (group == NULL || binding == NULL) {
        return ez_call_fail(a->call, EZ_FAILED_PRECONDITION, "PROVIDER_GROUP_NOT_FOUND",
                            "there is no provider group \"%s\"", row->group_name);
    }
    binding->group_id = ez_entry_id(group);
    const ez_entry *met =
        ez_txn_find(a->txn, EZ_INDEX_BINDING_IDENTITY,
                    ez_index_binding(binding->namespace_, binding->public_model, binding->group_id, &a->call->arena));
    if (met == NULL) {
        Ez__V1__CreateBindingRequest create = EZ__V1__CREATE_BINDING_REQUEST__INIT;
        create.binding = binding;
        ez_status status = ez_handle_bindings_create(a->import->routing, a->call, a->txn, &create);
        return status != EZ_OK ? status : ez_apply_created(a);
    }
    ez_apply_met(a, met);
    if (!a->overwrite) {
        return EZ_OK;
    }
    static const char *const mask[] = {"status", "labels"};
    Ez__V1__UpdateBindingRequest update = EZ__V1__UPDATE_BINDING_REQUEST__INIT;
    update.id = ez_entry_id(met);
    update.binding = binding;
    update.update_mask = (char **)(uintptr_t)mask;
    update.n_update_mask = sizeof mask / sizeof mask[0];
    return ez_handle_bindings_update(a->import->routing, a->call, a->txn, &update);
}
