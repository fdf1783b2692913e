// SPDX-License-Identifier: Apache-2.0
//
// Several queries of a reader that see the database as of one moment.
#pragma once

#include "server/state/store/postgres/db.h"

typedef struct ez_pg_snapshot {
    ez_pg_conn *conn;
    uint64_t deadline; // of all of it
} ez_pg_snapshot;

// The queries. Called again, once, where the connection was lost and *started is still false: it begins anew.
typedef ez_status ez_pg_snapshot_fn(const ez_pg_snapshot *within, void *user, ez_error *error);
// started: the caller's, set when something was handed on that can't be taken back.
ez_status ez_pg_snapshot_run(ez_pg_conn *conn, ez_pg_snapshot_fn *run, void *user, const bool *started,
                             ez_error *error) EZ_MUST_CHECK;
