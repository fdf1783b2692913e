// SPDX-License-Identifier: Apache-2.0
//
// Events of one commit. The batch belongs to the push and never grows past an event's bound and one change. A revision
// becomes part of an event only when it is complete; when it turns out not to fit, what stood before it is sent as one
// event and the revision begins the next. Awkward: a revision that is too large alone is told as "fetch", without any
// of its changes. Revisions without a change (of kinds data planes don't get) are covered by from and to.
#include "server/state/feed/push.h"

#include <string.h>

#include "proto/runtime/log.h"
#include "proto/runtime/wire.h"

#define TAG_AND_LENGTH_MAX 16

void ez_feed_push_begin(ez_feed_push *push, ez_publish *publish, uint64_t epoch, uint64_t from, uint64_t to,
                        int64_t time_ns, bool ack_now) {
    *push = (ez_feed_push){.publish = publish,
                           .epoch = epoch,
                           .from = from,
                           .to = to,
                           .n = from + 1,
                           .time_ns = time_ns,
                           .ack_now = ack_now};
    ez_buf_init(&push->batch, EZ_PUSH_MAX);
}

// Sends one event that leads to revision "to", with the first len bytes of the batch, which are then gone.
static void send(ez_feed_push *push, uint64_t to, size_t len, bool fetch) {
    ez_publish_event event = {.topic = "config",
                              .epoch = push->epoch,
                              .from = push->from,
                              .to = to,
                              .time_ns = push->time_ns,
                              .ack_now = push->ack_now && to == push->to,
                              .fetch = fetch,
                              .message = push->batch.data,
                              .len = len};
    ez_error error = EZ_ERROR_INIT;
    if (ez_publish_send(push->publish, &event, &error) != EZ_OK)
        ez_log_warn("a config event was not published; data planes will fetch", "error", error.message);
    if (len > 0)
        memmove(push->batch.data, push->batch.data + len, push->batch.len - len);
    push->batch.len -= len;
    push->whole = 0;
    push->from = to;
}

static void begin_revision(ez_feed_push *push, uint64_t n) {
    if (push->is_large)
        send(push, n - 1, 0, true);
    push->is_large = false;
    push->whole = push->batch.len;
    push->n = n;
}

// Revision n is told without its changes; those before it go in an event of their own.
static void set_large(ez_feed_push *push) {
    if (push->n - 1 > push->from)
        send(push, push->n - 1, push->whole, false);
    push->batch.len = push->whole = 0;
    push->is_large = true;
}

void ez_feed_push_change(ez_feed_push *push, uint64_t n, ez_slice encoded) {
    if (n != push->n)
        begin_revision(push, n);
    if (push->is_large)
        return;
    if (push->batch.len + encoded.len + TAG_AND_LENGTH_MAX > EZ_PUSH_MAX && push->n - 1 > push->from)
        send(push, push->n - 1, push->whole, false);
    if (push->batch.len + encoded.len + TAG_AND_LENGTH_MAX > EZ_PUSH_MAX ||
        ez_wire_put_bytes(&push->batch, 1, encoded.data, encoded.len) != EZ_OK)
        set_large(push);
}

void ez_feed_push_lost(ez_feed_push *push) {
    if (!push->is_large)
        set_large(push);
}

void ez_feed_push_end(ez_feed_push *push) {
    send(push, push->to, push->is_large ? 0 : push->batch.len, push->is_large);
    ez_buf_fini(&push->batch);
}
