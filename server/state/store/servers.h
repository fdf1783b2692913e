// SPDX-License-Identifier: Apache-2.0
//
// Which servers are on a store: each says so once a second, and learns of the others. On SQLite there is one, and
// nothing is kept.
//
// Threads: any, on a connection of its own; a lock lets one at a time through. Blocks on the database, 5 s at most.
#pragma once

#include "server/state/store/store.h"

#define EZ_STORE_SERVERS_MAX 64 // that are told of

typedef struct ez_store_server {
    const char *id; // new at each start
    const char *rpc_url, *config_url, *events_url, *version;
    int64_t started_ns; // its wall clock
    int64_t silent_ns;  // since it said last that it is there, by the database's clock; not looked at in self
} ez_store_server;

typedef void ez_store_server_fn(void *user, const ez_store_server *server);

// Says that self is there, forgets who was silent for longer than forget_ns, and gives each of the others.
ez_status ez_store_beat_server(ez_store *store, const ez_store_server *self, int64_t forget_ns,
                               ez_store_server_fn *each, void *user, ez_error *error) EZ_MUST_CHECK;
// A server that stops takes its row away.
ez_status ez_store_remove_server(ez_store *store, const char *id, ez_error *error) EZ_MUST_CHECK;
