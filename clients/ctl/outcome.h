// SPDX-License-Identifier: Apache-2.0
//
// Whether a reply that the server gave says that something was not done: a batch that failed in part, a test message
// that was not delivered. Which replies those are follows from their fields' names, as in view.h.
#pragma once

#include <stddef.h>

#include "proto/runtime/schema.h"

// How many of the things a reply tells of were not done; 0: all were, or it tells of none. *of: how many there are.
size_t ez_ctl_outcome_failed(const ez_message_rule *rule, const ProtobufCMessage *reply, size_t *of);
