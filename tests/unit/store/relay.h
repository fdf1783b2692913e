// SPDX-License-Identifier: Apache-2.0
//
// A TCP relay between a test and its server, which breaks a connection at a given word of what the client sends. It
// runs in a thread of its own; the functions may be called from the test's thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef struct relay relay;

// server: postgres://…@host:port/…; listens on a free port of 127.0.0.1. Fails the test where it can't.
relay *relay_start(const char *server);
void relay_stop(relay *relay);
// url with the relay's address in place of the server's.
void relay_url(const relay *relay, const char *url, char *out, size_t size);
typedef enum relay_end {
    RELAY_LOSE_REQUEST, // the bytes are not passed on
    RELAY_LOSE_ANSWER,  // they are, and the server has answered, but nobody hears it
    RELAY_LEAVE,        // they are, and nobody waits
} relay_end;
// Breaks, once, the next connection whose client sends bytes with word in them.
void relay_cut(relay *relay, const char *word, relay_end end);
unsigned relay_cuts(relay *relay);
