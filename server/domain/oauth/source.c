// SPDX-License-Identifier: Apache-2.0
//
// Reading the settings of providers. Headers are a JSON object, so that a value may hold whatever a header may.
#include "server/domain/oauth/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/crypto/seal.h"

#define BEFORE_MAX_S (30 * 24 * 3600)

static ez_status no_memory(ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for the settings of token refresh");
}

static char *copy(const char *given, const char *otherwise) {
    return strdup(given && given[0] ? given : otherwise ? otherwise : "");
}

// ---- Headers

static ez_status bad_headers(const ez_oauth_source *source, const char *why, ez_error *error) {
    return ez_error_set(error, EZ_INVALID_ARGUMENT, "OAUTH_HEADERS_INVALID",
                        "EZ_OAUTH_%s_HEADERS is to be a JSON object of strings, {\"X-Name\": \"value\"}: %s",
                        source->provider->setting, why);
}

// What the call itself says is not for a setting to say.
static bool is_ours(const char *name) {
    static const char *const ours[] = {"content-type", "content-length", "host", "transfer-encoding", "connection"};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (strcasecmp(name, ours[i]) == 0)
            return true;
    return false;
}

static bool is_name(const char *name) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    return name[0] && strspn(name, letters) == strlen(name);
}

static ez_status add_header(ez_oauth_source *out, const char *name, const json_t *value, ez_error *error) {
    char text[4096];
    if (out->header_count == EZ_OAUTH_HEADERS)
        return bad_headers(out, "it has more than 16", error);
    if (is_ours(name) || !is_name(name) || !ez_oauth_take_text(value, text, sizeof text))
        return bad_headers(out, "one of them has a name or a value that can't be sent", error);
    char *kept_name = strdup(name), *kept_value = strdup(text);
    if (!kept_name || !kept_value) {
        free(kept_name);
        free(kept_value);
        return no_memory(error);
    }
    out->headers[out->header_count++] = (ez_outbound_field){kept_name, kept_value};
    return EZ_OK;
}

static ez_status read_headers(ez_oauth_source *out, const char *text, ez_error *error) {
    if (!text || !text[0])
        return EZ_OK;
    json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    ez_status status = json_is_object(object) ? EZ_OK : bad_headers(out, "it is none", error);
    const char *name;
    json_t *value;
    if (status == EZ_OK)
        json_object_foreach(object, name, value) {
            status = add_header(out, name, value, error);
            if (status != EZ_OK)
                break;
        }
    json_decref(object);
    return status;
}

// ---- URLs

static ez_status check_url(const ez_oauth_source *source, const char *what, const char *url,
                           const ez_outbound_allow *allow, ez_error *error) {
    ez_error why = EZ_ERROR_INIT;
    if (!url[0] || ez_outbound_check_url(allow, url, &why) == EZ_OK)
        return EZ_OK;
    return ez_error_set(error, why.code, why.reason, "EZ_OAUTH_%s_%s: %.380s", source->provider->setting, what,
                        why.message);
}

ez_status ez_oauth_source_init(ez_oauth_source *out, const ez_oauth_provider *provider, const ez_oauth_setting *setting,
                               const ez_outbound_allow *allow, ez_error *error) {
    out->provider = provider;
    out->before_s = provider->before_s;
    out->token_url = copy(setting->token_url, provider->token_url);
    out->client_id = copy(setting->client_id, provider->client_id);
    out->client_secret = copy(setting->client_secret, NULL);
    out->scope = copy(setting->scope, NULL);
    out->project_url = copy(provider->project_url ? setting->project_url : NULL, provider->project_url);
    if (!out->token_url || !out->client_id || !out->client_secret || !out->scope || !out->project_url)
        return no_memory(error);
    ez_status status = read_headers(out, setting->headers, error);
    status = status != EZ_OK ? status : check_url(out, "TOKEN_URL", out->token_url, allow, error);
    return status != EZ_OK ? status : check_url(out, "PROJECT_URL", out->project_url, allow, error);
}

void ez_oauth_source_fini(ez_oauth_source *source) {
    if (source->client_secret)
        ez_wipe(source->client_secret, strlen(source->client_secret));
    for (size_t i = 0; i < source->header_count; i++) {
        free((char *)(uintptr_t)source->headers[i].name);
        ez_wipe((char *)(uintptr_t)source->headers[i].value, strlen(source->headers[i].value));
        free((char *)(uintptr_t)source->headers[i].value);
    }
    free(source->token_url);
    free(source->client_id);
    free(source->client_secret);
    free(source->scope);
    free(source->project_url);
    memset(source, 0, sizeof *source);
}

bool ez_oauth_source_is_set(const ez_oauth_source *source) {
    return source->client_id[0] && (source->client_secret[0] || !source->provider->needs_secret);
}

ez_status ez_oauth_source_refuse(const ez_oauth_source *source, ez_error *error) {
    const char *setting = source->provider->setting;
    if (!source->provider->needs_secret)
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "OAUTH_CLIENT_MISSING",
                            "no OAuth client is set: set EZ_OAUTH_%s_CLIENT_ID", setting);
    return ez_error_set(error, EZ_FAILED_PRECONDITION, "OAUTH_CLIENT_MISSING",
                        "no OAuth client is set: set EZ_OAUTH_%s_CLIENT_ID and EZ_OAUTH_%s_CLIENT_SECRET", setting,
                        setting);
}

// ---- How long before

static bool read_time(const char *text, size_t len, int64_t *out_s) {
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 7 || digits > len || len - digits > 1)
        return false;
    int64_t unit = digits == len         ? 1
                   : text[digits] == 's' ? 1
                   : text[digits] == 'm' ? 60
                   : text[digits] == 'h' ? 3600
                                         : 0;
    *out_s = strtoll(text, NULL, 10) * unit;
    return *out_s >= 1 && *out_s <= BEFORE_MAX_S;
}

static bool read_item(const char *item, size_t len, ez_oauth_source sources[EZ_OAUTH_PROVIDERS]) {
    const char *equals = memchr(item, '=', len);
    int64_t before_s;
    if (equals) {
        int at = ez_oauth_provider_find(item, (size_t)(equals - item));
        if (at < 0 || !read_time(equals + 1, len - (size_t)(equals + 1 - item), &before_s))
            return false;
        sources[at].before_s = before_s;
        return true;
    }
    if (!read_time(item, len, &before_s))
        return false;
    for (int i = 0; i < EZ_OAUTH_PROVIDERS; i++)
        sources[i].before_s = before_s;
    return true;
}

ez_status ez_oauth_read_before(const char *text, ez_oauth_source sources[EZ_OAUTH_PROVIDERS], ez_error *error) {
    for (const char *at = text; at && *at;) {
        size_t len = strcspn(at, ",");
        if (!read_item(at, len, sources))
            return ez_error_set(error, EZ_INVALID_ARGUMENT, "REFRESH_BEFORE_INVALID",
                                "EZ_TOKEN_REFRESH_BEFORE is a time of 1 s to 30 days (24h, 30m, 90s) for all types, or "
                                "one for each: codex=24h,claude-code=30m");
        at += len + (at[len] == ',');
    }
    return EZ_OK;
}
