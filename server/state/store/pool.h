// SPDX-License-Identifier: Apache-2.0
//
// The store's reader threads: each has a reader of its own and takes queries from one bounded queue.
//
// Locking: one mutex guards the queue; it is never held while a query runs. Teardown: refuse new queries, run what was
// accepted, stop, free.
#pragma once

#include "server/state/store/backend.h"

#define EZ_STORE_QUEUE_MAX   1024
#define EZ_STORE_READERS_MAX 64

struct ez_reader {
    const ez_backend *backend;
    void *handle; // the backend's
};

typedef struct ez_store_pool ez_store_pool;

// Opens count readers (1 … EZ_STORE_READERS_MAX) and starts their threads.
ez_status ez_store_pool_create(const ez_backend *backend, void *db, unsigned count, ez_store_pool **out,
                               ez_error *error) EZ_MUST_CHECK;
// Runs what was accepted, then ends the threads; submit refuses from then on. A second time is fine. Must not be called
// from a query.
void ez_store_pool_stop(ez_store_pool *pool);
// Stops it first where that was not done. NULL is fine.
void ez_store_pool_destroy(ez_store_pool *pool);
// Any thread; see ez_store_submit.
ez_status ez_store_pool_submit(ez_store_pool *pool, ez_query *query, ez_error *error) EZ_MUST_CHECK;
