// SPDX-License-Identifier: Apache-2.0
//
// The PUB socket with a real subscriber: numbers, headers, bounds. A SUB receive is never timed out or cancelled (nng
// 1.5.2 does not survive it): events are read one by one by a thread of their own, and greetings go out until the first
// arrives.
#include <criterion/criterion.h>
#include <nng/nng.h>
#include <nng/protocol/pubsub0/sub.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "server/platform/publish/publish.h"
#include "tests/support/expect.h"
#include "tests/support/port.h"
#include "tests/support/wait.h"

typedef struct listener {
    nng_socket socket;
    ez_arena arena;
} listener;

static ez_publish *publish;
static char url[64];

static void open_publish(void) {
    ez_error error = EZ_ERROR_INIT;
    snprintf(url, sizeof url, "tcp://127.0.0.1:%u", (unsigned)given_port());
    expect_ok(ez_publish_open(url, "server-1", &publish, &error), &error);
}

static void close_publish(void) {
    ez_publish_close(publish);
}

static void send_event(const char *topic, const void *message, size_t len) {
    ez_error error = EZ_ERROR_INIT;
    ez_publish_event event = {
        .topic = topic, .epoch = 9, .from = 3, .to = 4, .time_ns = 1500000000000000007, .message = message, .len = len};
    expect_ok(ez_publish_send(publish, &event, &error), &error);
}

// Greets until the subscriber has heard it, and reads all greetings that are on the way.
static void *hear_greeting(void *user) {
    listener *subscriber = user;
    nng_msg *message;
    if (nng_recvmsg(subscriber->socket, &message, 0) == 0)
        nng_msg_free(message);
    return NULL;
}

static void given_subscriber(listener *subscriber) {
    pthread_t thread;
    cr_assert_eq(nng_sub0_open(&subscriber->socket), 0);
    cr_assert_eq(nng_socket_set_size(subscriber->socket, NNG_OPT_RECVMAXSZ, EZ_EVENT_MAX), 0);
    cr_assert_eq(nng_socket_set(subscriber->socket, NNG_OPT_SUB_SUBSCRIBE, "", 0), 0);
    cr_assert_eq(nng_dial(subscriber->socket, url, NULL, 0), 0);
    ez_arena_init(&subscriber->arena, 8u << 20);
    cr_assert_eq(pthread_create(&thread, NULL, hear_greeting, subscriber), 0);
    uint64_t deadline = ez_test_deadline();
    do
        send_event("greeting", "", 0);
    while (pthread_tryjoin_np(thread, NULL) != 0 && ez_test_before(deadline));
}

static const Ez__V1__EventHeader *hear(listener *subscriber, const char *wanted, ez_slice *message) {
    for (;;) {
        nng_msg *event;
        const char *topic;
        Ez__V1__EventHeader *header;
        ez_error error = EZ_ERROR_INIT;
        cr_assert_eq(nng_recvmsg(subscriber->socket, &event, 0), 0);
        void *copy = ez_arena_memdup(&subscriber->arena, nng_msg_body(event), nng_msg_len(event));
        expect_ok(ez_frame_read_event(copy, nng_msg_len(event), &subscriber->arena, &topic, &header, message, &error),
                  &error);
        nng_msg_free(event);
        if (strcmp(topic, wanted) == 0)
            return header;
    }
}

static void end_subscriber(listener *subscriber) {
    nng_close(subscriber->socket);
    ez_arena_fini(&subscriber->arena);
}

Test(publish, numbers_each_topic_from_one, .init = open_publish, .fini = close_publish, .timeout = 60) {
    listener subscriber;
    given_subscriber(&subscriber);
    ez_slice message;
    for (int i = 0; i < 3; i++) {
        send_event("config", "abc", 3);
        send_event("alerts", "", 0);
    }
    for (uint64_t i = 1; i <= 3; i++) {
        const Ez__V1__EventHeader *header = hear(&subscriber, "config", &message);
        cr_assert_eq(header->sequence, i);
        cr_assert_str_eq(header->server_id, "server-1");
        cr_assert_eq(header->from->n, 3);
        cr_assert_eq(header->to->n, 4);
        cr_assert_eq(header->to->epoch, 9);
        cr_assert_eq(header->time->seconds, 1500000000);
        cr_assert_eq(header->time->nanos, 7);
        cr_assert_eq(message.len, 3);
        cr_assert_eq(hear(&subscriber, "alerts", &message)->sequence, i);
        cr_assert_eq(message.len, 0);
    }
    end_subscriber(&subscriber);
}

Test(publish, an_event_that_is_too_large_takes_no_number, .init = open_publish, .fini = close_publish, .timeout = 60) {
    static char large[EZ_EVENT_MAX];
    listener subscriber;
    given_subscriber(&subscriber);
    ez_error error = EZ_ERROR_INIT;
    ez_publish_event event = {.topic = "config", .message = large, .len = sizeof large};
    expect_reason(EZ_RESOURCE_EXHAUSTED, "EVENT_TOO_LARGE", ez_publish_send(publish, &event, &error), &error);
    send_event("config", large, sizeof large - 200);
    ez_slice message;
    cr_assert_eq(hear(&subscriber, "config", &message)->sequence, 1);
    cr_assert_eq(message.len, sizeof large - 200);
    end_subscriber(&subscriber);
}

Test(publish, tells_how_far_each_topic_is, .init = open_publish, .fini = close_publish, .timeout = 60) {
    ez_publish_topic topics[EZ_PUBLISH_TOPICS_MAX];
    cr_assert_eq(ez_publish_topics(publish, topics), 0);
    send_event("alerts", "", 0);
    send_event("config", "abc", 3);
    send_event("alerts", "", 0);
    cr_assert_eq(ez_publish_topics(publish, topics), 2);
    cr_assert_str_eq(topics[0].name, "alerts");
    cr_assert_eq(topics[0].sequence, 2);
    cr_assert_eq(topics[1].sequence, 1);
}

Test(publish, says_what_is_wrong_with_a_url) {
    ez_error error = EZ_ERROR_INIT;
    expect_reason(EZ_INVALID_ARGUMENT, "URL_INVALID", ez_publish_open("ipc:///tmp/x", "s", &publish, &error), &error);
    cr_assert(strstr(error.message, "ipc:///tmp/x"));
    expect_code(EZ_INVALID_ARGUMENT, ez_publish_open("tcp://127.0.0.1:99999999", "s", &publish, &error), &error);
    cr_assert(strstr(error.message, "tcp://127.0.0.1:99999999"));
    expect_code(EZ_INVALID_ARGUMENT, ez_publish_open("tcp://127.0.0.1:1", "", &publish, &error), &error);
}

Test(publish, says_that_a_port_is_taken, .init = open_publish, .fini = close_publish) {
    ez_error error = EZ_ERROR_INIT;
    ez_publish *second;
    expect_reason(EZ_UNAVAILABLE, "LISTEN_FAILED", ez_publish_open(url, "server-2", &second, &error), &error);
    cr_assert(strstr(error.message, url));
}
