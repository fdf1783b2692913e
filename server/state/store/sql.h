// SPDX-License-Identifier: Apache-2.0
//
// The SQL that both databases take as it stands, and the small arithmetic around it. Parameters are $1, $2, … and first
// appear in that order in each text: SQLite numbers them by appearance, PostgreSQL by name. Pure functions and
// constants.
#pragma once

#include "server/state/store/store.h"
#include "server/state/store/sync.h"

#define EZ_STORE_PAGE_MAX 10000 // most rows one reader's query gives, whatever limit it asks for

// "masters" …; NULL where kind is none.
const char *ez_sql_table(int kind);

// Where a query's bound is past what a BIGINT holds, it is no bound.
static inline int64_t ez_sql_n(uint64_t n) {
    return n > INT64_MAX ? INT64_MAX : (int64_t)n;
}

// A fence was stale: ABORTED (LEASE_LOST).
ez_status ez_sql_lease_lost(ez_error *error);

extern const char ez_sql_read_head[];     // epoch, n, next_audit_id, audit_hash
extern const char ez_sql_move_chain[];    // $1 next_audit_id, $2 audit_hash
extern const char ez_sql_read_counters[]; // kind, next_id
extern const char ez_sql_oldest_change[]; // oldest
extern const char
    ez_sql_each_change[]; // $1 < n <= $2, $3 rows: n, seq, kind, id, op, secret_version, time_ns, data, sealed
extern const char ez_sql_page_change[];       // (n, seq) > ($1, $2), $3 rows: the same without the last two
extern const char ez_sql_find_idempotent[];   // $1 key: request_hash, revision, time_ns, reply
extern const char ez_sql_trim_idempotent[];   // $1 time_ns, $2 rows
extern const char ez_sql_read_sync[];         // the state's columns, in the order of sync.h
extern const char ez_sql_write_sync[];        // the same; no row where a greater fence has written
extern const char ez_sql_each_sync_due[];     // a due row's columns
extern const char ez_sql_put_sync_due[];      // likewise
extern const char ez_sql_delete_sync_due[];   // kind, id
ez_status ez_sql_claim_lost(ez_error *error); // ABORTED (CLAIM_LOST)
ez_status ez_sql_token_shared(int64_t api_key_id, ez_error *error); // ALREADY_EXISTS (REFRESH_TOKEN_SHARED)
ez_status ez_sql_fenced(ez_error *error);                           // ABORTED (FENCED)
extern const char ez_sql_open_steps[];                              // step, time_s, from_s, until_s, folded, ascending
extern const char ez_sql_each_log_day[];                            // day, records, ascending
extern const char ez_sql_count_logs[];                              // records, time_ns of the oldest or 0

// The audit query for a filter: id < $1, time_ns >= $2, time_ns < $3, then the texts that are given, in order, then
// the limit. Columns: id, time_ns, revision, actor, method, resource, request, request_id, remote, previous_hash, hash.
#define EZ_SQL_AUDIT_MAX 640
typedef struct ez_sql_audit {
    char text[EZ_SQL_AUDIT_MAX];
    int64_t before_id, since_ns, until_ns, limit;
    const char *texts[3];
    unsigned text_count;
} ez_sql_audit;
void ez_sql_audit_build(const ez_audit_filter *filter, ez_sql_audit *out);

// The columns of ez_rollup_sums in its order, each through a macro that makes a text of it, joined by commas.
#define EZ_SQL_EACH_SUM(text)                                                                                                                                                                 \
    text(requests) ", " text(errors) ", " text(rate_limited) ", " text(tokens_in) ", " text(tokens_out) ", " text(cost_nano_usd) ", " text(latency_ms) ", " text(h0) ", " text(h1) ", " text( \
        h2) ", " text(h3) ", " text(h4) ", " text(h5) ", " text(h6) ", " text(h7) ", " text(h8) ", " text(h9) ","                                                                             \
                                                                                                              " " text(h10) ", " text(h11) ", " text(h12) ", " text(                          \
                                                                                                                  h13) ", " text(h14) ", " text(h15)
#define EZ_SQL_NAME(column) #column
#define EZ_SQL_SUM_MAX      "4000000000000000000" // EZ_USAGE_SUM_MAX
#define EZ_SQL_SUM_COUNT    23

#define EZ_SQL_LOG_COLUMNS                                                                                             \
    "time_ns, id, received_ns, data_plane_id, request_id, master_id, key_id, namespace, model, upstream_model, "       \
    "group_id, api_key_id, provider_type, status_code, latency_ms, ttft_ms, tokens_in, tokens_out, cached_tokens, "    \
    "reasoning_tokens, cost_nano_usd, client_ip, request_bytes, response_bytes, error_message, stream, has_body"
#define EZ_SQL_LOG_COLUMN_COUNT 27
