// SPDX-License-Identifier: Apache-2.0
//
// One context's trips: a request received, admitted, run, answered, and the next. rpc.c owns the socket and the array
// of exchanges; this is what one of them does. Only for the rpc folder.
#pragma once

#include <nng/nng.h>
#include <stdatomic.h>

#include "server/rpc/peers.h"
#include "server/rpc/rpc.h"

typedef enum exchange_state { EXCHANGE_IDLE, EXCHANGE_RECEIVING, EXCHANGE_WORKING, EXCHANGE_SENDING } exchange_state;

// Belongs to whoever holds the call at the moment: nng's callback, the writer, an appender, a reader thread, the
// fleet.
typedef struct ez_exchange {
    ez_rpc *rpc;
    nng_ctx ctx;
    nng_aio *aio;
    exchange_state state;
    nng_pipe pipe;
    nng_msg *message;  // the request, as long as the call is worked on: its header's texts point into it
    bool is_counted;   // among its peer's calls in flight
    bool is_in_flight; // among the server's, which a stop waits for
    bool is_refused;   // the server was stopping when it came
    uint64_t started_ns;
    ProtobufCMessage *request;
    ez_call call;
    ez_buf head;
    ez_write write;
    ez_append append;
    ez_query query;
    ez_hold hold;
    ez_waiter waiter;
    bool has_waited;
    ez_revision revision;
} ez_exchange;

struct ez_rpc {
    ez_rpc_options options;
    nng_socket socket;
    nng_listener listener;
    ez_peers *peers;
    ez_exchange *exchanges;
    unsigned exchange_count;
    unsigned admitted_max; // calls in flight past which new ones are refused at once
    atomic_uint in_flight;
    atomic_bool is_stopping;
    bool is_stuck;           // ez_rpc_tick has told so; only it looks
    _Atomic uint64_t *calls; // [method][code]
};

// Also sets up the nng parts. On error nothing is left.
ez_status ez_exchange_init(ez_exchange *exchange, ez_rpc *rpc, ez_error *error) EZ_MUST_CHECK;
// Begins to receive.
void ez_exchange_receive(ez_exchange *exchange);
// Ends and waits for what nng still does with it.
void ez_exchange_fini(ez_exchange *exchange);
