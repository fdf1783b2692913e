// SPDX-License-Identifier: Apache-2.0
//
// config:bindings: one document for all bindings of a public model, a candidate for each. An upstream is an API key in
// service: a data plane takes one of them at random by weight and looks it up in config:providers.
#include "ez/v1/binding.pb-c.h"
#include "ez/v1/namespace.pb-c.h"
#include "proto/runtime/wire.h"
#include "server/domain/redis/json_out.h"
#include "server/domain/redis/snapshot.h"
#include "server/domain/redis/words.h"

enum { NAMESPACE_STATUS = 4 };

static const char *selector_word(int type) {
    switch (type) {
    case EZ__V1__SELECTOR_TYPE__SELECTOR_TYPE_REGEX:
        return "regex";
    case EZ__V1__SELECTOR_TYPE__SELECTOR_TYPE_NORMALIZE_EXACT:
        return "normalize_exact";
    default:
        return "exact";
    }
}

static const char *error_word(int error) {
    switch (error) {
    case EZ__V1__BINDING_ERROR__BINDING_ERROR_CONFIG_ERROR:
        return "config_error";
    case EZ__V1__BINDING_ERROR__BINDING_ERROR_NO_PROVIDER:
        return "no_provider";
    default:
        return "";
    }
}

static bool is_disabled(const Ez__V1__Binding *binding) {
    return binding->status == EZ__V1__BINDING_STATUS__BINDING_STATUS_DISABLED;
}

static void put_upstreams(const ez_directory *directory, const Ez__V1__Binding *binding, ez_buf *out) {
    json_name(out, "upstreams");
    ez_buf_putc(out, '{');
    bool is_first = true;
    int64_t id = 0;
    for (const ez_entry *entry; binding->error == EZ__V1__BINDING_ERROR__BINDING_ERROR_NONE;) {
        entry = ez_directory_member(directory, EZ_INDEX_API_KEY_BY_GROUP, ez_index_id(binding->group_id), id, false);
        if (!entry)
            break;
        id = ez_entry_id(entry);
        if (!ez_snapshot_in_service(ez_entry_data(entry)))
            continue;
        ez_buf_printf(out, "%s\"%" PRId64 "\":", is_first ? "" : ",", id);
        ez_json_write_string(binding->upstream_model, strlen(binding->upstream_model), out);
        is_first = false;
    }
    ez_buf_putc(out, '}');
}

static ez_status put_candidate(const ez_directory *directory, const Ez__V1__Binding *binding, ez_arena *arena,
                               ez_buf *out) {
    const ez_entry *entry = ez_directory_get(directory, EZ__V1__KIND__KIND_PROVIDER_GROUP, binding->group_id);
    const Ez__V1__ProviderGroup *group = entry ? (const Ez__V1__ProviderGroup *)ez_entry_unpack(entry, arena) : NULL;
    if (entry && !group)
        return EZ_RESOURCE_EXHAUSTED;
    ez_buf_putc(out, '{');
    json_int(out, "group_id", binding->group_id);
    json_text(out, "route_group", group ? ez_word_route_group(group) : "default");
    json_int_unless_zero(out, "weight", binding->weight);
    json_text(out, "selector_type", selector_word((int)binding->selector_type));
    json_text_unless_empty(out, "selector_value", binding->selector_value);
    json_text(out, "status", is_disabled(binding) ? "disabled" : "active");
    json_text_unless_empty(out, "error", error_word((int)binding->error));
    put_upstreams(directory, binding, out);
    return ez_buf_putc(out, '}');
}

static bool is_namespace_disabled(const ez_directory *directory, const char *name) {
    const ez_entry *entry = ez_directory_find(directory, EZ_INDEX_NAMESPACE_NAME, ez_index_text(name));
    ez_slice data = entry ? ez_entry_data(entry) : (ez_slice){NULL, 0};
    ez_wire_field status;
    return entry && ez_wire_find(data.data, data.len, NAMESPACE_STATUS, &status) &&
           status.varint == EZ__V1__NAMESPACE_STATUS__NAMESPACE_STATUS_DISABLED;
}

// What stands before the candidates: whether any of them may serve, and when one changed last.
static ez_status look_at_all(const ez_directory *directory, ez_index_key key, ez_arena *arena, bool *is_active,
                             int64_t *updated_s) {
    int64_t id = 0;
    for (const ez_entry *entry; (entry = ez_directory_member(directory, EZ_INDEX_BINDING_BY_MODEL, key, id, false));) {
        id = ez_entry_id(entry);
        const Ez__V1__Binding *binding = (const Ez__V1__Binding *)ez_entry_unpack(entry, arena);
        if (!binding)
            return EZ_RESOURCE_EXHAUSTED;
        *is_active = *is_active || !is_disabled(binding);
        int64_t seconds = binding->updated_at ? binding->updated_at->seconds : 0;
        *updated_s = seconds > *updated_s ? seconds : *updated_s;
    }
    return EZ_OK;
}

ez_status ez_snapshot_binding(const ez_directory *directory, const char *name_space, const char *model, ez_arena *arena,
                              ez_buf *out, bool *found) {
    ez_index_key key = ez_index_model(name_space, model, arena);
    if (!key.data)
        return EZ_RESOURCE_EXHAUSTED;
    *found = ez_directory_member(directory, EZ_INDEX_BINDING_BY_MODEL, key, 0, false) != NULL;
    if (!*found)
        return EZ_OK;
    bool is_active = false;
    int64_t updated_s = 0, id = 0;
    ez_status status = look_at_all(directory, key, arena, &is_active, &updated_s);
    if (status != EZ_OK)
        return status;
    is_active = is_active && !is_namespace_disabled(directory, name_space);
    ez_buf_putc(out, '{');
    json_text(out, "namespace", name_space);
    json_text(out, "public_model", model);
    json_text(out, "status", is_active ? "active" : "disabled");
    json_int_unless_zero(out, "updated_at", updated_s);
    json_name(out, "candidates");
    ez_buf_putc(out, '[');
    for (const ez_entry *entry; (entry = ez_directory_member(directory, EZ_INDEX_BINDING_BY_MODEL, key, id, false));) {
        const Ez__V1__Binding *binding = (const Ez__V1__Binding *)ez_entry_unpack(entry, arena);
        if (!binding)
            return EZ_RESOURCE_EXHAUSTED;
        if (id != 0)
            ez_buf_putc(out, ',');
        id = ez_entry_id(entry);
        status = put_candidate(directory, binding, arena, out);
        if (status != EZ_OK)
            return status;
    }
    ez_buf_puts(out, "]}");
    return out->overflow ? EZ_RESOURCE_EXHAUSTED : EZ_OK;
}
