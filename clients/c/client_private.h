// SPDX-License-Identifier: Apache-2.0
//
// What client.c, client_call.c and client_server.c share. A client has servers (sockets) and slots (calls under way).
//
// Locking: client->mutex guards everything below it and every slot's state. No nng function is called while it is held,
// so that nng's own callbacks may take it. A slot's request and options belong to whoever moved its state: the starter
// until it is sent, then nng's callback, then the client's thread while it waits for its next attempt.
#pragma once

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <pthread.h>
#include <stdatomic.h>

#include "clients/c/client.h"
#include "clients/c/dial.h"
#include "proto/runtime/buf.h"

#define EZ_AUTHORIZATION_MAX (EZ_CLIENT_TOKEN_MAX + 8)
#define EZ_CLIENT_NAME_MAX   96

typedef enum slot_state {
    SLOT_FREE,
    SLOT_WAITING,   // for a connection, or for the time of its next attempt
    SLOT_SENDING,   // nng has the request
    SLOT_RECEIVING, // the server has it
    SLOT_DECIDING,  // nng is done with the attempt; its callback looks at what came of it
    SLOT_DONE,      // its caller has the result; nng may still hold the slot's aio
} slot_state;

typedef struct ez_client_slot {
    struct ez_client_slot *next; // free list
    ez_client *client;
    nng_aio *aio;
    nng_ctx contexts[EZ_CLIENT_SERVERS_MAX]; // id 0: none. One per server, kept from call to call
    slot_state state;
    bool in_nng;       // the aio is under way
    bool was_sent;     // … and it is a receive: nng has sent the request
    bool in_call;      // its caller has not had its result; the slot is free again when both are false
    unsigned server;   // of the attempt
    uint32_t number;   // and what it is called; 0: none was made
    uint64_t deadline; // monotonic ns
    uint64_t try_at;   // WAITING: not before
    uint64_t give_up;  // WAITING: no connection by then is a failure
    uint64_t sent_at;
    unsigned attempts;
    unsigned retries_left;
    bool can_repeat; // sending it again can't do it twice
    ez_error last;   // what the attempt before came to
    const ez_method *method;
    ez_buf request; // packed
    char authorization[EZ_AUTHORIZATION_MAX];
    char request_id[65];
    char key[EZ_CLIENT_KEY_MAX + 1];
    char remote[65];
    uint64_t if_match;
    bool validate_only;
    bool wait_applied;
    ez_call_info info;
    ez_call_done *done;
    void *user;
} ez_client_slot;

typedef struct ez_client_peer {
    ez_client *client;
    char url[EZ_URL_MAX];
    nng_socket socket;
    bool is_dialed;
    bool is_learned;
    uint32_t number; // ez_call_info's
    unsigned pipes;  // connected
    nng_pipe pipe;   // the last one
    uint64_t heard;  // when anything came from it, monotonic ns
} ez_client_peer;

struct ez_client {
    ez_client_options options; // its texts are not ours: servers are in peers, the rest below
    char authorization[EZ_AUTHORIZATION_MAX];
    char name[EZ_CLIENT_NAME_MAX];
    char *ca_file, *cert_file, *server_name;
    ez_client_peer peers[EZ_CLIENT_SERVERS_MAX];
    unsigned peer_count; // grows by what is learned, under the mutex
    unsigned opened;     // peers with a socket; the client's thread's, once it runs
    pthread_t thread;
    bool has_thread;

    pthread_mutex_t mutex;
    pthread_cond_t wake;  // the thread: something is due earlier, or a connection came or went
    pthread_cond_t idle;  // close: a slot became free
    unsigned current;     // the peer that calls go to
    uint32_t last_number; // of a peer
    char learned[EZ_CLIENT_SERVERS_MAX][EZ_URL_MAX]; // what was told last
    unsigned learned_count;
    bool has_news;          // it was not looked at yet
    uint64_t lonely_since;  // since when no peer is connected; 0: one is
    ez_client_slot **slots; // made when they are first needed
    unsigned slot_count;
    unsigned slots_used;
    ez_client_slot *free_slots;
    uint64_t next_due; // what the thread sleeps to
    uint64_t jitter;   // xorshift state
    bool kick;
    bool closing;
    // Threads that are in a call of nng on one of our contexts; begun under the mutex, none once it is closing. nng
    // ends a context in the last of them to leave, which must not be after its socket has gone.
    atomic_uint in_contexts;
};

// client_server.c ----------------------------------------------------------------------------------------------------
ez_status ez_client_peers_open(ez_client *client, ez_error *error) EZ_MUST_CHECK;
// False: nng hangs, and nothing that its callbacks touch may be freed.
bool ez_client_peers_close(ez_client *client);
// The peer to send to, made the current one. False where none is connected. Locked.
bool ez_client_peer_pick(ez_client *client, unsigned *out);
// This peer failed: calls go to the next one from now on. Locked.
void ez_client_peer_failed(ez_client *client, unsigned peer);
// Takes in what was learned. The client's thread, not locked.
void ez_client_peers_learn(ez_client *client);
// Dials what should be dialed by now; returns when to look again. Not locked.
uint64_t ez_client_peers_dial(ez_client *client, uint64_t now);

// client_call.c ------------------------------------------------------------------------------------------------------
ez_status ez_client_slot_create(ez_client *client, ez_client_slot **out, ez_error *error) EZ_MUST_CHECK;
void ez_client_slot_destroy(ez_client_slot *slot);
// Sends a WAITING slot where a server is connected, or leaves it to the thread. Not locked.
void ez_client_slot_begin(ez_client_slot *slot);
// Does what is due for all slots; returns when the next thing is. Not locked.
uint64_t ez_client_slots_run(ez_client *client, uint64_t now);
// Puts a slot back on the free list once neither its caller nor nng has it. Locked.
void ez_client_slot_recycle(ez_client_slot *slot);
// Gives its caller the result of a slot whose state was set to DONE, and lets go of it. Not locked.
void ez_client_slot_finish(ez_client_slot *slot, ez_status status, const ez_error *error, ez_slice reply);
// Wakes the thread; the second only if this is earlier than what it sleeps to. Locked.
void ez_client_kick(ez_client *client);
void ez_client_note_due(ez_client *client, uint64_t due);
