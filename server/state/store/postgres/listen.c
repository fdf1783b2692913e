// SPDX-License-Identifier: Apache-2.0
//
// LISTEN and NOTIFY. Commits only leave the number of their revision here; the thread tells of the newest, at most once
// in JOIN_MS: a NOTIFY inside each commit would take a lock that all of the server's commits queue for. It waits for
// nothing on disk either.
//
// Awkward: behind a pooler that gives out connections by transaction LISTEN succeeds and is deaf. So a notice is sent
// over another connection, and only one that comes back counts as hearing; over the same connection it would come back
// by chance. Where it does not come, this server goes on telling others, who may hear. What such a LISTEN left behind
// in the pooler comes to whoever uses that connection next: ez_pg_ready throws it away.
#include "server/state/store/postgres/listen.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "proto/crypto/random.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"

#define CHANNEL    "ezplane"
#define JOIN_MS    5     // between two notices
#define QUERY_MS   2000  // of a notice; a connection that hangs is made again
#define PROBE_MS   3000  // for the notice that is to come back
#define PROBE_NEXT 30000 // where it did not, though no pooler is in between
#define LOST_MS    1000  // after a connection that was lost while it was tried
#define IDLE_MS    60000

struct ez_pg_listener {
    ez_store_changed_fn *changed;
    void *user;
    pthread_t thread;
    int wake; // eventfd
    atomic_bool is_stopping, hears;
    _Atomic uint64_t committed; // the newest revision that others are to be told of

    // The thread's own.
    ez_pg_conn conn;
    uint64_t told, told_ms;
    uint64_t probe_ms; // when to try again whether it hears; 0: not
    char probe[24];    // the text that is to come back; "" once it did
    bool has_said;     // that it does not hear
};

// ---- Hearing

static void take_notice(ez_pg_listener *listener, const PGnotify *notice) {
    if (strcmp(notice->relname, CHANNEL) != 0)
        return;
    if (listener->probe[0] && strcmp(notice->extra, listener->probe) == 0) {
        listener->probe[0] = 0;
        return;
    }
    uint64_t n = strtoull(notice->extra, NULL, 10);
    if (n > 0 && notice->be_pid != PQbackendPID(listener->conn.pg))
        listener->changed(listener->user, n);
}

static void take_notices(ez_pg_listener *listener) {
    if (!listener->conn.pg || !PQconsumeInput(listener->conn.pg)) {
        ez_pg_drop(&listener->conn);
        return;
    }
    for (PGnotify *notice; (notice = PQnotifies(listener->conn.pg)); PQfreemem(notice))
        take_notice(listener, notice);
}

static void wait_for(ez_pg_listener *listener, uint64_t ms) {
    struct pollfd places[] = {{.fd = listener->wake, .events = POLLIN},
                              {.fd = listener->conn.pg ? PQsocket(listener->conn.pg) : -1, .events = POLLIN}};
    uint64_t count;
    if (poll(places, 2, (int)ms) > 0 && places[0].revents && read(listener->wake, &count, sizeof count) < 0)
        errno = 0; // another read was faster: there is only this thread
    if (listener->conn.pg)
        take_notices(listener);
}

// ---- Whether it hears

// Sends a notice over a connection of its own.
static ez_status send_probe(ez_pg_listener *listener, ez_error *error) {
    ez_pg_conn other;
    char text[96];
    uint64_t number = 0;
    if (ez_random(&number, sizeof number) != EZ_OK)
        return ez_error_set(error, EZ_INTERNAL, "NO_RANDOMNESS", "the system gives no random numbers");
    snprintf(listener->probe, sizeof listener->probe, "?%016llx", (unsigned long long)number);
    snprintf(text, sizeof text, "SELECT pg_notify('" CHANNEL "', '%s')", listener->probe);
    uint64_t deadline = ez_clock_mono_ms() + QUERY_MS;
    ez_pg_init(&other, listener->conn.url, listener->conn.where);
    ez_status status = ez_pg_ready(&other, false, deadline, error);
    if (!status)
        status = ez_pg_exec(&other, text, NULL, deadline, error);
    ez_pg_drop(&other);
    return status;
}

// What a pooler says is the backend's number is not what the backend says.
static bool is_direct(ez_pg_listener *listener, uint64_t deadline) {
    ez_pg_params none = {0};
    ez_pg_autoclear PGresult *result = NULL;
    return ez_pg_run(&listener->conn, "SELECT pg_backend_pid()::int8", &none, deadline, &result, NULL) == EZ_OK &&
           PQntuples(result) == 1 && ez_pg_int(result, 0, 0) == PQbackendPID(listener->conn.pg);
}

static void say(ez_pg_listener *listener) {
    if (atomic_load(&listener->hears))
        ez_log_info("other servers' changes are told of at once", "by", "LISTEN");
    else if (!listener->has_said)
        ez_log_warn("other servers' changes are looked for each second: LISTEN hears nothing on this connection, which "
                    "is so behind a pooler in transaction mode");
    listener->has_said = !atomic_load(&listener->hears);
}

static void find_out(ez_pg_listener *listener) {
    ez_error error = EZ_ERROR_INIT;
    uint64_t deadline = ez_clock_mono_ms() + PROBE_MS;
    bool direct = is_direct(listener, deadline);
    ez_status status =
        listener->conn.pg ? ez_pg_exec(&listener->conn, "LISTEN " CHANNEL, NULL, deadline, &error) : EZ_UNAVAILABLE;
    if (!status)
        status = send_probe(listener, &error);
    for (uint64_t now; !status && listener->probe[0] && listener->conn.pg && !atomic_load(&listener->is_stopping) &&
                       (now = ez_clock_mono_ms()) < deadline;)
        wait_for(listener, deadline - now);
    if (!listener->conn.pg || atomic_load(&listener->is_stopping))
        return; // it begins again with a new connection
    atomic_store(&listener->hears, !status && !listener->probe[0]);
    listener->probe[0] = 0;
    listener->probe_ms = !atomic_load(&listener->hears) && direct ? ez_clock_mono_ms() + PROBE_NEXT : 0;
    if (!atomic_load(&listener->hears))
        (void)!ez_pg_exec(&listener->conn, "UNLISTEN *", NULL, ez_clock_mono_ms() + QUERY_MS, NULL);
    say(listener);
}

// Connected, or not yet: then after a pause.
static bool is_connected(ez_pg_listener *listener) {
    if (listener->conn.pg)
        return true;
    atomic_store(&listener->hears, false);
    uint64_t now = ez_clock_mono_ms();
    if (listener->conn.retry_at > now) {
        wait_for(listener, listener->conn.retry_at - now);
        return false;
    }
    if (ez_pg_ready(&listener->conn, false, now + QUERY_MS, NULL) != EZ_OK)
        return false;
    find_out(listener);
    if (!listener->conn.pg)
        listener->conn.retry_at = ez_clock_mono_ms() + LOST_MS;
    listener->changed(listener->user, 0); // what came meanwhile was not heard
    return listener->conn.pg != NULL;
}

// ---- Telling

static void tell(ez_pg_listener *listener, uint64_t n) {
    char text[160];
    snprintf(text, sizeof text,
             "BEGIN; SET LOCAL synchronous_commit TO off; SELECT pg_notify('" CHANNEL "', '%llu'); COMMIT",
             (unsigned long long)n);
    listener->told = n;
    listener->told_ms = ez_clock_mono_ms();
    if (ez_pg_exec(&listener->conn, text, NULL, listener->told_ms + QUERY_MS, NULL) != EZ_OK)
        ez_pg_drop(&listener->conn);
    else
        take_notices(listener);
}

static uint64_t wait_ms(const ez_pg_listener *listener, uint64_t now) {
    if (atomic_load(&listener->committed) > listener->told)
        return now - listener->told_ms >= JOIN_MS ? 0 : JOIN_MS - (now - listener->told_ms);
    if (listener->probe_ms)
        return listener->probe_ms > now ? listener->probe_ms - now : 0;
    return IDLE_MS;
}

static void *run_thread(void *user) {
    ez_pg_listener *listener = user;
    while (!atomic_load(&listener->is_stopping)) {
        // Whoever stops it wakes it once, and that may have been while it connected.
        if (!is_connected(listener) || atomic_load(&listener->is_stopping))
            continue;
        uint64_t ms = wait_ms(listener, ez_clock_mono_ms());
        if (ms > 0)
            wait_for(listener, ms);
        uint64_t now = ez_clock_mono_ms(), n = atomic_load(&listener->committed);
        if (listener->conn.pg && n > listener->told && now - listener->told_ms >= JOIN_MS)
            tell(listener, n);
        if (listener->conn.pg && listener->probe_ms && now >= listener->probe_ms)
            find_out(listener);
    }
    return NULL;
}

// ---- Outside

static void wake(const ez_pg_listener *listener) {
    uint64_t one = 1;
    if (write(listener->wake, &one, sizeof one) < 0)
        errno = 0; // it is full of wakes: the thread comes anyway
}

void ez_pg_listener_tell(ez_pg_listener *listener, uint64_t n) {
    if (!listener)
        return;
    uint64_t had = atomic_load(&listener->committed);
    while (had < n && !atomic_compare_exchange_weak(&listener->committed, &had, n)) {
    }
    if (had < n)
        wake(listener);
}

bool ez_pg_listener_hears(const ez_pg_listener *listener) {
    return listener && atomic_load(&listener->hears);
}

ez_status ez_pg_listener_create(const char *url, const char *where, ez_store_changed_fn *changed, void *user,
                                ez_pg_listener **out, ez_error *error) {
    ez_pg_listener *listener = calloc(1, sizeof *listener);
    int fd = listener ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
    if (fd < 0) {
        free(listener);
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is nothing left to follow others with");
    }
    listener->changed = changed;
    listener->user = user;
    listener->wake = fd;
    ez_pg_init(&listener->conn, url, where);
    if (pthread_create(&listener->thread, NULL, run_thread, listener) != 0) {
        close(fd);
        free(listener);
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_THREAD", "no thread to follow others can be started");
    }
    *out = listener;
    return EZ_OK;
}

void ez_pg_listener_stop(ez_pg_listener *listener) {
    if (!listener || atomic_exchange(&listener->is_stopping, true))
        return;
    wake(listener);
    pthread_join(listener->thread, NULL);
    atomic_store(&listener->hears, false);
}

void ez_pg_listener_destroy(ez_pg_listener *listener) {
    if (!listener)
        return;
    ez_pg_listener_stop(listener);
    ez_pg_drop(&listener->conn);
    close(listener->wake);
    free(listener);
}
