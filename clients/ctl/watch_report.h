// SPDX-License-Identifier: Apache-2.0
//
// The live numbers of ezctl watch stats. A report names only the masters whose numbers changed, so what is shown is
// kept from one to the next. Main thread.
#pragma once

#include "ez/v1/realtime.pb-c.h"
#include "proto/runtime/arena.h"
#include "proto/runtime/buf.h"

#define EZ_CTL_LIVE_MAX 1000 // masters; more are not shown

typedef struct ez_ctl_live {
    size_t count;
    Ez__V1__RealtimeStats stats[EZ_CTL_LIVE_MAX]; // without their time
    int64_t ids[EZ_CTL_LIVE_MAX];
} ez_ctl_live;

// Takes the report in. A master without requests goes.
void ez_ctl_live_take(ez_ctl_live *live, const Ez__V1__RealtimeReport *report);
// Appends the table: the whole, then the busiest masters, at most this many. width as in clients/ctl/table.h.
void ez_ctl_live_put(const ez_ctl_live *live, const Ez__V1__RealtimeReport *report, size_t masters, size_t width,
                     ez_arena *arena, ez_buf *out);
