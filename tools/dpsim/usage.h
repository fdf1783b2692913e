// SPDX-License-Identifier: Apache-2.0
//
// ez_sim_usage: makes the simulated data planes report usage and request logs through libezplane, one reporter each,
// and keeps the books (truth.h). It has a thread of its own, which hands over ten times a second.
#pragma once

#include "tools/dpsim/enrol.h"
#include "tools/dpsim/held.h"

#define EZ_SIM_REPORTERS_MAX 1024 // a thread and a handful of files each

typedef struct ez_sim_usage ez_sim_usage;

typedef struct ez_sim_usage_options {
    const char *rpc_url;
    const ez_enrolled *planes; // enrolled; they outlive it
    unsigned count;            // at most EZ_SIM_REPORTERS_MAX
    unsigned rate;             // records a second, in all; 0: only what lies in the spool is sent
    const char *spool;         // directory, which is there; NULL: memory only
    const char *truth;         // file; needs a spool. NULL: none
    ez_sim_held *held;         // outlives it
} ez_sim_usage_options;

// What can be said of the options before a data plane is enrolled. INVALID_ARGUMENT.
ez_status ez_sim_usage_check(const ez_sim_usage_options *options, ez_error *error) EZ_MUST_CHECK;
// Options that passed. Begins at once, as soon as something is held.
ez_status ez_sim_usage_open(const ez_sim_usage_options *options, ez_sim_usage **out, ez_error *error) EZ_MUST_CHECK;
// Hands over nothing more.
void ez_sim_usage_stop(ez_sim_usage *usage);
// Waits until the server has all there is. False: it does not, within the time.
bool ez_sim_usage_drain(ez_sim_usage *usage, uint32_t timeout_ms);
void ez_sim_usage_close(ez_sim_usage *usage); // NULL is fine

typedef struct ez_sim_usage_state {
    uint64_t records;      // handed over by this process
    uint64_t acknowledged; // records, of earlier processes too
    uint64_t waiting;      // batches
    uint64_t refused;      // deltas and records that were not taken for want of room; they are handed over again
    uint64_t skipped;      // rows that the server did not know or refused
    uint64_t repeated;     // batches that it had already
    uint64_t new_epochs, damaged, rejected;
} ez_sim_usage_state;
void ez_sim_usage_look(ez_sim_usage *usage, ez_sim_usage_state *out);
