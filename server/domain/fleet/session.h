// SPDX-License-Identifier: Apache-2.0
//
// What the fleet knows of each data plane that said Hello. Only for the fleet's folder; fleet.c owns the lock under
// which all of it is touched.
#pragma once

#include <pthread.h>

#include "ez/v1/data_plane.pb-c.h"
#include "server/domain/fleet/fleet.h"

#define EZ_FLEET_BUCKETS 1024u
#define EZ_REJECTED_MAX  100 // the schema's bound
#define EZ_LOST_AFTER_NS (3ull * EZ_HEARTBEAT_MS * 1000000ull)

typedef struct ez_rejected {
    int kind;
    int64_t id;
    char reason[256];
} ez_rejected;

typedef struct ez_session_state {
    struct ez_session_state *next;
    int64_t id; // the data plane's
    uint64_t process_epoch;
    uint64_t hellos;  // of that process, to any server; 0: not told
    uint64_t changed; // the fleet's version when other servers had to learn of it last
    char version[64];
    char address[EZ_REMOTE_MAX];
    uint64_t heard_ns; // monotonic
    int64_t heard_wall_ns;
    uint64_t behind_since_ns; // monotonic; 0: it is not behind
    bool is_live;             // heard within three heartbeats, and has not said goodbye
    bool has_stopped;
    bool is_removed;      // enrolled no more: going away is no loss
    bool has_reported;    // since its process said Hello
    bool is_lagging;      // that it lags was told
    uint32_t kinds;       // bits of the kinds it holds
    bool has_keys_as_ids; // of a key it holds its id alone
    bool has_said_kinds;  // in its Hello: what it fetches then tells nothing of it
    uint64_t applied;     // revision of our epoch; 0: none
    bool digest_known, digest_equal;
    ez_rejected *rejected;
    size_t rejected_count;
} ez_session_state;

// A session that another server has.
typedef struct ez_remote_session {
    struct ez_remote_session *next;
    int64_t id;      // the data plane's
    unsigned server; // EZ_FLEET_SERVERS_MAX: one that is gone
    uint64_t process_epoch, hellos, applied;
    uint64_t heard_ns; // when that server heard it last, on our monotonic clock
    uint64_t noted_ns;
    Ez__V1__DataPlaneState state;
    size_t len;
    uint8_t view[]; // a packed DataPlane: what the session says
} ez_remote_session;

struct ez_fleet {
    ez_fleet_options options;
    pthread_mutex_t lock; // guards all below
    uint64_t version;     // goes up with every change that other servers have to learn of
    ez_remote_session *remotes[EZ_FLEET_BUCKETS];
    uint64_t synced_ns[EZ_FLEET_SERVERS_MAX]; // when a server told of its sessions last
    char servers[EZ_FLEET_TOLD_MAX][EZ_FLEET_URL_MAX];
    size_t server_count;
    ez_session_state *buckets[EZ_FLEET_BUCKETS];
    uint32_t live;
    ez_waiter *waiters;
    uint32_t waiter_count;
    bool is_stopping;
    uint64_t checked_ns; // when sessions were last compared with what is enrolled
};

// What a change of sessions leads to, collected under the lock and carried out after it.
typedef struct ez_outcome {
    ez_waiter *done;                 // waiters that are complete
    ez_buf events;                   // of topic "dataplanes": each a 4-byte length and a packed DataPlaneEvent
    char origin[EZ_FLEET_SERVER_ID]; // of the events, where they are another server's
} ez_outcome;

void ez_outcome_init(ez_outcome *outcome);
// Tells the waiters and publishes the events; without the lock. Ends the outcome.
void ez_outcome_finish(ez_outcome *outcome, const ez_fleet *fleet);

// All under the lock.
ez_session_state *ez_session_find(ez_fleet *fleet, int64_t id);
// Changes a session's liveness or revision, and with it what waiters still miss.
void ez_session_set(ez_fleet *fleet, ez_session_state *session, bool is_live, uint64_t applied, ez_outcome *outcome);
// Other servers have to learn of it.
void ez_session_touch(ez_fleet *fleet, ez_session_state *session);
// Ends it without a word: its data plane is elsewhere.
void ez_session_drop(ez_fleet *fleet, ez_session_state *session, ez_outcome *outcome);
// Notes what it holds: kinds as in HelloRequest and FetchConfigRequest, none being all.
void ez_session_note_kinds(ez_session_state *session, const Ez__V1__Kind *kinds, size_t count, bool keys_as_ids);
// Whether that is all, so that its digest can be compared.
bool ez_session_is_whole(const ez_session_state *session);
void ez_session_heard(ez_fleet *fleet, ez_session_state *session, ez_outcome *outcome);
// Notes an event to be published. One that there is no room for is dropped, as a slow subscriber would drop it.
void ez_session_tell(const ez_fleet *fleet, const ez_session_state *session, Ez__V1__DataPlaneEventType type,
                     ez_outcome *outcome);
// Tells whoever raises alerts.
void ez_session_notice(const ez_fleet *fleet, const ez_session_state *session, ez_fleet_notice_type type);
void ez_session_notice_again(const ez_fleet *fleet, int64_t id, ez_fleet_notice_type type);
// Both, of a data plane's last state, as it was on a server that is gone.
void ez_session_tell_lost(const ez_fleet *fleet, int64_t id, uint64_t applied, ez_outcome *outcome);
// Fills what is shown of it; what it points to is the arena's or the session's. Where there is no memory, lists are
// short.
void ez_session_view(const ez_fleet *fleet, const ez_session_state *session, ez_arena *arena, Ez__V1__DataPlane *out);
Ez__V1__DataPlaneState ez_session_state_of(const ez_session_state *session);

// ---- remote.c; all under the lock
ez_remote_session *ez_remote_find(const ez_fleet *fleet, int64_t id);
void ez_remote_forget(ez_fleet *fleet, int64_t id);
// Appends its fields to a packed DataPlane.
ez_status ez_remote_append(const ez_fleet *fleet, const ez_remote_session *remote, ez_buf *out);
// Forgets those whose data plane is enrolled no more. Within a directory section.
void ez_remote_tick(ez_fleet *fleet, uint64_t now);
void ez_remote_fini(ez_fleet *fleet);
