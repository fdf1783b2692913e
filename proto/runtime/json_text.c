// SPDX-License-Identifier: Apache-2.0
//
// One field from plain text, as paths, query strings and defaults give it. The awkward case is the repeated field,
// which takes one element a call: nobody knows what room its array has (a JSON body may have made it), so each call
// copies it. Such lists are a few names long, and the arena bounds the rest.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/field.h"
#include "proto/runtime/json.h"
#include "proto/runtime/utf8.h"

// NULL, or what the text must be.
static const char *put_bool(void *at, const char *text) {
    bool is_true = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
    if (!is_true && strcmp(text, "false") != 0 && strcmp(text, "0") != 0)
        return "must be true or false";
    *(protobuf_c_boolean *)at = is_true;
    return NULL;
}

static const char *put_double(const ProtobufCFieldDescriptor *fd, void *at, const char *text) {
    char *end;
    double value = strtod(text, &end);
    if (*text == 0 || *end != 0 || strspn(text, "+-.0123456789eE") != strlen(text) || !isfinite(value))
        return "must be a finite number";
    if (fd->type == PROTOBUF_C_TYPE_DOUBLE)
        *(double *)at = value;
    else if (fabs(value) <= (double)__FLT_MAX__)
        *(float *)at = (float)value;
    else
        return "is out of range";
    return NULL;
}

static const char *put_integer(const ProtobufCFieldDescriptor *fd, void *at, const char *text, size_t len) {
    bool is_negative;
    uint64_t magnitude;
    if (!ez_field_read_integer(text, len, &is_negative, &magnitude))
        return "must be a whole number";
    return ez_field_store_integer(fd, at, is_negative, magnitude) ? NULL : "is out of range";
}

static const char *put_string(void *at, const char *text, size_t len, ez_arena *arena) {
    if (!ez_utf8_is_valid(text, len))
        return "must be UTF-8";
    char *copy = ez_arena_strndup(arena, text, len);
    if (copy)
        *(char **)at = copy;
    return NULL;
}

static const char *put_word(const ProtobufCFieldDescriptor *fd, void *at, const char *text, size_t len,
                            ez_arena *arena) {
    char words[EZ_FIELD_WORDS_MAX];
    if (ez_field_store_word(fd, at, text, len))
        return NULL;
    const char *fault = ez_arena_printf(arena, "must be one of %s", ez_field_words(fd->descriptor, words));
    return fault ? fault : "is no word that is known here";
}

static const char *put_one(const ez_field_rule *field, const ProtobufCFieldDescriptor *fd, void *at, const char *text,
                           ez_arena *arena) {
    size_t len = strlen(text);
    switch (fd->type) {
    case PROTOBUF_C_TYPE_BOOL:
        return put_bool(at, text);
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        return put_double(fd, at, text);
    case PROTOBUF_C_TYPE_STRING:
        return put_string(at, text, len, arena);
    case PROTOBUF_C_TYPE_ENUM:
        return put_word(fd, at, text, len, arena);
    case PROTOBUF_C_TYPE_BYTES:
        if (ez_field_store_bytes(at, field->flags & EZ_FIELD_HEX, text, len, arena))
            return NULL;
        return field->flags & EZ_FIELD_HEX ? "must be hexadecimal" : "must be base64";
    case PROTOBUF_C_TYPE_MESSAGE:
        if (!(field->flags & EZ_FIELD_TIMESTAMP))
            return "can't be given here";
        return ez_field_store_time(at, text, len, arena) ? NULL : "must be a time such as 2025-01-31T08:00:00Z";
    default:
        return put_integer(fd, at, text, len);
    }
}

static void push(const ProtobufCFieldDescriptor *fd, ProtobufCMessage *message, const void *value, ez_arena *arena) {
    size_t *count = ez_field_count(fd, message), size = ez_field_size(fd);
    char **values = ez_field_at(fd, message);
    char *more = ez_arena_alloc(arena, (*count + 1) * size);
    if (!more)
        return;
    if (*count)
        memcpy(more, *values, *count * size);
    memcpy(more + *count * size, value, size);
    *values = more;
    ++*count;
}

static ez_status no_memory(ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE",
                        "the request needs more memory than one call may have: send less at once");
}

ez_status ez_json_set_text(const ez_field_rule *field, ProtobufCMessage *message, const char *text, ez_arena *arena,
                           ez_error *error) {
    const ProtobufCFieldDescriptor *fd = &message->descriptor->fields[field->index];
    union {
        uint64_t number;
        void *pointer;
        ProtobufCBinaryData bytes;
    } value = {0};
    bool was_refused = arena->refused;
    arena->refused = false;
    const char *fault = NULL;
    if (ez_field_is_repeated(fd) && *ez_field_count(fd, message) >= field->max_items)
        fault = "is given too often";
    if (!fault)
        fault = put_one(field, fd, &value, text, arena);
    if (!arena->refused && !fault && ez_field_is_repeated(fd))
        push(fd, message, &value, arena);
    bool is_full = arena->refused;
    arena->refused |= was_refused;
    if (is_full)
        return no_memory(error);
    if (fault)
        return ez_error_violation(error, field->name, "%s", fault);
    if (ez_field_is_repeated(fd))
        return EZ_OK;
    if (ez_field_is_member(fd))
        *ez_field_case(fd, message) = fd->id;
    memcpy(ez_field_at(fd, message), &value, ez_field_size(fd));
    return EZ_OK;
}
