// SPDX-License-Identifier: Apache-2.0
//
// Step 4: which servers are on this store. A row is a running server's, which says each second that it is there; all
// times are the database's own, so that servers' clocks need not agree.
#include <stddef.h>

#include "server/state/store/migrations/steps.h"

const char *const ez_migration_0004[] = {
    "CREATE TABLE servers (id TEXT NOT NULL PRIMARY KEY, rpc_url TEXT NOT NULL, config_url TEXT NOT NULL, events_url "
    "TEXT NOT NULL, version TEXT NOT NULL, started_ns @INT@ NOT NULL, seen_ns @INT@ NOT NULL) @STRICT@",
    NULL,
};
