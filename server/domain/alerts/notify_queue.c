// SPDX-License-Identifier: Apache-2.0
//
// A plain array: a thousand pointers, looked through from the start. The awkward case is a queue that is full of what
// must be told, as an Alertmanager's is of what ended: severity alone decides, and what was lost is counted.
#include "server/domain/alerts/notify_queue.h"

#include <stdlib.h>
#include <string.h>

void ez_notify_queue_clear(ez_notify_queue *queue) {
    for (size_t i = 0; i < queue->count; i++)
        ez_notice_release(queue->items[i]);
    queue->count = 0;
    queue->dropped = 0;
}

static ez_notice **find(ez_notify_queue *queue, int64_t alert_id) {
    for (size_t i = 0; i < queue->count; i++)
        if (queue->items[i]->alert_id == alert_id)
            return &queue->items[i];
    return NULL;
}

bool ez_notify_queue_has(const ez_notify_queue *queue, int64_t alert_id) {
    return find((ez_notify_queue *)queue, alert_id) != NULL;
}

bool ez_notify_queue_has_end(const ez_notify_queue *queue, int64_t alert_id) {
    ez_notice **place = find((ez_notify_queue *)queue, alert_id);
    return place && ez_notice_is_end(*place);
}

static ez_notice **least_severe(ez_notify_queue *queue) {
    ez_notice **least = &queue->items[0];
    for (size_t i = 1; i < queue->count; i++)
        if (queue->items[i]->severity < (*least)->severity)
            least = &queue->items[i];
    return least;
}

bool ez_notify_queue_add(ez_notify_queue *queue, ez_notice *notice) {
    ez_notice **place = find(queue, notice->alert_id);
    if (place && notice->event == EZ_NOTICE_OPEN && (*place)->event != EZ_NOTICE_OPEN)
        return true; // it is open: no news
    bool has_room = place || queue->count < EZ_NOTIFY_QUEUE_MAX;
    if (!place && has_room) {
        queue->items[queue->count++] = ez_notice_hold(notice);
        return true;
    }
    if (!has_room) {
        queue->dropped++;
        place = least_severe(queue);
        if ((*place)->severity >= notice->severity)
            return false;
    }
    ez_notice_release(*place);
    *place = ez_notice_hold(notice);
    return has_room;
}

void ez_notify_queue_take_earlier(ez_notify_queue *queue, ez_notify_queue *earlier) {
    for (size_t i = 0; i < earlier->count; i++)
        if (!ez_notify_queue_has(queue, earlier->items[i]->alert_id))
            (void)ez_notify_queue_add(queue, earlier->items[i]);
    queue->dropped += earlier->dropped;
    ez_notify_queue_clear(earlier);
}

static int compare(const void *a, const void *b) {
    const ez_notice *left = *(ez_notice *const *)a, *right = *(ez_notice *const *)b;
    if (left->severity != right->severity)
        return left->severity > right->severity ? -1 : 1;
    if (ez_notice_is_end(left) != ez_notice_is_end(right))
        return ez_notice_is_end(right) ? -1 : 1;
    return (left->alert_id > right->alert_id) - (left->alert_id < right->alert_id);
}

void ez_notify_queue_sort(ez_notify_queue *queue) {
    qsort(queue->items, queue->count, sizeof queue->items[0], compare);
}

void ez_notify_queue_split(ez_notify_queue *queue, size_t count, ez_notify_queue *out) {
    memcpy(out->items, queue->items, count * sizeof queue->items[0]);
    out->count = count;
    out->dropped = queue->dropped;
    queue->dropped = 0;
    queue->count -= count;
    memmove(queue->items, queue->items + count, queue->count * sizeof queue->items[0]);
}
