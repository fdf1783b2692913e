// SPDX-License-Identifier: Apache-2.0
//
// The frames of docs/protocol.md, sections 2 and 4: %x01, varint(len), header, message.
#pragma once

#include "ez/v1/wire.pb-c.h"
#include "proto/runtime/arena.h"
#include "proto/runtime/buf.h"
#include "proto/runtime/error.h"

#define EZ_FRAME_VERSION 0x01
#define EZ_CALL_MAX      (4u << 20)   // bytes of one request or reply
#define EZ_EVENT_MAX     (256u << 10) // bytes of one event

typedef struct ez_slice {
    const uint8_t *data;
    size_t len;
} ez_slice;

// A call's header without copies: texts point into the frame. All are UTF-8 without NUL and within their bounds.
typedef struct ez_call_header {
    ez_slice method;
    ez_slice authorization;
    ez_slice request_id;
    ez_slice idempotency_key;
    ez_slice traceparent;
    ez_slice client;
    ez_slice remote;
    uint32_t timeout_ms;
    uint64_t if_match;
    bool validate_only;
    bool wait_applied;
} ez_call_header;

// Splits a request. INVALID_ARGUMENT (FRAME_INVALID) where it can't be, UNIMPLEMENTED (FRAME_VERSION) for another
// version. header and message point into frame.
ez_status ez_frame_read_call(const void *frame, size_t len, ez_call_header *header, ez_slice *message,
                             ez_error *error) EZ_MUST_CHECK;

// Splits a reply; the header is unpacked into arena.
ez_status ez_frame_read_reply(const void *frame, size_t len, ez_arena *arena, Ez__V1__ReplyHeader **header,
                              ez_slice *message, ez_error *error) EZ_MUST_CHECK;

// Splits an event: topic is NUL-terminated within frame.
ez_status ez_frame_read_event(const void *frame, size_t len, ez_arena *arena, const char **topic,
                              Ez__V1__EventHeader **header, ez_slice *message, ez_error *error) EZ_MUST_CHECK;

// Bytes that come before a message of any size. Each fails with RESOURCE_EXHAUSTED at the buffer's ceiling.
ez_status ez_frame_write_call(ez_buf *out, const Ez__V1__CallHeader *header) EZ_MUST_CHECK;
ez_status ez_frame_write_reply(ez_buf *out, const Ez__V1__ReplyHeader *header) EZ_MUST_CHECK;
ez_status ez_frame_write_event(ez_buf *out, const char *topic, const Ez__V1__EventHeader *header) EZ_MUST_CHECK;

// Appends a packed message.
ez_status ez_buf_pack(ez_buf *out, const ProtobufCMessage *message) EZ_MUST_CHECK;

// Protobuf's base-128 varint. write needs 10 bytes of room and returns how many it used; read returns 0 where it is cut
// short or too long.
size_t ez_varint_write(uint8_t *out, uint64_t value);
size_t ez_varint_read(const uint8_t *data, size_t len, uint64_t *value);
