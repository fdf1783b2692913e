// SPDX-License-Identifier: Apache-2.0
//
// Waiting for a condition with a deadline. The pause between two looks is short enough not to be felt and long enough
// to leave the CPU to the server that is waited for. No test may draw conclusions from how long a wait took.
#include "tests/support/wait.h"

#include <stdlib.h>
#include <time.h>

#include "proto/runtime/clock.h"

#define PATIENCE_MS 15000
#define PAUSE_NS    3000000

unsigned ez_test_patience_ms(void) {
    const char *text = getenv("EZ_TEST_PATIENCE");
    long times = text ? strtol(text, NULL, 10) : 1;
    if (times < 1 || times > 20)
        times = 1;
    return (unsigned)times * PATIENCE_MS;
}

uint64_t ez_test_deadline(void) {
    return ez_clock_mono_ms() + ez_test_patience_ms();
}

bool ez_test_before(uint64_t deadline) {
    nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    return ez_clock_mono_ms() < deadline;
}
