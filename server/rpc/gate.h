// SPDX-License-Identifier: Apache-2.0
//
// The auth gate: who calls, and may they. The method's scope column decides; no handler does. Reads the directory only:
// any thread, no lock.
#pragma once

#include "proto/runtime/call.h"
#include "server/state/directory/directory.h"

// Fills call->principal from call->header.authorization. peer_hash: SHA-256 of the token that servers of this store
// show each other, EZ_TOKEN_HASH_LEN bytes; NULL: nobody is a peer. UNAUTHENTICATED: no credential, or none that is
// known; PERMISSION_DENIED: a credential of another scope, a suspended master. A public method gets the admin's
// principal where an admin calls it, else nobody's.
ez_status ez_gate_admit(const ez_directory *directory, const uint8_t *peer_hash, ez_call *call) EZ_MUST_CHECK;
