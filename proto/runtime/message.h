// SPDX-License-Identifier: Apache-2.0
//
// What can be done with any message of the schema, from its rule alone: normalise, validate, mask, default, redact.
// A rule belongs to exactly one descriptor; passing another message is our bug (asserted).
#pragma once

#include "proto/runtime/arena.h"
#include "proto/runtime/error.h"
#include "proto/runtime/schema.h"

// Decodes bytes from a peer into arena. INVALID_ARGUMENT where they are not the message. Looked at before any memory is
// spent: elements per list and map (max_items), fields that repeat, unknown fields, and that every text is UTF-8
// without NUL; each fault is a violation with its path. RESOURCE_EXHAUSTED (MESSAGE_TOO_LARGE) where arena can't hold
// it.
ez_status ez_message_decode(const ez_message_rule *rule, const void *data, size_t len, ez_arena *arena,
                            ProtobufCMessage **out, ez_error *error) EZ_MUST_CHECK;

// The same for what a server sent: max_items, which binds callers, is not looked at; arena's ceiling is the bound.
ez_status ez_message_decode_reply(const ez_message_rule *rule, const void *data, size_t len, ez_arena *arena,
                                  ProtobufCMessage **out, ez_error *error) EZ_MUST_CHECK;

// Trims and lower-cases where the rule says so (in arena), then checks all that the rules say: UTF-8, lengths, counts,
// numbers, finite doubles, enums known, one_of, formats, required, unique map keys, timestamps within years 1970–9999.
// output_only fields are cleared, not refused: a client may send back what it read. Zero values of fields without
// presence count as absent: they are looked at for required only. Every fault is one violation in error.
//
// required is checked in the request itself and in what it carries, but in a resource (a message with output_only
// fields) only if is_create. Not looked into: the members "create" and "update" of a oneof. They are items of a batch,
// each with a status of its own, and their handler calls this for each.
ez_status ez_message_check(const ez_message_rule *rule, ProtobufCMessage *message, bool is_create, ez_arena *arena,
                           ez_error *error) EZ_MUST_CHECK;

// Fills absent fields that have a default_value (strings empty, numbers and enums zero, presence fields not set) of
// this message, not of those within it. RESOURCE_EXHAUSTED where there is no memory.
ez_status ez_message_defaults(const ez_message_rule *rule, ProtobufCMessage *message, ez_arena *arena) EZ_MUST_CHECK;

// Copies the fields the mask names from patch onto message (shallow: both must live as long). An empty mask means every
// field of patch that is set; a name whose field is absent in patch clears the field
// (a violation where it is required). Unknown, output_only and
// immutable names are violations ("update_mask[2]") and then nothing is merged — but an immutable field that equals
// what is there, and an output_only field that does or is absent in patch (ez_message_check clears them), are passed
// over.
ez_status ez_message_merge(const ez_message_rule *rule, ProtobufCMessage *message, const ProtobufCMessage *patch,
                           size_t mask_count, char *const *mask, ez_error *error) EZ_MUST_CHECK;
// Whether a merge with this mask would touch the field. False for a field the message does not have.
bool ez_message_mask_has(const ez_message_rule *rule, const ProtobufCMessage *patch, size_t mask_count,
                         char *const *mask, const char *field);

// Sets every sensitive field, at any depth, to its empty value, and drops unknown fields (they may be secrets of a
// newer schema). For what is stored, logged or audited.
void ez_message_redact(const ez_message_rule *rule, ProtobufCMessage *message);

// Deep copy into arena. NULL where there is no memory.
ProtobufCMessage *ez_message_copy(const ProtobufCMessage *message, ez_arena *arena) EZ_MUST_CHECK;

// Whether a field has its zero value (absent, empty, 0).
bool ez_message_field_is_empty(const ez_field_rule *field, const ProtobufCMessage *message);
