// SPDX-License-Identifier: Apache-2.0
//
// ez_streams: all server-sent event streams of one loop: who gets which event, who may still watch, who is cut. On the
// loop's thread only.
#pragma once

#include <stdatomic.h>

#include "gateway/backend.h"
#include "gateway/connection.h"
#include "gateway/event_position.h"
#include "gateway/events.h"
#include "gateway/metrics.h"
#include "proto/runtime/buf.h"

typedef struct ez_streams ez_streams;

typedef struct ez_streams_options {
    struct event_base *base;
    const char *url; // of the events socket
    ez_backend *backend;
    ez_counters *counters;
    unsigned max;       // over all loops that share total
    atomic_uint *total; // streams there are now
    uint32_t check_s;   // how often is asked whether a client may still watch
    uint32_t beat_s;    // silence before a comment; a stream of which nothing is read for two of them is closed
} ez_streams_options;

// INVALID_ARGUMENT for a URL that can't be dialled.
ez_status ez_streams_open(const ez_streams_options *options, ez_streams **out, ez_error *error) EZ_MUST_CHECK;
// After the backend is closed and evhttp's connections are freed. NULL is fine.
void ez_streams_close(ez_streams *streams);

const ez_events *ez_streams_events(const ez_streams *streams);

// Whether one more can be started. UNAVAILABLE: STREAMS_MAX, EVENTS_UNAVAILABLE, GATEWAY_STOPPING.
ez_status ez_streams_check(const ez_streams *streams, ez_error *error) EZ_MUST_CHECK;

typedef struct ez_stream_start {
    ez_connection *connection; // the response's head was written to it
    bool is_chunked;
    unsigned topics;
    const ez_event_position *now; // where the server is, as it said when it let the client watch
    const char *last_event_id;    // where the client was, or NULL
    ez_buf *frame;                // the call that asked for it; its memory is taken
    uint32_t timeout_ms;          // of that call
    bool is_safe;
} ez_stream_start;

// After ez_streams_check. Takes the connection; a stream that there is no memory for is closed.
void ez_streams_start(ez_streams *streams, const ez_stream_start *start);

// About once a second; more often while draining.
void ez_streams_tick(ez_streams *streams);
// Ends all, and starts no more.
void ez_streams_drain(ez_streams *streams);
