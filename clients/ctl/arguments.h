// SPDX-License-Identifier: Apache-2.0
//
// The command line, taken apart: noun, verb, operands, flags. Values are not looked at but for the program's own flags;
// clients/ctl/request.h does the rest. Texts point into argv.
#pragma once

#include "clients/ctl/builtin.h"
#include "clients/ctl/command.h"
#include "clients/ctl/flag.h"
#include "proto/runtime/arena.h"

#define EZ_CTL_TIMEOUT_MAX_MS (60u * 60 * 1000)

typedef enum ez_ctl_format { EZ_CTL_FORMAT_AUTO, EZ_CTL_FORMAT_TABLE, EZ_CTL_FORMAT_JSON } ez_ctl_format;

// A flag of the method, in the order given.
typedef struct ez_ctl_given {
    const ez_ctl_flag *flag;
    const char *value;
} ez_ctl_given;

typedef struct ez_ctl_arguments {
    const ez_ctl_builtin *builtin; // one of the program's own commands, or
    const ez_method *noun;         // the first method of the noun, and
    const ez_method *method;       // its verb's; NULL where there is none yet (then is_help)
    ez_ctl_flags flags;            // of method
    ez_ctl_given *given;
    unsigned given_count;
    const char **operands; // past noun and verb
    unsigned operand_count;
    char **settings; // for ez_settings_open: the program's name, then the flags that are settings
    int setting_count;

    bool has[EZ_CTL_OPTION_COUNT];
    ez_ctl_format format;
    const char *json;
    uint64_t if_match;
    const char *group;
    uint32_t timeout_ms; // 0: the method's own
} ez_ctl_arguments;

// INVALID_ARGUMENT (USAGE) in one line: what is wrong, the nearest to it, what there is.
ez_status ez_ctl_arguments_parse(int argc, char **argv, ez_arena *arena, ez_ctl_arguments *out,
                                 ez_error *error) EZ_MUST_CHECK;

// "500ms", "5s", "2m" → milliseconds, 1 to EZ_CTL_TIMEOUT_MAX_MS; a bare number is seconds. False where it is none.
bool ez_ctl_duration(const char *text, uint32_t *out);
