// SPDX-License-Identifier: Apache-2.0
//
// A thread that sleeps until the next job is due. A job that was late is run once, not once for each interval it
// missed.
#include "server/jobs/timer.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"

#define SLOW_NS 250000000ull

typedef struct entry {
    ez_timer_job job;
    uint64_t due_ns;
} entry;

struct ez_timer {
    pthread_t thread;
    pthread_mutex_t lock; // guards stopping
    pthread_cond_t wake;
    bool stopping;
    size_t count;
    entry entries[];
};

static void run_job(entry *at) {
    uint64_t began = ez_clock_mono_ns();
    at->job.run(at->job.user);
    uint64_t now = ez_clock_mono_ns();
    if (now - began > SLOW_NS) {
        ez_log_warn("a periodic job took long", "job", at->job.name, "ms",
                    EZ_LOG_INT((long long)((now - began) / 1000000)));
    }
    at->due_ns = now + (uint64_t)at->job.every_ms * 1000000u;
}

static uint64_t run_due(ez_timer *timer) {
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < timer->count; i++) {
        if (ez_clock_mono_ns() >= timer->entries[i].due_ns) {
            run_job(&timer->entries[i]);
        }
        next = timer->entries[i].due_ns < next ? timer->entries[i].due_ns : next;
    }
    return next;
}

static void *work(void *arg) {
    ez_timer *timer = arg;
    pthread_mutex_lock(&timer->lock);
    while (!timer->stopping) {
        pthread_mutex_unlock(&timer->lock);
        uint64_t next = run_due(timer);
        struct timespec until = {.tv_sec = (time_t)(next / 1000000000u), .tv_nsec = (long)(next % 1000000000u)};
        pthread_mutex_lock(&timer->lock);
        if (!timer->stopping) {
            pthread_cond_timedwait(&timer->wake, &timer->lock, &until);
        }
    }
    pthread_mutex_unlock(&timer->lock);
    return NULL;
}

ez_status ez_timer_create(const ez_timer_job *jobs, size_t count, ez_timer **out, ez_error *error) {
    ez_timer *timer = calloc(1, sizeof *timer + count * sizeof(entry));
    if (timer == NULL) {
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for the timer");
    }
    timer->count = count;
    uint64_t now = ez_clock_mono_ns();
    for (size_t i = 0; i < count; i++) {
        timer->entries[i] = (entry){jobs[i], now + (uint64_t)jobs[i].every_ms * 1000000u};
    }
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&timer->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&timer->lock, NULL);
    int rv = pthread_create(&timer->thread, NULL, work, timer);
    if (rv != 0) {
        free(timer);
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_THREAD", "can't start the timer's thread: %s",
                            strerror(rv));
    }
    *out = timer;
    return EZ_OK;
}

void ez_timer_destroy(ez_timer *timer) {
    if (timer == NULL) {
        return;
    }
    pthread_mutex_lock(&timer->lock);
    timer->stopping = true;
    pthread_cond_signal(&timer->wake);
    pthread_mutex_unlock(&timer->lock);
    pthread_join(timer->thread, NULL);
    pthread_cond_destroy(&timer->wake);
    pthread_mutex_destroy(&timer->lock);
    free(timer);
}
