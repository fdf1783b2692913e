// SPDX-License-Identifier: Apache-2.0
//
// Protobuf's wire form by hand, for the places where a whole unpack would cost more than what is looked for: packed
// resources are copied, joined and searched as bytes.
#pragma once

#include "proto/runtime/buf.h"
#include "proto/runtime/frame.h"

typedef struct ez_wire_field {
    uint32_t number;
    uint8_t type;    // 0 varint, 1 fixed64, 2 bytes, 5 fixed32
    uint64_t varint; // types 0, 1, 5
    ez_slice bytes;  // type 2
} ez_wire_field;

// Reads the field at *at and moves *at behind it. False at the end, and where the bytes are malformed (*at is then less
// than len).
bool ez_wire_next(const uint8_t *data, size_t len, size_t *at, ez_wire_field *out);
// The last field with this number, which is the one that counts. False where there is none.
bool ez_wire_find(const uint8_t *data, size_t len, uint32_t number, ez_wire_field *out);

ez_status ez_wire_put_varint(ez_buf *out, uint32_t number, uint64_t value);
ez_status ez_wire_put_double(ez_buf *out, uint32_t number, double value);
ez_status ez_wire_put_bytes(ez_buf *out, uint32_t number, const void *data, size_t len);
