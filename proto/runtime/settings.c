// SPDX-License-Identifier: Apache-2.0
//
// Reading settings: the flag wins over the environment, that over the default. The object owns a copy of every text, so
// neither argv nor the environment is looked at again. The awkward case is a flag that is not known: the error names
// the nearest one. Texts of secrets are never printed.
#include "proto/runtime/settings.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/distance.h"
#include "proto/runtime/version.h"

#define FLAG_MAX 64

struct ez_settings {
    const ez_setting *table;
    size_t count;
    char *values[]; // NULL: none
};

// "EZ_HTTP_ADDR" → "--http-addr".
static void flag_of(const ez_setting *setting, char out[FLAG_MAX]) {
    const char *name = strncmp(setting->env, "EZ_", 3) == 0 ? setting->env + 3 : setting->env;
    size_t at = 2;
    out[0] = out[1] = '-';
    for (; *name && at < FLAG_MAX - 1; name++)
        out[at++] = *name == '_' ? '-' : *name >= 'A' && *name <= 'Z' ? (char)(*name - 'A' + 'a') : *name;
    out[at] = 0;
}

static const ez_setting *find_flag(const ez_setting *table, size_t count, const char *arg, size_t len) {
    char flag[FLAG_MAX];
    for (size_t i = 0; i < count; i++) {
        flag_of(&table[i], flag);
        if (strlen(flag) == len && memcmp(flag, arg, len) == 0)
            return &table[i];
    }
    return NULL;
}

static ez_status unknown_flag(const ez_setting *table, size_t count, const char *arg, size_t len, ez_error *error) {
    char nearest[FLAG_MAX] = "--help", flag[FLAG_MAX];
    size_t shown = len < FLAG_MAX ? len : FLAG_MAX;
    unsigned best = ez_distance(arg, shown, nearest, strlen(nearest));
    for (size_t i = 0; i < count; i++) {
        flag_of(&table[i], flag);
        unsigned far = ez_distance(arg, shown, flag, strlen(flag));
        if (far < best) {
            best = far;
            memcpy(nearest, flag, sizeof nearest);
        }
    }
    return ez_error_set(error, EZ_INVALID_ARGUMENT, "SETTING_UNKNOWN",
                        "there is no flag %.*s; the nearest is %s (--help lists all)", (int)shown, arg, nearest);
}

static bool read_bool(const char *text, bool *out) {
    *out = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
    return *out || strcmp(text, "false") == 0 || strcmp(text, "0") == 0;
}

// from: the flag or variable that gave text.
static ez_status check(const ez_setting *setting, const char *from, const char *text, ez_error *error) {
    bool value;
    if (setting->type == EZ_SETTING_BOOL && !read_bool(text, &value))
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "SETTING_INVALID", "%s must be true or false", from);
    if (setting->type != EZ_SETTING_INT)
        return EZ_OK;
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (*text == 0 || *end != 0 || errno || number < setting->min || number > setting->max)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "SETTING_INVALID", "%s must be a whole number of %lld to %lld",
                            from, setting->min, setting->max);
    return EZ_OK;
}

static ez_status take(ez_settings *settings, const ez_setting *setting, const char *from, const char *text,
                      ez_error *error) {
    ez_status status = check(setting, from, text, error);
    if (status != EZ_OK)
        return status;
    char *copy = strdup(text);
    if (!copy)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory for the settings");
    char **place = &settings->values[setting - settings->table];
    free(*place);
    *place = copy;
    return EZ_OK;
}

// How many arguments a flag takes, itself included: 0: arg is no flag.
static int width(const ez_setting *table, size_t count, const char *arg) {
    if (strncmp(arg, "--", 2) != 0 || arg[2] == 0)
        return strcmp(arg, "-h") == 0 || strcmp(arg, "-v") == 0;
    if (strchr(arg, '='))
        return 1;
    const ez_setting *setting = find_flag(table, count, arg, strlen(arg));
    return setting && setting->type != EZ_SETTING_BOOL ? 2 : 1;
}

static bool answer(const char *program, const char *usage, const ez_setting *table, size_t count, int argc,
                   char **argv) {
    for (int i = 1, step; i < argc && (step = width(table, count, argv[i])) > 0; i += step) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            ez_settings_help(stdout, program, usage, table, count);
            return true;
        }
        if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-v") == 0) {
            printf("%s %s\n", program, ez_version);
            return true;
        }
    }
    return false;
}

// "scheme://user:password@…".
static bool has_password(const char *value) {
    const char *begin = strstr(value, "://");
    size_t len = begin ? strcspn(begin + 3, "/?#") : 0;
    const char *at = len ? memrchr(begin + 3, '@', len) : NULL;
    return at && memchr(begin + 3, ':', (size_t)(at - begin - 3));
}

static ez_status read_flags(ez_settings *settings, int argc, char **argv, int *rest, ez_error *error) {
    int i = 1;
    while (i < argc) {
        const char *arg = argv[i];
        int step = width(settings->table, settings->count, arg);
        if (step == 0) {
            i += strcmp(arg, "--") == 0;
            break;
        }
        const char *equals = strchr(arg, '=');
        size_t len = equals ? (size_t)(equals - arg) : strlen(arg);
        const ez_setting *setting = find_flag(settings->table, settings->count, arg, len);
        if (!setting)
            return unknown_flag(settings->table, settings->count, arg, len, error);
        char flag[FLAG_MAX];
        flag_of(setting, flag);
        if (setting->type == EZ_SETTING_SECRET)
            return ez_error_set(error, EZ_INVALID_ARGUMENT, "SETTING_SECRET",
                                "%s would show in the process list: set %s in the environment", flag, setting->env);
        if (step == 2 && i + 1 >= argc)
            return ez_error_set(error, EZ_INVALID_ARGUMENT, "SETTING_INVALID", "%s wants a value", flag);
        const char *value = equals ? equals + 1 : step == 2 ? argv[i + 1] : "true";
        if (has_password(value))
            return ez_error_set(error, EZ_INVALID_ARGUMENT, "SETTING_SECRET",
                                "the password in %s would show in the process list: set %s in the environment", flag,
                                setting->env);
        ez_status status = take(settings, setting, flag, value, error);
        if (status != EZ_OK)
            return status;
        i += step;
    }
    *rest = i;
    return EZ_OK;
}

// The environment, and the defaults behind it, for what no flag gave.
static ez_status read_rest(ez_settings *settings, ez_error *error) {
    for (size_t i = 0; i < settings->count; i++) {
        const ez_setting *setting = &settings->table[i];
        if (settings->values[i])
            continue;
        const char *text = getenv(setting->env);
        if (!text || !*text)
            text = setting->default_text;
        ez_status status = text ? take(settings, setting, setting->env, text, error) : EZ_OK;
        if (status != EZ_OK)
            return status;
    }
    return EZ_OK;
}

ez_status ez_settings_open(const char *program, const char *usage, const ez_setting *table, size_t count, int argc,
                           char **argv, ez_settings **out, int *rest, bool *done, ez_error *error) {
    *done = answer(program, usage, table, count, argc, argv);
    if (*done)
        return EZ_OK;
    ez_settings *settings = calloc(1, sizeof *settings + count * sizeof settings->values[0]);
    if (!settings)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory for the settings");
    settings->table = table;
    settings->count = count;
    ez_status status = read_flags(settings, argc, argv, rest, error);
    if (status == EZ_OK)
        status = read_rest(settings, error);
    if (status != EZ_OK) {
        ez_settings_close(settings);
        return status;
    }
    *out = settings;
    return EZ_OK;
}

void ez_settings_close(ez_settings *settings) {
    if (!settings)
        return;
    for (size_t i = 0; i < settings->count; i++) {
        if (settings->values[i] && settings->table[i].type == EZ_SETTING_SECRET)
            explicit_bzero(settings->values[i], strlen(settings->values[i]));
        free(settings->values[i]);
    }
    free(settings);
}

const char *ez_settings_text(const ez_settings *settings, const char *env) {
    for (size_t i = 0; i < settings->count; i++) {
        if (strcmp(settings->table[i].env, env) == 0)
            return settings->values[i];
    }
    assert(!"a setting that is in the table");
    return NULL;
}

long long ez_settings_int(const ez_settings *settings, const char *env) {
    const char *text = ez_settings_text(settings, env);
    return text ? strtoll(text, NULL, 10) : 0;
}

bool ez_settings_bool(const ez_settings *settings, const char *env) {
    const char *text = ez_settings_text(settings, env);
    bool value = false;
    return text && read_bool(text, &value) && value;
}

void ez_settings_help(FILE *out, const char *program, const char *usage, const ez_setting *table, size_t count) {
    fprintf(out, "usage: %s %s\n\nSettings, as a flag or in the environment:\n", program, usage);
    for (size_t i = 0; i < count; i++) {
        const ez_setting *setting = &table[i];
        char flag[FLAG_MAX];
        flag_of(setting, flag);
        if (setting->type == EZ_SETTING_SECRET)
            fprintf(out, "\n  %s (environment only)\n", setting->env);
        else if (setting->type == EZ_SETTING_BOOL)
            fprintf(out, "\n  %s, %s=true\n", flag, setting->env);
        else
            fprintf(out, "\n  %s %s, %s\n", flag, setting->placeholder ? setting->placeholder : "VALUE", setting->env);
        fprintf(out, "      %s", setting->doc);
        if (setting->default_text && *setting->default_text && setting->type != EZ_SETTING_SECRET)
            fprintf(out, " Default: %s.", setting->default_text);
        fputc('\n', out);
    }
    fputs("\n  -h, --help, -v, --version\n      Print this, or the version, and exit.\n", out);
}

// A table's cell: "|" would end it.
static void put_cell(FILE *out, const char *text) {
    for (; *text; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text, out);
    }
}

void ez_settings_markdown(FILE *out, const char *program, const ez_setting *table, size_t count) {
    fprintf(out, "## %s\n\n| flag | environment | default | what it is |\n|---|---|---|---|\n", program);
    for (size_t i = 0; i < count; i++) {
        const ez_setting *setting = &table[i];
        char flag[FLAG_MAX];
        flag_of(setting, flag);
        bool is_secret = setting->type == EZ_SETTING_SECRET;
        bool has_default = !is_secret && setting->default_text && *setting->default_text;
        fprintf(out, is_secret ? "| – | `%s` | " : "| `%s` | ", is_secret ? setting->env : flag);
        if (!is_secret)
            fprintf(out, "`%s` | ", setting->env);
        if (has_default) {
            fputc('`', out);
            put_cell(out, setting->default_text);
            fputc('`', out);
        }
        fputs(" | ", out);
        put_cell(out, setting->doc);
        fputs(" |\n", out);
    }
}
