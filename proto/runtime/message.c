// SPDX-License-Identifier: Apache-2.0
//
// Decoding, copying and redacting any message of the schema. What is made lives in the caller's arena. The awkward case
// is a failed unpack: protobuf-c does not say why, but after the scan what is left is the arena's ceiling.
#include "proto/runtime/message.h"

#include <assert.h>

#include "proto/runtime/field.h"
#include "proto/runtime/scan.h"

static ez_status decode(const ez_message_rule *rule, const void *data, size_t len, bool is_bounded, ez_arena *arena,
                        ProtobufCMessage **out, ez_error *error) {
    ez_status status = ez_scan_message(rule, data, len, is_bounded, error);
    if (status != EZ_OK)
        return status;
    bool was_refused = arena->refused;
    arena->refused = false;
    ProtobufCMessage *message =
        protobuf_c_message_unpack(rule->descriptor, ez_arena_allocator(arena), len, len ? data : (const void *)"");
    bool is_full = arena->refused;
    arena->refused |= was_refused;
    if (!message && is_full)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE",
                            "the message needs more memory than one call may have: send less at once");
    if (!message)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "MESSAGE_INVALID", "the bytes are no %s", rule->name);
    *out = message;
    return EZ_OK;
}

ez_status ez_message_decode(const ez_message_rule *rule, const void *data, size_t len, ez_arena *arena,
                            ProtobufCMessage **out, ez_error *error) {
    return decode(rule, data, len, true, arena, out, error);
}

ez_status ez_message_decode_reply(const ez_message_rule *rule, const void *data, size_t len, ez_arena *arena,
                                  ProtobufCMessage **out, ez_error *error) {
    return decode(rule, data, len, false, arena, out, error);
}

bool ez_message_field_is_empty(const ez_field_rule *field, const ProtobufCMessage *message) {
    return ez_field_is_empty(&message->descriptor->fields[field->index], message);
}

static void redact_within(const ez_field_rule *field, const ProtobufCFieldDescriptor *fd, ProtobufCMessage *message) {
    if (!ez_field_is_live(fd, message))
        return;
    if (!ez_field_is_repeated(fd)) {
        ProtobufCMessage *inner = *(ProtobufCMessage **)ez_field_at(fd, message);
        if (inner)
            ez_message_redact(field->message, inner);
        return;
    }
    ProtobufCMessage **items = *(ProtobufCMessage ***)ez_field_at(fd, message);
    for (size_t i = 0; i < *ez_field_count(fd, message); i++)
        ez_message_redact(field->message, items[i]);
}

void ez_message_redact(const ez_message_rule *rule, ProtobufCMessage *message) {
    assert(message->descriptor == rule->descriptor);
    // An unknown field may be a newer schema's secret.
    message->n_unknown_fields = 0;
    message->unknown_fields = NULL;
    for (unsigned i = 0; i < rule->field_count; i++) {
        const ez_field_rule *field = &rule->fields[i];
        const ProtobufCFieldDescriptor *fd = ez_field_of(rule, field);
        if (field->flags & EZ_FIELD_SENSITIVE)
            ez_field_clear(fd, message);
        else if (field->message && !(field->flags & EZ_FIELD_MAP))
            redact_within(field, fd, message);
    }
}

// Replaces what a value points to by a copy; the value itself has been copied with its struct.
static bool copy_value(const ProtobufCFieldDescriptor *fd, void *at, ez_arena *arena) {
    switch (fd->type) {
    case PROTOBUF_C_TYPE_STRING: {
        char **text = at;
        if (!*text || *text == (const char *)protobuf_c_empty_string)
            return true;
        *text = ez_arena_strdup(arena, *text);
        return *text != NULL;
    }
    case PROTOBUF_C_TYPE_BYTES: {
        ProtobufCBinaryData *bytes = at;
        if (bytes->len == 0)
            return true;
        bytes->data = ez_arena_memdup(arena, bytes->data, bytes->len);
        return bytes->data != NULL;
    }
    case PROTOBUF_C_TYPE_MESSAGE: {
        ProtobufCMessage **inner = at;
        if (!*inner)
            return true;
        *inner = ez_message_copy(*inner, arena);
        return *inner != NULL;
    }
    default:
        return true;
    }
}

static bool copy_field(const ProtobufCFieldDescriptor *fd, ProtobufCMessage *message, ez_arena *arena) {
    if (!ez_field_is_repeated(fd))
        return !ez_field_is_live(fd, message) || copy_value(fd, ez_field_at(fd, message), arena);
    size_t count = *ez_field_count(fd, message), size = ez_field_size(fd);
    char **values = ez_field_at(fd, message);
    if (count == 0)
        return true;
    *values = ez_arena_memdup(arena, *values, count * size);
    if (!*values)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!copy_value(fd, *values + i * size, arena))
            return false;
    }
    return true;
}

static bool copy_unknown(ProtobufCMessage *message, ez_arena *arena) {
    if (message->n_unknown_fields == 0)
        return true;
    size_t size = message->n_unknown_fields * sizeof message->unknown_fields[0];
    message->unknown_fields = ez_arena_memdup(arena, message->unknown_fields, size);
    if (!message->unknown_fields)
        return false;
    for (unsigned i = 0; i < message->n_unknown_fields; i++) {
        ProtobufCMessageUnknownField *field = &message->unknown_fields[i];
        field->data = ez_arena_memdup(arena, field->data, field->len);
        if (!field->data)
            return false;
    }
    return true;
}

ProtobufCMessage *ez_message_copy(const ProtobufCMessage *message, ez_arena *arena) {
    const ProtobufCMessageDescriptor *type = message->descriptor;
    ProtobufCMessage *copy = ez_arena_memdup(arena, message, type->sizeof_message);
    if (!copy || !copy_unknown(copy, arena))
        return NULL;
    for (unsigned i = 0; i < type->n_fields; i++) {
        if (!copy_field(&type->fields[i], copy, arena))
            return NULL;
    }
    return copy;
}
