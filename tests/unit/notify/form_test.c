// SPDX-License-Identifier: Apache-2.0
#include "server/domain/alerts/notify_form.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/expect.h"

#define NOW      (INT64_C(1750000000) * 1000000000)
#define WARNING  EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_WARNING
#define CRITICAL EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_CRITICAL

static ez_notice *notices[1000];
static size_t count;
static ez_buf out;
static ez_error error;

static void begin(void) {
    ez_buf_init(&out, EZ_NOTIFY_BODY_MAX);
}

static void end(void) {
    while (count > 0)
        ez_notice_release(notices[--count]);
    ez_buf_fini(&out);
}

TestSuite(notify_form, .init = begin, .fini = end);

static void given(ez_notice_event event, Ez__V1__AlertSeverity severity, const char *title, const char *message) {
    Ez__V1__Alert alert = EZ__V1__ALERT__INIT;
    Google__Protobuf__Timestamp first = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    first.seconds = NOW / 1000000000 - 60;
    alert.id = (int64_t)count + 1;
    alert.type = EZ__V1__ALERT_TYPE__ALERT_TYPE_QUOTA_EXCEEDED;
    alert.severity = severity;
    alert.title = (char *)title;
    alert.message = (char *)message;
    alert.related_type = (char *)"key";
    alert.related_id = 42;
    alert.related_name = (char *)"acme \"prod\"";
    alert.fingerprint = (char *)"f00d";
    alert.count = 3;
    alert.first_seen_at = &first;
    notices[count] = ez_notice_create(event, &alert, NULL);
    cr_assert_not_null(notices[count++]);
}

static ez_notify_message message(void) {
    return (ez_notify_message){.server_id = "s1",
                               .cluster = "prod",
                               .channel = "ops",
                               .now_ns = NOW,
                               .group_ms = 60000,
                               .notices = notices,
                               .count = count};
}

static const char *text(void) {
    const char *got = ez_buf_cstr(&out);
    cr_assert_not_null(got);
    return got;
}

static void expect_part(const char *part) {
    cr_assert_not_null(strstr(text(), part), "%s is not in %.2000s", part, text());
}

static size_t parts(const char *part) {
    size_t found = 0;
    for (const char *at = text(); (at = strstr(at, part)) != NULL; at++)
        found++;
    return found;
}

// ---- Webhooks

Test(notify_form, a_webhook_gets_the_alerts) {
    given(EZ_NOTICE_CREATED, CRITICAL, "quota", "used up");
    given(EZ_NOTICE_RESOLVED, WARNING, "quota", "");
    ez_notify_message of = message();
    expect_ok(ez_notify_form_webhook(&of, &out, &error), &error);
    expect_part("{\"event\":\"alerts\",\"sent_at\":\"2025-06-15T15:06:40Z\",\"server_id\":\"s1\",\"cluster\":\"prod\","
                "\"channel\":\"ops\",\"count\":2,\"alerts\":[{\"event\":\"created\",\"alert\":{\"id\":1,"
                "\"type\":\"quota_exceeded\",\"severity\":\"critical\"");
    expect_part("\"event\":\"resolved\"");
    expect_part("\"related_id\":42,\"related_name\":\"acme \\\"prod\\\"\"");
    expect_part("\"more\":0}");
}

Test(notify_form, a_webhook_gets_a_hundred_and_the_number_of_the_rest) {
    for (int i = 0; i < 500; i++)
        given(EZ_NOTICE_CREATED, WARNING, "quota", "used up");
    ez_notify_message of = message();
    of.dropped = 7;
    expect_ok(ez_notify_form_webhook(&of, &out, &error), &error);
    cr_assert_eq(parts("\"fingerprint\""), EZ_NOTIFY_LISTED);
    expect_part("\"count\":507");
    expect_part("\"more\":407}");
}

Test(notify_form, long_alerts_make_a_webhook_list_fewer) {
    char *long_text = malloc(4097);
    memset(long_text, 1, 4096); // six bytes each as JSON
    long_text[4096] = 0;
    for (int i = 0; i < 500; i++)
        given(EZ_NOTICE_CREATED, WARNING, long_text, long_text);
    ez_notify_message of = message();
    expect_ok(ez_notify_form_webhook(&of, &out, &error), &error);
    cr_assert_leq(out.len, EZ_NOTIFY_BODY_MAX);
    cr_assert_geq(parts("\"fingerprint\""), 10);
    expect_part("\"count\":500");
    free(long_text);
}

// ---- Slack

Test(notify_form, slack_gets_one_text_and_nobody_is_called) {
    given(EZ_NOTICE_CREATED, CRITICAL, "<!channel> a & b\n• forged", "see <https://evil.example|this>");
    given(EZ_NOTICE_RESOLVED, WARNING, "quota", "");
    ez_notify_message of = message();
    expect_ok(ez_notify_form_slack(&of, &out, &error), &error);
    cr_assert_str_eq(text(),
                     "{\"text\":\"ezplane prod: 2 alerts\\n• *critical* quota_exceeded: &lt;!channel&gt; a &amp; b "
                     "• forged — see &lt;https://evil.example|this&gt; (key 42 acme \\\"prod\\\"), 3 times\\n"
                     "• *warning* quota_exceeded _resolved_: quota (key 42 acme \\\"prod\\\"), 3 times\"}");
}

Test(notify_form, slack_gets_the_worst_and_how_many_more) {
    for (int i = 0; i < 500; i++)
        given(EZ_NOTICE_CREATED, WARNING, "quota", "used up");
    ez_notify_message of = message();
    expect_ok(ez_notify_form_slack(&of, &out, &error), &error);
    cr_assert_eq(parts("•"), EZ_NOTIFY_SLACK_LINES);
    expect_part("ezplane prod: 500 alerts");
    expect_part("… and 480 more");
}

Test(notify_form, slacks_text_is_bounded_whatever_stands_in_it) {
    char *long_text = malloc(4097);
    for (size_t i = 0; i < 4096; i++)
        long_text[i] = i % 2 ? '&' : '<';
    long_text[4096] = 0;
    for (int i = 0; i < 500; i++)
        given(EZ_NOTICE_CREATED, WARNING, long_text, long_text);
    ez_notify_message of = message();
    expect_ok(ez_notify_form_slack(&of, &out, &error), &error);
    cr_assert_leq(out.len, EZ_NOTIFY_SLACK_MAX + 64);
    expect_part(" more\"}");
    free(long_text);
}

Test(notify_form, a_test_says_so) {
    given(EZ_NOTICE_TEST, WARNING, "a test", "");
    ez_notify_message of = message();
    of.is_test = true;
    expect_ok(ez_notify_form_slack(&of, &out, &error), &error);
    expect_part("ezplane prod: a test\\n");
    ez_buf_clear(&out);
    expect_ok(ez_notify_form_webhook(&of, &out, &error), &error);
    expect_part("{\"event\":\"test\"");
    ez_buf_clear(&out);
    size_t taken;
    expect_ok(ez_notify_form_alertmanager(&of, NULL, &out, &taken, &error), &error);
    expect_part("\"alertname\":\"ezplane_test\"");
    expect_part("\"endsAt\":\"2025-06-15T15:07:40Z\"");
}

// ---- Alertmanager

Test(notify_form, an_alertmanager_gets_labels_that_stay) {
    given(EZ_NOTICE_CREATED, CRITICAL, "quota", "used up");
    ez_notify_message of = message();
    size_t taken;
    expect_ok(ez_notify_form_alertmanager(&of, NULL, &out, &taken, &error), &error);
    cr_assert_str_eq(text(),
                     "[{\"labels\":{\"source\":\"ezplane\",\"alertname\":\"quota_exceeded\",\"severity\":\"critical\","
                     "\"cluster\":\"prod\",\"related_type\":\"key\",\"related_id\":\"42\",\"related_name\":\"acme "
                     "\\\"prod\\\"\",\"fingerprint\":\"f00d\"},\"annotations\":{\"title\":\"quota\",\"message\":\"used "
                     "up\"},\"startsAt\":\"2025-06-15T15:05:40Z\",\"endsAt\":\"2025-06-15T15:38:40Z\"}]");
    cr_assert_eq(taken, 1);
}

Test(notify_form, an_end_is_now_and_of_every_severity_it_had) {
    static ez_notify_told told;
    size_t taken;
    given(EZ_NOTICE_CREATED, WARNING, "quota", "");
    ez_notify_message of = message();
    expect_ok(ez_notify_form_alertmanager(&of, &told, &out, &taken, &error), &error);
    cr_assert_eq(parts("startsAt"), 1);
    end();
    begin();
    given(EZ_NOTICE_REPEATED, CRITICAL, "quota", "");
    of = message();
    expect_ok(ez_notify_form_alertmanager(&of, &told, &out, &taken, &error), &error);
    cr_assert_eq(parts("startsAt"), 2);
    cr_assert_eq(parts("\"endsAt\":\"2025-06-15T15:06:40Z\""), 1);
    cr_assert_lt(strstr(text(), "critical"), strstr(text(), "warning"));
    end();
    begin();
    given(EZ_NOTICE_RESOLVED, CRITICAL, "quota", "");
    of = message();
    expect_ok(ez_notify_form_alertmanager(&of, &told, &out, &taken, &error), &error);
    cr_assert_eq(parts("startsAt"), 1);
    cr_assert_eq(parts("\"endsAt\":\"2025-06-15T15:06:40Z\""), 1);
    cr_assert_eq(ez_notify_told_get(&told, 1), 0);
}

Test(notify_form, what_another_server_told_is_ended_too) {
    static ez_notify_told told;
    size_t taken;
    given(EZ_NOTICE_REPEATED, CRITICAL, "quota", "");
    ez_notify_message of = message();
    expect_ok(ez_notify_form_alertmanager(&of, &told, &out, &taken, &error), &error);
    cr_assert_eq(parts("startsAt"), 3);
    cr_assert_eq(parts("\"endsAt\":\"2025-06-15T15:06:40Z\""), 2, "info and warning");
    cr_assert_eq(ez_notify_told_get(&told, 1), 1u << CRITICAL);
}

Test(notify_form, what_does_not_fit_is_left_for_the_next) {
    char *long_text = malloc(4097);
    memset(long_text, 1, 4096);
    long_text[4096] = 0;
    for (int i = 0; i < 1000; i++)
        given(EZ_NOTICE_CREATED, WARNING, long_text, long_text);
    ez_notify_message of = message();
    size_t taken;
    expect_ok(ez_notify_form_alertmanager(&of, NULL, &out, &taken, &error), &error);
    cr_assert_gt(taken, 100);
    cr_assert_lt(taken, 1000);
    cr_assert_eq(parts("startsAt"), taken);
    cr_assert_eq(text()[out.len - 1], ']');
    free(long_text);
}

Test(notify_told, the_newest_are_remembered) {
    static ez_notify_told told;
    for (int64_t id = 1; id <= EZ_NOTIFY_TOLD_MAX + 1; id++)
        ez_notify_told_put(&told, id, 2);
    cr_assert_eq(ez_notify_told_get(&told, 1), 0);
    cr_assert_eq(ez_notify_told_get(&told, 2), 2);
    ez_notify_told_put(&told, 2, 0);
    cr_assert_eq(ez_notify_told_get(&told, 2), 0);
}
