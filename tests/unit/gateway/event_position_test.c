// SPDX-License-Identifier: Apache-2.0
//
// Ids of events: what is written can be read, what was never written can't. And that the topics are those of the
// schema.
#include "gateway/event_position.h"

#include <criterion/criterion.h>
#include <string.h>

#include "ez/v1/event.pb-c.h"
#include "proto/runtime/message.h"

Test(event_position, is_written_and_read) {
    ez_event_position position = {.server_id = "0123456789abcdef", .topics = 1u << 0 | 1u << 3}, read;
    char id[EZ_EVENT_ID_MAX];
    position.sequence[0] = 120;
    position.sequence[1] = 7; // is not known, and not written
    position.sequence[3] = 0;
    ez_event_position_write(&position, id);
    cr_assert_str_eq(id, "0123456789abcdef/r120/d0");
    cr_assert(ez_event_position_read(id, &read));
    cr_assert_str_eq(read.server_id, position.server_id);
    cr_assert_eq(read.topics, position.topics);
    cr_assert_eq(read.sequence[0], 120);
    cr_assert_eq(read.sequence[1], 0);
}

Test(event_position, the_longest_has_room) {
    ez_event_position position = {.topics = EZ_TOPIC_ALL}, read;
    char id[EZ_EVENT_ID_MAX];
    memset(position.server_id, 'z', EZ_SERVER_ID_MAX);
    for (int i = 0; i < EZ_TOPIC_COUNT; i++)
        position.sequence[i] = UINT64_MAX - (unsigned)i;
    ez_event_position_write(&position, id);
    cr_assert_eq(strlen(id), EZ_EVENT_ID_MAX - 1);
    cr_assert(ez_event_position_read(id, &read));
    cr_assert_eq(memcmp(read.sequence, position.sequence, sizeof read.sequence), 0);
}

Test(event_position, what_was_never_written_is_refused) {
    static const char *const bad[] = {"",
                                      "/r1",
                                      "a b/r1",
                                      "s\n/r1",
                                      "s/",
                                      "s/r",
                                      "s/r1/",
                                      "s/r-1",
                                      "s/r1x",
                                      "s/1",
                                      "s/r18446744073709551616",
                                      "s/r1/r2",
                                      "s//r1",
                                      "0123456789012345678901234567890123/r1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ez_event_position out;
        memset(&out, 0x5a, sizeof out);
        cr_expect_not(ez_event_position_read(bad[i], &out), "\"%s\"", bad[i]);
        cr_expect_eq(out.topics, 0x5a5a5a5a, "\"%s\" left something behind", bad[i]);
    }
}

Test(event_position, a_topic_of_a_newer_gateway_is_passed_over) {
    ez_event_position out;
    cr_assert(ez_event_position_read("s/Z9/l3", &out));
    cr_assert_eq(out.topics, 1u << ez_topic_find("logs"));
    cr_assert_eq(out.sequence[ez_topic_find("logs")], 3);
}

static ez_status decode(Ez__V1__WatchEventsResponse *reply, ez_event_position *out) {
    static uint8_t bytes[1024];
    size_t len = ez__v1__watch_events_response__pack(reply, bytes);
    ez_error error;
    ez_arena arena;
    ez_arena_init(&arena, 65536);
    ez_status status = ez_event_position_decode(ez_message_rule_find(&ez__v1__watch_events_response__descriptor),
                                                (ez_slice){bytes, len}, &arena, out, &error);
    ez_arena_fini(&arena);
    return status;
}

Test(event_position, is_what_the_server_says) {
    Ez__V1__TopicPosition alerts = EZ__V1__TOPIC_POSITION__INIT, newer = EZ__V1__TOPIC_POSITION__INIT;
    Ez__V1__TopicPosition *topics[] = {&newer, &alerts};
    Ez__V1__WatchEventsResponse reply = EZ__V1__WATCH_EVENTS_RESPONSE__INIT;
    ez_event_position out;
    alerts.topic = (char *)"alerts";
    alerts.sequence = 4;
    newer.topic = (char *)"newer";
    newer.sequence = 9;
    reply.server_id = (char *)"s1";
    reply.topics = topics;
    reply.n_topics = 2;
    cr_assert_eq(decode(&reply, &out), EZ_OK);
    cr_assert_eq(out.topics, EZ_TOPIC_ALL); // none yet is known too
    cr_assert_eq(out.sequence[ez_topic_find("alerts")], 4);
    cr_assert_eq(out.sequence[ez_topic_find("logs")], 0);
    reply.server_id = (char *)"s\r\n";
    cr_assert_eq(decode(&reply, &out), EZ_INTERNAL);
}

Test(topic, are_those_of_the_schema) {
    const ez_message_rule *rule = ez_message_rule_find(&ez__v1__watch_events_request__descriptor);
    const char *const *names = ez_field_rule_find(rule, "topics")->one_of;
    int count = 0;
    for (; names[count]; count++)
        cr_expect_geq(ez_topic_find(names[count]), 0, "%s", names[count]);
    cr_assert_eq(count, EZ_TOPIC_COUNT);
    for (int i = 0; i < EZ_TOPIC_COUNT; i++)
        cr_expect_eq(ez_topic_of_letter(ez_topics[i].letter), i);
}
