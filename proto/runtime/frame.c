// SPDX-License-Identifier: Apache-2.0
//
// Frames: one version byte, the header's length, the header, the message. A call's header is read by hand, without
// memory: this runs for every call before anything is known of the caller, so all it hands out is checked here (UTF-8
// without NUL, bounds, the alphabets of ids). The awkward case: a singular field that is repeated; the last one wins,
// but every one must be sound.
#include "proto/runtime/frame.h"

#include <string.h>

#include "proto/runtime/utf8.h"
#include "proto/runtime/wire.h"

#define TOPIC_MAX 64

size_t ez_varint_write(uint8_t *out, uint64_t value) {
    size_t used = 0;
    while (value >= 0x80) {
        out[used++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    out[used++] = (uint8_t)value;
    return used;
}

size_t ez_varint_read(const uint8_t *data, size_t len, uint64_t *value) {
    uint64_t sum = 0;
    for (size_t i = 0; i < len && i < 10; i++) {
        uint8_t byte = data[i];
        if (i == 9 && byte > 1)
            return 0; // more than 64 bits
        sum |= (uint64_t)(byte & 0x7F) << (7 * i);
        if (byte < 0x80) {
            *value = sum;
            return i + 1;
        }
    }
    return 0;
}

static ez_status split(const uint8_t *data, size_t len, ez_slice *header, ez_slice *message, ez_error *error) {
    if (len == 0)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "FRAME_INVALID", "the frame is empty");
    if (data[0] != EZ_FRAME_VERSION)
        return ez_error_set(error, EZ_UNIMPLEMENTED, "FRAME_VERSION",
                            "frame version %u is not known here; this side speaks version 1", data[0]);
    uint64_t size;
    size_t used = ez_varint_read(data + 1, len - 1, &size);
    if (used == 0)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "FRAME_INVALID", "the frame's header length is no varint");
    size_t left = len - 1 - used;
    if (size > left)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "FRAME_INVALID",
                            "the frame's header is cut short: it says %llu bytes, %zu are there",
                            (unsigned long long)size, left);
    *header = (ez_slice){data + 1 + used, size};
    *message = (ez_slice){data + 1 + used + size, left - size};
    return EZ_OK;
}

// What a text of the header may hold beyond being UTF-8 without NUL.
typedef enum alphabet { ANY_TEXT, ID_TEXT, PRINTABLE_TEXT } alphabet;

static bool is_of(alphabet letters, ez_slice text) {
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        bool id = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
                  c == '-';
        if (letters == ID_TEXT ? !id : c < 0x20 || c > 0x7E)
            return false;
    }
    return true;
}

typedef struct text_field {
    const char *name;
    size_t offset; // of an ez_slice in ez_call_header
    size_t max;
    alphabet letters;
} text_field;

#define TEXT(field, max, letters)                                                                                      \
    { #field, offsetof(ez_call_header, field), max, letters }

static const text_field texts[] = {
    [1] = TEXT(method, 128, ANY_TEXT),     [2] = TEXT(authorization, 512, ANY_TEXT),
    [3] = TEXT(request_id, 64, ID_TEXT),   [5] = TEXT(idempotency_key, 64, PRINTABLE_TEXT),
    [6] = TEXT(traceparent, 64, ANY_TEXT), [7] = TEXT(client, 128, ANY_TEXT),
    [11] = TEXT(remote, 64, ANY_TEXT),
};

static ez_status take_text(const text_field *field, const ez_wire_field *from, ez_call_header *header,
                           ez_error *error) {
    if (from->type != 2)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "FRAME_INVALID", "the call header's %s is no text",
                            field->name);
    if (from->bytes.len > field->max)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "FRAME_INVALID",
                            "the call header's %s has %zu bytes; at most %zu may be sent", field->name, from->bytes.len,
                            field->max);
    bool ok = field->letters == ANY_TEXT ? ez_utf8_is_text((const char *)from->bytes.data, from->bytes.len)
                                         : is_of(field->letters, from->bytes);
    if (!ok)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "FRAME_INVALID", "the call header's %s must be %s", field->name,
                            field->letters == ANY_TEXT  ? "UTF-8 without NUL"
                            : field->letters == ID_TEXT ? "of A-Z a-z 0-9 . _ -"
                                                        : "printable ASCII");
    memcpy((char *)header + field->offset, &from->bytes, sizeof from->bytes);
    return EZ_OK;
}

static ez_status take_number(const ez_wire_field *from, ez_call_header *header, ez_error *error) {
    if (from->type != 0)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "FRAME_INVALID", "field %u of the call header is no number",
                            from->number);
    switch (from->number) {
    case 4:
        header->timeout_ms = from->varint > UINT32_MAX ? UINT32_MAX : (uint32_t)from->varint;
        return EZ_OK;
    case 8:
        header->if_match = from->varint;
        return EZ_OK;
    case 9:
        header->validate_only = from->varint != 0;
        return EZ_OK;
    default:
        if (from->varint > 1)
            return ez_error_set(error, EZ_INVALID_ARGUMENT, "FRAME_INVALID",
                                "the call header's wait must be 0 (committed) or 1 (applied)");
        header->wait_applied = from->varint == 1;
        return EZ_OK;
    }
}

ez_status ez_frame_read_call(const void *frame, size_t len, ez_call_header *header, ez_slice *message,
                             ez_error *error) {
    ez_slice head, rest;
    if (len > EZ_CALL_MAX)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "FRAME_INVALID",
                            "the frame has %zu bytes; at most %u may be sent", len, EZ_CALL_MAX);
    ez_status status = split(frame, len, &head, &rest, error);
    if (status != EZ_OK)
        return status;
    ez_call_header found = {0};
    ez_wire_field field;
    size_t at = 0;
    while (ez_wire_next(head.data, head.len, &at, &field)) {
        if (field.number < sizeof texts / sizeof texts[0] && texts[field.number].name)
            status = take_text(&texts[field.number], &field, &found, error);
        else if (field.number == 4 || (field.number >= 8 && field.number <= 10))
            status = take_number(&field, &found, error);
        if (status != EZ_OK)
            return status;
    }
    if (at < head.len)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "FRAME_INVALID",
                            "the call header is no protobuf message from byte %zu on", at);
    *header = found;
    *message = rest;
    return EZ_OK;
}

ez_status ez_frame_read_reply(const void *frame, size_t len, ez_arena *arena, Ez__V1__ReplyHeader **header,
                              ez_slice *message, ez_error *error) {
    ez_slice head, rest;
    ez_status status = split(frame, len, &head, &rest, error);
    if (status != EZ_OK)
        return status;
    Ez__V1__ReplyHeader *found = ez__v1__reply_header__unpack(ez_arena_allocator(arena), head.len, head.data);
    if (!found)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "FRAME_INVALID", "the reply's header can't be decoded");
    *header = found;
    *message = rest;
    return EZ_OK;
}

ez_status ez_frame_read_event(const void *frame, size_t len, ez_arena *arena, const char **topic,
                              Ez__V1__EventHeader **header, ez_slice *message, ez_error *error) {
    const uint8_t *data = frame;
    const uint8_t *end = len ? memchr(data, 0, len < TOPIC_MAX + 1 ? len : TOPIC_MAX + 1) : NULL;
    if (!end || end == data || !ez_utf8_is_valid(frame, (size_t)(end - data)))
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "FRAME_INVALID", "the event does not begin with a topic");
    ez_slice head, rest;
    ez_status status = split(end + 1, len - (size_t)(end - data) - 1, &head, &rest, error);
    if (status != EZ_OK)
        return status;
    Ez__V1__EventHeader *found = ez__v1__event_header__unpack(ez_arena_allocator(arena), head.len, head.data);
    if (!found)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "FRAME_INVALID", "the event's header can't be decoded");
    *topic = frame;
    *header = found;
    *message = rest;
    return EZ_OK;
}

static ez_status write_head(ez_buf *out, const char *topic, const ProtobufCMessage *header) {
    size_t size = protobuf_c_message_get_packed_size(header);
    size_t topic_len = topic ? strlen(topic) + 1 : 0;
    ez_status status = ez_buf_reserve(out, topic_len + 11 + size);
    if (status != EZ_OK)
        return status;
    uint8_t *at = out->data + out->len;
    if (topic)
        memcpy(at, topic, topic_len);
    at += topic_len;
    *at++ = EZ_FRAME_VERSION;
    at += ez_varint_write(at, size);
    at += protobuf_c_message_pack(header, at);
    out->len = (size_t)(at - out->data);
    return EZ_OK;
}

ez_status ez_frame_write_call(ez_buf *out, const Ez__V1__CallHeader *header) {
    return write_head(out, NULL, &header->base);
}

ez_status ez_frame_write_reply(ez_buf *out, const Ez__V1__ReplyHeader *header) {
    return write_head(out, NULL, &header->base);
}

ez_status ez_frame_write_event(ez_buf *out, const char *topic, const Ez__V1__EventHeader *header) {
    return write_head(out, topic, &header->base);
}

ez_status ez_buf_pack(ez_buf *out, const ProtobufCMessage *message) {
    size_t size = protobuf_c_message_get_packed_size(message);
    if (size == 0)
        return EZ_OK;
    ez_status status = ez_buf_reserve(out, size);
    if (status != EZ_OK)
        return status;
    out->len += protobuf_c_message_pack(message, out->data + out->len);
    return EZ_OK;
}
