// SPDX-License-Identifier: Apache-2.0
//
// ez_sim_fleet: the simulated data planes themselves: sessions, the few connections they share, what was measured.
#pragma once

#include "clients/c/session.h"
#include "tools/dpsim/enrol.h"
#include "tools/dpsim/held.h"
#include "tools/dpsim/measure.h"

#define FLEET_CLIENTS_MAX       8
#define FLEET_PLANES_PER_CLIENT 128

typedef struct ez_sim_fleet ez_sim_fleet;

// Opens one session per plane that is enrolled. config_url: every session's push socket. held: what the first one
// holds; NULL: nobody asks. It outlives the fleet.
ez_status ez_sim_fleet_open(const char *rpc_url, const char *config_url, const ez_enrolled *planes, unsigned count,
                            ez_sim_held *held, ez_sim_fleet **out, ez_error *error) EZ_MUST_CHECK;
void ez_sim_fleet_close(ez_sim_fleet *fleet); // says goodbye for all of them. NULL is fine

typedef struct ez_sim_state {
    unsigned live;
    unsigned equal; // stand at the given revision with the given digest
    uint64_t events_lost, fetches, snapshots;
} ez_sim_state;
// at and digest may be NULL: then equal is 0.
void ez_sim_fleet_look(ez_sim_fleet *fleet, const ez_session_revision *at, const uint8_t *digest, ez_sim_state *out);
// Changes count from here on: until all are connected, snapshots stand in their way.
void ez_sim_fleet_begin(ez_sim_fleet *fleet);
void ez_sim_fleet_measured(ez_sim_fleet *fleet, ez_measure_result *out);
