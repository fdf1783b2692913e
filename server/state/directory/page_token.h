// SPDX-License-Identifier: Apache-2.0
//
// Page tokens: where a list goes on, as a few numbers. Opaque to callers, not secret, and checked to the last bit: one
// of another list, or one that was tampered with, is refused rather than guessed at.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EZ_PAGE_TOKEN_NUMBERS 8
#define EZ_PAGE_TOKEN_MAX     96 // base64url of 2 + 8 * 8 bytes, and NUL, rounded up

// list tells the lists apart whose tokens might be mistaken for each other's: a letter, one for each maker of tokens.
#define EZ_PAGE_TOKEN_DIRECTORY 'd'
#define EZ_PAGE_TOKEN_AUDIT     'a'
#define EZ_PAGE_TOKEN_CHANGES   'c'

// At most EZ_PAGE_TOKEN_NUMBERS numbers; out holds EZ_PAGE_TOKEN_MAX bytes.
void ez_page_token_write(char list, const uint64_t *numbers, size_t count, char *out);
// Sets numbers; false where the text is no token of this list with so many.
bool ez_page_token_read(char list, const char *text, uint64_t *numbers, size_t count);
