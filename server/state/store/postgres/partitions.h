// SPDX-License-Identifier: Apache-2.0
//
// The daily partitions of log_records and log_bodies: made and dropped in transactions that hold log_head's row, so
// that servers never make or drop one at the same time. What is known of them is remembered; another server may drop
// one, so that what is remembered may be wrong, and the COPY that finds it out forgets it all.
#pragma once

#include "server/state/store/postgres/attempt.h"

typedef struct ez_pg_partitions {
    int64_t *days; // since 1970, ascending
    size_t count, room;
    bool is_known;
} ez_pg_partitions;

void ez_pg_partitions_fini(ez_pg_partitions *partitions);
void ez_pg_partitions_forget(ez_pg_partitions *partitions);
// Makes those of the days that are missing, in the caller's transaction; days ascending. To be forgotten where that
// fails.
ez_status ez_pg_partitions_ensure(ez_pg_partitions *partitions, ez_pg_attempt *try, const int64_t *days, size_t count,
                                  ez_error *error) EZ_MUST_CHECK;
// Reads them.
ez_status ez_pg_partitions_load(ez_pg_partitions *partitions, ez_pg_attempt *try, ez_error *error) EZ_MUST_CHECK;

// "20261126"
#define EZ_PG_DAY_MAX 16
void ez_pg_day_name(int64_t day, char out[EZ_PG_DAY_MAX]);
