// SPDX-License-Identifier: Apache-2.0
//
// Replies for people: a message's fields as text, lists as tables, one resource as lines. Which columns come first, and
// which hardly matter, follows from the fields' names.
#pragma once

#include "proto/runtime/arena.h"
#include "proto/runtime/buf.h"
#include "proto/runtime/error.h"
#include "proto/runtime/schema.h"

#define EZ_CTL_VIEW_MAX (256u << 20) // bytes of one output

// Appends the message: its list as a table where it is a page of one, else "name  value" lines with the messages in it
// below. width as in clients/ctl/table.h. reveal: with its sensitive fields. What it makes on the way is in arena.
// RESOURCE_EXHAUSTED where arena or out are full.
ez_status ez_ctl_view_write(const ez_message_rule *rule, const ProtobufCMessage *message, bool reveal, size_t width,
                            ez_arena *arena, ez_buf *out) EZ_MUST_CHECK;

// Appends what a script needs next, one a line: secrets that were just made, else the id, else the ids of its list.
ez_status ez_ctl_view_quiet(const ez_message_rule *rule, const ProtobufCMessage *message, bool reveal,
                            ez_buf *out) EZ_MUST_CHECK;

// The field that holds a page's items, or NULL where rule is no page.
const ez_field_rule *ez_ctl_view_items(const ez_message_rule *rule);

// Appends one field's value as one line.
void ez_ctl_view_cell(const ez_message_rule *rule, const ez_field_rule *field, const ProtobufCMessage *message,
                      ez_buf *out);
