// SPDX-License-Identifier: Apache-2.0
//
// ez_notice: what happened to an alert, as it was then. Packed, and shared by the channels that are to tell it.
// Counted; not shared between threads: it is handed from who notes it to the timer's thread, and stays there.
#pragma once

#include <stdatomic.h>

#include "ez/v1/alert.pb-c.h"
#include "proto/runtime/arena.h"
#include "proto/runtime/error.h"

#define EZ_NOTICE_MAX       (64u << 10)  // bytes of one alert, packed
#define EZ_NOTICE_BYTES_MAX (16u << 20)  // of all that a server holds
#define EZ_NOTICE_ARENA     (256u << 10) // what unpacking one takes at most

typedef enum ez_notice_event {
    EZ_NOTICE_CREATED,
    EZ_NOTICE_REPEATED,
    EZ_NOTICE_ACKNOWLEDGED,
    EZ_NOTICE_RESOLVED,
    EZ_NOTICE_DISMISSED,
    EZ_NOTICE_DELETED,
    EZ_NOTICE_OPEN, // it still is: for receivers that forget
    EZ_NOTICE_TEST,
} ez_notice_event;

typedef struct ez_notice {
    unsigned holds;
    atomic_size_t *budget; // bytes held, its own included; NULL: not counted
    ez_notice_event event;
    int64_t alert_id;
    Ez__V1__AlertType type;
    Ez__V1__AlertSeverity severity;
    size_t len;
    uint8_t packed[]; // an Alert
} ez_notice;

// False where there is no such event.
bool ez_notice_event_read(const char *word, ez_notice_event *out);
const char *ez_notice_event_word(ez_notice_event event);
// Whether the alert is over.
bool ez_notice_is_end(const ez_notice *notice);

// Held once. NULL where there is no memory, the alert is too large, or the budget is used up. Any thread.
ez_notice *ez_notice_create(ez_notice_event event, const Ez__V1__Alert *alert, atomic_size_t *budget) EZ_MUST_CHECK;
ez_notice *ez_notice_hold(ez_notice *notice);
void ez_notice_release(ez_notice *notice); // NULL is fine

// The alert, in arena; NULL where there is no memory.
Ez__V1__Alert *ez_notice_unpack(const ez_notice *notice, ez_arena *arena) EZ_MUST_CHECK;
