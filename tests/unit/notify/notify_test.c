// SPDX-License-Identifier: Apache-2.0
//
// From what is noted to what receivers on loopback get: routes, groups, and receivers that are wrong.
#include "server/domain/alerts/notify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/crypto/hash.h"
#include "proto/runtime/clock.h"
#include "tests/unit/notify/world.h"

#define MINUTE   60000u
#define CRITICAL EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_CRITICAL
#define INFO     EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_INFO

static const ez_test_answer ok[] = {OK_ANSWER};
static notify_world w;

static void begin(void) {
    given_notify_world(&w, "127.0.0.1");
}

static void end(void) {
    end_notify_world(&w);
}

TestSuite(notify, .init = begin, .fini = end, .timeout = 60);

static void given_hook(ez_test_receiver *receiver) {
    given_channels(&w, "[{'name':'hook','kind':'webhook','url':'%s','secret':'" SECRET "'}]",
                   receiver_url(receiver, "/hook"));
}

static void expect_part(ez_test_receiver *receiver, size_t i, const char *part) {
    cr_assert_not_null(strstr(receiver_body(receiver, i), part), "%s is not in %.2000s", part,
                       receiver_body(receiver, i));
}

static size_t parts(ez_test_receiver *receiver, size_t i, const char *part) {
    size_t found = 0;
    for (const char *at = receiver_body(receiver, i); (at = strstr(at, part)) != NULL; at++)
        found++;
    return found;
}

static void expect_signed(ez_test_receiver *receiver, size_t i) {
    const char *body = receiver_body(receiver, i), *timestamp = receiver_header(receiver, i, "X-EZ-Timestamp");
    size_t size = strlen(body) + 64;
    char *text = malloc(size), want[7 + 2 * EZ_SHA256_LEN + 1] = "sha256=";
    uint8_t mac[EZ_SHA256_LEN];
    snprintf(text, size, "%s.%s", timestamp, body);
    ez_hmac_sha256(SECRET, strlen(SECRET), text, strlen(text), mac);
    ez_hex(mac, sizeof mac, want + 7);
    cr_assert_str_eq(receiver_header(receiver, i, "X-EZ-Signature"), want);
    free(text);
}

// ---- Groups

// Long before the group's time is over.
Test(notify, the_first_is_told_soon) {
    ez_test_receiver *receiver = given_receiver(ok, 1);
    given_hook(receiver);
    pass_ms(&w, 250);
    uint64_t began = ez_clock_mono_ms();
    note(&w, "created", (alert){.id = 1, .title = "quota"});
    while (receiver_count(receiver) == 0 && ez_clock_mono_ms() < began + 10000) {
        ez_alert_notifier_tick(w.notifier, ez_clock_mono_ms()); // as the timer does, but more often
    }
    expect_signed(receiver, 0);
    expect_part(receiver, 0, "\"channel\":\"hook\",\"count\":1");
    expect_part(receiver, 0, "\"title\":\"quota\"");
    end_receiver(receiver);
}

Test(notify, five_hundred_in_a_minute_are_two_messages) {
    ez_test_receiver *hook = given_receiver(ok, 1), *slack = given_receiver(ok, 1);
    given_channels(&w,
                   "[{'name':'hook','kind':'webhook','url':'http://127.0.0.1:%u/','secret':'" SECRET
                   "'},{'name':'slack','kind':'slack','url':'http://127.0.0.1:%u/services/T0/B0/x'}]",
                   receiver_port(hook), receiver_port(slack));
    for (int64_t id = 1; id <= 500; id++) {
        note(&w, "created", (alert){.id = id, .severity = id == 400 ? CRITICAL : 0});
        if (id % 5 == 0)
            pass_ms(&w, 500);
        if (id == 15)
            expect_soon(receiver_count(hook) == 1 && receiver_count(slack) == 1);
    }
    uint64_t deadline = ez_test_deadline();
    while ((receiver_count(hook) < 2 || receiver_count(slack) < 2) && ez_test_before(deadline))
        pass_ms(&w, 1500);
    expect_part(hook, 0, "\"count\":15,");
    expect_part(hook, 1, "\"count\":485,");
    expect_part(hook, 1, "\"more\":385}");
    cr_assert_eq(parts(hook, 1, "\"fingerprint\""), 100);
    expect_part(hook, 1, "\"alerts\":[{\"event\":\"created\",\"alert\":{\"id\":400,");
    expect_part(slack, 1, "485 alerts\\n• *critical*");
    expect_part(slack, 1, "… and 465 more");
    pass_ms(&w, 10 * MINUTE);
    cr_assert_eq(receiver_connections(hook), 2);
    end_receiver(hook);
    end_receiver(slack);
}

Test(notify, five_hundred_within_a_second_are_one_message) {
    ez_test_receiver *receiver = given_receiver(ok, 1);
    given_hook(receiver);
    for (int64_t id = 1; id <= 500; id++) {
        note(&w, "created", (alert){.id = id});
        if (id % 125 == 0)
            pass_ms(&w, 250);
    }
    pass_ms(&w, 750);
    expect_soon(receiver_count(receiver) == 1);
    expect_part(receiver, 0, "\"count\":500,");
    pass_ms(&w, 10 * MINUTE);
    cr_assert_eq(receiver_connections(receiver), 1);
    end_receiver(receiver);
}

Test(notify, a_flood_between_two_ticks_is_counted) {
    ez_test_receiver *receiver = given_receiver(ok, 1);
    given_hook(receiver);
    pass_ms(&w, 250);
    for (int64_t id = 1; id <= EZ_NOTIFY_INBOX_MAX + 234; id++)
        note(&w, "created", (alert){.id = id});
    pass_ms(&w, 1500);
    expect_soon(receiver_count(receiver) == 1);
    expect_part(receiver, 0, "\"count\":1234,");
    end_receiver(receiver);
}

Test(notify, open_ones_come_as_fast_as_an_alertmanager_takes_them) {
    ez_test_receiver *receiver = given_receiver(ok, 1);
    given_channels(&w, "[{'name':'am','kind':'alertmanager','url':'%s'}]", receiver_url(receiver, "/"));
    pass_ms(&w, 250);
    cr_assert(ez_alert_notifier_has_room(w.notifier, w.now_ms));
    for (int64_t id = 1; id <= 400; id++)
        note(&w, "open", (alert){.id = id});
    cr_assert_not(ez_alert_notifier_has_room(w.notifier, w.now_ms), "the inbox is full of them");
    pass_ms(&w, 250);
    cr_assert_not(ez_alert_notifier_has_room(w.notifier, w.now_ms), "the channel is");
    pass_ms(&w, 1250);
    expect_soon(receiver_count(receiver) == 1);
    cr_assert(ez_alert_notifier_has_room(w.notifier, w.now_ms));
    note(&w, "resolved", (alert){.id = 1}); // while the group's time runs
    for (int64_t id = 1; id <= 400; id++)
        note(&w, "open", (alert){.id = id});
    uint64_t deadline = ez_test_deadline(), began = w.now_ms;
    while (receiver_count(receiver) < 2 && ez_test_before(deadline) && w.now_ms < began + MINUTE / 2) {
        pass_ms(&w, 250);
        ez_delivery_await(w.deliverer, 1000);
    }
    cr_assert_eq(receiver_count(receiver), 2);
    end_receiver(receiver);
}

// ---- Routes

Test(notify, each_channel_is_told_what_it_wants) {
    ez_test_receiver *bad = given_receiver(ok, 1), *quota = given_receiver(ok, 1), *off = given_receiver(ok, 1);
    given_channels(&w,
                   "[{'name':'bad','kind':'slack','url':'http://127.0.0.1:%u/','severities':['critical']},"
                   "{'name':'quota','kind':'slack','url':'http://127.0.0.1:%u/','types':['quota_exceeded'],"
                   "'send_resolved':false},"
                   "{'name':'off','kind':'slack','url':'http://127.0.0.1:%u/','enabled':false}]",
                   receiver_port(bad), receiver_port(quota), receiver_port(off));
    note(&w, "created", (alert){.id = 1, .severity = CRITICAL, .title = "one"});
    note(&w, "created",
         (alert){.id = 2, .type = EZ__V1__ALERT_TYPE__ALERT_TYPE_QUOTA_EXCEEDED, .severity = INFO, .title = "two"});
    note(&w, "resolved",
         (alert){.id = 3, .type = EZ__V1__ALERT_TYPE__ALERT_TYPE_QUOTA_EXCEEDED, .severity = INFO, .title = "three"});
    note(&w, "nonsense", (alert){.id = 4, .severity = CRITICAL});
    pass_ms(&w, 1500);
    expect_soon(receiver_count(bad) == 1 && receiver_count(quota) == 1);
    expect_part(bad, 0, ": 1 alert\\n• *critical* custom: one");
    expect_part(quota, 0, ": 1 alert\\n• *info* quota_exceeded: two");
    cr_assert_eq(receiver_connections(off), 0);
    end_receiver(bad);
    end_receiver(quota);
    end_receiver(off);
}

Test(notify, without_channels_nothing_is_kept) {
    for (int64_t id = 1; id <= 10; id++)
        note(&w, "created", (alert){.id = id});
    pass_ms(&w, 1500);
    ez_test_receiver *receiver = given_receiver(ok, 1);
    given_hook(receiver);
    pass_ms(&w, 2 * MINUTE);
    note(&w, "created", (alert){.id = 11});
    pass_ms(&w, 1500);
    expect_soon(receiver_count(receiver) == 1);
    expect_part(receiver, 0, "\"count\":1,");
    end_receiver(receiver);
}

// ---- Receivers that are wrong

Test(notify, one_that_was_away_is_told_all_of_it_at_once) {
    static const ez_test_answer answers[] = {BROKEN, OK_ANSWER};
    ez_test_receiver *receiver = given_receiver(answers, 2);
    given_hook(receiver);
    note(&w, "created", (alert){.id = 1, .title = "one"});
    pass_ms(&w, 1500);
    expect_soon(receiver_count(receiver) == 1);
    note(&w, "created", (alert){.id = 2, .title = "two"});
    note(&w, "resolved", (alert){.id = 1, .title = "one"});
    // Its outcome takes an instant to be there; only then can it be taken back.
    uint64_t deadline = ez_test_deadline();
    while (receiver_count(receiver) == 1 && ez_test_before(deadline))
        pass_ms(&w, MINUTE);
    cr_assert_eq(receiver_count(receiver), 2);
    expect_part(receiver, 1, "\"count\":2,");
    cr_assert_eq(parts(receiver, 1, "\"event\":\"resolved\""), 1, "as it is now");
    repeat_now(&w);
    pass_ms(&w, 5 * MINUTE);
    cr_assert_eq(receiver_count(receiver), 2, "the first message is not repeated");
    end_receiver(receiver);
}

Test(notify, a_repetition_is_the_same_message) {
    static const ez_test_answer answers[] = {BROKEN, OK_ANSWER};
    ez_test_receiver *receiver = given_receiver(answers, 2);
    given_hook(receiver);
    note(&w, "created", (alert){.id = 1});
    pass_ms(&w, 1500);
    uint64_t deadline = ez_test_deadline();
    while (receiver_count(receiver) < 2 && ez_test_before(deadline))
        repeat_now(&w);
    cr_assert_str_eq(receiver_body(receiver, 1), receiver_body(receiver, 0));
    char id[32];
    snprintf(id, sizeof id, "%s", receiver_header(receiver, 0, "X-EZ-Delivery"));
    cr_assert_str_eq(receiver_header(receiver, 1, "X-EZ-Delivery"), id);
    end_receiver(receiver);
}

Test(notify, fault_50_a_redirect_to_a_private_address_is_the_end_of_its_message_only) {
    static const ez_test_answer answers[] = {
        {.data = "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/\r\nContent-Length: 0\r\n\r\n"},
        OK_ANSWER};
    ez_test_receiver *receiver = given_receiver(answers, 2);
    given_hook(receiver);
    note(&w, "created", (alert){.id = 1, .title = "one"});
    pass_ms(&w, 1500);
    expect_soon(receiver_count(receiver) == 1);
    pass_ms(&w, 2 * MINUTE);
    repeat_now(&w);
    cr_assert_eq(receiver_count(receiver), 1);
    uint64_t deadline = ez_test_deadline();
    for (int64_t id = 2; receiver_count(receiver) == 1 && ez_test_before(deadline); id++) {
        note(&w, "created", (alert){.id = id, .title = "two"});
        pass_ms(&w, MINUTE);
    }
    cr_assert_eq(parts(receiver, 1, "\"title\":\"one\""), 0);
    end_receiver(receiver);
}

Test(notify, fault_53_one_that_hangs_or_never_ends_holds_no_other_up) {
    static const ez_test_answer hang[] = {{.hangs = true}};
    static const ez_test_answer endless[] = {{.data = "HTTP/1.1 200 OK\r\n\r\nxxxxxxxxxxxxxxxx", .again = 16}};
    ez_test_receiver *dead = given_receiver(hang, 1), *loud = given_receiver(endless, 1),
                     *alive = given_receiver(ok, 1);
    given_channels(&w,
                   "[{'name':'dead','kind':'slack','url':'http://127.0.0.1:%u/'},"
                   "{'name':'loud','kind':'slack','url':'http://127.0.0.1:%u/'},"
                   "{'name':'alive','kind':'slack','url':'http://127.0.0.1:%u/'}]",
                   receiver_port(dead), receiver_port(loud), receiver_port(alive));
    for (int64_t id = 1; id <= 5; id++) {
        note(&w, "created", (alert){.id = id});
        uint64_t deadline = ez_test_deadline();
        while ((receiver_count(alive) < (size_t)id || receiver_count(loud) < (size_t)id) && ez_test_before(deadline))
            pass_ms(&w, MINUTE);
        cr_assert_eq(receiver_count(alive), (size_t)id);
    }
    cr_assert_eq(receiver_connections(dead), 1, "one message of a channel is under way");
    ez_outbound_stop(w.outbound);
    end_receiver(dead);
    end_receiver(loud);
    end_receiver(alive);
}

// ---- Changes

Test(notify, a_channel_that_is_set_right_is_told_what_waits) {
    static const ez_test_answer broken[] = {BROKEN};
    ez_test_receiver *wrong = given_receiver(broken, 1), *right = given_receiver(ok, 1);
    given_hook(wrong);
    note(&w, "created", (alert){.id = 1, .title = "one"});
    pass_ms(&w, 1500);
    expect_soon(receiver_count(wrong) == 1);
    given_hook(right);
    uint64_t deadline = ez_test_deadline();
    while (receiver_count(right) == 0 && ez_test_before(deadline))
        pass_ms(&w, MINUTE);
    expect_part(right, 0, "\"title\":\"one\"");
    repeat_now(&w);
    cr_assert_eq(receiver_count(wrong), 1);
    end_receiver(wrong);
    end_receiver(right);
}

Test(notify, a_channel_that_is_removed_is_told_no_more) {
    static const ez_test_answer broken[] = {BROKEN};
    ez_test_receiver *receiver = given_receiver(broken, 1);
    given_hook(receiver);
    note(&w, "created", (alert){.id = 1});
    pass_ms(&w, 1500);
    expect_soon(receiver_count(receiver) == 1);
    given_channels(&w, "[]");
    pass_ms(&w, 2 * MINUTE);
    note(&w, "created", (alert){.id = 2});
    pass_ms(&w, 2 * MINUTE);
    repeat_now(&w);
    cr_assert_eq(receiver_count(receiver), 1);
    end_receiver(receiver);
}

Test(notify, a_stop_tells_what_waits) {
    ez_test_receiver *receiver = given_receiver(ok, 1);
    given_hook(receiver);
    note(&w, "created", (alert){.id = 1});
    pass_ms(&w, 1500);
    expect_soon(receiver_count(receiver) == 1);
    note(&w, "created", (alert){.id = 2, .title = "last words"});
    ez_alert_notifier_flush(w.notifier);
    ez_delivery_await(w.deliverer, 2000);
    uint64_t deadline = ez_test_deadline();
    while (receiver_count(receiver) == 1 && ez_test_before(deadline))
        ez_alert_notifier_flush(w.notifier); // the first one's outcome was not there yet
    expect_part(receiver, 1, "last words");
    end_receiver(receiver);
}

// ---- The setting

Test(notify, what_is_wrong_in_a_channel_is_said) {
    static const struct {
        const char *channels, *part;
    } cases[] = {
        {"[{'kind':'slack','url':'https://a.example/'}]", "channels[0].name"},
        {"[{'name':'a','url':'https://a.example/'}]", "channels[0].kind"},
        {"[{'name':'a','kind':'slack'}]", "channels[0].url"},
        {"[{'name':'a','kind':'slack','url':'https://10.0.0.1/'}]", "EZ_OUTBOUND_ALLOW"},
        {"[{'name':'a','kind':'slack','url':'http://a.example/'}]", "https"},
        {"[{'name':'a','kind':'webhook','url':'https://a.example/'}]", "channels[0].secret"},
        {"[{'name':'a','kind':'webhook','url':'https://a.example/','secret':'short'}]", "secret"},
        {"[{'name':'a','kind':'slack','url':'https://a.example/','secret':'" SECRET "'}]", "channels[0].secret"},
        {"[{'name':'a','kind':'alertmanager','url':'https://a.example/?x'}]", "channels[0].url"},
        {"[{'name':'a','kind':'alertmanager','url':'https://a.example/api/v2/alerts'}]", "leave out /api/v2/alerts"},
        {"[{'name':'a','kind':'alertmanager','url':'https://a.example/am/api/v2/alerts//'}]", "leave out"},
        {"[{'name':'a','kind':'slack','url':'https://a.example/'},"
         "{'name':'a','kind':'alertmanager','url':'https://a.example/'}]",
         "channels[1].name"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert_eq(set_channels(&w, "%s", cases[i].channels), EZ_INVALID_ARGUMENT, "%s", cases[i].channels);
        cr_assert_not_null(strstr(last_message, cases[i].part), "%s: %s", cases[i].channels, last_message);
    }
}

// Its reason came without a field, so that a page of sixteen channels could not show where.
Test(notify, a_url_that_is_not_allowed_is_named) {
    const char *good = "{'name':'good','kind':'slack','url':'https://a.example/'}";
    cr_assert_eq(set_channels(&w, "[%s,{'name':'a','kind':'slack','url':'https://10.0.0.1/'}]", good),
                 EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(last_reason, "URL_NOT_ALLOWED");
    cr_assert_str_eq(last_field, "notifications.channels[1].url");
    cr_assert_not_null(strstr(last_message, "can let it through"), "%s", last_message);
    cr_assert_eq(set_channels(&w, "[%s,{'name':'a','kind':'slack','url':'http://a.example/'}]", good),
                 EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(last_reason, "URL_NOT_HTTPS");
    cr_assert_str_eq(last_field, "notifications.channels[1].url");
}

// The path is only taken off where it ends the URL.
Test(notify, an_alertmanager_may_be_below_a_path) {
    given_channels(&w, "[{'name':'a','kind':'alertmanager','url':'https://a.example/api/v2/alerts/base'},"
                       "{'name':'b','kind':'slack','url':'https://a.example/api/v2/alerts'}]");
}

Test(notify, secrets_stay_with_their_name_and_kind) {
    ez_test_receiver *receiver = given_receiver(ok, 1);
    given_hook(receiver);
    given_channels(&w, "[{'name':'hook','kind':'webhook'}]");
    note(&w, "created", (alert){.id = 1});
    pass_ms(&w, 1500);
    expect_soon(receiver_count(receiver) == 1);
    expect_signed(receiver, 0);
    cr_assert_eq(set_channels(&w, "[{'name':'hook','kind':'slack'}]"), EZ_INVALID_ARGUMENT);
    cr_assert_eq(set_channels(&w, "[{'name':'hook2','kind':'webhook'}]"), EZ_INVALID_ARGUMENT);
    end_receiver(receiver);
}
