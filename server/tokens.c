// SPDX-License-Identifier: Apache-2.0
//
// Settings of providers have one name each, made of the provider's word; texts are copied by whoever takes them.
#include "server/tokens.h"

#include <stdio.h>
#include <string.h>

#include "proto/runtime/log.h"

#define QUEUED_MS 10000 // an entry of the Redis queue waits so long, then it is tried again

#define RAISED_BY "oauth"
#define TYPE      EZ__V1__ALERT_TYPE__ALERT_TYPE_TOKEN_REFRESH_FAILED

static const char *related_type(const ez_oauth_trouble *trouble) {
    return trouble->api_key_id ? "api_key" : "provider_type";
}

// An API key's has the fingerprint that its type and the key make: a data plane that reports it counts to the same
// alert.
static const char *fingerprint(const ez_oauth_trouble *trouble) {
    return trouble->api_key_id ? "" : trouble->fingerprint;
}

static void raise_trouble(void *user, const ez_oauth_trouble *trouble) {
    ez_log_warn("token refresh needs a hand", "api_key", EZ_LOG_INT(trouble->api_key_id), "type", trouble->type, "what",
                trouble->title, "why", trouble->message);
    ez_alert_report report = {.type = TYPE,
                              .severity = trouble->is_critical ? EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_CRITICAL
                                                               : EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_WARNING,
                              .title = trouble->title,
                              .message = trouble->message,
                              .related_type = related_type(trouble),
                              .related_id = trouble->api_key_id,
                              .related_name = trouble->api_key_id ? "" : trouble->type,
                              .fingerprint = fingerprint(trouble)};
    (void)ez_alerts_raise(user, &report, 1, RAISED_BY); // refused: it is counted and logged there
}

static void clear_trouble(void *user, const ez_oauth_trouble *trouble) {
    ez_alert_subject subject = {.type = TYPE,
                                .related_type = related_type(trouble),
                                .related_id = trouble->api_key_id,
                                .fingerprint = fingerprint(trouble)};
    (void)ez_alerts_clear(user, &subject, 1, RAISED_BY);
}

static const char *setting_of(const ez_settings *settings, const ez_oauth_provider *provider, const char *what) {
    char name[64];
    snprintf(name, sizeof name, "EZ_OAUTH_%s_%s", provider->setting, what);
    return ez_settings_text(settings, name);
}

static void read_providers(const ez_settings *settings, ez_oauth_options *options) {
    for (int i = 0; i < EZ_OAUTH_PROVIDERS; i++) {
        const ez_oauth_provider *provider = ez_oauth_providers[i];
        options->settings[i] = (ez_oauth_setting){
            .token_url = setting_of(settings, provider, "TOKEN_URL"),
            .client_id = setting_of(settings, provider, "CLIENT_ID"),
            .client_secret = setting_of(settings, provider, "CLIENT_SECRET"),
            .scope = setting_of(settings, provider, "SCOPE"),
            .headers = setting_of(settings, provider, "HEADERS"),
            .project_url = provider->project_url ? setting_of(settings, provider, "PROJECT_URL") : NULL};
    }
}

ez_status ez_tokens_open(const ez_core *core, const ez_settings *settings, const char *server_id, ez_outbound *outbound,
                         ez_routing *routing, ez_alerts *alerts, ez_oauth **out, ez_error *error) {
    ez_oauth_options options = {
        .store = core->store,
        .directory = core->directory,
        .feed = core->feed,
        .writer = core->writer,
        .outbound = outbound,
        .holder = ez_lease_holder(core->lease),
        .server_id = server_id,
        .is_off = !ez_settings_bool(settings, "EZ_TOKEN_REFRESH"),
        .before = ez_settings_text(settings, "EZ_TOKEN_REFRESH_BEFORE"),
        .interval_ms = (uint32_t)ez_settings_int(settings, "EZ_TOKEN_REFRESH_INTERVAL") * 1000,
        .claim_ms = (uint32_t)ez_settings_int(settings, "EZ_TOKEN_REFRESH_CLAIM") * 1000,
        .rate = (unsigned)ez_settings_int(settings, "EZ_TOKEN_REFRESH_RATE"),
        .concurrency = (unsigned)ez_settings_int(settings, "EZ_TOKEN_REFRESH_CONCURRENCY"),
        .follow = ez_routing_follow_key,
        .follow_user = routing,
        .raise = raise_trouble,
        .clear = clear_trouble,
        .alerts_user = alerts,
    };
    read_providers(settings, &options);
    ez_status status = ez_oauth_create(&options, out, error);
    if (status == EZ_OK)
        ez_routing_show_refresh(routing, ez_oauth_next_ns, *out);
    return status;
}

ez_status ez_tokens_take_queued(void *user, const ez_refresh_request *request, ez_error *error) {
    ez_log_debug("a data plane asks by Redis for a token refresh", "api_key", EZ_LOG_INT(request->api_key_id));
    return ez_oauth_refresh(user, request->api_key_id, request->observed_sha256, QUEUED_MS, error);
}
