// SPDX-License-Identifier: Apache-2.0
//
// The rules, at their bounds, and what an alert says of them.
#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>

#include "server/domain/alerts/detector_words.h"

static Ez__V1__AlertThresholds defaults(void) {
    Ez__V1__AlertThresholds t = EZ__V1__ALERT_THRESHOLDS__INIT;
    t.window_minutes = 5;
    t.rate_limit = t.error_spike = t.quota_exceeded = t.provider_down = t.key_expired = true;
    t.rate_limit_hits = 1;
    t.error_spike_percent = 10;
    t.error_spike_requests = 20;
    t.quota_exceeded_percent = 90;
    t.provider_down_percent = 50;
    t.provider_down_requests = 10;
    return t;
}

static bool spikes(int64_t requests, int64_t errors) {
    Ez__V1__AlertThresholds t = defaults();
    ez_rule_numbers numbers = {.requests = requests, .errors = errors};
    ez_finding finding;
    return ez_rule_error_spike(&t, 7, &numbers, &finding);
}

static bool is_down(int64_t requests, int64_t errors) {
    Ez__V1__AlertThresholds t = defaults();
    ez_rule_numbers numbers = {.requests = requests, .errors = errors};
    ez_finding finding;
    return ez_rule_provider_down(&t, 7, &numbers, &finding);
}

Test(detector_rules, a_tenth_of_twenty_requests_is_an_error_spike) {
    cr_assert(spikes(20, 2));
    cr_assert_not(spikes(20, 1));
    cr_assert_not(spikes(19, 19), "too few to be judged");
    cr_assert_not(spikes(0, 0));
    cr_assert_not(spikes(INT64_MAX, 5));
    cr_assert(spikes(INT64_C(4000000000000000000), INT64_C(4000000000000000000)));
    cr_assert(spikes(20, 40), "more failures than requests are all of them");
    cr_assert_not(spikes(-5, -5));
}

Test(detector_rules, half_of_ten_requests_is_a_provider_that_is_down) {
    cr_assert(is_down(10, 5));
    cr_assert_not(is_down(10, 4));
    cr_assert_not(is_down(9, 9), "too few to be judged");
    cr_assert(is_down(1000, 1000));
}

Test(detector_rules, a_percentage_may_have_a_fraction) {
    Ez__V1__AlertThresholds t = defaults();
    ez_finding finding;
    t.error_spike_percent = 2.5;
    cr_assert(ez_rule_error_spike(&t, 7, &(ez_rule_numbers){.requests = 1000, .errors = 25}, &finding));
    cr_assert_not(ez_rule_error_spike(&t, 7, &(ez_rule_numbers){.requests = 1000, .errors = 24}, &finding));
    t.error_spike_percent = 100;
    cr_assert(ez_rule_error_spike(&t, 7, &(ez_rule_numbers){.requests = 1000, .errors = 1000}, &finding));
    cr_assert_not(ez_rule_error_spike(&t, 7, &(ez_rule_numbers){.requests = 1000, .errors = 999}, &finding));
}

Test(detector_rules, a_quota_is_told_at_nine_tenths_and_critical_when_it_is_used_up) {
    Ez__V1__AlertThresholds t = defaults();
    ez_finding finding;
    cr_assert_not(ez_rule_quota(&t, 7, 899, 1000, &finding));
    cr_assert(ez_rule_quota(&t, 7, 900, 1000, &finding));
    cr_assert_eq(finding.severity, EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_WARNING);
    cr_assert(ez_rule_quota(&t, 7, 1000, 1000, &finding));
    cr_assert_eq(finding.severity, EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_CRITICAL);
    cr_assert(ez_rule_quota(&t, 7, 1500, 1000, &finding));
    cr_assert_eq(finding.part, 1500, "what came in at once is not hidden");
    cr_assert_not(ez_rule_quota(&t, 7, 1000, -1, &finding), "without a limit");
    cr_assert_not(ez_rule_quota(&t, 7, 0, 0, &finding), "a key that may do nothing is meant so");
}

Test(detector_rules, a_master_is_told_from_its_first_refusal_on) {
    Ez__V1__AlertThresholds t = defaults();
    ez_finding finding;
    cr_assert_not(ez_rule_rate_limit(&t, 7, &(ez_rule_numbers){.requests = 100}, &finding));
    cr_assert(ez_rule_rate_limit(&t, 7, &(ez_rule_numbers){.requests = 100, .rate_limited = 1}, &finding));
    t.rate_limit_hits = 50;
    cr_assert_not(ez_rule_rate_limit(&t, 7, &(ez_rule_numbers){.requests = 100, .rate_limited = 49}, &finding));
    cr_assert(ez_rule_rate_limit(&t, 7, &(ez_rule_numbers){.requests = 100, .rate_limited = 50}, &finding));
}

Test(detector_rules, what_is_switched_off_never_holds) {
    Ez__V1__AlertThresholds t = defaults();
    ez_rule_numbers bad = {.requests = 100, .errors = 100, .rate_limited = 100};
    ez_finding finding;
    t.rate_limit = t.error_spike = t.quota_exceeded = t.provider_down = t.key_expired = false;
    cr_assert_not(ez_rule_rate_limit(&t, 7, &bad, &finding));
    cr_assert_not(ez_rule_error_spike(&t, 7, &bad, &finding));
    cr_assert_not(ez_rule_provider_down(&t, 7, &bad, &finding));
    cr_assert_not(ez_rule_quota(&t, 7, 100, 100, &finding));
    for (int rule = 0; rule < EZ_RULES; rule++)
        cr_assert_eq(ez_rule_is_on((ez_rule)rule, &t), rule == EZ_RULE_KEY_DISABLED);
}

Test(detector_rules, a_window_is_whole_minutes_and_the_present_one) {
    Ez__V1__AlertThresholds t = defaults();
    int64_t since_s, until_s;
    ez_rule_window(&t, 1800000059, &since_s, &until_s);
    cr_assert_eq(since_s, 1800000000 - 300);
    cr_assert_eq(until_s, 1800000000 + 120, "and one of clocks that are ahead");
    ez_rule_window(&t, 1800000060, &since_s, &until_s);
    cr_assert_eq(since_s, 1800000060 - 300);
    cr_assert_eq(ez_rule_minute_after(1800000000 * INT64_C(1000000000)), 1800000000);
    cr_assert_eq(ez_rule_minute_after(1800000000 * INT64_C(1000000000) + 1), 1800000060);
}

static void expect_said(const ez_finding *finding, const char *part, const char *field, double value) {
    Ez__V1__AlertThresholds t = defaults();
    ez_finding_text text;
    ez_alert_report report;
    ez_finding_report(finding, &t, &text, &report);
    cr_assert(strstr(report.message, part), "%s", report.message);
    cr_assert_lt(strlen(report.message) + 1, sizeof text.message, "it was not cut");
    json_t *json = json_loads(report.metadata, 0, NULL);
    cr_assert_not_null(json, "%s", report.metadata);
    cr_assert(field == NULL || json_number_value(json_object_get(json, field)) == value, "%s", report.metadata);
    json_decref(json);
    cr_assert_eq(report.related_id, finding->id);
    cr_assert(report.title[0] && report.related_type[0]);
}

Test(detector_rules, the_title_says_whether_a_quota_is_used_up) {
    Ez__V1__AlertThresholds t = defaults();
    ez_finding_text text;
    ez_alert_report report;
    ez_finding finding = {.rule = EZ_RULE_QUOTA_EXCEEDED, .id = 7, .part = 95, .whole = 100};
    ez_finding_report(&finding, &t, &text, &report);
    cr_assert_str_eq(report.title, "A key's quota is running out");
    finding.part = 100;
    ez_finding_report(&finding, &t, &text, &report);
    cr_assert_str_eq(report.title, "A key's quota is used up");
}

Test(detector_rules, alerts_say_numbers_and_what_to_do) {
    int64_t id = INT64_MAX - 1;
    expect_said(&(ez_finding){.rule = EZ_RULE_ERROR_SPIKE, .id = id, .part = 7, .whole = 20}, "35.0 % of 20 requests",
                "rate", 0.35);
    expect_said(&(ez_finding){.rule = EZ_RULE_PROVIDER_DOWN, .id = id, .part = 7, .whole = 10}, "api_key_id=", "errors",
                7);
    expect_said(&(ez_finding){.rule = EZ_RULE_RATE_LIMIT, .id = id, .part = INT64_MAX, .whole = INT64_MAX},
                "global_qps", "window_seconds", 300);
    expect_said(&(ez_finding){.rule = EZ_RULE_QUOTA_EXCEEDED, .id = id, .part = 95, .whole = 100},
                "95.0 % of the quota", "threshold", 0.9);
    expect_said(&(ez_finding){.rule = EZ_RULE_QUOTA_EXCEEDED, .id = id, .part = 100, .whole = 100}, "is used up",
                "limit", 100);
    int64_t time_ns = INT64_C(1800000000000000000);
    expect_said(&(ez_finding){.rule = EZ_RULE_KEY_EXPIRED, .id = id, .time_ns = time_ns}, "2027-01-15T08:00:00Z", NULL,
                0);
    expect_said(&(ez_finding){.rule = EZ_RULE_API_KEY_EXPIRED, .id = id, .time_ns = time_ns}, "refresh token", NULL, 0);
    expect_said(&(ez_finding){.rule = EZ_RULE_KEY_DISABLED, .id = id, .time_ns = time_ns}, "until 2027-01-15", NULL, 0);
    expect_said(&(ez_finding){.rule = EZ_RULE_KEY_DISABLED, .id = id}, "until it is unbanned", NULL, 0);
}
