// SPDX-License-Identifier: Apache-2.0
//
// A TCP port that leads to another one, until it is closed: how a server is cut off from its database alone, or is
// reached at another address than it listens on. A thread of its own; the functions are the test's.
#pragma once

#include <stddef.h>

typedef struct ez_forwarder ez_forwarder;

// To the port of url (postgres://…@127.0.0.1:PORT/…, tcp://127.0.0.1:PORT), and the URL that leads there through it, of
// size bytes.
ez_forwarder *given_forwarder(const char *url, char *forwarded, size_t size);
// Nobody listens any more, and what was connected is cut.
void close_forwarder(ez_forwarder *forwarder);
// On the same port again.
void open_forwarder(ez_forwarder *forwarder);
void end_forwarder(ez_forwarder *forwarder);
