// SPDX-License-Identifier: Apache-2.0
//
// bench_notify: the limit that a change on one server reaching the data planes of another is measured against: one row
// updated and committed, a bare NOTIFY, a bare LISTEN on another connection, a bare nng PUB. bench_fanout has the
// subscribers.
//
//   bench_notify POSTGRES_URL PUB_URL PER_SECOND SECONDS BYTES
//
// Prints "ready", begins at a line of input. A message begins with the monotonic clock as it was before the commit.
#include <libpq-fe.h>
#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/runtime/clock.h"

typedef struct listener {
    PGconn *conn;
    nng_socket sock;
    size_t bytes;
} listener;

static void fail(const char *what, const char *why) {
    fprintf(stderr, "bench_notify: %s: %s\n", what, why);
    exit(1);
}

static PGconn *connect_to(const char *url) {
    PGconn *conn = PQconnectdb(url);
    if (PQstatus(conn) != CONNECTION_OK)
        fail("connect", PQerrorMessage(conn));
    return conn;
}

static void run(PGconn *conn, const char *text) {
    PGresult *result = PQexec(conn, text);
    ExecStatusType got = PQresultStatus(result);
    if (got != PGRES_COMMAND_OK && got != PGRES_TUPLES_OK)
        fail(text, PQerrorMessage(conn));
    PQclear(result);
}

static void publish(const listener *l, uint64_t began) {
    nng_msg *message;
    if (nng_msg_alloc(&message, l->bytes) != 0)
        fail("message", "no memory");
    memset(nng_msg_body(message), 'x', l->bytes);
    memcpy(nng_msg_body(message), &began, sizeof began);
    if (nng_sendmsg(l->sock, message, 0) != 0)
        nng_msg_free(message);
}

static void *listen_on(void *user) {
    listener *l = user;
    for (;;) {
        struct pollfd place = {.fd = PQsocket(l->conn), .events = POLLIN};
        poll(&place, 1, -1);
        if (!PQconsumeInput(l->conn))
            fail("listen", PQerrorMessage(l->conn));
        for (PGnotify *notice; (notice = PQnotifies(l->conn)); PQfreemem(notice))
            publish(l, strtoull(notice->extra, NULL, 10));
    }
    return NULL;
}

static void sleep_until(uint64_t ns) {
    struct timespec at = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: bench_notify POSTGRES_URL PUB_URL PER_SECOND SECONDS BYTES\n");
        return 2;
    }
    double per_second = atof(argv[3]), seconds = atof(argv[4]);
    listener l = {.conn = connect_to(argv[1]), .bytes = (size_t)atoi(argv[5])};
    PGconn *commits = connect_to(argv[1]), *notices = connect_to(argv[1]);
    run(commits, "CREATE TABLE bare (n int8); INSERT INTO bare VALUES (0)");
    run(l.conn, "LISTEN bare");
    if (nng_pub0_open(&l.sock) != 0 || nng_listen(l.sock, argv[2], NULL, 0) != 0)
        fail("publish", "can't listen");
    pthread_t thread;
    pthread_create(&thread, NULL, listen_on, &l);
    printf("ready\n");
    fflush(stdout);
    (void)!getchar(); // the subscribers are there
    uint64_t first = ez_clock_mono_ns();
    for (unsigned n = 0; (double)n < per_second * seconds; n++) {
        char text[96];
        uint64_t began = ez_clock_mono_ns();
        run(commits, "UPDATE bare SET n = n + 1");
        snprintf(text, sizeof text, "BEGIN; SET LOCAL synchronous_commit = off; NOTIFY bare, '%llu'; COMMIT",
                 (unsigned long long)began);
        run(notices, text);
        sleep_until(first + (uint64_t)((double)(n + 1) / per_second * 1e9));
    }
    sleep(1);
    return 0;
}
