// SPDX-License-Identifier: Apache-2.0
//
// The roster: which data planes a spool directory is of, so that the next run goes on as the same ones: their ids and
// tokens in the file "planes", mode 0600.
#pragma once

#include "tools/dpsim/enrol.h"

// Makes the directory where it is missing; fills planes from its roster. *found: false where it has none.
// FAILED_PRECONDITION where it is of another number of planes.
ez_status ez_roster_load(const char *dir, ez_enrolled *planes, unsigned count, bool *found,
                         ez_error *error) EZ_MUST_CHECK;
// Durable, whole or not at all.
ez_status ez_roster_save(const char *dir, const ez_enrolled *planes, unsigned count, ez_error *error) EZ_MUST_CHECK;
