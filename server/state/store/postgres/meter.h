// SPDX-License-Identifier: Apache-2.0
//
// What the PostgreSQL files behind meter.h share.
#pragma once

#include "server/state/store/marks.h"
#include "server/state/store/postgres/attempt.h"

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
