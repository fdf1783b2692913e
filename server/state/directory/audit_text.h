// SPDX-License-Identifier: Apache-2.0
//
// A request as the audit keeps it.
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "proto/runtime/arena.h"

#define EZ_AUDIT_REQUEST_MAX 4096        // bytes of JSON; a longer one is told by its size
#define EZ_AUDIT_PACKED_MAX  (32u << 10) // a longer request is longer than that as JSON, too

// The message as JSON, without sensitive fields; packed: its size. NULL where there is no memory.
const char *ez_audit_text(const ProtobufCMessage *message, size_t packed, ez_arena *arena) EZ_MUST_CHECK;
// What stands in the place of one that is too long.
const char *ez_audit_text_truncated(size_t packed, ez_arena *arena) EZ_MUST_CHECK;
