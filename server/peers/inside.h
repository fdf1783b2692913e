// SPDX-License-Identifier: Apache-2.0
//
// What the files of this folder share, and nobody else sees.
#pragma once

#include <pthread.h>

#include "clients/c/client.h"
#include "clients/c/subscribe.h"
#include "ez/handlers.h"
#include "proto/runtime/call.h"
#include "server/peers/servers.h"

#define EZ_PEERS_MAX     EZ_FLEET_SERVERS_MAX
#define EZ_PEER_TEXT_MAX 256
#define EZ_PEER_ID_MAX   EZ_FLEET_SERVER_ID
#define EZ_PEER_BEAT_MS  EZ_HEARTBEAT_MS
#define EZ_PEER_LOST_MS  (3 * EZ_HEARTBEAT_MS) // silent for so long, its data planes are lost
#define EZ_PEER_ROW_MS   (4 * EZ_HEARTBEAT_MS) // … unless the store heard it within this

typedef enum peer_state {
    PEER_FREE,
    PEER_WANTED,  // to be opened
    PEER_ON,      // has a client
    PEER_LEAVING, // to be closed
} peer_state;

// One other server. Guarded by the lock, but for client and subscriber: these are set before state is ON, and closed
// when it is LEAVING and nobody uses them.
typedef struct ez_peer {
    ez_servers *servers;
    unsigned slot;
    peer_state state;
    bool is_given;   // by EZ_PEERS: it stays, whoever answers there
    bool is_self;    // … and it is this server
    bool is_lost;    // its data planes were given up
    bool is_gone;    // another one answers at its address, or the store forgot it
    bool leads_here; // … and that is this server
    bool is_warned;  // that was complained about
    unsigned users;  // of client or subscriber, at the moment
    unsigned generation;
    char id[EZ_PEER_ID_MAX]; // "": not known yet
    char rpc_url[EZ_PEER_TEXT_MAX], config_url[EZ_PEER_TEXT_MAX], events_url[EZ_PEER_TEXT_MAX];
    char advertised_url[EZ_PEER_TEXT_MAX]; // where data planes are to call it; "": at rpc_url
    char subscribed_url[EZ_PEER_TEXT_MAX]; // the subscriber's
    char version[64];
    char error[256];
    int64_t started_ns, heard_wall_ns;
    uint64_t heard_ms; // when it answered last, or was found first; monotonic
    uint64_t other_ms; // when another one answered at its address, on our clock; 0: none did
    uint64_t row_ms;   // when the store heard it last, on our clock; 0: it is not in the store
    bool has_answered;
    ez_revision head;
    uint32_t live;
    ez_client *client;
    ez_subscriber *subscriber;
    // Asking how it is
    bool is_syncing;
    bool wants_sync;
    uint64_t synced_ms; // when it was asked last
    uint64_t since, version_then;
    uint32_t page;
} ez_peer;

typedef enum ask_state { ASK_NONE, ASK_CALLING, ASK_FAILED, ASK_DONE } ask_state;

// One who waits for the data planes of all servers.
typedef struct ez_wait {
    struct ez_wait *next, **previous;
    ez_servers *servers;
    ez_waiter *outer; // the caller's again once it was told
    uint64_t revision, deadline_ns;
    ez_waiter local;
    unsigned holds; // who still may touch it
    bool is_local_done, is_told;
    bool again; // a server was lost meanwhile: its data planes may be ours now
    struct {
        ask_state state;
        unsigned generation; // of the peer
        uint32_t planes, of;
        unsigned behind; // how often it answered without having the revision
        uint64_t retry_ms;
    } asked[EZ_PEERS_MAX];
} ez_wait;

struct ez_servers {
    ez_servers_options options;
    int64_t started_ns;
    int wake_fd;
    pthread_t talker, blocker;
    bool has_talker, has_blocker;
    pthread_mutex_t lock;  // guards what follows
    pthread_cond_t work;   // for the blocker: something to open, close or look for
    pthread_cond_t unused; // a peer has no users any more
    bool is_stopping;
    bool looks_now;
    ez_peer peers[EZ_PEERS_MAX];
    ez_wait *waits;
    unsigned wait_count;
};

// Copies a text, cut where it does not fit.
void ez_peer_copy(char *out, size_t room, const char *text);

// Wakes the thread that talks. Any thread.
void ez_servers_kick(ez_servers *servers);

// ---- peer.c
// Starts to ask how it is. Without the lock; the caller counts as a user.
void ez_peer_ask(ez_peer *peer);
// What became of it: lost or not. Without the lock.
void ez_peer_check(ez_peer *peer, uint64_t now_ms);
// Tells the fleet where others are.
void ez_peers_tell(ez_servers *servers);
// Locked. Whether the store has heard it of late.
bool ez_peer_is_in_store(const ez_peer *peer, uint64_t now_ms);
// Locked. Whether another one is in its place: it answers there, and the store has not heard this one since.
bool ez_peer_is_replaced(const ez_peer *peer);
// The client, which stays until ez_peer_put; NULL where there is none. Locked.
ez_client *ez_peer_take(ez_peer *peer);
void ez_peer_put(ez_peer *peer); // not locked

// ---- registry.c
void *ez_registry_run(void *servers);

// ---- relay.c
// Passes on what a peer's subscriber holds.
void ez_relay_take(ez_servers *servers, ez_peer *peer, ez_subscriber *subscriber, ez_buf *room);

// ---- wait.c
// Deadlines, and calls that are made again.
void ez_wait_tick(ez_servers *servers, uint64_t now_ms);
void ez_wait_stop(ez_servers *servers);
