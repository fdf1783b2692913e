// SPDX-License-Identifier: Apache-2.0
//
// ez_events: one loop's connection to the core's events socket, and what came by it. It knows which server the events
// are of: nothing a server said of its numbers holds for another. On the loop's thread, for everything but what says
// otherwise.
#pragma once

#include "gateway/event_ring.h"

struct event_base;

typedef struct ez_events ez_events;

typedef struct ez_events_listener {
    void (*arrived)(void *arg);   // one more event is in the ring
    void (*unsettled)(void *arg); // the connection went, or leads to another server: ask anew, then ez_events_settle
    void (*returned)(void *arg);  // there is a connection (again)
} ez_events_listener;

// Dials in the background and keeps at it. urls: as in ez_backend_open. INVALID_ARGUMENT for others. listener must
// outlive it; it is not called from within any function here.
ez_status ez_events_open(struct event_base *base, const char *urls, const ez_events_listener *listener, void *arg,
                         ez_events **out, ez_error *error) EZ_MUST_CHECK;
void ez_events_close(ez_events *events);
// Follows this core from now on, of those that were named.
void ez_events_use(ez_events *events, unsigned core);

// The server says of itself that it is this one, by another way, and asked since there is this connection. True: events
// are of this server. False: there is no connection, or it leads to another server.
bool ez_events_settle(ez_events *events, const char *server_id);

ez_event_ring *ez_events_ring(ez_events *events);
bool ez_events_is_up(const ez_events *events);     // any thread
uint64_t ez_events_count(const ez_events *events); // that came; any thread
