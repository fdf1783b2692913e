// SPDX-License-Identifier: Apache-2.0
//
// ez_event_text: an event as it is sent to all who watch it: "event: TOPIC" and "data: JSON", without the id, which is
// each stream's own. Made once, counted. On the loop's thread only.
#pragma once

#include "gateway/topic.h"
#include "proto/runtime/error.h"
#include "proto/runtime/frame.h"

#define EZ_EVENT_TEXT_MAX (2u << 20) // bytes of one event as text

typedef struct ez_event_text {
    unsigned holders;
    size_t len;
    char data[];
} ez_event_text;

typedef struct ez_event {
    int topic;
    uint64_t sequence;
    uint64_t ordinal; // in the order of arrival, over all topics
    int64_t seconds;  // when it was published
    int32_t nanos;
    ez_event_text *text; // NULL until somebody wanted it
    bool is_unreadable;  // it could not be made
    size_t len;
    uint8_t message[];
} ez_event;

// NULL where the message can't be decoded, is larger than EZ_EVENT_TEXT_MAX as text, or there is no memory. The caller
// holds it.
ez_event_text *ez_event_text_make(const ez_event *event, const char *server_id) EZ_MUST_CHECK;
ez_event_text *ez_event_text_hold(ez_event_text *text);
void ez_event_text_release(ez_event_text *text); // NULL is fine
