// SPDX-License-Identifier: Apache-2.0
//
// The ring of buckets: moving on empties those that were left behind, each second once.
#include "server/domain/logs/error_window.h"

#include <string.h>

void ez_error_window_clear(ez_error_window *window, int32_t seconds) {
    memset(window, 0, sizeof *window);
    window->seconds = seconds < 1 ? 1 : seconds > EZ_ERROR_WINDOW_MAX ? EZ_ERROR_WINDOW_MAX : seconds;
}

void ez_error_window_add(ez_error_window *window, int64_t now_s, uint32_t count) {
    if (now_s < window->at_s || now_s - window->at_s >= window->seconds) {
        ez_error_window_clear(window, window->seconds);
        window->at_s = now_s;
    }
    while (window->at_s < now_s) {
        window->at_s++;
        uint32_t *left = &window->buckets[window->at_s % window->seconds];
        window->sum -= *left;
        *left = 0;
    }
    uint32_t *bucket = &window->buckets[now_s % window->seconds];
    uint32_t room = UINT32_MAX - *bucket;
    count = count < room ? count : room;
    *bucket += count;
    window->sum += count;
}
