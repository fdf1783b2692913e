// SPDX-License-Identifier: Apache-2.0
//
// Making and freeing the feed's items. The change is encoded straight into the item's block: it is sized first for the
// most its head may take, and given back what was not needed.
#include "server/state/feed/item.h"

#include <stddef.h>
#include <stdlib.h>

#include "ez/v1/common.pb-c.h"

#define ENCODED_HEAD_MAX 160 // everything of a Change but the resource's bytes, with room

ez_feed_item *ez_feed_item_create(uint64_t epoch, const ez_store_change *change, uint32_t seq) {
    ez_slice resource = change->op == EZ__V1__OP__OP_PUT ? change->data : (ez_slice){NULL, 0};
    if (resource.len > EZ_CALL_MAX)
        return NULL;
    ez_buf block;
    ez_buf_init(&block, sizeof(ez_feed_item) + resource.len + ENCODED_HEAD_MAX);
    if (ez_buf_reserve(&block, block.max) != EZ_OK)
        return NULL;
    block.len = offsetof(ez_feed_item, encoded);
    ez_revision revision = {epoch, change->n};
    if (ez_change_encode(&block, revision, change->kind, change->id, change->op, change->secret_version, resource) !=
        EZ_OK) {
        ez_buf_fini(&block);
        return NULL;
    }
    size_t len = block.len;
    void *data = block.data;
    void *less = realloc(data, len < sizeof(ez_feed_item) ? sizeof(ez_feed_item) : len);
    ez_feed_item *item = less ? less : data;
    // Field by field: assigning the struct whole would also write its padding, where encoded begins.
    item->n = change->n;
    item->id = change->id;
    item->secret_version = change->secret_version;
    item->seq = seq;
    item->len = (uint32_t)(len - offsetof(ez_feed_item, encoded));
    item->kind = (uint8_t)change->kind;
    item->op = (uint8_t)change->op;
    return item;
}

void ez_feed_item_release(ez_rcu_head *head) {
    ez_rcu_release_begin();
    free((char *)head - offsetof(ez_feed_item, rcu));
}
