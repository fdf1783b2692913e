// SPDX-License-Identifier: Apache-2.0
//
// ez_store: the only door to SQL. Two implementations, SQLite and PostgreSQL, behind one table of operations and one
// test suite. What it keeps: resources as the packed protobuf bytes everybody gets (docs/adr: one table per kind,
// indexes live in the directory), the change feed, the audit chain, idempotency records, id counters.
//
// Threads. ez_store_commit, ez_store_find_idempotent and ez_store_trim are for one thread, the writer's. The other
// ez_store_* may be called from any thread; a lock lets one at a time through, so what each_row and each_change call
// must not call the store. Readers (ez_reader) each belong to the thread that took them. Nothing here may run in an nng
// callback: every call blocks on a disk or a socket, for a bounded time.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/crypto/hash.h"
#include "proto/runtime/arena.h"
#include "proto/runtime/error.h"
#include "proto/runtime/frame.h"
#include "server/state/store/fence.h"

#define EZ_KIND_COUNT 11 // Ez__V1__Kind's numbers are 1 … 10

typedef struct ez_store ez_store;
typedef struct ez_reader ez_reader;

typedef struct ez_store_options {
    const char *url;             // "sqlite:PATH" or "postgres://…"
    int readers;                 // reading connections, 1 … 64
    uint32_t connect_timeout_ms; // PostgreSQL: give up at start after this
    uint64_t epoch;              // of a store that is made now: random, not 0
    int64_t now_ns;
    const char *key_check; // hex digest of the sealing key; a new store keeps it, an old one must have the same
} ez_store_options;

// Where the feed stands.
typedef struct ez_store_head {
    uint64_t epoch;
    uint64_t n;
    int64_t next_id[EZ_KIND_COUNT]; // by kind; ids are never given twice
    int64_t next_audit_id;
    uint8_t audit_hash[EZ_SHA256_LEN]; // of the newest entry; zeros where there is none
} ez_store_head;

// A resource as it is kept.
typedef struct ez_store_row {
    int64_t id;
    uint64_t revision;
    uint64_t secret_version;
    ez_slice data;   // packed resource, without secrets
    ez_slice sealed; // its sealed secret, or empty
} ez_store_row;

typedef struct ez_store_change {
    uint64_t n;   // revision
    uint32_t seq; // within the revision, from 0
    int kind;     // Ez__V1__Kind
    int64_t id;
    int op; // Ez__V1__Op
    uint64_t secret_version;
    int64_t time_ns;
    ez_slice data;   // PUT: the packed resource
    ez_slice sealed; // PUT: as in the row
} ez_store_change;

typedef struct ez_store_audit {
    int64_t id;
    int64_t time_ns;
    uint64_t revision;
    const char *actor, *method, *resource, *request, *request_id, *remote;
    uint8_t previous_hash[EZ_SHA256_LEN];
    uint8_t hash[EZ_SHA256_LEN];
} ez_store_audit;

// What a change that carried an idempotency key was answered.
typedef struct ez_store_idempotent {
    uint8_t key[EZ_SHA256_LEN];          // SHA-256 of caller and key
    uint8_t request_hash[EZ_SHA256_LEN]; // of method and request: another request under the same key is refused
    uint64_t revision;
    int64_t time_ns;
    ez_slice reply; // sealed
} ez_store_idempotent;

// A group of revisions to be made durable in one transaction.
typedef struct ez_store_commit_group {
    uint64_t epoch;
    uint64_t from;                  // the head this group was built on
    uint64_t to;                    // the head after it; from itself for a group of nothing but idempotency records
    const ez_store_change *changes; // in order; the last one of a (kind, id) is what the resource's table keeps
    size_t change_count;
    ez_store_audit *audits; // in order. The store continues the chain: it fills id, previous_hash and hash
    size_t audit_count;
    const ez_store_idempotent *idempotents;
    size_t idempotent_count;
    const int64_t *next_id; // EZ_KIND_COUNT of them
    uint64_t fence;         // under which lease; EZ_NO_FENCE
} ez_store_commit_group;

// Opens, or makes, the store and brings its schema up to date under a lock. FAILED_PRECONDITION: a newer schema,
// another sealing key, another process has the SQLite file. UNAVAILABLE: no server.
ez_status ez_store_open(const ez_store_options *options, ez_store **out, ez_error *error) EZ_MUST_CHECK;
// Runs the queries that were accepted, then ends the readers' threads: ez_store_submit refuses from then on. NULL and a
// second time are fine, two threads at once are not.
void ez_store_stop(ez_store *store);
// Stops it first where that was not done. Nobody may use it any more. NULL is fine.
void ez_store_close(ez_store *store);

// "sqlite" or "postgres".
const char *ez_store_name(const ez_store *store);

ez_status ez_store_read_head(ez_store *store, ez_store_head *out, ez_error *error) EZ_MUST_CHECK;

// Calls each for every row of a kind, ids ascending; stops at its first error. The row's memory is the store's.
typedef ez_status ez_store_row_fn(void *user, const ez_store_row *row, ez_error *error);
ez_status ez_store_each_row(ez_store *store, int kind, ez_store_row_fn *each, void *user,
                            ez_error *error) EZ_MUST_CHECK;

// Calls each for the kept changes with after < n <= until, in order, at most limit of them (0: all).
typedef ez_status ez_store_change_fn(void *user, const ez_store_change *change, ez_error *error);
ez_status ez_store_each_change(ez_store *store, uint64_t after, uint64_t until, size_t limit, ez_store_change_fn *each,
                               void *user, ez_error *error) EZ_MUST_CHECK;
// The least revision whose changes, and all after it, are still kept; head + 1 where none are.
ez_status ez_store_oldest_change(ez_store *store, uint64_t *out, ez_error *error) EZ_MUST_CHECK;

// Makes the group durable, all of it or nothing. OK means it is on disk. ABORTED (HEAD_MOVED): another server committed
// first; ABORTED (LEASE_LOST): the fence is stale; nothing was written. UNAVAILABLE (COMMIT_UNKNOWN): the connection
// broke while committing; the caller reads the head to learn which. RESOURCE_EXHAUSTED: disk full; nothing was written.
ez_status ez_store_commit(ez_store *store, const ez_store_commit_group *group, ez_error *error) EZ_MUST_CHECK;

// Makes every other server's commit wait until this one's next ez_store_commit has ended, or ez_store_release_head:
// what is read meanwhile stays the newest. For one that was overtaken again and again. UNAVAILABLE: it does not hold.
// Nothing to do where the store is not shared. The writer's thread, and for a few milliseconds.
ez_status ez_store_hold_head(ez_store *store, ez_error *error) EZ_MUST_CHECK;
void ez_store_release_head(ez_store *store); // does nothing where it is not held

// *found false where there is none. The reply is copied into arena.
ez_status ez_store_find_idempotent(ez_store *store, const uint8_t key[EZ_SHA256_LEN], ez_arena *arena,
                                   ez_store_idempotent *out, bool *found, ez_error *error) EZ_MUST_CHECK;

// One bounded step of forgetting: changes of revisions < keep_from and idempotency records older than before_ns, at
// most max_rows of each. *more: call again.
ez_status ez_store_trim(ez_store *store, uint64_t fence, uint64_t keep_from, int64_t before_ns, size_t max_rows,
                        bool *more, ez_error *error) EZ_MUST_CHECK;

// ---- The lease (fence.h); one thread, beside all others

// Whether other servers may be on the same store: SQLite admits one.
bool ez_store_is_shared(const ez_store *store);

typedef struct ez_store_lease {
    char holder[EZ_LEASE_HOLDER_MAX]; // "": nobody
    uint64_t token;
} ez_store_lease;
// Takes the lease for ttl_ms from now on where nobody has it, or has had it for too long; extends it where holder has
// it. *out: who has it now. On a store that is not shared it is taken for good. Blocks for twice timeout_ms at most.
ez_status ez_store_take_lease(ez_store *store, const char *holder, uint32_t ttl_ms, uint32_t timeout_ms,
                              ez_store_lease *out, ez_error *error) EZ_MUST_CHECK;
// Gives it up, where holder has it.
ez_status ez_store_drop_lease(ez_store *store, const char *holder, uint32_t timeout_ms, ez_error *error) EZ_MUST_CHECK;

// ---- Following other servers

// Another server has committed revision n, or may have (0). On a thread of the store's; must not block, nor call the
// store. A hint: some are lost.
typedef void ez_store_changed_fn(void *user, uint64_t n);
typedef enum ez_follows {
    EZ_FOLLOWS_NOBODY,    // the store is not shared
    EZ_FOLLOWS_BY_POLL,   // nobody tells: whoever wants to know looks
    EZ_FOLLOWS_BY_NOTIFY, // changed is called
} ez_follows;
// Has changed called, and others told of this server's commits, until ez_store_unfollow. Does nothing on
// a store that is not shared. Once.
ez_status ez_store_follow(ez_store *store, ez_store_changed_fn *changed, void *user, ez_error *error) EZ_MUST_CHECK;
void ez_store_unfollow(ez_store *store); // no call comes after it; a second time is fine
ez_follows ez_store_follows(ez_store *store);

// ---- Queries, on the store's reader threads

// A query to run; embed it. run is called on a reader thread, exactly once if submit said OK.
typedef struct ez_query ez_query;
struct ez_query {
    void (*run)(ez_query *query, ez_reader *reader);
    ez_query *next; // the queue's
};
// RESOURCE_EXHAUSTED where 1,024 are waiting; UNAVAILABLE once the store is closing.
ez_status ez_store_submit(ez_store *store, ez_query *query, ez_error *error) EZ_MUST_CHECK;

typedef struct ez_audit_filter {
    int64_t before_id;                     // 0: from the newest
    int64_t since_ns, until_ns;            // 0: no bound
    const char *actor, *method, *resource; // NULL or "": any
    size_t limit;
} ez_audit_filter;
typedef ez_status ez_store_audit_fn(void *user, const ez_store_audit *entry, ez_error *error);
// Newest first.
ez_status ez_reader_each_audit(ez_reader *reader, const ez_audit_filter *filter, ez_store_audit_fn *each, void *user,
                               ez_error *error) EZ_MUST_CHECK;
// After (n, seq), in order, without data and sealed.
ez_status ez_reader_each_change(ez_reader *reader, uint64_t after_n, uint32_t after_seq, size_t limit,
                                ez_store_change_fn *each, void *user, ez_error *error) EZ_MUST_CHECK;
ez_status ez_reader_oldest_change(ez_reader *reader, uint64_t *out, ez_error *error) EZ_MUST_CHECK;
// The store answers.
ez_status ez_reader_ping(ez_reader *reader, ez_error *error) EZ_MUST_CHECK;
