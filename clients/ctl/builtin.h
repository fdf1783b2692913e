// SPDX-License-Identifier: Apache-2.0
//
// The program's own commands: the ones that are no noun of the schema.
#pragma once

#include "proto/runtime/schema.h"
#include "proto/runtime/settings.h"

struct ez_ctl_arguments;

typedef struct ez_ctl_builtin {
    const char *name;
    const char *operands; // as help shows them: "METHOD [JSON]"
    unsigned operands_min, operands_max;
    const char *doc;
    // Returns the program's exit status. settings: only where needs_settings.
    int (*run)(const struct ez_ctl_arguments *arguments, const ez_settings *settings);
    unsigned options;         // bits 1 << ez_ctl_option: which of the program's flags it takes, beside -h
    const char *const *words; // what the first operand may be, for completion; NULL-terminated, or NULL
    const char *timeout_doc;  // what --timeout means for it; NULL: as for all
} ez_ctl_builtin;

extern const ez_ctl_builtin ez_ctl_builtins[];
extern const unsigned ez_ctl_builtin_count;

// A verb that stands beside a noun's own; NULL: none.
const ez_ctl_builtin *ez_ctl_builtin_verb(const ez_method *noun, const char *verb);
// The one after before (NULL: the first) of the noun's; its word is the last of its name. NULL: no more.
const ez_ctl_builtin *ez_ctl_builtin_verb_next(const ez_method *noun, const ez_ctl_builtin *before);

// NULL where there is none.
const ez_ctl_builtin *ez_ctl_builtin_find(const char *name);
