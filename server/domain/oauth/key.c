// SPDX-License-Identifier: Apache-2.0
//
// An API key with its tokens in the clear, for as long as a refresh takes.
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/wire.h"
#include "server/domain/oauth/inside.h"
#include "server/state/directory/edit.h"

#define ARENA_MAX (1u << 20)

enum { F_SCOPE = 11, F_PROXY = 35, F_GROUP_TYPE = 3 };

static void copy_field(ez_slice data, uint32_t number, char *out, size_t size) {
    ez_wire_field field;
    bool fits = ez_wire_find(data.data, data.len, number, &field) && field.bytes.len < size;
    size_t len = fits ? field.bytes.len : 0;
    memcpy(out, fits ? (const char *)field.bytes.data : "", len);
    out[len] = 0;
}

static int provider_of(const ez_oauth *oauth, int64_t group_id) {
    const ez_entry *group = ez_directory_get(oauth->options.directory, KIND_PROVIDER_GROUP, group_id);
    ez_wire_field type;
    if (!group || !ez_wire_find(ez_entry_data(group).data, ez_entry_data(group).len, F_GROUP_TYPE, &type))
        return -1;
    return ez_oauth_provider_find((const char *)type.bytes.data, type.bytes.len);
}

static ez_status copy_secret(ez_oauth_key *out, const Ez__V1__ApiKeySecret *secret, ez_error *error) {
    out->refresh_token = strdup(secret ? secret->refresh_token : "");
    out->access_token = strdup(secret ? secret->access_token : "");
    if (!out->refresh_token || !out->access_token)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for a token refresh");
    ez_sha256(out->refresh_token, strlen(out->refresh_token), out->refresh_hash);
    ez_sha256(out->access_token, strlen(out->access_token), out->access_hash);
    return EZ_OK;
}

static void wipe_secret(Ez__V1__ApiKeySecret *secret) {
    char *const texts[] = {secret->api_key, secret->access_token, secret->refresh_token};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i][0])
            ez_wipe(texts[i], strlen(texts[i]));
}

static ez_status read_secret(const ez_oauth *oauth, const ez_entry *entry, ez_oauth_key *out, ez_error *error) {
    ez_arena arena;
    Ez__V1__ApiKeySecret *secret = NULL;
    ez_arena_init(&arena, ARENA_MAX);
    ez_status status = ez_directory_unseal(oauth->options.directory, entry, &arena, &secret, error);
    if (status == EZ_OK)
        status = copy_secret(out, secret, error);
    if (secret)
        wipe_secret(secret);
    ez_arena_fini(&arena);
    return status;
}

static ez_status read_entry(const ez_oauth *oauth, const ez_entry *entry, ez_oauth_key *out, ez_error *error) {
    ez_slice data = ez_entry_data(entry);
    out->facts = ez_oauth_read_facts(data);
    out->secret_version = ez_entry_secret_version(entry);
    out->provider = provider_of(oauth, out->facts.group_id);
    if (out->provider < 0 || (!out->facts.has_access && !out->facts.has_refresh))
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "NO_OAUTH_TOKENS",
                            "API key %lld has no OAuth tokens of a codex, claude-code, gemini-cli or antigravity group",
                            (long long)ez_entry_id(entry));
    copy_field(data, F_SCOPE, out->scope, sizeof out->scope);
    copy_field(data, F_PROXY, out->proxy, sizeof out->proxy);
    ez_status status = read_secret(oauth, entry, out, error);
    const ez_oauth_provider *provider = ez_oauth_providers[out->provider];
    if (status == EZ_OK && out->facts.expires_ns == 0 && provider->end_of)
        out->facts.expires_ns = provider->end_of(out->access_token) * INT64_C(1000000000);
    return status;
}

ez_status ez_oauth_key_read(const ez_oauth *oauth, int64_t id, ez_oauth_key *out, ez_error *error) {
    *out = (ez_oauth_key){.provider = -1};
    ez_directory_enter();
    const ez_entry *entry = ez_directory_get(oauth->options.directory, KIND_API_KEY, id);
    ez_status status = entry ? read_entry(oauth, entry, out, error) : ez_kind_missing(KIND_API_KEY, id, error);
    ez_directory_leave();
    return status;
}

static void wipe_text(char *text) {
    if (text)
        ez_wipe(text, strlen(text));
    free(text);
}

void ez_oauth_key_fini(ez_oauth_key *key) {
    wipe_text(key->refresh_token);
    wipe_text(key->access_token);
    key->refresh_token = key->access_token = NULL;
}
