// SPDX-License-Identifier: Apache-2.0
//
// Reading, comparing and clearing the fields of protobuf-c's structs through their descriptors. Owns nothing. The
// awkward case is the oneof: its members overlap, so a member that is not live has no value of its own, and clearing
// one must not touch another.
#include "proto/runtime/field.h"

#include <stdarg.h>
#include <stdio.h>

static size_t render(const ez_place *place, char *out, size_t size) {
    if (!place)
        return 0;
    size_t len = render(place->up, out, size);
    if (len + 1 >= size)
        return len;
    int more = place->name ? snprintf(out + len, size - len, len ? ".%s" : "%s", place->name)
                           : snprintf(out + len, size - len, "[%zu]", place->index);
    return more < 0 ? len : len + (size_t)more < size ? len + (size_t)more : size - 1;
}

void ez_place_render(const ez_place *place, char *out, size_t size) {
    out[0] = 0;
    render(place, out, size);
}

ez_status ez_place_violation(const ez_place *place, ez_error *error, const char *format, ...) {
    char path[EZ_VIOLATION_FIELD_MAX];
    char text[2 * EZ_VIOLATION_TEXT_MAX]; // ez_error_violation cuts it, at a whole character
    ez_place_render(place, path, sizeof path);
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return ez_error_violation(error, path, "%s", text);
}

size_t ez_field_size(const ProtobufCFieldDescriptor *field) {
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM:
        return 4;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 8;
    }
}

static bool value_is_zero(const ProtobufCFieldDescriptor *field, const void *at) {
    static const char zero[8];
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING: {
        const char *text = *(char *const *)at;
        return !text || !*text;
    }
    case PROTOBUF_C_TYPE_MESSAGE:
        return !*(void *const *)at;
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)at)->len == 0;
    case PROTOBUF_C_TYPE_FLOAT:
        return *(const float *)at == 0;
    case PROTOBUF_C_TYPE_DOUBLE:
        return *(const double *)at == 0;
    default:
        return memcmp(at, zero, ez_field_size(field)) == 0;
    }
}

bool ez_field_is_empty(const ProtobufCFieldDescriptor *field, const ProtobufCMessage *message) {
    if (ez_field_is_repeated(field))
        return *ez_field_count(field, message) == 0;
    if (ez_field_is_member(field))
        return !ez_field_is_live(field, message);
    return value_is_zero(field, ez_field_at(field, message));
}

static bool messages_are_equal(const ProtobufCMessage *a, const ProtobufCMessage *b) {
    if (!a || !b)
        return a == b;
    for (unsigned i = 0; i < a->descriptor->n_fields; i++) {
        if (!ez_field_is_equal(&a->descriptor->fields[i], a, b))
            return false;
    }
    return true;
}

static bool values_are_equal(const ProtobufCFieldDescriptor *field, const void *a, const void *b) {
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING: {
        const char *x = *(char *const *)a, *y = *(char *const *)b;
        return strcmp(x ? x : "", y ? y : "") == 0;
    }
    case PROTOBUF_C_TYPE_MESSAGE:
        return messages_are_equal(*(ProtobufCMessage *const *)a, *(ProtobufCMessage *const *)b);
    case PROTOBUF_C_TYPE_BYTES: {
        const ProtobufCBinaryData *x = a, *y = b;
        return x->len == y->len && (x->len == 0 || memcmp(x->data, y->data, x->len) == 0);
    }
    default:
        return memcmp(a, b, ez_field_size(field)) == 0;
    }
}

bool ez_field_is_equal(const ProtobufCFieldDescriptor *field, const ProtobufCMessage *a, const ProtobufCMessage *b) {
    if (ez_field_is_repeated(field)) {
        size_t count = *ez_field_count(field, a), size = ez_field_size(field);
        if (count != *ez_field_count(field, b))
            return false;
        const char *x = *(char **)ez_field_at(field, a), *y = *(char **)ez_field_at(field, b);
        for (size_t i = 0; i < count; i++) {
            if (!values_are_equal(field, x + i * size, y + i * size))
                return false;
        }
        return true;
    }
    bool live = ez_field_is_live(field, a);
    if (live != ez_field_is_live(field, b))
        return false;
    return !live || values_are_equal(field, ez_field_at(field, a), ez_field_at(field, b));
}

void ez_field_clear(const ProtobufCFieldDescriptor *field, ProtobufCMessage *message) {
    if (!ez_field_is_live(field, message))
        return;
    if (ez_field_is_member(field))
        *ez_field_case(field, message) = 0;
    if (ez_field_is_repeated(field)) {
        *ez_field_count(field, message) = 0;
        *(void **)ez_field_at(field, message) = NULL;
        return;
    }
    memset(ez_field_at(field, message), 0, ez_field_size(field));
    if (field->type == PROTOBUF_C_TYPE_STRING && !ez_field_is_member(field))
        *(const char **)ez_field_at(field, message) = protobuf_c_empty_string;
}

void ez_field_assign(const ProtobufCFieldDescriptor *field, ProtobufCMessage *message, const ProtobufCMessage *from) {
    if (!ez_field_is_live(field, from)) {
        ez_field_clear(field, message);
        return;
    }
    if (ez_field_is_member(field))
        *ez_field_case(field, message) = field->id;
    if (ez_field_is_repeated(field)) {
        *ez_field_count(field, message) = *ez_field_count(field, from);
        *(void **)ez_field_at(field, message) = *(void **)ez_field_at(field, from);
        return;
    }
    memcpy(ez_field_at(field, message), ez_field_at(field, from), ez_field_size(field));
}

ProtobufCMessage *ez_field_new_message(const ProtobufCMessageDescriptor *descriptor, ez_arena *arena) {
    ProtobufCMessage *message = ez_arena_zalloc(arena, descriptor->sizeof_message);
    if (message)
        protobuf_c_message_init(descriptor, message);
    return message;
}
