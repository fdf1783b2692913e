// SPDX-License-Identifier: Apache-2.0
//
// The close runs on a thread of its own, which is left behind where nng hangs. What the two threads share is counted:
// the last one frees it. Where no thread can be made the socket is closed here, bound or not.
#include "clients/c/socket_close.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define PATIENCE_S 3

typedef struct closing {
    nng_socket socket;
    pthread_mutex_t lock; // guards all below
    pthread_cond_t done;
    bool is_closed;
    bool is_alone; // the other thread is through with it
} closing;

static void leave(closing *shared) {
    bool is_last = shared->is_alone;
    shared->is_alone = true;
    pthread_mutex_unlock(&shared->lock);
    if (is_last) {
        pthread_cond_destroy(&shared->done);
        pthread_mutex_destroy(&shared->lock);
        free(shared);
    }
}

static void *close_it(void *arg) {
    closing *shared = arg;
    nng_close(shared->socket);
    pthread_mutex_lock(&shared->lock);
    shared->is_closed = true;
    pthread_cond_signal(&shared->done);
    leave(shared);
    return NULL;
}

static closing *make(nng_socket socket) {
    closing *shared = calloc(1, sizeof *shared);
    if (shared == NULL) {
        return NULL;
    }
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&shared->done, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&shared->lock, NULL);
    shared->socket = socket;
    return shared;
}

bool ez_socket_close(nng_socket socket) {
    closing *shared = make(socket);
    pthread_t thread;
    if (shared == NULL || pthread_create(&thread, NULL, close_it, shared) != 0) {
        free(shared);
        nng_close(socket);
        return true;
    }
    pthread_detach(thread);
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PATIENCE_S;
    int rv = 0;
    pthread_mutex_lock(&shared->lock);
    while (!shared->is_closed && rv == 0) {
        rv = pthread_cond_timedwait(&shared->done, &shared->lock, &until);
    }
    bool is_closed = shared->is_closed;
    leave(shared);
    return is_closed;
}
