// SPDX-License-Identifier: Apache-2.0
//
// Walking and writing protobuf's wire form field by field. Nothing is copied: what is read points into the caller's
// bytes. Groups (wire types 3 and 4) count as malformed: the schema has none, and skipping them would take recursion.
#include "proto/runtime/wire.h"

#include <string.h>

#define FIELD_NUMBER_MAX ((1u << 29) - 1)

static uint64_t little(const uint8_t *data, size_t size) {
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)data[i] << (8 * i);
    return value;
}

static size_t read_value(const uint8_t *data, size_t len, ez_wire_field *out) {
    uint64_t size;
    size_t used;
    switch (out->type) {
    case 0:
        return ez_varint_read(data, len, &out->varint);
    case 1:
    case 5:
        size = out->type == 1 ? 8 : 4;
        if (len < size)
            return 0;
        out->varint = little(data, size);
        return size;
    case 2:
        used = ez_varint_read(data, len, &size);
        if (used == 0 || size > len - used)
            return 0;
        out->bytes = (ez_slice){data + used, size};
        return used + size;
    default:
        return 0;
    }
}

bool ez_wire_next(const uint8_t *data, size_t len, size_t *at, ez_wire_field *out) {
    if (*at >= len)
        return false;
    uint64_t tag;
    size_t used = ez_varint_read(data + *at, len - *at, &tag);
    if (used == 0 || tag >> 3 == 0 || tag >> 3 > FIELD_NUMBER_MAX)
        return false;
    ez_wire_field field = {.number = (uint32_t)(tag >> 3), .type = tag & 7};
    size_t more = read_value(data + *at + used, len - *at - used, &field);
    if (more == 0)
        return false;
    *at += used + more;
    *out = field;
    return true;
}

bool ez_wire_find(const uint8_t *data, size_t len, uint32_t number, ez_wire_field *out) {
    bool found = false;
    size_t at = 0;
    ez_wire_field field;
    while (ez_wire_next(data, len, &at, &field)) {
        if (field.number == number) {
            *out = field;
            found = true;
        }
    }
    return found;
}

ez_status ez_wire_put_varint(ez_buf *out, uint32_t number, uint64_t value) {
    uint8_t bytes[20];
    size_t size = ez_varint_write(bytes, (uint64_t)number << 3);
    size += ez_varint_write(bytes + size, value);
    return ez_buf_append(out, bytes, size);
}

ez_status ez_wire_put_double(ez_buf *out, uint32_t number, double value) {
    uint8_t bytes[20];
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    size_t size = ez_varint_write(bytes, (uint64_t)number << 3 | 1);
    for (int i = 0; i < 8; i++)
        bytes[size++] = (uint8_t)(bits >> (8 * i)); // little endian on every machine
    return ez_buf_append(out, bytes, size);
}

ez_status ez_wire_put_bytes(ez_buf *out, uint32_t number, const void *data, size_t len) {
    uint8_t bytes[20];
    size_t size = ez_varint_write(bytes, (uint64_t)number << 3 | 2);
    size += ez_varint_write(bytes + size, len);
    if (len > SIZE_MAX - size) {
        out->overflow = true;
        return EZ_RESOURCE_EXHAUSTED;
    }
    ez_status status = ez_buf_reserve(out, size + len); // both or neither
    if (status != EZ_OK)
        return status;
    status = ez_buf_append(out, bytes, size);
    return status == EZ_OK ? ez_buf_append(out, data, len) : status;
}
