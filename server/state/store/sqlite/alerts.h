// SPDX-License-Identifier: Apache-2.0
//
// What the SQLite files behind alerts.h share.
#pragma once

#include "server/state/store/alert_query.h"
#include "server/state/store/sqlite/db.h"

extern const char ez_sqlite_upsert_alert[];

// ---- alerts.c, alert_trim.c: operations of backend.h
ez_status ez_sqlite_change_alerts(void *db, ez_alert_batch *batches, size_t count, const ez_alert_rules *rules,
                                  int64_t now_ns, ez_error *error);
ez_status ez_sqlite_trim_alerts(void *db, uint64_t fence, const ez_alert_limits *limits, size_t max_rows, bool *more,
                                ez_error *error);
// Adds to the counts, within a transaction.
ez_status ez_sqlite_add_alert_counts(ez_sqlite_conn *conn, const ez_alert_counts *deltas,
                                     ez_error *error) EZ_MUST_CHECK;
ez_status ez_sqlite_read_alert_head(ez_sqlite_conn *conn, int64_t *next_id, int64_t *total,
                                    ez_error *error) EZ_MUST_CHECK;
ez_status ez_sqlite_write_alert_head(ez_sqlite_conn *conn, int64_t next_id, int64_t total,
                                     ez_error *error) EZ_MUST_CHECK;

// ---- alert_read.c
// The row that a statement stands at; its texts are gone at the next step.
ez_status ez_sqlite_alert_at(ez_sqlite_conn *conn, sqlite3_stmt *statement, ez_alert_row *out,
                             ez_error *error) EZ_MUST_CHECK;
ez_status ez_sqlite_reader_each_alert(void *reader, const ez_alert_filter *filter, ez_alert_fn *each, void *user,
                                      bool *more, int64_t *at_id, ez_error *error);
ez_status ez_sqlite_reader_find_alert(void *reader, int64_t id, ez_alert_fn *each, void *user, ez_error *error);
ez_status ez_sqlite_reader_count_alerts(void *reader, ez_alert_counts *out, ez_error *error);
