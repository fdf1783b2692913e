// SPDX-License-Identifier: Apache-2.0
//
// How fast one provider is asked: so many at once, so many a second, and not at all for a while after it said so. What
// somebody asked for goes first: a place and a turn are kept for it. Pure: the time is given, in monotonic
// milliseconds.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define EZ_OAUTH_BACKOFF_MIN_MS 2000
#define EZ_OAUTH_BACKOFF_MAX_MS 600000
#define EZ_OAUTH_TRIES          5 // in a cycle, after which the key says what is wrong

typedef struct ez_oauth_pace {
    unsigned rate, concurrency;
    unsigned running;
    uint64_t turns; // thousandths
    uint64_t filled_ms;
    uint64_t paused_until_ms;
    unsigned pauses; // in a row
} ez_oauth_pace;

void ez_oauth_pace_init(ez_oauth_pace *pace, unsigned rate, unsigned concurrency, uint64_t now_ms);
// Takes a turn and a place. False: not now.
bool ez_oauth_pace_take(ez_oauth_pace *pace, bool is_asked, uint64_t now_ms);
// Gives the place back.
void ez_oauth_pace_leave(ez_oauth_pace *pace);
// How long until a turn is there, places aside.
uint64_t ez_oauth_pace_wait_ms(const ez_oauth_pace *pace, bool is_asked, uint64_t now_ms);

// Nobody is asked for ms; a pause that is longer already stays.
void ez_oauth_pace_pause(ez_oauth_pace *pace, uint64_t ms, uint64_t now_ms);
// The next pause after one more failure of the provider itself, and the end of such a row.
void ez_oauth_pace_fail(ez_oauth_pace *pace, uint64_t random, uint64_t now_ms);
void ez_oauth_pace_recover(ez_oauth_pace *pace);

// Exponential with full jitter: any time up to 2 s · 2^(fails-1), at most ten minutes. fails: 1, 2, …
uint64_t ez_oauth_backoff_ms(unsigned fails, uint64_t random);
