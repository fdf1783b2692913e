// SPDX-License-Identifier: Apache-2.0
//
// Step 10: a claim's row keeps the hash of the refresh token that was used up last (sends 0), and is found by it: a
// token that two API keys share is presented for one of them only (server/state/store/claims.h).
#include <stddef.h>

#include "server/state/store/migrations/steps.h"

const char *const ez_migration_0010[] = {
    "CREATE INDEX oauth_claims_by_hash ON oauth_claims (sent_hash)",
    NULL,
};
