// SPDX-License-Identifier: Apache-2.0
//
// What the PostgreSQL files behind meter.h share.
#pragma once

#include "server/state/store/marks.h"
#include "server/state/store/postgres/attempt.h"
#include "server/state/store/postgres/known.h"
#include "server/state/store/rollup.h"

// ---- marks.c, within a transaction that no other server's of the stream runs beside
ez_status ez_pg_push_read_marks(ez_pg_attempt *try, ez_stream stream, const ez_marks *marks,
                                ez_error *error) EZ_MUST_CHECK;
void ez_pg_take_marks(ez_marks *marks, const PGresult *result);
// Those that were moved.
ez_status ez_pg_push_write_marks(ez_pg_attempt *try, ez_stream stream, const ez_marks *marks, int64_t now_ns,
                                 ez_error *error) EZ_MUST_CHECK;

// ---- usage.c: operations of backend.h
ez_status ez_pg_add_usage(void *db, ez_usage_batch *batches, size_t count, int64_t now_ns, ez_usage_total_fn *total,
                          void *user, ez_error *error);
ez_status ez_pg_each_usage(void *db, ez_usage_table table, ez_usage_total_fn *each, void *user, ez_error *error);
ez_status ez_pg_usage_since(void *db, ez_usage_table table, int64_t since_ns, int64_t after, int64_t until,
                            ez_usage_total_fn *each, void *user, ez_error *error);

// ---- logs.c: operations of backend.h
// next_id, minutes_from_s, hours_from_s: one transaction at a time that adds, folds or forgets, across servers.
extern const char ez_pg_lock_log_head[];
ez_status ez_pg_add_logs(void *db, ez_log_batch *batches, size_t count, int64_t now_ns, ez_error *error);
ez_status ez_pg_count_logs(void *db, int64_t *records, int64_t *oldest_ns, ez_error *error);

// ---- rollups.c
// Adds a rollup's rows to the table, counts their records to the days, and empties it.
// *updates goes up by the rows that the pipeline's UPDATEs must find: what was known was wrong where they find fewer.
ez_status ez_pg_push_rollups(ez_pg_attempt *try, ez_rollup *rollup, ez_pg_known *known, size_t *updates,
                             ez_error *error) EZ_MUST_CHECK;
ez_status ez_pg_fold_rollups(void *db, uint64_t fence, int64_t now_ns, bool *more, ez_error *error);

// ---- open_steps.c
// The answer to ez_sql_open_steps, in place of what is there.
ez_status ez_pg_take_open(ez_open_steps *steps, const PGresult *result, ez_error *error) EZ_MUST_CHECK;
// Those that are new.
ez_status ez_pg_push_open(ez_pg_attempt *try, const ez_open_steps *steps, ez_error *error) EZ_MUST_CHECK;
// After a piece was folded.
ez_status ez_pg_push_moved(ez_pg_attempt *try, const ez_open_step *open, ez_error *error) EZ_MUST_CHECK;

// ---- retention.c
ez_status ez_pg_trim_logs(void *db, uint64_t fence, const ez_log_limits *limits, int64_t now_ns, size_t max_rows,
                          bool *more, ez_error *error);

// ---- deliveries.c
ez_status ez_pg_put_delivery(void *db, const ez_delivery *delivery, ez_error *error);
