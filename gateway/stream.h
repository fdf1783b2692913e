// SPDX-License-Identifier: Apache-2.0
//
// ez_stream: one HTTP response that goes on: server-sent events to one client. Here is what is written; when, is
// ez_streams' business, whose list it is in. On the loop's thread only.
#pragma once

#include "gateway/connection.h"
#include "gateway/event_position.h"
#include "gateway/event_text.h"
#include "proto/runtime/buf.h"

struct bufferevent;
struct ez_streams;

typedef struct ez_stream ez_stream;
struct ez_stream {
    ez_stream *next, *previous;
    struct ez_streams *owner;
    ez_connection *connection; // NULL once it is closed
    struct bufferevent *bufferevent;
    bool is_chunked;
    bool is_ending;           // the last bytes were given
    bool is_broken;           // there was no memory for a piece: what follows would be out of step
    uint64_t given, progress; // bytes given to the bufferevent; those of them that had left at progress_ms
    uint64_t wrote_ms, progress_ms, ending_ms;

    ez_event_position at; // what it was sent; its topics are those it follows
    bool is_adrift;       // its position is not known to be one of the server that events come from
    uint64_t adrift_ms;
    uint64_t expected[EZ_TOPIC_COUNT]; // by what the server said at expected_ms (0: nothing) these must come
    uint64_t expected_ms;

    ez_buf frame; // the call that asks whether the client may watch
    bool is_checking, is_safe;
    uint32_t timeout_ms;
    struct ez_stream_checks *checks;
    uint64_t check_ms, asked_ms; // when to ask next; when it was asked last
    uint64_t checked_ms;         // when the answer last was yes
};

// Milliseconds from since to now, which may have been taken a little before it.
static inline uint64_t ez_stream_elapsed(uint64_t now_ms, uint64_t since_ms) {
    return now_ms > since_ms ? now_ms - since_ms : 0;
}

// The first bytes: how soon to come again, and the id to come with.
void ez_stream_greet(ez_stream *stream);
// An event, with the id of stream->at.
void ez_stream_send(ez_stream *stream, ez_event_text *text);
// Event "lost": events of these topics did not come, and why. With the id of stream->at.
void ez_stream_tell_lost(ez_stream *stream, unsigned topics, const char *reason, const char *detail);
// A comment, which shows both sides that the other is there.
void ez_stream_beat(ez_stream *stream);
// Event "end", and the end of the response. The connection is closed by the caller, once all has left.
void ez_stream_end(ez_stream *stream, const char *reason, const char *detail);

size_t ez_stream_unsent(const ez_stream *stream);
// Whether nothing has left for this long although something should, or nothing more can.
bool ez_stream_is_stuck(ez_stream *stream, uint64_t now_ms, uint64_t limit_ms);
