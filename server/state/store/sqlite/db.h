// SPDX-License-Identifier: Apache-2.0
//
// What the files of the SQLite backend share. ez_sqlite is the one connection that writes and checkpoints;
// ez_sqlite_conn alone is also a reader. Nothing here locks: a connection belongs to one thread at a time (store.c).
#pragma once

#include <sqlite3.h>

#include "server/state/store/backend.h"
#include "server/state/store/sql.h"

#define EZ_SQLITE_BUSY_MS          5000  // nobody else writes: only recovery after a crash makes us wait
#define EZ_SQLITE_CACHE_KIB        32768 // page cache of the writing connection
#define EZ_SQLITE_READER_CACHE_KIB 2048
#define EZ_SQLITE_CHECKPOINT_PAGES 4000       // 16 MiB of log between checkpoints
#define EZ_SQLITE_LOG_KEEP_BYTES   (64 << 20) // a log that a long reader made grow is cut back to this

// Statements that are kept.
typedef enum ez_sqlite_slot {
    EZ_SQLITE_BEGIN,
    EZ_SQLITE_COMMIT,
    EZ_SQLITE_ROLLBACK,
    EZ_SQLITE_MOVE_HEAD,
    EZ_SQLITE_MOVE_CHAIN,
    EZ_SQLITE_PUT_CHANGE,
    EZ_SQLITE_PUT_AUDIT,
    EZ_SQLITE_PUT_IDEMPOTENT,
    EZ_SQLITE_PUT_COUNTER,
    EZ_SQLITE_READ_HEAD,
    EZ_SQLITE_READ_COUNTERS,
    EZ_SQLITE_OLDEST_CHANGE,
    EZ_SQLITE_EACH_CHANGE,
    EZ_SQLITE_PAGE_CHANGE,
    EZ_SQLITE_FIND_IDEMPOTENT,
    EZ_SQLITE_TRIM_IDEMPOTENT,
    EZ_SQLITE_TRIM_BOUND,
    EZ_SQLITE_TRIM_CHANGES,
    EZ_SQLITE_TRIM_OLDEST,
    EZ_SQLITE_PING,
    EZ_SQLITE_CHECK_FENCE,
    EZ_SQLITE_READ_MARK,
    EZ_SQLITE_PUT_MARK,
    EZ_SQLITE_TAKE_LOG_IDS,
    EZ_SQLITE_PUT_LOG,
    EZ_SQLITE_PUT_LOG_BODY,
    EZ_SQLITE_ADD_LOG_DAY,
    EZ_SQLITE_COUNT_LOGS,
    EZ_SQLITE_ADD_ROLLUP,
    EZ_SQLITE_READ_OPEN,
    EZ_SQLITE_PUT_OPEN,
    EZ_SQLITE_DELETE_OPEN,
    EZ_SQLITE_HAS_ROLLUPS,
    EZ_SQLITE_READ_ROLLUPS,
    EZ_SQLITE_DELETE_ROLLUPS,
    EZ_SQLITE_EACH_LOG_DAY,
    EZ_SQLITE_LOG_BOUND,
    EZ_SQLITE_DELETE_LOGS,
    EZ_SQLITE_DELETE_LOG_BODIES,
    EZ_SQLITE_TAKE_LOG_DAY,
    EZ_SQLITE_DELETE_LOG_DAY,
    EZ_SQLITE_MOVE_EDGES,
    EZ_SQLITE_TRIM_ROLLUPS,
    EZ_SQLITE_TRIM_MARKS,
    EZ_SQLITE_PUT_DELIVERY,
    EZ_SQLITE_TRIM_DELIVERIES,
    EZ_SQLITE_ALERT_HEAD,
    EZ_SQLITE_MOVE_ALERT_HEAD,
    EZ_SQLITE_LET_ALERT_GO,
    EZ_SQLITE_UPSERT_ALERT,
    EZ_SQLITE_ALERT_BY_ID,
    EZ_SQLITE_ALERT_BY_HOLDER,
    EZ_SQLITE_PUT_ALERT,
    EZ_SQLITE_DELETE_ALERT,
    EZ_SQLITE_ADD_ALERT_COUNT,
    EZ_SQLITE_ENDED_ALERTS,
    EZ_SQLITE_PUT_ROW,                                           // + kind
    EZ_SQLITE_DELETE_ROW = EZ_SQLITE_PUT_ROW + EZ_KIND_COUNT,    // + kind
    EZ_SQLITE_READ_USAGE = EZ_SQLITE_DELETE_ROW + EZ_KIND_COUNT, // + ez_usage_table, as the next two
    EZ_SQLITE_PUT_USAGE = EZ_SQLITE_READ_USAGE + EZ_USAGE_TABLES,
    EZ_SQLITE_EACH_USAGE = EZ_SQLITE_PUT_USAGE + EZ_USAGE_TABLES,
    EZ_SQLITE_SLOTS = EZ_SQLITE_EACH_USAGE + EZ_USAGE_TABLES,
} ez_sqlite_slot;

typedef struct ez_sqlite_conn {
    sqlite3 *db;
    const char *path; // the ez_sqlite's
    sqlite3_stmt *kept[EZ_SQLITE_SLOTS];
} ez_sqlite_conn;

typedef struct ez_sqlite {
    ez_sqlite_conn conn;
    char *path;
    int lock_fd;                    // PATH.lock, held by flock; -1: not held
    int64_t next_id[EZ_KIND_COUNT]; // as last committed; 0: not known
    struct ez_rollup *rollup;       // that of a batch, made when first needed
} ez_sqlite;

// ---- conn.c
// Opens the file and sets the connection up; writer: may write. The file exists already.
ez_status ez_sqlite_conn_open(ez_sqlite_conn *conn, const char *path, bool writer, ez_error *error) EZ_MUST_CHECK;
void ez_sqlite_conn_close(ez_sqlite_conn *conn);
// The statement of a slot, made at its first use. text is NULL for slots whose text is fixed.
ez_status ez_sqlite_kept(ez_sqlite_conn *conn, ez_sqlite_slot slot, sqlite3_stmt **out, ez_error *error) EZ_MUST_CHECK;
ez_status ez_sqlite_prepare(ez_sqlite_conn *conn, const char *text, sqlite3_stmt **out, ez_error *error) EZ_MUST_CHECK;
// Lets go of what statements were given: slices are the caller's, and gone after its call.
void ez_sqlite_forget_bindings(ez_sqlite_conn *conn);
// Runs one statement, or a kept one, that gives no rows.
ez_status ez_sqlite_exec(ez_sqlite_conn *conn, const char *text, ez_error *error) EZ_MUST_CHECK;
ez_status ez_sqlite_run(ez_sqlite_conn *conn, sqlite3_stmt *statement, ez_error *error) EZ_MUST_CHECK;
ez_status ez_sqlite_run_kept(ez_sqlite_conn *conn, ez_sqlite_slot slot, ez_error *error) EZ_MUST_CHECK;
// A kept one whose parameters are integers.
ez_status ez_sqlite_run_numbers(ez_sqlite_conn *conn, ez_sqlite_slot slot, const int64_t *numbers, int count,
                                ez_error *error) EZ_MUST_CHECK;
// Steps to a row that is always there. DATA_LOSS where it is not. The caller resets.
ez_status ez_sqlite_step_row(ez_sqlite_conn *conn, sqlite3_stmt *statement, ez_error *error) EZ_MUST_CHECK;
// The end of a transaction in which status came about: commits, or, where that or what was before it failed, leaves it.
ez_status ez_sqlite_end(ez_sqlite_conn *conn, ez_status status, ez_error *error) EZ_MUST_CHECK;
// Leaves any transaction; never fails: an error that SQLite rolled back by itself is fine.
void ez_sqlite_rollback(ez_sqlite_conn *conn);
// Fills error from the connection's last fault.
ez_status ez_sqlite_fail(ez_sqlite_conn *conn, int code, ez_error *error);

// Empty bytes are bound as such, not as NULL.
int ez_sqlite_bind_bytes(sqlite3_stmt *statement, int at, const void *data, size_t len);
int ez_sqlite_bind_text(sqlite3_stmt *statement, int at, const char *text); // NULL: ""
int ez_sqlite_bind_slice(sqlite3_stmt *statement, int at, ez_slice text);   // as text
ez_slice ez_sqlite_bytes(sqlite3_stmt *statement, int column);              // valid until the next step
// Copies exactly 32 bytes. DATA_LOSS where the column holds another length.
ez_status ez_sqlite_hash(ez_sqlite_conn *conn, sqlite3_stmt *statement, int column, uint8_t out[EZ_SHA256_LEN],
                         ez_error *error) EZ_MUST_CHECK;

// ---- file.c
// Makes the folder and the file where they are missing and takes the lock. FAILED_PRECONDITION: another process has it.
ez_status ez_sqlite_file_open(const char *path, int *lock_fd, ez_error *error) EZ_MUST_CHECK;
void ez_sqlite_file_close(int lock_fd);

// ---- schema.c
ez_status ez_sqlite_migrate(ez_sqlite_conn *conn, const ez_store_options *options, ez_error *error) EZ_MUST_CHECK;

// ---- read.c, commit.c: operations of backend.h
ez_status ez_sqlite_read_head(void *db, ez_store_head *out, ez_error *error);
ez_status ez_sqlite_each_row(void *db, int kind, ez_store_row_fn *each, void *user, ez_error *error);
ez_status ez_sqlite_each_change(void *db, uint64_t after, uint64_t until, size_t limit, ez_store_change_fn *each,
                                void *user, ez_error *error);
ez_status ez_sqlite_oldest_change(void *db, uint64_t *out, ez_error *error);
ez_status ez_sqlite_find_idempotent(void *db, const uint8_t key[EZ_SHA256_LEN], ez_arena *arena,
                                    ez_store_idempotent *out, bool *found, ez_error *error);
ez_status ez_sqlite_reader_each_audit(void *reader, const ez_audit_filter *filter, ez_store_audit_fn *each, void *user,
                                      ez_error *error);
ez_status ez_sqlite_reader_each_change(void *reader, uint64_t after_n, uint32_t after_seq, size_t limit,
                                       ez_store_change_fn *each, void *user, ez_error *error);
ez_status ez_sqlite_reader_oldest_change(void *reader, uint64_t *out, ez_error *error);
ez_status ez_sqlite_reader_ping(void *reader, ez_error *error);
ez_status ez_sqlite_commit(void *db, const ez_store_commit_group *group, const uint32_t *latest, size_t latest_count,
                           ez_error *error);
ez_status ez_sqlite_trim(void *db, uint64_t fence, uint64_t keep_from, int64_t before_ns, size_t max_rows, bool *more,
                         ez_error *error);

// ---- audits.c, within a transaction
// Gives the entries their place behind the newest one.
ez_status ez_sqlite_chain_audits(ez_sqlite_conn *conn, ez_store_audit *audits, size_t count,
                                 ez_error *error) EZ_MUST_CHECK;
ez_status ez_sqlite_put_audits(ez_sqlite_conn *conn, const ez_store_audit *audits, size_t count,
                               ez_error *error) EZ_MUST_CHECK;
// The newest entry is now this one: for entries that come without a revision.
ez_status ez_sqlite_move_chain(ez_sqlite_conn *conn, const ez_store_audit *newest, ez_error *error) EZ_MUST_CHECK;

// ---- lease.c: operations of backend.h; and, within a transaction, ABORTED (LEASE_LOST) where the fence is stale
ez_status ez_sqlite_take_lease(void *db, const char *holder, uint32_t ttl_ms, uint32_t timeout_ms, ez_store_lease *out,
                               ez_error *error);
ez_status ez_sqlite_drop_lease(void *db, const char *holder, uint32_t timeout_ms, ez_error *error);
ez_status ez_sqlite_check_fence(ez_sqlite_conn *conn, uint64_t fence, ez_error *error) EZ_MUST_CHECK;
