// SPDX-License-Identifier: Apache-2.0
//
// Settings of providers have one name each, made of the provider's word; texts are copied by whoever takes them.
#include "server/tokens.h"

#include <stdio.h>
#include <string.h>

#include "proto/runtime/log.h"
#include "server/domain/alerts/open.h"
#include "server/state/directory/stamp.h"

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

static ez_alert_report report_of(const ez_oauth_trouble *trouble) {
    return (ez_alert_report){.type = TYPE,
                             .severity = trouble->is_critical ? EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_CRITICAL
                                                              : EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_WARNING,
                             .title = trouble->title,
                             .message = trouble->message,
                             .related_type = related_type(trouble),
                             .related_id = trouble->api_key_id,
                             .related_name = trouble->api_key_id ? "" : trouble->type,
                             .fingerprint = fingerprint(trouble)};
}

static bool raise_troubles(void *user, const ez_oauth_trouble *troubles, size_t count) {
    ez_alert_report reports[EZ_OAUTH_TOLD_AT_ONCE];
    for (size_t i = 0; i < count; i++)
        reports[i] = report_of(&troubles[i]);
    if (!ez_alerts_has_room(user) || !ez_alerts_raise(user, reports, count, RAISED_BY))
        return false;
    for (size_t i = 0; i < count; i++)
        ez_log_warn("token refresh needs a hand", "api_key", EZ_LOG_INT(troubles[i].api_key_id), "type",
                    troubles[i].type, "what", troubles[i].title, "why", troubles[i].message);
    return true;
}

static bool clear_troubles(void *user, const ez_oauth_trouble *troubles, size_t count) {
    ez_alert_subject subjects[EZ_OAUTH_TOLD_AT_ONCE];
    for (size_t i = 0; i < count; i++)
        subjects[i] = (ez_alert_subject){.type = TYPE,
                                         .related_type = related_type(&troubles[i]),
                                         .related_id = troubles[i].api_key_id,
                                         .fingerprint = fingerprint(&troubles[i]),
                                         .seen_before_ns = troubles[i].seen_before_ns};
    return ez_alerts_has_room(user) && ez_alerts_clear(user, subjects, count, RAISED_BY);
}

// ---- Alerts that stand

typedef struct giving {
    ez_oauth_alert_fn *each;
    void *user;
} giving;

static bool is_about_a_key(const char *type, int64_t id) {
    return id > 0 && strcmp(type, "api_key") == 0;
}

static ez_status give_alert(void *user, const ez_alert_row *row, ez_error *error) {
    const giving *it = user;
    if (!is_about_a_key(row->related_type, row->related_id) || !ez_alert_is_by_subject(row))
        return EZ_OK;
    return it->each(it->user, row->related_id, row->title, row->last_seen_ns, error);
}

static ez_status each_alert(void *user, ez_reader *reader, ez_oauth_alert_fn *each, void *each_user, ez_error *error) {
    (void)user;
    giving it = {.each = each, .user = each_user};
    return ez_alerts_read_all(reader, ez_alerts_open_page, (ez_open_place){.type = TYPE}, give_alert, &it, error);
}

void ez_tokens_note_alert(ez_oauth *oauth, const Ez__V1__AlertEvent *event) {
    const Ez__V1__Alert *alert = event->alert;
    bool is_news = strcmp(event->event, "created") == 0 || strcmp(event->event, "repeated") == 0;
    if (is_news && alert->type == TYPE && alert->last_seen_at && is_about_a_key(alert->related_type, alert->related_id))
        ez_oauth_note_alert(oauth, alert->related_id, ez_stamp_ns(alert->last_seen_at));
}

// ---- Opening

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
        .raise = raise_troubles,
        .clear = clear_troubles,
        .each_alert = each_alert,
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
