// SPDX-License-Identifier: Apache-2.0
//
// What the SQLite files behind meter.h share.
#pragma once

#include "server/state/store/marks.h"
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
