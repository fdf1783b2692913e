// SPDX-License-Identifier: Apache-2.0
//
// One field of a protobuf-c message by its descriptor: where it is, whether it is set, how it is written. What message,
// check, mask and json share; nobody else should need it. A member of a oneof shares its memory with the other members:
// look at ez_field_is_live before its value.
#pragma once

#include <string.h>

#include "proto/runtime/arena.h"
#include "proto/runtime/error.h"
#include "proto/runtime/schema.h"

#define EZ_FIELD_WORDS_MAX 220 // fits a violation, with what stands before them

// Where a value stands within a request, for a violation's path. Lives on the stack of whoever walks down.
typedef struct ez_place {
    const struct ez_place *up;
    const char *name; // NULL: an element of up
    size_t index;
} ez_place;

// Writes the place's path, cut to size.
void ez_place_render(const ez_place *place, char *out, size_t size);

// Adds a violation with the place's path ("key.allow_ips[2]"). Returns EZ_INVALID_ARGUMENT.
ez_status ez_place_violation(const ez_place *place, ez_error *error, const char *format, ...) EZ_PRINTF(3, 4);

static inline const ProtobufCFieldDescriptor *ez_field_of(const ez_message_rule *rule, const ez_field_rule *field) {
    return &rule->descriptor->fields[field->index];
}

static inline void *ez_field_at(const ProtobufCFieldDescriptor *field, const ProtobufCMessage *message) {
    return (char *)message + field->offset;
}

static inline bool ez_field_is_repeated(const ProtobufCFieldDescriptor *field) {
    return field->label == PROTOBUF_C_LABEL_REPEATED;
}

static inline bool ez_field_is_member(const ProtobufCFieldDescriptor *field) {
    return (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
}

// Repeated fields: how many elements.
static inline size_t *ez_field_count(const ProtobufCFieldDescriptor *field, const ProtobufCMessage *message) {
    return (size_t *)((char *)message + field->quantifier_offset);
}

// Members of a oneof: which one is set.
static inline uint32_t *ez_field_case(const ProtobufCFieldDescriptor *field, const ProtobufCMessage *message) {
    return (uint32_t *)((char *)message + field->quantifier_offset);
}

// False: a member of a oneof that is not the one that is set.
static inline bool ez_field_is_live(const ProtobufCFieldDescriptor *field, const ProtobufCMessage *message) {
    return !ez_field_is_member(field) || *ez_field_case(field, message) == field->id;
}

// Bytes of one value.
size_t ez_field_size(const ProtobufCFieldDescriptor *field);

// The field's zero value: absent, empty, 0. A live member of a oneof is not empty.
bool ez_field_is_empty(const ProtobufCFieldDescriptor *field, const ProtobufCMessage *message);
bool ez_field_is_equal(const ProtobufCFieldDescriptor *field, const ProtobufCMessage *a, const ProtobufCMessage *b);

// Gives it its zero value.
void ez_field_clear(const ProtobufCFieldDescriptor *field, ProtobufCMessage *message);
// Gives it from's value, sharing memory.
void ez_field_assign(const ProtobufCFieldDescriptor *field, ProtobufCMessage *message, const ProtobufCMessage *from);

// A new, empty message in arena; NULL where there is no memory.
ProtobufCMessage *ez_field_new_message(const ProtobufCMessageDescriptor *descriptor, ez_arena *arena) EZ_MUST_CHECK;

// The word of an enum's value as JSON has it, but in upper case, in the descriptor's memory. NULL where the value is
// unknown.
const char *ez_field_word(const ProtobufCEnumDescriptor *type, int value);
// All its words but "unspecified", lower case: "active, disabled"; cut with "…" where there is no room. Returns out.
const char *ez_field_words(const ProtobufCEnumDescriptor *type, char out[EZ_FIELD_WORDS_MAX]);

// Store one value of the field at a place of ez_field_size bytes. False where it does not fit or is not known.
bool ez_field_store_integer(const ProtobufCFieldDescriptor *field, void *at, bool is_negative, uint64_t magnitude);
bool ez_field_store_word(const ProtobufCFieldDescriptor *field, void *at, const char *text, size_t len);
bool ez_field_store_time(void *at, const char *text, size_t len, ez_arena *arena);
// Hexadecimal or base64 (padding may be left out).
bool ez_field_store_bytes(void *at, bool is_hex, const char *text, size_t len, ez_arena *arena);

// "-12" → (true, 12). False where it is no integer of 64 bits.
bool ez_field_read_integer(const char *text, size_t len, bool *is_negative, uint64_t *magnitude);
