// SPDX-License-Identifier: Apache-2.0
//
// A token endpoint's reply, taken apart: the code of an error in any of the three forms they come in, or the tokens. A
// plain value that belongs to one thread; its texts are wiped by fini.
#pragma once

#include "proto/runtime/frame.h"
#include "server/domain/oauth/provider.h"

#define EZ_OAUTH_REPLY_MAX (64u << 10) // bytes of a body, also unpacked

typedef struct ez_oauth_reply {
    json_t *object; // NULL: the body is no JSON object
    char code[48];  // "": none
} ez_oauth_reply;

// encoding: Content-Encoding, or NULL. gzip and deflate are unpacked though they were not asked for: what a peer does
// wrong must not cost a token.
void ez_oauth_reply_init(ez_oauth_reply *reply, ez_slice body, const char *encoding);
void ez_oauth_reply_fini(ez_oauth_reply *reply);

typedef enum ez_oauth_taken {
    EZ_OAUTH_NONE_THERE, // neither an access nor a refresh token that is a text
    EZ_OAUTH_TAKEN,
    EZ_OAUTH_NOT_TAKEN, // one of them is too long, or has control characters: what was given with it is not to be used
                        // either
} ez_oauth_taken;

// Takes the tokens; all of *out is empty where none was taken.
ez_oauth_taken ez_oauth_reply_tokens(const ez_oauth_reply *reply, const ez_oauth_provider *provider,
                                     ez_oauth_tokens *out);
