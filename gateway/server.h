// SPDX-License-Identifier: Apache-2.0
//
// ez_server: the loops and their listeners.
#pragma once

#include <stdint.h>

#include "proto/runtime/error.h"

typedef struct ez_server ez_server;

typedef struct ez_server_options {
    const char *http_addr; // "127.0.0.1:7380", "[::1]:7380"; port 0: any
    const char *rpc_url;
    const char *events_url;
    const char *cors_origins; // or NULL
    unsigned loops;           // 0: one per core
    unsigned max_connections; // over all loops
    unsigned max_calls;       // in flight, per loop
    unsigned max_streams;     // over all loops
    unsigned stream_check_s;  // how often a stream's credential is looked at again
    unsigned stream_beat_s;   // silence on a stream before a comment
    unsigned idle_s;          // connections without a request
    unsigned request_s;       // for a request to arrive, beside what its size allows
} ez_server_options;

#define EZ_SERVER_ADDR_MAX 80

// Listens, then starts the loops. addr (EZ_SERVER_ADDR_MAX bytes) gets what it listens on. Threads inherit the caller's
// signal mask. INVALID_ARGUMENT and UNAVAILABLE name the setting or the address.
ez_status ez_server_open(const ez_server_options *options, ez_server **out, char *addr, ez_error *error) EZ_MUST_CHECK;

// Stops accepting, lets what is under way finish for up to drain_ms, then closes the rest and frees all.
void ez_server_close(ez_server *server, uint32_t drain_ms);
