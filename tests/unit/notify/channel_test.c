// SPDX-License-Identifier: Apache-2.0
//
// When a channel is told, by the clock that the test gives.
#include "server/domain/alerts/notify_channel.h"

#include <string.h>

#include "tests/support/wait.h"

#define GROUP    60000
#define NOON     1000000u
#define WEBHOOK  EZ__V1__NOTIFICATION_KIND__NOTIFICATION_KIND_WEBHOOK
#define AM       EZ__V1__NOTIFICATION_KIND__NOTIFICATION_KIND_ALERTMANAGER
#define WARNING  EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_WARNING
#define CRITICAL EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_CRITICAL

static ez_notify_channel channel;
static ez_notify_receiver receiver;

static void begin(void) {
    receiver = (ez_notify_receiver){.name = "a",
                                    .kind = WEBHOOK,
                                    .is_enabled = true,
                                    .sends_resolved = true,
                                    .severities = UINT32_MAX,
                                    .types = UINT32_MAX};
    ez_notify_channel_init(&channel, &receiver);
}

static void end(void) {
    ez_notify_channel_fini(&channel);
}

TestSuite(notify_channel, .init = begin, .fini = end);

static void note_as(ez_notice_event event, int64_t id, Ez__V1__AlertSeverity severity, uint64_t at_ms) {
    Ez__V1__Alert alert = EZ__V1__ALERT__INIT;
    alert.id = id;
    alert.severity = severity;
    alert.type = EZ__V1__ALERT_TYPE__ALERT_TYPE_CUSTOM;
    ez_notice *notice = ez_notice_create(event, &alert, NULL);
    cr_assert_not_null(notice);
    ez_notify_channel_note(&channel, &receiver, notice, NOON + at_ms);
    ez_notice_release(notice);
}

static void created(int64_t id, uint64_t at_ms) {
    note_as(EZ_NOTICE_CREATED, id, WARNING, at_ms);
}

static ez_notify_step step(uint64_t at_ms) {
    return ez_notify_channel_step(&channel, NOON + at_ms, GROUP, false);
}

static void send(uint64_t at_ms, ez_notify_outcome outcome) {
    ez_notify_channel_sending(&channel, channel.pending.count, NOON + at_ms, GROUP);
    ez_notify_channel_sent(&channel, 7);
    if (outcome != EZ_NOTIFY_NONE)
        ez_notify_channel_conclude(&channel, outcome);
}

Test(notify_channel, the_first_of_a_quiet_time_goes_at_once_with_its_companions) {
    created(1, 0);
    cr_assert_eq(step(0), EZ_NOTIFY_WAIT);
    created(2, 250);
    cr_assert_eq(step(EZ_NOTIFY_GATHER_MS - 1), EZ_NOTIFY_WAIT);
    cr_assert_eq(step(EZ_NOTIFY_GATHER_MS), EZ_NOTIFY_SEND);
    cr_assert_eq(channel.pending.count, 2);
}

Test(notify_channel, what_follows_waits_for_the_group) {
    created(1, 0);
    send(500, EZ_NOTIFY_DELIVERED);
    created(2, 600);
    cr_assert_eq(step(10000), EZ_NOTIFY_WAIT);
    created(3, 50000);
    cr_assert_eq(step(500 + GROUP - 1), EZ_NOTIFY_WAIT);
    cr_assert_eq(step(500 + GROUP), EZ_NOTIFY_SEND);
    cr_assert_eq(channel.pending.count, 2);
    send(500 + GROUP, EZ_NOTIFY_DELIVERED);
    cr_assert_eq(step(500 + 3 * GROUP), EZ_NOTIFY_WAIT, "nothing happened");
    created(4, 500 + 3 * GROUP);
    cr_assert_eq(step(500 + 3 * GROUP + EZ_NOTIFY_GATHER_MS), EZ_NOTIFY_SEND, "it was quiet");
}

Test(notify_channel, one_message_is_under_way_and_the_next_is_about_both) {
    created(1, 0);
    send(500, EZ_NOTIFY_NONE);
    created(2, 1000);
    cr_assert_eq(step(500 + GROUP - 1), EZ_NOTIFY_WAIT);
    cr_assert_eq(step(500 + GROUP), EZ_NOTIFY_TAKE_BACK);
    cr_assert_eq(step(600 + GROUP), EZ_NOTIFY_TAKE_BACK, "it was in flight, and could not be");
    ez_notify_channel_taken_back(&channel);
    cr_assert_eq(channel.pending.count, 2);
    cr_assert_eq(step(600 + GROUP), EZ_NOTIFY_SEND);
}

Test(notify_channel, what_was_lost_goes_into_the_next_one_and_what_was_refused_does_not) {
    created(1, 0);
    send(500, EZ_NOTIFY_LOST);
    cr_assert_eq(step(1000), EZ_NOTIFY_WAIT);
    cr_assert_eq(channel.pending.count, 1);
    cr_assert_eq(step(1000 + GROUP), EZ_NOTIFY_SEND);
    send(1000 + GROUP, EZ_NOTIFY_REFUSED);
    cr_assert_eq(step(9 * GROUP), EZ_NOTIFY_WAIT);
    cr_assert_eq(channel.pending.count, 0);
}

Test(notify_channel, the_rest_of_a_large_message_follows_when_it_is_over) {
    created(1, 0);
    created(2, 0);
    ez_notify_channel_sending(&channel, 1, NOON + 500, GROUP);
    cr_assert_eq(channel.pending.count, 1);
    cr_assert_eq(step(1000), EZ_NOTIFY_WAIT, "it does not take the first part back");
    ez_notify_channel_conclude(&channel, EZ_NOTIFY_DELIVERED);
    cr_assert_eq(step(1500), EZ_NOTIFY_SEND);
}

Test(notify_channel, at_the_end_nothing_waits) {
    created(1, 0);
    send(500, EZ_NOTIFY_DELIVERED);
    created(2, 600);
    cr_assert_eq(ez_notify_channel_step(&channel, NOON + 700, GROUP, true), EZ_NOTIFY_SEND);
}

Test(notify_channel, routes) {
    receiver.severities = 1u << CRITICAL;
    created(1, 0);
    cr_assert_eq(channel.pending.count, 0);
    note_as(EZ_NOTICE_REPEATED, 1, CRITICAL, 0);
    cr_assert_eq(channel.pending.count, 1, "it became worse");
    receiver.severities = UINT32_MAX;
    receiver.types = 1u << EZ__V1__ALERT_TYPE__ALERT_TYPE_RATE_LIMIT;
    created(2, 0);
    cr_assert_eq(channel.pending.count, 1);
    receiver.types = UINT32_MAX;
    receiver.is_enabled = false;
    created(3, 0);
    cr_assert_eq(channel.pending.count, 1);
}

Test(notify_channel, ends_and_acknowledgements) {
    receiver.sends_resolved = false;
    note_as(EZ_NOTICE_RESOLVED, 1, WARNING, 0);
    note_as(EZ_NOTICE_ACKNOWLEDGED, 1, WARNING, 0);
    note_as(EZ_NOTICE_OPEN, 1, WARNING, 0);
    cr_assert_eq(channel.pending.count, 0);
    created(1, 0);
    note_as(EZ_NOTICE_RESOLVED, 1, WARNING, 0);
    cr_assert_eq(channel.pending.items[0]->event, EZ_NOTICE_RESOLVED, "told as it is now");
    receiver.sends_resolved = true;
    note_as(EZ_NOTICE_DISMISSED, 2, WARNING, 0);
    cr_assert_eq(channel.pending.count, 2);
}

Test(notify_channel, an_alertmanager_hears_of_the_end_of_all_it_was_told) {
    channel.kind = receiver.kind = AM;
    receiver.severities = 1u << WARNING;
    ez_notify_told_put(&channel.told, 1, 1u << WARNING);
    note_as(EZ_NOTICE_RESOLVED, 1, CRITICAL, 0);
    note_as(EZ_NOTICE_RESOLVED, 2, CRITICAL, 0);
    cr_assert_eq(channel.pending.count, 1);
    note_as(EZ_NOTICE_OPEN, 3, WARNING, 0);
    cr_assert_eq(channel.pending.count, 2, "it forgets what it hears no more of");
}

Test(notify_channel, an_end_is_told_where_the_beginning_was) {
    receiver.severities = 1u << WARNING;
    created(1, 0);
    send(1250, EZ_NOTIFY_DELIVERED);
    cr_assert_eq(step(1500), EZ_NOTIFY_WAIT);
    note_as(EZ_NOTICE_REPEATED, 1, CRITICAL, 2000);
    cr_assert_eq(channel.pending.count, 0);
    note_as(EZ_NOTICE_RESOLVED, 1, CRITICAL, 3000);
    note_as(EZ_NOTICE_RESOLVED, 2, CRITICAL, 3000);
    cr_assert_eq(channel.pending.count, 1);
    send(70000, EZ_NOTIFY_DELIVERED);
    cr_assert_eq(step(70000), EZ_NOTIFY_WAIT);
    note_as(EZ_NOTICE_DELETED, 1, CRITICAL, 70000);
    cr_assert_eq(channel.pending.count, 0, "it was told already");
    created(3, 70000);
    send(140000, EZ_NOTIFY_DELIVERED);
    receiver.sends_resolved = false;
    note_as(EZ_NOTICE_RESOLVED, 3, CRITICAL, 140000);
    cr_assert_eq(channel.pending.count, 0);
}

static void open_ones(size_t count) {
    for (size_t i = 0; i < count; i++)
        note_as(EZ_NOTICE_OPEN, (int64_t)(1000 + i), WARNING, 0);
}

static bool has_room(uint64_t at_ms) {
    return ez_notify_channel_has_room(&channel, NOON + at_ms);
}

Test(notify_channel, open_ones_make_room_for_news) {
    cr_assert(has_room(0));
    channel.kind = receiver.kind = AM;
    open_ones(EZ_NOTIFY_OPEN_ROOM);
    cr_assert_not(has_room(0));
    open_ones(2 * EZ_NOTIFY_QUEUE_MAX);
    cr_assert_eq(channel.pending.count, EZ_NOTIFY_QUEUE_MAX - EZ_NOTIFY_CROWD);
    cr_assert_eq(channel.pending.dropped, 0);
    created(1, 0);
    cr_assert(ez_notify_queue_has(&channel.pending, 1));
}

Test(notify_channel, one_that_is_away_is_not_waited_for) {
    channel.kind = receiver.kind = AM;
    created(1, 0);
    send(0, EZ_NOTIFY_NONE);
    open_ones(EZ_NOTIFY_OPEN_ROOM);
    cr_assert_not(has_room(EZ_NOTIFY_STUCK_MS - 1));
    cr_assert(has_room(EZ_NOTIFY_STUCK_MS));
    ez_notify_channel_conclude(&channel, EZ_NOTIFY_REFUSED);
    cr_assert_eq(step(2000), EZ_NOTIFY_WAIT, "a crowd is no reason to ask it more often");
    cr_assert(has_room(2000));
    cr_assert_eq(step(GROUP), EZ_NOTIFY_SEND);
    send(GROUP, EZ_NOTIFY_DELIVERED);
    open_ones(EZ_NOTIFY_OPEN_ROOM);
    cr_assert_eq(step(GROUP + 2000), EZ_NOTIFY_SEND, "an Alertmanager groups by itself");
    cr_assert_not(has_room(GROUP + 2000));
}

Test(notify_channel, an_end_on_its_way_is_not_taken_back_by_what_was_read_before) {
    channel.kind = receiver.kind = AM;
    note_as(EZ_NOTICE_RESOLVED, 1, WARNING, 0);
    send(1250, EZ_NOTIFY_NONE);
    note_as(EZ_NOTICE_OPEN, 1, WARNING, 1300);
    cr_assert_eq(channel.pending.count, 0);
}
