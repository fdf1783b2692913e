// SPDX-License-Identifier: Apache-2.0
//
// A data plane that two servers know: the newer session counts, whichever of them tells of it first.
#include <criterion/criterion.h>
#include <stdlib.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/message.h"
#include "server/domain/fleet/session.h"
#include "server/state/directory/apply.h"
#include "tests/support/expect.h"

#define LIVE EZ__V1__DATA_PLANE_STATE__DATA_PLANE_STATE_LIVE
#define LOST EZ__V1__DATA_PLANE_STATE__DATA_PLANE_STATE_LOST

static ez_directory *directory;
static ez_feed *feed;
static ez_fleet *fleet;

static void begin(void) {
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_directory_create(1, NULL, &directory, &error), &error);
    expect_ok(ez_feed_create(&(ez_feed_options){.epoch = 1, .n = 9, .keep = 10}, &feed, &error), &error);
    const ez_fleet_options options = {.directory = directory, .feed = feed, .server_id = "us"};
    expect_ok(ez_fleet_create(&options, &fleet, &error), &error);
    for (int64_t id = 1; id <= 3; id++) {
        Ez__V1__DataPlane plane = EZ__V1__DATA_PLANE__INIT;
        char name[] = {'a', (char)('0' + id), '\0'};
        uint8_t hash[32] = {(uint8_t)id};
        plane.name = name;
        plane.token_sha256 = (ProtobufCBinaryData){.len = sizeof hash, .data = hash};
        uint8_t bytes[128];
        size_t len = ez__v1__data_plane__pack(&plane, bytes);
        ez_store_row row = {.id = id, .revision = 1, .data = {bytes, len}};
        expect_ok(ez_directory_put_row(directory, EZ__V1__KIND__KIND_DATA_PLANE, &row, &error), &error);
    }
}

static void end(void) {
    ez_fleet_destroy(fleet);
    ez_feed_destroy(feed);
    ez_directory_destroy(directory);
}

TestSuite(fleet_remote, .init = begin, .fini = end);

// A session of ours.
static ez_session_state *given_ours(int64_t id, uint64_t process_epoch, uint64_t hellos) {
    ez_session_state *session = calloc(1, sizeof *session);
    session->id = id;
    session->process_epoch = process_epoch;
    session->hellos = hellos;
    session->next = fleet->buckets[id];
    fleet->buckets[id] = session;
    ez_outcome outcome;
    ez_outcome_init(&outcome);
    ez_session_heard(fleet, session, &outcome);
    ez_outcome_finish(&outcome, fleet);
    return session;
}

// Another server says this of a session.
static void hear(unsigned server, int64_t id, uint64_t process_epoch, uint64_t hellos, uint64_t silent_ms,
                 Ez__V1__DataPlaneState state) {
    Ez__V1__PeerSession said = EZ__V1__PEER_SESSION__INIT;
    Ez__V1__DataPlane plane = EZ__V1__DATA_PLANE__INIT;
    Ez__V1__PeerSession *list[] = {&said};
    Google__Protobuf__Timestamp seen = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    Ez__V1__Revision applied = EZ__V1__REVISION__INIT;
    seen.seconds = 1;
    applied.epoch = 1;
    applied.n = 8;
    plane.last_seen_at = &seen;
    plane.applied = &applied;
    plane.id = id;
    plane.state = state;
    said.plane = &plane;
    said.process_epoch = process_epoch;
    said.hellos = hellos;
    said.silent_ms = silent_ms;
    ez_fleet_note_sessions(fleet, server, list, 1);
}

static bool is_ours(int64_t id) {
    return ez_session_find(fleet, id) != NULL;
}

Test(fleet_remote, the_later_hello_of_a_process_counts) {
    given_ours(1, 7, 2);
    hear(0, 1, 7, 1, 0, LIVE); // where it was before, and heard just now
    cr_assert(is_ours(1));
    cr_assert_null(ez_remote_find(fleet, 1));
    hear(0, 1, 7, 3, 500, LIVE);
    cr_assert_not(is_ours(1));
    cr_assert_eq(fleet->live, 0);
    uint32_t live[EZ_FLEET_SERVERS_MAX];
    ez_fleet_count_servers(fleet, live);
    cr_assert(live[0] == 1 && live[1] == 0);
    hear(1, 1, 7, 2, 0, LIVE);
    cr_assert_eq(ez_remote_find(fleet, 1)->server, 0, "the third server's is older");
    hear(1, 1, 7, 4, 0, LIVE);
    cr_assert_eq(ez_remote_find(fleet, 1)->server, 1);
    cr_assert_eq(ez_fleet_count_all(fleet), 1, "it is one data plane");
}

Test(fleet_remote, of_two_processes_the_one_that_was_heard_last_counts) {
    ez_session_state *ours = given_ours(1, 7, 9);
    hear(0, 1, 8, 1, 2000, LIVE);
    cr_assert(is_ours(1));
    ours->heard_ns = ez_clock_mono_ns() - 3000000000ull;
    hear(0, 1, 8, 1, 2000, LIVE);
    cr_assert_not(is_ours(1));
}

// What is shown of it is read as strictly as a gateway reads replies.
Test(fleet_remote, what_is_shown_of_one_elsewhere_is_one_message) {
    hear(0, 1, 7, 1, 0, LIVE);
    ez_buf bytes;
    ez_arena arena;
    ez_error error = EZ_ERROR_INIT;
    ProtobufCMessage *message = NULL;
    ez_buf_init(&bytes, 4096);
    ez_arena_init(&arena, 65536);
    expect_ok(ez_remote_append(fleet, ez_remote_find(fleet, 1), &bytes), &error);
    expect_ok(ez_message_decode_reply(ez_message_rule_find(&ez__v1__data_plane__descriptor), bytes.data, bytes.len,
                                      &arena, &message, &error),
              &error);
    const Ez__V1__DataPlane *shown = (const Ez__V1__DataPlane *)message;
    cr_assert_eq(shown->state, LIVE);
    cr_assert_eq(shown->applied->n, 8);
    cr_assert_eq(shown->lag, 1);
    cr_assert_gt(shown->last_seen_at->seconds, 1, "by our clock");
    ez_arena_fini(&arena);
    ez_buf_fini(&bytes);
}

static unsigned waited;

static void done(ez_waiter *waiter) {
    (void)waiter;
    waited++;
}

Test(fleet_remote, nobody_waits_for_one_that_has_moved) {
    given_ours(1, 7, 1);
    ez_waiter waiter = {.revision = 9, .deadline_ns = UINT64_MAX, .done = done};
    ez_error error = EZ_ERROR_INIT;
    waited = 0;
    expect_ok(ez_fleet_wait(fleet, &waiter, &error), &error);
    cr_assert_eq(waited, 0);
    hear(0, 1, 7, 2, 0, LIVE);
    cr_assert_eq(waited, 1);
    cr_assert_eq(waiter.of, 0);
}

Test(fleet_remote, a_server_that_is_gone_loses_what_has_not_moved) {
    hear(0, 1, 7, 1, 0, LIVE);
    hear(0, 2, 7, 1, 0, LIVE);
    hear(1, 2, 7, 2, 0, LIVE);
    ez_fleet_lose_server(fleet, 0, "gone");
    cr_assert_eq(ez_remote_find(fleet, 1)->state, LOST);
    cr_assert_eq(ez_remote_find(fleet, 2)->state, LIVE);
    cr_assert_eq(ez_fleet_count_all(fleet), 1);
    hear(0, 1, 7, 1, 0, LIVE); // it was only cut off
    cr_assert_eq(ez_remote_find(fleet, 1)->state, LIVE);
}

// What is told: what changed since a version, in pages, and nothing twice.
Test(fleet_remote, what_changed_is_told_once) {
    given_ours(1, 7, 1);
    given_ours(2, 7, 1);
    ez_arena arena;
    ez_arena_init(&arena, 1u << 20);
    ez_error error = EZ_ERROR_INIT;
    Ez__V1__SyncPeerResponse all = EZ__V1__SYNC_PEER_RESPONSE__INIT;
    expect_ok(ez_fleet_list_sessions(fleet, 0, 0, &arena, &all, &error), &error);
    cr_assert_eq(all.n_sessions, 2);
    cr_assert_eq(all.next_page, 0);
    cr_assert_str_eq(all.sessions[0]->plane->server_id, "us");
    Ez__V1__SyncPeerResponse none = EZ__V1__SYNC_PEER_RESPONSE__INIT;
    expect_ok(ez_fleet_list_sessions(fleet, all.version, 0, &arena, &none, &error), &error);
    cr_assert_eq(none.n_sessions, 0);
    given_ours(3, 7, 1);
    Ez__V1__SyncPeerResponse one = EZ__V1__SYNC_PEER_RESPONSE__INIT;
    expect_ok(ez_fleet_list_sessions(fleet, all.version, 0, &arena, &one, &error), &error);
    cr_assert_eq(one.n_sessions, 1);
    cr_assert_eq(one.sessions[0]->plane->id, 3);
    ez_arena_fini(&arena);
}

// ---- What is told again

static unsigned back, accepted, others;

static void note_told(void *user, const ez_fleet_notice *notice) {
    (void)user;
    back += notice->type == EZ_FLEET_BACK;
    accepted += notice->type == EZ_FLEET_ACCEPTED;
    others += notice->type != EZ_FLEET_BACK && notice->type != EZ_FLEET_ACCEPTED;
}

Test(fleet_remote, one_that_is_live_on_another_server_is_told_to_be_back) {
    fleet->options.told = note_told;
    hear(0, 1, 5, 1, 0, LIVE);
    hear(0, 2, 5, 1, 0, LOST);
    ez_fleet_tell_again(fleet, 1);
    ez_fleet_tell_again(fleet, 2);
    ez_fleet_tell_again(fleet, 3); // nobody knows of it
    cr_assert(back == 1 && accepted == 1 && others == 0);
    fleet->synced_ns[0] -= 10000000000; // what it said is old
    ez_fleet_tell_again(fleet, 1);
    cr_assert(back == 1 && accepted == 1 && others == 0);
}
