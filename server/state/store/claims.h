// SPDX-License-Identifier: Apache-2.0
//
// Who refreshes an API key's tokens now, and which refresh token was last presented. A row is claimed for a while,
// under a fencing token that grows; it is marked before anything is sent, so that whoever finds it after a crash knows
// that the refresh token may be used up. The mark of one that is used up stays: two API keys that were given the same
// refresh token can't both present it. The row of an API key that is gone is kept for as long as its token may turn up
// in another one, then forgotten.
//
// Threads: any, on a connection of its own; a lock lets one at a time through. Blocks on the database, 5 s at most. On
// SQLite the process that has the file is the only server, so it takes over what another one left at once.
#pragma once

#include "server/state/store/store.h"

typedef struct ez_claim {
    int64_t api_key_id;
    uint64_t token; // fencing
    // The refresh token that was presented last, and how often without its outcome being known; 0: it is used up.
    bool has_hash;
    uint8_t sent_hash[EZ_SHA256_LEN];
    uint32_t sends;
    int64_t sent_ago_ms; // since the last time, by the database's clock; not below 0
} ez_claim;

// Takes the row for ttl_ms where nobody has it, or has had it for too long. *out: what stands there; *taken false where
// another owner has it, and *wait_ms is then how long still.
ez_status ez_store_claim(ez_store *store, int64_t api_key_id, const char *owner, uint32_t ttl_ms, ez_claim *out,
                         bool *taken, int64_t *wait_ms, ez_error *error) EZ_MUST_CHECK;
// Says, durably, that the refresh token of this hash is about to be presented, and has the claim for ttl_ms from now,
// also where it ran out and nobody took it. ABORTED (CLAIM_LOST): another owner has it, or it was given up;
// ALREADY_EXISTS (REFRESH_TOKEN_SHARED): it was presented for another API key, which the message names. Nothing may be
// sent then.
ez_status ez_store_mark_sent(ez_store *store, const ez_claim *claim, const char *owner,
                             const uint8_t hash[EZ_SHA256_LEN], uint32_t ttl_ms, ez_error *error) EZ_MUST_CHECK;

typedef enum ez_claim_end {
    EZ_CLAIM_SETTLED, // what was sent, if anything, was refused or kept, and is not used up: nothing is open
    EZ_CLAIM_SPENT,   // what was marked is used up: its hash stays
    EZ_CLAIM_UNSENT,  // marked, but not sent after all: as it was before the mark
    EZ_CLAIM_OPEN,    // outcome not known: the mark stays
} ez_claim_end;
// Gives the claim up; does nothing where another owner has it by now. claim: as it was taken, before the mark.
ez_status ez_store_end_claim(ez_store *store, const ez_claim *claim, const char *owner, ez_claim_end end,
                             ez_error *error) EZ_MUST_CHECK;

// One bounded step of forgetting: looks at the next max_rows rows behind *after, by API key, and removes those that
// nobody has, whose token was presented last more than keep_ms ago or never, and whose API key is no more. *after:
// where the next step goes on; 0: at the beginning, all were looked at. Any server; nothing is lost where two do it.
ez_status ez_store_trim_claims(ez_store *store, int64_t keep_ms, size_t max_rows, int64_t *after,
                               ez_error *error) EZ_MUST_CHECK;
