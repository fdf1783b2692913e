// SPDX-License-Identifier: Apache-2.0
//
// Step 9: who refreshes an API key's tokens (server/state/store/claims.h). A row lives from a claim until its outcome
// is known; times are the database's own clock. sent_token: the claim under which sends was counted last, so that a
// statement that is repeated counts once.
#include <stddef.h>

#include "server/state/store/migrations/steps.h"

const char *const ez_migration_0009[] = {
    "CREATE TABLE oauth_claims (api_key_id @KEY@, owner TEXT NOT NULL, token @INT@ NOT NULL, until_ms @INT@ NOT NULL, "
    "sent_hash @BYTES@ NOT NULL, sends @INT@ NOT NULL, sent_ms @INT@ NOT NULL, sent_token @INT@ NOT NULL) @ROOMY@",
    NULL,
};
