// SPDX-License-Identifier: Apache-2.0
//
// What must hold after every fault: the process is the one that was started, an innocent caller is answered, and what
// was acknowledged before is there.
#pragma once

#include "tests/integration/support/raw.h"
#include "tests/integration/support/world.h"

// A world with something in it.
void given_peace(ez_world *world, const char *const *env);
// A read and a change by another caller both work, the process is the same one, its rows are there.
void expect_unhurt(ez_world *world);
// Bytes of memory the server holds.
size_t server_memory(const ez_world *world);
// Connections to the calls socket, by the server's count.
unsigned connections(ez_world *world);
// A connection of a REQ peer, greeted.
int given_peer(const char *url);
