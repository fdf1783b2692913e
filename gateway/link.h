// SPDX-License-Identifier: Apache-2.0
//
// ez_link: a connection to the core's calls socket, spoken on the loop itself. What nng calls tcp:// and REQ is SP over
// TCP: both sides greet with eight bytes, then each message is its length in eight bytes, big-endian, and for REQ/REP a
// request id of four bytes, highest bit set, that comes back with the reply. Source: the SP RFCs "TCP mapping" and
// "request/reply pattern" (nanomsg's rfc/sp-tcp-mapping-01.txt, rfc/sp-request-reply-01.txt). Why not nng itself:
// ADR 8.
//
// Dials in the background and keeps at it with a growing pause. Threads: the loop's, for everything.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/runtime/error.h"

struct event_base;

typedef struct ez_link ez_link;

#define EZ_LINK_ID_BIT 0x80000000u // set in every request id

typedef struct ez_link_events {
    void (*up)(void *arg);                                                 // greeted: messages may be sent
    void (*down)(void *arg);                                               // was up; what was sent is lost
    void (*message)(void *arg, uint32_t id, const void *body, size_t len); // body lives until the return
    void (*drained)(void *arg);                                            // takes more again
} ez_link_events;

// url: tcp://HOST:PORT. INVALID_ARGUMENT for another, naming EZ_RPC_URL. events must outlive the link; none is called
// from within open, close or send.
ez_status ez_link_open(struct event_base *base, const char *url, const ez_link_events *events, void *arg, ez_link **out,
                       ez_error *error) EZ_MUST_CHECK;
void ez_link_close(ez_link *link);

bool ez_link_is_up(const ez_link *link);

// False while as much waits to be written as may; "drained" tells when it changes.
bool ez_link_has_room(const ez_link *link);

// Copies the body. *offset: where its first byte stands in all that this connection was given. False, and nothing is
// sent, while the link is not up or where there is no memory.
bool ez_link_send(ez_link *link, uint32_t id, const void *body, size_t len, uint64_t *offset);

// How many bytes of the connection were handed to the system; also within "down", for the connection that ended. What
// stands behind was not sent.
uint64_t ez_link_written(const ez_link *link);
