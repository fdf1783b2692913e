// SPDX-License-Identifier: Apache-2.0
//
// Hours and days are folded piece by piece: rollup_open says how far (server/state/store/open_steps.h). What was stale
// has nothing folded yet. A server of an older step may be adding: what it commits while it is waited for is copied
// too.
#include <stddef.h>

#include "server/state/store/migrations/steps.h"

const char *const ez_migration_0007[] = {
    "CREATE TABLE rollup_open (step @INT@ NOT NULL, time_s @INT@ NOT NULL, from_s @INT@ NOT NULL, until_s @INT@ NOT "
    "NULL, folded @INT@ NOT NULL, PRIMARY KEY (step, time_s)) @CLUSTERED@",
    "@IN_POSTGRES@LOCK TABLE rollup_stale IN ACCESS EXCLUSIVE MODE",
    "INSERT INTO rollup_open (step, time_s, from_s, until_s, folded) SELECT step, time_s, time_s, time_s, 0 FROM "
    "rollup_stale",
    "DROP TABLE rollup_stale",
    NULL,
};
