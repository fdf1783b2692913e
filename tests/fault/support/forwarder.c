// SPDX-License-Identifier: Apache-2.0
//
// Pairs of sockets and a listener in one poll; the thread alone touches them. Opening and closing is asked for through
// a pipe and waited for, so that a test knows it has happened.
#include "tests/fault/support/forwarder.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/port.h"

#define PAIRS 64

struct ez_forwarder {
    pthread_t thread;
    int orders[2];
    sem_t done;
    unsigned port, target;
    // The thread's.
    int listener;
    int ends[PAIRS][2]; // client, server; -1: free
    char room[1 << 16];
};

static struct sockaddr_in at_port(unsigned port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void listen_again(ez_forwarder *f) {
    struct sockaddr_in address = at_port(f->port);
    int one = 1;
    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(f->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(f->listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(f->listener, 64) != 0) {
        close(f->listener);
        f->listener = -1;
    }
}

static void drop(ez_forwarder *f, int i) {
    close(f->ends[i][0]);
    close(f->ends[i][1]);
    f->ends[i][0] = f->ends[i][1] = -1;
}

static void cut(ez_forwarder *f) {
    if (f->listener >= 0)
        close(f->listener);
    f->listener = -1;
    for (int i = 0; i < PAIRS; i++) {
        if (f->ends[i][0] >= 0)
            drop(f, i);
    }
}

static void admit(ez_forwarder *f) {
    struct sockaddr_in address = at_port(f->target);
    int client = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC), i = 0;
    while (i < PAIRS && f->ends[i][0] >= 0)
        i++;
    int server = client >= 0 && i < PAIRS ? socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    if (server >= 0 && connect(server, (struct sockaddr *)&address, sizeof address) == 0) {
        f->ends[i][0] = client;
        f->ends[i][1] = server;
        return;
    }
    if (server >= 0)
        close(server);
    if (client >= 0)
        close(client);
}

static void pass_on(ez_forwarder *f, int i, int from) {
    ssize_t len = recv(f->ends[i][from], f->room, sizeof f->room, 0);
    for (ssize_t sent = 0, at = 0; at < len; at += sent) {
        sent = send(f->ends[i][!from], f->room + at, (size_t)(len - at), MSG_NOSIGNAL);
        if (sent <= 0) {
            len = 0;
            break;
        }
    }
    if (len <= 0)
        drop(f, i);
}

static bool obey(ez_forwarder *f) {
    char order = 0;
    if (read(f->orders[0], &order, 1) != 1)
        return false;
    cut(f);
    if (order == 'o')
        listen_again(f);
    sem_post(&f->done);
    return order != 'e';
}

static void *run(void *user) {
    ez_forwarder *f = user;
    for (;;) {
        struct pollfd places[2 + 2 * PAIRS] = {{.fd = f->orders[0], .events = POLLIN},
                                               {.fd = f->listener, .events = POLLIN}};
        for (int i = 0; i < 2 * PAIRS; i++)
            places[2 + i] = (struct pollfd){.fd = f->ends[i / 2][i % 2], .events = POLLIN};
        poll(places, 2 + 2 * PAIRS, -1);
        if (places[0].revents) {
            if (!obey(f))
                return NULL;
            continue;
        }
        for (int i = 0; i < 2 * PAIRS; i++) {
            if (places[2 + i].revents && f->ends[i / 2][i % 2] == places[2 + i].fd)
                pass_on(f, i / 2, i % 2);
        }
        if (places[1].revents)
            admit(f);
    }
}

static void give_order(ez_forwarder *f, char order) {
    cr_assert_eq(write(f->orders[1], &order, 1), 1);
    while (sem_wait(&f->done) != 0) {
    }
}

ez_forwarder *given_forwarder(const char *url, char *forwarded, size_t size) {
    ez_forwarder *f = calloc(1, sizeof *f);
    cr_assert_not_null(f);
    const char *login = strrchr(url, '@'), *scheme = strstr(url, "://");
    const char *host = login ? login : scheme ? scheme + 1 : NULL, *port = host ? strchr(host, ':') : NULL;
    cr_assert_not_null(port, "not a URL with a port");
    const char *name = port + strcspn(port, "/");
    f->target = (unsigned)strtoul(port + 1, NULL, 10);
    f->port = given_port();
    f->listener = -1;
    memset(f->ends, -1, sizeof f->ends);
    int len = snprintf(forwarded, size, "%.*s:%u%s", (int)(port - url), url, f->port, name);
    cr_assert(len > 0 && (size_t)len < size);
    sem_init(&f->done, 0, 0);
    cr_assert_eq(pipe(f->orders), 0);
    cr_assert_eq(pthread_create(&f->thread, NULL, run, f), 0);
    open_forwarder(f);
    return f;
}

void open_forwarder(ez_forwarder *f) {
    give_order(f, 'o');
}

void close_forwarder(ez_forwarder *f) {
    give_order(f, 'c');
}

void end_forwarder(ez_forwarder *f) {
    give_order(f, 'e');
    pthread_join(f->thread, NULL);
    close(f->orders[0]);
    close(f->orders[1]);
    sem_destroy(&f->done);
    free(f);
}
