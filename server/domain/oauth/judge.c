// SPDX-License-Identifier: Apache-2.0
//
// The error table. A reply is judged by its status and the code in its body; codes are compared whole, never searched
// for in texts.
//
// Awkward: a 200 that can't be read, as where a token is longer than the schema lets one be. The provider has most
// likely spent the old refresh token and given a new one that nobody will ever see, so such a reply counts as none.
#include "server/domain/oauth/judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/domain/oauth/reply.h"

static const char *const words[EZ_OAUTH_CLASSES] = {
    [EZ_OAUTH_REFRESHED] = "refreshed",       [EZ_OAUTH_TERMINAL] = "terminal",         [EZ_OAUTH_SETTING] = "setting",
    [EZ_OAUTH_TRANSIENT] = "transient",       [EZ_OAUTH_RATE_LIMITED] = "rate_limited", [EZ_OAUTH_UNKNOWN] = "unknown",
    [EZ_OAUTH_NO_TOKEN] = "no_refresh_token",
};

const char *ez_oauth_class_word(ez_oauth_class class) {
    return words[class];
}

// ---- Codes

static const char *const setting_codes[] = {"invalid_client", "unauthorized_client", "invalid_scope", NULL};
// Those that change nothing of what their status says; they may be shown.
static const char *const other_codes[] = {
    "invalid_request",
    "unsupported_grant_type",
    "access_denied",
    "server_error",
    "temporarily_unavailable",
    "slow_down",
    "rate_limit_exceeded",
    "rate_limit_error",
    "api_error",
    "overloaded_error",
    "permission_error",
    "not_found_error",
    "internal_error",
    "internal_server_error",
    "internal_failure",
    "invalid_request_error",
    "backend_error",
    "quota_exceeded",
    "unsupported_country",
    "unsupported_country_region_territory",
    NULL,
};

static bool is_one_of(const char *code, const char *const *list) {
    for (; *list; list++)
        if (strcmp(*list, code) == 0)
            return true;
    return false;
}

static bool is_terminal(const ez_oauth_provider *provider, const char *code) {
    return strcmp(code, "invalid_grant") == 0 || is_one_of(code, provider->terminal);
}

static ez_oauth_class class_of_code(const ez_oauth_provider *provider, int http_status, const char *code) {
    if (http_status != 200 && http_status != 400 && http_status != 401 && http_status != 403)
        return EZ_OAUTH_TRANSIENT;
    if (is_terminal(provider, code))
        return EZ_OAUTH_TERMINAL;
    return is_one_of(code, setting_codes) ? EZ_OAUTH_SETTING : EZ_OAUTH_TRANSIENT;
}

// ---- Retry-After

static int64_t clamp(int64_t ms) {
    if (ms < EZ_OAUTH_RETRY_MIN_MS)
        return EZ_OAUTH_RETRY_MIN_MS;
    return ms < EZ_OAUTH_RETRY_MAX_MS ? ms : EZ_OAUTH_RETRY_MAX_MS;
}

int64_t ez_oauth_retry_after(const char *text, int64_t now_s) {
    if (!text || !text[0])
        return EZ_OAUTH_RETRY_DEFAULT_MS;
    size_t digits = strspn(text, "0123456789");
    if (!text[digits])
        return clamp(digits > 6 ? EZ_OAUTH_RETRY_MAX_MS : strtoll(text, NULL, 10) * 1000);
    struct tm at = {0};
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &at);
    if (!end || *end)
        return EZ_OAUTH_RETRY_DEFAULT_MS;
    int64_t wait_s = (int64_t)timegm(&at) - now_s;
    return clamp(wait_s > EZ_OAUTH_RETRY_MAX_MS / 1000 ? EZ_OAUTH_RETRY_MAX_MS : wait_s * 1000);
}

// ---- Words

static void say(const ez_oauth_provider *provider, const ez_oauth_answer *answer, ez_oauth_verdict *out) {
    const char *code = out->code[0] ? out->code : "no known code";
    switch (out->class) {
    case EZ_OAUTH_TERMINAL:
        snprintf(out->why, sizeof out->why,
                 "%s: the login has ended or was taken back; log in again and give this API key the new tokens", code);
        break;
    case EZ_OAUTH_SETTING:
        snprintf(out->why, sizeof out->why, "%s: check EZ_OAUTH_%s_CLIENT_ID, _CLIENT_SECRET and _SCOPE", code,
                 provider->setting);
        break;
    case EZ_OAUTH_RATE_LIMITED:
        snprintf(out->why, sizeof out->why, "the token endpoint answered 429: again in %lld s",
                 (long long)(out->retry_after_ms / 1000));
        break;
    case EZ_OAUTH_UNKNOWN:
        snprintf(out->why, sizeof out->why,
                 "the token endpoint was asked and gave no answer that can be read (HTTP status %d): the refresh token "
                 "may be used up",
                 answer->http_status);
        break;
    case EZ_OAUTH_TRANSIENT:
        if (answer->http_status)
            snprintf(out->why, sizeof out->why, "the token endpoint answered %d with %s", answer->http_status, code);
        else
            snprintf(out->why, sizeof out->why, "%.200s", answer->message ? answer->message : "nobody was asked");
        break;
    default:
        break;
    }
}

// ---- The table

static ez_oauth_class lost(const ez_oauth_provider *provider) {
    return provider->rotates ? EZ_OAUTH_UNKNOWN : EZ_OAUTH_TRANSIENT;
}

static ez_oauth_class judge_success(const ez_oauth_provider *provider, const ez_oauth_reply *reply,
                                    ez_oauth_tokens *tokens) {
    ez_oauth_taken taken = ez_oauth_reply_tokens(reply, provider, tokens);
    if (taken == EZ_OAUTH_TAKEN)
        return EZ_OAUTH_REFRESHED;
    return taken == EZ_OAUTH_NONE_THERE && reply->code[0] ? class_of_code(provider, 200, reply->code) : lost(provider);
}

static ez_oauth_class class_of(const ez_oauth_provider *provider, const ez_oauth_answer *answer,
                               const ez_oauth_reply *reply, ez_oauth_tokens *tokens) {
    if (answer->http_status == 429)
        return EZ_OAUTH_RATE_LIMITED;
    if (answer->status != EZ_OK && (answer->http_status == 0 || answer->http_status / 100 == 2))
        return answer->was_sent ? lost(provider) : EZ_OAUTH_TRANSIENT;
    if (answer->http_status / 100 == 2)
        return judge_success(provider, reply, tokens);
    return class_of_code(provider, answer->http_status, reply->code);
}

void ez_oauth_judge(const ez_oauth_provider *provider, const ez_oauth_answer *answer, int64_t now_s,
                    ez_oauth_verdict *out, ez_oauth_tokens *tokens) {
    ez_oauth_reply reply;
    bool is_whole = answer->status == EZ_OK;
    ez_oauth_reply_init(&reply, is_whole ? answer->body : (ez_slice){0}, answer->encoding);
    *out = (ez_oauth_verdict){.class = class_of(provider, answer, &reply, tokens)};
    bool is_known =
        is_terminal(provider, reply.code) || is_one_of(reply.code, setting_codes) || is_one_of(reply.code, other_codes);
    if (is_known)
        memcpy(out->code, reply.code, strlen(reply.code) + 1);
    if (out->class == EZ_OAUTH_RATE_LIMITED)
        out->retry_after_ms = ez_oauth_retry_after(answer->retry_after, now_s);
    say(provider, answer, out);
    ez_oauth_reply_fini(&reply);
}
