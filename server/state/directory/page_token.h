// SPDX-License-Identifier: Apache-2.0
//
// Page tokens: where a list goes on. Opaque to callers, not secret, and checked to the last bit.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/runtime/schema.h"

#define EZ_PAGE_TOKEN_MAX 24 // base64url of 12 bytes, and NUL

typedef struct ez_page_token {
    const ez_method *method; // NULL: none
    bool is_descending;
    int64_t last_id;
} ez_page_token;

// out holds EZ_PAGE_TOKEN_MAX bytes.
void ez_page_token_write(const ez_page_token *token, char *out);
// Sets last_id; false where the text is no token, or one for another method or order.
bool ez_page_token_read(const char *text, ez_page_token *token);
