// SPDX-License-Identifier: Apache-2.0
//
// ez_client: calls to a control plane, docs/protocol.md section 2. It knows up to 8 servers, talks to one of them and
// moves to the next when that one fails or is silent; it repeats a call only where that can't do a thing twice. A
// session tells it of further servers, as its server says.
//
// Threads: every function may be called from any thread, save ez_client_close, which must be the last. A client has one
// thread of its own, for deadlines and retries, beside nng's. Never fork after ez_client_open.
// Locking: callbacks are called without any lock held.
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/runtime/error.h"
#include "proto/runtime/frame.h"
#include "proto/runtime/schema.h"

#define EZ_CLIENT_SERVERS_MAX   8
#define EZ_CLIENT_IN_FLIGHT_MAX 4096
#define EZ_CLIENT_TOKEN_MAX     255
#define EZ_CLIENT_KEY_MAX       64

typedef struct ez_client ez_client;

// For tls+tcp:// URLs. All of it may be NULL: then the server is not to be trusted and the connection is refused.
typedef struct ez_client_tls {
    const char *ca_file;     // PEM: who signs servers
    const char *cert_file;   // PEM: our certificate and its key in one file, where the server asks for one
    const char *server_name; // expected in the server's certificate; NULL: the URL's host
} ez_client_tls;

// Texts are copied by ez_client_open.
typedef struct ez_client_options {
    const char *servers[EZ_CLIENT_SERVERS_MAX]; // "tcp://127.0.0.1:7350" or "tls+tcp://…", in the order to try
    size_t server_count;                        // 1 … EZ_CLIENT_SERVERS_MAX
    const char *token;                          // bearer token, without "Bearer "; NULL: none
    const char *name;            // program and version for the server's log: "ezctl/0.1.0"; NULL: "libezplane"
    uint32_t timeout_ms;         // deadline of a call that names none; 0: the method's own
    uint32_t connect_timeout_ms; // longest wait for a connection before a call fails; 0: 2000
    uint32_t max_in_flight;      // calls under way at once, at most EZ_CLIENT_IN_FLIGHT_MAX; 0: 256
    ez_client_tls tls;
} ez_client_options;

// What a reply's header says beside the reply.
typedef struct ez_call_info {
    uint64_t epoch; // the store's revision as of the reply; for a change, the one it made
    uint64_t revision;
    bool has_applied;        // wait_applied was asked for and answered
    uint32_t applied_planes; // live data planes that have acknowledged the revision
    uint32_t applied_of;     // live data planes
    uint32_t retry_after_ms;
    uint32_t attempts; // how often it was sent
    uint32_t server;   // who answered, or was to: a number that a server keeps, never 0; 0: it was not sent
    char request_id[65];
} ez_call_info;

// All zero is a good default. Texts must live until the call returns; the asynchronous form copies them.
typedef struct ez_call_options {
    uint32_t timeout_ms;         // deadline from now, over all attempts; 0: the client's
    int max_retries;             // attempts after the first; 0: 8; negative: none
    const char *idempotency_key; // at most 64 bytes; NULL: a change gets a random one, so that its retries count once
    const char *request_id;      // NULL: the server makes one
    const char *authorization;   // a bearer token in place of the client's; "": none
    const char *remote;          // gateways only: the address the call is made for
    uint64_t if_match;           // the resource's revision that was seen; 0: whatever it is
    bool validate_only;          // say what would happen, change nothing
    bool wait_applied;           // answer when every live data plane has acknowledged the change
    ez_call_info *info;          // where to put it, also on failure; may be NULL. Blocking form only
} ez_call_options;

// Connects in the background: a server that is away is no error here. INVALID_ARGUMENT names the option that is wrong.
ez_status ez_client_open(const ez_client_options *options, ez_client **out, ez_error *error) EZ_MUST_CHECK;

// Ends calls under way with CANCELLED, waits for callbacks that run, frees. Where nng hangs it is left with its memory
// after three seconds for each server. Not from a callback. NULL is fine.
void ez_client_close(ez_client *client);

// Calls and waits. request must be method->request's message; the reply is one of method->reply's, the caller frees it
// with protobuf_c_message_free_unpacked(reply, NULL). options may be NULL; reply may be NULL where it is not wanted.
// Errors: what the server says, and of our own UNAVAILABLE (NOT_CONNECTED, CONNECTION_LOST), DEADLINE_EXCEEDED
// (DEADLINE), RESOURCE_EXHAUSTED (TOO_MANY_CALLS, REQUEST_TOO_LARGE), CANCELLED (CLIENT_CLOSED), DATA_LOSS
// (REPLY_INVALID). After DEADLINE_EXCEEDED and CONNECTION_LOST a change may have happened: call again with the same
// idempotency key to learn.
ez_status ez_client_call(ez_client *client, const ez_method *method, const ProtobufCMessage *request,
                         const ez_call_options *options, ProtobufCMessage **reply, ez_error *error) EZ_MUST_CHECK;

// What an asynchronous call came to. Valid during the callback only.
typedef struct ez_call_result {
    ez_status status;
    const ez_error *error; // never NULL; its text counts where status is not EZ_OK
    ez_slice reply;        // the packed reply message; empty unless status is EZ_OK
    const ez_call_info *info;
} ez_call_result;

// Runs once per call that was accepted, on one of nng's threads or the client's: must not block and must not call
// ez_client_call; ez_client_start is fine.
typedef void ez_call_done(void *user, const ez_call_result *result);

// Starts a call and returns; done has the result later, never before this returns an error. Where it returns an error
// done is not called: RESOURCE_EXHAUSTED with too much in flight, INVALID_ARGUMENT, CANCELLED while closing.
ez_status ez_client_start(ez_client *client, const ez_method *method, const ProtobufCMessage *request,
                          const ez_call_options *options, ez_call_done *done, void *user,
                          ez_error *error) EZ_MUST_CHECK;

// Whether a server is connected now, and which URL calls go to. The text lives as long as the client.
bool ez_client_is_connected(ez_client *client);
const char *ez_client_server(ez_client *client);

// Servers to use beside those it was opened with, in place of what was told before. Returns at once; those that can't
// be used are left aside, as is one without TLS where the first server has it, and what does not fit.
void ez_client_learn(ez_client *client, const char *const *urls, size_t count);
size_t ez_client_server_count(ez_client *client);
// Whether the server of this number (ez_call_info) is connected now.
bool ez_client_has_server(ez_client *client, uint32_t server);
