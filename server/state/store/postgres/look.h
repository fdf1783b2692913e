// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "server/state/store/look.h"
#include "server/state/store/postgres/db.h"

// One row; sets *at to its place.
typedef ez_status ez_pg_look_fn(void *user, const PGresult *row, ez_look_place *at, ez_error *error);
// Reads the page, as of one moment, on a reader's connection. look has what was found.
ez_status ez_pg_look(ez_pg_conn *conn, ez_look *look, ez_pg_look_fn *each, void *user, ez_error *error) EZ_MUST_CHECK;
