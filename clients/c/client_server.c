// SPDX-License-Identifier: Apache-2.0
//
// The servers of an ez_client: one REQ socket each, dialed when it is first needed. The client owns the sockets; nng
// owns the connections and makes them again. Awkward: nng tells of connections through callbacks that run under its
// lock, so these note what happened and wake the client's thread, nothing else; and a connection that is half dead (the
// peer's machine is gone) looks alive, so client_call.c closes the pipe of a server that stays silent past a deadline.
#include <string.h>

#include "clients/c/client_private.h"
#include "clients/c/socket_close.h"
#include "proto/runtime/clock.h"

// A server that did not connect in this time is not waited for alone: the next one is dialed too.
#define STAGGER_NS (250 * 1000000ull)

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

bool ez_client_peers_close(ez_client *client) {
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
