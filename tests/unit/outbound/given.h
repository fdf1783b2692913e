// SPDX-License-Identifier: Apache-2.0
//
// A client under test, and a call whose reply is kept.
#pragma once

#include <stdatomic.h>

#include "server/platform/outbound/outbound.h"
#include "tests/support/expect.h"
#include "tests/support/receiver.h"
#include "tests/support/wait.h"

typedef struct kept {
    atomic_int done; // how often done was called
    ez_status status;
    ez_error error;
    int http_status;
    bool was_sent;
    char *body; // NUL-terminated
    size_t body_len;
    char etag[64], content_type[64];
} kept;

// allow: EZ_OUTBOUND_ALLOW.
ez_outbound *given_outbound(const char *allow);
ez_outbound *given_outbound_with(const ez_outbound_options *options);

// Fills done and user, submits; the reply lands in *into, which is zeroed.
void submit(ez_outbound *outbound, ez_outbound_request request, kept *into);
// And waits for it. get: with a method of GET.
void call(ez_outbound *outbound, ez_outbound_request request, kept *into);
void get(ez_outbound *outbound, const char *url, kept *into);
void forget(kept *reply);

#define expect_failure(want_code, want_reason, reply)                                                                  \
    expect_reason(want_code, want_reason, (reply)->status, &(reply)->error)
