// SPDX-License-Identifier: Apache-2.0
//
// ez_connections: the connections of one loop, and the bounds on them that evhttp does not have: how many there are,
// how long a request may take to arrive and a response to leave, and how much may lie half-received. On the loop's
// thread only.
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/runtime/error.h"

struct bufferevent;
struct event_base;
struct evhttp;
struct evhttp_request;

typedef struct ez_connections ez_connections;
typedef struct ez_connection ez_connection;

typedef struct ez_connection_limits {
    unsigned max;            // over all loops that share total
    uint32_t request_ms;     // from a request's first byte to its last, beside 1 s for each 32 KiB of it
    uint32_t response_ms;    // likewise for a response
    size_t max_receiving;    // bytes of unfinished requests
    atomic_uint *total;      // connections there are now
    atomic_ullong *refused;  // counts those above max
    atomic_ullong *timeouts; // and those that were too slow
} ez_connection_limits;

// Watches every connection http accepts from now on. limits is copied.
ez_status ez_connections_create(struct event_base *base, struct evhttp *http, const ez_connection_limits *limits,
                                ez_connections **out, ez_error *error) EZ_MUST_CHECK;
// After evhttp_free.
void ez_connections_destroy(ez_connections *connections);

// The connection a request came by; NULL where it is not watched (there was no memory for it).
ez_connection *ez_connections_find(const ez_connections *connections, struct evhttp_request *req);

// The request is complete: no clock runs until the response.
void ez_connection_serve(ez_connection *connection);
// A response of this many bytes is about to be sent; must_close: its connection ends after it. NULL is fine.
void ez_connection_answer(ez_connection *connection, struct evhttp_request *req, size_t bytes, bool must_close);

// The connection is the caller's until it is closed: evhttp does not look at it, no clock runs, nothing is read for.
// gone is called when it closes, by whomever. Returns its bufferevent, whose callbacks are the caller's to set.
struct bufferevent *ez_connection_take(ez_connection *connection, void (*gone)(void *arg), void *arg);
void ez_connection_close(ez_connection *connection);

// Closes those that are too slow. To be called about once a second.
void ez_connections_sweep(ez_connections *connections);
// Closes those without a request.
void ez_connections_close_idle(ez_connections *connections);
unsigned ez_connections_count(const ez_connections *connections);
