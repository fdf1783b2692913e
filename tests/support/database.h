// SPDX-License-Identifier: Apache-2.0
//
// A PostgreSQL database of one's own, on the server that EZ_TEST_POSTGRES names.
#pragma once

#include <stdbool.h>

#include "proto/runtime/status.h"

#define EZ_TEST_URL_MAX 256

// True where there is a PostgreSQL to test with.
bool has_postgres(void);

// Makes an empty database and gives its URL, which holds a password: never print it. url holds EZ_TEST_URL_MAX bytes.
// Fails the test where it can't.
void given_database(char *url);

// Drops it, ending what is still connected. Does nothing where url is empty.
void drop_database(const char *url);

// Runs a statement on it.
void run_sql_on(const char *url, const char *format, ...) EZ_PRINTF(2, 3);

// Ends every connection to it.
void end_connections(const char *url);
