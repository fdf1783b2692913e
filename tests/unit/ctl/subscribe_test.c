// SPDX-License-Identifier: Apache-2.0
//
// The subscriber against a PUB socket: whole topics, order, a full inbox, a peer that goes and comes back.
#include "clients/c/subscribe.h"

#include <criterion/criterion.h>
#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define PATIENCE_MS 15000

static nng_socket publisher;
static char url[64];
static ez_subscriber *subscriber;
static ez_buf event;

// On a port of the system's choosing the first time, on the same one after.
static void given_publisher(void) {
    nng_listener listener;
    int port;
    cr_assert_eq(nng_pub0_open(&publisher), 0);
    cr_assert_eq(nng_listen(publisher, url[0] ? url : "tcp://127.0.0.1:0", &listener, 0), 0);
    cr_assert_eq(nng_listener_get_int(listener, NNG_OPT_TCP_BOUND_PORT, &port), 0);
    snprintf(url, sizeof url, "tcp://127.0.0.1:%d", port);
}

static void publish(const char *topic, const char *text) {
    nng_msg *msg;
    cr_assert_eq(nng_msg_alloc(&msg, 0), 0);
    cr_assert_eq(nng_msg_append(msg, topic, strlen(topic) + 1), 0);
    cr_assert_eq(nng_msg_append(msg, text, strlen(text)), 0);
    cr_assert_eq(nng_sendmsg(publisher, msg, 0), 0);
}

static void wait_readable(void) {
    struct pollfd fd = {.fd = ez_subscriber_fd(subscriber), .events = POLLIN};
    cr_assert_eq(poll(&fd, 1, PATIENCE_MS), 1, "nothing came");
}

static void wait_connected(bool wanted) {
    while (ez_subscriber_is_connected(subscriber) != wanted) {
        wait_readable();
        while (ez_subscriber_take(subscriber, &event)) {
        }
    }
}

static void expect_event(const char *text) {
    while (!ez_subscriber_take(subscriber, &event))
        wait_readable();
    cr_assert_eq(memcmp(event.data, "config\0", 7), 0);
    cr_assert_eq(event.len, 7 + strlen(text));
    cr_assert_eq(memcmp(event.data + 7, text, strlen(text)), 0);
}

// The subscription is known to be followed once an event of it has come: PUB does not say when a peer has joined.
static void begin_following(void) {
    ez_error error = EZ_ERROR_INIT;
    given_publisher();
    ez_buf_init(&event, EZ_EVENT_MAX);
    cr_assert_eq(ez_subscriber_open(url, "config", NULL, &subscriber, &error), EZ_OK, "%s", error.message);
    wait_connected(true);
    for (int tries = 0; tries < PATIENCE_MS / 10; tries++) {
        struct pollfd fd = {.fd = ez_subscriber_fd(subscriber), .events = POLLIN};
        publish("config", "hello");
        if (poll(&fd, 1, 10) == 1 && ez_subscriber_take(subscriber, &event))
            break;
    }
    publish("config", "begin");
    do {
        while (!ez_subscriber_take(subscriber, &event))
            wait_readable();
    } while (memcmp(event.data + 7, "begin", 5) != 0);
}

static void end_following(void) {
    ez_subscriber_close(subscriber);
    ez_buf_fini(&event);
    nng_close(publisher);
}

Test(subscribe, takes_its_topic_in_order_and_no_other) {
    begin_following();
    publish("configuration", "no");
    publish("config", "one");
    publish("confi", "no");
    publish("config", "two");
    expect_event("one");
    expect_event("two");
    cr_assert_not(ez_subscriber_take(subscriber, &event));
    struct pollfd fd = {.fd = ez_subscriber_fd(subscriber), .events = POLLIN};
    cr_assert_eq(poll(&fd, 1, 0), 0, "readable although nothing waits");
    cr_assert_eq(ez_subscriber_dropped(subscriber), 0);
    end_following();
}

Test(subscribe, what_is_larger_than_the_buffer_is_dropped_and_counted) {
    begin_following();
    ez_buf small;
    ez_buf_init(&small, 8);
    publish("config", "far too long for that");
    publish("config", "x");
    while (!ez_subscriber_take(subscriber, &small))
        wait_readable();
    cr_assert_eq(small.len, 8);
    cr_assert_eq(ez_subscriber_dropped(subscriber), 1);
    ez_buf_fini(&small);
    end_following();
}

Test(subscribe, sees_a_publisher_go_and_come_back) {
    begin_following();
    nng_close(publisher);
    wait_connected(false);
    given_publisher();
    wait_connected(true);
    end_following();
}

Test(subscribe, closes_with_events_waiting) {
    begin_following();
    publish("config", "one");
    wait_readable();
    end_following();
}

Test(subscribe, a_server_that_is_away_is_no_error) {
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_subscriber_open("tcp://127.0.0.1:1", "config", NULL, &subscriber, &error), EZ_OK);
    cr_assert_not(ez_subscriber_is_connected(subscriber));
    ez_subscriber_close(subscriber);
}

Test(subscribe, refuses_urls_and_topics_that_are_none) {
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_subscriber_open("http://x", "config", NULL, &subscriber, &error), EZ_INVALID_ARGUMENT);
    cr_assert_eq(ez_subscriber_open("tcp://127.0.0.1:1", "", NULL, &subscriber, &error), EZ_INVALID_ARGUMENT);
    ez_subscriber_close(NULL);
}
