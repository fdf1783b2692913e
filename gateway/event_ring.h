// SPDX-License-Identifier: Apache-2.0
//
// ez_event_ring: the last events of one server, so that watchers can go on where they were, and a slow one can take its
// time. Within its bounds the topic that takes most gives way, so that a busy topic does not push a quiet one out. On
// the loop's thread only.
#pragma once

#include "gateway/event_position.h"
#include "gateway/event_text.h"

typedef struct ez_event_ring ez_event_ring;

// max_events: over all topics. max_bytes: of messages and their texts. RESOURCE_EXHAUSTED where there is no memory.
ez_status ez_event_ring_create(unsigned max_events, size_t max_bytes, ez_event_ring **out,
                               ez_error *error) EZ_MUST_CHECK;
void ez_event_ring_destroy(ez_event_ring *ring);

// Forgets all; from now on it is this server's.
void ez_event_ring_begin(ez_event_ring *ring, const char *server_id);
const char *ez_event_ring_server(const ez_event_ring *ring); // "" before the first begin

// Keeps a copy. ordinal, text and is_unreadable of event are not looked at. False where it is not newer than the
// topic's last, or there is no memory: then it counts as lost.
bool ez_event_ring_put(ez_event_ring *ring, const ez_event *event, const void *message);

// The oldest event that after does not have, of these topics; NULL where there is none. Good until the next put, text
// or begin.
ez_event *ez_event_ring_next(const ez_event_ring *ring, unsigned topics, const uint64_t after[EZ_TOPIC_COUNT]);
// Its text, made now if it was not; not held for the caller. NULL where it can't be made. Others may give way to it.
ez_event_text *ez_event_ring_text(ez_event_ring *ring, ez_event *event);

uint64_t ez_event_ring_last(const ez_event_ring *ring, int topic);    // sequence of the last that came; 0: none
uint64_t ez_event_ring_evicted(const ez_event_ring *ring, int topic); // of the last that gave way; 0: none
unsigned ez_event_ring_count(const ez_event_ring *ring);
size_t ez_event_ring_bytes(const ez_event_ring *ring);
