// SPDX-License-Identifier: Apache-2.0
//
// One other server: asked each second, and at once when an event of its data planes came, how it is and which sessions
// changed. Events are a hint, what it answers is the truth. It is lost when it has not answered for three heartbeats
// and the store has not heard it either: one that only we can't reach still has its data planes, and these count as
// missing.
#include <string.h>

#include "ez/v1/server.pb-c.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/peers/inside.h"

#define ASK_TIMEOUT_MS 1000

ez_client *ez_peer_take(ez_peer *peer) {
    if (peer->state != PEER_ON || peer->client == NULL) {
        return NULL;
    }
    peer->users++;
    return peer->client;
}

void ez_peer_put(ez_peer *peer) {
    pthread_mutex_lock(&peer->servers->lock);
    if (--peer->users == 0) {
        pthread_cond_broadcast(&peer->servers->unused);
    }
    pthread_mutex_unlock(&peer->servers->lock);
}

void ez_peers_tell(ez_servers *servers) {
    char urls[EZ_PEERS_MAX][EZ_PEER_TEXT_MAX];
    const char *list[EZ_PEERS_MAX];
    size_t count = 0;
    pthread_mutex_lock(&servers->lock);
    for (unsigned i = 0; i < EZ_PEERS_MAX; i++) {
        const ez_peer *peer = &servers->peers[i];
        if (peer->state == PEER_ON && peer->has_answered && !peer->is_lost && !peer->is_gone && !peer->is_self) {
            // EZ_PEERS may name a network that data planes are not in.
            bool is_advertised = peer->advertised_url[0] != '\0';
            memcpy(urls[count], is_advertised ? peer->advertised_url : peer->rpc_url, sizeof urls[count]);
            list[count] = urls[count];
            count++;
        }
    }
    pthread_mutex_unlock(&servers->lock);
    ez_fleet_tell_servers(servers->options.fleet, list, count);
}

// ---- What it answers

void ez_peer_copy(char *out, size_t room, const char *text) {
    size_t len = strnlen(text, room - 1);
    memcpy(out, text, len);
    out[len] = '\0';
}

// Locked. False: what it says of its sessions is not to be used.
static bool take_server(ez_peer *peer, const Ez__V1__Server *server, uint64_t now_ms, bool *is_other) {
    bool is_us = strcmp(server->id, peer->servers->options.server_id) == 0;
    if (is_us && peer->is_given) { // one list may serve all servers
        peer->is_self = true;
        return false;
    }
    *is_other = peer->id[0] != '\0' && strcmp(peer->id, server->id) != 0;
    if (*is_other) {
        peer->since = 0;
        peer->page = 0;
        if (!peer->is_given) { // the one we knew is gone, unless the store goes on hearing it
            peer->is_gone = true;
            peer->leads_here = is_us;
            peer->other_ms = now_ms;
            ez_peer_copy(peer->error, sizeof peer->error, "another server answers at its address");
            return false;
        }
    }
    ez_peer_copy(peer->id, sizeof peer->id, server->id);
    ez_peer_copy(peer->version, sizeof peer->version, server->version);
    ez_peer_copy(peer->config_url, sizeof peer->config_url, server->config_url);
    ez_peer_copy(peer->events_url, sizeof peer->events_url, server->events_url);
    if (server->revision != NULL) {
        peer->head = (ez_revision){server->revision->epoch, server->revision->n};
    }
    if (server->started_at != NULL) {
        peer->started_ns = server->started_at->seconds * 1000000000 + server->started_at->nanos;
    }
    peer->live = server->data_planes_live;
    peer->heard_ms = now_ms;
    peer->heard_wall_ns = ez_clock_wall_ns();
    peer->has_answered = true;
    peer->error[0] = '\0';
    return !*is_other;
}

// Locked.
static void take_page(ez_peer *peer, const Ez__V1__SyncPeerResponse *said) {
    if (peer->page == 0) {
        peer->version_then = said->version;
    }
    peer->page = said->next_page;
    if (said->next_page == 0) {
        peer->since = peer->version_then;
    } else {
        peer->wants_sync = true;
    }
}

static void take(ez_peer *peer, const Ez__V1__SyncPeerResponse *said) {
    ez_servers *servers = peer->servers;
    char was[EZ_PEER_ID_MAX];
    bool is_other = false;
    pthread_mutex_lock(&servers->lock);
    bool was_known = peer->has_answered && !peer->is_lost;
    bool was_lost = peer->is_lost;
    memcpy(was, peer->id, sizeof was);
    bool is_good = take_server(peer, said->server, ez_clock_mono_ms(), &is_other);
    bool has_moved = !peer->is_self && !peer->is_gone && strcmp(peer->advertised_url, said->advertised_rpc_url) != 0;
    if (has_moved) {
        ez_peer_copy(peer->advertised_url, sizeof peer->advertised_url, said->advertised_rpc_url);
    }
    if (is_good) {
        peer->is_lost = false;
        if (was_lost) {
            peer->since = 0; // what it said before was forgotten
            peer->page = 0;
            peer->wants_sync = true;
            is_good = false;
        } else {
            take_page(peer, said);
        }
    }
    bool opens = strcmp(peer->events_url, peer->subscribed_url) != 0;
    if (opens || peer->is_gone || peer->is_self) {
        pthread_cond_broadcast(&servers->work);
    }
    bool is_news = peer->has_answered && !was_known;
    pthread_mutex_unlock(&servers->lock);
    if (is_other) {
        ez_fleet_lose_server(servers->options.fleet, peer->slot, was);
    }
    if (is_good) {
        ez_fleet_note_sessions(servers->options.fleet, peer->slot, said->sessions, said->n_sessions);
    }
    if (is_news) {
        ez_log_info("another server answers", "server", peer->id, "url", peer->rpc_url);
    }
    if (is_news || has_moved) {
        ez_peers_tell(servers);
    }
    pthread_mutex_lock(&servers->lock);
    peer->is_syncing = false; // only now: answers are taken one after the other
    pthread_mutex_unlock(&servers->lock);
    ez_servers_kick(servers);
}

static void fail(ez_peer *peer, const char *why) {
    pthread_mutex_lock(&peer->servers->lock);
    ez_peer_copy(peer->error, sizeof peer->error, why);
    peer->is_syncing = false;
    peer->page = 0;
    pthread_mutex_unlock(&peer->servers->lock);
}

static void on_answer(void *user, const ez_call_result *result) {
    ez_peer *peer = user;
    Ez__V1__SyncPeerResponse *said =
        result->status == EZ_OK ? ez__v1__sync_peer_response__unpack(NULL, result->reply.len, result->reply.data)
                                : NULL;
    if (said != NULL && said->server != NULL) {
        take(peer, said);
    } else {
        fail(peer, result->status == EZ_OK ? "its answer can't be decoded" : result->error->message);
    }
    if (said != NULL) {
        ez__v1__sync_peer_response__free_unpacked(said, NULL);
    }
}

void ez_peer_ask(ez_peer *peer) {
    static const char name[] = "ez.v1.Peers/Sync";
    const ez_call_options options = {.timeout_ms = ASK_TIMEOUT_MS, .max_retries = -1};
    Ez__V1__SyncPeerRequest request = EZ__V1__SYNC_PEER_REQUEST__INIT;
    request.server_id = (char *)(uintptr_t)peer->servers->options.server_id;
    pthread_mutex_lock(&peer->servers->lock);
    request.since = peer->since;
    request.page = peer->page;
    pthread_mutex_unlock(&peer->servers->lock);
    ez_error error = EZ_ERROR_INIT;
    if (ez_client_start(peer->client, ez_method_find(name, sizeof name - 1), &request.base, &options, on_answer, peer,
                        &error) != EZ_OK) {
        fail(peer, error.message);
    }
}

// ---- Whether it is lost

bool ez_peer_is_in_store(const ez_peer *peer, uint64_t now_ms) {
    return peer->row_ms != 0 && !(now_ms > peer->row_ms && now_ms - peer->row_ms > EZ_PEER_ROW_MS);
}

bool ez_peer_is_replaced(const ez_peer *peer) {
    return peer->other_ms != 0 && peer->row_ms <= peer->other_ms + EZ_PEER_BEAT_MS;
}

void ez_peer_check(ez_peer *peer, uint64_t now_ms) {
    ez_servers *servers = peer->servers;
    char id[EZ_PEER_ID_MAX], url[EZ_PEER_TEXT_MAX];
    pthread_mutex_lock(&servers->lock);
    bool is_silent = now_ms > peer->heard_ms && now_ms - peer->heard_ms > EZ_PEER_LOST_MS;
    bool is_lost =
        peer->state == PEER_ON && !peer->is_self && !peer->is_lost && is_silent && !ez_peer_is_in_store(peer, now_ms);
    peer->is_lost = peer->is_lost || is_lost;
    if (is_lost) {
        peer->since = 0;
        peer->page = 0;
        peer->live = 0;
    }
    memcpy(id, peer->id, sizeof id);
    memcpy(url, peer->rpc_url, sizeof url);
    pthread_mutex_unlock(&servers->lock);
    if (!is_lost) {
        return;
    }
    ez_log_warn("another server is gone: its data planes that have not moved are lost", "server", id, "url", url);
    ez_fleet_lose_server(servers->options.fleet, peer->slot, id);
    ez_peers_tell(servers);
}
