// SPDX-License-Identifier: Apache-2.0
//
// Where a value's text comes from: the command line, @FILE, or - for standard input.
#pragma once

#include "proto/runtime/arena.h"
#include "proto/runtime/error.h"

#define EZ_CTL_SOURCE_MAX (4u << 20) // bytes of a file or of standard input

typedef struct ez_ctl_sources {
    bool has_read_input; // standard input can be read once
} ez_ctl_sources;

// spec as it was given; what: the flag, for errors. The text, in arena, is NUL-terminated and holds no NUL.
// INVALID_ARGUMENT (USAGE) where it can't be read, is too large, or is a second "-".
ez_status ez_ctl_source_read(ez_ctl_sources *sources, const char *what, const char *spec, ez_arena *arena,
                             const char **out, ez_error *error) EZ_MUST_CHECK;
