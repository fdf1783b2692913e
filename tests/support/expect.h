// SPDX-License-Identifier: Apache-2.0
//
// Expectations about results, worded so that a failure says what came instead.
#pragma once

#include <criterion/criterion.h>

#include "proto/runtime/error.h"

// got: an ez_status; error: its ez_error * (not NULL).
#define expect_code(want, got, error)                                                                                  \
    do {                                                                                                               \
        ez_status got_ = (got);                                                                                        \
        cr_assert(got_ == (want), "expected %s, got %s: %s", ez_status_name(want), ez_status_name(got_),               \
                  got_ == EZ_OK ? "" : (error)->message);                                                              \
    } while (0)

#define expect_ok(got, error) expect_code(EZ_OK, got, error)

// The same, and the word for programs.
#define expect_reason(want_code, want_reason, got, error)                                                              \
    do {                                                                                                               \
        expect_code(want_code, got, error);                                                                            \
        cr_assert_str_eq((error)->reason, want_reason, "expected reason %s, got %s: %s", want_reason, (error)->reason, \
                         (error)->message);                                                                            \
    } while (0)
