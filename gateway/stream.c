// SPDX-License-Identifier: Apache-2.0
//
// The format of https://html.spec.whatwg.org/multipage/server-sent-events.html, one piece in one chunk (HTTP/1.0 has
// none: there the connection's end is the response's). Every piece that moves the position carries it as its id, so
// that whichever a client saw last is where it goes on. The awkward case: a large text that many streams wait for; it
// is lent to their buffers, not copied into each.
#include "gateway/stream.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "proto/runtime/cleanup.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/json.h"

#define RETRY_MS  2000
#define COPY_MAX  4096 // a text up to this is copied
#define PIECE_MAX 4096 // lost, end

static void give_back(const void *data, size_t len, void *text) {
    (void)data;
    (void)len;
    ez_event_text_release(text);
}

// text (or NULL), then the rest.
static void put(ez_stream *stream, ez_event_text *text, const char *rest, size_t rest_len) {
    struct evbuffer *out = bufferevent_get_output(stream->bufferevent);
    size_t before = evbuffer_get_length(out);
    size_t len = rest_len + (text ? text->len : 0);
    bool is_whole = !stream->is_chunked || evbuffer_add_printf(out, "%zx\r\n", len) > 0;
    if (text && text->len <= COPY_MAX) {
        is_whole = is_whole && evbuffer_add(out, text->data, text->len) == 0;
    } else if (text && evbuffer_add_reference(out, text->data, text->len, give_back, ez_event_text_hold(text)) != 0) {
        ez_event_text_release(text);
        is_whole = false;
    }
    is_whole = is_whole && evbuffer_add(out, rest, rest_len) == 0;
    is_whole = is_whole && (!stream->is_chunked || evbuffer_add(out, "\r\n", 2) == 0);
    stream->is_broken = stream->is_broken || !is_whole;
    stream->given += evbuffer_get_length(out) - before;
    stream->wrote_ms = ez_clock_mono_ms();
}

static void put_id(ez_stream *stream, ez_event_text *text, const ez_buf *before) {
    char rest[PIECE_MAX + EZ_EVENT_ID_MAX + 8], id[EZ_EVENT_ID_MAX];
    size_t len = before ? before->len : 0;
    ez_event_position_write(&stream->at, id);
    if (len > 0)
        memcpy(rest, before->data, len);
    int more = snprintf(rest + len, sizeof rest - len, "id: %s\n\n", id);
    put(stream, text, rest, len + (size_t)more);
}

void ez_stream_greet(ez_stream *stream) {
    ez_auto(ez_buf) piece;
    ez_buf_init(&piece, PIECE_MAX);
    (void)ez_buf_printf(&piece, "retry: %d\n", RETRY_MS);
    put_id(stream, NULL, &piece);
}

void ez_stream_send(ez_stream *stream, ez_event_text *text) {
    put_id(stream, text, NULL);
}

void ez_stream_tell_lost(ez_stream *stream, unsigned topics, const char *reason, const char *detail) {
    ez_auto(ez_buf) piece;
    ez_buf_init(&piece, PIECE_MAX);
    (void)ez_buf_printf(&piece, "event: lost\ndata: {\"reason\":\"%s\",\"topics\":[", reason);
    const char *comma = "";
    for (int i = 0; i < EZ_TOPIC_COUNT; i++) {
        if (!(topics & (1u << i)))
            continue;
        (void)ez_buf_printf(&piece, "%s\"%s\"", comma, ez_topics[i].name);
        comma = ",";
    }
    (void)ez_buf_puts(&piece, "],\"detail\":");
    (void)ez_json_write_string(detail, strlen(detail), &piece);
    (void)ez_buf_puts(&piece, "}\n");
    put_id(stream, NULL, &piece);
}

void ez_stream_beat(ez_stream *stream) {
    static const char comment[] = ": heartbeat\n\n";
    put(stream, NULL, comment, sizeof comment - 1);
}

void ez_stream_end(ez_stream *stream, const char *reason, const char *detail) {
    ez_auto(ez_buf) piece;
    ez_buf_init(&piece, PIECE_MAX);
    (void)ez_buf_printf(&piece, "event: end\ndata: {\"reason\":");
    (void)ez_json_write_string(reason, strlen(reason), &piece);
    (void)ez_buf_puts(&piece, ",\"detail\":");
    (void)ez_json_write_string(detail, strlen(detail), &piece);
    (void)ez_buf_puts(&piece, "}\n");
    put_id(stream, NULL, &piece);
    if (stream->is_chunked) {
        (void)bufferevent_write(stream->bufferevent, "0\r\n\r\n", 5);
        stream->given += 5;
    }
    bufferevent_setwatermark(stream->bufferevent, EV_WRITE, 0, 0); // its callback: when all has left
    stream->is_ending = true;
    stream->ending_ms = stream->wrote_ms;
}

size_t ez_stream_unsent(const ez_stream *stream) {
    return evbuffer_get_length(bufferevent_get_output(stream->bufferevent));
}

bool ez_stream_is_stuck(ez_stream *stream, uint64_t now_ms, uint64_t limit_ms) {
    size_t unsent = ez_stream_unsent(stream);
    uint64_t progress = stream->given - unsent;
    if (unsent == 0 || progress != stream->progress) {
        stream->progress = progress;
        stream->progress_ms = now_ms;
    }
    return stream->is_broken || ez_stream_elapsed(now_ms, stream->progress_ms) > limit_ms;
}
