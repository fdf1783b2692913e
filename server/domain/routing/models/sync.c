// SPDX-License-Identifier: Apache-2.0
//
// When a sync runs, and who is told. Calls wait in one list; a sync takes all of them, so that a hundred that ask at
// once cost one. Those it is done for stand in a second list meanwhile, where the timer finds the ones whose time is
// up.
//
// The awkward case is the end. A stop answers every call at once, whatever the thread is at; the thread sees it between
// two writes, or is woken from waiting for a reply, and what it finds out then nobody is told.
//
// A leader may be asleep past its lease. What it does by itself is therefore written under the token it began with;
// what was asked for is not.
#include "server/domain/routing/models/sync.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/domain/routing/models/sync_inside.h"

#define WATCH_MS       1000    // between looks at whether models have changed
#define WATCH_SHARE    20      // a look takes at most one part in so many of the time
#define RETRY_FIRST_MS 60000   // after a sync that failed, doubled each time
#define RETRY_MAX_MS   3600000 // at most so, or the interval

struct ez_model_sync {
    ez_model_work work;
    char *file, *url, *home;
    pthread_t thread;
    bool has_thread;

    // The thread's.
    bool has_derived;   // all models since the start
    bool was_lost;      // the lease, in the sync before, and it was said
    uint64_t due_ms;    // when the catalogue is looked at again; UINT64_MAX: when asked
    uint64_t derive_ms; // when deriving is tried again
    uint64_t watch_ms;
    unsigned failures;

    pthread_mutex_t lock; // guards what follows
    pthread_cond_t wake;
    bool stopping;
    bool force;
    ez_hold *waiting, *served; // linked by next
    size_t count;              // in both
    bool is_busy;
    int64_t checked_ns;
};

// ---- Lists of holds

static void push(ez_hold **list, ez_hold *hold) {
    hold->next = *list;
    *list = hold;
}

// Takes those out whose deadline is at or before until.
static ez_hold *take_late(ez_hold **list, uint64_t until_ns) {
    ez_hold *late = NULL;
    for (ez_hold **at = list; *at;) {
        ez_hold *hold = *at;
        if (hold->call->deadline_ns > until_ns) {
            at = &hold->next;
            continue;
        }
        *at = hold->next;
        push(&late, hold);
    }
    return late;
}

static size_t refuse_all(ez_hold *list, ez_status status, const char *reason, const char *message) {
    size_t count = 0;
    while (list) {
        ez_hold *next = list->next; // once it is answered it is gone
        list->done(list, ez_call_fail(list->call, status, reason, "%s", message));
        list = next;
        count++;
    }
    return count;
}

ez_status ez_model_sync_ask(ez_model_sync *sync, ez_hold *hold, bool force, ez_error *error) {
    if (!ez_model_work_has_source(&sync->work))
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "MODELS_NOT_SET",
                            "this server has no catalogue of models to read: set EZ_MODELS_FILE or EZ_MODELS_URL");
    ez_status status = EZ_OK;
    pthread_mutex_lock(&sync->lock);
    if (sync->stopping) {
        status = ez_error_set(error, EZ_UNAVAILABLE, "STOPPING", "the server is stopping: try again");
    } else if (sync->count == EZ_MODEL_SYNC_CALLS) {
        status = ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "SYNC_QUEUE_FULL",
                              "%d calls wait for a sync of the models already: look at GET /admin/models:meta",
                              EZ_MODEL_SYNC_CALLS);
    } else {
        push(&sync->waiting, hold);
        sync->count++;
        sync->force = sync->force || force;
        pthread_cond_signal(&sync->wake);
    }
    pthread_mutex_unlock(&sync->lock);
    return status;
}

void ez_model_sync_tick(ez_model_sync *sync) {
    pthread_mutex_lock(&sync->lock);
    uint64_t now = ez_clock_mono_ns();
    ez_hold *late[2] = {take_late(&sync->waiting, now), take_late(&sync->served, now)};
    for (int i = 0; i < 2; i++)
        for (ez_hold *hold = late[i]; hold; hold = hold->next)
            sync->count--;
    pthread_mutex_unlock(&sync->lock);
    for (int i = 0; i < 2; i++)
        refuse_all(late[i], EZ_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED",
                   "the sync of the models was not over by the deadline; it goes on: look at GET /admin/models:meta");
}

void ez_model_sync_state(ez_model_sync *sync, int64_t *checked_ns, bool *is_busy) {
    pthread_mutex_lock(&sync->lock);
    *checked_ns = sync->checked_ns;
    *is_busy = sync->is_busy;
    pthread_mutex_unlock(&sync->lock);
}

// ---- One sync, and the answers

static ez_status fill_reply(ez_model_sync *sync, ez_call *call, const ez_model_outcome *outcome) {
    Ez__V1__SyncModelsResponse reply = EZ__V1__SYNC_MODELS_RESPONSE__INIT;
    ez_status status = ez_model_meta_shown(sync->work.options.directory, sync, &call->arena, &reply.meta, &call->error);
    reply.catalogue_changed = outcome->catalogue_changed;
    reply.models_changed = outcome->models_changed;
    return status == EZ_OK ? ez_call_reply(call, &reply.base) : status;
}

static void answer_served(ez_model_sync *sync, ez_status status, const ez_model_outcome *outcome,
                          const ez_error *error) {
    pthread_mutex_lock(&sync->lock);
    ez_hold *served = sync->served;
    sync->served = NULL;
    for (ez_hold *hold = served; hold; hold = hold->next)
        sync->count--;
    pthread_mutex_unlock(&sync->lock);
    while (served) {
        ez_hold *next = served->next;
        ez_status told =
            status == EZ_OK ? fill_reply(sync, served->call, outcome) : ez_error_copy(&served->call->error, error);
        served->done(served, told);
        served = next;
    }
}

static void name_asker(const ez_hold *hold, ez_model_asker *out) {
    out->method = hold->call->method;
    memcpy(out->actor, hold->call->principal.actor, sizeof out->actor);
    memcpy(out->request_id, hold->call->request_id, sizeof out->request_id);
    memcpy(out->remote, hold->call->remote, sizeof out->remote);
}

// Takes the calls that wait. False where there are none and nothing is due.
static bool begin_sync(ez_model_sync *sync, bool is_due, uint64_t fence, ez_model_asker *asker, bool *force) {
    pthread_mutex_lock(&sync->lock);
    bool begins = !sync->stopping && (is_due || sync->waiting);
    if (begins) {
        if (sync->waiting)
            name_asker(sync->waiting, asker);
        sync->work.fence = sync->waiting ? EZ_NO_FENCE : fence;
        sync->served = sync->waiting;
        sync->waiting = NULL;
        *force = sync->force;
        sync->force = false;
        sync->is_busy = true;
    }
    pthread_mutex_unlock(&sync->lock);
    return begins;
}

static void end_sync(ez_model_sync *sync) {
    pthread_mutex_lock(&sync->lock);
    sync->is_busy = false;
    sync->checked_ns = ez_clock_wall_ns();
    pthread_mutex_unlock(&sync->lock);
}

static void plan_next(ez_model_sync *sync, ez_status status) {
    uint64_t interval = sync->work.options.interval_ms, retry = RETRY_FIRST_MS;
    sync->failures = status == EZ_OK ? 0 : sync->failures + 1;
    for (unsigned i = 1; i < sync->failures && retry < RETRY_MAX_MS; i++)
        retry *= 2;
    retry = retry < RETRY_MAX_MS ? retry : RETRY_MAX_MS;
    uint64_t pause = status == EZ_OK || interval < retry ? interval : retry;
    sync->due_ms = interval ? ez_clock_mono_ms() + pause : UINT64_MAX;
}

static void sync_once(ez_model_sync *sync, const ez_model_asker *asker, bool force) {
    ez_error error = EZ_ERROR_INIT;
    ez_model_outcome outcome;
    uint64_t began = ez_clock_mono_ms();
    ez_status status = ez_model_work_sync(&sync->work, asker, force, &outcome, &error);
    end_sync(sync);
    bool is_lost = status != EZ_OK && ez_model_work_is_lost(&error);
    if (!is_lost)
        plan_next(sync, status); // else it stays due, should the lease come back
    if (status == EZ_OK) {
        sync->has_derived = true;
        ez_log_info("models synced", "catalogue_changed", outcome.catalogue_changed ? "yes" : "no", "models_changed",
                    EZ_LOG_INT((long long)outcome.models_changed), "ms",
                    EZ_LOG_INT((long long)(ez_clock_mono_ms() - began)));
    } else if (is_lost && !sync->was_lost) {
        ez_log_info("another server syncs the models: it has the lease");
    } else if (!is_lost && (error.code != EZ_UNAVAILABLE || strcmp(error.reason, "STOPPING") != 0)) {
        ez_log_warn("the models were not synced, the last good catalogue stays", "reason", error.reason, "message",
                    error.message);
    }
    sync->was_lost = is_lost;
    answer_served(sync, status, &outcome, &error);
}

// ---- The thread

static void warn(const ez_model_sync *sync, const char *what, const ez_error *error) {
    if (!atomic_load(&sync->work.is_stopping) && !ez_model_work_is_lost(error))
        ez_log_warn(what, "reason", error->reason, "message", error->message);
}

// Models of a store that was filled before there were any, or that another release has worked on.
static void derive_once(ez_model_sync *sync) {
    if (sync->has_derived || ez_clock_mono_ms() < sync->derive_ms)
        return;
    ez_error error = EZ_ERROR_INIT;
    ez_model_outcome outcome = {0};
    sync->has_derived = ez_model_work_derive(&sync->work, NULL, &outcome, &error) == EZ_OK;
    sync->derive_ms = ez_clock_mono_ms() + RETRY_FIRST_MS;
    if (!sync->has_derived)
        warn(sync, "the models were not derived; trying again", &error);
}

static void watch(ez_model_sync *sync) {
    uint64_t began = ez_clock_mono_ms();
    if (began < sync->watch_ms)
        return;
    ez_error error = EZ_ERROR_INIT;
    if (ez_model_work_watch(&sync->work, &error) != EZ_OK)
        warn(sync, "models_meta was not written; trying again", &error);
    uint64_t now = ez_clock_mono_ms(), pause = (now - began) * WATCH_SHARE;
    sync->watch_ms = now + (pause > WATCH_MS ? pause : WATCH_MS);
}

// False: the thread is to end.
static bool wait_for_work(ez_model_sync *sync) {
    struct timespec until;
    uint64_t at = ez_clock_mono_ns() + WATCH_MS * UINT64_C(1000000);
    until.tv_sec = (time_t)(at / 1000000000u);
    until.tv_nsec = (long)(at % 1000000000u);
    pthread_mutex_lock(&sync->lock);
    if (!sync->stopping && !sync->waiting)
        pthread_cond_timedwait(&sync->wake, &sync->lock, &until);
    bool goes_on = !sync->stopping;
    pthread_mutex_unlock(&sync->lock);
    return goes_on;
}

static void *work(void *user) {
    ez_model_sync *sync = user;
    do {
        uint64_t fence;
        bool leads = ez_holder_may(&sync->work.options.holder, &fence), force = false;
        bool is_due = leads && ez_model_work_has_source(&sync->work) && ez_clock_mono_ms() >= sync->due_ms;
        ez_model_asker asker = {.method = NULL};
        if (begin_sync(sync, is_due, fence, &asker, &force))
            sync_once(sync, &asker, force);
        if (leads) {
            sync->work.fence = fence;
            derive_once(sync);
            watch(sync);
        }
    } while (wait_for_work(sync));
    return NULL;
}

// ---- Life

static ez_status check(const ez_model_sync_options *options, ez_error *error) {
    bool has_file = options->file && options->file[0], has_url = options->url && options->url[0];
    if (has_file && has_url)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "MODELS_SET_TWICE",
                            "EZ_MODELS_FILE and EZ_MODELS_URL are both set: set one of them");
    if (!has_url)
        return EZ_OK;
    ez_error why = EZ_ERROR_INIT;
    if (ez_outbound_check_url(ez_outbound_allowed(options->outbound), options->url, &why) == EZ_OK)
        return EZ_OK;
    return ez_error_set(error, why.code, why.reason, "EZ_MODELS_URL: %.400s", why.message);
}

static bool copy(const char *text, char **out) {
    *out = strdup(text ? text : "");
    return *out != NULL;
}

static ez_status start_thread(ez_model_sync *sync, ez_error *error) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    sync->has_thread = pthread_create(&sync->thread, NULL, work, sync) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return sync->has_thread
               ? EZ_OK
               : ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_THREAD", "no thread for syncing models can be started");
}

static ez_status fill(ez_model_sync *sync, const ez_model_sync_options *options, ez_error *error) {
    if (!copy(options->file, &sync->file) || !copy(options->url, &sync->url) || !copy(options->home, &sync->home))
        return ez_no_memory(error);
    sync->work.options = *options;
    sync->work.options.file = sync->file;
    sync->work.options.url = sync->url;
    sync->work.options.home = sync->home;
    ez_status status = options->outbound ? ez_model_fetch_create(options->outbound, &sync->work.fetch, error) : EZ_OK;
    return status == EZ_OK ? start_thread(sync, error) : status;
}

ez_status ez_model_sync_create(const ez_model_sync_options *options, ez_model_sync **out, ez_error *error) {
    ez_status status = check(options, error);
    if (status != EZ_OK)
        return status;
    ez_model_sync *sync = calloc(1, sizeof *sync);
    if (!sync)
        return ez_no_memory(error);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&sync->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&sync->lock, NULL);
    status = fill(sync, options, error);
    if (status != EZ_OK) {
        ez_model_sync_destroy(sync);
        return status;
    }
    *out = sync;
    return EZ_OK;
}

void ez_model_sync_stop(ez_model_sync *sync) {
    if (!sync)
        return;
    pthread_mutex_lock(&sync->lock);
    sync->stopping = true;
    atomic_store(&sync->work.is_stopping, true);
    ez_hold *all[2] = {sync->waiting, sync->served};
    sync->waiting = sync->served = NULL;
    sync->count = 0;
    pthread_cond_signal(&sync->wake);
    pthread_mutex_unlock(&sync->lock);
    if (sync->work.fetch)
        ez_model_fetch_cancel(sync->work.fetch);
    for (int i = 0; i < 2; i++)
        refuse_all(all[i], EZ_UNAVAILABLE, "STOPPING", "the server is stopping: try again");
}

void ez_model_sync_join(ez_model_sync *sync) {
    if (!sync || !sync->has_thread)
        return;
    ez_model_sync_stop(sync);
    pthread_join(sync->thread, NULL);
    sync->has_thread = false;
}

void ez_model_sync_destroy(ez_model_sync *sync) {
    if (!sync)
        return;
    ez_model_sync_join(sync);
    ez_model_fetch_destroy(sync->work.fetch);
    pthread_cond_destroy(&sync->wake);
    pthread_mutex_destroy(&sync->lock);
    free(sync->file);
    free(sync->url);
    free(sync->home);
    free(sync);
}
