// SPDX-License-Identifier: Apache-2.0
//
// One change as the feed keeps it: a single block that ends with its encoded Change message. Immutable once it is in
// the ring.
#pragma once

#include "server/state/feed/feed.h"
#include "server/state/feed/rcu.h"

typedef struct ez_feed_item {
    ez_rcu_head rcu;
    uint64_t position; // in the ring, ever rising
    uint64_t n;        // revision
    int64_t id;
    uint64_t secret_version;
    uint32_t seq; // among the config changes of its revision, from 0
    uint32_t len;
    uint8_t kind;
    uint8_t op;
    uint8_t encoded[];
} ez_feed_item;

// NULL where there is no memory. position is the ring's to set.
ez_feed_item *ez_feed_item_create(uint64_t epoch, const ez_store_change *change, uint32_t seq);
// For ez_rcu_defer.
void ez_feed_item_release(ez_rcu_head *head);

static inline ez_slice ez_feed_item_encoded(const ez_feed_item *item) {
    return (ez_slice){item->encoded, item->len};
}
