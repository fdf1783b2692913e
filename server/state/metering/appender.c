// SPDX-License-Identifier: Apache-2.0
//
// The appender's queue and thread. Calls wait in a list that is linked through themselves. The thread takes one after
// the other, lets its handler make rows, and gathers until a group is full or nothing waits; a group is one store
// transaction. Under load groups grow by themselves, since calls gather while one commits.
//
// Awkward cases. A call whose rows no longer fit begins the next group; its handler has run by then. A store error that
// is not an outage may be one call's fault: the group's calls are then added one by one, so that none fails for another
// for ever. An outage, or a commit whose outcome is not known, fails the whole group: whoever repeats with the same
// mark is told that it was there, or is added.
#include "server/state/metering/appender.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/crypto/hash.h"
#include "proto/runtime/clock.h"

#define GROUP_CALLS 64
#define GROUP_ROWS  100000
#define CHORE_MS    1000 // between chores, where the last one left nothing to do

struct ez_appender {
    ez_appender_options options;
    pthread_t thread;

    pthread_mutex_t lock; // what follows, up to the thread's own
    pthread_cond_t wake;
    ez_append *first;
    ez_append **last;
    size_t waiting;
    bool is_stopping;

    bool is_joined; // whoever stops it

    // The thread's own.
    ez_append *held; // its handler has run, and the last group had no room for it
    ez_append *group[GROUP_CALLS];
    size_t group_count;
    size_t group_rows;
    ez_usage_batch usage[GROUP_CALLS];
    ez_log_batch logs[GROUP_CALLS];
    ez_alert_batch alerts[GROUP_CALLS];
    uint64_t chore_next_ms;
    bool has_more_chores;
};

// ---- From the queue to a group

static ez_append *take(ez_appender *appender) {
    pthread_mutex_lock(&appender->lock);
    ez_append *append = appender->first;
    if (append) {
        appender->first = append->next;
        if (!appender->first)
            appender->last = &appender->first;
        appender->waiting--;
    }
    pthread_mutex_unlock(&appender->lock);
    return append;
}

static void finish(ez_append *append, ez_status status) {
    append->status = status;
    append->done(append);
}

// Runs the handler. False: the call failed or was only to be checked, and was answered.
static bool run_handler(ez_append *append) {
    ez_call *call = append->call;
    ez_status status;
    if (call->deadline_ns && ez_clock_mono_ns() > call->deadline_ns)
        status = ez_call_fail(call, EZ_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED",
                              "the store was too busy to take this in time: repeat it with the same sequence");
    else
        status = append->run(append->self, call, append, append->request);
    if (status == EZ_OK && !call->header.validate_only)
        return true;
    finish(append, status == EZ_OK ? ez_call_reply_bytes(call, "", 0) : status);
    return false;
}

static bool fits(const ez_appender *appender, const ez_append *append) {
    return appender->group_count == 0 || append->row_count <= GROUP_ROWS - appender->group_rows;
}

static void gather(ez_appender *appender) {
    appender->group_count = appender->group_rows = 0;
    while (appender->group_count < GROUP_CALLS && appender->group_rows < GROUP_ROWS) {
        ez_append *append = appender->held;
        appender->held = NULL;
        if (!append) {
            append = take(appender);
            if (!append)
                return;
            if (!run_handler(append))
                continue;
        }
        if (!fits(appender, append)) {
            appender->held = append;
            return;
        }
        appender->group[appender->group_count++] = append;
        appender->group_rows += append->row_count;
    }
}

// ---- From a group to the store

// What follows adds the group's calls from first on, count of them, in one transaction. Their marks say what became of
// each.
static ez_status add_usage(ez_appender *appender, size_t first, size_t count, int64_t now_ns, ez_error *error) {
    ez_append **group = appender->group + first;
    for (size_t i = 0; i < count; i++)
        appender->usage[i] =
            (ez_usage_batch){.mark = group[i]->mark, .rows = group[i]->usage, .row_count = group[i]->row_count};
    ez_status status = ez_store_add_usage(appender->options.store, appender->usage, count, now_ns,
                                          appender->options.total, appender->options.total_user, error);
    for (size_t i = 0; i < count; i++)
        group[i]->mark = appender->usage[i].mark;
    return status;
}

static ez_status add_logs(ez_appender *appender, size_t first, size_t count, int64_t now_ns, ez_error *error) {
    ez_append **group = appender->group + first;
    for (size_t i = 0; i < count; i++)
        appender->logs[i] =
            (ez_log_batch){.mark = group[i]->mark, .rows = group[i]->logs, .row_count = group[i]->row_count};
    ez_status status = ez_store_add_logs(appender->options.store, appender->logs, count, now_ns, error);
    for (size_t i = 0; i < count; i++)
        group[i]->mark = appender->logs[i].mark;
    return status;
}

static ez_status change_alerts(ez_appender *appender, size_t first, size_t count, int64_t now_ns, ez_error *error) {
    ez_append **group = appender->group + first;
    for (size_t i = 0; i < count; i++) {
        ez_call *call = group[i]->call;
        appender->alerts[i] = (ez_alert_batch){.mark = group[i]->mark,
                                               .ops = group[i]->alerts,
                                               .op_count = group[i]->row_count,
                                               .takes_some = group[i]->takes_some,
                                               .actor = call->principal.actor,
                                               .method = call->method ? call->method->name : call->principal.actor,
                                               .request_id = call->request_id,
                                               .remote = call->remote,
                                               .arena = &call->arena};
    }
    ez_status status = ez_store_change_alerts(appender->options.store, appender->alerts, count,
                                              &appender->options.alert_rules, now_ns, error);
    for (size_t i = 0; i < count; i++)
        group[i]->mark = appender->alerts[i].mark;
    return status;
}

static ez_status add(ez_appender *appender, size_t first, size_t count, ez_error *error) {
    int64_t now = ez_clock_wall_ns();
    switch (appender->options.stream) {
    case EZ_STREAM_USAGE:
        return add_usage(appender, first, count, now, error);
    case EZ_STREAM_LOGS:
        return add_logs(appender, first, count, now, error);
    case EZ_STREAM_ALERTS:
        break;
    }
    return change_alerts(appender, first, count, now, error);
}

static ez_status refuse_gap(const ez_append *append) {
    return ez_call_fail(append->call, EZ_OUT_OF_RANGE, "SEQUENCE_GAP",
                        "sequence %llu comes too early: %llu is expected, nothing was added",
                        (unsigned long long)append->mark.sequence, (unsigned long long)append->mark.expected);
}

static ez_status conclude(ez_append *append) {
    if (append->mark.epoch && append->mark.outcome == EZ_MARK_GAP)
        return refuse_gap(append);
    if (append->committed)
        return append->committed(append->self, append);
    return ez_call_reply_bytes(append->call, "", 0);
}

static void answer(ez_appender *appender, size_t first, size_t count, ez_status status, const ez_error *error) {
    for (size_t i = first; i < first + count; i++) {
        ez_append *append = appender->group[i];
        finish(append, status == EZ_OK ? conclude(append) : ez_error_copy(&append->call->error, error));
    }
}

static void commit(ez_appender *appender) {
    ez_error error = EZ_ERROR_INIT;
    size_t count = appender->group_count;
    ez_status status = add(appender, 0, count, &error);
    if (status == EZ_OK || status == EZ_UNAVAILABLE || count == 1) {
        answer(appender, 0, count, status, &error);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        ez_error_clear(&error);
        status = add(appender, i, 1, &error);
        answer(appender, i, 1, status, &error);
    }
}

// ---- The thread

static struct timespec at_ms(uint64_t ms) {
    return (struct timespec){.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
}

// Waits for a call or for the time of the next chore. False where nothing is left and the appender stops.
static bool wait_for_work(ez_appender *appender) {
    pthread_mutex_lock(&appender->lock);
    bool has_chore = appender->options.chore != NULL;
    while (!appender->first && !appender->held && !appender->is_stopping) {
        if (!has_chore) {
            pthread_cond_wait(&appender->wake, &appender->lock);
            continue;
        }
        struct timespec until = at_ms(appender->chore_next_ms);
        if (appender->has_more_chores || pthread_cond_timedwait(&appender->wake, &appender->lock, &until) == ETIMEDOUT)
            break;
    }
    bool goes_on = appender->first || appender->held || !appender->is_stopping;
    pthread_mutex_unlock(&appender->lock);
    return goes_on;
}

static bool is_stopping(ez_appender *appender) {
    pthread_mutex_lock(&appender->lock);
    bool stopping = appender->is_stopping;
    pthread_mutex_unlock(&appender->lock);
    return stopping;
}

// None while it stops: what was submitted is waited for, and a chore on a store that is away lasts as long as a commit.
static void do_chore(ez_appender *appender) {
    uint64_t now = ez_clock_mono_ms();
    if (!appender->options.chore || (!appender->has_more_chores && now < appender->chore_next_ms) ||
        is_stopping(appender))
        return;
    bool more = false;
    appender->options.chore(appender->options.chore_user, &more);
    appender->has_more_chores = more;
    appender->chore_next_ms = ez_clock_mono_ms() + CHORE_MS;
}

static void *run_thread(void *user) {
    ez_appender *appender = user;
    while (wait_for_work(appender)) {
        gather(appender);
        if (appender->group_count > 0)
            commit(appender);
        do_chore(appender);
    }
    return NULL;
}

// ---- Outside

static void init_wake(pthread_cond_t *wake) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(wake, &attributes);
    pthread_condattr_destroy(&attributes);
}

ez_status ez_appender_create(const ez_appender_options *options, ez_appender **out, ez_error *error) {
    ez_appender *appender = calloc(1, sizeof *appender);
    if (!appender)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for an appender");
    appender->options = *options;
    appender->last = &appender->first;
    appender->chore_next_ms = ez_clock_mono_ms() + CHORE_MS;
    pthread_mutex_init(&appender->lock, NULL);
    init_wake(&appender->wake);
    if (pthread_create(&appender->thread, NULL, run_thread, appender) != 0) {
        pthread_cond_destroy(&appender->wake);
        pthread_mutex_destroy(&appender->lock);
        free(appender);
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_THREAD", "no thread for an appender can be started");
    }
    *out = appender;
    return EZ_OK;
}

void ez_appender_stop(ez_appender *appender) {
    if (!appender || appender->is_joined)
        return;
    pthread_mutex_lock(&appender->lock);
    appender->is_stopping = true;
    pthread_cond_signal(&appender->wake);
    pthread_mutex_unlock(&appender->lock);
    pthread_join(appender->thread, NULL);
    appender->is_joined = true;
}

void ez_appender_destroy(ez_appender *appender) {
    if (!appender)
        return;
    ez_appender_stop(appender);
    pthread_cond_destroy(&appender->wake);
    pthread_mutex_destroy(&appender->lock);
    free(appender);
}

static ez_status enqueue(ez_appender *appender, ez_append *append, ez_error *error) {
    if (appender->is_stopping)
        return ez_error_set(error, EZ_UNAVAILABLE, "STOPPING", "the server is stopping: try again");
    if (appender->waiting >= appender->options.queue)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "APPEND_QUEUE_FULL",
                            "%zu calls wait for the store already: repeat it with the same sequence",
                            appender->waiting);
    append->next = NULL;
    *appender->last = append;
    appender->last = &append->next;
    appender->waiting++;
    pthread_cond_signal(&appender->wake);
    return EZ_OK;
}

ez_status ez_appender_submit(ez_appender *appender, ez_append *append, ez_error *error) {
    pthread_mutex_lock(&appender->lock);
    ez_status status = enqueue(appender, append, error);
    pthread_mutex_unlock(&appender->lock);
    return status;
}

// ---- Marks

// An epoch that stands for an idempotency key and for what was said under it: one key for two halves of a batch, sent
// to two routes, must not lose the second. The first 8 bytes are enough: calls of one data plane within a day, not
// everybody's for ever.
static ez_status epoch_of_key(const ez_append *append, uint64_t *epoch) {
    ez_call *call = append->call;
    ez_slice key = call->header.idempotency_key;
    const char *method = call->method ? call->method->name : "";
    ez_buf packed;
    ez_buf_init(&packed, EZ_CALL_MAX);
    ez_status status = ez_buf_pack(&packed, append->request);
    if (status == EZ_OK) {
        uint8_t hash[EZ_SHA256_LEN];
        const ez_sha256_part parts[] = {
            {key.data, key.len}, {"", 1}, {method, strlen(method) + 1}, {packed.data, packed.len}};
        ez_sha256_parts(parts, 4, hash);
        *epoch = 0;
        for (int i = 0; i < 8; i++)
            *epoch = *epoch << 8 | hash[i];
        *epoch = *epoch ? *epoch : 1;
    } else {
        status = ez_error_set(&call->error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for a mark");
    }
    ez_buf_fini(&packed);
    return status;
}

ez_status ez_append_mark(ez_append *append, uint64_t epoch, uint64_t sequence) {
    ez_call *call = append->call;
    append->mark = (ez_mark){.data_plane_id = call->principal.id, .epoch = epoch, .sequence = sequence};
    if (epoch && sequence)
        return EZ_OK;
    if (epoch)
        return ez_error_violation(&call->error, "sequence", "missing: epoch and sequence go together, from 1 on");
    if (sequence)
        return ez_error_violation(&call->error, "epoch", "missing: epoch and sequence go together");
    if (!call->header.idempotency_key.len)
        return EZ_OK;
    append->mark.sequence = 1;
    append->mark.is_key = true;
    return epoch_of_key(append, &append->mark.epoch);
}
