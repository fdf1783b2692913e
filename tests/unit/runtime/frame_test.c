// SPDX-License-Identifier: Apache-2.0
//
// Frames: what is written is read back, and every malformed or over-long header is refused with the right code, at
// every length at which it may be cut.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/cleanup.h"
#include "proto/runtime/frame.h"
#include "proto/runtime/wire.h"

static ez_status read_call(const ez_buf *frame, ez_call_header *header, ez_error *error) {
    ez_slice message;
    // A copy of just its size, so that the sanitizer sees a read past it.
    uint8_t *copy = malloc(frame->len ? frame->len : 1);
    if (frame->len)
        memcpy(copy, frame->data, frame->len);
    ez_status status = ez_frame_read_call(copy, frame->len, header, &message, error);
    free(copy);
    return status;
}

static bool slice_is(ez_slice slice, const char *text) {
    return slice.len == strlen(text) && memcmp(slice.data, text, slice.len) == 0;
}

Test(frame, a_call_is_read_back) {
    Ez__V1__CallHeader header = EZ__V1__CALL_HEADER__INIT;
    header.method = (char *)"ez.v1.Keys/Get";
    header.authorization = (char *)"Bearer eza_x";
    header.request_id = (char *)"r-1.2_3";
    header.timeout_ms = 4294967295u;
    header.idempotency_key = (char *)"a b~";
    header.traceparent = (char *)"00-x";
    header.client = (char *)"ezctl 0.1 \xC3\xA9";
    header.if_match = UINT64_MAX;
    header.validate_only = true;
    header.wait = EZ__V1__WAIT__WAIT_APPLIED;
    header.remote = (char *)"10.0.0.1";
    ez_auto(ez_buf) frame;
    ez_buf_init(&frame, EZ_CALL_MAX);
    cr_assert_eq(ez_frame_write_call(&frame, &header), EZ_OK);
    cr_assert_eq(ez_buf_puts(&frame, "message"), EZ_OK);
    ez_call_header back;
    ez_slice message;
    cr_assert_eq(ez_frame_read_call(frame.data, frame.len, &back, &message, NULL), EZ_OK);
    cr_assert(slice_is(back.method, "ez.v1.Keys/Get"));
    cr_assert(slice_is(back.authorization, "Bearer eza_x"));
    cr_assert(slice_is(back.request_id, "r-1.2_3"));
    cr_assert(slice_is(back.idempotency_key, "a b~"));
    cr_assert(slice_is(back.traceparent, "00-x"));
    cr_assert(slice_is(back.client, "ezctl 0.1 \xC3\xA9"));
    cr_assert(slice_is(back.remote, "10.0.0.1"));
    cr_assert_eq(back.timeout_ms, 4294967295u);
    cr_assert_eq(back.if_match, UINT64_MAX);
    cr_assert(back.validate_only && back.wait_applied);
    cr_assert(slice_is(message, "message"));
    // No part of it is a call: header cut short, or a call with a shorter message.
    for (size_t len = 0; len + strlen("message") < frame.len; len++) {
        ez_buf cut = {.data = frame.data, .len = len};
        cr_assert_eq(read_call(&cut, &back, NULL), EZ_INVALID_ARGUMENT, "cut at %zu", len);
    }
}

// Makes a frame around the bytes of a header.
static void frame_of(ez_buf *out, const ez_buf *header) {
    uint8_t len[10];
    ez_buf_clear(out);
    cr_assert_eq(ez_buf_putc(out, EZ_FRAME_VERSION), EZ_OK);
    cr_assert_eq(ez_buf_append(out, len, ez_varint_write(len, header->len)), EZ_OK);
    cr_assert_eq(ez_buf_append(out, header->data, header->len), EZ_OK);
}

static ez_status read_field(uint32_t number, const char *text, size_t len) {
    ez_auto(ez_buf) header;
    ez_auto(ez_buf) frame;
    ez_buf_init(&header, 1 << 20);
    ez_buf_init(&frame, 1 << 20);
    cr_assert_eq(ez_wire_put_bytes(&header, number, text, len), EZ_OK);
    frame_of(&frame, &header);
    ez_call_header found = {.timeout_ms = 77};
    ez_error error = EZ_ERROR_INIT;
    ez_status status = read_call(&frame, &found, &error);
    if (status != EZ_OK) {
        cr_assert_str_eq(error.reason, "FRAME_INVALID");
        cr_assert_eq(found.timeout_ms, 77, "outputs are untouched on failure");
    }
    return status;
}

Test(frame, texts_are_held_to_their_bounds) {
    static const struct {
        uint32_t number;
        size_t max;
    } texts[] = {{1, 128}, {2, 512}, {3, 64}, {5, 64}, {6, 64}, {7, 128}, {11, 64}};
    char text[600];
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        cr_assert_eq(read_field(texts[i].number, text, texts[i].max), EZ_OK);
        cr_assert_eq(read_field(texts[i].number, text, texts[i].max + 1), EZ_INVALID_ARGUMENT, "field %u",
                     texts[i].number);
        cr_assert_eq(read_field(texts[i].number, "a\0b", 3), EZ_INVALID_ARGUMENT);
        cr_assert_eq(read_field(texts[i].number, "\xFF", 1), EZ_INVALID_ARGUMENT);
        cr_assert_eq(read_field(texts[i].number, "", 0), EZ_OK);
    }
    cr_assert_eq(read_field(3, "a b", 3), EZ_INVALID_ARGUMENT);
    cr_assert_eq(read_field(3, "\xC3\xA9", 2), EZ_INVALID_ARGUMENT);
    cr_assert_eq(read_field(5, "\x1F", 1), EZ_INVALID_ARGUMENT);
    cr_assert_eq(read_field(5, "\x7F", 1), EZ_INVALID_ARGUMENT);
    cr_assert_eq(read_field(7, "\xC3\xA9", 2), EZ_OK);
    cr_assert_eq(read_field(4, "5", 1), EZ_INVALID_ARGUMENT, "a number that is a text");
    cr_assert_eq(read_field(900, "whatever\xFF", 9), EZ_OK, "an unknown field");
}

Test(frame, the_last_of_a_field_wins_and_each_is_checked) {
    ez_auto(ez_buf) header;
    ez_auto(ez_buf) frame;
    ez_buf_init(&header, 1000);
    ez_buf_init(&frame, 1000);
    cr_assert_eq(ez_wire_put_bytes(&header, 1, "first", 5), EZ_OK);
    cr_assert_eq(ez_wire_put_varint(&header, 4, 10), EZ_OK);
    cr_assert_eq(ez_wire_put_bytes(&header, 1, "second", 6), EZ_OK);
    cr_assert_eq(ez_wire_put_varint(&header, 4, UINT64_MAX), EZ_OK);
    frame_of(&frame, &header);
    ez_call_header found;
    ez_slice message;
    cr_assert_eq(ez_frame_read_call(frame.data, frame.len, &found, &message, NULL), EZ_OK);
    cr_assert(slice_is(found.method, "second"));
    cr_assert_eq(found.timeout_ms, UINT32_MAX);
    ez_buf_clear(&header);
    cr_assert_eq(ez_wire_put_bytes(&header, 3, "bad id", 6), EZ_OK);
    cr_assert_eq(ez_wire_put_bytes(&header, 3, "good", 4), EZ_OK);
    frame_of(&frame, &header);
    cr_assert_eq(read_call(&frame, &found, NULL), EZ_INVALID_ARGUMENT);
}

Test(frame, fault_20_an_unknown_wait_is_refused) {
    for (uint64_t wait = 0; wait < 4; wait++) {
        ez_auto(ez_buf) header;
        ez_auto(ez_buf) frame;
        ez_buf_init(&header, 100);
        ez_buf_init(&frame, 100);
        cr_assert_eq(ez_wire_put_varint(&header, 10, wait), EZ_OK);
        frame_of(&frame, &header);
        ez_call_header found;
        cr_assert_eq(read_call(&frame, &found, NULL), wait <= 1 ? EZ_OK : EZ_INVALID_ARGUMENT);
    }
}

Test(frame, another_version_is_unimplemented) {
    ez_call_header header;
    ez_slice message;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_frame_read_call("\x02\x00", 2, &header, &message, &error), EZ_UNIMPLEMENTED);
    cr_assert_str_eq(error.reason, "FRAME_VERSION");
    cr_assert_eq(ez_frame_read_call("", 0, &header, &message, &error), EZ_INVALID_ARGUMENT);
    cr_assert_eq(ez_frame_read_call("\x01", 1, &header, &message, &error), EZ_INVALID_ARGUMENT);
    cr_assert_eq(ez_frame_read_call("\x01\x00", 2, &header, &message, &error), EZ_OK);
    cr_assert_eq(message.len, 0);
    cr_assert_eq(ez_frame_read_call("\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 11, &header, &message, &error),
                 EZ_INVALID_ARGUMENT);
}

Test(frame, replies_and_events_are_read_back) {
    Ez__V1__Revision revision = EZ__V1__REVISION__INIT;
    revision.n = 12;
    Ez__V1__ReplyHeader reply = EZ__V1__REPLY_HEADER__INIT;
    reply.code = EZ__V1__CODE__CODE_NOT_FOUND;
    reply.reason = (char *)"KEY_UNKNOWN";
    reply.revision = &revision;
    Ez__V1__EventHeader event = EZ__V1__EVENT_HEADER__INIT;
    event.sequence = 99;
    event.to = &revision;
    ez_auto(ez_buf) frame;
    ez_auto(ez_arena) arena;
    ez_buf_init(&frame, EZ_CALL_MAX);
    ez_arena_init(&arena, 1 << 16);
    cr_assert_eq(ez_frame_write_reply(&frame, &reply), EZ_OK);
    Ez__V1__ReplyHeader *reply_back;
    ez_slice message;
    cr_assert_eq(ez_frame_read_reply(frame.data, frame.len, &arena, &reply_back, &message, NULL), EZ_OK);
    cr_assert_str_eq(reply_back->reason, "KEY_UNKNOWN");
    cr_assert_eq(reply_back->revision->n, 12);
    cr_assert_eq(message.len, 0);

    ez_buf_clear(&frame);
    cr_assert_eq(ez_frame_write_event(&frame, "config", &event), EZ_OK);
    cr_assert_eq(ez_buf_pack(&frame, &revision.base), EZ_OK);
    const char *topic;
    Ez__V1__EventHeader *event_back;
    cr_assert_eq(ez_frame_read_event(frame.data, frame.len, &arena, &topic, &event_back, &message, NULL), EZ_OK);
    cr_assert_str_eq(topic, "config");
    cr_assert_eq(event_back->sequence, 99);
    cr_assert_eq(message.len, 2);
    for (size_t len = 0; len + 2 < frame.len; len++)
        cr_assert_neq(ez_frame_read_event(frame.data, len, &arena, &topic, &event_back, &message, NULL), EZ_OK);
    cr_assert_neq(ez_frame_read_event("\0\x01\0", 3, &arena, &topic, &event_back, &message, NULL), EZ_OK);
}
