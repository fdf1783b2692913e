// SPDX-License-Identifier: Apache-2.0
//
// The front of servers.h: the lock of the connection, then the backend.
#include "server/state/store/servers.h"

#include "server/state/store/inside.h"

ez_status ez_store_beat_server(ez_store *store, const ez_store_server *self, int64_t forget_ns,
                               ez_store_server_fn *each, void *user, ez_error *error) {
    if (!ez_store_is_shared(store))
        return EZ_OK;
    pthread_mutex_lock(&store->servers_lock);
    ez_status status = store->backend->beat_server(store->db, self, forget_ns, each, user, error);
    pthread_mutex_unlock(&store->servers_lock);
    return status;
}

ez_status ez_store_remove_server(ez_store *store, const char *id, ez_error *error) {
    if (!ez_store_is_shared(store))
        return EZ_OK;
    pthread_mutex_lock(&store->servers_lock);
    ez_status status = store->backend->remove_server(store->db, id, error);
    pthread_mutex_unlock(&store->servers_lock);
    return status;
}
