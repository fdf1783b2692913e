// SPDX-License-Identifier: Apache-2.0
//
// One function for each rule. Shares are percentages in what people read and 0 to 1 in the metadata.
#include "server/domain/alerts/detector_words.h"

#include <inttypes.h>
#include <stdio.h>

#include "proto/runtime/clock.h"

#define NS_PER_S INT64_C(1000000000)

typedef Ez__V1__AlertThresholds thresholds;

static double share_of(const ez_finding *f) {
    return f->whole > 0 ? (double)f->part / (double)f->whole : 0;
}

static void say_time(int64_t time_ns, char out[EZ_CLOCK_TEXT_MAX]) {
    ez_clock_format(time_ns / NS_PER_S, 0, out);
}

static void say_rate_limit(const ez_finding *f, const thresholds *t, ez_finding_text *text) {
    snprintf(text->message, sizeof text->message,
             "%" PRId64 " of %" PRId64 " requests of the last %d minutes were refused with 429 (told from %" PRId64
             " on). Raise the master's global_qps, or have its clients send less.",
             f->part, f->whole, t->window_minutes, t->rate_limit_hits);
    snprintf(text->metadata, sizeof text->metadata,
             "{\"requests\":%" PRId64 ",\"rate_limited\":%" PRId64 ",\"threshold\":%" PRId64 ",\"window_seconds\":%d}",
             f->whole, f->part, t->rate_limit_hits, t->window_minutes * 60);
}

// What to do about failing requests: words, then where their log is, then words.
typedef struct failing_advice {
    const char *before, *filter, *after;
} failing_advice;

// The two that compare failures with requests.
static void say_failing(const ez_finding *f, const thresholds *t, double percent, int64_t least,
                        const failing_advice *to, ez_finding_text *text) {
    snprintf(text->message, sizeof text->message,
             "%.1f %% of %" PRId64 " requests of the last %d minutes failed: %" PRId64 " (told from %g %% of %" PRId64
             " requests on). %sGET /admin/logs?%s=%" PRId64 "&status_class=error%s",
             100 * share_of(f), f->whole, t->window_minutes, f->part, percent, least, to->before, to->filter, f->id,
             to->after);
    snprintf(text->metadata, sizeof text->metadata,
             "{\"requests\":%" PRId64 ",\"errors\":%" PRId64
             ",\"rate\":%.4f,\"threshold\":%.4f,\"min_requests\":%" PRId64 ",\"window_seconds\":%d}",
             f->whole, f->part, share_of(f), percent / 100, least, t->window_minutes * 60);
}

static void say_error_spike(const ez_finding *f, const thresholds *t, ez_finding_text *text) {
    static const failing_advice to = {"", "key_id", " has them, with what upstream said."};
    say_failing(f, t, t->error_spike_percent, t->error_spike_requests, &to, text);
}

static void say_provider_down(const ez_finding *f, const thresholds *t, ez_finding_text *text) {
    static const failing_advice to = {
        "Look at ", "api_key_id",
        ", then at the credential and the provider. With auto_ban the API key is taken out of "
        "service for a while."};
    say_failing(f, t, t->provider_down_percent, t->provider_down_requests, &to, text);
}

static void say_quota(const ez_finding *f, const thresholds *t, ez_finding_text *text) {
    if (f->part >= f->whole)
        snprintf(text->message, sizeof text->message,
                 "The quota is used up: %" PRId64 " of %" PRId64 ". Requests with the key are refused until its period "
                 "ends or quota_limit is raised.",
                 f->part, f->whole);
    else
        snprintf(text->message, sizeof text->message,
                 "%.1f %% of the quota is used: %" PRId64 " of %" PRId64 " (told from %g %% on). Raise quota_limit "
                 "where the key must go on working.",
                 100 * share_of(f), f->part, f->whole, t->quota_exceeded_percent);
    snprintf(text->metadata, sizeof text->metadata,
             "{\"used\":%" PRId64 ",\"limit\":%" PRId64 ",\"rate\":%.4f,\"threshold\":%.4f}", f->part, f->whole,
             share_of(f), t->quota_exceeded_percent / 100);
}

static void say_expired(const ez_finding *f, const char *advice, ez_finding_text *text) {
    char at[EZ_CLOCK_TEXT_MAX];
    say_time(f->time_ns, at);
    snprintf(text->message, sizeof text->message, "It expired at %s. %s", at, advice);
    snprintf(text->metadata, sizeof text->metadata, "{\"expires_at\":\"%s\"}", at);
}

static void say_key_expired(const ez_finding *f, const thresholds *t, ez_finding_text *text) {
    (void)t;
    say_expired(f, "Requests with the key are refused. Set a later expires_at, or delete the key.", text);
}

static void say_api_key_expired(const ez_finding *f, const thresholds *t, ez_finding_text *text) {
    (void)t;
    say_expired(f,
                "There is no refresh token, and data planes no longer use it. Give it another credential, or "
                "disable it.",
                text);
}

static void say_key_disabled(const ez_finding *f, const thresholds *t, ez_finding_text *text) {
    (void)t;
    char at[EZ_CLOCK_TEXT_MAX] = "";
    if (f->time_ns)
        say_time(f->time_ns, at);
    snprintf(text->message, sizeof text->message,
             "auto_ban has taken the API key out of service until %s; its ban_reason says why. Then it is tried again, "
             "and banned again where requests still fail. :unban ends the ban now.",
             f->time_ns ? at : "it is unbanned");
    snprintf(text->metadata, sizeof text->metadata, "{\"ban_until\":\"%s\"}", at);
}

static void (*const say[EZ_RULES])(const ez_finding *, const thresholds *, ez_finding_text *) = {
    [EZ_RULE_RATE_LIMIT] = say_rate_limit,     [EZ_RULE_ERROR_SPIKE] = say_error_spike,
    [EZ_RULE_QUOTA_EXCEEDED] = say_quota,      [EZ_RULE_PROVIDER_DOWN] = say_provider_down,
    [EZ_RULE_KEY_EXPIRED] = say_key_expired,   [EZ_RULE_API_KEY_EXPIRED] = say_api_key_expired,
    [EZ_RULE_KEY_DISABLED] = say_key_disabled,
};

static const char *title_of(const ez_finding *f) {
    bool is_used_up = f->rule == EZ_RULE_QUOTA_EXCEEDED && f->part >= f->whole;
    return is_used_up ? "A key's quota is used up" : ez_rule_words_of[f->rule].title;
}

void ez_finding_report(const ez_finding *finding, const Ez__V1__AlertThresholds *of, ez_finding_text *text,
                       ez_alert_report *out) {
    const ez_rule_words *words = &ez_rule_words_of[finding->rule];
    say[finding->rule](finding, of, text);
    *out = (ez_alert_report){.type = words->type,
                             .severity = finding->severity,
                             .title = title_of(finding),
                             .message = text->message,
                             .related_type = words->related_type,
                             .related_id = finding->id,
                             .related_name = "",
                             .metadata = text->metadata,
                             .fingerprint = ""};
}
