// SPDX-License-Identifier: Apache-2.0
//
// What the files of the PostgreSQL backend share. Every connection is used by one thread at a time, is non-blocking
// inside, and every wait on it has a deadline (monotonic milliseconds, ez_clock_mono_ms). A connection that failed is
// dropped: after an error, conn->pg is NULL where it was lost, and is idle, outside any transaction, where it was not.
//
// Works through a pooler in transaction mode: no session state, nothing but SET LOCAL, no named statements.
#pragma once

#include <libpq-fe.h>
#include <pthread.h>

#include "server/state/store/backend.h"
#include "server/state/store/postgres/known.h"
#include "server/state/store/sql.h"

#define EZ_PG_COMMIT_MS   20000 // a commit, with its reconnects and retries
#define EZ_PG_IDLE_MS     30000 // a stream that gives nothing for so long is given up
#define EZ_PG_READER_MS   20000 // a reader's query, on the server too
#define EZ_PG_CONNECT_MS  5000  // one attempt to connect
#define EZ_PG_BACKOFF_MS  50    // doubled at each failure, at most …
#define EZ_PG_BACKOFF_MAX 2000
#define EZ_PG_ATTEMPTS    12 // of one commit
#define EZ_PG_WHERE_MAX   160
#define EZ_PG_PARAMS_MAX  32

// Types by their fixed numbers in the server's catalogue.
enum {
    EZ_PG_BYTEA = 17,
    EZ_PG_INT8 = 20,
    EZ_PG_TEXT = 25,
    EZ_PG_BYTEA_ARRAY = 1001,
    EZ_PG_TEXT_ARRAY = 1009,
    EZ_PG_INT8_ARRAY = 1016,
};

typedef struct ez_pg_conn {
    PGconn *pg;        // NULL: not connected
    const char *url;   // the ez_pg's; may hold a password, never shown
    const char *where; // the ez_pg's: "host:port/database", for people
    unsigned failures; // to connect, in a row
    uint64_t retry_at; // not before
    bool is_held;      // in a transaction that has locked the head (commit.c), and is to be gone on with
} ez_pg_conn;

// The end of the audit chain. A transaction keeps its own: what the head's lock says, or what is believed.
typedef struct ez_pg_chain_end {
    int64_t next_id; // 0: not known
    uint8_t newest[EZ_SHA256_LEN];
} ez_pg_chain_end;

// What this server believes of it, so that a commit need not read it first. Both of its connections write here.
typedef struct ez_pg_chain {
    pthread_mutex_t lock;
    ez_pg_chain_end end; // guarded
} ez_pg_chain;

typedef struct ez_pg {
    ez_pg_conn conn;   // the writer's
    ez_pg_conn usage;  // what adds to counters; made when first used, as the next
    ez_pg_conn logs;   // what adds, folds and forgets log records
    ez_pg_conn alerts; // what changes alerts
    ez_pg_conn lease;  // what takes the lease
    ez_pg_conn servers;
    ez_pg_conn claims; // of token refreshes
    char *url;
    char where[EZ_PG_WHERE_MAX];
    ez_pg_chain chain;
    int64_t next_id[EZ_KIND_COUNT]; // as last committed by us; 0: not known
    struct ez_pg_listener *_Atomic listener;
    struct ez_rollup *rollup; // that of a batch of log records, made when first needed
    struct ez_pg_partitions *partitions;
    ez_pg_known known; // rows of rollups
    bool is_unsettled; // a COMMIT was sent and its answer lost: the server may still be at it
    int64_t forgot_ns; // time of the record that forgetting stopped before; 0: not known. For retention.c
} ez_pg;

// Parameters of one statement, in binary. What they point at must live until it was sent.
typedef struct ez_pg_params {
    int count;
    Oid types[EZ_PG_PARAMS_MAX];
    const char *values[EZ_PG_PARAMS_MAX];
    int lengths[EZ_PG_PARAMS_MAX];
    int formats[EZ_PG_PARAMS_MAX];
    uint64_t numbers[EZ_PG_PARAMS_MAX]; // big-endian
} ez_pg_params;

// ---- url.c
// Checks the URL and writes where. INVALID_ARGUMENT, without a word of it, where it can't be used.
ez_status ez_pg_url_check(const char *url, char where[EZ_PG_WHERE_MAX], ez_error *error) EZ_MUST_CHECK;

// ---- conn.c
void ez_pg_init(ez_pg_conn *conn, const char *url, const char *where);
void ez_pg_drop(ez_pg_conn *conn); // closes; the next ez_pg_ready connects again
// Connected and idle. Patient: tries again, with growing pauses, until the deadline; else once, and not at all within
// the pause.
ez_status ez_pg_ready(ez_pg_conn *conn, bool patient, uint64_t deadline, ez_error *error) EZ_MUST_CHECK;
// Sends what libpq holds back. Drops the connection on failure.
ez_status ez_pg_flush(ez_pg_conn *conn, uint64_t deadline, ez_error *error) EZ_MUST_CHECK;
// Waits until something came, and takes it in. Drops the connection on failure.
ez_status ez_pg_take_in(ez_pg_conn *conn, uint64_t deadline, ez_error *error) EZ_MUST_CHECK;
// The next result, or NULL at the end of a statement. Drops the connection on failure.
ez_status ez_pg_next(ez_pg_conn *conn, uint64_t deadline, PGresult **out, ez_error *error) EZ_MUST_CHECK;
// Waits for the end of the statement, throwing results away.
ez_status ez_pg_drain(ez_pg_conn *conn, uint64_t deadline, ez_error *error) EZ_MUST_CHECK;
ez_status ez_pg_send(ez_pg_conn *conn, const char *text, const ez_pg_params *params, ez_error *error) EZ_MUST_CHECK;
// One statement, its one result. params NULL: text may hold several statements; the last result counts.
ez_status ez_pg_run(ez_pg_conn *conn, const char *text, const ez_pg_params *params, uint64_t deadline, PGresult **out,
                    ez_error *error) EZ_MUST_CHECK;
// The same where the result is not wanted.
ez_status ez_pg_exec(ez_pg_conn *conn, const char *text, const ez_pg_params *params, uint64_t deadline,
                     ez_error *error) EZ_MUST_CHECK;
void ez_pg_rollback(ez_pg_conn *conn); // leaves any transaction, or drops the connection
void ez_pg_pause(uint64_t ms, uint64_t deadline);

// ---- error.c
// Fills error from a failed result; drops the connection where the server said that it ends.
ez_status ez_pg_fail(ez_pg_conn *conn, const PGresult *result, ez_error *error);
// The connection itself failed: fills error from it, then drops it.
ez_status ez_pg_lost(ez_pg_conn *conn, ez_error *error);
// A transaction that lost against another one: worth another try.
bool ez_pg_is_conflict(const PGresult *result);

// ---- params.c
void ez_pg_put_int(ez_pg_params *params, int64_t value);
void ez_pg_put_text(ez_pg_params *params, const char *value);
void ez_pg_put_bytes(ez_pg_params *params, const void *data, size_t len); // data NULL and len 0: NULL
int64_t ez_pg_int(const PGresult *result, int row, int column);
ez_slice ez_pg_bytes(const PGresult *result, int row, int column);
ez_status ez_pg_hash(const ez_pg_conn *conn, const PGresult *result, int row, int column, uint8_t out[EZ_SHA256_LEN],
                     ez_error *error) EZ_MUST_CHECK;
static inline void ez_pg_result_free(PGresult **result) {
    PQclear(*result);
}
#define ez_pg_autoclear __attribute__((cleanup(ez_pg_result_free)))

// ---- schema.c
ez_status ez_pg_migrate(ez_pg_conn *conn, const ez_store_options *options, uint64_t deadline,
                        ez_error *error) EZ_MUST_CHECK;

// ---- read.c, commit.c, trim.c: operations of backend.h
ez_status ez_pg_read_head(void *db, ez_store_head *out, ez_error *error);
ez_status ez_pg_each_row(void *db, int kind, ez_store_row_fn *each, void *user, ez_error *error);
ez_status ez_pg_each_change(void *db, uint64_t after, uint64_t until, size_t limit, ez_store_change_fn *each,
                            void *user, ez_error *error);
ez_status ez_pg_oldest_change(void *db, uint64_t *out, ez_error *error);
ez_status ez_pg_find_idempotent(void *db, const uint8_t key[EZ_SHA256_LEN], ez_arena *arena, ez_store_idempotent *out,
                                bool *found, ez_error *error);
ez_status ez_pg_reader_each_audit(void *reader, const ez_audit_filter *filter, ez_store_audit_fn *each, void *user,
                                  ez_error *error);
ez_status ez_pg_reader_each_change(void *reader, uint64_t after_n, uint32_t after_seq, size_t limit,
                                   ez_store_change_fn *each, void *user, ez_error *error);
ez_status ez_pg_reader_oldest_change(void *reader, uint64_t *out, ez_error *error);
ez_status ez_pg_reader_ping(void *reader, ez_error *error);
ez_status ez_pg_commit(void *db, const ez_store_commit_group *group, const uint32_t *latest, size_t latest_count,
                       ez_error *error);
ez_status ez_pg_hold_head(void *db, ez_error *error);
void ez_pg_release_head(void *db);
ez_status ez_pg_trim(void *db, uint64_t fence, uint64_t keep_from, int64_t before_ns, size_t max_rows, bool *more,
                     ez_error *error);

// ---- lease.c: operations of backend.h
ez_status ez_pg_take_lease(void *db, const char *holder, uint32_t ttl_ms, uint32_t timeout_ms, ez_store_lease *out,
                           ez_error *error);
ez_status ez_pg_drop_lease(void *db, const char *holder, uint32_t timeout_ms, ez_error *error);

// servers.c: as in servers.h
ez_status ez_pg_beat_server(void *db, const ez_store_server *self, int64_t forget_ns, ez_store_server_fn *each,
                            void *user, ez_error *error);
ez_status ez_pg_remove_server(void *db, const char *id, ez_error *error);

// What every writing transaction sets for itself: bounds on the server's side, so that a server of ours that was
// stopped half-way does not keep the head locked, and no acknowledgement before the disk.
extern const char ez_pg_settings[];
