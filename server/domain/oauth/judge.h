// SPDX-License-Identifier: Apache-2.0
//
// What came of asking a token endpoint, and what is to be done: the error table of docs/oauth.md. Pure functions; any
// thread. Nothing that an endpoint wrote is shown but codes that are known here: a description may quote a token.
#pragma once

#include "proto/runtime/frame.h"
#include "proto/runtime/status.h"
#include "server/domain/oauth/provider.h"

typedef enum ez_oauth_class {
    EZ_OAUTH_REFRESHED,
    EZ_OAUTH_TERMINAL,     // the refresh token is good for nothing any more
    EZ_OAUTH_SETTING,      // the provider's client or scope is not set, or set wrong: no key's fault
    EZ_OAUTH_TRANSIENT,    // again soon
    EZ_OAUTH_RATE_LIMITED, // again when told
    EZ_OAUTH_UNKNOWN,      // asked, and no readable answer: the refresh token may be used up
    EZ_OAUTH_NO_TOKEN,     // there is no refresh token to ask with
    EZ_OAUTH_CLASSES,
} ez_oauth_class;

// The word of a class: "rate_limited".
const char *ez_oauth_class_word(ez_oauth_class class);

#define EZ_OAUTH_RETRY_MIN_MS     5000
#define EZ_OAUTH_RETRY_MAX_MS     300000
#define EZ_OAUTH_RETRY_DEFAULT_MS 30000 // of a 429 that says nothing
#define EZ_OAUTH_WHY_MAX          256

// How a call ended.
typedef struct ez_oauth_answer {
    ez_status status;    // not OK: the reply did not come whole
    const char *message; // then: why; names the host at most
    bool was_sent;       // the request may have reached the endpoint
    int http_status;     // 0: no status line came
    ez_slice body;
    const char *encoding;    // Content-Encoding, or NULL
    const char *retry_after; // Retry-After, or NULL
} ez_oauth_answer;

typedef struct ez_oauth_verdict {
    ez_oauth_class class;
    int64_t retry_after_ms; // RATE_LIMITED
    char code[48];          // the endpoint's, where it is a known one; else ""
    char why[EZ_OAUTH_WHY_MAX];
} ez_oauth_verdict;

// tokens: filled where the class is REFRESHED, with at least one of the two tokens. now_s: wall clock, for a
// Retry-After that is a date.
void ez_oauth_judge(const ez_oauth_provider *provider, const ez_oauth_answer *answer, int64_t now_s,
                    ez_oauth_verdict *out, ez_oauth_tokens *tokens);

// Retry-After, as seconds or as a date, within its bounds.
int64_t ez_oauth_retry_after(const char *text, int64_t now_s);
