// SPDX-License-Identifier: Apache-2.0
//
// ez_peers: who is connected to the calls socket, and how many calls each has in flight. Bounded both ways: a peer that
// asks without reading answers can hold only its share of the contexts, and is closed.
//
// Locking: one lock, held for a few instructions (ez_peers_due: for each peer that does not read); safe in nng's pipe
// callbacks.
#pragma once

#include <stdint.h>

#include "proto/runtime/call.h"

typedef struct ez_peers ez_peers;

// NULL where there is no memory.
ez_peers *ez_peers_create(size_t max_peers, unsigned max_in_flight);
void ez_peers_destroy(ez_peers *peers);

// A peer connected. False: there are too many; drop it.
bool ez_peers_add(ez_peers *peers, uint32_t id, const char *address);
void ez_peers_remove(ez_peers *peers, uint32_t id);
size_t ez_peers_count(ez_peers *peers);

// A call began. False: this peer has too many in flight (the call is then not counted; do not end it). A peer that is
// not known (it went away meanwhile) may call.
bool ez_peers_begin(ez_peers *peers, uint32_t id);
void ez_peers_end(ez_peers *peers, uint32_t id);

// Its address; "" where it is gone.
void ez_peers_address(ez_peers *peers, uint32_t id, char out[EZ_REMOTE_MAX]);

#define EZ_PEERS_GRACE_MS 2000  // a peer that does not read has stood still for so long when it is closed
#define EZ_PEERS_STUCK_MS 10000 // what ends a connection has had time enough

// It does not read its answers: the calls that it makes from now on are to be dropped, and its connection is due to be
// closed after the grace. True where that is new.
bool ez_peers_doom(ez_peers *peers, uint32_t id, uint64_t now_ms);
bool ez_peers_is_doomed(ez_peers *peers, uint32_t id);
// An answer has left. Where the peer is doomed, the grace begins anew.
void ez_peers_moved(ez_peers *peers, uint32_t id, uint64_t now_ms);

// Up to max ids of those that are due to be closed, each once, and how many there are. stuck: those that were given so
// EZ_PEERS_STUCK_MS ago and have not been removed.
size_t ez_peers_due(ez_peers *peers, uint64_t now_ms, uint32_t *ids, size_t max, size_t *stuck);
