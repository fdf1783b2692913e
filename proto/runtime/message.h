// SPDX-License-Identifier: Apache-2.0
//
// What can be done with any message of the schema, from its rule alone: normalise, validate, mask, default, redact.
// A rule belongs to exactly one descriptor; passing another message is our bug (asserted).
#pragma once

#include "proto/runtime/arena.h"
#include "proto/runtime/error.h"
#include "proto/runtime/schema.h"

// Decodes bytes from a peer into arena. INVALID_ARGUMENT where they are not the message; the texts are not checked yet.
ez_status ez_message_decode(const ez_message_rule *rule, const void *data, size_t len, ez_arena *arena, ProtobufCMessage **out,
                            ez_error *error) EZ_MUST_CHECK;

// Trims and lower-cases where the rule says so (in arena), then checks all that the rules say: UTF-8 without NUL,
// lengths, counts, numbers, finite doubles, enums known and in range, one_of, formats, required, unique map keys, timestamps within years
// 1970–9999. output_only fields are cleared rather than refused, except where is_create is false and nothing is lost by
// ignoring them either: a client may send back what it read. Every fault is one violation in error.
// required inside a resource (the message a Create or Update carries) is checked only if is_create.
ez_status ez_message_check(const ez_message_rule *rule, ProtobufCMessage *message, bool is_create, ez_arena *arena,
                           ez_error *error) EZ_MUST_CHECK;

// Fills absent fields that have a default_value (strings empty, enums zero, presence fields not set).
ez_status ez_message_defaults(const ez_message_rule *rule, ProtobufCMessage *message, ez_arena *arena) EZ_MUST_CHECK;

// Copies the fields the mask names from patch onto message (shallow: both must live as long). An empty mask means every
// field of patch that is set. Unknown, output_only and immutable names are violations — an immutable or output_only field that equals what is there is no fault.
ez_status ez_message_merge(const ez_message_rule *rule, ProtobufCMessage *message, const ProtobufCMessage *patch,
                           size_t mask_count, char *const *mask, ez_error *error) EZ_MUST_CHECK;
// Whether a merge with this mask would touch the field.
bool ez_message_mask_has(const ez_message_rule *rule, const ProtobufCMessage *patch, size_t mask_count, char *const *mask,
                         const char *field);

// Sets every sensitive field, at any depth, to its empty value. For what is stored, logged or audited.
void ez_message_redact(const ez_message_rule *rule, ProtobufCMessage *message);

// Deep copy into arena. NULL where there is no memory.
ProtobufCMessage *ez_message_copy(const ProtobufCMessage *message, ez_arena *arena) EZ_MUST_CHECK;

// Whether a field has its zero value (absent, empty, 0).
bool ez_message_field_is_empty(const ez_field_rule *field, const ProtobufCMessage *message);
