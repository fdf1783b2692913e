// SPDX-License-Identifier: Apache-2.0
//
// The three frame readers over the same bytes. What a call's header hands out must lie within the frame and within its
// bounds, and a header that is written again must be read as the same.
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/cleanup.h"
#include "proto/runtime/frame.h"
#include "proto/runtime/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds) {
    if (!holds)
        abort();
}

static void check_slice(ez_slice slice, const uint8_t *data, size_t size, size_t max) {
    expect(slice.len <= max);
    expect(slice.len == 0 || (slice.data >= data && slice.data + slice.len <= data + size));
    expect(ez_utf8_is_text((const char *)slice.data, slice.len));
}

static void read_call(const uint8_t *data, size_t size) {
    ez_call_header header;
    ez_slice message;
    ez_error error = EZ_ERROR_INIT;
    if (ez_frame_read_call(data, size, &header, &message, &error) != EZ_OK) {
        expect(error.code != EZ_OK && error.reason[0] && error.message[0]);
        return;
    }
    check_slice(header.method, data, size, 128);
    check_slice(header.authorization, data, size, 512);
    check_slice(header.request_id, data, size, 64);
    check_slice(header.idempotency_key, data, size, 64);
    check_slice(header.traceparent, data, size, 64);
    check_slice(header.client, data, size, 128);
    check_slice(header.remote, data, size, 64);
    expect(message.len == 0 || message.data + message.len == data + size);
}

// Nobody sends unknown fields on, and protobuf-c writes those with odd tags differently than it read them.
static void forget_unknown(Ez__V1__EventHeader *event) {
    ProtobufCMessage *const all[] = {&event->base, event->time ? &event->time->base : NULL,
                                     event->from ? &event->from->base : NULL, event->to ? &event->to->base : NULL};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i])
            all[i]->n_unknown_fields = 0;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    read_call(data, size);
    ez_auto(ez_arena) arena;
    ez_arena_init(&arena, 8 << 20);
    Ez__V1__ReplyHeader *reply;
    Ez__V1__EventHeader *event;
    const char *topic;
    ez_slice message;
    ez_auto(ez_buf) again;
    ez_buf_init(&again, 16 << 20);
    if (ez_frame_read_reply(data, size, &arena, &reply, &message, NULL) == EZ_OK)
        expect(ez_frame_write_reply(&again, reply) == EZ_OK);
    if (ez_frame_read_event(data, size, &arena, &topic, &event, &message, NULL) == EZ_OK) {
        ez_buf_clear(&again);
        forget_unknown(event);
        expect(strlen(topic) > 0 && ez_frame_write_event(&again, topic, event) == EZ_OK);
        expect(ez_frame_read_event(again.data, again.len, &arena, &topic, &event, &message, NULL) == EZ_OK);
    }
    return 0;
}
