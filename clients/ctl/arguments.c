// SPDX-License-Identifier: Apache-2.0
//
// One pass over argv. Flags may stand anywhere, those of a method behind its verb. All arrays are in the caller's
// arena. The awkward case is a flag's value that looks like a flag ("--quota-limit -1"): a flag that wants a value
// takes whatever follows.
#include "clients/ctl/arguments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/ctl/settings.h"
#include "clients/ctl/word.h"

typedef struct parser {
    int argc;
    char **argv;
    int at;
    bool only_operands; // past "--"
    ez_ctl_arguments *out;
    ez_error *error;
} parser;

#define FAIL(p, ...) ez_error_set((p)->error, EZ_INVALID_ARGUMENT, EZ_CTL_USAGE, __VA_ARGS__)

bool ez_ctl_duration(const char *text, uint32_t *out) {
    static const struct {
        const char *unit;
        uint32_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"", 1000}, {"m", 60000}};
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 9)
        return false;
    uint64_t count = strtoull(text, NULL, 10);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(text + digits, units[i].unit) != 0)
            continue;
        uint64_t ms = count * units[i].ms;
        if (ms == 0 || ms > EZ_CTL_TIMEOUT_MAX_MS)
            return false;
        *out = (uint32_t)ms;
        return true;
    }
    return false;
}

static ez_status take_option(parser *p, ez_ctl_option option, const char *value) {
    ez_ctl_arguments *out = p->out;
    char *end;
    out->has[option] = true;
    switch (option) {
    case EZ_CTL_OUTPUT:
        out->format = strcmp(value, "table") == 0  ? EZ_CTL_FORMAT_TABLE
                      : strcmp(value, "json") == 0 ? EZ_CTL_FORMAT_JSON
                                                   : EZ_CTL_FORMAT_AUTO;
        return out->format ? EZ_OK : FAIL(p, "--output must be table or json, not \"%.32s\"", value);
    case EZ_CTL_JSON:
        out->json = value;
        return EZ_OK;
    case EZ_CTL_IF_MATCH:
        out->if_match = strtoull(value, &end, 10);
        if (value[0] < '0' || value[0] > '9' || *end || out->if_match == 0)
            return FAIL(p, "--if-match must be a resource's revision, a number from 1");
        return EZ_OK;
    case EZ_CTL_GROUP:
        out->group = value;
        return EZ_OK;
    case EZ_CTL_TIMEOUT:
        return ez_ctl_duration(value, &out->timeout_ms)
                   ? EZ_OK
                   : FAIL(p, "--timeout must be a time up to an hour such as 500ms, 5s or 2m, not \"%.32s\"", value);
    default:
        return EZ_OK;
    }
}

// The value behind "=", or the next argument.
static ez_status value_of(parser *p, const char *flag, const char *equals, const char **out) {
    if (equals) {
        *out = equals + 1;
        return EZ_OK;
    }
    if (p->at >= p->argc)
        return FAIL(p, "%.64s wants a value", flag);
    *out = p->argv[p->at++];
    return EZ_OK;
}

// Adds ", --name", or once ", …" where the list is full.
static void list_flag(char *list, size_t size, const char *name) {
    size_t used = strlen(list), tail = strlen(", …");
    if (used >= tail && strcmp(list + used - tail, ", …") == 0)
        return;
    if (used + strlen(", --") + strlen(name) + tail < size)
        snprintf(list + used, size - used, ", --%s", name);
    else
        snprintf(list + used, size - used, ", …");
}

static ez_status unknown(parser *p, const char *name, size_t len) {
    const ez_ctl_flags *flags = &p->out->flags;
    ez_ctl_nearest nearest = {.wanted = name, .wanted_len = len};
    char list[320] = "", word[EZ_CTL_WORD_MAX];
    for (unsigned i = 0; p->out->method && i < flags->count; i++) {
        ez_ctl_kebab(flags->list[i].field->name, word);
        ez_ctl_nearest_offer(&nearest, word);
        list_flag(list, sizeof list, word);
    }
    for (unsigned i = 0; i < EZ_CTL_OPTION_COUNT; i++) {
        if (!ez_ctl_option_fits(i, p->out->method))
            continue;
        ez_ctl_nearest_offer(&nearest, ez_ctl_options[i].name);
        list_flag(list, sizeof list, ez_ctl_options[i].name);
    }
    for (size_t i = 0; i < ez_ctl_setting_count; i++) {
        ez_ctl_setting_flag(&ez_ctl_settings[i], word);
        ez_ctl_nearest_offer(&nearest, word);
    }
    return FAIL(p, "there is no flag --%.*s here%s (there are %s)", (int)(len < 48 ? len : 48), name,
                ez_ctl_nearest_note(&nearest, "--"), list + 2);
}

// A field that exists and can't be given: says why instead of guessing what was meant.
static const char *why_not(const ez_ctl_flags *flags, const char *name, size_t len) {
    const ez_message_rule *body = flags->body ? flags->body->message : NULL;
    for (unsigned i = 0; body && i < body->field_count; i++) {
        if (ez_ctl_word_is(name, len, body->fields[i].name))
            return body->fields[i].flags & EZ_FIELD_OUTPUT_ONLY ? "is set by the server"
                                                                : "can be set at creation only";
    }
    return NULL;
}

static ez_status take_setting(parser *p, const ez_setting *setting, const char *arg, const char *equals) {
    ez_ctl_arguments *out = p->out;
    // At once: what follows must not be taken for a noun and quoted.
    if (setting->type == EZ_SETTING_SECRET)
        return FAIL(p, "a secret on the command line would show in the process list: set %s in the environment",
                    setting->env);
    out->settings[out->setting_count++] = p->argv[p->at - 1];
    if (equals || setting->type == EZ_SETTING_BOOL)
        return EZ_OK;
    const char *value;
    ez_status status = value_of(p, arg, equals, &value);
    if (status == EZ_OK)
        out->settings[out->setting_count++] = p->argv[p->at - 1];
    return status;
}

static ez_status take_field(parser *p, const ez_ctl_flag *flag, const char *arg, const char *equals) {
    const char *value = "true";
    if (equals || !ez_ctl_flag_is_switch(flag)) {
        ez_status status = value_of(p, arg, equals, &value);
        if (status != EZ_OK)
            return status;
    }
    p->out->given[p->out->given_count++] = (ez_ctl_given){.flag = flag, .value = value};
    return EZ_OK;
}

static ez_status take_known_option(parser *p, ez_ctl_option option, const char *arg, const char *equals) {
    const char *value = NULL;
    if (!ez_ctl_options[option].placeholder && equals)
        return FAIL(p, "--%s takes no value", ez_ctl_options[option].name);
    if (ez_ctl_options[option].placeholder) {
        ez_status status = value_of(p, arg, equals, &value);
        if (status != EZ_OK)
            return status;
    }
    return take_option(p, option, value);
}

static ez_status take_long(parser *p, const char *arg) {
    const char *name = arg + 2, *equals = strchr(name, '=');
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    const ez_ctl_flag *flag = p->out->method ? ez_ctl_flag_find(&p->out->flags, name, len) : NULL;
    if (flag)
        return take_field(p, flag, arg, equals);
    for (unsigned i = 0; i < EZ_CTL_OPTION_COUNT; i++) {
        if (strlen(ez_ctl_options[i].name) == len && memcmp(ez_ctl_options[i].name, name, len) == 0)
            return take_known_option(p, i, arg, equals);
    }
    const ez_setting *setting = ez_ctl_setting_find(name, len);
    if (setting)
        return take_setting(p, setting, arg, equals);
    const char *why = p->out->method ? why_not(&p->out->flags, name, len) : NULL;
    if (why)
        return FAIL(p, "--%.*s can't be given here: it %s", (int)(len < 48 ? len : 48), name, why);
    return unknown(p, name, len);
}

// "-o json", "-ojson", "-q", "-qo json".
static ez_status take_short(parser *p, const char *arg) {
    for (const char *c = arg + 1; *c; c++) {
        unsigned i = 0;
        while (i < EZ_CTL_OPTION_COUNT && ez_ctl_options[i].letter != *c)
            i++;
        if (i == EZ_CTL_OPTION_COUNT)
            return FAIL(p, "there is no flag -%c; there are -o FORMAT, -q and -h (and long ones: --help)", *c);
        if (!ez_ctl_options[i].placeholder) {
            p->out->has[i] = true;
            continue;
        }
        const char *value = c + 1;
        ez_status status = *value ? EZ_OK : value_of(p, arg, NULL, &value);
        return status == EZ_OK ? take_option(p, i, value) : status;
    }
    return EZ_OK;
}

static ez_status take_word(parser *p, const char *word) {
    ez_ctl_arguments *out = p->out;
    if (!out->builtin && !out->noun) {
        out->builtin = ez_ctl_builtin_find(word);
        return out->builtin ? EZ_OK : ez_ctl_noun_find(word, &out->noun, p->error);
    }
    if (out->noun && !out->method && !out->builtin)
        out->builtin = ez_ctl_builtin_verb(out->noun, word);
    else if (out->noun && !out->method && out->builtin)
        out->operands[out->operand_count++] = word;
    if (out->builtin && out->noun)
        return EZ_OK;
    if (out->noun && !out->method) {
        ez_status status = ez_ctl_verb_find(out->noun, word, &out->method, p->error);
        if (status == EZ_OK)
            ez_ctl_flags_of(out->method, &out->flags);
        return status;
    }
    out->operands[out->operand_count++] = word;
    return EZ_OK;
}

static ez_status check_options(parser *p) {
    const ez_ctl_arguments *out = p->out;
    for (unsigned i = 0; i < EZ_CTL_OPTION_COUNT; i++) {
        bool fits = out->builtin ? (out->builtin->options >> i & 1) != 0 : ez_ctl_option_fits(i, out->method);
        if (out->has[i] && !fits) {
            char noun[EZ_CTL_WORD_MAX] = "", verb[EZ_CTL_WORD_MAX] = "";
            if (out->method) {
                ez_ctl_kebab(out->method->service, noun);
                ez_ctl_kebab(out->method->rpc, verb);
            }
            return FAIL(p, "--%s means nothing for %s%s%s", ez_ctl_options[i].name,
                        out->builtin ? out->builtin->name : noun, verb[0] ? " " : "", verb);
        }
    }
    return EZ_OK;
}

static ez_status check_operands(parser *p) {
    const ez_ctl_arguments *out = p->out;
    if (out->builtin) {
        if (out->operand_count >= out->builtin->operands_min && out->operand_count <= out->builtin->operands_max)
            return EZ_OK;
        return FAIL(p, "usage: ezctl %s%s%s", out->builtin->name, *out->builtin->operands ? " " : "",
                    out->builtin->operands);
    }
    if (!out->noun)
        return FAIL(p, "what to do? ezctl help lists all there is");
    if (!out->method) {
        const ez_method *none;
        return ez_ctl_verb_find(out->noun, NULL, &none, p->error);
    }
    return EZ_OK;
}

static ez_status parse(parser *p) {
    while (p->at < p->argc) {
        const char *arg = p->argv[p->at++];
        bool is_flag = !p->only_operands && arg[0] == '-' && arg[1] != '\0';
        ez_status status = EZ_OK;
        if (is_flag && strcmp(arg, "--") == 0)
            p->only_operands = true;
        else if (is_flag)
            status = arg[1] == '-' ? take_long(p, arg) : take_short(p, arg);
        else
            status = take_word(p, arg);
        if (status != EZ_OK)
            return status;
    }
    if (p->out->has[EZ_CTL_HELP] || p->out->has[EZ_CTL_VERSION])
        return EZ_OK;
    ez_status status = check_operands(p);
    return status == EZ_OK ? check_options(p) : status;
}

ez_status ez_ctl_arguments_parse(int argc, char **argv, ez_arena *arena, ez_ctl_arguments *out, ez_error *error) {
    *out = (ez_ctl_arguments){0};
    size_t room = (size_t)argc + 1;
    out->given = ez_arena_zalloc(arena, room * sizeof out->given[0]);
    out->operands = ez_arena_zalloc(arena, room * sizeof out->operands[0]);
    out->settings = ez_arena_zalloc(arena, room * sizeof out->settings[0]);
    if (!out->given || !out->operands || !out->settings)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, EZ_CTL_USAGE, "there are too many arguments");
    out->settings[out->setting_count++] = argv[0];
    parser p = {.argc = argc, .argv = argv, .at = 1, .out = out, .error = error};
    return parse(&p);
}
