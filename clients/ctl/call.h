// SPDX-License-Identifier: Apache-2.0
//
// One command that is a call: sends the request, shows the reply. Main thread; blocks until the answer or the deadline.
#pragma once

#include "clients/ctl/arguments.h"
#include "clients/ctl/report.h"

// Returns the program's exit status, everything said. request is changed where pages are followed; arena holds what is
// shown.
int ez_ctl_call(const ez_ctl_arguments *arguments, const ez_settings *settings, const ez_method *method,
                ProtobufCMessage *request, ez_arena *arena);

// A noun's verb, request and all.
int ez_ctl_call_command(const ez_ctl_arguments *arguments, const ez_settings *settings, ez_arena *arena);

// Whether replies are shown as tables, and in how many columns (0: no limit).
bool ez_ctl_wants_table(const ez_ctl_arguments *arguments);
size_t ez_ctl_terminal_width(void);

// Most memory one command may take for what it sends and shows.
#define EZ_CTL_MEMORY_MAX ((size_t)512 << 20)
