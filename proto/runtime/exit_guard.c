// SPDX-License-Identifier: Apache-2.0
//
// A detached thread that sleeps and then ends the process. It runs into nothing: whatever hangs, hangs elsewhere. Where
// no thread can be made there is no guard, and the service manager's own patience is the bound.
#include "proto/runtime/exit_guard.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "proto/runtime/log.h"

static unsigned guard_ms; // written before the thread is made
static int guard_status;

static void *wait_and_end(void *arg) {
    struct timespec left = {.tv_sec = (time_t)(guard_ms / 1000), .tv_nsec = (long)(guard_ms % 1000) * 1000000};
    (void)arg;
    while (nanosleep(&left, &left) != 0) {
    }
    ez_log_warn("closing connections took too long; all work was done, ending without it");
    _exit(guard_status);
}

void ez_exit_guard(unsigned timeout_ms, int exit_status) {
    pthread_t thread;
    guard_ms = timeout_ms;
    guard_status = exit_status;
    if (pthread_create(&thread, NULL, wait_and_end, NULL) == 0) {
        (void)pthread_detach(thread);
    }
}
