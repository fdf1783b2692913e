// SPDX-License-Identifier: Apache-2.0
//
// The detector's rules: what numbers of a window, a quota or a time of expiry mean. Pure functions; any thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ez/v1/alert.pb-c.h"
#include "ez/v1/alert_threshold.pb-c.h"

typedef enum ez_rule {
    EZ_RULE_RATE_LIMIT,     // of a master
    EZ_RULE_ERROR_SPIKE,    // of a key
    EZ_RULE_QUOTA_EXCEEDED, // of a key
    EZ_RULE_PROVIDER_DOWN,  // of an API key
    EZ_RULE_KEY_EXPIRED,    // of a key
    EZ_RULE_API_KEY_EXPIRED,
    EZ_RULE_KEY_DISABLED, // of an API key: by auto-ban
    EZ_RULES,
} ez_rule;

// What a rule's alerts are called and are about.
typedef struct ez_rule_words {
    Ez__V1__AlertType type;
    const char *related_type;
    int kind;          // of the resource: an Ez__V1__Kind
    const char *title; // of a quota: one that is not used up yet
} ez_rule_words;
extern const ez_rule_words ez_rule_words_of[EZ_RULES];

// Whether the rule is switched on.
bool ez_rule_is_on(ez_rule rule, const Ez__V1__AlertThresholds *thresholds);

// Numbers of a window, as request logs have them.
typedef struct ez_rule_numbers {
    int64_t requests, errors, rate_limited;
} ez_rule_numbers;

// A rule holds of something.
typedef struct ez_finding {
    ez_rule rule;
    bool is_told; // an alert was raised for it, and once is enough
    Ez__V1__AlertSeverity severity;
    int64_t id;
    int64_t part, whole; // failures or 429s, and requests; what is used, and the quota
    int64_t time_ns;     // when it expired, or when the ban ends (0: never)
} ez_finding;

// thresholds: with defaults. Each says whether the rule holds, and then fills out. Numbers that can't be (negative,
// more failures than requests) are taken as the nearest that can.
bool ez_rule_rate_limit(const Ez__V1__AlertThresholds *thresholds, int64_t master_id, const ez_rule_numbers *numbers,
                        ez_finding *out);
bool ez_rule_error_spike(const Ez__V1__AlertThresholds *thresholds, int64_t key_id, const ez_rule_numbers *numbers,
                         ez_finding *out);
bool ez_rule_provider_down(const Ez__V1__AlertThresholds *thresholds, int64_t api_key_id,
                           const ez_rule_numbers *numbers, ez_finding *out);
// limit ≤ 0: the key has none, or may do nothing; neither is trouble.
bool ez_rule_quota(const Ez__V1__AlertThresholds *thresholds, int64_t key_id, int64_t used, int64_t limit,
                   ez_finding *out);

// The window that a round looks at, unix seconds, whole minutes: the ones before the present one, that one, and one
// more for data planes whose clocks are ahead.
void ez_rule_window(const Ez__V1__AlertThresholds *thresholds, int64_t now_s, int64_t *since_s, int64_t *until_s);
// The first whole minute that has nothing of before time_ns.
int64_t ez_rule_minute_after(int64_t time_ns);
