// SPDX-License-Identifier: Apache-2.0
//
// ez_names: the source's group names as namespaces. Names that are valid are kept; the others are made valid and
// unique. What is valid is what the schema says of a namespace's name (proto/runtime/format.h).
#pragma once

#include <jansson.h>

#include "proto/runtime/error.h"

typedef struct ez_names {
    json_t *given;  // what the file says → the namespace's name; null until settled
    json_t *taken;  // namespaces
    json_t *counts; // an invented name without its number → the last number it got
} ez_names;

ez_status ez_names_init(ez_names *names, ez_error *error) EZ_MUST_CHECK;
void ez_names_fini(ez_names *names);

// Blanks at both ends do not count; an empty text means "default". False where there is no memory.
bool ez_names_note(ez_names *names, const char *text);
// After all were noted: gives every text its namespace; warned is called for each that had to change. The same texts in
// the same order get the same names each time.
bool ez_names_settle(ez_names *names, void (*warned)(void *user, const char *text), void *user);
// A noted text's namespace; lives as long as names. "default" for what was never noted.
const char *ez_names_get(const ez_names *names, const char *text);
