// SPDX-License-Identifier: Apache-2.0
//
// The first start and the starts that must not happen: each refusal is one line on stderr that says what to do, exit
// status 1 (2 for what was asked wrongly), and nothing of it in the store.
#include <criterion/criterion.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/support/world.h"

static ez_world w;
static char folder[EZ_TEST_PATH_MAX], log_path[EZ_TEST_PATH_MAX + 8];

static void begin(void) {
    given_folder(folder);
    snprintf(log_path, sizeof log_path, "%s/log", folder);
}

static void end(void) {
    remove_folder(folder);
}

TestSuite(start, .init = begin, .fini = end);

// Runs ezplaned with the server's settings, the first ones winning; expects it to end with this status and one line.
static void expect_no_start(ez_test_server *server, const char *const *first, int status, const char *says) {
    char texts[8][EZ_TEST_URL_MAX + 64];
    const char *env[EZ_TEST_SERVER_ENV + 8];
    size_t count = 0;
    for (; first && first[count]; count++)
        env[count] = first[count];
    server_env(server, texts, env + count);
    unlink(log_path);
    cr_assert_eq(run_process("ezplaned", NULL, env, log_path, NULL), status);
    char *text = read_file(log_path);
    cr_assert_not_null(text);
    cr_assert_not_null(strstr(text, says), "\"%s\" does not say \"%s\"", text, says);
    cr_assert_null(strstr(text, server->admin_token), "a secret is in the words");
    size_t lines = 0;
    for (const char *at = text; (at = strchr(at, '\n')); at++)
        lines++;
    cr_assert_eq(lines, 1, "%zu lines: %s", lines, text);
    free(text);
}

static void path_in(char *out, const char *home, const char *name) {
    snprintf(out, EZ_TEST_PATH_MAX * 2, "%s/%s", home, name);
}

static mode_t mode_of(const char *path) {
    struct stat found;
    cr_assert_eq(stat(path, &found), 0, "%s is not there", path);
    return found.st_mode & 0777;
}

// Without EZ_ADMIN_TOKEN a token is made, shown on standard output and kept in a file that is its owner's.
Test(start, the_first_one_makes_an_admin_token) {
    const char *const env[] = {"EZ_ADMIN_TOKEN=", NULL};
    ez_test_server_options options = {.env = env};
    given_server(&w.server, &options);
    char path[EZ_TEST_PATH_MAX * 2];
    path_in(path, w.server.home, "admin.token");
    cr_assert_eq(mode_of(path), 0600);
    char *token = read_file(path);
    cr_assert_not_null(token);
    token[strcspn(token, "\n")] = 0;
    cr_assert_eq(strncmp(token, "eza_", 4), 0);
    cr_assert_eq(strlen(token), 47);
    path_in(path, w.server.home, "secret.key");
    cr_assert_eq(mode_of(path), 0600);
    char *log = NULL;
    path_in(path, w.server.home, "ezplaned.log");
    log = read_file(path);
    cr_assert_null(strstr(log, token), "the token is in the log");
    given_callers(&w);
    ez_caller admin = caller_with(&w, token);
    given_master(&admin, "acme");
    path_in(path, w.server.home, "admin.token");
    restart_server(&w.server);
    await_answers(&w);
    char *again = read_file(path);
    cr_assert_eq(strncmp(again, token, 47), 0, "a later start makes no other");
    ask(&admin, "Masters/List", "{}");
    free(log);
    free(token);
    free(again);
    end_callers(&w);
    end_server(&w.server);
}

Test(start, a_short_admin_token_is_refused) {
    given_world(&w, NULL);
    stop_server(&w.server);
    char home[EZ_TEST_PATH_MAX + 16], store[EZ_TEST_PATH_MAX + 32];
    snprintf(home, sizeof home, "EZ_HOME=%s/new", folder);
    snprintf(store, sizeof store, "EZ_STORE=sqlite:%s/new/ezplane.db", folder);
    const char *const brief[] = {"EZ_ADMIN_TOKEN=0123456789012345678901234567890", home, store, NULL};
    expect_no_start(&w.server, brief, 1, "EZ_ADMIN_TOKEN must have 32");
    const char *const blank[] = {"EZ_ADMIN_TOKEN=0123456789012345678901234567890 12345", home, store, NULL};
    expect_no_start(&w.server, blank, 1, "EZ_ADMIN_TOKEN");
    start_server(&w.server);
    end_world(&w);
}

Test(start, the_sealing_key_must_be_the_stores) {
    given_world(&w, NULL);
    Ez__V1__ProviderGroup *group = given_group(&w.admin, "main", "'m'");
    given_api_key(&w.admin, group->id, "one", "sealed-by-the-first-key");
    stop_server(&w.server);
    char key[EZ_TEST_PATH_MAX * 2], aside[EZ_TEST_PATH_MAX * 2];
    path_in(key, w.server.home, "secret.key");
    path_in(aside, w.server.home, "secret.key.aside");
    cr_assert_eq(rename(key, aside), 0);
    expect_no_start(&w.server, NULL, 1, "missing");
    cr_assert_neq(access(key, F_OK), 0, "no new key in the place of the lost one");
    write_file(key, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n", 65);
    chmod(key, 0600);
    expect_no_start(&w.server, NULL, 1, "key");
    write_file(key, "not a key\n", 10);
    expect_no_start(&w.server, NULL, 1, "secret.key");
    cr_assert_eq(rename(aside, key), 0);
    chmod(key, 0644);
    expect_no_start(&w.server, NULL, 1, "secret.key");
    chmod(key, 0600);
    start_server(&w.server);
    await_answers(&w);
    ez_caller plane = caller_with(&w, given_plane(&w.admin, "edge")->token);
    Ez__V1__GetSecretsResponse *reply = ask(&plane, "Config/Secrets", "{'api_key_ids':[2]}");
    cr_assert_str_eq(reply->changes[0]->secret->api_key, "sealed-by-the-first-key");
    end_world(&w);
}

Test(start, a_second_server_in_the_same_home_is_refused) {
    given_world(&w, NULL);
    given_master(&w.admin, "acme");
    expect_no_start(&w.server, NULL, 1, "already running");
    ask(&w.admin, "Masters/List", "{}");
    given_master(&w.admin, "globex");
    end_world(&w);
}

// fault_43: a home of its own is not a store of its own.
Test(start, a_second_server_on_the_same_sqlite_file_is_refused) {
    given_world(&w, NULL);
    if (w.server.is_postgres) {
        end_world(&w);
        cr_skip_test("PostgreSQL takes several servers");
    }
    char home[EZ_TEST_PATH_MAX + 16], key[EZ_TEST_PATH_MAX + 48];
    snprintf(home, sizeof home, "EZ_HOME=%s/new", folder);
    snprintf(key, sizeof key, "EZ_SECRET_KEY_FILE=%s/secret.key", w.server.home);
    const char *const other[] = {
        home, key, "EZ_RPC_URL=tcp://127.0.0.1:0", "EZ_CONFIG_URL=tcp://127.0.0.1:0", "EZ_EVENTS_URL=tcp://127.0.0.1:0",
        NULL};
    expect_no_start(&w.server, other, 1, "another ezplaned has");
    given_master(&w.admin, "unhurt");
    end_world(&w);
}

// An older program on a newer store: here the store says that it is of a version that nobody knows yet.
Test(start, a_newer_schema_is_refused) {
    given_world(&w, NULL);
    if (!w.server.is_postgres) {
        end_world(&w);
        cr_skip_test("SQLite's is a unit test: only the store opens the file");
    }
    stop_server(&w.server);
    PGconn *conn = PQconnectdb(w.server.database);
    PGresult *known = PQexec(conn, "SELECT version FROM ez_schema");
    char was[64];
    snprintf(was, sizeof was, "UPDATE ez_schema SET version = %s", PQgetvalue(known, 0, 0));
    PQclear(known);
    PQclear(PQexec(conn, "UPDATE ez_schema SET version = 4711"));
    expect_no_start(&w.server, NULL, 1, "has schema version 4711 and this program knows up to");
    PQclear(PQexec(conn, was));
    PQfinish(conn);
    start_server(&w.server);
    await_answers(&w);
    end_world(&w);
}

Test(start, a_taken_port_and_a_wrong_setting_are_refused) {
    given_world(&w, NULL);
    char home[EZ_TEST_PATH_MAX + 16], store[EZ_TEST_PATH_MAX + 32];
    snprintf(home, sizeof home, "EZ_HOME=%s/new", folder);
    snprintf(store, sizeof store, "EZ_STORE=sqlite:%s/new/ezplane.db", folder);
    const char *const pushed[] = {home, store, NULL};
    expect_no_start(&w.server, pushed, 1, w.server.config_url);
    const char *const taken[] = {home, store, "EZ_CONFIG_URL=tcp://127.0.0.1:0", "EZ_EVENTS_URL=tcp://127.0.0.1:0",
                                 NULL};
    expect_no_start(&w.server, taken, 1, "EZ_RPC_URL");
    const char *const open[] = {home, store, "EZ_RPC_URL=tcp://0.0.0.0:7350", NULL};
    expect_no_start(&w.server, open, 1, "--insecure-listen");
    const char *const few[] = {home, store, "EZ_FEED_KEEP=3", NULL};
    expect_no_start(&w.server, few, 2, "EZ_FEED_KEEP");
    const char *const seldom[] = {home, store, "EZ_ALERT_SECONDS=121", NULL};
    expect_no_start(&w.server, seldom, 2, "EZ_ALERT_SECONDS");
    const char *const nowhere[] = {home, "EZ_STORE=mysql://x", NULL};
    expect_no_start(&w.server, nowhere, 1, "EZ_STORE");
    ask(&w.admin, "Masters/List", "{}");
    end_world(&w);
}
