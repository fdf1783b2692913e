// SPDX-License-Identifier: Apache-2.0
//
// ez_session against a real peer: following, gaps, rejected rows, acknowledgements, the cache. Each test ends by
// comparing digests where it can, since that is what says that both sides hold the same.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clients/c/session.h"
#include "ez/v1/namespace.pb-c.h"
#include "tests/unit/client/plane.h"

#define TOKEN    "ezd_test-token-of-one-data-plane"
#define ROWS_MAX 64

// What the user of a session saw. Guarded by its mutex.
typedef struct holder {
    pthread_mutex_t mutex;
    struct {
        Ez__V1__Kind kind;
        int64_t id;
        char name[64], secret[64];
    } rows[ROWS_MAX];
    unsigned count, puts, deletes, steps;
    uint64_t revision;
    bool from_cache;
    ez_session_step last;
    const char *refused_name; // rows of this name are rejected
} holder;

static unsigned row_at(const holder *seen, Ez__V1__Kind kind, int64_t id) {
    unsigned i = 0;
    while (i < seen->count && (seen->rows[i].id != id || seen->rows[i].kind != kind)) {
        i++;
    }
    return i;
}

static bool on_put(void *user, Ez__V1__Kind kind, int64_t id, const ProtobufCMessage *resource,
                   const Ez__V1__ApiKeySecret *secret, char *reason, size_t reason_size) {
    holder *seen = user;
    const char *name = kind == EZ__V1__KIND__KIND_API_KEY ? ((const Ez__V1__ApiKey *)resource)->name
                                                          : ((const Ez__V1__Namespace *)resource)->name;
    pthread_mutex_lock(&seen->mutex);
    bool refused = seen->refused_name != NULL && strcmp(seen->refused_name, name) == 0;
    unsigned at = row_at(seen, kind, id);
    if (!refused && at < ROWS_MAX) {
        seen->count += at == seen->count;
        seen->rows[at].kind = kind;
        seen->rows[at].id = id;
        snprintf(seen->rows[at].name, sizeof seen->rows[at].name, "%s", name);
        snprintf(seen->rows[at].secret, sizeof seen->rows[at].secret, "%s", secret == NULL ? "" : secret->api_key);
    }
    seen->puts++;
    pthread_mutex_unlock(&seen->mutex);
    if (refused) {
        snprintf(reason, reason_size, "the name is taken");
    }
    return !refused;
}

static void on_delete(void *user, Ez__V1__Kind kind, int64_t id) {
    holder *seen = user;
    pthread_mutex_lock(&seen->mutex);
    unsigned at = row_at(seen, kind, id);
    if (at < seen->count) {
        seen->rows[at] = seen->rows[--seen->count];
    }
    seen->deletes++;
    pthread_mutex_unlock(&seen->mutex);
}

static void on_revision(void *user, ez_session_revision revision, bool from_cache) {
    holder *seen = user;
    pthread_mutex_lock(&seen->mutex);
    seen->revision = revision.n;
    seen->from_cache = from_cache;
    pthread_mutex_unlock(&seen->mutex);
}

static void on_applied(void *user, const ez_session_step *step) {
    holder *seen = user;
    pthread_mutex_lock(&seen->mutex);
    seen->last = *step;
    seen->steps++;
    pthread_mutex_unlock(&seen->mutex);
}

static holder *holder_create(void) {
    holder *seen = calloc(1, sizeof *seen);
    cr_assert_not_null(seen);
    pthread_mutex_init(&seen->mutex, NULL);
    return seen;
}

static void holder_destroy(holder *seen) {
    pthread_mutex_destroy(&seen->mutex);
    free(seen);
}

// A copy, to look at in peace.
static holder look(holder *seen) {
    pthread_mutex_lock(&seen->mutex);
    holder copy = *seen;
    pthread_mutex_unlock(&seen->mutex);
    return copy;
}

static bool holds(holder *seen, Ez__V1__Kind kind, int64_t id, const char *name) {
    holder copy = look(seen);
    unsigned at = row_at(&copy, kind, id);
    return at < copy.count && strcmp(copy.rows[at].name, name) == 0;
}

static bool holds_space(holder *seen, int64_t id, const char *name) {
    return holds(seen, EZ__V1__KIND__KIND_NAMESPACE, id, name);
}

static ez_session_options options_for(fake_plane *plane, holder *seen) {
    ez_session_options options;
    ez_session_options_init(&options);
    options.client_options =
        (ez_client_options){.servers = {plane_rpc_url(plane)}, .server_count = 1, .token = TOKEN, .name = "tests/1"};
    options.name = "edge-1";
    options.user = seen;
    options.on_put = on_put;
    options.on_delete = on_delete;
    options.on_revision = on_revision;
    options.on_applied = on_applied;
    return options;
}

static ez_session *session_of(const ez_session_options *options) {
    ez_session *session;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_session_open(options, &session, &error), EZ_OK, "%s", error.message);
    return session;
}

static ez_session *follow(fake_plane *plane, holder *seen) {
    ez_session_options options = options_for(plane, seen);
    return session_of(&options);
}

static ez_session_info info_of(ez_session *session) {
    ez_session_info info;
    ez_session_get_info(session, &info);
    return info;
}

static bool is_at(ez_session *session, uint64_t n) {
    ez_session_info info = info_of(session);
    return info.is_live && info.at.n == n;
}

static void expect_same_digest(fake_plane *plane, ez_session *session) {
    uint8_t digest[EZ_DIGEST_LEN];
    plane_digest(plane, digest);
    cr_assert_arr_eq(info_of(session).digest, digest, EZ_DIGEST_LEN);
}

// Events reach the session from here on.
static void given_joined(fake_plane *plane, ez_session *session) {
    until(info_of(session).is_live);
    until((plane_commit(plane, (plane_change){.id = 1000, .name = "joined"}), info_of(session).pushed > 0));
    until(is_at(session, plane_revision(plane)));
}

static void given_rows(fake_plane *plane) {
    plane_commit(plane, (plane_change){.id = 1, .name = "one", .quiet = true});
    plane_commit(plane, (plane_change){.id = 2, .name = "two", .quiet = true});
    plane_commit(plane, (plane_change){.id = 3, .name = "key", .secret_version = 1, .secret = "sk-1", .quiet = true});
}

Test(session, starts_with_a_snapshot) {
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

Test(session, reads_a_snapshot_in_pages) {
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

Test(session, applies_what_is_pushed) {
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

Test(session, ignores_an_event_it_has) {
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

Test(session, fetches_over_a_gap) {
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

// The event of a later revision comes before that of an earlier one.
Test(session, bears_events_out_of_order) {
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

Test(session, a_heartbeat_shows_a_lost_event) {
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
Test(session, silence_makes_it_fetch) {
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

Test(session, fetches_where_the_event_says_so) {
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

Test(session, fetches_a_secret_it_lacks) {
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

Test(session, takes_a_snapshot_after_a_change_of_epoch) {
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
Test(session, follows_a_server_that_went_back) {
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

// A server that has too much to do is asked for the same page again, not for all of it.
Test(session, goes_on_with_the_page_that_was_refused) {
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

Test(session, a_snapshot_deletes_what_is_not_in_it) {
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

Test(session, a_rejected_row_keeps_its_last_good_version) {
    fake_plane *plane = plane_start(1, 0, 0);
    given_rows(plane);
    holder *seen = holder_create();
    seen->refused_name = "bad";
    ez_session *session = follow(plane, seen);
    given_joined(plane, session);
    uint8_t good[EZ_DIGEST_LEN];
    memcpy(good, info_of(session).digest, sizeof good);
    uint64_t n = plane_commit(plane, (plane_change){.id = 1, .name = "bad", .ack_now = true});
    until(plane_look(plane).acked == n);
    cr_assert(holds_space(seen, 1, "one"));
    until(info_of(session).rejected == 1); // told to the plane before it is shown here
    cr_assert_arr_eq(info_of(session).digest, good, sizeof good, "the digest counts what is held");
    plane_seen reported = plane_look(plane);
    cr_assert_eq(reported.rejected, 1);
    cr_assert_str_eq(reported.rejected_reason, "the name is taken");
    n = plane_commit(plane, (plane_change){.id = 1, .name = "good", .ack_now = true});
    until(plane_look(plane).acked == n);
    cr_assert(holds_space(seen, 1, "good"));
    cr_assert_eq(plane_look(plane).rejected, 0);
    expect_same_digest(plane, session);
    ez_session_close(session);
    holder_destroy(seen);
    plane_stop(plane);
}

Test(session, acknowledges_at_once_where_somebody_waits) {
    fake_plane *plane = plane_start(1, 0, 0);
    holder *seen = holder_create();
    ez_session *session = follow(plane, seen);
    given_joined(plane, session);
    cr_assert_eq(plane_look(plane).acks, 0);
    uint64_t n = plane_commit(plane, (plane_change){.id = 1, .name = "one", .ack_now = true});
    until(plane_look(plane).acks == 1);
    cr_assert_eq(plane_look(plane).acked, n);
    // Where it must fetch first it acknowledges what it fetched.
    n = plane_commit(plane, (plane_change){.id = 2, .name = "two", .ack_now = true, .by_fetch = true});
    until(plane_look(plane).acks == 2);
    cr_assert_geq(plane_look(plane).acked, n);
    uint8_t digest[EZ_DIGEST_LEN];
    plane_digest(plane, digest);
    cr_assert_arr_eq(plane_look(plane).digest, digest, sizeof digest);
    ez_session_close(session);
    holder_destroy(seen);
    plane_stop(plane);
}

Test(session, says_hello_again_where_the_server_forgot_it) {
    fake_plane *plane = plane_start(1, 0, 0);
    plane_set_heartbeat(plane, 100);
    holder *seen = holder_create();
    ez_session *session = follow(plane, seen);
    given_joined(plane, session);
    plane_forget_sessions(plane);
    until(plane_look(plane).hellos == 2);
    uint64_t n = plane_commit(plane, (plane_change){.id = 1, .name = "one"});
    until(is_at(session, n));
    ez_session_close(session);
    holder_destroy(seen);
    plane_stop(plane);
}

Test(session, follows_again_after_a_restart) {
    fake_plane *plane = plane_start(1, 0, 0);
    plane_set_heartbeat(plane, 100);
    given_rows(plane);
    int rpc = plane_rpc_port(plane), push = plane_push_port(plane);
    holder *seen = holder_create();
    ez_session *session = follow(plane, seen);
    until(is_at(session, 3));
    plane_stop(plane);
    plane = plane_start(1, rpc, push);
    plane_set_heartbeat(plane, 100);
    given_rows(plane);
    uint64_t n = plane_commit(plane, (plane_change){.id = 4, .name = "four"});
    until(is_at(session, n));
    cr_assert(holds_space(seen, 4, "four"));
    cr_assert_eq(plane_look(plane).snapshots, 0, "it asks for the deltas since where it stood");
    expect_same_digest(plane, session);
    ez_session_close(session);
    holder_destroy(seen);
    plane_stop(plane);
}

Test(session, drift_is_cured_by_a_snapshot) {
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

Test(session, garbage_on_the_push_socket_does_no_harm) {
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

Test(session, several_share_a_group_and_a_client) {
    enum { SESSIONS = 8 };
    fake_plane *plane = plane_start(1, 0, 0);
    given_rows(plane);
    ez_client_options client_options = {.servers = {plane_rpc_url(plane)}, .server_count = 1};
    ez_client *client;
    ez_session_group *group;
    cr_assert_eq(ez_client_open(&client_options, &client, NULL), EZ_OK);
    cr_assert_eq(ez_session_group_open(&group, NULL), EZ_OK);
    ez_session *sessions[SESSIONS];
    for (int i = 0; i < SESSIONS; i++) {
        ez_session_options options;
        ez_session_options_init(&options);
        options.client = client;
        options.group = group;
        options.token = TOKEN;
        options.keep_bytes = false;
        sessions[i] = session_of(&options);
    }
    for (int i = 0; i < SESSIONS; i++) {
        given_joined(plane, sessions[i]);
    }
    uint64_t n = plane_commit(plane, (plane_change){.id = 3, .name = "key", .secret_version = 2, .secret = "sk-2"});
    for (int i = 0; i < SESSIONS; i++) {
        until(is_at(sessions[i], n));
        expect_same_digest(plane, sessions[i]);
        ez_session_stop(sessions[i]);
    }
    for (int i = 0; i < SESSIONS; i++) {
        ez_session_close(sessions[i]);
    }
    cr_assert_eq(plane_look(plane).goodbyes, SESSIONS);
    ez_session_group_close(group);
    ez_client_close(client);
    plane_stop(plane);
}

// ---- The cache ----

typedef struct cache_dir {
    char path[64];
    char file[96];
} cache_dir;

static cache_dir cache_make(void) {
    cache_dir dir;
    snprintf(dir.path, sizeof dir.path, "/tmp/ez-session-XXXXXX");
    cr_assert_not_null(mkdtemp(dir.path));
    snprintf(dir.file, sizeof dir.file, "%s/config.cache", dir.path);
    return dir;
}

static void cache_remove(const cache_dir *dir) {
    unlink(dir->file);
    cr_assert_eq(rmdir(dir->path), 0, "nothing but the cache is left behind");
}

// A session with a cache was here and stopped at revision 3; so did its control plane.
static void given_cache(const cache_dir *dir) {
    fake_plane *plane = plane_start(1, 0, 0);
    given_rows(plane);
    holder *seen = holder_create();
    ez_session_options options = options_for(plane, seen);
    options.cache_dir = dir->path;
    ez_session *session = session_of(&options);
    until(is_at(session, 3));
    ez_session_close(session);
    holder_destroy(seen);
    plane_stop(plane);
}

static ez_session *open_cached(const cache_dir *dir, const char *token, holder *seen) {
    ez_session_options options;
    ez_session_options_init(&options);
    // Nothing listens there.
    options.client_options = (ez_client_options){
        .servers = {"tcp://127.0.0.1:1"}, .server_count = 1, .token = token, .connect_timeout_ms = 100};
    options.cache_dir = dir->path;
    options.user = seen;
    options.on_put = on_put;
    options.on_delete = on_delete;
    options.on_revision = on_revision;
    return session_of(&options);
}

Test(session, cache_serves_with_the_control_plane_down) {
    cache_dir dir = cache_make();
    given_cache(&dir);
    struct stat file;
    cr_assert_eq(stat(dir.file, &file), 0);
    cr_assert_eq(file.st_mode & 0777, 0600);
    holder *seen = holder_create();
    ez_session *session = open_cached(&dir, TOKEN, seen);
    holder copy = look(seen); // before any server was asked
    cr_assert_eq(copy.count, 3);
    cr_assert_eq(copy.revision, 3);
    cr_assert(copy.from_cache);
    unsigned at = row_at(&copy, EZ__V1__KIND__KIND_API_KEY, 3);
    cr_assert_str_eq(copy.rows[at].secret, "sk-1");
    cr_assert_eq(info_of(session).at.n, 3);
    cr_assert(!info_of(session).is_live);
    ez_session_close(session);
    holder_destroy(seen);
    cache_remove(&dir);
}

Test(session, cache_holds_no_secret_in_the_clear) {
    cache_dir dir = cache_make();
    given_cache(&dir);
    FILE *file = fopen(dir.file, "rb");
    cr_assert_not_null(file);
    char bytes[4096];
    size_t len = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    cr_assert_gt(len, 40);
    cr_assert_null(memmem(bytes, len, "sk-1", 4));
    cr_assert_null(memmem(bytes, len, "one", 3));
    cache_remove(&dir);
}

Test(session, continues_from_its_cache_by_deltas) {
    cache_dir dir = cache_make();
    given_cache(&dir);
    fake_plane *plane = plane_start(1, 0, 0);
    given_rows(plane);
    plane_commit(plane, (plane_change){.id = 4, .name = "four", .quiet = true});
    holder *seen = holder_create();
    ez_session_options options = options_for(plane, seen);
    options.cache_dir = dir.path;
    ez_session *session = session_of(&options);
    until(is_at(session, 4));
    cr_assert_eq(plane_look(plane).snapshots, 0);
    cr_assert_eq(look(seen).puts, 4, "three from the cache, one from the server");
    expect_same_digest(plane, session);
    ez_session_close(session);
    holder_destroy(seen);
    plane_stop(plane);
    cache_remove(&dir);
}

static void damage(const cache_dir *dir, long at) {
    FILE *file = fopen(dir->file, "r+b");
    cr_assert_not_null(file);
    cr_assert_eq(fseek(file, at, SEEK_SET), 0);
    int byte = fgetc(file);
    cr_assert_eq(fseek(file, at, SEEK_SET), 0);
    fputc(byte ^ 0x40, file);
    cr_assert_eq(fclose(file), 0);
}

Test(session, damaged_cache_is_ignored) {
    static const long places[] = {0, 9, 45, 60, 100};
    cache_dir dir = cache_make();
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        given_cache(&dir);
        damage(&dir, places[i]);
        holder *seen = holder_create();
        ez_session *session = open_cached(&dir, TOKEN, seen);
        cr_assert_eq(look(seen).puts, 0, "damaged at %ld", places[i]);
        cr_assert_eq(info_of(session).at.epoch, 0);
        ez_session_close(session);
        holder_destroy(seen);
        unlink(dir.file);
    }
    given_cache(&dir);
    cr_assert_eq(truncate(dir.file, 30), 0);
    holder *seen = holder_create();
    ez_session *session = open_cached(&dir, TOKEN, seen);
    cr_assert_eq(look(seen).puts, 0);
    ez_session_close(session);
    holder_destroy(seen);
    cache_remove(&dir);
}

Test(session, another_tokens_cache_is_ignored_and_replaced) {
    cache_dir dir = cache_make();
    given_cache(&dir);
    holder *seen = holder_create();
    ez_session *session = open_cached(&dir, "ezd_another-token", seen);
    cr_assert_eq(look(seen).puts, 0);
    ez_session_close(session);
    given_cache(&dir); // snapshots again, and writes
    session = open_cached(&dir, TOKEN, seen);
    cr_assert_eq(look(seen).count, 3);
    ez_session_close(session);
    holder_destroy(seen);
    cache_remove(&dir);
}

Test(session, refuses_bad_options) {
    ez_session *session = NULL;
    ez_error error = EZ_ERROR_INIT;
    ez_session_options options;
    ez_session_options_init(&options);
    cr_assert_eq(ez_session_open(&options, &session, &error), EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(error.reason, "CLIENT_MISSING");
    options.client_options = (ez_client_options){.servers = {"tcp://127.0.0.1:1"}, .server_count = 1};
    options.cache_dir = "/tmp";
    cr_assert_eq(ez_session_open(&options, &session, &error), EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(error.reason, "TOKEN_MISSING");
    options.token = TOKEN;
    options.keep_bytes = false;
    cr_assert_eq(ez_session_open(&options, &session, &error), EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(error.reason, "CACHE_INVALID");
    options.keep_bytes = true;
    options.cache_dir = "/nonexistent/place";
    cr_assert_eq(ez_session_open(&options, &session, &error), EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(error.reason, "CACHE_DIR");
    cr_assert_null(session);
}
