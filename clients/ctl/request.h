// SPDX-License-Identifier: Apache-2.0
//
// The request message of a command: from operands, flags and --json.
#pragma once

#include "clients/ctl/arguments.h"
#include "clients/ctl/source.h"

// Builds arguments->method's request in arena. --json is the body, flags come on top of it; on an update the mask is
// what was named. An empty value clears a list, a map, a message or a time. INVALID_ARGUMENT: USAGE, or what
// proto/runtime/json.h says of a value; no error quotes one.
ez_status ez_ctl_request_build(const ez_ctl_arguments *arguments, ez_arena *arena, ProtobufCMessage **out,
                               ez_error *error) EZ_MUST_CHECK;
