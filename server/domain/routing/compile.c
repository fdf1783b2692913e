// SPDX-License-Identifier: Apache-2.0
//
// A group is read from its packed bytes once: its name, status and up to 10,000 models as slices, no copies. Bindings
// are unpacked one by one into a scratch arena and put only where their result differs, so that touching a group makes
// no changes beyond those a data plane has to know of. The awkward case: an expression that hits its bound is a
// config_error like a selector that hits nothing; what fails here is memory only.
#include "server/domain/routing/compile.h"

#include <string.h>

#include "proto/runtime/utf8.h"
#include "proto/runtime/wire.h"
#include "server/domain/routing/inside.h"
#include "server/domain/routing/selector.h"

enum { GROUP_NAME = 2, GROUP_MODELS = 7, GROUP_STATUS = 10 };

#define DETAIL_MAX  512
#define SCRATCH_MAX (1u << 20) // of one binding
#define ERROR_NONE  EZ__V1__BINDING_ERROR__BINDING_ERROR_NONE
#define NO_PROVIDER EZ__V1__BINDING_ERROR__BINDING_ERROR_NO_PROVIDER
#define CONFIG      EZ__V1__BINDING_ERROR__BINDING_ERROR_CONFIG_ERROR

typedef struct group_view {
    int64_t id;
    ez_slice name;
    bool is_disabled;
    bool has_key;
    ez_slice *models; // malloc
    size_t model_count;
} group_view;

static void group_view_fini(group_view *view) {
    free(view->models);
}

static ez_status grow(group_view *view, size_t *room) {
    if (view->model_count < *room)
        return EZ_OK;
    size_t more = *room ? *room * 2 : 64; // the entry's size bounds it
    ez_slice *models = realloc(view->models, more * sizeof *models);
    if (!models)
        return EZ_RESOURCE_EXHAUSTED;
    view->models = models;
    *room = more;
    return EZ_OK;
}

// On failure too, view is to be ended.
static ez_status group_view_init(group_view *view, ez_txn *txn, int64_t id, ez_error *error) {
    *view = (group_view){.id = id};
    const ez_entry *entry = ez_txn_get(txn, KIND_PROVIDER_GROUP, id);
    if (!entry)
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "GROUP_UNKNOWN",
                            "there is no provider group %lld: create it first", (long long)id);
    ez_slice data = ez_entry_data(entry);
    size_t at = 0, room = 0;
    ez_wire_field field;
    while (ez_wire_next(data.data, data.len, &at, &field)) {
        if (field.number == GROUP_NAME)
            view->name = field.bytes;
        else if (field.number == GROUP_STATUS)
            view->is_disabled = field.varint == GROUP_DISABLED;
        else if (field.number == GROUP_MODELS) {
            if (grow(view, &room) != EZ_OK)
                return ez_no_memory(error);
            view->models[view->model_count++] = field.bytes;
        }
    }
    view->has_key = ez_compile_has_key(txn, id, 0);
    return EZ_OK;
}

bool ez_compile_has_key(ez_txn *txn, int64_t group_id, int64_t except) {
    int64_t id = 0;
    for (const ez_entry *entry; (entry = ez_txn_member(txn, EZ_INDEX_API_KEY_BY_GROUP, ez_index_id(group_id), id));) {
        id = ez_entry_id(entry);
        if (id != except && ez_api_key_stored_status(entry) == API_KEY_ACTIVE)
            return true;
    }
    return false;
}

// ---- One binding against one group

static ez_status set_error(Ez__V1__Binding *binding, Ez__V1__BindingError why, char *detail) {
    if (!detail)
        return EZ_RESOURCE_EXHAUSTED;
    detail[ez_utf8_cut(detail, strlen(detail), DETAIL_MAX)] = 0;
    binding->upstream_model = (char *)"";
    binding->error = why;
    binding->error_detail = detail;
    return EZ_OK;
}

static const char *selector_words(Ez__V1__SelectorType type) {
    switch (type) {
    case EZ__V1__SELECTOR_TYPE__SELECTOR_TYPE_REGEX:
        return "matches the expression";
    case EZ__V1__SELECTOR_TYPE__SELECTOR_TYPE_NORMALIZE_EXACT:
        return "is, normalised,";
    default:
        return "is";
    }
}

static ez_status set_no_hit(Ez__V1__Binding *binding, const group_view *view, ez_arena *arena) {
    return set_error(binding, CONFIG,
                     ez_arena_printf(arena, "none of the %zu models of provider group %lld (%.*s) %s \"%s\"",
                                     view->model_count, (long long)view->id, (int)view->name.len,
                                     (const char *)view->name.data, selector_words(binding->selector_type),
                                     binding->selector_value));
}

static ez_status set_many_hits(Ez__V1__Binding *binding, const group_view *view, ez_few *hits, ez_arena *arena) {
    return set_error(binding, CONFIG,
                     ez_arena_printf(arena, "\"%.200s\" hits %zu models of provider group %lld: %s; it must hit one",
                                     binding->selector_value, hits->count, (long long)view->id, ez_few_text(hits)));
}

static ez_status set_no_provider(Ez__V1__Binding *binding, const group_view *view, ez_arena *arena) {
    return set_error(binding, NO_PROVIDER,
                     ez_arena_printf(arena, "provider group %lld (%.*s) %s", (long long)view->id, (int)view->name.len,
                                     (const char *)view->name.data,
                                     view->is_disabled ? "is disabled" : "has no API key in service"));
}

// Fills hits, and *hit with the first one.
static ez_status find_hits(ez_selector *selector, const group_view *view, ez_few *hits, ez_slice *hit,
                           ez_error *error) {
    for (size_t i = 0; i < view->model_count; i++) {
        bool is_hit;
        const ez_slice *model = &view->models[i];
        ez_status status = ez_selector_hit(selector, (const char *)model->data, model->len, &is_hit, error);
        if (status != EZ_OK)
            return status;
        if (!is_hit)
            continue;
        if (hits->count == 0)
            *hit = *model;
        ez_few_add(hits, 0, (const char *)model->data, model->len);
    }
    return EZ_OK;
}

static ez_status compile_for(const group_view *view, Ez__V1__Binding *binding, ez_arena *arena) {
    if (view->is_disabled || !view->has_key)
        return set_no_provider(binding, view, arena);
    ez_error why = EZ_ERROR_INIT;
    ez_selector *selector;
    ez_status status = ez_selector_open(binding->selector_type, binding->selector_value, &selector, &why);
    if (status != EZ_OK)
        return set_error(binding, CONFIG, ez_arena_strdup(arena, why.message));
    ez_few hits = {0};
    ez_slice hit = {NULL, 0};
    status = find_hits(selector, view, &hits, &hit, &why);
    ez_selector_close(selector);
    if (status != EZ_OK)
        return set_error(binding, CONFIG, ez_arena_strdup(arena, why.message));
    if (hits.count == 0)
        return set_no_hit(binding, view, arena);
    if (hits.count > 1)
        return set_many_hits(binding, view, &hits, arena);
    binding->upstream_model = ez_arena_strndup(arena, (const char *)hit.data, hit.len);
    binding->error = ERROR_NONE;
    binding->error_detail = (char *)"";
    return binding->upstream_model ? EZ_OK : EZ_RESOURCE_EXHAUSTED;
}

ez_status ez_compile_binding(ez_txn *txn, Ez__V1__Binding *binding, ez_error *error) {
    ez_auto(group_view) view;
    ez_status status = group_view_init(&view, txn, binding->group_id, error);
    if (status == EZ_OK && compile_for(&view, binding, ez_txn_arena(txn)) != EZ_OK)
        return ez_no_memory(error);
    return status;
}

// ---- All of a group's

static ez_status compile_again(ez_txn *txn, const group_view *view, const ez_entry *entry, ez_arena *scratch,
                               ez_error *error) {
    ez_arena_reset(scratch);
    Ez__V1__Binding *binding = (Ez__V1__Binding *)ez_entry_unpack(entry, scratch);
    if (!binding)
        return ez_no_memory(error);
    const Ez__V1__Binding before = *binding;
    if (compile_for(view, binding, scratch) != EZ_OK)
        return ez_no_memory(error);
    if (binding->error == before.error && strcmp(binding->upstream_model, before.upstream_model) == 0 &&
        strcmp(binding->error_detail, before.error_detail) == 0)
        return EZ_OK;
    return ez_txn_put(txn, KIND_BINDING, &binding->base, error);
}

ez_status ez_compile_group(ez_txn *txn, int64_t group_id, ez_error *error) {
    ez_index_key key = ez_index_id(group_id);
    if (ez_txn_member_count(txn, EZ_INDEX_BINDING_BY_GROUP, key) == 0)
        return EZ_OK;
    ez_auto(group_view) view;
    ez_status status = group_view_init(&view, txn, group_id, error);
    if (status != EZ_OK)
        return status;
    ez_auto(ez_arena) scratch;
    ez_arena_init(&scratch, SCRATCH_MAX);
    int64_t id = 0;
    for (const ez_entry *entry; status == EZ_OK;) {
        entry = ez_txn_member(txn, EZ_INDEX_BINDING_BY_GROUP, key, id);
        if (!entry)
            break;
        id = ez_entry_id(entry);
        status = ez_txn_check_deadline(txn, error);
        if (status == EZ_OK)
            status = compile_again(txn, &view, entry, &scratch, error);
    }
    return status;
}
