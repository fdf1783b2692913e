// SPDX-License-Identifier: Apache-2.0
//
// closer URL TOKEN: sixteen threads call that server until SIGTERM, then the client is closed under them. Prints
// "calling" when all sixteen have a call under way, "answered" after a hundred answers, and "closed" when the close is
// back and each call has had its one result. A program of its own, because an nng that hangs in a close hangs in each
// later one too, that of the test's runner included; for the same reason it ends by _exit.
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clients/c/client.h"
#include "ez/calls.h"

#define THREADS 16
#define ANSWERS 100

static ez_client *client;
static const char *token;
// Shared while a call is being started: nobody may call a client that is gone. Guards wants_end.
static pthread_rwlock_t gate = PTHREAD_RWLOCK_INITIALIZER;
static bool wants_end;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; // guards what follows, and each caller's is_done
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;
static unsigned long started, results, answered;

static void say(const char *word) {
    puts(word);
    fflush(stdout);
}

static void on_done(void *user, const ez_call_result *result) {
    bool *is_done = user;
    pthread_mutex_lock(&mutex);
    *is_done = true;
    results++;
    answered += result->status == EZ_OK;
    if (result->status == EZ_OK && answered == ANSWERS) {
        say("answered");
    }
    pthread_cond_broadcast(&done);
    pthread_mutex_unlock(&mutex);
}

// False: the end has come.
static bool start_call(bool *is_done) {
    static const char name[] = "ez.v1.Masters/List";
    Ez__V1__ListMastersRequest request = EZ__V1__LIST_MASTERS_REQUEST__INIT;
    ez_call_options options = {.timeout_ms = 60000, .authorization = token};
    pthread_rwlock_rdlock(&gate);
    bool is_started = !wants_end && ez_client_start(client, ez_method_find(name, sizeof name - 1), &request.base,
                                                    &options, on_done, is_done, NULL) == EZ_OK;
    pthread_rwlock_unlock(&gate);
    return is_started;
}

static void *keep_calling(void *arg) {
    for (bool is_done = false; start_call(&is_done); is_done = false) {
        pthread_mutex_lock(&mutex);
        if (++started == THREADS) {
            say("calling");
        }
        while (!is_done) {
            pthread_cond_wait(&done, &mutex);
        }
        pthread_mutex_unlock(&mutex);
    }
    return arg;
}

int main(int argc, char **argv) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (argc != 3) {
        return 2;
    }
    token = argv[2];
    ez_client_options options = {.servers = {argv[1]}, .server_count = 1, .connect_timeout_ms = 60000};
    if (ez_client_open(&options, &client, NULL) != EZ_OK) {
        return 2;
    }
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, keep_calling, NULL) != 0) {
            return 2;
        }
    }
    int signal;
    sigwait(&signals, &signal);
    pthread_rwlock_wrlock(&gate);
    wants_end = true;
    pthread_rwlock_unlock(&gate);
    ez_client_close(client);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    if (started != results) {
        fprintf(stderr, "%lu calls, %lu results\n", started, results);
        _exit(1);
    }
    say("closed");
    _exit(0);
}
