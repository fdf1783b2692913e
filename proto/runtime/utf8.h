// SPDX-License-Identifier: Apache-2.0
//
// UTF-8 as RFC 3629 has it: no surrogates, no overlong forms, nothing past U+10FFFF. Any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Reads one character; returns its length in bytes, or 0 where the bytes there are not UTF-8 (or len is 0). out may be
// NULL.
size_t ez_utf8_next(const char *text, size_t len, uint32_t *out);

// Whether all of it is UTF-8. NUL is a character here.
bool ez_utf8_is_valid(const char *text, size_t len);

// Whether all of it is UTF-8 and none of it is NUL: what a text from a peer must be.
bool ez_utf8_is_text(const char *text, size_t len);

// Characters in a valid text.
size_t ez_utf8_count(const char *text, size_t len);

// The greatest length ≤ max that does not cut a character of a valid text in two.
size_t ez_utf8_cut(const char *text, size_t len, size_t max);
