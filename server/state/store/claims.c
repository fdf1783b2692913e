// SPDX-License-Identifier: Apache-2.0
//
// The front of claims.h: the lock of the connection, then the backend.
#include "server/state/store/claims.h"

#include "server/state/store/inside.h"

static pthread_mutex_t *claims_lock(ez_store *store) {
    return store->backend->meter->has_one_writer ? &store->lock : &store->claims_lock;
}

ez_status ez_store_claim(ez_store *store, int64_t api_key_id, const char *owner, uint32_t ttl_ms, ez_claim *out,
                         bool *taken, int64_t *wait_ms, ez_error *error) {
    pthread_mutex_lock(claims_lock(store));
    ez_status status = store->backend->claims->take(store->db, api_key_id, owner, ttl_ms, out, taken, wait_ms, error);
    pthread_mutex_unlock(claims_lock(store));
    return status;
}

ez_status ez_store_mark_sent(ez_store *store, const ez_claim *claim, const char *owner,
                             const uint8_t hash[EZ_SHA256_LEN], uint32_t ttl_ms, ez_error *error) {
    pthread_mutex_lock(claims_lock(store));
    ez_status status = store->backend->claims->mark(store->db, claim, owner, hash, ttl_ms, error);
    pthread_mutex_unlock(claims_lock(store));
    return status;
}

ez_status ez_store_end_claim(ez_store *store, const ez_claim *claim, const char *owner, ez_claim_end end,
                             ez_error *error) {
    pthread_mutex_lock(claims_lock(store));
    ez_status status = store->backend->claims->end(store->db, claim, owner, end, error);
    pthread_mutex_unlock(claims_lock(store));
    return status;
}

ez_status ez_store_trim_claims(ez_store *store, int64_t keep_ms, size_t max_rows, int64_t *after, ez_error *error) {
    pthread_mutex_lock(claims_lock(store));
    ez_status status = store->backend->claims->trim(store->db, keep_ms, max_rows, after, error);
    pthread_mutex_unlock(claims_lock(store));
    return status;
}
