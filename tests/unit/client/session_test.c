// SPDX-License-Identifier: Apache-2.0
//
// ez_session as its control plane sees it: Hello, acknowledgements, rejected rows, restarts, Goodbye; and what it can't
// be opened with.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/client/holder.h"

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

// The plane ignores what kinds are asked for, as its pushed events do.
Test(session, holds_the_kinds_it_wants) {
    fake_plane *plane = plane_start(1, 0, 0);
    given_rows(plane);
    holder *seen = holder_create();
    ez_session_options options = options_for(plane, seen);
    options.kinds[0] = EZ__V1__KIND__KIND_NAMESPACE;
    options.kind_count = 1;
    ez_session *session = session_of(&options);
    given_joined(plane, session);
    cr_assert_eq(plane_look(plane).hello_kinds, 1);
    cr_assert_eq(plane_look(plane).fetch_kinds, 1);
    unsigned fetches = plane_look(plane).fetches;
    plane_commit(plane, (plane_change){.id = 3, .name = "key", .secret_version = 2, .secret = "sk-2"});
    uint64_t n = plane_commit(plane, (plane_change){.id = 2, .name = "dos"});
    until(is_at(session, n));
    cr_assert_eq(plane_look(plane).fetches, fetches, "a secret that nobody wants is not fetched");
    cr_assert(holds_space(seen, 2, "dos"));
    holder copy = look(seen);
    cr_assert_eq(row_at(&copy, EZ__V1__KIND__KIND_API_KEY, 3), copy.count);
    cr_assert_eq(info_of(session).rows, copy.count);
    ez_session_close(session);
    holder_destroy(seen);
    plane_stop(plane);
}

static ez_session *follow_two(const char *first, const char *second, holder *seen, fake_plane *plane) {
    ez_session_options options = options_for(plane, seen);
    options.client_options.servers[0] = first;
    options.client_options.servers[1] = second;
    options.client_options.server_count = 2;
    return session_of(&options);
}

Test(session, follows_the_second_server_where_the_first_is_down) {
    fake_plane *gone = plane_start(1, 0, 0);
    char dead[64];
    snprintf(dead, sizeof dead, "%s", plane_rpc_url(gone));
    plane_stop(gone);
    fake_plane *plane = plane_start(1, 0, 0);
    given_rows(plane);
    holder *seen = holder_create();
    ez_session *session = follow_two(dead, plane_rpc_url(plane), seen, plane);
    given_joined(plane, session);
    cr_assert_eq(plane_look(plane).hellos, 1, "the first Hello went there: nothing was waited for in vain");
    expect_same_digest(plane, session);
    ez_session_close(session);
    holder_destroy(seen);
    plane_stop(plane);
}

Test(session, moves_to_the_second_server_when_the_first_dies) {
    fake_plane *first = plane_start(1, 0, 0), *second = plane_start(1, 0, 0);
    plane_set_heartbeat(first, 100);
    plane_set_heartbeat(second, 100);
    given_rows(first);
    given_rows(second);
    holder *seen = holder_create();
    ez_session *session = follow_two(plane_rpc_url(first), plane_rpc_url(second), seen, first);
    until(is_at(session, 3));
    cr_assert_eq(plane_look(second).hellos, 0);
    plane_stop(first);
    until(plane_look(second).hellos == 1);
    uint64_t pushed = info_of(session).pushed;
    until((plane_commit(second, (plane_change){.id = 4, .name = "four"}), info_of(session).pushed > pushed));
    until(is_at(session, plane_revision(second)));
    cr_assert_eq(plane_look(second).snapshots, 0, "it goes on where it stood");
    expect_same_digest(second, session);
    ez_session_close(session);
    holder_destroy(seen);
    plane_stop(second);
}

Test(session, refuses_bad_options) {
    ez_session *session = NULL;
    ez_error error = EZ_ERROR_INIT;
    ez_session_options options;
    ez_session_options_init(&options);
    cr_assert_eq(ez_session_open(&options, &session, &error), EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(error.reason, "CLIENT_MISSING");
    options.client_options = (ez_client_options){.servers = {"tcp://127.0.0.1:1"}, .server_count = 1};
    options.kind_count = 1;
    options.kinds[0] = EZ__V1__KIND__KIND_ADMIN_TOKEN;
    cr_assert_eq(ez_session_open(&options, &session, &error), EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(error.reason, "KINDS_INVALID");
    options.kind_count = 0;
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
