// SPDX-License-Identifier: Apache-2.0
//
// The thread around libcurl's multi handle: takes what waits while there is room, lets libcurl work, tells who is
// done. Transfers are owned by the queue until the thread takes them, then by the thread.
//
// The awkward case is a request that never gets its turn: its time counts from submit, so those that wait are looked
// through as well, and are told when it is over.
#include "server/platform/outbound/outbound.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/version.h"
#include "server/platform/outbound/transfer.h"

#define IDLE_MS          60000
#define WAITING_MS       250 // how late a waiting request may learn that its time is over
#define IDLE_CONNECTIONS 16

struct ez_outbound {
    pthread_t thread;
    CURLM *multi; // the thread's, but for curl_multi_wakeup
    ez_outbound_allow *allow;
    char *ca_file;
    char agent[64];
    struct curl_slist *resolve;
    ez_transfer_rules rules;
    size_t queue_max;
    unsigned concurrency;

    // The thread's; after its end, destroy's.
    ez_transfer *flown; // in flight
    unsigned flying;    // how many

    pthread_mutex_t lock; // guards what follows
    ez_transfer *first, **last;
    size_t waiting;
    bool stopping;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode global;

static void init_global(void) {
    global = curl_global_init(CURL_GLOBAL_DEFAULT);
}

// ---- The thread

static ez_transfer *take_waiting(ez_outbound *outbound) {
    pthread_mutex_lock(&outbound->lock);
    ez_transfer *taken = outbound->first;
    if (taken != NULL) {
        outbound->first = taken->next;
        outbound->last = outbound->first != NULL ? outbound->last : &outbound->first;
        outbound->waiting--;
    }
    pthread_mutex_unlock(&outbound->lock);
    return taken;
}

static void end_late(ez_transfer *transfer) {
    ez_error error = EZ_ERROR_INIT;
    (void)ez_error_set(&error, EZ_DEADLINE_EXCEEDED, "TIMED_OUT", "too many calls out: that to %.100s:%u had no turn",
                       transfer->target.host, (unsigned)transfer->target.port);
    ez_transfer_finish(transfer, CURLE_OK, &error);
}

// Tells those whose time is over while they wait. Returns how many still do.
static size_t expire_waiting(ez_outbound *outbound) {
    uint64_t now = ez_clock_mono_ms();
    ez_transfer *late = NULL;
    pthread_mutex_lock(&outbound->lock);
    ez_transfer **at = &outbound->first;
    while (*at != NULL) {
        ez_transfer *transfer = *at;
        if (transfer->deadline_ms <= now) {
            *at = transfer->next;
            transfer->next = late;
            late = transfer;
            outbound->waiting--;
        } else {
            at = &transfer->next;
        }
    }
    outbound->last = at;
    size_t waiting = outbound->waiting;
    pthread_mutex_unlock(&outbound->lock);
    while (late != NULL) {
        ez_transfer *next = late->next;
        end_late(late);
        late = next;
    }
    return waiting;
}

static void start(ez_outbound *outbound, ez_transfer *transfer) {
    ez_error error = EZ_ERROR_INIT;
    uint64_t now = ez_clock_mono_ms();
    if (transfer->deadline_ms <= now) {
        end_late(transfer);
        return;
    }
    if (ez_transfer_begin(transfer, &outbound->rules, now, &error) != EZ_OK) {
        ez_transfer_finish(transfer, CURLE_OK, &error);
        return;
    }
    if (curl_multi_add_handle(outbound->multi, transfer->easy) != CURLM_OK) {
        ez_transfer_finish(transfer, CURLE_OUT_OF_MEMORY, NULL);
        return;
    }
    transfer->next = outbound->flown;
    outbound->flown = transfer;
    outbound->flying++;
}

// Out of the list and of libcurl's hands.
static void land(ez_outbound *outbound, ez_transfer *transfer) {
    ez_transfer **at = &outbound->flown;
    while (*at != transfer) {
        at = &(*at)->next;
    }
    *at = transfer->next;
    outbound->flying--;
    curl_multi_remove_handle(outbound->multi, transfer->easy);
}

static void finish_done(ez_outbound *outbound) {
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(outbound->multi, &left)) != NULL;) {
        if (message->msg != CURLMSG_DONE) {
            continue;
        }
        CURLcode result = message->data.result; // the message is gone once the handle is removed
        char *private = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        ez_transfer *transfer = (ez_transfer *)(void *)private;
        land(outbound, transfer);
        ez_transfer_finish(transfer, result, NULL);
    }
}

static bool is_stopping(ez_outbound *outbound) {
    pthread_mutex_lock(&outbound->lock);
    bool stopping = outbound->stopping;
    pthread_mutex_unlock(&outbound->lock);
    return stopping;
}

static void *work(void *arg) {
    ez_outbound *outbound = arg;
    while (!is_stopping(outbound)) {
        ez_transfer *transfer;
        while (outbound->flying < outbound->concurrency && (transfer = take_waiting(outbound)) != NULL) {
            start(outbound, transfer);
        }
        int running;
        curl_multi_perform(outbound->multi, &running);
        unsigned before = outbound->flying;
        finish_done(outbound);
        size_t waiting = expire_waiting(outbound);
        if (outbound->flying == before || waiting == 0) { // else there is room for one that waits
            curl_multi_poll(outbound->multi, NULL, 0, waiting > 0 ? WAITING_MS : IDLE_MS, NULL);
        }
    }
    return NULL;
}

// ---- Opened and closed

static ez_status no_memory(ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for calls out");
}

// A file without certificates would turn every call down, one by one, later.
static ez_status check_ca_file(const char *path, ez_error *error) {
    static const char mark[] = "-----BEGIN ";
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "CA_FILE_INVALID", "EZ_CA_FILE=%.200s can't be read: %s",
                            path, strerror(errno));
    }
    char line[256];
    bool has_mark = false;
    while (!has_mark && fgets(line, sizeof line, file) != NULL) {
        has_mark = strncmp(line, mark, sizeof mark - 1) == 0;
    }
    fclose(file);
    return has_mark ? EZ_OK
                    : ez_error_set(error, EZ_FAILED_PRECONDITION, "CA_FILE_INVALID",
                                   "EZ_CA_FILE=%.200s has no certificate in PEM form", path);
}

static ez_status fill(ez_outbound *outbound, const ez_outbound_options *options, ez_error *error) {
    ez_status status = ez_outbound_allow_create(options->allow, &outbound->allow, error);
    bool has_ca = options->ca_file != NULL && options->ca_file[0] != '\0';
    status = status == EZ_OK && has_ca ? check_ca_file(options->ca_file, error) : status;
    if (status != EZ_OK) {
        return status;
    }
    outbound->ca_file = has_ca ? strdup(options->ca_file) : NULL;
    outbound->multi = curl_multi_init();
    for (const char *const *at = options->resolve; at != NULL && *at != NULL; at++) {
        struct curl_slist *longer = curl_slist_append(outbound->resolve, *at);
        outbound->resolve = longer != NULL ? longer : outbound->resolve;
    }
    if (outbound->multi == NULL || (has_ca && outbound->ca_file == NULL) ||
        curl_multi_setopt(outbound->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS) != CURLM_OK) {
        return no_memory(error);
    }
    snprintf(outbound->agent, sizeof outbound->agent, "ezplane/%s", ez_version);
    outbound->rules = (ez_transfer_rules){
        .allow = outbound->allow, .ca_file = outbound->ca_file, .agent = outbound->agent, .resolve = outbound->resolve};
    outbound->queue_max = options->queue != 0 ? options->queue : EZ_OUTBOUND_QUEUE;
    outbound->concurrency = options->concurrency != 0 ? options->concurrency : EZ_OUTBOUND_CONCURRENCY;
    outbound->last = &outbound->first;
    return EZ_OK;
}

static void release(ez_outbound *outbound) {
    if (outbound->multi != NULL) {
        curl_multi_cleanup(outbound->multi);
    }
    curl_slist_free_all(outbound->resolve);
    ez_outbound_allow_destroy(outbound->allow);
    free(outbound->ca_file);
    free(outbound);
}

// With every signal blocked: a write to a closed connection is an error here, not SIGPIPE.
static int start_thread(ez_outbound *outbound) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int rv = pthread_create(&outbound->thread, NULL, work, outbound);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rv;
}

ez_status ez_outbound_create(const ez_outbound_options *options, ez_outbound **out, ez_error *error) {
    pthread_once(&once, init_global);
    if (global != CURLE_OK) {
        return ez_error_set(error, EZ_INTERNAL, "CURL_UNUSABLE", "libcurl can't be used: %s",
                            curl_easy_strerror(global));
    }
    ez_outbound *outbound = calloc(1, sizeof *outbound);
    if (outbound == NULL) {
        return no_memory(error);
    }
    ez_status status = fill(outbound, options, error);
    if (status != EZ_OK) {
        release(outbound);
        return status;
    }
    pthread_mutex_init(&outbound->lock, NULL);
    int rv = start_thread(outbound);
    if (rv != 0) {
        pthread_mutex_destroy(&outbound->lock);
        release(outbound);
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_THREAD", "can't start the thread for calls out: %s",
                            strerror(rv));
    }
    *out = outbound;
    return EZ_OK;
}

static void stop_transfer(ez_transfer *transfer) {
    ez_error error = EZ_ERROR_INIT;
    (void)ez_error_set(&error, EZ_CANCELLED, "STOPPING", "the server stopped before %.100s:%u had answered",
                       transfer->target.host, (unsigned)transfer->target.port);
    ez_transfer_finish(transfer, CURLE_OK, &error);
}

void ez_outbound_stop(ez_outbound *outbound) {
    pthread_mutex_lock(&outbound->lock);
    bool was_stopping = outbound->stopping;
    outbound->stopping = true;
    curl_multi_wakeup(outbound->multi);
    pthread_mutex_unlock(&outbound->lock);
    if (was_stopping) {
        return;
    }
    pthread_join(outbound->thread, NULL);
    while (outbound->flown != NULL) {
        ez_transfer *transfer = outbound->flown;
        land(outbound, transfer);
        stop_transfer(transfer);
    }
    for (ez_transfer *transfer; (transfer = take_waiting(outbound)) != NULL;) {
        stop_transfer(transfer);
    }
}

void ez_outbound_destroy(ez_outbound *outbound) {
    if (outbound == NULL) {
        return;
    }
    ez_outbound_stop(outbound);
    pthread_mutex_destroy(&outbound->lock);
    release(outbound);
}

const ez_outbound_allow *ez_outbound_allowed(const ez_outbound *outbound) {
    return outbound->allow;
}

ez_status ez_outbound_submit(ez_outbound *outbound, const ez_outbound_request *request, ez_error *error) {
    ez_transfer *transfer = NULL;
    ez_status status = ez_transfer_create(outbound->allow, request, &transfer, error);
    if (status != EZ_OK) {
        return status;
    }
    uint32_t timeout = request->timeout_ms != 0 ? request->timeout_ms : EZ_OUTBOUND_TIMEOUT_MS;
    transfer->deadline_ms =
        ez_clock_mono_ms() + (timeout < EZ_OUTBOUND_TIMEOUT_MAX ? timeout : EZ_OUTBOUND_TIMEOUT_MAX);
    pthread_mutex_lock(&outbound->lock);
    if (outbound->stopping) {
        status = ez_error_set(error, EZ_UNAVAILABLE, "STOPPING", "the server is stopping");
    } else if (outbound->waiting >= outbound->queue_max) {
        status = ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "OUTBOUND_QUEUE_FULL",
                              "%zu calls out are waiting: no more are taken", outbound->waiting);
    } else {
        *outbound->last = transfer;
        outbound->last = &transfer->next;
        outbound->waiting++;
        curl_multi_wakeup(outbound->multi);
    }
    pthread_mutex_unlock(&outbound->lock);
    if (status != EZ_OK) {
        ez_transfer_destroy(transfer);
    }
    return status;
}
