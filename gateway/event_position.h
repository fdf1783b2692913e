// SPDX-License-Identifier: Apache-2.0
//
// ez_event_position: how far somebody is in a server's events, topic by topic. As text it is the id of a server-sent
// event, "0123456789abcdef/r120/d4": the server, then for each topic its letter and the sequence of its last event. Any
// gateway can go on from it, since it holds nothing of the gateway that made it. No state; any thread.
#pragma once

#include "gateway/topic.h"
#include "proto/runtime/error.h"
#include "proto/runtime/frame.h"

#define EZ_SERVER_ID_MAX 32
#define EZ_EVENT_ID_MAX  (EZ_SERVER_ID_MAX + EZ_TOPIC_COUNT * 22 + 1) // bytes of an id, its NUL included

typedef struct ez_event_position {
    char server_id[EZ_SERVER_ID_MAX + 1];
    unsigned topics;                   // bit 1 << topic: where sequence is known
    uint64_t sequence[EZ_TOPIC_COUNT]; // of the last event; 0: none yet
} ez_event_position;

// Whether it can be one: 1 to EZ_SERVER_ID_MAX of [A-Za-z0-9._-].
bool ez_server_id_is_valid(const char *text);

void ez_event_position_write(const ez_event_position *position, char out[EZ_EVENT_ID_MAX]);
// False for what ez_event_position_write never wrote. A topic's letter that is not known here is passed over: it may be
// a newer gateway's.
bool ez_event_position_read(const char *text, ez_event_position *out);

// What a reply of Events.Watch says: where the server is now, all topics known. INTERNAL where it can't be read.
ez_status ez_event_position_decode(const ez_message_rule *reply, ez_slice message, ez_arena *arena,
                                   ez_event_position *out, ez_error *error) EZ_MUST_CHECK;
