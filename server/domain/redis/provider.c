// SPDX-License-Identifier: Apache-2.0
//
// config:providers. A data plane of this kind knows no groups: what the group says stands in each of its providers, and
// a group that is disabled shows as disabled providers. The route group is the group's label "route_group".
#include "proto/runtime/wire.h"
#include "server/domain/redis/json_out.h"
#include "server/domain/redis/snapshot.h"
#include "server/domain/redis/words.h"
#include "server/state/directory/stamp.h"

enum { F_STATUS = 13 };

bool ez_snapshot_in_service(ez_slice api_key) {
    ez_wire_field status;
    return ez_wire_find(api_key.data, api_key.len, F_STATUS, &status) &&
           status.varint == EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE;
}

const char *ez_word_route_group(const Ez__V1__ProviderGroup *group) {
    for (size_t i = 0; i < group->n_labels; i++)
        if (strcmp(group->labels[i]->key, "route_group") == 0 && group->labels[i]->value[0])
            return group->labels[i]->value;
    return "default";
}

static const char *status_word(const Ez__V1__ApiKey *key, const Ez__V1__ProviderGroup *group, int64_t now_ns) {
    switch (key->status) {
    case EZ__V1__API_KEY_STATUS__API_KEY_STATUS_DISABLED:
        return "disabled";
    case EZ__V1__API_KEY_STATUS__API_KEY_STATUS_BANNED:
        return "banned";
    case EZ__V1__API_KEY_STATUS__API_KEY_STATUS_EXPIRED:
        return "expired";
    default:
        break;
    }
    if (group->status == EZ__V1__PROVIDER_GROUP_STATUS__PROVIDER_GROUP_STATUS_DISABLED)
        return "disabled";
    bool has_ended = key->expires_at && ez_stamp_ns(key->expires_at) <= now_ns;
    return has_ended && !key->has_refresh_token ? "expired" : "active";
}

static void put_headers(ez_buf *out, const Ez__V1__ProviderGroup *group) {
    if (group->n_static_headers == 0)
        return;
    json_name(out, "static_headers");
    ez_buf_putc(out, '{');
    for (size_t i = 0; i < group->n_static_headers; i++) {
        const Ez__V1__ProviderGroup__StaticHeadersEntry *entry = group->static_headers[i];
        if (i > 0)
            ez_buf_putc(out, ',');
        ez_json_write_string(entry->key, strlen(entry->key), out);
        ez_buf_putc(out, ':');
        ez_json_write_string(entry->value, strlen(entry->value), out);
    }
    ez_buf_putc(out, '}');
}

static void put_identity(ez_buf *out, const Ez__V1__ApiKey *key, const Ez__V1__ApiKeySecret *secret,
                         const Ez__V1__ProviderGroup *group) {
    json_int(out, "id", key->id);
    json_name(out, "name");
    ez_json_write_string(group->name, strlen(group->name), out);
    out->len--; // the closing quote: the number goes in front of it
    ez_buf_printf(out, "#%" PRId64 "\"", key->id);
    json_text(out, "type", group->type);
    json_text(out, "base_url", group->base_url);
    json_text(out, "api_key", secret ? secret->api_key : "");
    json_text_unless_empty(out, "google_project", group->google_project);
    json_text_unless_empty(out, "google_location", group->google_location);
    json_int(out, "group_id", key->group_id);
    json_text(out, "group", ez_word_route_group(group));
}

ez_status ez_snapshot_provider(const Ez__V1__ApiKey *key, const Ez__V1__ApiKeySecret *secret,
                               const Ez__V1__ProviderGroup *group, int64_t now_ns, ez_buf *out) {
    ez_status status = ez_buf_putc(out, '{');
    if (status != EZ_OK)
        return status;
    put_identity(out, key, secret, group);
    if (out->overflow)
        return EZ_RESOURCE_EXHAUSTED;
    json_name(out, "models");
    json_texts(out, group->n_models, group->models);
    json_text(out, "status", status_word(key, group, now_ns));
    json_bool(out, "auto_ban", key->auto_ban);
    json_int_unless_zero(out, "weight", key->weight);
    json_text_unless_empty(out, "access_token", secret ? secret->access_token : NULL);
    json_text_unless_empty(out, "refresh_token", secret ? secret->refresh_token : NULL);
    json_int_unless_zero(out, "expires_at", key->expires_at ? key->expires_at->seconds : 0);
    json_text_unless_empty(out, "account_id", key->account_id);
    json_text_unless_empty(out, "project_id", key->project_id);
    put_headers(out, group);
    json_text_unless_empty(out, "headers_profile", group->headers_profile);
    ez_buf_putc(out, '}');
    return out->overflow ? EZ_RESOURCE_EXHAUSTED : EZ_OK;
}
