// SPDX-License-Identifier: Apache-2.0
//
// One field's value as one line of text. Owns nothing. The awkward case is what has no short form: a message is shown
// as JSON, a list of messages as their number. What is cut here is whole with -o json.
#include <google/protobuf/timestamp.pb-c.h>
#include <inttypes.h>
#include <string.h>

#include "clients/ctl/text.h"
#include "clients/ctl/view.h"
#include "ez/v1/oauth.pb-c.h"
#include "ez/v1/wire.pb-c.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/field.h"
#include "proto/runtime/json.h"

static void put_text(const char *text, ez_buf *out) {
    if (text)
        ez_ctl_text_put(out, text, strlen(text), true);
}

static void put_word(const ProtobufCEnumDescriptor *type, int value, ez_buf *out) {
    const char *word = ez_field_word(type, value);
    if (!word) {
        (void)ez_buf_printf(out, "%d", value);
        return;
    }
    for (; strcmp(word, "UNSPECIFIED") != 0 && *word; word++)
        (void)ez_buf_putc(out, *word >= 'A' && *word <= 'Z' ? (char)(*word - 'A' + 'a') : *word);
}

static void put_hex(const ProtobufCBinaryData *bytes, ez_buf *out) {
    for (size_t i = 0; i < bytes->len; i++)
        (void)ez_buf_printf(out, "%02x", bytes->data[i]);
}

static void put_message(const ez_field_rule *field, const ProtobufCMessage *message, ez_buf *out) {
    if (message && field->flags & EZ_FIELD_TIMESTAMP) {
        const Google__Protobuf__Timestamp *time = (const Google__Protobuf__Timestamp *)message;
        char text[EZ_CLOCK_TEXT_MAX];
        size_t len = ez_clock_format(time->seconds, 0, text); // to the second, or a row is twice as wide
        (void)ez_buf_append(out, text, len);
    } else if (message && message->descriptor == &ez__v1__revision__descriptor) {
        // Its epoch is a long number that hardly ever changes; where it matters a section shows both.
        (void)ez_buf_printf(out, "%" PRIu64, ((const Ez__V1__Revision *)message)->n);
    } else if (message && field->message) {
        ez_buf json;
        ez_buf_init(&json, EZ_CTL_VIEW_MAX);
        if (ez_json_write(field->message, message, false, &json) == EZ_OK)
            ez_ctl_text_put(out, (const char *)json.data, json.len, true);
        else
            out->overflow = true;
        ez_buf_fini(&json);
    }
}

static void put_value(const ez_field_rule *field, const ProtobufCFieldDescriptor *fd, const void *at, ez_buf *out) {
    switch (fd->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        (void)ez_buf_printf(out, "%" PRId32, *(const int32_t *)at);
        return;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        (void)ez_buf_printf(out, "%" PRId64, *(const int64_t *)at);
        return;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        (void)ez_buf_printf(out, "%" PRIu32, *(const uint32_t *)at);
        return;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        (void)ez_buf_printf(out, "%" PRIu64, *(const uint64_t *)at);
        return;
    case PROTOBUF_C_TYPE_FLOAT:
        (void)ez_buf_printf(out, "%.6g", (double)*(const float *)at);
        return;
    case PROTOBUF_C_TYPE_DOUBLE:
        (void)ez_buf_printf(out, "%.6g", *(const double *)at);
        return;
    case PROTOBUF_C_TYPE_BOOL:
        (void)ez_buf_puts(out, *(const protobuf_c_boolean *)at ? "true" : "false");
        return;
    case PROTOBUF_C_TYPE_ENUM:
        put_word(fd->descriptor, *(const int *)at, out);
        return;
    case PROTOBUF_C_TYPE_STRING:
        put_text(*(char *const *)at, out);
        return;
    case PROTOBUF_C_TYPE_BYTES:
        put_hex(at, out);
        return;
    case PROTOBUF_C_TYPE_MESSAGE:
        put_message(field, *(ProtobufCMessage *const *)at, out);
        return;
    }
}

static void put_pairs(const ProtobufCFieldDescriptor *fd, const ProtobufCMessage *message, ez_buf *out) {
    const ProtobufCMessageDescriptor *type = fd->descriptor;
    ProtobufCMessage **entries = *(ProtobufCMessage ***)ez_field_at(fd, message);
    for (size_t i = 0; i < *ez_field_count(fd, message); i++) {
        if (i)
            (void)ez_buf_putc(out, ',');
        put_text(*(char **)ez_field_at(&type->fields[0], entries[i]), out);
        (void)ez_buf_putc(out, '=');
        put_text(*(char **)ez_field_at(&type->fields[1], entries[i]), out);
    }
}

// "terminal 3, setting 1": their number would be taken for that of the keys.
static void put_failures(Ez__V1__RefreshFailures *const *list, size_t count, ez_buf *out) {
    for (size_t i = 0; i < count; i++) {
        (void)ez_buf_puts(out, i ? ", " : "");
        put_text(list[i]->class_, out);
        (void)ez_buf_printf(out, " %" PRId64, list[i]->keys);
    }
}

void ez_ctl_view_cell(const ez_message_rule *rule, const ez_field_rule *field, const ProtobufCMessage *message,
                      ez_buf *out) {
    const ProtobufCFieldDescriptor *fd = ez_field_of(rule, field);
    if (!ez_field_is_live(fd, message))
        return;
    if (!ez_field_is_repeated(fd)) {
        put_value(field, fd, ez_field_at(fd, message), out);
        return;
    }
    size_t count = *ez_field_count(fd, message), size = ez_field_size(fd);
    if (field->flags & EZ_FIELD_MAP) {
        put_pairs(fd, message, out);
    } else if (fd->descriptor == &ez__v1__refresh_failures__descriptor) {
        put_failures(*(Ez__V1__RefreshFailures ***)ez_field_at(fd, message), count, out);
    } else if (fd->type == PROTOBUF_C_TYPE_MESSAGE) {
        if (count)
            (void)ez_buf_printf(out, "%zu", count);
    } else {
        const char *values = *(char **)ez_field_at(fd, message);
        for (size_t i = 0; i < count; i++) {
            if (i)
                (void)ez_buf_putc(out, ',');
            put_value(field, fd, values + i * size, out);
        }
    }
}
