// SPDX-License-Identifier: Apache-2.0
//
// ez_lease: which of several servers does what must be done once. Each asks for the lease; one has it, extends it long
// before it runs out, and gives it up when it stops. It counts its time by its own monotonic clock, from before it
// asked, so it stops believing in the lease before the database lets another one have it. Where that clock stood still
// (a machine that was paused), the fence is what holds: server/state/store/fence.h.
//
// On a store that is one server's the lease is taken at start and kept.
//
// Threads: one of its own asks. The holder and look: any thread; they never block on the store.
#pragma once

#include "server/state/store/store.h"

typedef struct ez_lease ez_lease;

// Asks once; where the store does not answer, and ever after, a thread does. holder: this server's id, and no other
// process's. ttl_ms: how long a holder that died is waited for. The store must outlive it.
ez_status ez_lease_create(ez_store *store, const char *holder, uint32_t ttl_ms, ez_lease **out,
                          ez_error *error) EZ_MUST_CHECK;
// Gives it up, so that another server has it at once, and ends the thread: within some seconds, also where the store is
// away. It can still be asked, and says no. NULL and a second time are fine, two threads at once are not.
void ez_lease_stop(ez_lease *lease);
void ez_lease_destroy(ez_lease *lease); // stops it first where that was not done; NULL is fine

// Says whether this server has it now, and the token that fences what is written. Any thread.
ez_holder ez_lease_holder(const ez_lease *lease);
// Who had it when it was last asked for; "" where nobody or not known. holder: EZ_LEASE_HOLDER_MAX bytes.
void ez_lease_look(const ez_lease *lease, char *holder, uint64_t *token);
