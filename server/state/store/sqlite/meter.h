// SPDX-License-Identifier: Apache-2.0
//
// What the SQLite files behind meter.h share.
#pragma once

#include "server/state/store/marks.h"
#include "server/state/store/rollup.h"
#include "server/state/store/sqlite/db.h"

// ---- marks.c, within a transaction
ez_status ez_sqlite_read_marks(ez_sqlite_conn *conn, ez_stream stream, ez_marks *marks, ez_error *error) EZ_MUST_CHECK;
// Those that were moved.
ez_status ez_sqlite_write_marks(ez_sqlite_conn *conn, ez_stream stream, const ez_marks *marks, int64_t now_ns,
                                ez_error *error) EZ_MUST_CHECK;

// ---- usage.c: operations of backend.h
ez_status ez_sqlite_add_usage(void *db, ez_usage_batch *batches, size_t count, int64_t now_ns, ez_usage_total_fn *total,
                              void *user, ez_error *error);
ez_status ez_sqlite_each_usage(void *db, ez_usage_table table, ez_usage_total_fn *each, void *user, ez_error *error);

// ---- logs.c: operations of backend.h
extern const char ez_sqlite_take_log_ids[], ez_sqlite_put_log[];
ez_status ez_sqlite_add_logs(void *db, ez_log_batch *batches, size_t count, int64_t now_ns, ez_error *error);
ez_status ez_sqlite_count_logs(void *db, int64_t *records, int64_t *oldest_ns, ez_error *error);

// ---- rollups.c
extern const char ez_sqlite_add_rollup[], ez_sqlite_read_rollups[];
// Adds a rollup's rows to the table, counts their records to the days, and empties it.
ez_status ez_sqlite_add_rollups(ez_sqlite_conn *conn, ez_rollup *rollup, ez_error *error) EZ_MUST_CHECK;
ez_status ez_sqlite_fold_rollups(void *db, uint64_t fence, int64_t now_ns, bool *more, ez_error *error);

// ---- open_steps.c, within a transaction: all that there are, in place of what is there; those that are new
ez_status ez_sqlite_read_open(ez_sqlite_conn *conn, ez_open_steps *steps, ez_error *error) EZ_MUST_CHECK;
ez_status ez_sqlite_write_open(ez_sqlite_conn *conn, const ez_open_steps *steps, ez_error *error) EZ_MUST_CHECK;
// After a piece was folded.
ez_status ez_sqlite_move_open(ez_sqlite_conn *conn, const ez_open_step *open, ez_error *error) EZ_MUST_CHECK;

// ---- retention.c
extern const char ez_sqlite_move_edges[], ez_sqlite_trim_rollups[];
ez_status ez_sqlite_trim_logs(void *db, uint64_t fence, const ez_log_limits *limits, int64_t now_ns, size_t max_rows,
                              bool *more, ez_error *error);

// ---- deliveries.c
ez_status ez_sqlite_put_delivery(void *db, const ez_delivery *delivery, ez_error *error);
