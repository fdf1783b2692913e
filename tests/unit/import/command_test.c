// SPDX-License-Identifier: Apache-2.0
//
// "ezplaned import" as a program: exit statuses 0, 1 and 2 and what each promises, standard output that holds the
// summary and nothing else, credentials, and what it says beside a server that refuses its token.
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/runtime/cleanup.h"
#include "tests/support/server.h"

#define DEMO EZ_TEST_DATA "/demo-export.json"

static ez_test_server server;
static char folder[EZ_TEST_PATH_MAX], log_file[EZ_TEST_PATH_MAX + 16], file[EZ_TEST_PATH_MAX + 16],
    keys_file[EZ_TEST_PATH_MAX + 16];
static char *out, *words; // of the last run

static void begin(void) {
    given_server(&server, NULL);
    stop_server(&server);
    given_folder(folder);
    snprintf(log_file, sizeof log_file, "%s/words", folder);
    snprintf(file, sizeof file, "%s/export.json", folder);
    snprintf(keys_file, sizeof keys_file, "%s/keys", folder);
}

static void end(void) {
    free(out);
    free(words);
    remove_folder(folder);
    end_server(&server);
}

TestSuite(import_command, .init = begin, .fini = end);

// instead: "NAME=value" in place of what the server has under that name, or NULL.
static int run_with(const char *instead, const char *const *args) {
    char texts[EZ_TEST_SERVER_ENV][EZ_TEST_URL_MAX + 64];
    const char *env[EZ_TEST_SERVER_ENV], *all[12] = {"import"};
    for (size_t i = 0; args[i]; i++)
        all[i + 1] = args[i];
    server_env(&server, texts, env);
    for (size_t i = 0; instead && env[i]; i++)
        if (strncmp(env[i], instead, strcspn(instead, "=") + 1) == 0)
            env[i] = instead;
    unlink(log_file);
    free(out);
    free(words);
    int status = run_process("ezplaned", all, env, log_file, &out);
    words = read_file(log_file);
    return status;
}

#define run(...) run_with(NULL, (const char *const[]){__VA_ARGS__, NULL})

static void given_data(const char *data) {
    ez_autofree char *text = NULL;
    int len = asprintf(&text, "{'version':'1.0.0','data':{%s}}", data);
    for (char *c = text; *c; c++)
        if (*c == '\'')
            *c = '"';
    write_file(file, text, (size_t)len);
}

static int counted(const char *kind, const char *outcome) {
    json_t *whole = json_loads(out, 0, NULL);
    cr_assert_not_null(whole, "standard output is not one JSON object: %s", out);
    json_t *count = json_object_get(json_object_get(json_object_get(whole, "counts"), kind), outcome);
    int value = (int)json_integer_value(count);
    json_decref(whole);
    return value;
}

static void expect_nothing_written(int status, const char *part) {
    cr_assert_eq(status, 2, "exit status %d: %s%s", status, out, words);
    cr_assert_str_empty(out, "%s", out);
    cr_assert_not_null(strstr(words, part), "it does not say \"%s\": %s", part, words);
}

static void expect_empty_store(void) {
    cr_assert_eq(run("--dry-run", "--output", "json", DEMO), 0, "%s", words);
    cr_assert_eq(counted("masters", "created"), 4, "some of it is in: %s", out);
    cr_assert_eq(counted("namespaces", "created"), 2, "some of it is in: %s", out);
}

Test(import_command, zero_and_nothing_but_json) {
    cr_assert_eq(run("--output", "json", "--include-bindings", DEMO), 0, "%s%s", out, words);
    cr_assert_eq(counted("keys", "created"), 25);
    cr_assert_null(strchr(words, '\r'), "progress is for terminals");
    cr_assert_eq(run("--output=json", "--include-bindings", DEMO), 0);
    cr_assert_eq(counted("keys", "skipped"), 25);
}

Test(import_command, one_where_some_rows_failed_and_the_credentials_are_in_their_file) {
    given_data(
        "'masters':[{'name':'acme'},{'name':'odd','status':'?'}],'keys':[{'master_ref':'odd','original_token':'t'}]");
    cr_assert_eq(run("--output", "json", "--credentials-file", keys_file, file), 1, "%s", words);
    cr_assert_eq(counted("masters", "created"), 1);
    cr_assert_eq(counted("masters", "failed"), 1);
    cr_assert_eq(counted("keys", "failed"), 1);
    cr_assert_null(strstr(out, "ezm_"));
    ez_autofree char *keys = read_file(keys_file);
    cr_assert_not_null(keys);
    cr_assert_eq(strncmp(keys, "acme\tezm_", 9), 0);
}

Test(import_command, two_where_the_arguments_are_unusable) {
    expect_nothing_written(run("--conflict", "maybe", DEMO), "skip or overwrite");
    expect_nothing_written(run("--output", "xml", DEMO), "text or json");
    expect_nothing_written(run("--nonsense", DEMO), "nonsense");
    expect_nothing_written(run("--dry-run"), "name one file");
    expect_nothing_written(run(DEMO, DEMO), "name one file");
    expect_nothing_written(run("/there/is/no/such/file"), "No such file");
}

Test(import_command, two_where_the_file_is_unusable) {
    write_file(file, "[[[[", 4);
    expect_nothing_written(run(file), "this is no export file");
    given_data("'masters':[{'name':'acme'}],'keys':[{'a' 1}]");
    expect_nothing_written(run(file), "keys[0]: it is not JSON");
    expect_empty_store();
}

Test(import_command, two_where_the_credentials_could_not_be_kept) {
    char away[EZ_TEST_PATH_MAX + 32];
    snprintf(away, sizeof away, "%s/no/such/folder", folder);
    expect_nothing_written(run("--credentials-file", away, DEMO), "can't make");
    write_file(keys_file, "old", 3);
    expect_nothing_written(run("--credentials-file", keys_file, DEMO), "is there already");
    expect_empty_store();
}

Test(import_command, a_dry_run_leaves_nothing_behind) {
    cr_assert_eq(run("--dry-run", "--credentials-file", keys_file, DEMO), 0, "%s", words);
    cr_assert_not_null(strstr(out, "dry run: nothing was written"));
    cr_assert_null(strstr(out, "ezm_"));
    cr_assert_neq(access(keys_file, F_OK), 0);
    expect_empty_store();
}

Test(import_command, beside_a_server_that_refuses_its_token) {
    char home_token[EZ_TEST_PATH_MAX + 32];
    start_server(&server);
    expect_nothing_written(run_with("EZ_ADMIN_TOKEN=eza_made-up", (const char *const[]){DEMO, NULL}),
                           "refuses the token from EZ_ADMIN_TOKEN");
    cr_assert_not_null(strstr(words, "Set EZ_ADMIN_TOKEN to a valid admin token"), "%s", words);
    cr_assert_null(strstr(words, "made-up"), "the token is shown: %s", words);
    snprintf(home_token, sizeof home_token, "%s/admin.token", server.home);
    unlink(home_token);
    expect_nothing_written(run_with("EZ_ADMIN_TOKEN=", (const char *const[]){DEMO, NULL}), "set EZ_ADMIN_TOKEN");
    write_file(home_token, "eza_made-up\n", 12);
    expect_nothing_written(run_with("EZ_ADMIN_TOKEN=", (const char *const[]){DEMO, NULL}), "EZ_HOME/admin.token");
    expect_empty_store();
}
