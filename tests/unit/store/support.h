// SPDX-License-Identifier: Apache-2.0
//
// What the store's tests share: a place for a store of the kind under test (EZ_TEST_STORE), gone after the test, and
// groups of changes that are built by naming them. Helpers fail the test themselves.
#pragma once

#include "ez/v1/common.pb-c.h"
#include "server/state/store/store.h"

#define KIND_MASTER EZ__V1__KIND__KIND_MASTER
#define KIND_KEY    EZ__V1__KIND__KIND_KEY

typedef struct place {
    char url[512];
    char path[256];    // SQLite: the file
    char folder[128];  // SQLite: to be removed
    char database[64]; // PostgreSQL: to be dropped
} place;

// sqlite, or postgres where EZ_TEST_STORE says so.
bool is_postgres(void);
void given_place(place *out);
void drop_place(place *at);

extern const char test_key_check[];
ez_store_options options_for(const place *at);
ez_store *open_store(const place *at);
ez_store_head head_of(ez_store *store);

// A group that grows; build it on a head, then commit it.
#define GROUP_CHANGES 64
typedef struct group {
    ez_store_commit_group group;
    ez_store_change changes[GROUP_CHANGES];
    ez_store_audit audits[GROUP_CHANGES];
    ez_store_idempotent idempotents[4];
    int64_t next_id[EZ_KIND_COUNT];
    ez_store_head head;
} group;
void group_start(group *it, const ez_store_head *head);
void group_revision(group *it); // what follows belongs to the next revision
void group_put(group *it, int kind, int64_t id, const char *text);
void group_delete(group *it, int kind, int64_t id);
void group_audit(group *it, const char *actor, const char *method, const char *resource);
void group_idempotent(group *it, uint8_t key, const char *reply, int64_t time_ns);
void expect_commit(ez_store *store, group *it);

// One revision that puts one resource.
void commit_put(ez_store *store, int kind, int64_t id, const char *text);
// Revisions head + 1 … head + count, each putting master i with its number as text, in one group per revision.
void commit_many(ez_store *store, unsigned count);

// "id:revision:text id:revision:text" of a kind's rows, in the order they came.
const char *rows_text(ez_store *store, int kind, char *out, size_t size);
// "n.seq+kind/id=text", - for deletions.
const char *changes_text(ez_store *store, uint64_t after, uint64_t until, size_t limit, char *out, size_t size);

// Runs fn on a reader and waits for it, at most 30 s.
void on_reader(ez_store *store, void (*fn)(ez_reader *reader, void *user), void *user);

void expect_error(ez_status status, const ez_error *error, ez_status code, const char *reason, const char *part);
// Runs a statement on the PostgreSQL under test: the server's own database where at is NULL. Returns the first
// column of the first row as a number, or 0.
long long sql(const place *at, const char *text);
// Runs a query on the store under test, beside it, and gives all of its rows: values joined by "|", a line a row.
// The caller frees it.
char *rows_of(const place *at, const char *text);
// The first value as a number.
long long number_of(const place *at, const char *text);
