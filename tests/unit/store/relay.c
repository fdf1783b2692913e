// SPDX-License-Identifier: Apache-2.0
//
// The relay: one thread, poll over a listener and a few pairs of sockets, blocking writes (the amounts are small). What
// the client sends is searched as it is read; the tests' words come in one piece, because libpq flushes them as one.
#include "tests/unit/store/relay.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAIRS 8

typedef struct pair {
    int client, server; // -1: free
} pair;

struct relay {
    pthread_t thread;
    int listener, wake[2], port, server_port;
    pair pairs[PAIRS];
    pthread_mutex_t lock;
    // Guarded by lock:
    char word[64]; // "": pass everything on
    relay_end end;
    bool stopping;
    unsigned cuts;
};

static void drop(pair *two) {
    close(two->client);
    close(two->server);
    two->client = two->server = -1;
}

static void admit(relay *wire) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)wire->server_port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int client = accept(wire->listener, NULL, NULL);
    for (int i = 0; client >= 0 && i < PAIRS; i++) {
        pair *two = &wire->pairs[i];
        if (two->client >= 0)
            continue;
        int server = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(server, (struct sockaddr *)&address, sizeof address) == 0) {
            *two = (pair){client, server};
            return;
        }
        close(server);
        break;
    }
    close(client);
}

// Whether these bytes are the ones to break at; says so only once.
static bool is_cut(relay *wire, const char *data, size_t len, relay_end *end) {
    pthread_mutex_lock(&wire->lock);
    bool cut = wire->word[0] && memmem(data, len, wire->word, strlen(wire->word));
    *end = wire->end;
    if (cut) {
        wire->word[0] = 0;
        wire->cuts++;
    }
    pthread_mutex_unlock(&wire->lock);
    return cut;
}

static bool pass(int to, const char *data, size_t len) {
    while (len > 0) {
        ssize_t sent = send(to, data, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        data += sent;
        len -= (size_t)sent;
    }
    return true;
}

static void serve_client(relay *wire, pair *two, char *room, size_t size) {
    ssize_t len = recv(two->client, room, size, 0);
    relay_end end = RELAY_LEAVE;
    bool cut = len > 0 && is_cut(wire, room, (size_t)len, &end);
    if (len > 0 && !(cut && end == RELAY_LOSE_REQUEST) && !pass(two->server, room, (size_t)len))
        len = 0;
    if (cut && end == RELAY_LOSE_ANSWER && len > 0) {
        struct pollfd answer = {.fd = two->server, .events = POLLIN};
        poll(&answer, 1, 10000);
    }
    if (cut || len <= 0)
        drop(two);
}

static void serve_server(pair *two, char *room, size_t size) {
    ssize_t len = recv(two->server, room, size, 0);
    if (len <= 0 || !pass(two->client, room, (size_t)len))
        drop(two);
}

static void *run(void *user) {
    static char room[1 << 16];
    relay *wire = user;
    for (bool stopping = false; !stopping;) {
        struct pollfd places[2 + 2 * PAIRS] = {{.fd = wire->listener, .events = POLLIN},
                                               {.fd = wire->wake[0], .events = POLLIN}};
        for (int i = 0; i < PAIRS; i++) {
            places[2 + 2 * i] = (struct pollfd){.fd = wire->pairs[i].client, .events = POLLIN};
            places[3 + 2 * i] = (struct pollfd){.fd = wire->pairs[i].server, .events = POLLIN};
        }
        poll(places, 2 + 2 * PAIRS, -1);
        for (int i = 0; i < PAIRS; i++) {
            if (places[2 + 2 * i].revents)
                serve_client(wire, &wire->pairs[i], room, sizeof room);
            if (places[3 + 2 * i].revents && wire->pairs[i].server >= 0)
                serve_server(&wire->pairs[i], room, sizeof room);
        }
        if (places[0].revents)
            admit(wire);
        pthread_mutex_lock(&wire->lock);
        stopping = wire->stopping;
        pthread_mutex_unlock(&wire->lock);
    }
    return NULL;
}

relay *relay_start(const char *server) {
    relay *wire = calloc(1, sizeof *wire);
    cr_assert_not_null(wire);
    const char *host = strrchr(server, '@');
    cr_assert_not_null(host);
    const char *port = strchr(host, ':');
    cr_assert_not_null(port);
    wire->server_port = (int)strtol(port + 1, NULL, 10);
    for (int i = 0; i < PAIRS; i++)
        wire->pairs[i] = (pair){-1, -1};
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof address;
    wire->listener = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(wire->listener, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(wire->listener, 8), 0);
    cr_assert_eq(getsockname(wire->listener, (struct sockaddr *)&address, &len), 0);
    wire->port = ntohs(address.sin_port);
    cr_assert_eq(pipe(wire->wake), 0);
    pthread_mutex_init(&wire->lock, NULL);
    cr_assert_eq(pthread_create(&wire->thread, NULL, run, wire), 0);
    return wire;
}

void relay_stop(relay *wire) {
    pthread_mutex_lock(&wire->lock);
    wire->stopping = true;
    pthread_mutex_unlock(&wire->lock);
    cr_assert_eq(write(wire->wake[1], "x", 1), 1);
    pthread_join(wire->thread, NULL);
    for (int i = 0; i < PAIRS; i++) {
        if (wire->pairs[i].client >= 0)
            drop(&wire->pairs[i]);
    }
    close(wire->listener);
    close(wire->wake[0]);
    close(wire->wake[1]);
    pthread_mutex_destroy(&wire->lock);
    free(wire);
}

void relay_url(const relay *wire, const char *url, char *out, size_t size) {
    const char *host = strrchr(url, '@'), *slash = strrchr(url, '/');
    snprintf(out, size, "%.*s@127.0.0.1:%d%s", (int)(host - url), url, wire->port, slash);
}

void relay_cut(relay *wire, const char *word, relay_end end) {
    pthread_mutex_lock(&wire->lock);
    snprintf(wire->word, sizeof wire->word, "%s", word);
    wire->end = end;
    pthread_mutex_unlock(&wire->lock);
}

unsigned relay_cuts(relay *wire) {
    pthread_mutex_lock(&wire->lock);
    unsigned cuts = wire->cuts;
    pthread_mutex_unlock(&wire->lock);
    return cuts;
}
