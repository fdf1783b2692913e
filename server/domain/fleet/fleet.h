// SPDX-License-Identifier: Apache-2.0
//
// ez_fleet: the data planes: enrolment, sessions, fetch, acknowledgements, and waiting until all live ones have a
// revision. Sessions live in memory: a data plane says Hello again after the server was restarted. A fleet also keeps
// what other servers say of theirs, so that each data plane is known once, wherever its session is.
//
// Locking: one lock over sessions and waiters; completions are collected under it and called outside, notices within.
#pragma once

#include "ez/v1/server.pb-c.h"
#include "server/state/directory/directory.h"
#include "server/state/directory/txn.h"
#include "server/state/directory/writer.h"
#include "server/state/feed/feed.h"

typedef struct ez_fleet ez_fleet;

#define EZ_HEARTBEAT_MS      1000
#define EZ_FLEET_WAITERS_MAX 1024
#define EZ_FLEET_SERVERS_MAX 15 // other servers
#define EZ_FLEET_TOLD_MAX    7  // of them, in Hello
#define EZ_FLEET_URL_MAX     256
#define EZ_FLEET_SERVER_ID   33 // an id and its NUL

// What became of a data plane, for whoever raises alerts.
typedef enum ez_fleet_notice_type {
    EZ_FLEET_LOST,     // silent without a goodbye, or its server is gone
    EZ_FLEET_BACK,     // heard again
    EZ_FLEET_REJECTED, // it can't use these rows; other ones than before
    EZ_FLEET_ACCEPTED, // it can use all of them; also told of the first report of a process
    EZ_FLEET_REMOVED,  // it is enrolled no more
} ez_fleet_notice_type;
typedef struct ez_fleet_notice {
    ez_fleet_notice_type type;
    bool is_again;     // nothing happened: it is so still, as far as is known here
    int64_t id;        // the data plane's
    uint64_t applied;  // its revision; 0: none
    uint32_t rejected; // rows, and the first of them
    int kind;
    int64_t row_id;
    char reason[160];
} ez_fleet_notice;

typedef struct ez_fleet_options {
    const ez_directory *directory;
    ez_feed *feed;
    const ez_writer *writer; // says whether the store is followed; NULL: it is
    ez_publish *events;      // where topic "dataplanes" goes; NULL: nowhere
    const char *server_id;
    const char *config_url; // told in Hello; "" : as the data plane was configured
    const char *events_url;
    // Told of each notice, on any thread and under the fleet's lock, in the order in which things happened: must not
    // block, nor call the fleet. NULL: nobody wants to know.
    void (*told)(void *user, const ez_fleet_notice *notice);
    void *told_user;
} ez_fleet_options;

ez_status ez_fleet_create(const ez_fleet_options *options, ez_fleet **out, ez_error *error) EZ_MUST_CHECK;
// Completes every waiter, now and from now on at once, with what has been reached: a server that stops holds nobody.
// From now on silence is no loss: it hears nobody either.
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
// Once the timer has ended: notices what was removed since it looked.
void ez_fleet_tick_last(ez_fleet *fleet);

void ez_fleet_counts(ez_fleet *fleet, uint32_t *enrolled, uint32_t *live);
// How far a waiter would find them now: live data planes that have the revision, of all live ones.
void ez_fleet_reached(ez_fleet *fleet, uint64_t revision, uint32_t *planes, uint32_t *of);
// The same over all servers, as far as is known here.
uint32_t ez_fleet_count_all(ez_fleet *fleet);

// Tells again what ends an alert, where that is so: BACK of a data plane that is live, here or on a server that was
// heard within ten seconds; ACCEPTED of one that can use all it has; REMOVED of one that is enrolled no more. Any
// thread.
void ez_fleet_tell_again(ez_fleet *fleet, int64_t id);

// ---- Other servers' data planes. server: a number below EZ_FLEET_SERVERS_MAX, the caller's to give

// Told in Hello from now on: where other servers answer calls, at most EZ_FLEET_TOLD_MAX. Copied.
void ez_fleet_tell_servers(ez_fleet *fleet, const char *const *urls, size_t count);
// Sessions that changed after a version; a page ends where it is large. Texts and messages are in the arena.
ez_status ez_fleet_list_sessions(ez_fleet *fleet, uint64_t since, uint32_t page, ez_arena *arena,
                                 Ez__V1__SyncPeerResponse *out, ez_error *error) EZ_MUST_CHECK;
// What a server said of its sessions, just now. Of two sessions of one data plane the newer one counts; where that is
// the other server's, ours ends, and its data plane has to say Hello before it is heard again.
void ez_fleet_note_sessions(ez_fleet *fleet, unsigned server, Ez__V1__PeerSession *const *sessions, size_t count);
// A server is gone: its data planes that are nowhere else are lost, which is published in its name.
void ez_fleet_lose_server(ez_fleet *fleet, unsigned server, const char *server_id);
// How many are live on each, as it said last. Looks at every session: not for each of many.
void ez_fleet_count_servers(ez_fleet *fleet, uint32_t live[EZ_FLEET_SERVERS_MAX]);
