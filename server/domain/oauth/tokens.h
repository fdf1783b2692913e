// SPDX-License-Identifier: Apache-2.0
//
// What a token endpoint gave, in memory of its own that is wiped as a whole. Fields that the reply had not are empty:
// what is empty overwrites nothing.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EZ_OAUTH_ACCESS_MAX  16385 // bytes with the end, as the schema's bounds of an API key
#define EZ_OAUTH_REFRESH_MAX 8193
#define EZ_OAUTH_TEXT_MAX    256
#define EZ_OAUTH_SCOPE_MAX   1025
#define EZ_OAUTH_SECONDS_MAX 9000000000.0 // past any end of a token, and well within what nanoseconds hold

typedef struct ez_oauth_tokens {
    char access_token[EZ_OAUTH_ACCESS_MAX];
    char refresh_token[EZ_OAUTH_REFRESH_MAX];
    char account_id[EZ_OAUTH_TEXT_MAX];
    char scope[EZ_OAUTH_SCOPE_MAX];
    int64_t expires_in_s; // 0: not told
    int64_t expires_s;    // seconds since 1970; 0: not told
} ez_oauth_tokens;

// Copies a JSON string that fits and has no NUL and no control character; else out is left as it is. False then.
bool ez_oauth_take_text(const json_t *value, char *out, size_t size);
