// SPDX-License-Identifier: Apache-2.0
//
// Asking for the lease, again and again. What is known of it is guarded by one mutex, which is never held while the
// store is asked; the clock is read under it.
//
// Awkward: an answer that was long on its way. The time counts from before the question, so such an answer may say that
// the lease is ours and already be too old to be believed.
#include "server/jobs/lease.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"

#define RENEWALS   3    // in the time of a lease
#define LOOK_MS    1000 // at most, for one that another server has
#define TIMEOUT_MS 2000 // of one question at most; a connection that hangs is given up and made again
#define MARGIN     10   // a tenth of the time is not used: clocks run at different speeds

struct ez_lease {
    ez_store *store;
    char holder[EZ_LEASE_HOLDER_MAX];
    uint32_t ttl_ms;
    bool is_shared;
    pthread_t thread;
    bool has_thread;
    bool is_failing; // and has said so; the thread's own, as the next
    bool was_held;

    pthread_mutex_t lock; // what follows
    pthread_cond_t wake;
    ez_store_lease seen;
    uint64_t until_ms; // monotonic; 0: not held
    bool is_stopping;
};

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

static bool is_ours(const ez_lease *lease) {
    return strcmp(lease->seen.holder, lease->holder) == 0;
}

static bool is_held_locked(const ez_lease *lease) {
    return is_ours(lease) && (!lease->is_shared || ez_clock_mono_ms() < lease->until_ms);
}

static bool is_holder(void *user, uint64_t *token) {
    ez_lease *self = user;
    pthread_mutex_lock(&self->lock);
    bool is_held = is_held_locked(self);
    if (is_held)
        *token = self->seen.token;
    pthread_mutex_unlock(&self->lock);
    return is_held;
}

ez_holder ez_lease_holder(const ez_lease *lease) {
    return (ez_holder){is_holder, (void *)(uintptr_t)lease};
}

void ez_lease_look(const ez_lease *lease, char *holder, uint64_t *token) {
    ez_lease *self = (ez_lease *)(uintptr_t)lease; // for its lock
    pthread_mutex_lock(&self->lock);
    memcpy(holder, self->seen.holder, sizeof self->seen.holder);
    *token = self->seen.token;
    pthread_mutex_unlock(&self->lock);
}

// Says what has changed for this server.
static void tell(ez_lease *lease, bool is_held, uint64_t token) {
    if (is_held && !lease->was_held)
        ez_log_info("this server does the background work", "token", EZ_LOG_INT((long long)token));
    else if (!is_held && lease->was_held)
        ez_log_warn("this server no longer does the background work: its lease has ended");
    lease->was_held = is_held;
}

// Nothing is said while the server starts: where it can't, that is the one line.
static void ask(ez_lease *lease, bool is_starting) {
    ez_error error = EZ_ERROR_INIT;
    ez_store_lease got;
    uint64_t asked_ms = ez_clock_mono_ms();
    ez_status status = ez_store_take_lease(lease->store, lease->holder, lease->ttl_ms,
                                           least(lease->ttl_ms / RENEWALS, TIMEOUT_MS), &got, &error);
    pthread_mutex_lock(&lease->lock);
    if (status == EZ_OK) {
        lease->seen = got;
        lease->until_ms = is_ours(lease) ? asked_ms + lease->ttl_ms - lease->ttl_ms / MARGIN : 0;
    }
    bool is_held = is_held_locked(lease);
    uint64_t token = lease->seen.token;
    pthread_mutex_unlock(&lease->lock);
    if (is_starting) {
        lease->was_held = is_held;
        return;
    }
    if (status != EZ_OK && !lease->is_failing)
        ez_log_warn("the lease of the background work can't be asked for; trying again", "reason", error.reason,
                    "message", error.message);
    lease->is_failing = status != EZ_OK;
    tell(lease, is_held, token);
}

// ---- The thread

static uint32_t pause_ms(const ez_lease *lease) {
    return least(lease->ttl_ms / RENEWALS, is_held_locked(lease) && !lease->is_failing ? UINT32_MAX : LOOK_MS);
}

// False where it stops.
static bool wait_for_turn(ez_lease *lease) {
    pthread_mutex_lock(&lease->lock);
    bool is_for_good = !lease->is_shared && is_ours(lease);
    uint64_t until_ms = ez_clock_mono_ms() + pause_ms(lease);
    struct timespec until = {.tv_sec = (time_t)(until_ms / 1000), .tv_nsec = (long)(until_ms % 1000) * 1000000};
    int rv = 0;
    while (!lease->is_stopping && rv == 0)
        rv = is_for_good ? pthread_cond_wait(&lease->wake, &lease->lock)
                         : pthread_cond_timedwait(&lease->wake, &lease->lock, &until);
    bool goes_on = !lease->is_stopping;
    pthread_mutex_unlock(&lease->lock);
    return goes_on;
}

static void *run_thread(void *user) {
    ez_lease *lease = user;
    while (wait_for_turn(lease))
        ask(lease, false);
    return NULL;
}

// ---- Life

static void init_locks(ez_lease *lease) {
    pthread_condattr_t monotonic;
    pthread_mutex_init(&lease->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&lease->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

ez_status ez_lease_create(ez_store *store, const char *holder, uint32_t ttl_ms, ez_lease **out, ez_error *error) {
    ez_lease *lease = calloc(1, sizeof *lease);
    if (!lease)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for the lease");
    lease->store = store;
    lease->ttl_ms = ttl_ms;
    lease->is_shared = ez_store_is_shared(store);
    snprintf(lease->holder, sizeof lease->holder, "%s", holder);
    init_locks(lease);
    ask(lease, true);
    lease->has_thread = pthread_create(&lease->thread, NULL, run_thread, lease) == 0;
    if (!lease->has_thread) {
        ez_lease_destroy(lease);
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_THREAD", "no thread for the lease can be started");
    }
    *out = lease;
    return EZ_OK;
}

static void give_up(ez_lease *lease) {
    ez_error error = EZ_ERROR_INIT;
    pthread_mutex_lock(&lease->lock);
    bool was_ours = is_ours(lease);
    lease->seen = (ez_store_lease){.token = lease->seen.token};
    pthread_mutex_unlock(&lease->lock);
    if (was_ours &&
        ez_store_drop_lease(lease->store, lease->holder, least(lease->ttl_ms / RENEWALS, TIMEOUT_MS), &error) != EZ_OK)
        ez_log_warn("the lease of the background work was not given up: it ends by itself", "reason", error.reason,
                    "message", error.message);
}

void ez_lease_stop(ez_lease *lease) {
    if (!lease || !lease->has_thread)
        return;
    pthread_mutex_lock(&lease->lock);
    lease->is_stopping = true;
    pthread_cond_signal(&lease->wake);
    pthread_mutex_unlock(&lease->lock);
    pthread_join(lease->thread, NULL);
    lease->has_thread = false;
    give_up(lease);
}

void ez_lease_destroy(ez_lease *lease) {
    if (!lease)
        return;
    ez_lease_stop(lease);
    pthread_cond_destroy(&lease->wake);
    pthread_mutex_destroy(&lease->lock);
    free(lease);
}
