// SPDX-License-Identifier: Apache-2.0
//
// Provider groups: upstream configuration that API keys share. A change recompiles the group's bindings in the same
// revision. How many API keys it has is counted when it is read, never stored. A group that API keys or bindings point
// to is deleted only where cascade says so, and takes them with it.
#include <string.h>
#include <strings.h>

#include "proto/runtime/wire.h"
#include "server/domain/routing/compile.h"
#include "server/domain/routing/counted.h"
#include "server/domain/routing/inside.h"
#include "server/domain/routing/provider_type.h"
#include "server/domain/routing/upstream.h"

enum { F_NAME = 2, F_TYPE = 3, F_STATUS = 10, F_KEY_COUNT = 16, NAME_OF_POINTER = 3 };

// ---- Rules

static int by_text(const void *a, const void *b) {
    char **const *left = a, **const *right = b;
    int order = strcmp(**left, **right);
    if (order != 0)
        return order;
    return *left < *right ? -1 : 1; // the first of equals stays
}

// Keeps the first of each, in order. Sorts pointers to the places, for a group may have 10,000.
static ez_status drop_repeats(ez_txn *txn, Ez__V1__ProviderGroup *group, ez_error *error) {
    size_t count = group->n_models;
    if (count < 2)
        return EZ_OK;
    char ***places = ez_arena_alloc(ez_txn_arena(txn), count * sizeof *places);
    char **models = ez_arena_memdup(ez_txn_arena(txn), group->models, count * sizeof *models);
    if (!places || !models)
        return ez_no_memory(error);
    group->models = models; // the old array is the request's, which the audit shows
    for (size_t i = 0; i < count; i++)
        places[i] = &group->models[i];
    qsort(places, count, sizeof *places, by_text);
    char *last = *places[0];
    for (size_t i = 1; i < count; i++) {
        if (strcmp(*places[i], last) == 0)
            *places[i] = NULL;
        else
            last = *places[i];
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (group->models[i])
            group->models[kept++] = group->models[i];
    group->n_models = kept;
    return EZ_OK;
}

static ez_status check_headers(const Ez__V1__ProviderGroup *group, ez_error *error) {
    for (size_t i = 0; i < group->n_static_headers; i++) {
        const char *name = group->static_headers[i]->key;
        ez_status status = ez_upstream_check_header(name, group->static_headers[i]->value, error);
        if (status != EZ_OK)
            return status;
        for (size_t j = 0; j < i; j++)
            if (strcasecmp(group->static_headers[j]->key, name) == 0)
                return ez_error_set(error, EZ_INVALID_ARGUMENT, "HEADER_REFUSED",
                                    "static_headers: %.100s is there twice; letter case does not tell headers apart",
                                    name);
    }
    return EZ_OK;
}

// An imported group may lack the base URL that its type needs: it came in disabled, and is changed but not enabled.
static ez_status check_group(ez_txn *txn, Ez__V1__ProviderGroup *group, bool is_new, ez_error *error) {
    const ez_provider_type *type = ez_provider_type_find(group->type);
    if (!type)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "PROVIDER_TYPE_UNKNOWN",
                            "type \"%.40s\" is not known: use compatible for what speaks OpenAI's protocol",
                            group->type);
    if (type->needs_base_url && !group->base_url[0] && (is_new || group->status != GROUP_DISABLED))
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "BASE_URL_REQUIRED", "type %s needs a base_url", type->word);
    if (type->is_vertex && !group->google_location[0])
        group->google_location = (char *)"global";
    ez_status status = group->base_url[0] ? ez_upstream_check_url(group->base_url, error) : EZ_OK;
    if (status == EZ_OK)
        status = check_headers(group, error);
    return status == EZ_OK ? drop_repeats(txn, group, error) : status;
}

ez_status ez_group_make(ez_txn *txn, Ez__V1__ProviderGroup *group, ez_error *error) {
    ez_status status = ez_txn_fill(txn, KIND_PROVIDER_GROUP, &group->base, error);
    if (status == EZ_OK)
        status = check_group(txn, group, true, error);
    if (status != EZ_OK)
        return status;
    group->id = 0;
    return ez_txn_put(txn, KIND_PROVIDER_GROUP, &group->base, error);
}

Ez__V1__ProviderGroup ez_group_shown(ez_txn *txn, const Ez__V1__ProviderGroup *group) {
    Ez__V1__ProviderGroup shown = *group;
    shown.key_count = (int64_t)ez_txn_member_count(txn, EZ_INDEX_API_KEY_BY_GROUP, ez_index_id(group->id));
    return shown;
}

// ---- Handlers

ez_status ez_handle_provider_groups_create(ez_routing *self, ez_call *call, ez_txn *txn,
                                           Ez__V1__CreateProviderGroupRequest *request) {
    (void)self;
    Ez__V1__ProviderGroup group = *request->provider_group;
    ez_status status = ez_group_make(txn, &group, &call->error);
    return status == EZ_OK ? ez_call_reply(call, &group.base) : status;
}

static ez_status show(const ez_routing *routing, const ez_entry *entry, ez_buf *out) {
    ez_slice data = ez_entry_data(entry);
    int64_t id = ez_entry_id(entry);
    size_t count = ez_directory_member_count(routing->directory, EZ_INDEX_API_KEY_BY_GROUP, ez_index_id(id));
    ez_status status = ez_buf_append(out, data.data, data.len);
    if (status == EZ_OK && count > 0)
        status = ez_wire_put_varint(out, F_KEY_COUNT, count);
    return status == EZ_OK ? ez_counted_put_group(routing->counters, id, out) : status;
}

static ez_status reply_group(const ez_routing *routing, ez_call *call, int64_t id) {
    const ez_entry *entry = ez_directory_get(routing->directory, KIND_PROVIDER_GROUP, id);
    if (!entry)
        return ez_kind_missing(KIND_PROVIDER_GROUP, id, &call->error);
    ez_auto(ez_buf) bytes;
    ez_buf_init(&bytes, EZ_CALL_MAX);
    if (show(routing, entry, &bytes) != EZ_OK)
        return ez_no_memory(&call->error);
    return ez_call_reply_bytes(call, bytes.data, bytes.len);
}

ez_status ez_handle_provider_groups_get(ez_routing *self, ez_call *call, Ez__V1__GetProviderGroupRequest *request) {
    ez_directory_enter();
    ez_status status = reply_group(self, call, request->id);
    ez_directory_leave();
    return status;
}

typedef struct list_view {
    const ez_routing *routing;
    const Ez__V1__ListProviderGroupsRequest *request;
} list_view;

static bool accept_group(void *user, const ez_entry *entry) {
    const Ez__V1__ListProviderGroupsRequest *request = ((const list_view *)user)->request;
    ez_slice data = ez_entry_data(entry);
    ez_wire_field field;
    if (request->status &&
        !(ez_wire_find(data.data, data.len, F_STATUS, &field) && field.varint == (uint64_t)request->status))
        return false;
    if (!request->type[0])
        return true;
    return ez_wire_find(data.data, data.len, F_TYPE, &field) && field.bytes.len == strlen(request->type) &&
           memcmp(field.bytes.data, request->type, field.bytes.len) == 0;
}

static ez_status show_group(void *user, const ez_entry *entry, ez_call *call, ez_buf *out) {
    (void)call;
    return show(((const list_view *)user)->routing, entry, out);
}

ez_status ez_handle_provider_groups_list(ez_routing *self, ez_call *call, Ez__V1__ListProviderGroupsRequest *request) {
    list_view view = {self, request};
    ez_page page = {.kind = KIND_PROVIDER_GROUP,
                    .page_size = request->page_size,
                    .page_token = request->page_token,
                    .order_by = request->order_by,
                    .with_total = request->with_total,
                    .q = request->q,
                    .q_field = F_NAME,
                    .accept = request->status || request->type[0] ? accept_group : NULL,
                    .show = show_group,
                    .user = &view};
    ez_directory_enter();
    ez_status status = ez_page_reply(self->directory, &page, call);
    ez_directory_leave();
    return status;
}

ez_status ez_handle_provider_groups_update(ez_routing *self, ez_call *call, ez_txn *txn,
                                           Ez__V1__UpdateProviderGroupRequest *request) {
    ez_error *error = &call->error;
    ProtobufCMessage *loaded;
    ez_status status = ez_txn_load(txn, KIND_PROVIDER_GROUP, request->id, &loaded, error);
    if (status != EZ_OK)
        return status;
    Ez__V1__ProviderGroup *group = (Ez__V1__ProviderGroup *)loaded;
    status = ez_txn_merge(txn, KIND_PROVIDER_GROUP, loaded, &request->provider_group->base, request->n_update_mask,
                          request->update_mask, error);
    if (status == EZ_OK)
        status = check_group(txn, group, false, error);
    if (status == EZ_OK)
        status = ez_txn_put_changed(txn, KIND_PROVIDER_GROUP, request->id, loaded, error);
    if (status == EZ_OK)
        status = ez_compile_group(txn, request->id, error);
    if (status != EZ_OK)
        return status;
    Ez__V1__ProviderGroup shown = ez_group_shown(txn, group);
    ez_counted_fill_group(self->counters, &shown);
    return ez_call_reply(call, &shown.base);
}

// ---- Deletion

static void add_pointers(ez_txn *txn, ez_index index, int64_t group_id, size_t count, ez_few *few) {
    int64_t id = 0;
    for (const ez_entry *entry; few->count < EZ_FEW_MAX; id = ez_entry_id(entry)) {
        entry = ez_txn_member(txn, index, ez_index_id(group_id), id);
        if (!entry)
            break;
        ez_slice data = ez_entry_data(entry); // an API key's name and a binding's public model have the same number
        ez_wire_field name = {.number = 0};
        ez_wire_find(data.data, data.len, NAME_OF_POINTER, &name);
        ez_few_add(few, ez_entry_id(entry), (const char *)name.bytes.data, name.bytes.len);
    }
    few->count = count;
}

static ez_status refuse_in_use(ez_txn *txn, const Ez__V1__ProviderGroup *group, size_t keys, size_t bindings,
                               ez_error *error) {
    ez_few key_few = {0}, binding_few = {0};
    add_pointers(txn, EZ_INDEX_API_KEY_BY_GROUP, group->id, keys, &key_few);
    add_pointers(txn, EZ_INDEX_BINDING_BY_GROUP, group->id, bindings, &binding_few);
    return ez_error_set(error, EZ_FAILED_PRECONDITION, "PROVIDER_GROUP_IN_USE",
                        "provider group %lld (%.64s) has %zu API keys%s%.160s and %zu bindings%s%.160s; delete them "
                        "first, or set cascade",
                        (long long)group->id, group->name, keys, keys ? ": " : "", ez_few_text(&key_few), bindings,
                        bindings ? ": " : "", ez_few_text(&binding_few));
}

static ez_status delete_pointers(ez_txn *txn, ez_index index, int kind, int64_t group_id, ez_error *error) {
    const ez_entry *entry;
    while ((entry = ez_txn_member(txn, index, ez_index_id(group_id), 0))) {
        ez_status status = ez_txn_delete(txn, kind, ez_entry_id(entry), error);
        if (status != EZ_OK)
            return status;
    }
    return EZ_OK;
}

ez_status ez_handle_provider_groups_delete(ez_routing *self, ez_call *call, ez_txn *txn,
                                           Ez__V1__DeleteProviderGroupRequest *request) {
    (void)self;
    static const Ez__V1__Empty nothing = EZ__V1__EMPTY__INIT;
    ez_error *error = &call->error;
    int64_t id = request->id;
    ProtobufCMessage *loaded;
    ez_status status = ez_txn_load(txn, KIND_PROVIDER_GROUP, id, &loaded, error);
    if (status != EZ_OK)
        return status;
    size_t keys = ez_txn_member_count(txn, EZ_INDEX_API_KEY_BY_GROUP, ez_index_id(id));
    size_t bindings = ez_txn_member_count(txn, EZ_INDEX_BINDING_BY_GROUP, ez_index_id(id));
    if ((keys > 0 || bindings > 0) && !request->cascade)
        return refuse_in_use(txn, (const Ez__V1__ProviderGroup *)loaded, keys, bindings, error);
    ez_txn_subject(txn, KIND_PROVIDER_GROUP, id);
    status = delete_pointers(txn, EZ_INDEX_BINDING_BY_GROUP, KIND_BINDING, id, error);
    if (status == EZ_OK)
        status = delete_pointers(txn, EZ_INDEX_API_KEY_BY_GROUP, KIND_API_KEY, id, error);
    if (status == EZ_OK)
        status = ez_txn_delete(txn, KIND_PROVIDER_GROUP, id, error);
    return status == EZ_OK ? ez_call_reply(call, &nothing.base) : status;
}
