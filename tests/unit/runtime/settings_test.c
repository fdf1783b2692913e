// SPDX-License-Identifier: Apache-2.0
//
// Settings: which source wins, what each type takes, and that no error or help tells a secret.
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/settings.h"

static const ez_setting table[] = {
    {.env = "EZ_HTTP_ADDR",
     .type = EZ_SETTING_TEXT,
     .default_text = "127.0.0.1:7380",
     .doc = "Where HTTP is served.",
     .placeholder = "ADDR"},
    {.env = "EZ_WORKERS", .type = EZ_SETTING_INT, .default_text = "4", .min = 1, .max = 64, .doc = "Threads."},
    {.env = "EZ_INSECURE_LISTEN", .type = EZ_SETTING_BOOL, .doc = "Serve | off loopback without TLS."},
    {.env = "EZ_TOKEN", .type = EZ_SETTING_SECRET, .doc = "The token."},
};
#define COUNT (sizeof table / sizeof table[0])

static ez_settings *settings;
static int rest;
static bool done;
static ez_error error;

static ez_status open_with(const char *a, const char *b, const char *c) {
    char *argv[] = {(char *)"ezplaned", (char *)a, (char *)b, (char *)c, NULL};
    int argc = 1;
    while (argc < 4 && argv[argc])
        argc++;
    ez_error_clear(&error);
    settings = NULL;
    return ez_settings_open("ezplaned", "[flags]", table, COUNT, argc, argv, &settings, &rest, &done, &error);
}

static void clear(void) {
    for (size_t i = 0; i < COUNT; i++)
        unsetenv(table[i].env);
}

TestSuite(settings, .init = clear);

Test(settings, the_flag_wins_over_the_environment_over_the_default) {
    cr_assert_eq(open_with(NULL, NULL, NULL), EZ_OK);
    cr_assert_str_eq(ez_settings_text(settings, "EZ_HTTP_ADDR"), "127.0.0.1:7380");
    cr_assert_eq(ez_settings_int(settings, "EZ_WORKERS"), 4);
    cr_assert_not(ez_settings_bool(settings, "EZ_INSECURE_LISTEN"));
    cr_assert_null(ez_settings_text(settings, "EZ_TOKEN"));
    ez_settings_close(settings);
    setenv("EZ_HTTP_ADDR", "env", 1);
    setenv("EZ_WORKERS", "", 1);
    setenv("EZ_TOKEN", "eza_secret", 1);
    setenv("EZ_INSECURE_LISTEN", "true", 1);
    cr_assert_eq(open_with(NULL, NULL, NULL), EZ_OK);
    cr_assert_str_eq(ez_settings_text(settings, "EZ_HTTP_ADDR"), "env");
    cr_assert_eq(ez_settings_int(settings, "EZ_WORKERS"), 4);
    cr_assert_str_eq(ez_settings_text(settings, "EZ_TOKEN"), "eza_secret");
    cr_assert(ez_settings_bool(settings, "EZ_INSECURE_LISTEN"));
    ez_settings_close(settings);
    cr_assert_eq(open_with("--http-addr", "flag", "--insecure-listen=false"), EZ_OK);
    cr_assert_str_eq(ez_settings_text(settings, "EZ_HTTP_ADDR"), "flag");
    cr_assert_not(ez_settings_bool(settings, "EZ_INSECURE_LISTEN"));
    ez_settings_close(settings);
    cr_assert_eq(open_with("--http-addr=a=b", "--insecure-listen", NULL), EZ_OK);
    cr_assert_str_eq(ez_settings_text(settings, "EZ_HTTP_ADDR"), "a=b");
    cr_assert(ez_settings_bool(settings, "EZ_INSECURE_LISTEN"));
    ez_settings_close(settings);
}

Test(settings, operands_stay) {
    cr_assert_eq(open_with("--workers", "2", "import"), EZ_OK);
    cr_assert_eq(rest, 3);
    ez_settings_close(settings);
    cr_assert_eq(open_with("--insecure-listen", "import", "--whatever"), EZ_OK);
    cr_assert_eq(rest, 2);
    ez_settings_close(settings);
    cr_assert_eq(open_with("--", "--workers", NULL), EZ_OK);
    cr_assert_eq(rest, 2);
    ez_settings_close(settings);
}

Test(settings, bad_values_are_refused_by_name) {
    static const char *const bad[] = {"0", "65", "-1", "x", "4x", "", "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(open_with("--workers", bad[i], NULL), EZ_INVALID_ARGUMENT, "%s", bad[i]);
        cr_assert_str_eq(error.message, "--workers must be a whole number of 1 to 64");
    }
    cr_assert_eq(open_with("--workers", "64", NULL), EZ_OK);
    ez_settings_close(settings);
    cr_assert_eq(open_with("--workers", NULL, NULL), EZ_INVALID_ARGUMENT);
    cr_assert_eq(open_with("--insecure-listen=maybe", NULL, NULL), EZ_INVALID_ARGUMENT);
    setenv("EZ_WORKERS", "many", 1);
    cr_assert_eq(open_with(NULL, NULL, NULL), EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(error.message, "EZ_WORKERS must be a whole number of 1 to 64");
}

Test(settings, an_unknown_flag_names_the_nearest) {
    cr_assert_eq(open_with("--htp-addr", "x", NULL), EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(error.reason, "SETTING_UNKNOWN");
    cr_assert_not_null(strstr(error.message, "--http-addr"));
    char longest[5000];
    memset(longest, '-', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    cr_assert_eq(open_with(longest, NULL, NULL), EZ_INVALID_ARGUMENT);
}

Test(settings, a_secret_can_not_be_a_flag) {
    cr_assert_eq(open_with("--token", "eza_secret", NULL), EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(error.reason, "SETTING_SECRET");
    cr_assert_null(strstr(error.message, "eza_secret"));
    cr_assert_eq(open_with("--http-addr=postgres://me:"
                           "eza_secret@host/db",
                           NULL, NULL),
                 EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(error.reason, "SETTING_SECRET", "nor a part of one");
    cr_assert_null(strstr(error.message, "eza_secret"));
    cr_assert_eq(open_with("--http-addr", "postgres://me@host:5432/db?a=b:c@d", NULL), EZ_OK);
    ez_settings_close(settings);
}

static void grab(void) {
    clear();
    cr_redirect_stdout();
}

Test(settings, help_and_version_are_seen_before_faults, .init = grab) {
    cr_assert_eq(open_with("--nonsense", "--help", NULL), EZ_OK);
    cr_assert(done);
    cr_assert_null(settings);
    cr_assert_eq(open_with("--version", NULL, NULL), EZ_OK);
    cr_assert(done);
    cr_assert_eq(open_with("-v", NULL, NULL), EZ_OK);
    cr_assert(done);
    cr_assert_eq(open_with("--http-addr", "--help", NULL), EZ_OK, "a value is no flag");
    cr_assert_not(done);
    ez_settings_close(settings);
    fflush(stdout);
    char text[4096] = "";
    FILE *out = cr_get_redirected_stdout();
    size_t len = fread(text, 1, sizeof text - 1, out);
    text[len] = 0;
    cr_assert_not_null(
        strstr(text, "--http-addr ADDR, EZ_HTTP_ADDR\n      Where HTTP is served. Default: 127.0.0.1:7380."));
    cr_assert_not_null(strstr(text, "EZ_TOKEN (environment only)"));
    cr_assert_null(strstr(text, "--token"));
}

Test(settings, markdown_escapes_what_would_end_a_cell) {
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    ez_settings_markdown(out, "ezplaned", table, COUNT);
    fclose(out);
    cr_assert_not_null(strstr(text, "| `--workers` | `EZ_WORKERS` | `4` | Threads. |\n"));
    cr_assert_not_null(strstr(text, "Serve \\| off"));
    cr_assert_not_null(strstr(text, "| – | `EZ_TOKEN` |  | The token. |\n"));
    free(text);
}
