// SPDX-License-Identifier: Apache-2.0
//
// The store's door for what data planes give back: usage counters, request logs, their rollups. None of it is
// configuration: it takes no revision. What makes it count once is the mark: the highest sequence taken of (data plane,
// process epoch, stream), read and moved in the transaction that adds the data.
//
// Threads. One thread at a time per stream (ez_store_add_usage; ez_store_add_logs and what keeps the log tables:
// folding, trimming), beside the writer's: PostgreSQL has a connection for each; SQLite has one for everything, behind
// a lock, so a step that is not urgent is short. Readers as in store.h.
#pragma once

#include "server/state/store/store.h"

typedef enum ez_stream { EZ_STREAM_USAGE = 1, EZ_STREAM_LOGS = 2, EZ_STREAM_ALERTS = 3 } ez_stream;

// ---- Marks

typedef enum ez_mark_outcome {
    EZ_MARK_TAKEN,    // new: the batch was added
    EZ_MARK_REPEATED, // was there: nothing was added
    EZ_MARK_GAP,      // an earlier one is missing: nothing was added; "expected" says which
} ez_mark_outcome;

typedef struct ez_mark {
    int64_t data_plane_id;
    uint64_t epoch;          // 0: no mark, the batch counts each time
    uint64_t sequence;       // 1, 2, …
    bool is_key;             // of an Idempotency-Key: apart from those of processes, and kept for a day only
    ez_mark_outcome outcome; // result
    uint64_t expected;       // result, of a gap
} ez_mark;

static inline bool ez_mark_is_repeated(const ez_mark *mark) {
    return mark->epoch && mark->outcome == EZ_MARK_REPEATED;
}

// ---- Usage

typedef enum ez_usage_table {
    EZ_USAGE_KEYS,
    EZ_USAGE_API_KEYS,
    EZ_USAGE_GROUPS,
    EZ_USAGE_MASTERS,
    EZ_USAGE_TABLES,
} ez_usage_table;

// Sums never pass EZ_USAGE_SUM_MAX: they stay there.
#define EZ_USAGE_SUM_MAX INT64_C(4000000000000000000)

typedef struct ez_usage_sums {
    int64_t requests, success, failure, tokens_in, tokens_out, quota_used, rate_limited;
    int64_t last_used_ns; // the latest, not a sum; never 0 in what is added
} ez_usage_sums;

// What part has of all that was counted, 0 … 1. A request may be counted in one flush and its outcome in the next, or
// never: the whole is requests, or the outcomes where those are more.
static inline double ez_usage_share(int64_t part, int64_t requests, int64_t success, int64_t failure) {
    double outcomes = (double)success + (double)failure;
    double whole = (double)requests > outcomes ? (double)requests : outcomes;
    return whole > 0 ? (double)part / whole : 0;
}

typedef struct ez_usage_row {
    ez_usage_table table;
    int64_t id;
    ez_usage_sums add; // ≥ 0 each
} ez_usage_row;

typedef struct ez_usage_batch {
    ez_mark mark;
    const ez_usage_row *rows; // any order; a (table, id) may come more than once
    size_t row_count;
} ez_usage_batch;

// What a row stands at after a commit, other servers' additions included.
typedef void ez_usage_total_fn(void *user, ez_usage_table table, int64_t id, const ez_usage_sums *total);

// Adds batches, in order, in one transaction; each one's mark says what became of it. Several of one data plane may
// follow each other. After OK it is durable, and total was called once for each (table, id) that was added to. On an
// error nothing was added. UNAVAILABLE (COMMIT_UNKNOWN) as in ez_store_commit: the marks of a repeat tell.
ez_status ez_store_add_usage(ez_store *store, ez_usage_batch *batches, size_t count, int64_t now_ns,
                             ez_usage_total_fn *total, void *user, ez_error *error) EZ_MUST_CHECK;
// Every row of a table, any order; at start. As ez_store_each_row.
ez_status ez_store_each_usage(ez_store *store, ez_usage_table table, ez_usage_total_fn *each, void *user,
                              ez_error *error) EZ_MUST_CHECK;

// Of ids after < id <= until those that were added to at or after since_ns, which others may have done: rows carry the
// time of their last addition. Nothing where this server is the only one. As ez_store_add_usage.
ez_status ez_store_usage_since(ez_store *store, ez_usage_table table, int64_t since_ns, int64_t after, int64_t until,
                               ez_usage_total_fn *each, void *user, ez_error *error) EZ_MUST_CHECK;

// ---- Logs

typedef struct ez_log_row {
    int64_t id; // result of a query
    int64_t time_ns, received_ns;
    int64_t data_plane_id, master_id, key_id, group_id, api_key_id;
    ez_slice request_id, namespace, model, upstream_model, provider_type, client_ip, error_message; // UTF-8
    int32_t status_code;
    int64_t latency_ms, ttft_ms, tokens_in, tokens_out, cached_tokens, reasoning_tokens, cost_nano_usd;
    int64_t request_bytes, response_bytes;
    bool stream;
    ez_slice body; // empty: none
} ez_log_row;

typedef struct ez_log_batch {
    ez_mark mark;
    const ez_log_row *rows;
    size_t row_count;
} ez_log_batch;

// As ez_store_add_usage: records, bodies, rollups and marks in one transaction. INVALID_ARGUMENT (LOG_TIME): a record
// of before 1970 or after EZ_LOG_DAY_MAX. Each day that has records costs PostgreSQL two tables: how old a record may
// be is the caller's to say.
#define EZ_LOG_DAY_MAX 106750 // days since 1970: what fits 64 bits of nanoseconds
ez_status ez_store_add_logs(ez_store *store, ez_log_batch *batches, size_t count, int64_t now_ns,
                            ez_error *error) EZ_MUST_CHECK;

// One bounded step of folding minutes into hours, and hours into days. *more: call again. ABORTED (LEASE_LOST), here
// and in the next: the fence is stale, nothing was written.
ez_status ez_store_fold_rollups(ez_store *store, uint64_t fence, int64_t now_ns, bool *more,
                                ez_error *error) EZ_MUST_CHECK;

typedef struct ez_log_limits {
    int64_t before_ns;   // records with a time before it are forgotten
    int64_t max_records; // and the oldest beyond so many; 0: no bound
} ez_log_limits;
// One bounded step of forgetting: whole partitions where there are any, else at most max_rows rows; and what rollups
// and marks (30 days; of Idempotency-Keys 24 hours) have outlived. *more: call again.
ez_status ez_store_trim_logs(ez_store *store, uint64_t fence, const ez_log_limits *limits, int64_t now_ns,
                             size_t max_rows, bool *more, ez_error *error) EZ_MUST_CHECK;
// How many records there are, and the time of the oldest (0: none).
ez_status ez_store_count_logs(ez_store *store, int64_t *records, int64_t *oldest_ns, ez_error *error) EZ_MUST_CHECK;

// ---- Queries, on a reader's thread

typedef enum ez_log_class {
    EZ_CLASS_ANY,
    EZ_CLASS_SUCCESS,
    EZ_CLASS_CLIENT_ERROR,
    EZ_CLASS_SERVER_ERROR,
    EZ_CLASS_ERROR
} ez_log_class;

typedef struct ez_log_filter {
    int64_t before_ns, before_id;                    // the page begins behind this record; 0: at the newest
    int64_t since_ns, until_ns;                      // since ≤ time < until; 0: no bound
    int64_t master_id, key_id, group_id, api_key_id; // 0: any
    const char *model, *q, *request_id;              // NULL or "": any; q is plain text: % and _ mean themselves
    int32_t status_code;                             // 0: any
    ez_log_class status_class;
    bool hides_upstream; // q does not look at the upstream model: who asks may not know it
    bool with_body;
    size_t limit;    // records to give: at least 1, at most 10,000
    size_t look_max; // records to look at: at least 1, at most 10,000, or 5,000 of a key, API key, master or request id
} ez_log_filter;

typedef ez_status ez_log_fn(void *user, const ez_log_row *record, ez_error *error);
// Newest first. *at_ns and *at_id: the last record that was looked at, where *more says there are others behind it.
// INVALID_ARGUMENT (Q_TOO_LONG: 1,023 bytes).
ez_status ez_reader_each_log(ez_reader *reader, const ez_log_filter *filter, ez_log_fn *each, void *user, bool *more,
                             int64_t *at_ns, int64_t *at_id, ez_error *error) EZ_MUST_CHECK;

#define EZ_LATENCY_BUCKETS 16
// Upper bounds of the histogram's buckets, in ms, inclusive; the last is open.
extern const int64_t ez_latency_bounds[EZ_LATENCY_BUCKETS - 1];

typedef struct ez_rollup_sums {
    int64_t requests, errors, rate_limited, tokens_in, tokens_out, cost_nano_usd, latency_ms;
    int64_t histogram[EZ_LATENCY_BUCKETS];
} ez_rollup_sums;

void ez_rollup_sum_add(int64_t *to, int64_t from); // one of them; it stays at EZ_USAGE_SUM_MAX
void ez_rollup_sums_add(ez_rollup_sums *to, const ez_rollup_sums *from);
// In ms, by interpolation within the bucket, never above latency_ms; share: 0 … 1. 0 where there is nothing.
double ez_rollup_percentile(const ez_rollup_sums *sums, double share);

typedef enum ez_stats_by {
    EZ_STATS_TOTAL,
    EZ_STATS_MODEL,
    EZ_STATS_MASTER,
    EZ_STATS_KEY,
    EZ_STATS_GROUP,
    EZ_STATS_API_KEY,
    EZ_STATS_MINUTE,
    EZ_STATS_HOUR,
    EZ_STATS_DAY, // days of UTC; those of another zone are the caller's to make of hours
} ez_stats_by;

#define EZ_STATS_NONE (-1) // as an id of a filter: what names none

typedef struct ez_stats_query {
    ez_stats_by by;
    int64_t since_s, until_s; // unix, whole minutes, since < until
    int64_t master_id, key_id, group_id,
        api_key_id;    // 0: any; a master or key and a group or API key do not go together
    const char *model; // NULL or "": any
    // Of masters, keys or API keys: only so many of the first sums are made (1: requests, 2: errors too, 3:
    // rate_limited too), which takes a third of the time. 0: all sums.
    int first_sums;
    bool tells_owner;                     // with first_sums: owner_id is told
    int64_t least_requests, least_errors; // groups with less are left out; those of sums that are made
} ez_stats_query;

typedef struct ez_stats_row {
    int64_t id;       // of what by names; by time: unix seconds
    int64_t owner_id; // with tells_owner: the key's master, or the API key's group; EZ_STATS_NONE; 0: several
    ez_slice model;   // EZ_STATS_MODEL
    ez_rollup_sums sums;
} ez_stats_row;

typedef ez_status ez_stats_fn(void *user, const ez_stats_row *row, ez_error *error);
// Each group once, any order; by time ascending. Every record whose transaction has committed counts once, whatever
// was folded. Where minutes are no longer kept, a range's ends are widened to whole hours, then days.
// INVALID_ARGUMENT (FILTERS_DO_NOT_MIX); RESOURCE_EXHAUSTED (STATS_TOO_LARGE: more than 1,000,000 groups, SQLite). With
// a key's master, or an API key's group, named beside it only rows of that one are read, which is much faster.
ez_status ez_reader_each_stat(ez_reader *reader, const ez_stats_query *query, ez_stats_fn *each, void *user,
                              ez_error *error) EZ_MUST_CHECK;

// What rows of one minute say; rows of one key or API key may come one by one.
typedef struct ez_minute_row {
    int64_t id; // of the key or the API key; 0: requests that had none
    int64_t requests, errors;
} ez_minute_row;

typedef ez_status ez_minute_fn(void *user, const ez_minute_row *row, ez_error *error);
// by: EZ_STATS_KEY or EZ_STATS_API_KEY. Any order. A minute that is no longer kept has no rows. For who reads one
// minute after the other: a minute to which nothing was added has as many requests in all (EZ_STATS_MINUTE) as before.
ez_status ez_reader_each_of_minute(ez_reader *reader, ez_stats_by by, int64_t minute_s, ez_minute_fn *each, void *user,
                                   ez_error *error) EZ_MUST_CHECK;

// ---- Webhook deliveries: a log, bounded by ez_store_put_delivery itself to the newest 10,000

typedef enum ez_delivery_status {
    EZ_DELIVERY_WAITING = 1,
    EZ_DELIVERY_DELIVERED = 2,
    EZ_DELIVERY_FAILED = 3
} ez_delivery_status;

typedef struct ez_delivery {
    int64_t id; // unique and ascending; the caller's: the time in ns at which it was made
    int64_t created_ns, finished_ns;
    const char *kind, *url, *error;
    ez_delivery_status status;
    int32_t attempts, http_status;
} ez_delivery;

// New, or in place of the one with this id. On the thread of EZ_STREAM_LOGS.
ez_status ez_store_put_delivery(ez_store *store, const ez_delivery *delivery, ez_error *error) EZ_MUST_CHECK;
typedef ez_status ez_delivery_fn(void *user, const ez_delivery *delivery, ez_error *error);
typedef struct ez_delivery_query {
    int64_t before_id;       // 0: all
    size_t limit;            // at most EZ_STORE_PAGE_MAX
    const char *kind_prefix; // of those whose kind begins so; NULL: all
    const char *kinds[2];    // of these alone; NULL: of all. Both, or none
    int64_t since_ns;        // created then or later; 0: all
    // Of this status alone; 0: of any. Those that are waiting and were created before stale_ns count as failed.
    ez_delivery_status status;
    int64_t stale_ns;
} ez_delivery_query;
// Newest first.
ez_status ez_reader_each_delivery(ez_reader *reader, const ez_delivery_query *query, ez_delivery_fn *each, void *user,
                                  ez_error *error) EZ_MUST_CHECK;
