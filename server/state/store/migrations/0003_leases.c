// SPDX-License-Identifier: Apache-2.0
//
// Step 3: who does what must be done once. The row's token goes up by one with each new holder; until_ms is the
// database's own clock, so that the servers' do not matter.
//
// Awkward: the token is part of the key for PostgreSQL's sake. A transaction that was fenced holds the row FOR KEY
// SHARE: extending a lease, which leaves the key alone, does not wait for it; a new holder, whose token is a new key,
// does.
#include <stddef.h>

#include "server/state/store/migrations/steps.h"

const char *const ez_migration_0003[] = {
    "CREATE TABLE leases (name TEXT NOT NULL UNIQUE, token @INT@ NOT NULL, holder TEXT NOT NULL, until_ms @INT@ NOT "
    "NULL, PRIMARY KEY (name, token)) @STRICT@",
    "INSERT INTO leases (name, token, holder, until_ms) VALUES ('jobs', 0, '', 0)",
    NULL,
};
