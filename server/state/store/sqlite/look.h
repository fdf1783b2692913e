// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "server/state/store/look.h"
#include "server/state/store/sqlite/db.h"

// One row, gone at the next step; sets *at to its place.
typedef ez_status ez_sqlite_look_fn(void *user, sqlite3_stmt *row, ez_look_place *at, ez_error *error);
// Reads the page, as of one moment. look has what was found.
ez_status ez_sqlite_look(ez_sqlite_conn *conn, ez_look *look, ez_sqlite_look_fn *each, void *user,
                         ez_error *error) EZ_MUST_CHECK;
