// SPDX-License-Identifier: Apache-2.0
//
// What the PostgreSQL files behind alerts.h share.
#pragma once

#include "server/state/store/alert_query.h"
#include "server/state/store/postgres/attempt.h"

// ---- alerts.c, alert_trim.c: operations of backend.h
ez_status ez_pg_change_alerts(void *db, ez_alert_batch *batches, size_t count, const ez_alert_rules *rules,
                              int64_t now_ns, ez_error *error);
ez_status ez_pg_trim_alerts(void *db, uint64_t fence, const ez_alert_limits *limits, size_t max_rows, bool *more,
                            ez_error *error);
// The head of the table, locked: one transaction at a time changes alerts, across servers.
ez_status ez_pg_push_lock_alert_head(ez_pg_attempt *try, ez_error *error) EZ_MUST_CHECK;
ez_status ez_pg_push_alert_head(ez_pg_attempt *try, int64_t next_id, int64_t total, ez_error *error) EZ_MUST_CHECK;
ez_status ez_pg_push_alert_counts(ez_pg_attempt *try, const ez_alert_counts *deltas, ez_error *error) EZ_MUST_CHECK;

// ---- alert_read.c
ez_alert_row ez_pg_alert_at(const PGresult *result, int row);
ez_status ez_pg_reader_each_alert(void *reader, const ez_alert_filter *filter, ez_alert_fn *each, void *user,
                                  bool *more, int64_t *at_id, ez_error *error);
ez_status ez_pg_reader_find_alert(void *reader, int64_t id, ez_alert_fn *each, void *user, ez_error *error);
ez_status ez_pg_reader_count_alerts(void *reader, ez_alert_counts *out, ez_error *error);
