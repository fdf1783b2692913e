// SPDX-License-Identifier: Apache-2.0
//
// The front of alerts.h: the lock of the connection that an operation runs on, then the backend.
#include "server/state/store/alerts.h"

#include "server/state/store/inside.h"

static pthread_mutex_t *lock_of(ez_store *store) {
    return ez_store_is_shared(store) ? &store->alerts_lock : &store->lock;
}

ez_status ez_store_change_alerts(ez_store *store, ez_alert_batch *batches, size_t count, const ez_alert_rules *rules,
                                 int64_t now_ns, ez_error *error) {
    pthread_mutex_lock(lock_of(store));
    ez_status status = store->backend->alerts->change(store->db, batches, count, rules, now_ns, error);
    pthread_mutex_unlock(lock_of(store));
    return status;
}

ez_status ez_store_trim_alerts(ez_store *store, uint64_t fence, const ez_alert_limits *limits, size_t max_rows,
                               bool *more, ez_error *error) {
    pthread_mutex_lock(lock_of(store));
    ez_status status = store->backend->alerts->trim(store->db, fence, limits, max_rows, more, error);
    pthread_mutex_unlock(lock_of(store));
    return status;
}

ez_status ez_reader_each_alert(ez_reader *reader, const ez_alert_filter *filter, ez_alert_fn *each, void *user,
                               bool *more, int64_t *at_id, ez_error *error) {
    return reader->backend->alerts->reader_each(reader->handle, filter, each, user, more, at_id, error);
}

ez_status ez_reader_find_alert(ez_reader *reader, int64_t id, ez_alert_fn *each, void *user, ez_error *error) {
    return reader->backend->alerts->reader_find(reader->handle, id, each, user, error);
}

ez_status ez_reader_count_alerts(ez_reader *reader, ez_alert_counts *out, ez_error *error) {
    return reader->backend->alerts->reader_count(reader->handle, out, error);
}
