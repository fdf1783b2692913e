// SPDX-License-Identifier: Apache-2.0
//
// Waiting for a condition with a deadline: what tests do instead of sleeping. Any thread.
#pragma once

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdint.h>

// How long a test waits for what should take milliseconds, in milliseconds. EZ_TEST_PATIENCE multiplies it (sanitizers,
// slow machines).
unsigned ez_test_patience_ms(void);

// Monotonic milliseconds at which patience that starts now is over.
uint64_t ez_test_deadline(void);

// True while the deadline has not passed; pauses a few milliseconds first, so that it can head a polling loop.
bool ez_test_before(uint64_t deadline);

// Waits until the expression holds, evaluating it again and again; fails the test where it does not within patience.
#define expect_soon(condition)                                                                                         \
    do {                                                                                                               \
        uint64_t deadline_ = ez_test_deadline();                                                                       \
        bool held_ = (condition);                                                                                      \
        while (!held_ && ez_test_before(deadline_))                                                                    \
            held_ = (condition);                                                                                       \
        cr_assert(held_, "waited %u ms for: %s", ez_test_patience_ms(), #condition);                                   \
    } while (0)
