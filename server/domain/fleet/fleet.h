// SPDX-License-Identifier: Apache-2.0
//
// ez_fleet: the data planes: enrolment, sessions, fetch, acknowledgements, and waiting until all live ones have a
// revision. Sessions live in memory: a data plane says Hello again after the server was restarted.
//
// Locking: one lock over sessions and waiters; completions are collected under it and called outside.
#pragma once

#include "server/state/directory/directory.h"
#include "server/state/directory/txn.h"
#include "server/state/feed/feed.h"

typedef struct ez_fleet ez_fleet;

#define EZ_HEARTBEAT_MS      1000
#define EZ_FLEET_WAITERS_MAX 1024

typedef struct ez_fleet_options {
    const ez_directory *directory;
    ez_feed *feed;
    ez_publish *events; // where topic "dataplanes" goes; NULL: nowhere
    const char *server_id;
    const char *config_url; // told in Hello; "" : as the data plane was configured
    const char *events_url;
} ez_fleet_options;

ez_status ez_fleet_create(const ez_fleet_options *options, ez_fleet **out, ez_error *error) EZ_MUST_CHECK;
// Completes every waiter, now and from now on at once, with what has been reached: a server that stops holds nobody.
void ez_fleet_stop(ez_fleet *fleet);
void ez_fleet_destroy(ez_fleet *fleet);

// Somebody waits for a revision; embed it. The fleet owns it from wait until done.
typedef struct ez_waiter ez_waiter;
struct ez_waiter {
    uint64_t revision;
    uint64_t deadline_ns;            // monotonic
    void (*done)(ez_waiter *waiter); // any thread, no lock held; must not block
    uint32_t planes;                 // result: live data planes that have it
    uint32_t of;                     // result: live data planes
    uint32_t missing;                // the fleet's
    ez_waiter *next;
    ez_waiter **previous;
};
// done is called when every live data plane has acknowledged the revision or the deadline has passed; possibly before
// this returns. RESOURCE_EXHAUSTED (TOO_MANY_WAITERS) past the bound: done is not called.
ez_status ez_fleet_wait(ez_fleet *fleet, ez_waiter *waiter, ez_error *error) EZ_MUST_CHECK;

// Looks for lost data planes and passed deadlines. From the timer, every 20 ms or so.
void ez_fleet_tick(ez_fleet *fleet);

void ez_fleet_counts(ez_fleet *fleet, uint32_t *enrolled, uint32_t *live);
