// SPDX-License-Identifier: Apache-2.0
//
// Sessions on other servers, as these tell of them: one row per data plane, in the one place or in the other. A data
// plane that moved is for a moment known twice; the server whose session is older drops it as soon as it hears of the
// newer one. Which one is newer the data plane itself says, by counting its Hellos; of two processes, or where it does
// not count, it is the one that was heard last. Nothing depends on the servers' clocks being equal.
//
// The awkward case: a server that can't be reached any more. Its data planes stay as they were until the caller says
// that it is gone; then they are lost, unless they have said Hello elsewhere meanwhile.
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "server/domain/fleet/session.h"

#define NS_PER_MS        1000000ull
#define BUCKETS_AT_ONCE  16
#define SESSIONS_AT_ONCE 64
#define PAGE_BYTES       (1u << 20)
#define PURGE_AFTER_NS   60000000000ull // a data plane that was enrolled elsewhere may not be known here at once

#define STATE_LOST EZ__V1__DATA_PLANE_STATE__DATA_PLANE_STATE_LOST

static bool is_live(Ez__V1__DataPlaneState state) {
    return state == EZ__V1__DATA_PLANE_STATE__DATA_PLANE_STATE_LIVE ||
           state == EZ__V1__DATA_PLANE_STATE__DATA_PLANE_STATE_LAGGING;
}

ez_remote_session *ez_remote_find(const ez_fleet *fleet, int64_t id) {
    ez_remote_session *at = fleet->remotes[(uint64_t)id % EZ_FLEET_BUCKETS];
    while (at != NULL && at->id != id) {
        at = at->next;
    }
    return at;
}

void ez_remote_forget(ez_fleet *fleet, int64_t id) {
    ez_remote_session **place = &fleet->remotes[(uint64_t)id % EZ_FLEET_BUCKETS];
    while (*place != NULL && (*place)->id != id) {
        place = &(*place)->next;
    }
    ez_remote_session *gone = *place;
    if (gone != NULL) {
        *place = gone->next;
        free(gone);
    }
}

void ez_remote_fini(ez_fleet *fleet) {
    for (unsigned i = 0; i < EZ_FLEET_BUCKETS; i++) {
        while (fleet->remotes[i] != NULL) {
            ez_remote_session *gone = fleet->remotes[i];
            fleet->remotes[i] = gone->next;
            free(gone);
        }
    }
}

// ---- Showing

ez_status ez_remote_append(const ez_fleet *fleet, const ez_remote_session *remote, ez_buf *out) {
    ez_status status = ez_buf_append(out, remote->view, remote->len);
    if (status != EZ_OK) {
        return status;
    }
    // What changes without a word of its server: fields that come again win.
    Ez__V1__DataPlane now = EZ__V1__DATA_PLANE__INIT;
    Google__Protobuf__Timestamp seen = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    uint64_t head = ez_feed_head(fleet->options.feed).n, heard_ns = remote->heard_ns;
    if (is_live(remote->state) && remote->server < EZ_FLEET_SERVERS_MAX &&
        fleet->synced_ns[remote->server] > heard_ns) {
        heard_ns = fleet->synced_ns[remote->server];
    }
    uint64_t mono_ns = ez_clock_mono_ns();
    int64_t wall_ns = ez_clock_wall_ns() - (int64_t)(mono_ns > heard_ns ? mono_ns - heard_ns : 0);
    seen.seconds = wall_ns / 1000000000;
    seen.nanos = (int32_t)(wall_ns % 1000000000);
    now.state = remote->state;
    now.last_seen_at = &seen;
    now.lag = head > remote->applied ? head - remote->applied : 0;
    return ez_buf_pack(out, &now.base);
}

// By server; the last one for those that are on none.
static void count_live(const ez_fleet *fleet, uint32_t live[EZ_FLEET_SERVERS_MAX + 1]) {
    memset(live, 0, (EZ_FLEET_SERVERS_MAX + 1) * sizeof *live);
    for (unsigned i = 0; i < EZ_FLEET_BUCKETS; i++) {
        for (const ez_remote_session *at = fleet->remotes[i]; at != NULL; at = at->next) {
            live[at->server] += is_live(at->state) && ez_directory_get(fleet->options.directory,
                                                                       EZ__V1__KIND__KIND_DATA_PLANE, at->id) != NULL;
        }
    }
}

void ez_fleet_count_servers(ez_fleet *fleet, uint32_t live[EZ_FLEET_SERVERS_MAX]) {
    uint32_t all[EZ_FLEET_SERVERS_MAX + 1];
    ez_directory_enter();
    pthread_mutex_lock(&fleet->lock);
    count_live(fleet, all);
    pthread_mutex_unlock(&fleet->lock);
    ez_directory_leave();
    memcpy(live, all, EZ_FLEET_SERVERS_MAX * sizeof *live);
}

uint32_t ez_fleet_count_all(ez_fleet *fleet) {
    uint32_t all[EZ_FLEET_SERVERS_MAX + 1];
    ez_directory_enter();
    pthread_mutex_lock(&fleet->lock);
    count_live(fleet, all);
    uint32_t live = fleet->live;
    pthread_mutex_unlock(&fleet->lock);
    ez_directory_leave();
    for (unsigned i = 0; i <= EZ_FLEET_SERVERS_MAX; i++) {
        live += all[i];
    }
    return live;
}

// ---- Telling others

void ez_fleet_tell_servers(ez_fleet *fleet, const char *const *urls, size_t count) {
    pthread_mutex_lock(&fleet->lock);
    fleet->server_count = 0;
    for (size_t i = 0; i < count && fleet->server_count < EZ_FLEET_TOLD_MAX; i++) {
        size_t len = strlen(urls[i]);
        if (len > 0 && len < EZ_FLEET_URL_MAX) {
            memcpy(fleet->servers[fleet->server_count++], urls[i], len + 1);
        }
    }
    pthread_mutex_unlock(&fleet->lock);
}

static Ez__V1__PeerSession *tell(const ez_fleet *fleet, const ez_session_state *session, uint64_t now,
                                 ez_arena *arena) {
    Ez__V1__PeerSession *told = ez_arena_alloc(arena, sizeof *told);
    Ez__V1__DataPlane *plane = ez_arena_alloc(arena, sizeof *plane);
    if (told == NULL || plane == NULL) {
        return NULL;
    }
    ez__v1__peer_session__init(told);
    ez__v1__data_plane__init(plane);
    ez_session_view(fleet, session, arena, plane);
    plane->id = session->id;
    told->plane = plane;
    told->process_epoch = session->process_epoch;
    told->hellos = session->hellos;
    told->silent_ms = now > session->heard_ns ? (now - session->heard_ns) / NS_PER_MS : 0;
    // The texts are read after the lock is let go of.
    plane->version = ez_arena_strdup(arena, session->version);
    plane->address = ez_arena_strdup(arena, session->address);
    return plane->version != NULL && plane->address != NULL ? told : NULL;
}

// One bucket's sessions. False: there is no memory.
static bool tell_bucket(const ez_fleet *fleet, unsigned bucket, uint64_t since, ez_arena *arena,
                        Ez__V1__SyncPeerResponse *out, size_t *room, size_t *bytes) {
    uint64_t now = ez_clock_mono_ns();
    for (const ez_session_state *at = fleet->buckets[bucket]; at != NULL; at = at->next) {
        if (at->changed <= since) {
            continue;
        }
        if (out->n_sessions == *room) {
            size_t more = *room > 0 ? *room * 2 : 64;
            Ez__V1__PeerSession **list = ez_arena_alloc(arena, more * sizeof(Ez__V1__PeerSession *));
            if (list == NULL) {
                return false;
            }
            if (*room > 0) {
                memcpy(list, out->sessions, *room * sizeof(Ez__V1__PeerSession *));
            }
            out->sessions = list;
            *room = more;
        }
        Ez__V1__PeerSession *told = tell(fleet, at, now, arena);
        if (told == NULL) {
            return false;
        }
        out->sessions[out->n_sessions++] = told;
        *bytes += ez__v1__peer_session__get_packed_size(told) + 8;
    }
    return true;
}

ez_status ez_fleet_list_sessions(ez_fleet *fleet, uint64_t since, uint32_t page, ez_arena *arena,
                                 Ez__V1__SyncPeerResponse *out, ez_error *error) {
    size_t room = 0, bytes = 0;
    bool has_memory = true;
    // What changes while we walk is after the version that is told, and comes again: acknowledgements get in between.
    for (bool is_first = true; has_memory && page < EZ_FLEET_BUCKETS && bytes < PAGE_BYTES; is_first = false) {
        pthread_mutex_lock(&fleet->lock);
        out->version = is_first ? fleet->version : out->version;
        for (unsigned i = 0; i < BUCKETS_AT_ONCE && has_memory && page < EZ_FLEET_BUCKETS && bytes < PAGE_BYTES; i++) {
            has_memory = tell_bucket(fleet, page++, since, arena, out, &room, &bytes);
        }
        pthread_mutex_unlock(&fleet->lock);
    }
    out->next_page = page < EZ_FLEET_BUCKETS ? page : 0;
    return has_memory ? EZ_OK
                      : ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory to tell of sessions");
}

// ---- Hearing of others'

// Whether what is told is of a later session, or of the same one later.
static bool is_newer(const ez_remote_session *told, uint64_t process_epoch, uint64_t hellos, uint64_t heard_ns) {
    if (told->process_epoch == process_epoch && told->hellos != 0 && hellos != 0 && told->hellos != hellos) {
        return told->hellos > hellos;
    }
    return told->heard_ns >= heard_ns;
}

static ez_remote_session *make(const Ez__V1__PeerSession *told, unsigned server, uint64_t epoch, uint64_t now) {
    Ez__V1__DataPlane view = *told->plane;
    view.last_seen_at = NULL; // ours is put behind what is kept, and a message must not come twice
    size_t len = ez__v1__data_plane__get_packed_size(&view);
    ez_remote_session *made = malloc(sizeof *made + len);
    if (made == NULL) {
        return NULL;
    }
    uint64_t silent_ns = told->silent_ms < 1000000 ? told->silent_ms * NS_PER_MS : 1000000 * NS_PER_MS;
    const Ez__V1__Revision *applied = told->plane->applied;
    *made = (ez_remote_session){.id = told->plane->id,
                                .server = server,
                                .process_epoch = told->process_epoch,
                                .hellos = told->hellos,
                                .applied = applied != NULL && applied->epoch == epoch ? applied->n : 0,
                                .heard_ns = now > silent_ns ? now - silent_ns : 0,
                                .noted_ns = now,
                                .state = told->plane->state,
                                .len = len};
    ez__v1__data_plane__pack(&view, made->view);
    return made;
}

// Keeps it, or not, where another session of the data plane is newer.
static void note(ez_fleet *fleet, ez_remote_session *told, ez_outcome *outcome) {
    ez_session_state *ours = ez_session_find(fleet, told->id);
    const ez_remote_session *other = ez_remote_find(fleet, told->id);
    bool beats_ours = ours == NULL || is_newer(told, ours->process_epoch, ours->hellos, ours->heard_ns);
    bool beats_other = other == NULL || other->server == told->server ||
                       is_newer(told, other->process_epoch, other->hellos, other->heard_ns);
    if (!beats_ours || !beats_other) {
        free(told);
        return;
    }
    if (ours != NULL) {
        ez_session_drop(fleet, ours, outcome);
    }
    ez_remote_forget(fleet, told->id);
    ez_remote_session **bucket = &fleet->remotes[(uint64_t)told->id % EZ_FLEET_BUCKETS];
    told->next = *bucket;
    *bucket = told;
}

void ez_fleet_note_sessions(ez_fleet *fleet, unsigned server, Ez__V1__PeerSession *const *sessions, size_t count) {
    uint64_t epoch = ez_feed_head(fleet->options.feed).epoch;
    ez_outcome outcome;
    ez_outcome_init(&outcome);
    size_t at = 0;
    do {
        pthread_mutex_lock(&fleet->lock);
        uint64_t now = ez_clock_mono_ns(); // under the lock: never before the time at which a session was heard
        fleet->synced_ns[server] = now;
        for (size_t end = at + SESSIONS_AT_ONCE; at < count && at < end; at++) {
            ez_remote_session *told = sessions[at]->plane != NULL ? make(sessions[at], server, epoch, now) : NULL;
            if (told != NULL) {
                note(fleet, told, &outcome);
            }
        }
        pthread_mutex_unlock(&fleet->lock);
    } while (at < count);
    ez_outcome_finish(&outcome, fleet);
}

void ez_fleet_lose_server(ez_fleet *fleet, unsigned server, const char *server_id) {
    ez_outcome outcome;
    ez_outcome_init(&outcome);
    strncpy(outcome.origin, server_id, sizeof outcome.origin - 1);
    outcome.origin[sizeof outcome.origin - 1] = '\0';
    pthread_mutex_lock(&fleet->lock);
    for (unsigned i = 0; i < EZ_FLEET_BUCKETS; i++) {
        for (ez_remote_session *at = fleet->remotes[i]; at != NULL; at = at->next) {
            if (at->server != server) {
                continue;
            }
            at->server = EZ_FLEET_SERVERS_MAX;
            if (is_live(at->state)) {
                at->state = STATE_LOST;
                ez_session_tell_lost(fleet, at->id, at->applied, &outcome);
            }
        }
    }
    fleet->synced_ns[server] = 0;
    pthread_mutex_unlock(&fleet->lock);
    ez_outcome_finish(&outcome, fleet);
}

void ez_remote_tick(ez_fleet *fleet, uint64_t now) {
    for (unsigned i = 0; i < EZ_FLEET_BUCKETS; i++) {
        ez_remote_session **place = &fleet->remotes[i];
        while (*place != NULL) {
            ez_remote_session *at = *place;
            bool is_old = now > at->noted_ns && now - at->noted_ns > PURGE_AFTER_NS;
            if (is_old && ez_directory_get(fleet->options.directory, EZ__V1__KIND__KIND_DATA_PLANE, at->id) == NULL) {
                *place = at->next;
                free(at);
            } else {
                place = &at->next;
            }
        }
    }
}
