// SPDX-License-Identifier: Apache-2.0
//
// A look at a message's bytes before protobuf-c unpacks them. protobuf-c counts nothing, takes any bytes for a text and
// turns two bytes of an empty sub-message into hundreds in memory, so what a peer may not send is refused here.
#pragma once

#include "proto/runtime/error.h"
#include "proto/runtime/schema.h"

// Walks data as a message of rule without memory. Violations in error, with their paths; INVALID_ARGUMENT
// (MESSAGE_INVALID) where the bytes are no message at all. is_bounded: hold lists to max_items. Any thread.
ez_status ez_scan_message(const ez_message_rule *rule, const void *data, size_t len, bool is_bounded,
                          ez_error *error) EZ_MUST_CHECK;
