// SPDX-License-Identifier: Apache-2.0
//
// One commit on its way to the PUB socket: joins revisions into events of bounded size, cut at revision boundaries
// only, since a data plane applies an event whole or not at all.
#pragma once

#include "proto/runtime/buf.h"
#include "proto/runtime/frame.h"
#include "server/platform/publish/publish.h"

#define EZ_PUSH_MAX (192u << 10) // bytes of one event's message

typedef struct ez_feed_push {
    ez_publish *publish;
    uint64_t epoch;
    uint64_t from; // where the event that is being filled starts
    uint64_t to;   // where the commit leads
    uint64_t n;    // the revision that is being filled
    size_t whole;  // bytes of batch that are of revisions before n
    bool is_large; // revision n does not fit one event, or a change of it was lost
    int64_t time_ns;
    bool ack_now;
    ez_buf batch; // a ChangeBatch
} ez_feed_push;

void ez_feed_push_begin(ez_feed_push *push, ez_publish *publish, uint64_t epoch, uint64_t from, uint64_t to,
                        int64_t time_ns, bool ack_now);
// The next encoded Change, in order of revisions.
void ez_feed_push_change(ez_feed_push *push, uint64_t n, ez_slice encoded);
// A change that can't be given: its commit goes as "fetch".
void ez_feed_push_lost(ez_feed_push *push);
// Sends what is left. What can't be sent is logged: data planes see the gap and fetch.
void ez_feed_push_end(ez_feed_push *push);
