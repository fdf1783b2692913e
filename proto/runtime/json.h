// SPDX-License-Identifier: Apache-2.0
//
// JSON ⇄ messages, from the field table. The form: snake_case names, int64 as numbers, enums as lower-case words
// without their type's prefix (KEY_STATUS_ACTIVE: "active"), timestamps RFC 3339 in UTC, bytes base64 or hex where the
// field says so, maps as objects (of strings; of booleans, numbers and strings where the field has json_values), a text
// whose format is json_object as the object it holds. Every field of a message is written, also when empty — save
// omit_empty ones, unset presence fields (omitted), unset messages and timestamps (null), unset members of a oneof
// (omitted), and sensitive and input_only ones (never, unless reveal).
#pragma once

#include "proto/runtime/arena.h"
#include "proto/runtime/buf.h"
#include "proto/runtime/error.h"
#include "proto/runtime/schema.h"

// Appends the message as JSON. RESOURCE_EXHAUSTED at the buffer's ceiling.
ez_status ez_json_write(const ez_message_rule *rule, const ProtobufCMessage *message, bool reveal,
                        ez_buf *out) EZ_MUST_CHECK;

// A request for the record: the same without reveal, and without output_only fields that are empty, since no caller
// gives those.
ez_status ez_json_write_request(const ez_message_rule *rule, const ProtobufCMessage *message,
                                ez_buf *out) EZ_MUST_CHECK;

// Appends a number as JSON, as short as it can be read back; one that is not finite becomes null.
ez_status ez_json_write_double(double value, ez_buf *out);

// Whether a text is exactly one JSON value that is no object and no list, without blanks around it.
bool ez_json_is_scalar(const char *text);

// Appends text as a JSON string, quotes included. Invalid UTF-8 becomes U+FFFD.
ez_status ez_json_write_string(const char *text, size_t len, ez_buf *out);

// The names of the fields a JSON object gave, null ones too (naming a field without a value clears it), for an update
// mask. In the arena of the parse.
typedef struct ez_json_mask {
    char **names;
    size_t count;
} ez_json_mask;

// Parses one JSON object, of at most EZ_JSON_MAX bytes, into a new message in arena. Strict: UTF-8, no duplicate keys,
// depth ≤ 32, no unknown field (named in error), numbers in the field's range and integral where it is an integer (a
// string of digits is taken for 64-bit fields), null = absent. Bounds of the rules are ez_message_check's business.
// mask may be NULL. Errors: INVALID_ARGUMENT (JSON_INVALID, or FIELD_INVALID with violations), RESOURCE_EXHAUSTED
// (MESSAGE_TOO_LARGE). No error quotes a value.
#define EZ_JSON_MAX (4u << 20)
ez_status ez_json_parse(const ez_message_rule *rule, const char *text, size_t len, ez_arena *arena,
                        ProtobufCMessage **out, ez_json_mask *mask, ez_error *error) EZ_MUST_CHECK;

// Sets one field from text, as a path parameter or query string gives it: numbers, bools (true false 1 0), enum words,
// strings, timestamps; a repeated field takes one more element per call.
ez_status ez_json_set_text(const ez_field_rule *field, ProtobufCMessage *message, const char *text, ez_arena *arena,
                           ez_error *error) EZ_MUST_CHECK;
