// SPDX-License-Identifier: Apache-2.0
//
// Request targets: splitting, percent-decoding, query strings. No memory beyond what the caller hands in; any thread.
#pragma once

#include "proto/runtime/arena.h"
#include "proto/runtime/error.h"

// Text that is not NUL-terminated and not owned.
typedef struct ez_text {
    const char *data;
    size_t len;
} ez_text;

// Splits "/path?query#fragment", or the same behind "http://host". The path is "" where the target has none of these
// forms ("*", "host:443").
void ez_uri_split(const char *target, ez_text *path, ez_text *query);

// Decodes %XX, and with plus also "+" as a blank, into out, which has room for text.len bytes (never more come out).
// INVALID_ARGUMENT (URI_INVALID) for a cut or malformed escape, for NUL, and for what is not UTF-8 after decoding.
ez_status ez_uri_decode(ez_text text, bool plus, char *out, size_t *out_len, ez_error *error) EZ_MUST_CHECK;

// Takes the next "name=value" off query, decoded and NUL-terminated in arena. *name is NULL at the end.
ez_status ez_uri_query_next(ez_text *query, ez_arena *arena, const char **name, const char **value,
                            ez_error *error) EZ_MUST_CHECK;
