// SPDX-License-Identifier: Apache-2.0
//
// What a commit looks like on the PUB socket: joined, split at revision boundaries, "fetch" where a revision is too
// large. A real socket and subscriber; the events are read until the one that leads to the commit's revision.
#include <criterion/criterion.h>
#include <nng/nng.h>
#include <nng/protocol/pubsub0/sub.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/config.pb-c.h"
#include "server/state/feed/feed.h"
#include "server/state/feed/push.h"
#include "tests/support/expect.h"
#include "tests/support/port.h"
#include "tests/support/wait.h"

static ez_publish *publish;
static ez_feed *feed;
static nng_socket socket_;
static ez_arena arena;
static const uint8_t digest[32];

static void *hear_beat(void *user) {
    nng_msg *message;
    (void)user;
    if (nng_recvmsg(socket_, &message, 0) == 0)
        nng_msg_free(message);
    return NULL;
}

static void open_all(void) {
    char url[64];
    pthread_t thread;
    ez_error error = EZ_ERROR_INIT;
    snprintf(url, sizeof url, "tcp://127.0.0.1:%u", (unsigned)given_port());
    expect_ok(ez_publish_open(url, "s", &publish, &error), &error);
    ez_feed_options options = {.epoch = 8, .n = 10, .keep = 1000, .publish = publish};
    expect_ok(ez_feed_create(&options, &feed, &error), &error);
    ez_arena_init(&arena, 64u << 20);
    cr_assert_eq(nng_sub0_open(&socket_), 0);
    cr_assert_eq(nng_socket_set_size(socket_, NNG_OPT_RECVMAXSZ, EZ_EVENT_MAX), 0);
    cr_assert_eq(nng_socket_set(socket_, NNG_OPT_SUB_SUBSCRIBE, "", 0), 0);
    cr_assert_eq(nng_dial(socket_, url, NULL, 0), 0);
    cr_assert_eq(pthread_create(&thread, NULL, hear_beat, NULL), 0);
    uint64_t deadline = ez_test_deadline();
    do
        ez_feed_beat(feed, 1, 0);
    while (pthread_tryjoin_np(thread, NULL) != 0 && ez_test_before(deadline));
}

static void close_all(void) {
    nng_close(socket_);
    ez_feed_destroy(feed);
    ez_publish_close(publish);
    ez_arena_fini(&arena);
}

// The next event that is no heartbeat.
static const Ez__V1__EventHeader *hear(Ez__V1__ChangeBatch **batch) {
    for (;;) {
        nng_msg *event;
        const char *topic;
        Ez__V1__EventHeader *header;
        ez_slice message;
        ez_error error = EZ_ERROR_INIT;
        cr_assert_eq(nng_recvmsg(socket_, &event, 0), 0);
        size_t len = nng_msg_len(event);
        void *copy = ez_arena_memdup(&arena, nng_msg_body(event), len);
        nng_msg_free(event);
        expect_ok(ez_frame_read_event(copy, len, &arena, &topic, &header, &message, &error), &error);
        cr_assert_str_eq(topic, "config");
        cr_assert_leq(message.len, EZ_PUSH_MAX);
        *batch = ez__v1__change_batch__unpack(ez_arena_allocator(&arena), message.len, message.data);
        cr_assert(*batch);
        if (header->to->n > header->from->n)
            return header;
        cr_assert_eq((*batch)->n_changes, 0, "a heartbeat has no changes");
    }
}

// Revisions 11 …, each of one master with a name of that many bytes; 0: an admin token.
static void commit(const size_t *sizes, unsigned revisions, bool ack_now) {
    ez_error error = EZ_ERROR_INIT;
    ez_store_change changes[64];
    uint8_t *data[64] = {0};
    for (unsigned i = 0; i < revisions; i++) {
        size_t room = sizes[i] + 16;
        ez_buf packed;
        ez_buf_init(&packed, room);
        Ez__V1__Master master = EZ__V1__MASTER__INIT;
        master.name = malloc(sizes[i] + 1);
        memset(master.name, 'n', sizes[i]);
        master.name[sizes[i]] = 0;
        cr_assert_eq(ez_buf_pack(&packed, &master.base), EZ_OK);
        free(master.name);
        changes[i] = (ez_store_change){.n = 11 + i,
                                       .kind = sizes[i] ? EZ__V1__KIND__KIND_MASTER : EZ__V1__KIND__KIND_ADMIN_TOKEN,
                                       .id = 11 + (int)i,
                                       .op = EZ__V1__OP__OP_PUT,
                                       .data = {packed.data, packed.len}};
        data[i] = packed.data;
    }
    expect_ok(ez_feed_append(feed, 10 + revisions, changes, revisions, digest, 77, ack_now, &error), &error);
    for (unsigned i = 0; i < revisions; i++)
        free(data[i]);
}

static void expect_event(uint64_t from, uint64_t to, size_t changes, bool is_fetch, bool is_acked) {
    Ez__V1__ChangeBatch *batch;
    const Ez__V1__EventHeader *header = hear(&batch);
    cr_assert_eq(header->from->n, from, "from %llu", (unsigned long long)header->from->n);
    cr_assert_eq(header->to->n, to, "to %llu", (unsigned long long)header->to->n);
    cr_assert_eq(header->to->epoch, 8);
    cr_assert_eq(batch->n_changes, changes, "%zu changes", batch->n_changes);
    cr_assert_eq(header->fetch, is_fetch);
    cr_assert_eq(header->ack_now, is_acked);
}

Test(push, joins_the_revisions_of_a_commit, .init = open_all, .fini = close_all, .timeout = 60) {
    commit((size_t[]){10, 0, 20, 0}, 4, true);
    expect_event(10, 14, 2, false, true);
}

Test(push, a_commit_of_other_kinds_moves_the_revision, .init = open_all, .fini = close_all, .timeout = 60) {
    commit((size_t[]){0}, 1, false);
    expect_event(10, 11, 0, false, false);
}

Test(push, splits_between_revisions, .init = open_all, .fini = close_all, .timeout = 60) {
    commit((size_t[]){100000, 90000, 50000, 0, 150000}, 5, true);
    expect_event(10, 12, 2, false, false);
    expect_event(12, 14, 1, false, false);
    expect_event(14, 15, 1, false, true);
}

Test(push, a_revision_that_is_too_large_is_to_be_fetched, .init = open_all, .fini = close_all, .timeout = 60) {
    commit((size_t[]){5, 300000, 6}, 3, true);
    expect_event(10, 11, 1, false, false);
    expect_event(11, 12, 0, true, false);
    expect_event(12, 13, 1, false, true);
}

Test(push, a_large_one_alone, .init = open_all, .fini = close_all, .timeout = 60) {
    commit((size_t[]){300000}, 1, true);
    expect_event(10, 11, 0, true, true);
}

// Any event says that the server is there: a heartbeat besides is a thousand messages for nothing.
Test(push, no_heartbeat_where_something_was_pushed, .init = open_all, .fini = close_all, .timeout = 60) {
    Ez__V1__ChangeBatch *batch;
    commit((size_t[]){10}, 1, false);
    uint64_t sequence = hear(&batch)->sequence;
    ez_feed_beat(feed, 1, 3600000);
    ez_feed_skip(feed, 12, NULL, 77);
    const Ez__V1__EventHeader *next = hear(&batch);
    cr_assert_eq(next->to->n, 12);
    cr_assert_eq(next->sequence, sequence + 1);
    ez_feed_beat(feed, 1, 0);
    ez_feed_skip(feed, 13, NULL, 77);
    cr_assert_eq(hear(&batch)->sequence, sequence + 3);
}
