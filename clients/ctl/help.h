// SPDX-License-Identifier: Apache-2.0
//
// What there is, in words, from the schema's comments and bounds. Main thread.
#pragma once

#include "clients/ctl/arguments.h"
#include "proto/runtime/buf.h"

#define EZ_CTL_HELP_USAGE "NOUN VERB [OPERAND…] [--FIELD VALUE…]"

// For as much of a command as was given. Returns the program's exit status.
int ez_ctl_help(const ez_ctl_arguments *arguments);
// ezctl help [NOUN [VERB]]
int ez_ctl_help_command(const ez_ctl_arguments *arguments, const ez_settings *settings);
// ezctl methods
int ez_ctl_methods(const ez_ctl_arguments *arguments, const ez_settings *settings);

// The texts themselves, appended.
void ez_ctl_help_top(ez_buf *out);
void ez_ctl_help_noun(const ez_method *noun, ez_buf *out);
void ez_ctl_help_verb(const ez_method *method, ez_buf *out);
void ez_ctl_help_builtin(const ez_ctl_builtin *builtin, ez_buf *out);

// The first sentence of a method's comment.
int ez_ctl_help_sentence(const char *doc);

#define EZ_CTL_HELP_MAX (1u << 20)
