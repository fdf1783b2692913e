// SPDX-License-Identifier: Apache-2.0
//
// ez_link: a connection to one of the core's sockets, spoken on the loop itself. What nng calls tcp:// is SP over TCP:
// both sides greet with eight bytes, which name their protocols, then each message is its length in eight bytes,
// big-endian, and what the protocol says. REQ/REP: a request id of four bytes, highest bit set, that comes back with
// the reply, then the body. PUB/SUB: the body alone, from PUB to SUB; every message comes, the subscriber itself leaves
// out what it does not want. Source: the SP RFCs "TCP mapping", "request/reply pattern" and "publish/subscribe pattern"
// (nanomsg's rfc/sp-tcp-mapping-01.txt, rfc/sp-request-reply-01.txt). Why not nng itself: ADR 8.
//
// Dials in the background and keeps at it with a growing pause. Where several cores are named it talks to one of them:
// one to the calls socket goes on to the next core by itself when that one is gone, one to the events socket when it is
// told to, so that both are of one core. Threads: the loop's, for everything.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/runtime/error.h"

struct event_base;

typedef struct ez_link ez_link;

#define EZ_LINK_ID_BIT    0x80000000u // set in every request id
#define EZ_LINK_CORES_MAX 8

// What is spoken, and with whom.
typedef struct ez_link_protocol {
    uint8_t own, peer;   // SP's numbers, for the greetings
    bool has_id;         // a request id stands before each body
    bool moves_on;       // to the next core by itself
    size_t body_max;     // of a message that comes
    const char *setting; // that names the URL, for messages
} ez_link_protocol;

extern const ez_link_protocol ez_link_req; // to the calls socket
extern const ez_link_protocol ez_link_sub; // to the events socket

typedef struct ez_link_events {
    void (*up)(void *arg);                                                 // greeted: messages may be sent
    void (*down)(void *arg);                                               // was up; what was sent is lost
    void (*message)(void *arg, uint32_t id, const void *body, size_t len); // body lives until the return
    void (*drained)(void *arg);                                            // takes more again
} ez_link_events;

// urls: tcp://HOST:PORT, at most EZ_LINK_CORES_MAX with commas. INVALID_ARGUMENT for another, naming the protocol's
// setting. events must outlive the link; none is called from within open, close or send. Where the protocol has no ids,
// messages come with id 0, and drained never does.
ez_status ez_link_open(struct event_base *base, const char *urls, const ez_link_protocol *protocol,
                       const ez_link_events *events, void *arg, ez_link **out, ez_error *error) EZ_MUST_CHECK;
void ez_link_close(ez_link *link);

bool ez_link_is_up(const ez_link *link);

unsigned ez_link_cores(const ez_link *link); // how many were named
unsigned ez_link_core(const ez_link *link);  // which one it is at, from 0
// Goes to this core, leaving another one ("down" is called where it was up).
void ez_link_use(ez_link *link, unsigned core);
// Ends the connection, as if it had broken. Not from within "message".
void ez_link_drop(ez_link *link, const char *why);

// False while as much waits to be written as may; "drained" tells when it changes.
bool ez_link_has_room(const ez_link *link);

// REQ only. Copies the body. *offset: where its first byte stands in all that this connection was given. False, and
// nothing is sent, while the link is not up or where there is no memory.
bool ez_link_send(ez_link *link, uint32_t id, const void *body, size_t len, uint64_t *offset);

// How many bytes of the connection were handed to the system; also within "down", for the connection that ended. What
// stands behind was not sent.
uint64_t ez_link_written(const ez_link *link);
