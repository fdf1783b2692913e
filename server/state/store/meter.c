// SPDX-License-Identifier: Apache-2.0
//
// The front of meter.h: the lock of the connection that an operation runs on, then the backend.
#include "server/state/store/meter.h"

#include "server/state/store/inside.h"

static pthread_mutex_t *usage_lock(ez_store *store) {
    return store->backend->meter->has_one_writer ? &store->lock : &store->usage_lock;
}

static pthread_mutex_t *logs_lock(ez_store *store) {
    return store->backend->meter->has_one_writer ? &store->lock : &store->logs_lock;
}

#define LOCKED(lock, operation)                                                                                        \
    pthread_mutex_lock(lock(store));                                                                                   \
    ez_status status = store->backend->meter->operation;                                                               \
    pthread_mutex_unlock(lock(store));                                                                                 \
    return status

ez_status ez_store_add_usage(ez_store *store, ez_usage_batch *batches, size_t count, int64_t now_ns,
                             ez_usage_total_fn *total, void *user, ez_error *error) {
    LOCKED(usage_lock, add_usage(store->db, batches, count, now_ns, total, user, error));
}

ez_status ez_store_each_usage(ez_store *store, ez_usage_table table, ez_usage_total_fn *each, void *user,
                              ez_error *error) {
    LOCKED(usage_lock, each_usage(store->db, table, each, user, error));
}

static ez_status check_times(const ez_log_batch *batches, size_t count, ez_error *error) {
    for (size_t b = 0; b < count; b++) {
        for (size_t i = 0; i < batches[b].row_count; i++) {
            int64_t time_ns = batches[b].rows[i].time_ns;
            if (time_ns < 0 || time_ns / INT64_C(86400000000000) > EZ_LOG_DAY_MAX)
                return ez_error_set(error, EZ_INVALID_ARGUMENT, "LOG_TIME",
                                    "the time of record %zu is before 1970 or after 2262", i);
        }
    }
    return EZ_OK;
}

ez_status ez_store_usage_since(ez_store *store, ez_usage_table table, int64_t since_ns, int64_t after, int64_t until,
                               ez_usage_total_fn *each, void *user, ez_error *error) {
    if (store->backend->meter->has_one_writer)
        return EZ_OK;
    LOCKED(usage_lock, usage_since(store->db, table, since_ns, after, until, each, user, error));
}

ez_status ez_store_add_logs(ez_store *store, ez_log_batch *batches, size_t count, int64_t now_ns, ez_error *error) {
    ez_status bad = check_times(batches, count, error);
    if (bad)
        return bad;
    LOCKED(logs_lock, add_logs(store->db, batches, count, now_ns, error));
}

ez_status ez_store_fold_rollups(ez_store *store, uint64_t fence, int64_t now_ns, bool *more, ez_error *error) {
    LOCKED(logs_lock, fold_rollups(store->db, fence, now_ns, more, error));
}

ez_status ez_store_trim_logs(ez_store *store, uint64_t fence, const ez_log_limits *limits, int64_t now_ns,
                             size_t max_rows, bool *more, ez_error *error) {
    LOCKED(logs_lock, trim_logs(store->db, fence, limits, now_ns, max_rows, more, error));
}

ez_status ez_store_count_logs(ez_store *store, int64_t *records, int64_t *oldest_ns, ez_error *error) {
    LOCKED(logs_lock, count_logs(store->db, records, oldest_ns, error));
}

ez_status ez_store_put_delivery(ez_store *store, const ez_delivery *delivery, ez_error *error) {
    LOCKED(logs_lock, put_delivery(store->db, delivery, error));
}

ez_status ez_reader_each_log(ez_reader *reader, const ez_log_filter *filter, ez_log_fn *each, void *user, bool *more,
                             int64_t *at_ns, int64_t *at_id, ez_error *error) {
    return reader->backend->meter->reader_each_log(reader->handle, filter, each, user, more, at_ns, at_id, error);
}

ez_status ez_reader_each_stat(ez_reader *reader, const ez_stats_query *query, ez_stats_fn *each, void *user,
                              ez_error *error) {
    return reader->backend->meter->reader_each_stat(reader->handle, query, each, user, error);
}

ez_status ez_reader_each_of_minute(ez_reader *reader, ez_stats_by by, int64_t minute_s, ez_minute_fn *each, void *user,
                                   ez_error *error) {
    return reader->backend->meter->reader_each_of_minute(reader->handle, by, minute_s, each, user, error);
}

ez_status ez_reader_each_delivery(ez_reader *reader, const ez_delivery_query *query, ez_delivery_fn *each, void *user,
                                  ez_error *error) {
    return reader->backend->meter->reader_each_delivery(reader->handle, query, each, user, error);
}
