// SPDX-License-Identifier: Apache-2.0
//
// ez_rpc: the calls socket. Receives requests on a fixed number of contexts, admits them (frame, method, load,
// credential, message), runs them where their effect says, and answers.
//
// Threads: nng's task threads run READ and SESSION calls to the end; QUERY, CHANGE and APPEND calls are handed to the
// store's, the writer's and an appender's threads, which hand them back; a HELD call is handed on by its handler.
// Nothing here blocks.
#pragma once

#include "ez/handlers.h"
#include "server/domain/fleet/fleet.h"
#include "server/state/directory/writer.h"
#include "server/state/metering/appender.h"

typedef struct ez_rpc ez_rpc;

typedef struct ez_rpc_options {
    const char *url;    // tcp://HOST:PORT; port 0: any
    unsigned contexts;  // calls that are held at once, waiting ones included
    unsigned max_peers; // connections
    unsigned per_peer;  // calls one connection may have in flight
    const ez_directory *directory;
    ez_feed *feed;
    ez_writer *writer;
    ez_store *store;
    ez_fleet *fleet;
    // Waits for the data planes of all servers, as ez_fleet_wait does for our own. NULL: ours are all.
    ez_status (*wait)(void *user, ez_waiter *waiter, ez_error *error);
    void *wait_user;
    const uint8_t *peer_hash;              // as in ez_gate_admit; must live as long as the socket
    void *selves[EZ_SLOT_COUNT];           // the handlers' objects
    ez_appender *appenders[EZ_SLOT_COUNT]; // of those that have methods with effect APPEND
} ez_rpc_options;

// Listens, but takes no call before ez_rpc_start: early ones wait in their connections.
ez_status ez_rpc_open(const ez_rpc_options *options, ez_rpc **out, ez_error *error) EZ_MUST_CHECK;
void ez_rpc_start(ez_rpc *rpc);

// Closes the connections that do not read their answers. Twice a second or so; one thread.
void ez_rpc_tick(ez_rpc *rpc);

// Turns new connections away; calls on those that are there are answered UNAVAILABLE (STOPPING). Then waits until what
// was begun is answered, at most timeout_ms. True: nothing is left.
bool ez_rpc_drain(ez_rpc *rpc, unsigned timeout_ms);
// After the writer, the appenders, the store and the fleet have stopped: no call may be out with them.
void ez_rpc_close(ez_rpc *rpc);

bool ez_rpc_is_stopping(const ez_rpc *rpc);

typedef struct ez_rpc_numbers {
    unsigned in_flight;
    size_t peers;
} ez_rpc_numbers;
void ez_rpc_count(ez_rpc *rpc, ez_rpc_numbers *out);
// Calls of a method that ended with a code, since the start.
uint64_t ez_rpc_calls(const ez_rpc *rpc, const ez_method *method, ez_status code);
