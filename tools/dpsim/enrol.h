// SPDX-License-Identifier: Apache-2.0
//
// ez_enrol: simulated data planes as the control plane knows them: made with an admin token, deleted at the end.
#pragma once

#include <stdint.h>

#include "clients/c/client.h"
#include "proto/crypto/token.h"

typedef struct ez_enrolled {
    int64_t id; // 0: not enrolled
    char token[EZ_TOKEN_TEXT_MAX];
} ez_enrolled;

// Deletes simulated data planes that a run left behind when it was killed: they have the simulator's label, and their
// session is over, or there never was one for ten minutes.
ez_status ez_enrol_sweep(ez_client *admin, ez_error *error) EZ_MUST_CHECK;
// Makes count data planes named sim-<run>-<i>, run being random, with the simulator's label, several at once. On
// failure those that were made stay in planes, with their ids. is_kept: no sweep takes them.
ez_status ez_enrol_all(ez_client *admin, ez_enrolled *planes, unsigned count, bool is_kept,
                       ez_error *error) EZ_MUST_CHECK;
// Deletes those that have an id; goes on after a failure and returns the first one.
ez_status ez_enrol_delete_all(ez_client *admin, ez_enrolled *planes, unsigned count, ez_error *error) EZ_MUST_CHECK;
