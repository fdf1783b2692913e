// SPDX-License-Identifier: Apache-2.0
//
// Claims of API keys that are gone are forgotten, a few rows at a time, by whoever scans. Not those of keys that are
// there, however old: what they say keeps a used token from being presented for another key. One whose key is gone says
// that for three months, which is longer than an unused refresh token lasts.
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/domain/oauth/inside.h"

#define KEEP_MS  (90 * INT64_C(86400000)) // since the token was presented last
#define ROWS     500                      // that a step looks at
#define PAUSE_MS 1000                     // between steps
#define AGAIN_MS 60000                    // after one that failed
#define EVERY_MS 21600000                 // between the end of a round and the next

void ez_oauth_forget_claims(ez_oauth *oauth) {
    ez_error error = EZ_ERROR_INIT;
    uint64_t now_ms = ez_clock_mono_ms();
    if (!oauth->scans || now_ms < oauth->forget_at_ms || ez_oauth_store_rests(oauth))
        return;
    oauth->forget_at_ms = now_ms + PAUSE_MS;
    if (ez_store_trim_claims(oauth->options.store, KEEP_MS, ROWS, &oauth->forget_after, &error) != EZ_OK) {
        if (error.code == EZ_UNAVAILABLE)
            ez_oauth_spare_store(oauth);
        oauth->forget_at_ms = now_ms + AGAIN_MS;
        ez_log_warn("claims of API keys that are gone were not forgotten; trying again", "message", error.message);
    } else if (oauth->forget_after == 0) {
        oauth->forget_at_ms = now_ms + EVERY_MS;
    }
}
