// SPDX-License-Identifier: Apache-2.0
//
// What is kept, in which order it is given, and what gives way to what.
#include "gateway/event_ring.h"

#include <criterion/criterion.h>
#include <string.h>

#include "ez/v1/usage.pb-c.h"

enum { REALTIME = 0, FLUSH = 1, ALERTS = 2 };

static ez_event_ring *ring;
static uint64_t at[EZ_TOPIC_COUNT];

static void given_ring(unsigned max_events, size_t max_bytes) {
    ez_error error;
    cr_assert_eq(ez_event_ring_create(max_events, max_bytes, &ring, &error), EZ_OK);
    ez_event_ring_begin(ring, "s1");
    memset(at, 0, sizeof at);
}

static void end(void) {
    ez_event_ring_destroy(ring);
}

TestSuite(event_ring, .fini = end);

static bool put_sized(int topic, uint64_t sequence, size_t len) {
    static uint8_t message[4096];
    ez_event event = {.topic = topic, .sequence = sequence, .len = len};
    return ez_event_ring_put(ring, &event, message);
}

static bool put(int topic, uint64_t sequence) {
    return put_sized(topic, sequence, 0);
}

// The next of these topics is this one.
static void expect_next(unsigned topics, int topic, uint64_t sequence) {
    const ez_event *event = ez_event_ring_next(ring, topics, at);
    cr_assert_not_null(event, "nothing before %d/%lu", topic, (unsigned long)sequence);
    cr_assert_eq(event->topic, topic);
    cr_assert_eq(event->sequence, sequence);
    at[topic] = sequence;
}

Test(event_ring, gives_in_the_order_of_arrival) {
    given_ring(10, 100000);
    put(FLUSH, 8);
    put(ALERTS, 1);
    put(FLUSH, 9);
    put(REALTIME, 5);
    expect_next(EZ_TOPIC_ALL, FLUSH, 8);
    expect_next(EZ_TOPIC_ALL, ALERTS, 1);
    expect_next(EZ_TOPIC_ALL, FLUSH, 9);
    expect_next(EZ_TOPIC_ALL, REALTIME, 5);
    cr_assert_null(ez_event_ring_next(ring, EZ_TOPIC_ALL, at));
    at[FLUSH] = 8;
    cr_assert_null(ez_event_ring_next(ring, 1u << ALERTS | 1u << REALTIME, at));
    expect_next(1u << FLUSH, FLUSH, 9);
}

Test(event_ring, what_is_not_newer_is_not_kept) {
    given_ring(10, 100000);
    cr_assert(put(FLUSH, 3));
    cr_assert_not(put(FLUSH, 3));
    cr_assert_not(put(FLUSH, 2));
    cr_assert(put(FLUSH, 7)); // a gap is the reader's to see
    cr_assert_eq(ez_event_ring_count(ring), 2);
    cr_assert_eq(ez_event_ring_last(ring, FLUSH), 7);
    cr_assert_eq(ez_event_ring_last(ring, ALERTS), 0);
}

Test(event_ring, the_busy_topic_gives_way) {
    given_ring(10, 100000);
    put(ALERTS, 1);
    for (uint64_t i = 1; i <= 100; i++)
        put(FLUSH, i);
    cr_assert_eq(ez_event_ring_count(ring), 10);
    cr_assert_eq(ez_event_ring_evicted(ring, ALERTS), 0);
    cr_assert_eq(ez_event_ring_evicted(ring, FLUSH), 91);
    expect_next(EZ_TOPIC_ALL, ALERTS, 1);
    expect_next(EZ_TOPIC_ALL, FLUSH, 92);
}

Test(event_ring, the_large_topic_gives_way) {
    given_ring(1000, 10000);
    for (uint64_t i = 1; i <= 20; i++)
        put(ALERTS, i);
    for (uint64_t i = 1; i <= 20; i++) {
        put_sized(FLUSH, i, 1000);
        cr_assert_leq(ez_event_ring_bytes(ring), 10000);
    }
    cr_assert_eq(ez_event_ring_evicted(ring, ALERTS), 0);
    cr_assert_geq(ez_event_ring_evicted(ring, FLUSH), 12);
}

Test(event_ring, one_topic_may_fill_it) {
    given_ring(4, 100000);
    for (uint64_t i = 1; i <= 9; i++)
        put(FLUSH, i);
    cr_assert_eq(ez_event_ring_count(ring), 4);
    expect_next(EZ_TOPIC_ALL, FLUSH, 6);
}

Test(event_ring, a_text_is_made_once_and_counts) {
    Ez__V1__UsageFlushed flushed = EZ__V1__USAGE_FLUSHED__INIT;
    uint8_t message[64];
    flushed.requests = 12;
    ez_event event = {
        .topic = FLUSH, .sequence = 1, .seconds = 1700000000, .len = ez__v1__usage_flushed__pack(&flushed, message)};
    given_ring(10, 400);
    put(ALERTS, 1);
    put(ALERTS, 2);
    cr_assert(ez_event_ring_put(ring, &event, message));
    size_t before = ez_event_ring_bytes(ring);
    ez_event *kept = ez_event_ring_next(ring, 1u << FLUSH, at);
    ez_event_text *text = ez_event_ring_text(ring, kept);
    cr_assert_not_null(text);
    cr_assert_eq(ez_event_ring_text(ring, kept), text);
    static const char start[] =
        "event: stats.flush\ndata: {\"topic\":\"stats.flush\",\"server_id\":\"s1\",\"sequence\":1,"
        "\"time\":\"2023-11-14T22:13:20Z\",\"data\":{";
    cr_assert_eq(strncmp(text->data, start, sizeof start - 1), 0, "%.*s", (int)text->len, text->data);
    cr_assert_not_null(memmem(text->data, text->len, "\"requests\":12", 13));
    cr_assert_eq(memchr(text->data + 19, '\n', text->len - 19), text->data + text->len - 1); // one line of data
    // Others have gone for it, and it stays even where it alone is too large.
    cr_assert_lt(ez_event_ring_bytes(ring), before + text->len);
    cr_assert_eq(ez_event_ring_next(ring, 1u << FLUSH, at), kept);
    // It outlives its event where somebody holds it.
    ez_event_text_hold(text);
    ez_event_ring_begin(ring, "s2");
    cr_assert_eq(ez_event_ring_bytes(ring), 0);
    cr_assert_eq(strncmp(text->data, start, sizeof start - 1), 0);
    ez_event_text_release(text);
}

Test(event_ring, what_cannot_be_text_is_tried_once) {
    static const uint8_t bad[] = {0xff, 0xff};
    ez_event event = {.topic = FLUSH, .sequence = 1, .len = sizeof bad};
    given_ring(10, 10000);
    cr_assert(ez_event_ring_put(ring, &event, bad));
    ez_event *kept = ez_event_ring_next(ring, EZ_TOPIC_ALL, at);
    cr_assert_null(ez_event_ring_text(ring, kept));
    cr_assert(kept->is_unreadable);
    cr_assert_null(ez_event_ring_text(ring, kept));
}

Test(event_ring, another_server_begins_anew) {
    given_ring(10, 10000);
    put(FLUSH, 100);
    ez_event_ring_begin(ring, "s2");
    cr_assert_str_eq(ez_event_ring_server(ring), "s2");
    cr_assert_eq(ez_event_ring_count(ring), 0);
    cr_assert_eq(ez_event_ring_last(ring, FLUSH), 0);
    cr_assert(put(FLUSH, 1));
    expect_next(EZ_TOPIC_ALL, FLUSH, 1);
}
