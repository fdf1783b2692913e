// SPDX-License-Identifier: Apache-2.0
//
// ez_timer: one thread that calls a fixed list of jobs, each at its own interval. Jobs are short and do not block; what
// takes long is handed on. Monotonic: a clock that jumps moves nothing.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/runtime/error.h"

typedef struct ez_timer ez_timer;

typedef struct ez_timer_job {
    const char *name; // in the log, when it takes long
    uint32_t every_ms;
    void (*run)(void *user);
    void *user;
} ez_timer_job;

// The list is copied.
ez_status ez_timer_create(const ez_timer_job *jobs, size_t count, ez_timer **out, ez_error *error) EZ_MUST_CHECK;
// No job runs after this returned.
void ez_timer_destroy(ez_timer *timer);
