// SPDX-License-Identifier: Apache-2.0
//
// Messages to JSON, straight from the descriptors to the buffer: no tree. What is left out
// is said in json.h. Nothing here fails but the buffer, whose overflow is looked at once, at the end. The awkward case
// is a text that is not UTF-8 after all (a message that no one checked): its bad bytes become U+FFFD, so that what is
// written is always JSON.
#include <assert.h>
#include <google/protobuf/timestamp.pb-c.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/field.h"
#include "proto/runtime/format.h"
#include "proto/runtime/json.h"
#include "proto/runtime/utf8.h"

static void put_literal(ez_buf *out, const char *text, size_t len) {
    (void)ez_buf_append(out, text, len);
}

#define PUT(out, text) put_literal(out, text, sizeof(text) - 1)

// 0: stands for itself; 'u': as \u00xx; else the letter behind the backslash.
static char escape_of(unsigned char c) {
    switch (c) {
    case '"':
    case '\\':
        return (char)c;
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    default:
        return c < 0x20 || c == 0x7F ? 'u' : 0;
    }
}

static void put_escape(ez_buf *out, unsigned char c, char letter) {
    static const char digits[] = "0123456789abcdef";
    char text[6] = {'\\', letter, '0', '0', digits[c >> 4], digits[c & 15]};
    put_literal(out, text, letter == 'u' ? 6 : 2);
}

ez_status ez_json_write_string(const char *text, size_t len, ez_buf *out) {
    (void)ez_buf_putc(out, '"');
    size_t from = 0, at = 0;
    while (at < len) {
        unsigned char c = (unsigned char)text[at];
        char letter = c < 0x80 ? escape_of(c) : 0;
        size_t size = c < 0x80 ? 1 : ez_utf8_next(text + at, len - at, NULL);
        if (!letter && size) {
            at += size;
            continue;
        }
        put_literal(out, text + from, at - from);
        if (letter)
            put_escape(out, c, letter);
        else
            PUT(out, "\xEF\xBF\xBD");
        from = ++at;
    }
    put_literal(out, text + from, at - from);
    (void)ez_buf_putc(out, '"');
    return out->overflow ? EZ_RESOURCE_EXHAUSTED : EZ_OK;
}

static void put_unsigned(ez_buf *out, uint64_t value, bool minus) {
    char text[21];
    size_t at = sizeof text;
    do {
        text[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    if (minus)
        text[--at] = '-';
    put_literal(out, text + at, sizeof text - at);
}

static void put_signed(ez_buf *out, int64_t value) {
    put_unsigned(out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, value < 0);
}

static void put_double(ez_buf *out, double value) {
    (void)ez_json_write_double(value, out);
}

static void put_hex(ez_buf *out, const ProtobufCBinaryData *bytes) {
    static const char digits[] = "0123456789abcdef";
    (void)ez_buf_putc(out, '"');
    for (size_t i = 0; i < bytes->len; i++) {
        char pair[2] = {digits[bytes->data[i] >> 4], digits[bytes->data[i] & 15]};
        put_literal(out, pair, 2);
    }
    (void)ez_buf_putc(out, '"');
}

static void put_base64(ez_buf *out, const ProtobufCBinaryData *bytes) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    (void)ez_buf_putc(out, '"');
    for (size_t i = 0; i < bytes->len; i += 3) {
        size_t left = bytes->len - i;
        uint32_t bits = (uint32_t)bytes->data[i] << 16;
        bits |= left > 1 ? (uint32_t)bytes->data[i + 1] << 8 : 0;
        bits |= left > 2 ? bytes->data[i + 2] : 0;
        char four[4] = {digits[bits >> 18], digits[bits >> 12 & 63], left > 1 ? digits[bits >> 6 & 63] : '=',
                        left > 2 ? digits[bits & 63] : '='};
        put_literal(out, four, 4);
    }
    (void)ez_buf_putc(out, '"');
}

static void put_enum(ez_buf *out, const ProtobufCEnumDescriptor *type, int value) {
    const char *word = ez_field_word(type, value);
    if (!word) {
        put_signed(out, value);
        return;
    }
    if (value == 0 && strcmp(word, "UNSPECIFIED") == 0) {
        PUT(out, "null");
        return;
    }
    char text[128];
    size_t len = 0;
    text[len++] = '"';
    for (; *word && len < sizeof text - 1; word++)
        text[len++] = *word >= 'A' && *word <= 'Z' ? (char)(*word - 'A' + 'a') : *word;
    text[len++] = '"';
    put_literal(out, text, len);
}

static void put_time(ez_buf *out, const Google__Protobuf__Timestamp *time) {
    char text[EZ_CLOCK_TEXT_MAX + 2];
    text[0] = '"';
    size_t len = ez_clock_format(time->seconds, time->nanos, text + 1);
    text[len + 1] = '"';
    put_literal(out, text, len + 2);
}

// What is left out.
typedef enum view {
    READ,     // secrets
    REVEALED, // nothing
    REQUEST,  // secrets, and what the server would fill in
} view;

static void put_message(ez_buf *out, const ez_message_rule *rule, const ProtobufCMessage *message, view as);

static void put_text(ez_buf *out, const char *text) {
    (void)ez_json_write_string(text ? text : "", text ? strlen(text) : 0, out);
}

// A text that holds an object stands for itself. One that no one checked is written as a text.
static void put_object_text(ez_buf *out, const char *text) {
    size_t len = text ? strlen(text) : 0;
    if (len == 0)
        PUT(out, "{}");
    else if (ez_format_fault(EZ_FORMAT_JSON_OBJECT, text, len))
        put_text(out, text);
    else
        put_literal(out, text, len);
}

static void put_value(ez_buf *out, const ez_field_rule *field, const ProtobufCFieldDescriptor *fd, const void *at,
                      view as) {
    switch (fd->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        put_signed(out, *(const int32_t *)at);
        return;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        put_signed(out, *(const int64_t *)at);
        return;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        put_unsigned(out, *(const uint32_t *)at, false);
        return;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        put_unsigned(out, *(const uint64_t *)at, false);
        return;
    case PROTOBUF_C_TYPE_FLOAT:
        put_double(out, (double)*(const float *)at);
        return;
    case PROTOBUF_C_TYPE_DOUBLE:
        put_double(out, *(const double *)at);
        return;
    case PROTOBUF_C_TYPE_BOOL:
        if (*(const protobuf_c_boolean *)at)
            PUT(out, "true");
        else
            PUT(out, "false");
        return;
    case PROTOBUF_C_TYPE_ENUM:
        put_enum(out, fd->descriptor, *(const int *)at);
        return;
    case PROTOBUF_C_TYPE_STRING:
        if (field->format == EZ_FORMAT_JSON_OBJECT)
            put_object_text(out, *(char *const *)at);
        else
            put_text(out, *(char *const *)at);
        return;
    case PROTOBUF_C_TYPE_BYTES:
        if (field->flags & EZ_FIELD_HEX)
            put_hex(out, at);
        else
            put_base64(out, at);
        return;
    case PROTOBUF_C_TYPE_MESSAGE:
        break;
    }
    const ProtobufCMessage *inner = *(ProtobufCMessage *const *)at;
    if (inner && field->flags & EZ_FIELD_TIMESTAMP)
        put_time(out, (const Google__Protobuf__Timestamp *)inner);
    else if (inner && field->message)
        put_message(out, field->message, inner, as);
    else
        PUT(out, "null");
}

// A value of a map with json_values stands for itself. One that no one checked is written as a text.
static void put_scalar(ez_buf *out, const char *text) {
    if (!text || !*text)
        PUT(out, "null");
    else if (ez_json_is_scalar(text))
        put_literal(out, text, strlen(text));
    else
        put_text(out, text);
}

static void put_map(ez_buf *out, const ez_field_rule *field, const ProtobufCFieldDescriptor *fd,
                    const ProtobufCMessage *message) {
    const ProtobufCMessageDescriptor *entry = fd->descriptor;
    ProtobufCMessage **entries = *(ProtobufCMessage ***)ez_field_at(fd, message);
    size_t count = *ez_field_count(fd, message);
    (void)ez_buf_putc(out, '{');
    for (size_t i = 0; i < count; i++) {
        if (i)
            (void)ez_buf_putc(out, ',');
        put_text(out, *(char **)ez_field_at(&entry->fields[0], entries[i]));
        (void)ez_buf_putc(out, ':');
        const char *value = *(char **)ez_field_at(&entry->fields[1], entries[i]);
        if (field->flags & EZ_FIELD_JSON_VALUES)
            put_scalar(out, value);
        else
            put_text(out, value);
    }
    (void)ez_buf_putc(out, '}');
}

static void put_list(ez_buf *out, const ez_field_rule *field, const ProtobufCFieldDescriptor *fd,
                     const ProtobufCMessage *message, view as) {
    const char *values = *(char **)ez_field_at(fd, message);
    size_t count = *ez_field_count(fd, message), size = ez_field_size(fd);
    (void)ez_buf_putc(out, '[');
    for (size_t i = 0; i < count && !out->overflow; i++) {
        if (i)
            (void)ez_buf_putc(out, ',');
        put_value(out, field, fd, values + i * size, as);
    }
    (void)ez_buf_putc(out, ']');
}

static bool is_shown(const ez_field_rule *field, const ProtobufCFieldDescriptor *fd, const ProtobufCMessage *message,
                     view as) {
    if (field->flags & (EZ_FIELD_SENSITIVE | EZ_FIELD_INPUT_ONLY) && as != REVEALED)
        return false;
    if (field->flags & EZ_FIELD_OUTPUT_ONLY && as == REQUEST && ez_field_is_empty(fd, message))
        return false;
    if (field->flags & EZ_FIELD_OMIT_EMPTY && ez_field_is_empty(fd, message))
        return false;
    return ez_field_is_live(fd, message);
}

static void put_message(ez_buf *out, const ez_message_rule *rule, const ProtobufCMessage *message, view as) {
    char lead = '{';
    for (unsigned i = 0; i < rule->field_count; i++) {
        const ez_field_rule *field = &rule->fields[i];
        const ProtobufCFieldDescriptor *fd = ez_field_of(rule, field);
        if (!is_shown(field, fd, message, as))
            continue;
        char head[2] = {lead, '"'};
        lead = ',';
        put_literal(out, head, 2);
        put_literal(out, field->name, strlen(field->name));
        PUT(out, "\":");
        if (field->flags & EZ_FIELD_MAP)
            put_map(out, field, fd, message);
        else if (ez_field_is_repeated(fd))
            put_list(out, field, fd, message, as);
        else
            put_value(out, field, fd, ez_field_at(fd, message), as);
    }
    if (lead == '{')
        (void)ez_buf_putc(out, '{');
    (void)ez_buf_putc(out, '}');
}

static ez_status write_as(const ez_message_rule *rule, const ProtobufCMessage *message, view as, ez_buf *out) {
    assert(message->descriptor == rule->descriptor);
    put_message(out, rule, message, as);
    return out->overflow ? EZ_RESOURCE_EXHAUSTED : EZ_OK;
}

ez_status ez_json_write(const ez_message_rule *rule, const ProtobufCMessage *message, bool reveal, ez_buf *out) {
    return write_as(rule, message, reveal ? REVEALED : READ, out);
}

ez_status ez_json_write_request(const ez_message_rule *rule, const ProtobufCMessage *message, ez_buf *out) {
    return write_as(rule, message, REQUEST, out);
}
