// SPDX-License-Identifier: Apache-2.0
//
// ez_realtime: what happened in the last 60 seconds, per master and in all, from the flushes that were added. Windows
// slide by the second, on the monotonic clock. A master without traffic for 60 seconds is forgotten; past
// EZ_REALTIME_MASTERS_MAX busy ones, others count in the system's numbers only.
//
// Threads: any. Locking: one mutex, held for one master at a time or, each second, for a walk over the busy ones.
#pragma once

#include "ez/v1/realtime.pb-c.h"
#include "proto/runtime/error.h"

#define EZ_REALTIME_WINDOW_S    60
#define EZ_REALTIME_SHORT_S     10
#define EZ_REALTIME_MASTERS_MAX 100000

typedef struct ez_realtime ez_realtime;

typedef struct ez_realtime_sums {
    int64_t requests, tokens, errors, rate_limited;
} ez_realtime_sums;

typedef struct ez_realtime_view {
    int64_t master_id; // 0: the system
    ez_realtime_sums sums;
    int64_t requests_short; // in the last 10 seconds
} ez_realtime_view;

ez_status ez_realtime_create(ez_realtime **out, ez_error *error) EZ_MUST_CHECK;
void ez_realtime_destroy(ez_realtime *realtime);

// now_s: seconds of the monotonic clock, in all of these.
void ez_realtime_add_master(ez_realtime *realtime, int64_t master_id, const ez_realtime_sums *sums, uint64_t now_s);
void ez_realtime_add_system(ez_realtime *realtime, const ez_realtime_sums *sums, uint64_t now_s);

// Zeros where there is nothing.
void ez_realtime_system(ez_realtime *realtime, uint64_t now_s, ez_realtime_view *out);
void ez_realtime_master(ez_realtime *realtime, int64_t master_id, uint64_t now_s, ez_realtime_view *out);
// Masters that are busy.
size_t ez_realtime_masters(ez_realtime *realtime, uint64_t now_s);
// The busiest masters first, at most room. Returns how many.
size_t ez_realtime_busiest(ez_realtime *realtime, uint64_t now_s, ez_realtime_view *out, size_t room);
// The same of those whose numbers changed since the last time they were among them; forgets masters whose window is
// empty. For one thread, each second.
size_t ez_realtime_changed(ez_realtime *realtime, uint64_t now_s, ez_realtime_view *out, size_t room);

// As the message says it. time is the message's to set.
Ez__V1__RealtimeStats ez_realtime_stats(const ez_realtime_view *view);
