// SPDX-License-Identifier: Apache-2.0
//
// A command line, taken apart as the program does: given_command("keys", "get", "1").
#pragma once

#include <criterion/criterion.h>
#include <string.h>

#include "clients/ctl/arguments.h"

typedef struct command {
    ez_arena arena;
    ez_ctl_arguments arguments;
    ez_status status;
    ez_error error;
} command;

static inline void parse_words(command *c, int argc, char **argv) {
    ez_arena_init(&c->arena, 16 << 20);
    ez_error_clear(&c->error);
    c->status = ez_ctl_arguments_parse(argc, argv, &c->arena, &c->arguments, &c->error);
}

#define WORDS(...) ((const char *[]){"ezctl", __VA_ARGS__})
#define given_command(c, ...)                                                                                          \
    parse_words(c, (int)(sizeof WORDS(__VA_ARGS__) / sizeof(char *)), (char **)WORDS(__VA_ARGS__))

#define expect_parsed(c) cr_assert_eq((c)->status, EZ_OK, "%s", (c)->error.message)
#define expect_usage(c, text)                                                                                          \
    do {                                                                                                               \
        cr_assert_eq((c)->status, EZ_INVALID_ARGUMENT);                                                                \
        cr_assert_str_eq((c)->error.reason, EZ_CTL_USAGE);                                                             \
        cr_assert(strstr((c)->error.message, text), "no \"%s\" in: %s", text, (c)->error.message);                     \
    } while (0)

static inline void end_command(command *c) {
    ez_arena_fini(&c->arena);
}
