// SPDX-License-Identifier: Apache-2.0
//
// One real ezplaned per fixture:
//
//     static ez_test_server server;
//     static void begin(void) { given_server(&server, NULL); }
//     static void end(void) { end_server(&server); }
//     TestSuite(keys, .init = begin, .fini = end);
//
// It has a home, ports, an admin token and (on PostgreSQL) a database of its own; all of that stays over stops, kills
// and restarts until end_server. Every function fails the test where it can't do what it says.
#pragma once

#include "tests/support/database.h"
#include "tests/support/process.h"

typedef struct ez_test_server_options {
    const char *store;      // "sqlite" or "postgres"; NULL: EZ_TEST_STORE, else sqlite
    const char *const *env; // further "NAME=value", NULL-terminated; these win. They must live as long as the server
} ez_test_server_options;

typedef struct ez_test_server {
    ez_test_process process;
    bool is_postgres;
    char home[EZ_TEST_PATH_MAX];
    char store[EZ_TEST_URL_MAX + 32]; // EZ_STORE; holds a password: never print it
    char database[EZ_TEST_URL_MAX];   // "" on SQLite
    char rpc_url[64], config_url[64], events_url[64];
    char admin_token[64];
    const char *const *env;
} ez_test_server;

// Starts one and waits until it is ready. options may be NULL.
void given_server(ez_test_server *server, const ez_test_server_options *options);

// Another one on the same store and database (PostgreSQL only), with a home and ports of its own and the same admin
// token. End it before first.
void given_second_server(ez_test_server *server, const ez_test_server *first);

// SIGTERM, then expects exit status 0.
void stop_server(ez_test_server *server);
// kill -9.
void kill_server(ez_test_server *server);
// Starts it again on the same home, ports and store; it must not be running.
void start_server(ez_test_server *server);
// stop_server, start_server.
void restart_server(ez_test_server *server);

// Stops it if it runs (expecting a clean end), and removes its home and database.
void end_server(ez_test_server *server);

// The environment of another program of the same server (ezplaned import, ez-gateway): room for count pointers, filled
// and NULL-terminated. They point into server.
#define EZ_TEST_SERVER_ENV 32
void server_env(ez_test_server *server, char texts[][EZ_TEST_URL_MAX + 64], const char **out);
