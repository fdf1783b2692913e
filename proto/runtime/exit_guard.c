// SPDX-License-Identifier: Apache-2.0
//
// A detached thread that sleeps and then ends the process. It runs into nothing: whatever hangs, hangs elsewhere. Where
// no thread can be made there is no guard, and the service manager's own patience is the bound.
#include "proto/runtime/exit_guard.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "proto/runtime/log.h"

typedef struct guard {
    unsigned timeout_ms;
    int exit_status;
} guard;

static void *wait_and_end(void *arg) {
    guard own = *(guard *)arg;
    free(arg);
    struct timespec left = {.tv_sec = (time_t)(own.timeout_ms / 1000),
                            .tv_nsec = (long)(own.timeout_ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0) {
    }
    ez_log_warn("stopping took too long: ending without the rest; what was answered is done");
    _exit(own.exit_status);
}

void ez_exit_guard(unsigned timeout_ms, int exit_status) {
    pthread_t thread;
    guard *own = malloc(sizeof *own);
    if (own == NULL) {
        return;
    }
    *own = (guard){timeout_ms, exit_status};
    if (pthread_create(&thread, NULL, wait_and_end, own) == 0) {
        (void)pthread_detach(thread);
    } else {
        free(own);
    }
}
