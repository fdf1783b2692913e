// SPDX-License-Identifier: Apache-2.0
//
// The table of the program's own commands, and those that are a few lines. What they need beyond that is in files of
// their own (help, completion, watch). The awkward case is "call", whose method is an operand: which of the program's
// flags fit is known only here.
#include "clients/ctl/builtin.h"

#include <stdio.h>
#include <string.h>

#include "clients/ctl/call.h"
#include "clients/ctl/completion.h"
#include "clients/ctl/help.h"
#include "clients/ctl/import_tokens.h"
#include "clients/ctl/source.h"
#include "clients/ctl/watch.h"
#include "proto/runtime/json.h"
#include "proto/runtime/version.h"

static ez_status check_options(const ez_ctl_arguments *in, const ez_method *method, ez_error *error) {
    for (unsigned i = 0; i < EZ_CTL_OPTION_COUNT; i++) {
        if (in->has[i] && !ez_ctl_option_fits(i, method))
            return ez_error_set(error, EZ_INVALID_ARGUMENT, EZ_CTL_USAGE, "--%s means nothing for %s %s",
                                ez_ctl_options[i].name, in->builtin->name, method->name);
    }
    return EZ_OK;
}

static int call_method(const ez_ctl_arguments *in, const ez_settings *settings, const char *name, const char *json) {
    ez_error error = EZ_ERROR_INIT;
    ez_arena arena;
    ez_arena_init(&arena, EZ_CTL_MEMORY_MAX);
    ez_ctl_sources sources = {0};
    const ez_method *method;
    ProtobufCMessage *request;
    ez_status status = ez_ctl_method_find(name, &method, &error);
    if (status == EZ_OK)
        status = check_options(in, method, &error);
    if (status == EZ_OK)
        status = ez_ctl_source_read(&sources, "the request", json, &arena, &json, &error);
    if (status == EZ_OK)
        status = ez_json_parse(method->request, json, strlen(json), &arena, &request, NULL, &error);
    int result = status == EZ_OK ? ez_ctl_call(in, settings, method, request, &arena) : ez_ctl_report_usage(&error);
    ez_arena_fini(&arena);
    return result;
}

static int run_call(const ez_ctl_arguments *in, const ez_settings *settings) {
    return call_method(in, settings, in->operands[0], in->operand_count > 1 ? in->operands[1] : "{}");
}

static int run_status(const ez_ctl_arguments *in, const ez_settings *settings) {
    return call_method(in, settings, "ez.v1.System/GetStatus", "{}");
}

static int run_version(const ez_ctl_arguments *in, const ez_settings *settings) {
    (void)in;
    (void)settings;
    printf("ezctl %s\n", ez_version);
    return fflush(stdout) == 0 ? EZ_CTL_EXIT_OK : EZ_CTL_EXIT_REFUSED;
}

static const char *const watch_words[] = {"config", "stats", "logs", "alerts", "data-planes", NULL};
static const char *const shell_words[] = {"bash", "zsh", "fish", NULL};

#define BIT(option) (1u << (option))
#define OUTPUT      BIT(EZ_CTL_OUTPUT)
#define READS       (OUTPUT | BIT(EZ_CTL_QUIET) | BIT(EZ_CTL_TIMEOUT))
#define CHANGES     (BIT(EZ_CTL_WAIT) | BIT(EZ_CTL_VALIDATE_ONLY) | BIT(EZ_CTL_IF_MATCH))

const ez_ctl_builtin ez_ctl_builtins[] = {
    {"status", "", 0, 0, "How the server is; in detail with an admin token.", run_status, READS, NULL, NULL},
    {"watch", "config|stats|logs|alerts|data-planes", 1, 1,
     "Follow changes, live numbers, request logs, alerts or data planes as they are pushed. Needs no token. Goes on "
     "until Ctrl-C, SIGTERM or the end of its reader; for 10 seconds: timeout 10 ezctl watch stats.",
     ez_ctl_watch, READS, watch_words, "Give up connecting after this long, such as 500ms, 5s or 2m. Default: 5s."},
    {"call", "METHOD [JSON]", 1, 2, "Call any method by its name in the schema; JSON, @FILE or - is the whole request.",
     run_call, READS | CHANGES | BIT(EZ_CTL_ALL), NULL, NULL},
    {"methods", "", 0, 0, "List the methods: who may call them, their command, their route.", ez_ctl_methods, OUTPUT,
     NULL, NULL},
    {"help", "[NOUN [VERB]]", 0, 2, "Say what there is, what a noun can do, what a verb takes.", ez_ctl_help_command, 0,
     NULL, NULL},
    {"completion", "bash|zsh|fish", 1, 1, "Print a completion script for a shell.", ez_ctl_completion, 0, shell_words,
     NULL},
    {"version", "", 0, 0, "Print the program's version.", run_version, 0, NULL, NULL},
};
const unsigned ez_ctl_builtin_count = sizeof ez_ctl_builtins / sizeof ez_ctl_builtins[0];

// Verbs of nouns that are more than one call.
static const struct {
    const char *service, *verb;
    ez_ctl_builtin builtin;
} verbs[] = {
    {"ApiKeys",
     "import-tokens",
     {"api-keys import-tokens", "DIR --group ID", 1, 1,
      "Make an API key of each token file in a folder (JSON: type, access_token, refresh_token, account_id, email, "
      "expired). One that is there already is left alone unless its login has ended.",
      ez_ctl_import_tokens, BIT(EZ_CTL_GROUP), NULL, NULL}},
};

const ez_ctl_builtin *ez_ctl_builtin_verb(const ez_method *noun, const char *verb) {
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(verbs[i].service, noun->service) == 0 && strcmp(verbs[i].verb, verb) == 0)
            return &verbs[i].builtin;
    return NULL;
}

const ez_ctl_builtin *ez_ctl_builtin_verb_next(const ez_method *noun, const ez_ctl_builtin *before) {
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (before == &verbs[i].builtin)
            before = NULL;
        else if (!before && strcmp(verbs[i].service, noun->service) == 0)
            return &verbs[i].builtin;
    }
    return NULL;
}

const ez_ctl_builtin *ez_ctl_builtin_find(const char *name) {
    for (unsigned i = 0; i < ez_ctl_builtin_count; i++) {
        if (strcmp(ez_ctl_builtins[i].name, name) == 0)
            return &ez_ctl_builtins[i];
    }
    return NULL;
}
