// SPDX-License-Identifier: Apache-2.0
//
// ez_notify_queue: the notices of one message to one channel. One for each alert: what happened to it last replaces
// what is there. Bounded; past that the least severe makes room, and is counted. Not shared between threads.
#pragma once

#include "server/domain/alerts/notify_notice.h"

#define EZ_NOTIFY_QUEUE_MAX 1000 // alerts

typedef struct ez_notify_queue {
    ez_notice *items[EZ_NOTIFY_QUEUE_MAX]; // each held once
    size_t count;
    uint64_t dropped; // alerts that found no room
} ez_notify_queue;

// Begins with zeros.
void ez_notify_queue_clear(ez_notify_queue *queue);
bool ez_notify_queue_has(const ez_notify_queue *queue, int64_t alert_id);
// Whether it holds the alert's end.
bool ez_notify_queue_has_end(const ez_notify_queue *queue, int64_t alert_id);
// Holds the notice for itself; news stay where the notice says that the alert is open: that was read before. False:
// the alert, or a less severe one, was dropped.
bool ez_notify_queue_add(ez_notify_queue *queue, ez_notice *notice);
// Takes over what an earlier message was about; where both have an alert, the later one's stays.
void ez_notify_queue_take_earlier(ez_notify_queue *queue, ez_notify_queue *earlier);
// The worst first; among equals what is open before what is over, then in the order of alerts.
void ez_notify_queue_sort(ez_notify_queue *queue);
// Moves the first count, and what was dropped, to an empty queue.
void ez_notify_queue_split(ez_notify_queue *queue, size_t count, ez_notify_queue *out);
