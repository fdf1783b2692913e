// SPDX-License-Identifier: Apache-2.0
//
// What store.c and meter.c share.
#pragma once

#include <pthread.h>

#include "server/state/store/backend.h"
#include "server/state/store/pool.h"

struct ez_store {
    const ez_backend *backend;
    void *db;
    ez_store_pool *pool;
    pthread_mutex_t lock;        // configuration, and with one writer everything
    pthread_mutex_t usage_lock;  // usage, where it has a connection of its own
    pthread_mutex_t logs_lock;   // logs and rollups, likewise
    pthread_mutex_t alerts_lock; // alerts, likewise
    pthread_mutex_t lease_lock;  // the lease, likewise
    pthread_mutex_t servers_lock;
    pthread_mutex_t claims_lock;
};
