// SPDX-License-Identifier: Apache-2.0
//
// One real ezplaned per fixture. Its settings come through the environment only, and none of the tester's own EZ_…
// variables reaches it. Its log is <home>/ezplaned.log and is shown where it fails.
#include "tests/support/server.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/crypto/token.h"
#include "tests/support/port.h"

#define OWN_ENV 8

static void make_urls(ez_test_server *server) {
    snprintf(server->rpc_url, sizeof server->rpc_url, "tcp://127.0.0.1:%u", given_port());
    snprintf(server->config_url, sizeof server->config_url, "tcp://127.0.0.1:%u", given_port());
    snprintf(server->events_url, sizeof server->events_url, "tcp://127.0.0.1:%u", given_port());
}

static bool wants_postgres(const ez_test_server_options *options) {
    const char *store = options && options->store ? options->store : getenv("EZ_TEST_STORE");
    if (!store || !*store || strcmp(store, "sqlite") == 0)
        return false;
    cr_assert_str_eq(store, "postgres", "the store is sqlite or postgres, not %s", store);
    return true;
}

void given_server(ez_test_server *server, const ez_test_server_options *options) {
    *server = (ez_test_server){.process = {.out = -1}, .is_postgres = wants_postgres(options)};
    server->env = options ? options->env : NULL;
    given_folder(server->home);
    make_urls(server);
    cr_assert_eq(ez_token_make("eza_", server->admin_token), EZ_OK);
    if (server->is_postgres) {
        given_database(server->database);
        snprintf(server->store, sizeof server->store, "%s", server->database);
    } else {
        snprintf(server->store, sizeof server->store, "sqlite:%.*s/ezplane.db", EZ_TEST_PATH_MAX - 1, server->home);
    }
    start_server(server);
}

void given_second_server(ez_test_server *server, const ez_test_server *first) {
    cr_assert(first->is_postgres, "two servers share a PostgreSQL store; SQLite has one owner");
    *server = (ez_test_server){.process = {.out = -1}, .is_postgres = true, .env = first->env};
    given_folder(server->home);
    make_urls(server);
    memcpy(server->store, first->store, sizeof server->store);
    memcpy(server->admin_token, first->admin_token, sizeof server->admin_token);
    char key[EZ_TEST_PATH_MAX + 16], own[EZ_TEST_PATH_MAX + 16];
    snprintf(key, sizeof key, "%s/secret.key", first->home);
    snprintf(own, sizeof own, "%s/secret.key", server->home);
    cr_assert_eq(link(key, own), 0, "servers on one store have one sealing key");
    start_server(server);
}

void server_env(ez_test_server *server, char texts[][EZ_TEST_URL_MAX + 64], const char **out) {
    const char *const names[OWN_ENV][2] = {
        {"EZ_HOME", server->home},
        {"EZ_STORE", server->store},
        {"EZ_RPC_URL", server->rpc_url},
        {"EZ_CONFIG_URL", server->config_url},
        {"EZ_EVENTS_URL", server->events_url},
        {"EZ_ADMIN_TOKEN", server->admin_token},
        {"EZ_LOG_LEVEL", "info"},
        {"EZ_TOKEN_REFRESH", "false"}, // no test calls a provider
    };
    size_t count = 0;
    for (; server->env && server->env[count]; count++) {
        cr_assert_lt(count, EZ_TEST_SERVER_ENV - OWN_ENV - 1, "too many variables");
        out[count] = server->env[count];
    }
    for (size_t i = 0; i < OWN_ENV; i++) {
        snprintf(texts[i], EZ_TEST_URL_MAX + 64, "%s=%s", names[i][0], names[i][1]);
        out[count++] = texts[i];
    }
    out[count] = NULL;
}

void start_server(ez_test_server *server) {
    char texts[OWN_ENV][EZ_TEST_URL_MAX + 64];
    const char *env[EZ_TEST_SERVER_ENV];
    char log[EZ_TEST_PATH_MAX + 16];
    cr_assert_eq(server->process.pid, 0, "ezplaned is running already");
    server_env(server, texts, env);
    snprintf(log, sizeof log, "%s/ezplaned.log", server->home);
    start_process(&server->process, "ezplaned", NULL, env, log);
    if (!wait_for_line(&server->process, "ready ")) {
        char *text = read_file(log);
        fprintf(stderr, "---- ezplaned's log\n%s----\n", text ? text : "");
        free(text);
        kill_process(&server->process);
        cr_assert_fail("ezplaned ended before it was ready (its log is above)");
    }
}

void stop_server(ez_test_server *server) {
    stop_process(&server->process);
}

void kill_server(ez_test_server *server) {
    cr_assert(server->process.pid > 0, "ezplaned is not running");
    kill_process(&server->process);
}

void restart_server(ez_test_server *server) {
    stop_server(server);
    start_server(server);
}

void end_server(ez_test_server *server) {
    if (server->process.pid > 0)
        stop_server(server);
    drop_database(server->database);
    remove_folder(server->home);
    *server = (ez_test_server){.process = {.out = -1}};
}
