// SPDX-License-Identifier: Apache-2.0
//
// Flags. Those of a method come from the fields of its request and of the resource that it carries; those of the
// program
// (-o, --wait, …) are one table. Any thread.
#pragma once

#include "proto/runtime/error.h"
#include "proto/runtime/schema.h"

#define EZ_CTL_FLAGS_MAX 96

// One field that can be given as --name.
typedef struct ez_ctl_flag {
    const ez_message_rule *rule; // the message that has the field
    const ez_field_rule *field;
    bool in_body; // a field of the resource, not of the request itself
} ez_ctl_flag;

typedef struct ez_ctl_flags {
    const ez_method *method;
    const ez_field_rule *body; // the request's field that is the resource, or NULL
    unsigned count;
    ez_ctl_flag list[EZ_CTL_FLAGS_MAX];
} ez_ctl_flags;

// All that a caller may set. Left out are output_only fields, immutable ones where a resource is changed, and fields of
// the resource that have the name of one of the request.
void ez_ctl_flags_of(const ez_method *method, ez_ctl_flags *out);

// By name without its hyphens; NULL where there is none.
const ez_ctl_flag *ez_ctl_flag_find(const ez_ctl_flags *flags, const char *name, size_t len);

const ProtobufCFieldDescriptor *ez_ctl_flag_descriptor(const ez_ctl_flag *flag);
// bool fields that are not repeated: the value may be left out.
bool ez_ctl_flag_is_switch(const ez_ctl_flag *flag);
// Whether @FILE and - stand for what is in a file and on standard input: secrets and whole messages.
bool ez_ctl_flag_reads_files(const ez_ctl_flag *flag);
// The words it may be, one a call from n = 0; NULL past the last. In out's memory.
const char *ez_ctl_flag_word(const ez_ctl_flag *flag, unsigned n, char out[64]);

// The program's own flags.
typedef enum ez_ctl_option {
    EZ_CTL_OUTPUT,
    EZ_CTL_QUIET,
    EZ_CTL_ALL,
    EZ_CTL_JSON,
    EZ_CTL_WAIT,
    EZ_CTL_VALIDATE_ONLY,
    EZ_CTL_IF_MATCH,
    EZ_CTL_TIMEOUT,
    EZ_CTL_GROUP,
    EZ_CTL_HELP,
    EZ_CTL_VERSION,
    EZ_CTL_OPTION_COUNT
} ez_ctl_option;

typedef struct ez_ctl_option_info {
    const char *name;
    char letter;             // 0: none
    const char *placeholder; // NULL: takes no value
    const char *doc;
} ez_ctl_option_info;
extern const ez_ctl_option_info ez_ctl_options[EZ_CTL_OPTION_COUNT];

// Whether an option means anything for a method; NULL: for none in particular, or one of the program's own commands.
bool ez_ctl_option_fits(ez_ctl_option option, const ez_method *method);
