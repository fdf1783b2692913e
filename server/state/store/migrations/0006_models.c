// SPDX-License-Identifier: Apache-2.0
//
// Models: a table of resources like the others.
#include <stddef.h>

#include "server/state/store/migrations/steps.h"

const char *const ez_migration_0006[] = {
    "CREATE TABLE models (id @KEY@, revision @INT@ NOT NULL, secret_version @INT@ NOT NULL, sealed @BYTES@ NOT NULL, "
    "data @BYTES@ NOT NULL) @STRICT@",
    NULL,
};
