// SPDX-License-Identifier: Apache-2.0
//
// What is sent: the body of a refresh and of a project lookup, and their headers. Pure; bodies hold secrets, so the
// caller wipes them (ez_oauth_request_fini).
#pragma once

#include "proto/runtime/buf.h"
#include "server/domain/oauth/source.h"

#define EZ_OAUTH_BODY_MAX (64u << 10)

typedef struct ez_oauth_request {
    ez_buf body;
    ez_outbound_field headers[EZ_OAUTH_HEADERS + 3];
    size_t header_count;
    char *authorization; // of a lookup
} ez_oauth_request;

// scope: what was granted to the key, "" where that is not known. RESOURCE_EXHAUSTED.
ez_status ez_oauth_request_refresh(ez_oauth_request *out, const ez_oauth_source *source, const char *refresh_token,
                                   const char *scope) EZ_MUST_CHECK;
ez_status ez_oauth_request_project(ez_oauth_request *out, const ez_oauth_source *source,
                                   const char *access_token) EZ_MUST_CHECK;
void ez_oauth_request_fini(ez_oauth_request *request);

// The project that a lookup's reply names. False where it names none.
bool ez_oauth_read_project(ez_slice body, const char *encoding, char out[EZ_OAUTH_TEXT_MAX]);
