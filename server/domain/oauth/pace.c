// SPDX-License-Identifier: Apache-2.0
//
// A bucket of turns. What is due by itself leaves one turn in it and one place free, so that a data plane that meets a
// 401 does not wait behind a thousand keys whose time has come. It holds a second's turns beside that one, so that a
// turn that is taken late is not lost.
#include "server/domain/oauth/pace.h"

#include <string.h>

#define TURN 1000u

static uint64_t room(const ez_oauth_pace *pace) {
    return (pace->rate + 1) * (uint64_t)TURN;
}

void ez_oauth_pace_init(ez_oauth_pace *pace, unsigned rate, unsigned concurrency, uint64_t now_ms) {
    memset(pace, 0, sizeof *pace);
    pace->rate = rate;
    pace->concurrency = concurrency;
    pace->turns = room(pace);
    pace->filled_ms = now_ms;
}

static uint64_t turns_at(const ez_oauth_pace *pace, uint64_t now_ms) {
    uint64_t turns = pace->turns + (now_ms - pace->filled_ms) * pace->rate;
    return turns < room(pace) ? turns : room(pace);
}

static uint64_t wanted(bool is_asked) {
    return is_asked ? TURN : 2 * TURN;
}

bool ez_oauth_pace_take(ez_oauth_pace *pace, bool is_asked, uint64_t now_ms) {
    unsigned kept = is_asked || pace->concurrency == 1 ? 0 : 1;
    if (pace->running + kept >= pace->concurrency || now_ms < pace->paused_until_ms ||
        turns_at(pace, now_ms) < wanted(is_asked))
        return false;
    pace->turns = turns_at(pace, now_ms) - TURN;
    pace->filled_ms = now_ms;
    pace->running++;
    return true;
}

void ez_oauth_pace_leave(ez_oauth_pace *pace) {
    pace->running--;
}

uint64_t ez_oauth_pace_wait_ms(const ez_oauth_pace *pace, bool is_asked, uint64_t now_ms) {
    uint64_t turns = turns_at(pace, now_ms), need = wanted(is_asked);
    uint64_t wait = turns < need ? (need - turns + pace->rate - 1) / pace->rate : 0;
    uint64_t pause = pace->paused_until_ms > now_ms ? pace->paused_until_ms - now_ms : 0;
    return wait > pause ? wait : pause;
}

void ez_oauth_pace_pause(ez_oauth_pace *pace, uint64_t ms, uint64_t now_ms) {
    if (now_ms + ms > pace->paused_until_ms)
        pace->paused_until_ms = now_ms + ms;
}

void ez_oauth_pace_fail(ez_oauth_pace *pace, uint64_t random, uint64_t now_ms) {
    pace->pauses++;
    uint64_t most = ez_oauth_backoff_ms(pace->pauses + 1, UINT64_MAX);
    ez_oauth_pace_pause(pace, most / 2 + random % (most / 2 + 1), now_ms);
}

void ez_oauth_pace_recover(ez_oauth_pace *pace) {
    pace->pauses = 0;
    pace->paused_until_ms = 0;
}

uint64_t ez_oauth_backoff_ms(unsigned fails, uint64_t random) {
    uint64_t most = EZ_OAUTH_BACKOFF_MIN_MS;
    for (unsigned i = 1; i < fails && most < EZ_OAUTH_BACKOFF_MAX_MS; i++)
        most *= 2;
    if (most > EZ_OAUTH_BACKOFF_MAX_MS)
        most = EZ_OAUTH_BACKOFF_MAX_MS;
    return random == UINT64_MAX ? most : random % (most + 1);
}
