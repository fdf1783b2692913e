// SPDX-License-Identifier: Apache-2.0
//
// Commands in Redis's protocol, appended to a buffer: what follows ez_command_begin are exactly so many arguments.
// Single results may be ignored where the buffer's overflow is looked at in the end (proto/runtime/buf.h).
#pragma once

#include "proto/runtime/buf.h"
#include "proto/runtime/frame.h"

void ez_command_begin(ez_buf *out, size_t arguments); // the command's name is one of them
void ez_command_bytes(ez_buf *out, const void *data, size_t len);
void ez_command_text(ez_buf *out, const char *text);
void ez_command_int(ez_buf *out, int64_t value);
// prefix and name as one argument.
void ez_command_key(ez_buf *out, const char *prefix, const char *name);

// A whole command of texts, ended by NULL.
void ez_command_put(ez_buf *out, const char *name, ...) __attribute__((sentinel));
