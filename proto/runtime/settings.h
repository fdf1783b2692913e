// SPDX-License-Identifier: Apache-2.0
//
// Settings: a const table per program. A value comes from the flag (--http-addr X or --http-addr=X), else the
// environment (EZ_HTTP_ADDR), else the default. --help and docs/configuration.md are printed from the table.
#pragma once

#include <stdio.h>

#include "proto/runtime/error.h"

typedef enum ez_setting_type { EZ_SETTING_TEXT, EZ_SETTING_INT, EZ_SETTING_BOOL, EZ_SETTING_SECRET } ez_setting_type;

typedef struct ez_setting {
    const char *env; // "EZ_HTTP_ADDR"; the flag follows: --http-addr
    ez_setting_type type;
    const char *default_text; // NULL: none
    long long min, max;       // EZ_SETTING_INT
    const char *doc;          // one sentence
    const char *placeholder;  // "ADDR"
} ez_setting;

typedef struct ez_settings ez_settings;

// Reads flags and environment. argv past the flags stays in *rest (operands). --help and --version are seen first:
// *done is set, the text is on stdout, the program should exit 0. INVALID_ARGUMENT names the flag or variable and what
// it may be. Secrets can't be given by flag (they would show in the process list).
ez_status ez_settings_open(const char *program, const char *usage, const ez_setting *table, size_t count, int argc,
                           char **argv, ez_settings **out, int *rest, bool *done, ez_error *error) EZ_MUST_CHECK;
void ez_settings_close(ez_settings *settings);

// By environment name; the table must have it (asserted). Texts live as long as settings; NULL where there is no value.
const char *ez_settings_text(const ez_settings *settings, const char *env);
long long ez_settings_int(const ez_settings *settings, const char *env);
bool ez_settings_bool(const ez_settings *settings, const char *env);

// The table as --help shows it, and as a Markdown table.
void ez_settings_help(FILE *out, const char *program, const char *usage, const ez_setting *table, size_t count);
void ez_settings_markdown(FILE *out, const char *program, const ez_setting *table, size_t count);
