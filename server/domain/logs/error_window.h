// SPDX-License-Identifier: Apache-2.0
//
// How many things happened within the last so many seconds: a bucket for each second. Not shared between threads.
#pragma once

#include <stdint.h>

#define EZ_ERROR_WINDOW_MAX 3600 // seconds

typedef struct ez_error_window {
    int32_t seconds;                       // 1 … EZ_ERROR_WINDOW_MAX
    int64_t at_s;                          // the newest second
    uint64_t sum;                          // of the buckets
    uint32_t buckets[EZ_ERROR_WINDOW_MAX]; // by second modulo seconds
} ez_error_window;

void ez_error_window_clear(ez_error_window *window, int32_t seconds);
// Moves on to now_s and adds. A clock that went back starts anew.
void ez_error_window_add(ez_error_window *window, int64_t now_s, uint32_t count);
