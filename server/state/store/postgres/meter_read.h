// SPDX-License-Identifier: Apache-2.0
//
// The reader's operations behind meter.h, on PostgreSQL: log_read.c, stats_read.c, delivery_read.c.
#pragma once

#include "server/state/store/postgres/db.h"

ez_status ez_pg_reader_each_log(void *reader, const ez_log_filter *filter, ez_log_fn *each, void *user, bool *more,
                                int64_t *at_ns, int64_t *at_id, ez_error *error);
ez_status ez_pg_reader_each_stat(void *reader, const ez_stats_query *query, ez_stats_fn *each, void *user,
                                 ez_error *error);
ez_status ez_pg_reader_each_of_minute(void *reader, ez_stats_by by, int64_t minute_s, ez_minute_fn *each, void *user,
                                      ez_error *error);
ez_status ez_pg_reader_each_delivery(void *reader, const ez_delivery_query *query, ez_delivery_fn *each, void *user,
                                     ez_error *error);
