// SPDX-License-Identifier: Apache-2.0
//
// The front of sync.h: the lock of the connection that an operation runs on (logs', so that it never holds up
// configuration where there are several), then the backend.
#include "server/state/store/sync.h"

#include "server/state/store/inside.h"

static pthread_mutex_t *sync_lock(ez_store *store) {
    return store->backend->meter->has_one_writer ? &store->lock : &store->logs_lock;
}

ez_status ez_store_read_sync(ez_store *store, ez_sync_state *out, ez_error *error) {
    pthread_mutex_lock(sync_lock(store));
    ez_status status = store->backend->sync->read(store->db, out, error);
    pthread_mutex_unlock(sync_lock(store));
    return status;
}

ez_status ez_store_each_sync_due(ez_store *store, ez_sync_due_fn *each, void *user, ez_error *error) {
    pthread_mutex_lock(sync_lock(store));
    ez_status status = store->backend->sync->each_due(store->db, each, user, error);
    pthread_mutex_unlock(sync_lock(store));
    return status;
}

ez_status ez_store_write_sync(ez_store *store, const ez_sync_write *write, ez_error *error) {
    pthread_mutex_lock(sync_lock(store));
    ez_status status = store->backend->sync->write(store->db, write, error);
    pthread_mutex_unlock(sync_lock(store));
    return status;
}
