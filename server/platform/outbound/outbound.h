// SPDX-License-Identifier: Apache-2.0
//
// ez_outbound: the one HTTP client of the server. Everything that calls out goes through it, and so through its guard
// (guard.h): webhooks, token endpoints, catalogues. HTTP/1.1 and 2 by libcurl on one thread of its own.
//
// What a peer can do to us is bounded: time, bytes of head and body, no redirects, no decompression, no cookies, TLS
// verified, nothing from the environment (proxies) or from files (netrc).
//
// A request may go through an HTTP proxy, by CONNECT and so only to https: the proxy is then who is connected to, and
// is judged as any other peer is; the target is judged by its text alone, since only the proxy knows where it leads.
//
// Threads. Submit: any, done callbacks included. done: outbound's thread, with no lock held; it must not block, and it
// is called exactly once for each request that was taken. Locking: one mutex guards the queue of waiting requests.
// Teardown: stop refuses new requests, ends the thread and calls done with CANCELLED for all that are not finished.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/runtime/error.h"
#include "proto/runtime/frame.h"
#include "server/platform/outbound/guard.h"

#define EZ_OUTBOUND_QUEUE       256 // requests waiting
#define EZ_OUTBOUND_CONCURRENCY 16  // requests in flight
#define EZ_OUTBOUND_CONNECT_MS  5000
#define EZ_OUTBOUND_TIMEOUT_MS  10000
#define EZ_OUTBOUND_TIMEOUT_MAX 300000
#define EZ_OUTBOUND_HEADERS     32          // a request's
#define EZ_OUTBOUND_HEADER_MAX  8192        // bytes of one
#define EZ_OUTBOUND_BODY_MAX    (4u << 20)  // bytes of a request's
#define EZ_OUTBOUND_REPLY       (64u << 10) // bytes of a reply's body, where the request does not say
#define EZ_OUTBOUND_REPLY_MAX   (64u << 20)
#define EZ_OUTBOUND_REPLY_HEAD  (64u << 10) // bytes of a reply's headers, interim ones included

typedef struct ez_outbound ez_outbound;

typedef struct ez_outbound_reply {
    // OK: the reply came whole, whatever its http_status. Else: INVALID_ARGUMENT (as ez_outbound_check_url),
    // PERMISSION_DENIED (ADDRESS_REFUSED), RESOURCE_EXHAUSTED (REPLY_TOO_LARGE), DEADLINE_EXCEEDED (TIMED_OUT),
    // UNAVAILABLE (HOST_UNKNOWN, CONNECT_FAILED, CERTIFICATE_REFUSED, TLS_FAILED, REPLY_BROKEN), CANCELLED (STOPPING).
    ez_status status;
    const ez_error *error; // where status is not OK; names the host, never path, query or headers
    int http_status;       // 0: no status line was read. May be there beside an error: the body was cut or broke off
    bool was_sent;         // some of the request may have reached the peer: false only where certainly none did
    ez_slice body;         // what was read of it
    const char *headers;   // name NUL value NUL …, ended by an empty name; use ez_outbound_header
} ez_outbound_reply;

// A reply's header, letter case ignored; the last one of its name. NULL: none. Lives as long as the reply.
const char *ez_outbound_header(const ez_outbound_reply *reply, const char *name);

// The reply and all within lives until done returns. May hold secrets (a token): it is wiped after.
typedef void ez_outbound_done_fn(void *user, const ez_outbound_reply *reply);

typedef struct ez_outbound_field {
    const char *name, *value;
} ez_outbound_field;

// Copied by submit, and wiped when it is done.
typedef struct ez_outbound_request {
    const char *method; // "GET", "POST", …
    const char *url;
    const ez_outbound_field *headers;
    size_t header_count;
    const void *body;
    size_t body_len;
    uint32_t timeout_ms; // from submit to done; 0: EZ_OUTBOUND_TIMEOUT_MS
    size_t max_reply;    // bytes of the reply's body; 0: EZ_OUTBOUND_REPLY
    // Never sent twice: on a connection of its own, since libcurl repeats by itself what it sent on an old one that
    // turns out to be closed; and over HTTP/1.1, since it repeats a stream that was refused, too.
    bool once;
    const char *proxy; // an HTTP proxy's URL; NULL or "": none
    ez_outbound_done_fn *done;
    void *user;
} ez_outbound_request;

typedef struct ez_outbound_options {
    const char *allow;   // EZ_OUTBOUND_ALLOW, or NULL
    const char *ca_file; // EZ_CA_FILE: certificates to trust instead of the system's, or NULL
    size_t queue;        // 0: EZ_OUTBOUND_QUEUE
    unsigned concurrency;
    const char *const *resolve; // for tests: "HOST:PORT:ADDRESS" instead of asking the resolver, NULL-terminated
} ez_outbound_options;

// INVALID_ARGUMENT (OUTBOUND_ALLOW_INVALID), FAILED_PRECONDITION (CA_FILE_INVALID).
ez_status ez_outbound_create(const ez_outbound_options *options, ez_outbound **out, ez_error *error) EZ_MUST_CHECK;
// When it returns, done was called for every request that was taken. Once.
void ez_outbound_stop(ez_outbound *outbound);
void ez_outbound_destroy(ez_outbound *outbound); // stops it where that was not done; NULL is fine

// For ez_outbound_check_url. Lives as long as outbound.
const ez_outbound_allow *ez_outbound_allowed(const ez_outbound *outbound);

// Where this fails done will not be called: INVALID_ARGUMENT (a URL that is not allowed, a header with a line break, a
// size past its bound), RESOURCE_EXHAUSTED (OUTBOUND_QUEUE_FULL), UNAVAILABLE (STOPPING).
ez_status ez_outbound_submit(ez_outbound *outbound, const ez_outbound_request *request, ez_error *error) EZ_MUST_CHECK;
