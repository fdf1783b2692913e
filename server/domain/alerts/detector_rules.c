// SPDX-License-Identifier: Apache-2.0
//
// Shares are compared as doubles: a percentage may have a fraction, and counts below 2^53 lose nothing.
#include "server/domain/alerts/detector_rules.h"

#include "ez/v1/common.pb-c.h"

#define NS_PER_S INT64_C(1000000000)
#define MINUTE_S 60

#define WARNING  EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_WARNING
#define CRITICAL EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_CRITICAL

const ez_rule_words ez_rule_words_of[EZ_RULES] = {
    [EZ_RULE_RATE_LIMIT] = {EZ__V1__ALERT_TYPE__ALERT_TYPE_RATE_LIMIT, "master", EZ__V1__KIND__KIND_MASTER,
                            "A master hits its rate limit"},
    [EZ_RULE_ERROR_SPIKE] = {EZ__V1__ALERT_TYPE__ALERT_TYPE_ERROR_SPIKE, "key", EZ__V1__KIND__KIND_KEY,
                             "Many requests of a key fail"},
    [EZ_RULE_QUOTA_EXCEEDED] = {EZ__V1__ALERT_TYPE__ALERT_TYPE_QUOTA_EXCEEDED, "key", EZ__V1__KIND__KIND_KEY,
                                "A key's quota is running out"},
    [EZ_RULE_PROVIDER_DOWN] = {EZ__V1__ALERT_TYPE__ALERT_TYPE_PROVIDER_DOWN, "api_key", EZ__V1__KIND__KIND_API_KEY,
                               "Requests to a provider fail"},
    [EZ_RULE_KEY_EXPIRED] = {EZ__V1__ALERT_TYPE__ALERT_TYPE_KEY_EXPIRED, "key", EZ__V1__KIND__KIND_KEY,
                             "A key has expired"},
    [EZ_RULE_API_KEY_EXPIRED] = {EZ__V1__ALERT_TYPE__ALERT_TYPE_KEY_EXPIRED, "api_key", EZ__V1__KIND__KIND_API_KEY,
                                 "An API key has expired"},
    [EZ_RULE_KEY_DISABLED] = {EZ__V1__ALERT_TYPE__ALERT_TYPE_KEY_DISABLED, "api_key", EZ__V1__KIND__KIND_API_KEY,
                              "An API key was banned because its requests fail"},
};

bool ez_rule_is_on(ez_rule rule, const Ez__V1__AlertThresholds *thresholds) {
    switch (rule) {
    case EZ_RULE_RATE_LIMIT:
        return thresholds->rate_limit;
    case EZ_RULE_ERROR_SPIKE:
        return thresholds->error_spike;
    case EZ_RULE_QUOTA_EXCEEDED:
        return thresholds->quota_exceeded;
    case EZ_RULE_PROVIDER_DOWN:
        return thresholds->provider_down;
    case EZ_RULE_KEY_EXPIRED:
    case EZ_RULE_API_KEY_EXPIRED:
        return thresholds->key_expired;
    default:
        return true; // a ban is told whatever the rule says now
    }
}

static bool is_share(int64_t part, int64_t whole, double percent) {
    return (double)part * 100 >= percent * (double)whole;
}

// Whether enough of enough requests failed.
static bool is_failing(const ez_rule_numbers *numbers, int64_t least, double percent) {
    int64_t errors = numbers->errors < numbers->requests ? numbers->errors : numbers->requests;
    return numbers->requests > 0 && errors > 0 && numbers->requests >= least &&
           is_share(errors, numbers->requests, percent);
}

static ez_finding find(ez_rule rule, Ez__V1__AlertSeverity severity, int64_t id, int64_t part, int64_t whole) {
    return (ez_finding){
        .rule = rule, .severity = severity, .id = id, .part = part < whole ? part : whole, .whole = whole};
}

bool ez_rule_rate_limit(const Ez__V1__AlertThresholds *thresholds, int64_t master_id, const ez_rule_numbers *numbers,
                        ez_finding *out) {
    if (!thresholds->rate_limit || numbers->rate_limited < thresholds->rate_limit_hits)
        return false;
    int64_t requests = numbers->requests > numbers->rate_limited ? numbers->requests : numbers->rate_limited;
    *out = find(EZ_RULE_RATE_LIMIT, WARNING, master_id, numbers->rate_limited, requests);
    return true;
}

bool ez_rule_error_spike(const Ez__V1__AlertThresholds *thresholds, int64_t key_id, const ez_rule_numbers *numbers,
                         ez_finding *out) {
    if (!thresholds->error_spike ||
        !is_failing(numbers, thresholds->error_spike_requests, thresholds->error_spike_percent))
        return false;
    *out = find(EZ_RULE_ERROR_SPIKE, WARNING, key_id, numbers->errors, numbers->requests);
    return true;
}

bool ez_rule_provider_down(const Ez__V1__AlertThresholds *thresholds, int64_t api_key_id,
                           const ez_rule_numbers *numbers, ez_finding *out) {
    if (!thresholds->provider_down ||
        !is_failing(numbers, thresholds->provider_down_requests, thresholds->provider_down_percent))
        return false;
    *out = find(EZ_RULE_PROVIDER_DOWN, CRITICAL, api_key_id, numbers->errors, numbers->requests);
    return true;
}

bool ez_rule_quota(const Ez__V1__AlertThresholds *thresholds, int64_t key_id, int64_t used, int64_t limit,
                   ez_finding *out) {
    if (!thresholds->quota_exceeded || limit <= 0 || !is_share(used, limit, thresholds->quota_exceeded_percent))
        return false;
    *out = find(EZ_RULE_QUOTA_EXCEEDED, used >= limit ? CRITICAL : WARNING, key_id, used, limit);
    out->part = used; // what came in before the key was exhausted counts, too
    return true;
}

void ez_rule_window(const Ez__V1__AlertThresholds *thresholds, int64_t now_s, int64_t *since_s, int64_t *until_s) {
    int64_t minute_s = now_s - now_s % MINUTE_S;
    *since_s = minute_s - (int64_t)thresholds->window_minutes * MINUTE_S;
    *until_s = minute_s + 2 * MINUTE_S;
}

int64_t ez_rule_minute_after(int64_t time_ns) {
    return (time_ns + MINUTE_S * NS_PER_S - 1) / (MINUTE_S * NS_PER_S) * MINUTE_S;
}
