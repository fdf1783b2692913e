// SPDX-License-Identifier: Apache-2.0
//
// What a selector's regular expression may say: the syntax of RE2, so that a data plane in any language can read it the
// same way. This looks at the text alone; whether it is well-formed is for the compiler.
#pragma once

#include "proto/runtime/error.h"

#define EZ_PATTERN_MAX 512 // bytes

// INVALID_ARGUMENT (SELECTOR_INVALID) naming the construct and where it stands, counted in bytes from 1.
ez_status ez_pattern_check(const char *pattern, ez_error *error) EZ_MUST_CHECK;
