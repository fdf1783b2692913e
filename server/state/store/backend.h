// SPDX-License-Identifier: Apache-2.0
//
// What a database must do for ez_store: one table of operations per backend. store.c holds the lock and the threads; a
// backend never sees two threads at once on its database, nor on one reader, and never calls back into store.h.
//
// A backend owns all of its connections. After any error its connection is usable again (rolled back or replaced): the
// next call must not fail because of the one before.
#pragma once

#include "server/state/store/alerts.h"
#include "server/state/store/claims.h"
#include "server/state/store/meter.h"
#include "server/state/store/servers.h"
#include "server/state/store/store.h"
#include "server/state/store/sync.h"

// What stands behind meter.h. db as in ez_backend.
typedef struct ez_meter_ops {
    bool has_one_writer; // one connection writes everything: the store's lock is held for each of these
    ez_status (*add_usage)(void *db, ez_usage_batch *batches, size_t count, int64_t now_ns, ez_usage_total_fn *total,
                           void *user, ez_error *error);
    ez_status (*each_usage)(void *db, ez_usage_table table, ez_usage_total_fn *each, void *user, ez_error *error);
    // NULL where has_one_writer.
    ez_status (*usage_since)(void *db, ez_usage_table table, int64_t since_ns, int64_t after, int64_t until,
                             ez_usage_total_fn *each, void *user, ez_error *error);
    ez_status (*add_logs)(void *db, ez_log_batch *batches, size_t count, int64_t now_ns, ez_error *error);
    ez_status (*fold_rollups)(void *db, uint64_t fence, int64_t now_ns, bool *more, ez_error *error);
    ez_status (*trim_logs)(void *db, uint64_t fence, const ez_log_limits *limits, int64_t now_ns, size_t max_rows,
                           bool *more, ez_error *error);
    ez_status (*count_logs)(void *db, int64_t *records, int64_t *oldest_ns, ez_error *error);
    ez_status (*put_delivery)(void *db, const ez_delivery *delivery, ez_error *error);
    ez_status (*reader_each_log)(void *reader, const ez_log_filter *filter, ez_log_fn *each, void *user, bool *more,
                                 int64_t *at_ns, int64_t *at_id, ez_error *error);
    ez_status (*reader_each_stat)(void *reader, const ez_stats_query *query, ez_stats_fn *each, void *user,
                                  ez_error *error);
    ez_status (*reader_each_of_minute)(void *reader, ez_stats_by by, int64_t minute_s, ez_minute_fn *each, void *user,
                                       ez_error *error);
    ez_status (*reader_each_delivery)(void *reader, const ez_delivery_query *query, ez_delivery_fn *each, void *user,
                                      ez_error *error);
} ez_meter_ops;

extern const ez_meter_ops ez_meter_sqlite;
extern const ez_meter_ops ez_meter_postgres;

// What stands behind alerts.h. db as in ez_backend.
typedef struct ez_alert_ops {
    ez_status (*change)(void *db, ez_alert_batch *batches, size_t count, const ez_alert_rules *rules, int64_t now_ns,
                        ez_error *error);
    ez_status (*trim)(void *db, uint64_t fence, const ez_alert_limits *limits, size_t max_rows, bool *more,
                      ez_error *error);
    ez_status (*reader_each)(void *reader, const ez_alert_filter *filter, ez_alert_fn *each, void *user, bool *more,
                             int64_t *at_id, ez_error *error);
    ez_status (*reader_find)(void *reader, int64_t id, ez_alert_fn *each, void *user, ez_error *error);
    ez_status (*reader_count)(void *reader, ez_alert_counts *out, ez_error *error);
} ez_alert_ops;

extern const ez_alert_ops ez_alerts_sqlite;
extern const ez_alert_ops ez_alerts_postgres;

// What stands behind sync.h. db as in ez_backend.
typedef struct ez_sync_ops {
    ez_status (*read)(void *db, ez_sync_state *out, ez_error *error);
    ez_status (*each_due)(void *db, ez_sync_due_fn *each, void *user, ez_error *error);
    ez_status (*write)(void *db, const ez_sync_write *write, ez_error *error);
} ez_sync_ops;

extern const ez_sync_ops ez_sync_sqlite;
extern const ez_sync_ops ez_sync_postgres;

// What stands behind claims.h. db as in ez_backend. Beside the rest, from one thread, unless meter->has_one_writer.
typedef struct ez_claim_ops {
    ez_status (*take)(void *db, int64_t api_key_id, const char *owner, uint32_t ttl_ms, ez_claim *out, bool *taken,
                      int64_t *wait_ms, ez_error *error);
    ez_status (*mark)(void *db, const ez_claim *claim, const char *owner, const uint8_t hash[EZ_SHA256_LEN],
                      uint32_t ttl_ms, ez_error *error);
    ez_status (*end)(void *db, const ez_claim *claim, const char *owner, ez_claim_end end, ez_error *error);
    ez_status (*trim)(void *db, int64_t keep_ms, size_t max_rows, int64_t *after, ez_error *error);
} ez_claim_ops;

extern const ez_claim_ops ez_claims_sqlite;
extern const ez_claim_ops ez_claims_postgres;

typedef struct ez_backend {
    const char *name;
    // location: the URL as the setting gave it for PostgreSQL, the path for SQLite.
    ez_status (*open)(const ez_store_options *options, const char *location, void **out, ez_error *error);
    void (*close)(void *db); // after its readers; NULL is fine

    ez_status (*read_head)(void *db, ez_store_head *out, ez_error *error);
    ez_status (*each_row)(void *db, int kind, ez_store_row_fn *each, void *user, ez_error *error);
    ez_status (*each_change)(void *db, uint64_t after, uint64_t until, size_t limit, ez_store_change_fn *each,
                             void *user, ez_error *error);
    ez_status (*oldest_change)(void *db, uint64_t *out, ez_error *error);
    // latest: indexes into group->changes of what the tables keep, ordered by (kind, id).
    ez_status (*commit)(void *db, const ez_store_commit_group *group, const uint32_t *latest, size_t latest_count,
                        ez_error *error);
    ez_status (*find_idempotent)(void *db, const uint8_t key[EZ_SHA256_LEN], ez_arena *arena, ez_store_idempotent *out,
                                 bool *found, ez_error *error);
    ez_status (*trim)(void *db, uint64_t fence, uint64_t keep_from, int64_t before_ns, size_t max_rows, bool *more,
                      ez_error *error);

    // Beside the rest, from one thread, unless meter->has_one_writer.
    ez_status (*take_lease)(void *db, const char *holder, uint32_t ttl_ms, uint32_t timeout_ms, ez_store_lease *out,
                            ez_error *error);
    ez_status (*drop_lease)(void *db, const char *holder, uint32_t timeout_ms, ez_error *error);

    // NULL where meter->has_one_writer. store.c's lock is held for follow and unfollow.
    ez_status (*follow)(void *db, ez_store_changed_fn *changed, void *user, ez_error *error);
    void (*unfollow)(void *db);
    bool (*hears)(void *db);
    ez_status (*hold_head)(void *db, ez_error *error);
    void (*release_head)(void *db);

    // Servers of the store; NULL where there is one.
    ez_status (*beat_server)(void *db, const ez_store_server *self, int64_t forget_ns, ez_store_server_fn *each,
                             void *user, ez_error *error);
    ez_status (*remove_server)(void *db, const char *id, ez_error *error);

    // From the thread that opens the store; used and closed by one thread afterwards. May share nothing mutable with
    // db.
    ez_status (*open_reader)(void *db, void **out, ez_error *error);
    void (*close_reader)(void *reader);
    ez_status (*reader_each_audit)(void *reader, const ez_audit_filter *filter, ez_store_audit_fn *each, void *user,
                                   ez_error *error);
    ez_status (*reader_each_change)(void *reader, uint64_t after_n, uint32_t after_seq, size_t limit,
                                    ez_store_change_fn *each, void *user, ez_error *error);
    ez_status (*reader_oldest_change)(void *reader, uint64_t *out, ez_error *error);
    ez_status (*reader_ping)(void *reader, ez_error *error);

    const ez_meter_ops *meter;
    const ez_sync_ops *sync;
    const ez_alert_ops *alerts;
    const ez_claim_ops *claims;
} ez_backend;

extern const ez_backend ez_backend_sqlite;
extern const ez_backend ez_backend_postgres;
