// SPDX-License-Identifier: Apache-2.0
//
// Completion scripts, written from the tables: nouns, verbs, flags and the words a flag may be. A script is made again
// when the program is, and needs nothing of it at run time.
#pragma once

#include "clients/ctl/arguments.h"
#include "proto/runtime/buf.h"

#define EZ_CTL_COMPLETION_MAX (4u << 20)

// ezctl completion bash|zsh|fish. Returns the program's exit status.
int ez_ctl_completion(const ez_ctl_arguments *arguments, const ez_settings *settings);

// Appends the script for one shell. False for a shell that is not known.
bool ez_ctl_completion_write(const char *shell, ez_buf *out);
