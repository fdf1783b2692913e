// SPDX-License-Identifier: Apache-2.0
//
// ez_servers: what the servers of one store tell each other. Each finds the others through the store or a list, asks
// each of them every second how it is and what became of its data planes, waits with them for data planes to have a
// revision, and passes their events on to its own subscribers. Where there are no others it does nothing.
//
// Threads: one that talks (calls, events, deadlines), one that blocks (the store, opening and closing connections).
// Locking: one lock, held for a few instructions; never while the fleet, a client or the store is called.
#pragma once

#include "server/domain/fleet/fleet.h"
#include "server/state/directory/writer.h"

typedef struct ez_servers ez_servers;

#define EZ_PEER_TOKEN_MAX 96

typedef struct ez_servers_options {
    ez_store *store; // all must outlive the object
    ez_feed *feed;
    ez_writer *writer;
    ez_fleet *fleet;
    ez_publish *events;
    const char *server_id;
    const char *rpc_url, *config_url, *events_url; // where others reach this server
    const char *advertised_rpc_url; // rpc_url where a setting says it; "" or NULL: it is where this server listens
    const char *peers;              // EZ_PEERS: their calls URLs with commas; "" or NULL: the store says
    const char *token;              // ez_peer_token's
    void (*counted)(void *user); // another server took usage in: look at the store's counters soon. NULL: nobody looks
    void *counted_user;
} ez_servers_options;

// The token that servers of a store show each other: made from the key that seals its secrets, so that only who has
// that key has it, and of the store, so that two stores with one key stay apart.
void ez_peer_token(const ez_sealer *sealer, uint64_t epoch, char out[EZ_PEER_TOKEN_MAX]);

// INVALID_ARGUMENT (PEERS_INVALID) for a list that can't be used.
ez_status ez_servers_create(const ez_servers_options *options, ez_servers **out, ez_error *error) EZ_MUST_CHECK;
// Begins to look for others.
ez_status ez_servers_start(ez_servers *servers, ez_error *error) EZ_MUST_CHECK;
// Tells everybody who waits how far it is, and lets nobody wait any longer; begins to take leave.
void ez_servers_stop(ez_servers *servers);
// Stops it first where that was not done; ends the threads and closes all connections. Calls are answered and waiters
// told still: as the fleet tells them. NULL is fine, and a second time.
void ez_servers_join(ez_servers *servers);
// Joins it first. Nobody may wait or call any more. NULL is fine.
void ez_servers_destroy(ez_servers *servers);

// As ez_fleet_wait, for the data planes of all servers. Those of a server that does not answer count as missing, until
// it is known to be gone. user: the ez_servers.
ez_status ez_servers_wait(void *user, ez_waiter *waiter, ez_error *error) EZ_MUST_CHECK;
