// SPDX-License-Identifier: Apache-2.0
//
// A running ezplaned and whoever calls it, worded so that a test reads as what happens:
//
//     static ez_world w;
//     static void begin(void) { given_world(&w, NULL); }
//     static void end(void) { end_world(&w); }
//     Ez__V1__Key *key = ask(&w.admin, "Keys/Create", "{'master_id':%" PRId64 ",'key':{'name':'web'}}", acme->id);
//     expect_refused(&w.admin, EZ_NOT_FOUND, "KEY_NOT_FOUND", "Keys/Get", "{'id':9}");
//
// Requests are the JSON form of their message with ' for ", which no test needs itself. Replies belong to the world and
// live until end_world. A caller belongs to one thread.
#pragma once

#include <inttypes.h>

#include "clients/c/client.h"
#include "ez/calls.h"
#include "tests/support/expect.h"
#include "tests/support/server.h"
#include "tests/support/wait.h"

typedef struct ez_caller {
    struct ez_world *world;
    const char *token;    // "": none
    ez_call_options next; // of the next call, and of that one only
    ez_call_info info;    // of the last call
    ez_error error;       // likewise
} ez_caller;

typedef struct ez_world {
    ez_test_server server;
    ez_client *client;
    ez_caller admin;
    void *kept; // replies
} ez_world;

// env: further "NAME=value" of the server, NULL-terminated, or NULL; must live as long as the world.
void given_world(ez_world *world, const char *const *env);
// Calls a server that runs already.
void given_callers(ez_world *world);
void end_callers(ez_world *world);
void end_world(ez_world *world);
ez_caller caller_with(ez_world *world, const char *token);

// method: "Keys/Get". The reply, in the world's memory; NULL where it was refused: see caller->error.
ez_status try_call(ez_caller *caller, void **reply, const char *method, const char *format, ...) EZ_PRINTF(4, 5);
// The same with a request that was made otherwise.
ez_status try_message(ez_caller *caller, void **reply, const char *method, const ProtobufCMessage *request);

void *ask_at(int line, ez_caller *caller, const char *method, const char *format, ...) EZ_PRINTF(4, 5);
void expect_refused_at(int line, ez_caller *caller, ez_status code, const char *reason, const char *method,
                       const char *format, ...) EZ_PRINTF(6, 7);

// Expects OK and gives the reply.
#define ask(...) ask_at(__LINE__, __VA_ARGS__)
// Expects this code, and this reason unless it is NULL. Does not retry.
#define expect_refused(...) expect_refused_at(__LINE__, __VA_ARGS__)

// Asks until the server answers.
void await_answers(ez_world *world);

// ---- Things that many tests start from

Ez__V1__Master *given_master(ez_caller *admin, const char *name);
Ez__V1__Key *given_key(ez_caller *admin, int64_t master_id, const char *name);
void given_namespace(ez_caller *admin, const char *name);
// An active provider group of type openai with these models ("'a','b'") and one API key.
Ez__V1__ProviderGroup *given_group(ez_caller *admin, const char *name, const char *models);
Ez__V1__ApiKey *given_api_key(ez_caller *admin, int64_t group_id, const char *name, const char *secret);
Ez__V1__Binding *given_binding(ez_caller *admin, const char *space, const char *model, int64_t group_id);
Ez__V1__DataPlane *given_plane(ez_caller *admin, const char *name);

// Creates a namespace and waits until every data plane has it, or for so long; admin.info says how many have.
void create_and_wait(ez_world *world, const char *name, uint32_t timeout_ms);

// Whether this server does the background work, with this fencing token.
bool holds_lease(ez_world *world, uint64_t token);

// The store's newest revision.
uint64_t revision_of(ez_world *world);
// The server's digest as 64 hexadecimal digits; also its rows and revision where they are wanted.
void digest_of(ez_world *world, char out[65], int64_t *rows, uint64_t *revision);

// Whether the server has written this word into its log.
bool is_in_log(const ez_world *world, const char *word);
