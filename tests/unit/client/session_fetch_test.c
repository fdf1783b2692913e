// SPDX-License-Identifier: Apache-2.0
//
// ez_session and Config.Fetch: snapshots, deltas, pages, and servers that went back or are of another epoch. Each test
// ends by comparing digests where it can.
#include <criterion/criterion.h>

#include "tests/unit/client/holder.h"

Test(session_fetch, starts_with_a_snapshot) {
    fake_plane *plane = plane_start(1, 0, 0);
    plane_set_heartbeat(plane, 100);
    given_rows(plane);
    holder *seen = holder_create();
    ez_session *session = follow(plane, seen);
    until(is_at(session, 3));
    cr_assert(holds_space(seen, 1, "one"));
    cr_assert(holds_space(seen, 2, "two"));
    holder copy = look(seen);
    unsigned key = row_at(&copy, EZ__V1__KIND__KIND_API_KEY, 3);
    cr_assert_str_eq(copy.rows[key].secret, "sk-1");
    cr_assert_eq(copy.revision, 3);
    cr_assert(!copy.from_cache);
    cr_assert(copy.last.is_snapshot);
    expect_same_digest(plane, session);
    until(plane_look(plane).heartbeats > 1);
    cr_assert_eq(plane_look(plane).acked, 3);
    cr_assert_str_eq(plane_look(plane).authorization, "Bearer " TOKEN);
    ez_session_close(session);
    cr_assert_eq(plane_look(plane).goodbyes, 1);
    holder_destroy(seen);
    plane_stop(plane);
}

Test(session_fetch, reads_a_snapshot_in_pages) {
    fake_plane *plane = plane_start(1, 0, 0);
    for (int i = 1; i <= 20; i++) {
        plane_commit(plane, (plane_change){.id = i, .name = "row", .quiet = true});
    }
    plane_set_page(plane, 3);
    holder *seen = holder_create();
    ez_session *session = follow(plane, seen);
    until(is_at(session, 20));
    cr_assert_eq(look(seen).count, 20);
    cr_assert_eq(plane_look(plane).snapshots, 1);
    expect_same_digest(plane, session);
    ez_session_close(session);
    holder_destroy(seen);
    plane_stop(plane);
}

// A snapshot's pages are of different moments: until the deltas since its beginning are in, it stands nowhere.
Test(session_fetch, stands_nowhere_before_a_snapshots_deltas_are_in) {
    fake_plane *plane = plane_start(1, 0, 0);
    given_rows(plane);
    plane_refuse_deltas(plane, true);
    holder *seen = holder_create();
    ez_session *session = follow(plane, seen);
    until(info_of(session).snapshots == 1 && plane_look(plane).fetches > 2);
    cr_assert_eq(info_of(session).rows, 3);
    cr_assert_eq(info_of(session).at.epoch, 0);
    cr_assert(!info_of(session).is_live);
    plane_refuse_deltas(plane, false);
    until(is_at(session, 3));
    expect_same_digest(plane, session);
    ez_session_close(session);
    holder_destroy(seen);
    plane_stop(plane);
}

Test(session_fetch, fetches_over_a_gap) {
    fake_plane *plane = plane_start(1, 0, 0);
    holder *seen = holder_create();
    ez_session *session = follow(plane, seen);
    given_joined(plane, session);
    uint64_t before = plane_revision(plane);
    plane_commit(plane, (plane_change){.id = 1, .name = "lost", .quiet = true});
    uint64_t n = plane_commit(plane, (plane_change){.id = 2, .name = "two"});
    until(is_at(session, n));
    cr_assert(holds_space(seen, 1, "lost"));
    cr_assert(holds_space(seen, 2, "two"));
    cr_assert_eq(plane_look(plane).fetch_since, before);
    cr_assert_eq(plane_look(plane).snapshots, 1, "a gap is filled by deltas");
    cr_assert(look(seen).last.by_fetch);
    cr_assert_eq(look(seen).last.changes, 2);
    expect_same_digest(plane, session);
    ez_session_close(session);
    holder_destroy(seen);
    plane_stop(plane);
}

// A server that has too much to do is asked for the same page again, not for all of it.
Test(session_fetch, goes_on_with_the_page_that_was_refused) {
    fake_plane *plane = plane_start(1, 0, 0);
    for (int id = 1; id <= 200; id++) {
        plane_commit(plane, (plane_change){.id = id, .name = "many"});
    }
    plane_set_page(plane, 1);
    holder *seen = holder_create();
    ez_session *session = follow(plane, seen);
    until(plane_look(plane).fetches >= 1);
    plane_fail_calls(plane, 1, EZ_RESOURCE_EXHAUSTED, "SERVER_IN_FLIGHT", 100);
    until(is_at(session, plane_revision(plane)));
    cr_assert_eq(plane_look(plane).snapshots, 1);
    expect_same_digest(plane, session);
    ez_session_close(session);
    holder_destroy(seen);
    plane_stop(plane);
}

Test(session_fetch, a_snapshot_deletes_what_is_not_in_it) {
    fake_plane *plane = plane_start(1, 0, 0);
    given_rows(plane);
    holder *seen = holder_create();
    ez_session *session = follow(plane, seen);
    given_joined(plane, session);
    plane_commit(plane, (plane_change){.id = 1, .is_delete = true, .quiet = true});
    plane_compact(plane, plane_revision(plane));
    plane_heartbeat(plane);
    until(is_at(session, plane_revision(plane)));
    cr_assert_eq(plane_look(plane).snapshots, 2);
    cr_assert(!holds_space(seen, 1, "one"));
    cr_assert(holds_space(seen, 2, "two"));
    cr_assert_eq(look(seen).deletes, 1);
    expect_same_digest(plane, session);
    ez_session_close(session);
    holder_destroy(seen);
    plane_stop(plane);
}

Test(session_fetch, takes_a_snapshot_after_a_change_of_epoch) {
    fake_plane *plane = plane_start(1, 0, 0);
    given_rows(plane);
    holder *seen = holder_create();
    ez_session *session = follow(plane, seen);
    given_joined(plane, session);
    plane_change_epoch(plane, 2);
    plane_heartbeat(plane);
    until(info_of(session).at.epoch == 2 && info_of(session).is_live);
    cr_assert_eq(plane_look(plane).snapshots, 2);
    until(is_at(session, plane_revision(plane)));
    expect_same_digest(plane, session);
    ez_session_close(session);
    holder_destroy(seen);
    plane_stop(plane);
}

// A store that was put back without a new epoch: what is pushed looks old, so nothing but heartbeats tells.
Test(session_fetch, follows_a_server_that_went_back) {
    fake_plane *plane = plane_start(1, 0, 0);
    plane_set_heartbeat(plane, 50);
    given_rows(plane);
    holder *seen = holder_create();
    ez_session *session = follow(plane, seen);
    given_joined(plane, session);
    uint64_t before = plane_revision(plane);
    plane_commit(plane, (plane_change){.id = 9, .name = "nine"});
    until(is_at(session, before + 1));
    plane_go_back(plane, before);
    until(is_at(session, before));
    cr_assert(!holds_space(seen, 9, "nine"));
    expect_same_digest(plane, session);
    ez_session_close(session);
    holder_destroy(seen);
    plane_stop(plane);
}

Test(session_fetch, drift_is_cured_by_a_snapshot) {
    fake_plane *plane = plane_start(1, 0, 0);
    plane_set_heartbeat(plane, 100);
    given_rows(plane);
    holder *seen = holder_create();
    ez_session *session = follow(plane, seen);
    given_joined(plane, session);
    cr_assert_eq(plane_look(plane).snapshots, 1);
    plane_deny_digest(plane, 3);
    until(plane_look(plane).snapshots == 2);
    // The cure is bounded: the next "not equal" within half a minute does not bring another one.
    unsigned beats = plane_look(plane).heartbeats;
    until(plane_look(plane).heartbeats > beats + 4);
    cr_assert_eq(plane_look(plane).snapshots, 2);
    ez_session_close(session);
    holder_destroy(seen);
    plane_stop(plane);
}

// Changes rows that the snapshot has yet to come to, as soon as its first page is here.
typedef struct meddler {
    holder *seen;
    fake_plane *plane;
    bool is_done;
} meddler;

static bool meddle(void *user, Ez__V1__Kind kind, int64_t id, const ProtobufCMessage *resource,
                   const Ez__V1__ApiKeySecret *secret, char *reason, size_t reason_size) {
    meddler *self = user;
    if (!self->is_done) {
        self->is_done = true;
        plane_commit(self->plane, (plane_change){.id = 2, .name = "older", .quiet = true});
        plane_commit(self->plane, (plane_change){.id = 2, .name = "newer", .quiet = true});
        plane_commit(self->plane, (plane_change){.id = 4, .is_delete = true, .quiet = true});
        plane_commit(self->plane, (plane_change){.id = 4, .name = "again", .quiet = true});
    }
    return on_put(self->seen, kind, id, resource, secret, reason, reason_size);
}

static void meddle_delete(void *user, Ez__V1__Kind kind, int64_t id) {
    const meddler *self = user;
    on_delete(self->seen, kind, id);
}

// The deltas behind a snapshot begin with what its later pages had in them already: a key that was disabled meanwhile
// was given as it had been once more.
Test(session_fetch, an_older_change_does_not_undo_what_a_snapshot_gave) {
    fake_plane *plane = plane_start(1, 0, 0);
    given_rows(plane);
    plane_commit(plane, (plane_change){.id = 4, .name = "four", .quiet = true});
    plane_set_page(plane, 1);
    holder *seen = holder_create();
    meddler user = {.seen = seen, .plane = plane};
    ez_session_options options = options_for(plane, seen);
    options.user = &user;
    options.on_put = meddle;
    options.on_delete = meddle_delete;
    options.on_revision = NULL;
    options.on_applied = NULL;
    ez_session *session = session_of(&options);
    until(is_at(session, 8));
    cr_assert(holds_space(seen, 2, "newer"));
    cr_assert(holds_space(seen, 4, "again"));
    holder copy = look(seen);
    cr_assert_eq(copy.puts, 4, "each row was given once, as it is now");
    cr_assert_eq(copy.deletes, 0);
    expect_same_digest(plane, session);
    uint64_t n = plane_commit(plane, (plane_change){.id = 2, .name = "newest", .quiet = true});
    plane_heartbeat(plane);
    until(is_at(session, n));
    cr_assert(holds_space(seen, 2, "newest"));
    ez_session_close(session);
    holder_destroy(seen);
    plane_stop(plane);
}
