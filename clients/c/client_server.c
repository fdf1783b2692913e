// SPDX-License-Identifier: Apache-2.0
//
// The servers of an ez_client: one REQ socket each, dialed when it is first needed. The client owns the sockets; nng
// owns the connections and makes them again. Awkward: nng tells of connections through callbacks that run under its
// lock, so these note what happened and wake the client's thread, nothing else; and a connection that is half dead (the
// peer's machine is gone) looks alive, so client_call.c closes the pipe of a server that stays silent past a deadline.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clients/c/client_private.h"
#include "clients/c/socket_close.h"
#include "proto/runtime/clock.h"

// A server that did not connect in this time is not waited for alone: the next one is dialed too.
#define STAGGER_NS  (250 * 1000000ull)
#define CONTEXTS_MS 3000 // as a socket has to close

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *user) {
    ez_client_peer *peer = user;
    ez_client *client = peer->client;
    pthread_mutex_lock(&client->mutex);
    if (event == NNG_PIPE_EV_ADD_POST) {
        peer->pipes++;
        peer->pipe = pipe;
        peer->heard = ez_clock_mono_ns();
        client->lonely_since = 0;
    } else if (peer->pipes > 0) {
        peer->pipes--;
        bool any = false;
        for (unsigned i = 0; i < client->peer_count; i++) {
            any = any || client->peers[i].pipes > 0;
        }
        client->lonely_since = any ? 0 : ez_clock_mono_ns();
    }
    ez_client_kick(client);
    pthread_mutex_unlock(&client->mutex);
}

static int open_socket(ez_client_peer *peer) {
    int rv = nng_req0_open(&peer->socket);
    if (rv != 0) {
        return rv;
    }
    // With nng's own resending a lost connection sends hundreds of copies; the client repeats calls itself.
    rv = nng_socket_set_ms(peer->socket, NNG_OPT_REQ_RESENDTIME, -1);
    if (rv == 0) {
        rv = nng_socket_set_size(peer->socket, NNG_OPT_RECVMAXSZ, EZ_CALL_MAX);
    }
    if (rv == 0) {
        rv = nng_pipe_notify(peer->socket, NNG_PIPE_EV_ADD_POST, on_pipe, peer);
    }
    if (rv == 0) {
        rv = nng_pipe_notify(peer->socket, NNG_PIPE_EV_REM_POST, on_pipe, peer);
    }
    if (rv != 0) {
        nng_close(peer->socket);
    }
    return rv;
}

static ez_client_tls tls_of(const ez_client *client) {
    return (ez_client_tls){
        .ca_file = client->ca_file, .cert_file = client->cert_file, .server_name = client->server_name};
}

ez_status ez_client_peers_open(ez_client *client, ez_error *error) {
    for (; client->opened < client->peer_count; client->opened++) {
        ez_client_peer *peer = &client->peers[client->opened];
        peer->client = client;
        peer->number = ++client->last_number;
        int rv = open_socket(peer);
        if (rv != 0) {
            return ez_error_set(error, EZ_UNAVAILABLE, "NO_SOCKET", "A socket for calls can't be opened: %s.",
                                nng_strerror(rv));
        }
    }
    client->lonely_since = ez_clock_mono_ns();
    // The first one is dialed here, so that an URL or a TLS file that can't be used is told to whoever opens.
    ez_client_tls tls = tls_of(client);
    nng_dialer dialer;
    client->peers[0].is_dialed = true;
    return ez_dial(client->peers[0].socket, client->peers[0].url, &tls, EZ_CALL_MAX, &dialer, error);
}

// Nobody comes in any more; those who are in nng take some instructions.
static bool wait_for_contexts(const ez_client *client) {
    uint64_t until = ez_clock_mono_ms() + CONTEXTS_MS;
    while (atomic_load(&client->in_contexts) > 0 && ez_clock_mono_ms() < until) {
        usleep(100);
    }
    return atomic_load(&client->in_contexts) == 0;
}

bool ez_client_peers_close(ez_client *client) {
    if (!wait_for_contexts(client)) {
        return false;
    }
    bool are_closed = true;
    for (unsigned i = 0; i < client->opened; i++) {
        are_closed = ez_socket_close(client->peers[i].socket) && are_closed;
    }
    client->opened = 0;
    return are_closed;
}

bool ez_client_peer_pick(ez_client *client, unsigned *out) {
    for (unsigned i = 0; i < client->peer_count; i++) {
        unsigned at = (client->current + i) % client->peer_count;
        if (client->peers[at].pipes > 0) {
            client->current = at;
            *out = at;
            return true;
        }
    }
    return false;
}

void ez_client_peer_failed(ez_client *client, unsigned peer) {
    if (peer == client->current) {
        client->current = (peer + 1) % client->peer_count;
        ez_client_kick(client);
    }
}

// The current peer must be dialed at once; each further one only while nothing is connected. Locked.
static bool wants_dial(const ez_client *client, unsigned at, uint64_t now) {
    unsigned rank = (at + client->peer_count - client->current) % client->peer_count;
    return !client->peers[at].is_dialed &&
           (rank == 0 || (client->lonely_since != 0 && now >= client->lonely_since + rank * STAGGER_NS));
}

uint64_t ez_client_peers_dial(ez_client *client, uint64_t now) {
    uint64_t again = UINT64_MAX;
    for (unsigned i = 0; i < client->peer_count; i++) {
        ez_client_peer *peer = &client->peers[i];
        pthread_mutex_lock(&client->mutex);
        bool dial = !client->closing && wants_dial(client, i, now);
        peer->is_dialed = peer->is_dialed || dial;
        if (!peer->is_dialed && client->lonely_since != 0) {
            unsigned rank = (i + client->peer_count - client->current) % client->peer_count;
            uint64_t due = client->lonely_since + rank * STAGGER_NS;
            again = due < again ? due : again;
        }
        pthread_mutex_unlock(&client->mutex);
        if (dial) {
            // A server that can't even be dialed stays unconnected: the others are used, and calls say so if there are
            // none.
            ez_client_tls tls = tls_of(client);
            nng_dialer dialer;
            ez_status status = ez_dial(peer->socket, peer->url, &tls, EZ_CALL_MAX, &dialer, NULL);
            (void)status;
        }
    }
    return again;
}

// ---- Learning

static bool is_known(const ez_client *client, const char *url) {
    for (unsigned i = 0; i < client->peer_count; i++) {
        if (strcmp(client->peers[i].url, url) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_told(const ez_client *client, const char *url) {
    for (unsigned i = 0; i < client->learned_count; i++) {
        if (strcmp(client->learned[i], url) == 0) {
            return true;
        }
    }
    return false;
}

// Locked. Whether nothing is under way with it, nor connected.
static bool is_idle(const ez_client *client, unsigned at) {
    for (unsigned i = 0; i < client->slot_count; i++) {
        const ez_client_slot *slot = client->slots[i];
        if (slot->server == at && (slot->in_nng || slot->in_call)) {
            return false;
        }
    }
    return client->peers[at].pipes == 0;
}

// Locked. A peer that was learned, is not told of any more and is not there: its place is free. False: there is none.
static bool find_stale(const ez_client *client, unsigned *out) {
    for (unsigned i = 0; i < client->peer_count; i++) {
        const ez_client_peer *peer = &client->peers[i];
        if (peer->is_learned && i != client->current && !is_told(client, peer->url) && is_idle(client, i)) {
            *out = i;
            return true;
        }
    }
    return false;
}

// Makes a peer of its own, or of one that is gone. False: there is no room.
static bool add_peer(ez_client *client, const char *url) {
    unsigned at = 0;
    pthread_mutex_lock(&client->mutex);
    bool is_new = client->peer_count < EZ_CLIENT_SERVERS_MAX;
    bool has_place = is_new || find_stale(client, &at);
    at = is_new ? client->peer_count : at;
    for (unsigned i = 0; has_place && i < client->slot_count; i++) {
        client->slots[i]->contexts[at] = (nng_ctx)NNG_CTX_INITIALIZER; // they end with their socket
    }
    pthread_mutex_unlock(&client->mutex);
    ez_client_peer *peer = &client->peers[at];
    if (!has_place || (!is_new && !ez_socket_close(peer->socket))) {
        return false;
    }
    peer->client = client;
    if (open_socket(peer) != 0) {
        return false;
    }
    pthread_mutex_lock(&client->mutex);
    memcpy(peer->url, url, strlen(url) + 1);
    peer->number = ++client->last_number;
    peer->is_dialed = false;
    peer->is_learned = true;
    peer->pipes = 0;
    client->peer_count += is_new;
    client->opened = client->peer_count;
    pthread_mutex_unlock(&client->mutex);
    return true;
}

void ez_client_peers_learn(ez_client *client) {
    char urls[EZ_CLIENT_SERVERS_MAX][EZ_URL_MAX];
    unsigned count = 0;
    pthread_mutex_lock(&client->mutex);
    for (unsigned i = 0; client->has_news && i < client->learned_count; i++) {
        if (!is_known(client, client->learned[i])) {
            memcpy(urls[count++], client->learned[i], EZ_URL_MAX);
        }
    }
    client->has_news = false;
    pthread_mutex_unlock(&client->mutex);
    for (unsigned i = 0; i < count && add_peer(client, urls[i]); i++) {
    }
}

void ez_client_learn(ez_client *client, const char *const *urls, size_t count) {
    pthread_mutex_lock(&client->mutex);
    bool wants_tls = ez_dial_is_tls(client->peers[0].url);
    client->learned_count = 0;
    for (size_t i = 0; i < count && client->learned_count < EZ_CLIENT_SERVERS_MAX; i++) {
        if (ez_dial_check_url(urls[i], NULL) == EZ_OK && ez_dial_is_tls(urls[i]) == wants_tls) {
            snprintf(client->learned[client->learned_count++], EZ_URL_MAX, "%s", urls[i]);
        }
    }
    client->has_news = true;
    ez_client_kick(client);
    pthread_mutex_unlock(&client->mutex);
}

size_t ez_client_server_count(ez_client *client) {
    pthread_mutex_lock(&client->mutex);
    size_t count = client->peer_count;
    pthread_mutex_unlock(&client->mutex);
    return count;
}

bool ez_client_has_server(ez_client *client, uint32_t server) {
    bool has = false;
    pthread_mutex_lock(&client->mutex);
    for (unsigned i = 0; i < client->peer_count; i++) {
        has = has || (client->peers[i].number == server && client->peers[i].pipes > 0);
    }
    pthread_mutex_unlock(&client->mutex);
    return has;
}
