// SPDX-License-Identifier: Apache-2.0
//
// ez_client against a real peer: what goes out, what comes back, and what happens when nothing does.
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/client.h"
#include "ez/calls.h"
#include "proto/runtime/clock.h"
#include "tests/unit/client/plane.h"

#define TOKEN "eza_test"

static ez_client *open_client(const char *first, const char *second) {
    ez_client_options options = {.servers = {first, second},
                                 .server_count = second == NULL ? 1 : 2,
                                 .token = TOKEN,
                                 .name = "tests/1",
                                 .connect_timeout_ms = 5000};
    ez_client *client;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_client_open(&options, &client, &error), EZ_OK, "%s", error.message);
    return client;
}

static ez_status create(ez_client *client, const ez_call_options *options, Ez__V1__Master **reply, ez_error *error) {
    Ez__V1__Master master = EZ__V1__MASTER__INIT;
    master.name = (char *)(uintptr_t) "acme";
    Ez__V1__CreateMasterRequest request = EZ__V1__CREATE_MASTER_REQUEST__INIT;
    request.master = &master;
    return ez_call_masters_create(client, &request, options, reply, error);
}

static void create_ok(ez_client *client, const ez_call_options *options) {
    Ez__V1__Master *reply = NULL;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(create(client, options, &reply, &error), EZ_OK, "%s", error.message);
    cr_assert_eq(reply->id, 42);
    ez__v1__master__free_unpacked(reply, NULL);
}

Test(client, carries_header_and_reply) {
    fake_plane *plane = plane_start(1, 0, 0);
    ez_client *client = open_client(plane_rpc_url(plane), NULL);
    ez_call_info info = {0};
    ez_call_options options = {.timeout_ms = 3000,
                               .request_id = "req-1",
                               .idempotency_key = "once",
                               .if_match = 9,
                               .wait_applied = true,
                               .info = &info};
    create_ok(client, &options);
    plane_seen seen = plane_look(plane);
    cr_assert_str_eq(seen.method, "ez.v1.Masters/Create");
    cr_assert_str_eq(seen.authorization, "Bearer " TOKEN);
    cr_assert_str_eq(seen.client, "tests/1");
    cr_assert_str_eq(seen.key, "once");
    cr_assert_str_eq(seen.request_id, "req-1");
    cr_assert_eq(seen.if_match, 9);
    cr_assert(seen.wait_applied);
    cr_assert(!seen.validate_only);
    cr_assert(seen.timeout_ms > 0 && seen.timeout_ms <= 3000);
    cr_assert_str_eq(info.request_id, "req-1");
    cr_assert_eq(info.epoch, 1);
    cr_assert(info.has_applied);
    cr_assert_eq(info.applied_planes, 2);
    cr_assert_eq(info.applied_of, 3);
    cr_assert_eq(info.attempts, 1);
    ez_client_close(client);
    plane_stop(plane);
}

Test(client, authorization_can_be_overridden) {
    fake_plane *plane = plane_start(1, 0, 0);
    ez_client *client = open_client(plane_rpc_url(plane), NULL);
    create_ok(client, &(ez_call_options){.authorization = "ezm_other"});
    cr_assert_str_eq(plane_look(plane).authorization, "Bearer ezm_other");
    create_ok(client, &(ez_call_options){.authorization = ""});
    cr_assert_str_eq(plane_look(plane).authorization, "");
    ez_client_close(client);
    plane_stop(plane);
}

Test(client, error_is_carried_whole) {
    fake_plane *plane = plane_start(1, 0, 0);
    ez_client *client = open_client(plane_rpc_url(plane), NULL);
    plane_fail_calls(plane, 1, EZ_INVALID_ARGUMENT, "FIELD_INVALID", 0);
    ez_error error = EZ_ERROR_INIT;
    ez_call_info info = {0};
    Ez__V1__Master *reply = NULL;
    cr_assert_eq(create(client, &(ez_call_options){.info = &info}, &reply, &error), EZ_INVALID_ARGUMENT);
    cr_assert_null(reply);
    cr_assert_str_eq(error.reason, "FIELD_INVALID");
    cr_assert_eq(error.violation_count, 1);
    cr_assert_str_eq(error.violations[0].field, "master.name");
    cr_assert_str_eq(info.request_id, "made-by-server");
    cr_assert_eq(plane_look(plane).calls, 1);
    ez_client_close(client);
    plane_stop(plane);
}

Test(client, lost_reply_is_repeated_with_the_same_key) {
    fake_plane *plane = plane_start(1, 0, 0);
    ez_client *client = open_client(plane_rpc_url(plane), NULL);
    plane_lose_replies(plane, 1);
    ez_call_info info = {0};
    create_ok(client, &(ez_call_options){.timeout_ms = 8000, .info = &info});
    plane_seen seen = plane_look(plane);
    cr_assert_eq(seen.calls, 2);
    cr_assert_eq(info.attempts, 2);
    cr_assert_eq(strlen(seen.key), 32, "a key is made where none is given");
    cr_assert_str_eq(seen.key, seen.previous_key);
    cr_assert_eq(seen.changes_made, 1);
    create_ok(client, NULL);
    cr_assert_str_neq(plane_look(plane).key, seen.key, "each call has a key of its own");
    ez_client_close(client);
    plane_stop(plane);
}

Test(client, lost_reply_is_an_error_without_retries) {
    fake_plane *plane = plane_start(1, 0, 0);
    ez_client *client = open_client(plane_rpc_url(plane), NULL);
    plane_lose_replies(plane, 1);
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(create(client, &(ez_call_options){.max_retries = -1}, NULL, &error), EZ_UNAVAILABLE);
    cr_assert_str_eq(error.reason, "CONNECTION_LOST");
    cr_assert_eq(plane_look(plane).calls, 1);
    ez_client_close(client);
    plane_stop(plane);
}

Test(client, overload_is_repeated_when_the_server_says_when) {
    fake_plane *plane = plane_start(1, 0, 0);
    ez_client *client = open_client(plane_rpc_url(plane), NULL);
    plane_fail_calls(plane, 2, EZ_RESOURCE_EXHAUSTED, "OVERLOADED", 5);
    create_ok(client, NULL);
    cr_assert_eq(plane_look(plane).calls, 3);
    plane_fail_calls(plane, 1, EZ_RESOURCE_EXHAUSTED, "MAX_CHILD_KEYS", 0);
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(create(client, NULL, NULL, &error), EZ_RESOURCE_EXHAUSTED);
    cr_assert_str_eq(error.reason, "MAX_CHILD_KEYS");
    cr_assert_eq(plane_look(plane).calls, 4, "a limit is no overload");
    ez_client_close(client);
    plane_stop(plane);
}

Test(client, moves_to_the_second_server_and_stays) {
    fake_plane *gone = plane_start(1, 0, 0);
    char dead[64];
    snprintf(dead, sizeof dead, "%s", plane_rpc_url(gone));
    plane_stop(gone);
    fake_plane *plane = plane_start(1, 0, 0);
    ez_client *client = open_client(dead, plane_rpc_url(plane));
    create_ok(client, &(ez_call_options){.timeout_ms = 2000});
    cr_assert_str_eq(ez_client_server(client), plane_rpc_url(plane));
    ez_client_close(client);
    plane_stop(plane);
}

Test(client, moves_on_when_a_server_says_unavailable) {
    fake_plane *first = plane_start(1, 0, 0);
    fake_plane *second = plane_start(1, 0, 0);
    ez_client *client = open_client(plane_rpc_url(first), plane_rpc_url(second));
    create_ok(client, NULL);
    cr_assert_eq(plane_look(first).creates, 1);
    plane_fail_calls(first, 1000, EZ_UNAVAILABLE, "STOPPING", 0);
    create_ok(client, &(ez_call_options){.timeout_ms = 9000});
    cr_assert_eq(plane_look(second).creates, 1);
    unsigned before = plane_look(first).calls;
    create_ok(client, NULL);
    create_ok(client, NULL);
    cr_assert_eq(plane_look(second).creates, 3);
    cr_assert_eq(plane_look(first).calls, before, "it stays with the server that works");
    ez_client_close(client);
    plane_stop(first);
    plane_stop(second);
}

Test(client, moves_on_when_a_server_dies_during_a_call) {
    fake_plane *first = plane_start(1, 0, 0);
    fake_plane *second = plane_start(1, 0, 0);
    ez_client *client = open_client(plane_rpc_url(first), plane_rpc_url(second));
    create_ok(client, NULL);
    plane_stop(first);
    create_ok(client, &(ez_call_options){.timeout_ms = 9000});
    cr_assert_eq(plane_look(second).changes_made, 1);
    ez_client_close(client);
    plane_stop(second);
}

Test(client, deadline_ends_a_call_and_the_next_one_works) {
    fake_plane *plane = plane_start(1, 0, 0);
    ez_client *client = open_client(plane_rpc_url(plane), NULL);
    plane_ignore_calls(plane, 1);
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(create(client, &(ez_call_options){.timeout_ms = 100}, NULL, &error), EZ_DEADLINE_EXCEEDED);
    cr_assert_str_eq(error.reason, "DEADLINE");
    create_ok(client, NULL);
    ez_client_close(client);
    plane_stop(plane);
}

// A server whose machine is gone looks connected. Silence past a deadline makes a new connection.
Test(client, silent_connection_is_made_anew) {
    fake_plane *plane = plane_start(1, 0, 0);
    ez_client *client = open_client(plane_rpc_url(plane), NULL);
    plane_ignore_calls(plane, 1);
    cr_assert_eq(create(client, &(ez_call_options){.timeout_ms = 1100}, NULL, NULL), EZ_DEADLINE_EXCEEDED);
    until(plane_connections(plane) == 2);
    create_ok(client, NULL);
    ez_client_close(client);
    plane_stop(plane);
}

Test(client, fails_fast_without_a_server) {
    fake_plane *gone = plane_start(1, 0, 0);
    char dead[64];
    snprintf(dead, sizeof dead, "%s", plane_rpc_url(gone));
    plane_stop(gone);
    ez_client_options options = {.servers = {dead}, .server_count = 1, .connect_timeout_ms = 100};
    ez_client *client;
    cr_assert_eq(ez_client_open(&options, &client, NULL), EZ_OK);
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(create(client, &(ez_call_options){.timeout_ms = 60000}, NULL, &error), EZ_UNAVAILABLE);
    cr_assert_str_eq(error.reason, "NOT_CONNECTED");
    cr_assert_not_null(strstr(error.message, dead));
    ez_client_close(client);
}

Test(client, reconnects_after_a_restart) {
    fake_plane *plane = plane_start(1, 0, 0);
    int rpc = plane_rpc_port(plane), push = plane_push_port(plane);
    ez_client *client = open_client(plane_rpc_url(plane), NULL);
    create_ok(client, NULL);
    plane_stop(plane);
    until(!ez_client_is_connected(client));
    plane = plane_start(1, rpc, push);
    create_ok(client, &(ez_call_options){.timeout_ms = 9000});
    ez_client_close(client);
    plane_stop(plane);
}

// ---- the asynchronous form ----

typedef struct call_outcome {
    atomic_int calls;
    atomic_int status;
    char reason[EZ_ERROR_REASON_MAX];
} call_outcome;

static void on_done(void *user, const ez_call_result *result) {
    call_outcome *outcome = user;
    snprintf(outcome->reason, sizeof outcome->reason, "%s", result->error->reason);
    atomic_store(&outcome->status, (int)result->status);
    atomic_fetch_add(&outcome->calls, 1);
}

static ez_status start_get(ez_client *client, call_outcome *outcome, ez_error *error) {
    static const char name[] = "ez.v1.Masters/Get";
    Ez__V1__GetMasterRequest request = EZ__V1__GET_MASTER_REQUEST__INIT;
    request.id = 42;
    return ez_client_start(client, ez_method_find(name, sizeof name - 1), &request.base, NULL, on_done, outcome, error);
}

Test(client, calls_in_flight_are_bounded) {
    fake_plane *plane = plane_start(1, 0, 0);
    plane_ignore_calls(plane, 2);
    ez_client_options options = {.servers = {plane_rpc_url(plane)}, .server_count = 1, .max_in_flight = 2};
    ez_client *client;
    cr_assert_eq(ez_client_open(&options, &client, NULL), EZ_OK);
    call_outcome outcomes[3] = {0};
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(start_get(client, &outcomes[0], &error), EZ_OK);
    cr_assert_eq(start_get(client, &outcomes[1], &error), EZ_OK);
    cr_assert_eq(start_get(client, &outcomes[2], &error), EZ_RESOURCE_EXHAUSTED);
    cr_assert_str_eq(error.reason, "TOO_MANY_CALLS");
    until(plane_look(plane).calls == 2);
    ez_client_close(client);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(atomic_load(&outcomes[i].calls), 1);
        cr_assert_eq(atomic_load(&outcomes[i].status), EZ_CANCELLED);
        cr_assert_str_eq(outcomes[i].reason, "CLIENT_CLOSED");
    }
    cr_assert_eq(atomic_load(&outcomes[2].calls), 0);
    plane_stop(plane);
}

Test(client, many_at_once_all_end) {
    enum { CALLS = 200 };
    fake_plane *plane = plane_start(1, 0, 0);
    ez_client *client = open_client(plane_rpc_url(plane), NULL);
    call_outcome *outcome = calloc(1, sizeof *outcome);
    for (int i = 0; i < CALLS; i++) {
        cr_assert_eq(start_get(client, outcome, NULL), EZ_OK);
    }
    until(atomic_load(&outcome->calls) == CALLS);
    cr_assert_eq(atomic_load(&outcome->status), EZ_OK);
    ez_client_close(client);
    free(outcome);
    plane_stop(plane);
}

Test(client, refuses_bad_options) {
    ez_client *client = NULL;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_client_open(&(ez_client_options){0}, &client, &error), EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(error.reason, "SERVERS_INVALID");
    ez_client_options options = {.servers = {"http://127.0.0.1:1"}, .server_count = 1};
    cr_assert_eq(ez_client_open(&options, &client, &error), EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(error.reason, "URL_INVALID");
    options.servers[0] = "tls+tcp://127.0.0.1:1";
    options.tls.ca_file = "/nonexistent/ca.pem";
    cr_assert_eq(ez_client_open(&options, &client, &error), EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(error.reason, "TLS_INVALID");
    cr_assert_null(client);
}

Test(client, refuses_another_methods_request) {
    ez_client_options options = {.servers = {"tcp://127.0.0.1:1"}, .server_count = 1};
    ez_client *client;
    cr_assert_eq(ez_client_open(&options, &client, NULL), EZ_OK);
    static const char name[] = "ez.v1.Masters/Create";
    Ez__V1__GetMasterRequest request = EZ__V1__GET_MASTER_REQUEST__INIT;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_client_call(client, ez_method_find(name, sizeof name - 1), &request.base, NULL, NULL, &error),
                 EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(error.reason, "REQUEST_TYPE");
    ez_client_close(client);
}
