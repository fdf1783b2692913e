// SPDX-License-Identifier: Apache-2.0
//
// ez_session and the push socket: events in order, out of order, twice, lost, without their changes, and garbage. Each
// test ends by comparing digests where it can, since that is what says that both sides hold the same.
#include <criterion/criterion.h>

#include "tests/unit/client/holder.h"

Test(session_push, applies_what_is_pushed) {
    fake_plane *plane = plane_start(1, 0, 0);
    holder *seen = holder_create();
    ez_session *session = follow(plane, seen);
    given_joined(plane, session);
    unsigned fetches = plane_look(plane).fetches;
    plane_commit(plane, (plane_change){.id = 1, .name = "one"});
    plane_commit(plane, (plane_change){.id = 1, .name = "uno"});
    plane_commit(plane, (plane_change){.id = 2, .name = "two"});
    uint64_t n = plane_commit(plane, (plane_change){.id = 2, .is_delete = true});
    until(is_at(session, n));
    cr_assert(holds_space(seen, 1, "uno"));
    cr_assert(!holds_space(seen, 2, "two"));
    holder copy = look(seen);
    cr_assert_eq(copy.deletes, 1);
    cr_assert_eq(copy.last.changes, 1);
    cr_assert(!copy.last.by_fetch);
    cr_assert_gt(copy.last.commit_ns, 0);
    cr_assert_eq(plane_look(plane).fetches, fetches, "a pushed change needs no call");
    expect_same_digest(plane, session);
    ez_session_close(session);
    holder_destroy(seen);
    plane_stop(plane);
}

Test(session_push, ignores_an_event_it_has) {
    fake_plane *plane = plane_start(1, 0, 0);
    holder *seen = holder_create();
    ez_session *session = follow(plane, seen);
    given_joined(plane, session);
    uint64_t first = plane_commit(plane, (plane_change){.id = 1, .name = "one"});
    uint64_t second = plane_commit(plane, (plane_change){.id = 1, .name = "uno"});
    until(is_at(session, second));
    unsigned puts = look(seen).puts, fetches = plane_look(plane).fetches;
    plane_publish_again(plane, first);
    plane_publish_again(plane, second);
    uint64_t third = plane_commit(plane, (plane_change){.id = 2, .name = "two"});
    until(is_at(session, third));
    cr_assert_eq(look(seen).puts, puts + 1);
    cr_assert(holds_space(seen, 1, "uno"));
    cr_assert_eq(plane_look(plane).fetches, fetches);
    expect_same_digest(plane, session);
    ez_session_close(session);
    holder_destroy(seen);
    plane_stop(plane);
}

// The event of a later revision comes before that of an earlier one.
Test(session_push, bears_events_out_of_order) {
    fake_plane *plane = plane_start(1, 0, 0);
    holder *seen = holder_create();
    ez_session *session = follow(plane, seen);
    given_joined(plane, session);
    uint64_t first = plane_commit(plane, (plane_change){.id = 1, .name = "one", .quiet = true});
    uint64_t second = plane_commit(plane, (plane_change){.id = 1, .name = "uno", .quiet = true});
    plane_publish_again(plane, second);
    plane_publish_again(plane, first);
    uint64_t third = plane_commit(plane, (plane_change){.id = 2, .name = "two"});
    until(is_at(session, third));
    cr_assert(holds_space(seen, 1, "uno"));
    expect_same_digest(plane, session);
    ez_session_close(session);
    holder_destroy(seen);
    plane_stop(plane);
}

Test(session_push, a_heartbeat_shows_a_lost_event) {
    fake_plane *plane = plane_start(1, 0, 0);
    holder *seen = holder_create();
    ez_session *session = follow(plane, seen);
    given_joined(plane, session);
    uint64_t n = plane_commit(plane, (plane_change){.id = 1, .name = "lost", .quiet = true});
    plane_heartbeat(plane);
    until(is_at(session, n));
    cr_assert(holds_space(seen, 1, "lost"));
    ez_session_close(session);
    holder_destroy(seen);
    plane_stop(plane);
}

// No event at all: after three heartbeats it asks.
Test(session_push, silence_makes_it_fetch) {
    fake_plane *plane = plane_start(1, 0, 0);
    plane_set_heartbeat(plane, 100);
    holder *seen = holder_create();
    ez_session *session = follow(plane, seen);
    given_joined(plane, session);
    uint64_t n = plane_commit(plane, (plane_change){.id = 1, .name = "lost", .quiet = true});
    until(is_at(session, n));
    cr_assert(holds_space(seen, 1, "lost"));
    ez_session_close(session);
    holder_destroy(seen);
    plane_stop(plane);
}

Test(session_push, fetches_where_the_event_says_so) {
    fake_plane *plane = plane_start(1, 0, 0);
    holder *seen = holder_create();
    ez_session *session = follow(plane, seen);
    given_joined(plane, session);
    uint64_t n = plane_commit(plane, (plane_change){.id = 1, .name = "big", .by_fetch = true});
    until(is_at(session, n));
    cr_assert(holds_space(seen, 1, "big"));
    holder copy = look(seen);
    cr_assert(copy.last.by_fetch);
    cr_assert_gt(copy.last.commit_ns, 0, "the event that asked for it says when it was committed");
    ez_session_close(session);
    holder_destroy(seen);
    plane_stop(plane);
}

Test(session_push, fetches_a_secret_it_lacks) {
    fake_plane *plane = plane_start(1, 0, 0);
    given_rows(plane);
    holder *seen = holder_create();
    ez_session *session = follow(plane, seen);
    given_joined(plane, session);
    unsigned fetches = plane_look(plane).fetches;
    uint64_t n = plane_commit(plane, (plane_change){.id = 3, .name = "renamed", .secret_version = 1, .secret = "sk-1"});
    until(is_at(session, n));
    cr_assert_eq(plane_look(plane).fetches, fetches, "the secret it holds is of the same version");
    holder copy = look(seen);
    unsigned at = row_at(&copy, EZ__V1__KIND__KIND_API_KEY, 3);
    cr_assert_str_eq(copy.rows[at].name, "renamed");
    cr_assert_str_eq(copy.rows[at].secret, "sk-1");
    n = plane_commit(plane, (plane_change){.id = 3, .name = "renamed", .secret_version = 2, .secret = "sk-2"});
    until(is_at(session, n));
    copy = look(seen);
    cr_assert_str_eq(copy.rows[at].secret, "sk-2");
    cr_assert_eq(plane_look(plane).fetches, fetches + 1);
    expect_same_digest(plane, session);
    ez_session_close(session);
    holder_destroy(seen);
    plane_stop(plane);
}

Test(session_push, garbage_on_the_push_socket_does_no_harm) {
    fake_plane *plane = plane_start(1, 0, 0);
    holder *seen = holder_create();
    ez_session *session = follow(plane, seen);
    given_joined(plane, session);
    static const char *const frames[] = {"config", "config\0", "config\0\x01\x05\x0a", "config\0\x02\x00",
                                         "config\0\x01\xff\xff\xff\xff\xff"};
    static const size_t lens[] = {6, 7, 10, 9, 13};
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        plane_publish_bytes(plane, frames[i], lens[i]);
    }
    uint64_t n = plane_commit(plane, (plane_change){.id = 1, .name = "one"});
    until(is_at(session, n));
    expect_same_digest(plane, session);
    ez_session_close(session);
    holder_destroy(seen);
    plane_stop(plane);
}
