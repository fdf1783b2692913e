// SPDX-License-Identifier: Apache-2.0
//
// A PostgreSQL of a test's own, to crash it, and a pgbouncer before the one that all tests share. One of each.
#pragma once

// Skips the test where the store under test is not PostgreSQL.
void need_postgres(void);

// EZ_TEST_POSTGRES names it from then on.
void given_own_postgres(void);
void end_own_postgres(void);
// Ends one of its processes without a word: all others go down with it, and it recovers.
void crash_own_postgres(void);

// Connections by transaction, three to a database. pooled: the URL that leads to the same database through it, of
// EZ_TEST_URL_MAX bytes.
void given_pooler(void);
void pooler_url(const char *url, char *pooled);
void end_pooler(void);
