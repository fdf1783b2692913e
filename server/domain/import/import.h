// SPDX-License-Identifier: Apache-2.0
//
// ez_import: rows from another gateway's export, applied through the same handlers an admin's calls go through: the
// rules are not written twice. A call of up to 1,000 rows is one revision.
#pragma once

#include "ez/handlers.h"
#include "proto/runtime/error.h"
#include "server/state/metering/counters.h"

typedef struct ez_import ez_import;

typedef struct ez_import_options {
    struct ez_access *access;    // whose handlers make masters, keys and namespaces
    struct ez_routing *routing;  // whose handlers make provider groups, API keys and bindings
    const ez_counters *counters; // NULL: all are zero
} ez_import_options;

ez_status ez_import_create(const ez_import_options *options, ez_import **out, ez_error *error) EZ_MUST_CHECK;
void ez_import_destroy(ez_import *import);
