// SPDX-License-Identifier: Apache-2.0
//
// Sessions, and those who wait for them. A waiter counts the live data planes that do not have its revision yet; each
// change of a session's revision or liveness goes through ez_session_set, which keeps those counts. That is the whole
// trick: an acknowledgement costs one step per waiter, not one per data plane.
//
// The awkward case: a data plane that falls silent stops being waited for after three heartbeats, one that joins is
// waited for from its Hello on.
#include "server/domain/fleet/fleet.h"

#include <stdlib.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "server/domain/fleet/session.h"

#define CHECK_ENROLLED_NS 200000000ull

ez_status ez_fleet_create(const ez_fleet_options *options, ez_fleet **out, ez_error *error) {
    ez_fleet *fleet = calloc(1, sizeof *fleet);
    if (fleet == NULL) {
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY",
                            "there is no memory for the data planes' sessions");
    }
    fleet->options = *options;
    pthread_mutex_init(&fleet->lock, NULL);
    *out = fleet;
    return EZ_OK;
}

static void free_session(ez_session_state *session) {
    free(session->rejected);
    free(session);
}

void ez_fleet_destroy(ez_fleet *fleet) {
    if (fleet == NULL) {
        return;
    }
    ez_fleet_stop(fleet);
    for (unsigned i = 0; i < EZ_FLEET_BUCKETS; i++) {
        while (fleet->buckets[i] != NULL) {
            ez_session_state *gone = fleet->buckets[i];
            fleet->buckets[i] = gone->next;
            free_session(gone);
        }
    }
    ez_remote_fini(fleet);
    pthread_mutex_destroy(&fleet->lock);
    free(fleet);
}

// ---- Waiters

static bool is_missing(const ez_session_state *session, uint64_t revision) {
    return session->is_live && session->applied < revision;
}

// Takes a waiter off the list and writes down how far the fleet has come.
static void complete(ez_fleet *fleet, ez_waiter *waiter, ez_outcome *outcome) {
    *waiter->previous = waiter->next;
    if (waiter->next != NULL) {
        waiter->next->previous = waiter->previous;
    }
    fleet->waiter_count--;
    waiter->of = fleet->live;
    waiter->planes = fleet->live - waiter->missing;
    waiter->next = outcome->done;
    outcome->done = waiter;
}

void ez_session_touch(ez_fleet *fleet, ez_session_state *session) {
    session->changed = ++fleet->version;
}

// Changes what waiters miss by what a session was before.
static void recount(ez_fleet *fleet, const ez_session_state *before, const ez_session_state *session,
                    ez_outcome *outcome) {
    fleet->live += (session->is_live ? 1u : 0u) - (before->is_live ? 1u : 0u);
    for (ez_waiter *waiter = fleet->waiters, *next; waiter != NULL; waiter = next) {
        next = waiter->next;
        waiter->missing +=
            (is_missing(session, waiter->revision) ? 1u : 0u) - (is_missing(before, waiter->revision) ? 1u : 0u);
        if (waiter->missing == 0) {
            complete(fleet, waiter, outcome);
        }
    }
}

void ez_session_set(ez_fleet *fleet, ez_session_state *session, bool is_live, uint64_t applied, ez_outcome *outcome) {
    ez_session_state before = *session;
    session->is_live = is_live;
    session->applied = applied;
    if (is_live != before.is_live || applied != before.applied) {
        ez_session_touch(fleet, session);
    }
    if (is_live != before.is_live && !session->is_removed && (is_live || !session->has_stopped)) {
        ez_session_notice(fleet, session, is_live ? EZ_FLEET_BACK : EZ_FLEET_LOST);
    }
    if (is_live != before.is_live) {
        ez_session_tell(fleet, session,
                        is_live                ? EZ__V1__DATA_PLANE_EVENT_TYPE__DATA_PLANE_EVENT_TYPE_JOINED
                        : session->has_stopped ? EZ__V1__DATA_PLANE_EVENT_TYPE__DATA_PLANE_EVENT_TYPE_STOPPED
                                               : EZ__V1__DATA_PLANE_EVENT_TYPE__DATA_PLANE_EVENT_TYPE_LOST,
                        outcome);
    }
    recount(fleet, &before, session, outcome);
}

void ez_session_drop(ez_fleet *fleet, ez_session_state *session, ez_outcome *outcome) {
    ez_session_state before = *session;
    session->is_live = false;
    recount(fleet, &before, session, outcome);
    ez_session_state **place = &fleet->buckets[(uint64_t)session->id % EZ_FLEET_BUCKETS];
    while (*place != session) {
        place = &(*place)->next;
    }
    *place = session->next;
    free_session(session);
}

static uint32_t count_missing(const ez_fleet *fleet, uint64_t revision) {
    uint32_t missing = 0;
    for (unsigned i = 0; i < EZ_FLEET_BUCKETS; i++) {
        for (const ez_session_state *at = fleet->buckets[i]; at != NULL; at = at->next) {
            missing += is_missing(at, revision) ? 1 : 0;
        }
    }
    return missing;
}

ez_status ez_fleet_wait(ez_fleet *fleet, ez_waiter *waiter, ez_error *error) {
    ez_outcome outcome;
    ez_outcome_init(&outcome);
    pthread_mutex_lock(&fleet->lock);
    if (fleet->waiter_count >= EZ_FLEET_WAITERS_MAX) {
        pthread_mutex_unlock(&fleet->lock);
        ez_outcome_finish(&outcome, fleet);
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "TOO_MANY_WAITERS",
                            "%u calls wait for data planes, as many as may: call without wait", EZ_FLEET_WAITERS_MAX);
    }
    waiter->missing = count_missing(fleet, waiter->revision);
    waiter->next = fleet->waiters;
    waiter->previous = &fleet->waiters;
    if (fleet->waiters != NULL) {
        fleet->waiters->previous = &waiter->next;
    }
    fleet->waiters = waiter;
    fleet->waiter_count++;
    if (waiter->missing == 0 || fleet->is_stopping) {
        complete(fleet, waiter, &outcome);
    }
    pthread_mutex_unlock(&fleet->lock);
    ez_outcome_finish(&outcome, fleet);
    return EZ_OK;
}

void ez_fleet_stop(ez_fleet *fleet) {
    ez_outcome outcome;
    ez_outcome_init(&outcome);
    pthread_mutex_lock(&fleet->lock);
    fleet->is_stopping = true;
    while (fleet->waiters != NULL) {
        complete(fleet, fleet->waiters, &outcome);
    }
    pthread_mutex_unlock(&fleet->lock);
    ez_outcome_finish(&outcome, fleet);
}

// ---- Sessions

ez_session_state *ez_session_find(ez_fleet *fleet, int64_t id) {
    ez_session_state *session = fleet->buckets[(uint64_t)id % EZ_FLEET_BUCKETS];
    while (session != NULL && session->id != id) {
        session = session->next;
    }
    return session;
}

void ez_session_heard(ez_fleet *fleet, ez_session_state *session, ez_outcome *outcome) {
    session->heard_ns = ez_clock_mono_ns();
    session->heard_wall_ns = ez_clock_wall_ns();
    session->has_stopped = false;
    if (!session->is_live) {
        ez_session_set(fleet, session, true, session->applied, outcome);
    }
}

// A session whose data plane was removed is nobody's.
static bool is_enrolled(const ez_fleet *fleet, int64_t id) {
    return ez_directory_get(fleet->options.directory, EZ__V1__KIND__KIND_DATA_PLANE, id) != NULL;
}

static void note_lag(ez_fleet *fleet, ez_session_state *session, uint64_t now, uint64_t head, ez_outcome *outcome) {
    if (session->applied >= head) {
        session->behind_since_ns = 0;
        if (session->is_lagging) {
            ez_session_touch(fleet, session);
        }
        session->is_lagging = false;
    } else if (session->behind_since_ns == 0) {
        session->behind_since_ns = now;
    } else if (session->is_live && !session->is_lagging && now - session->behind_since_ns > EZ_LOST_AFTER_NS) {
        session->is_lagging = true;
        ez_session_touch(fleet, session);
        ez_session_tell(fleet, session, EZ__V1__DATA_PLANE_EVENT_TYPE__DATA_PLANE_EVENT_TYPE_LAGGING, outcome);
    }
}

static void look_at(ez_fleet *fleet, ez_session_state **place, uint64_t now, uint64_t head, bool check,
                    ez_outcome *outcome) {
    ez_session_state *session = *place;
    bool is_gone = check && !is_enrolled(fleet, session->id);
    bool is_silent = !fleet->is_stopping && now - session->heard_ns > EZ_LOST_AFTER_NS; // a server that stops is deaf
    session->is_removed = is_gone;
    if (session->is_live && (is_gone || is_silent)) {
        ez_session_set(fleet, session, false, session->applied, outcome);
    }
    note_lag(fleet, session, now, head, outcome);
    if (is_gone) {
        ez_session_notice(fleet, session, EZ_FLEET_REMOVED);
        *place = session->next;
        free_session(session);
    }
}

static void look_at_sessions(ez_fleet *fleet, uint64_t now, uint64_t head, bool check, ez_outcome *outcome) {
    for (unsigned i = 0; i < EZ_FLEET_BUCKETS; i++) {
        ez_session_state **place = &fleet->buckets[i];
        while (*place != NULL) {
            const ez_session_state *session = *place;
            look_at(fleet, place, now, head, check, outcome);
            if (*place == session) {
                place = &(*place)->next;
            }
        }
    }
}

static void tick(ez_fleet *fleet, bool is_last) {
    uint64_t head = ez_feed_head(fleet->options.feed).n;
    ez_outcome outcome;
    ez_outcome_init(&outcome);
    ez_directory_enter();
    pthread_mutex_lock(&fleet->lock);
    uint64_t now = ez_clock_mono_ns(); // under the lock: never before the time at which a session was heard
    for (ez_waiter *waiter = fleet->waiters, *next; waiter != NULL; waiter = next) {
        next = waiter->next;
        if (now >= waiter->deadline_ns) {
            complete(fleet, waiter, &outcome);
        }
    }
    if (is_last || now - fleet->checked_ns >= CHECK_ENROLLED_NS) {
        fleet->checked_ns = now;
        look_at_sessions(fleet, now, head, true, &outcome);
        ez_remote_tick(fleet, now);
    }
    pthread_mutex_unlock(&fleet->lock);
    ez_directory_leave();
    ez_outcome_finish(&outcome, fleet);
}

void ez_fleet_tick(ez_fleet *fleet) {
    tick(fleet, false);
}

void ez_fleet_tick_last(ez_fleet *fleet) {
    tick(fleet, true);
}

void ez_fleet_counts(ez_fleet *fleet, uint32_t *enrolled, uint32_t *live) {
    *enrolled = (uint32_t)ez_directory_count(fleet->options.directory, EZ__V1__KIND__KIND_DATA_PLANE);
    pthread_mutex_lock(&fleet->lock);
    *live = fleet->live;
    pthread_mutex_unlock(&fleet->lock);
}

void ez_fleet_reached(ez_fleet *fleet, uint64_t revision, uint32_t *planes, uint32_t *of) {
    pthread_mutex_lock(&fleet->lock);
    *of = fleet->live;
    *planes = fleet->live - count_missing(fleet, revision);
    pthread_mutex_unlock(&fleet->lock);
}
