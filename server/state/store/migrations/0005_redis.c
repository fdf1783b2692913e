// SPDX-License-Identifier: Apache-2.0
//
// Step 5: how far Redis is. One row with the cursor of whoever writes to it, and a row for each resource that Redis
// would not take (server/state/store/sync.h).
#include <stddef.h>

#include "server/state/store/migrations/steps.h"

const char *const ez_migration_0005[] = {
    "CREATE TABLE redis_sync (one @KEY@ CHECK (one = 1), epoch @INT@ NOT NULL, n @INT@ NOT NULL, fence @INT@ NOT NULL, "
    "state TEXT NOT NULL, server TEXT NOT NULL, rebuilds @INT@ NOT NULL, retries @INT@ NOT NULL, rebuilt_ns @INT@ NOT "
    "NULL, error TEXT NOT NULL, error_ns @INT@ NOT NULL, updated_ns @INT@ NOT NULL) @STRICT@",
    "INSERT INTO redis_sync (one, epoch, n, fence, state, server, rebuilds, retries, rebuilt_ns, error, error_ns, "
    "updated_ns) VALUES (1, 0, 0, 0, '', '', 0, 0, 0, '', 0, 0)",
    "CREATE TABLE redis_due (kind @INT@ NOT NULL, id @INT@ NOT NULL, n @INT@ NOT NULL, place @BYTES@ NOT NULL, tries "
    "@INT@ NOT NULL, since_ns @INT@ NOT NULL, next_ns @INT@ NOT NULL, parked @INT@ NOT NULL, error TEXT NOT NULL, "
    "PRIMARY KEY (kind, id)) @CLUSTERED@",
    NULL,
};
