// SPDX-License-Identifier: Apache-2.0
//
// What a statistics query asks of the table rollups: the level that tells enough apart and no more, and the SQL text
// for a plan. Pure.
#pragma once

#include "proto/runtime/buf.h"
#include "server/state/store/stats_plan.h"

// The columns of ez_rollup_sums, in its order.
#define EZ_STATS_SUMS 23
extern const char *const ez_stats_columns[EZ_STATS_SUMS];
_Static_assert(sizeof(ez_rollup_sums) == EZ_STATS_SUMS * sizeof(int64_t), "sums are read as an array");

typedef struct ez_stats_ask {
    ez_rollup_level level;
    int coarsest;      // step, as ez_stats_plan_build takes it
    const char *group; // the SQL expression that a row's group is; "model" is a text, all others are integers
    bool is_by_model, is_by_time;
} ez_stats_ask;

// INVALID_ARGUMENT (FILTERS_DO_NOT_MIX).
ez_status ez_stats_ask_make(const ez_stats_query *query, ez_stats_ask *out, ez_error *error) EZ_MUST_CHECK;

#define EZ_STATS_TEXT_MAX 131072 // EZ_STATS_SEGMENTS of about 500 bytes, 4,000 times, and what goes around them

typedef enum ez_stats_dialect { EZ_STATS_SQLITE, EZ_STATS_POSTGRES } ez_stats_dialect;

// How many sums a query asks for, from the first.
size_t ez_stats_sums_of(const ez_stats_query *query);

// The rows that a plan names, one SELECT a segment, joined by UNION ALL: "grouped" and the columns of the sums; with
// tells_owner also "owner". Numbers stand in the text; the model, where the query names one, is $1. RESOURCE_EXHAUSTED
// where there is no memory.
ez_status ez_stats_rows_text(const ez_stats_query *query, const ez_stats_ask *ask, const ez_stats_plan *plan,
                             ez_stats_dialect dialect, ez_buf *out, ez_error *error) EZ_MUST_CHECK;

// Which rows a key's or an API key's minute is.
ez_status ez_stats_minute_text(ez_stats_by by, int64_t minute_s, ez_buf *out, ez_error *error) EZ_MUST_CHECK;

extern const char ez_sql_log_edges[]; // minutes_from_s, hours_from_s
