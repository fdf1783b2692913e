// SPDX-License-Identifier: Apache-2.0
//
// ez_session_group: the worker that runs sessions, and the writer that puts their caches on disk, since an fsync must
// not hold up a revocation. The group owns its two threads; sessions are owned by who opened them, and leave the list
// here, on the worker, when they are closed. Awkward: a thousand sessions are woken fifty times a second each, so a
// wake-up costs a list append, and the clock is looked at for all of them together.
#include <stdlib.h>
#include <string.h>

#include "clients/c/session_private.h"
#include "proto/runtime/clock.h"

#define TICK_NS (10 * EZ_MS) // timers are this coarse

void ez_group_ready(ez_session_group *group, ez_session *session) {
    if (session->is_ready || session->is_closed) {
        return;
    }
    session->is_ready = true;
    session->next_ready = NULL;
    if (group->ready_tail == NULL) {
        group->ready_head = session;
    } else {
        group->ready_tail->next_ready = session;
    }
    group->ready_tail = session;
    if (group->is_asleep) {
        pthread_cond_signal(&group->wake);
    }
}

static void leave(ez_session_group *group, ez_session *session) {
    if (session->previous == NULL) {
        group->sessions = session->next;
    } else {
        session->previous->next = session->next;
    }
    if (session->next != NULL) {
        session->next->previous = session->previous;
    }
}

static void publish_info(ez_session *session, ez_session_info *info) {
    *info = (ez_session_info){
        .id = session->id,
        .is_live = session->was_live && session->failed_reports < 3,
        .at = session->is_consistent ? session->at : (ez_session_revision){0},
        .rows = session->rows.held,
        .rejected = session->rows.rejected,
        .events_lost = session->events_lost,
        .pushed = session->pushed,
        .fetches = session->fetches,
        .snapshots = session->snapshots,
    };
    memcpy(info->digest, session->rows.digest, sizeof info->digest);
}

// Locked on entry and exit, not in between. The session may be gone after it returns.
static void run_session(ez_session_group *group, ez_session *session) {
    pthread_mutex_unlock(&group->mutex);
    uint64_t now = ez_clock_mono_ns();
    uint64_t due = ez_follow_run(session, now);
    ez_session_info info;
    publish_info(session, &info);
    bool is_closed = session->state == EZ_FOLLOW_CLOSED;
    pthread_mutex_lock(&group->mutex);
    session->due = due;
    session->info = info;
    if (is_closed && !session->is_ready) {
        session->is_closed = true;
        leave(group, session);
        pthread_cond_broadcast(&group->closed);
    } else if (due <= now) {
        ez_group_ready(group, session); // it has more to do; others first
    }
}

// Marks those whose time has come; returns when the next one's does. Locked.
static uint64_t mark_due(ez_session_group *group, uint64_t now) {
    uint64_t next = UINT64_MAX;
    for (ez_session *session = group->sessions; session != NULL; session = session->next) {
        if (session->due <= now) {
            ez_group_ready(group, session);
        } else if (session->due < next) {
            next = session->due;
        }
    }
    return next;
}

static void sleep_until(ez_session_group *group, uint64_t due) {
    group->is_asleep = true;
    if (due == UINT64_MAX) {
        pthread_cond_wait(&group->wake, &group->mutex);
    } else {
        struct timespec at = {.tv_sec = (time_t)(due / EZ_S), .tv_nsec = (long)(due % EZ_S)};
        pthread_cond_timedwait(&group->wake, &group->mutex, &at);
    }
    group->is_asleep = false;
}

static void *work(void *user) {
    ez_session_group *group = user;
    uint64_t next_look = 0;
    pthread_mutex_lock(&group->mutex);
    while (!group->stopping) {
        uint64_t now = ez_clock_mono_ns();
        if (now >= next_look) {
            uint64_t due = mark_due(group, now);
            next_look = due > now + TICK_NS ? now + TICK_NS : due;
            if (group->ready_head == NULL) {
                next_look = due; // nothing runs that could make it earlier
            }
        }
        ez_session *session = group->ready_head;
        if (session == NULL) {
            sleep_until(group, next_look);
            continue;
        }
        group->ready_head = session->next_ready;
        if (group->ready_head == NULL) {
            group->ready_tail = NULL;
        }
        session->is_ready = false;
        run_session(group, session);
        uint64_t soon = ez_clock_mono_ns() + TICK_NS;
        next_look = next_look < soon ? next_look : soon;
    }
    pthread_mutex_unlock(&group->mutex);
    return NULL;
}

static void *write_caches(void *user) {
    ez_session_group *group = user;
    pthread_mutex_lock(&group->mutex);
    for (;;) {
        ez_session *session = group->jobs_head;
        if (session == NULL) {
            if (group->stopping) {
                break;
            }
            pthread_cond_wait(&group->write, &group->mutex);
            continue;
        }
        group->jobs_head = session->cache.next_job;
        if (group->jobs_head == NULL) {
            group->jobs_tail = NULL;
        }
        pthread_mutex_unlock(&group->mutex);
        ez_error error;
        ez_error_clear(&error);
        ez_status status = ez_cache_write(session, &error);
        pthread_mutex_lock(&group->mutex);
        session->cache.result = status;
        ez_error_copy(&session->cache.error, &error);
        session->cache.is_busy = false;
        ez_group_ready(group, session);
    }
    pthread_mutex_unlock(&group->mutex);
    return NULL;
}

void ez_group_write(ez_session_group *group, ez_session *session) {
    pthread_mutex_lock(&group->mutex);
    session->cache.is_busy = true;
    session->cache.next_job = NULL;
    if (group->jobs_tail == NULL) {
        group->jobs_head = session;
    } else {
        group->jobs_tail->cache.next_job = session;
    }
    group->jobs_tail = session;
    pthread_cond_signal(&group->write);
    pthread_mutex_unlock(&group->mutex);
}

static ez_status start_thread(pthread_t *thread, void *(*run)(void *), ez_session_group *group, ez_error *error) {
    int failed = pthread_create(thread, NULL, run, group);
    return failed == 0 ? EZ_OK
                       : ez_error_set(error, EZ_UNAVAILABLE, "NO_THREAD", "A thread for sessions can't be started: %s.",
                                      strerror(failed));
}

ez_status ez_group_need_writer(ez_session_group *group, ez_error *error) {
    pthread_mutex_lock(&group->mutex);
    ez_status status = group->has_writer ? EZ_OK : start_thread(&group->writer, write_caches, group, error);
    group->has_writer = group->has_writer || status == EZ_OK;
    pthread_mutex_unlock(&group->mutex);
    return status;
}

void ez_group_add(ez_session_group *group, ez_session *session) {
    pthread_mutex_lock(&group->mutex);
    session->previous = NULL;
    session->next = group->sessions;
    if (group->sessions != NULL) {
        group->sessions->previous = session;
    }
    group->sessions = session;
    ez_group_ready(group, session);
    pthread_mutex_unlock(&group->mutex);
}

ez_status ez_session_group_open(ez_session_group **out, ez_error *error) {
    ez_session_group *group = calloc(1, sizeof *group);
    if (group == NULL) {
        return ez_error_set(error, EZ_UNAVAILABLE, "NO_MEMORY", "There is no memory for a group of sessions.");
    }
    pthread_mutex_init(&group->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&group->wake, &monotonic);
    pthread_cond_init(&group->closed, &monotonic);
    pthread_cond_init(&group->write, &monotonic);
    pthread_condattr_destroy(&monotonic);
    ez_status status = start_thread(&group->worker, work, group, error);
    group->has_worker = status == EZ_OK;
    if (status != EZ_OK) {
        ez_session_group_close(group);
        return status;
    }
    *out = group;
    return EZ_OK;
}

void ez_session_group_close(ez_session_group *group) {
    if (group == NULL) {
        return;
    }
    pthread_mutex_lock(&group->mutex);
    group->stopping = true;
    pthread_cond_broadcast(&group->wake);
    pthread_cond_broadcast(&group->write);
    pthread_mutex_unlock(&group->mutex);
    if (group->has_worker) {
        pthread_join(group->worker, NULL);
    }
    if (group->has_writer) {
        pthread_join(group->writer, NULL);
    }
    pthread_cond_destroy(&group->write);
    pthread_cond_destroy(&group->closed);
    pthread_cond_destroy(&group->wake);
    pthread_mutex_destroy(&group->mutex);
    free(group);
}
