// SPDX-License-Identifier: Apache-2.0
//
// The thread that may block: says in the store that this server is there, learns of the others, opens and closes the
// connections to them. With EZ_PEERS the list says whom to ask, and the store only whether they live.
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "proto/runtime/version.h"
#include "server/peers/inside.h"
#include "server/state/store/servers.h"

#define FORGET_NS  60000000000ll // silent for so long, a row goes
#define CONNECT_MS 500
#define CALLS_MAX  1024
#define NS_PER_MS  1000000
#define REPEAT_LOG 60 // beats between two complaints about the same thing

// ---- What the store says

typedef struct look {
    ez_servers *servers;
    bool is_seen[EZ_PEERS_MAX];
    unsigned surplus;
    bool has_news; // others are to be told of other servers than before
} look;

// Locked.
static ez_peer *find(ez_servers *servers, const ez_store_server *found) {
    for (unsigned i = 0; i < EZ_PEERS_MAX; i++) {
        ez_peer *peer = &servers->peers[i];
        if (peer->state != PEER_FREE && peer->state != PEER_LEAVING && strcmp(peer->id, found->id) == 0) {
            return peer;
        }
    }
    return NULL;
}

static bool has_list(const ez_servers *servers) {
    return servers->options.peers != NULL && servers->options.peers[0] != '\0';
}

// Locked. NULL: there is no room.
static ez_peer *add(ez_servers *servers, const ez_store_server *found) {
    for (unsigned i = 0; i < EZ_PEERS_MAX; i++) {
        ez_peer *peer = &servers->peers[i];
        if (peer->state != PEER_FREE) {
            continue;
        }
        unsigned generation = peer->generation + 1;
        *peer = (ez_peer){.servers = servers, .slot = i, .state = PEER_WANTED, .generation = generation};
        ez_peer_copy(peer->id, sizeof peer->id, found->id);
        ez_peer_copy(peer->rpc_url, sizeof peer->rpc_url, found->rpc_url);
        ez_peer_copy(peer->config_url, sizeof peer->config_url, found->config_url);
        ez_peer_copy(peer->events_url, sizeof peer->events_url, found->events_url);
        ez_peer_copy(peer->version, sizeof peer->version, found->version);
        peer->started_ns = found->started_ns;
        peer->heard_ms = ez_clock_mono_ms();
        return peer;
    }
    return NULL;
}

// Locked. The store was away for so long that another server took this one's row for a dead one's; it is there again.
static void come_back(look *at, ez_peer *peer) {
    peer->is_gone = false;
    peer->other_ms = 0;
    peer->wants_sync = true;
    at->has_news = true;
}

// Locked. It lives, and yet another one answers at the address it gave. True: that is to be complained about.
static bool misleads(ez_peer *peer) {
    bool is_new = peer->other_ms != 0 && !ez_peer_is_replaced(peer) && !peer->is_warned;
    if (is_new) {
        peer->is_warned = true;
        snprintf(peer->error, sizeof peer->error,
                 "its advertised address leads to %s server: set EZ_ADVERTISE_RPC_URL there",
                 peer->leads_here ? "this" : "another");
    }
    return is_new;
}

static void note(void *user, const ez_store_server *found) {
    look *at = user;
    ez_servers *servers = at->servers;
    uint64_t silent_ms = (uint64_t)found->silent_ns / NS_PER_MS;
    pthread_mutex_lock(&servers->lock);
    uint64_t now_ms = ez_clock_mono_ms();
    ez_peer *peer = find(servers, found);
    if (peer == NULL && !has_list(servers) && silent_ms < EZ_PEER_ROW_MS) {
        peer = add(servers, found);
        at->surplus += peer == NULL;
    }
    bool warns = false;
    if (peer != NULL) {
        at->is_seen[peer->slot] = true;
        if (peer->is_gone && peer->row_ms == 0 && silent_ms < EZ_PEER_ROW_MS) {
            come_back(at, peer);
        }
        peer->row_ms = now_ms > silent_ms ? now_ms - silent_ms : 1;
        warns = misleads(peer);
    }
    pthread_mutex_unlock(&servers->lock);
    if (warns) {
        ez_log_warn("another server can't be reached: its advertised address leads elsewhere, set EZ_ADVERTISE_RPC_URL "
                    "there",
                    "server", found->id, "url", found->rpc_url);
    }
}

// A row that is there no more was taken away by its server, which stops, or by others after long silence.
static void close_who_left(ez_servers *servers, look *seen) {
    pthread_mutex_lock(&servers->lock);
    for (unsigned i = 0; i < EZ_PEERS_MAX; i++) {
        ez_peer *peer = &servers->peers[i];
        bool left = !seen->is_seen[i] && peer->row_ms != 0;
        peer->row_ms = left ? 0 : peer->row_ms;
        seen->has_news = seen->has_news || (left && !peer->is_given);
        peer->is_gone = peer->is_gone || (left && !peer->is_given);
    }
    pthread_mutex_unlock(&servers->lock);
}

static void beat(ez_servers *servers, unsigned *failures) {
    const ez_servers_options *options = &servers->options;
    const ez_store_server self = {.id = options->server_id,
                                  .rpc_url = options->rpc_url,
                                  .config_url = options->config_url,
                                  .events_url = options->events_url,
                                  .version = ez_version,
                                  .started_ns = servers->started_ns};
    look at = {.servers = servers};
    ez_error error = EZ_ERROR_INIT;
    if (ez_store_beat_server(options->store, &self, FORGET_NS, note, &at, &error) == EZ_OK) {
        *failures = 0;
        close_who_left(servers, &at);
    } else if ((*failures)++ % REPEAT_LOG == 0) {
        ez_log_warn("the store can't be told that this server is there", "error", error.message);
    }
    if (at.has_news) {
        ez_peers_tell(servers);
        ez_servers_kick(servers);
    }
    if (at.surplus > 0) {
        ez_log_warn("there are more servers on this store than one keeps in touch with", "servers",
                    EZ_LOG_INT(EZ_PEERS_MAX + at.surplus));
    }
}

// ---- Connections

static void open_client(ez_peer *peer, const char *url) {
    ez_servers *servers = peer->servers;
    const ez_client_options options = {.servers = {url},
                                       .server_count = 1,
                                       .token = servers->options.token,
                                       .name = "ezplaned",
                                       .connect_timeout_ms = CONNECT_MS,
                                       .max_in_flight = CALLS_MAX};
    ez_client *client = NULL;
    ez_error error = EZ_ERROR_INIT;
    ez_status status = ez_client_open(&options, &client, &error);
    pthread_mutex_lock(&servers->lock);
    peer->client = client;
    if (status == EZ_OK) {
        peer->state = PEER_ON;
    } else {
        ez_peer_copy(peer->error, sizeof peer->error, error.message);
    }
    pthread_mutex_unlock(&servers->lock);
    if (status != EZ_OK) {
        ez_log_warn("another server can't be asked", "url", url, "error", error.message);
    }
    ez_servers_kick(servers);
}

// Locked; waits for users to let go of it.
static void wait_unused(ez_peer *peer) {
    while (peer->users > 0) {
        pthread_cond_wait(&peer->servers->unused, &peer->servers->lock);
    }
}

// Follows the events at the URL the peer says now.
static void resubscribe(ez_peer *peer, const char *url) {
    ez_servers *servers = peer->servers;
    pthread_mutex_lock(&servers->lock);
    ez_subscriber *was = peer->subscriber;
    peer->subscriber = NULL;
    while (was != NULL && peer->users > 0) {
        pthread_cond_wait(&servers->unused, &servers->lock);
    }
    pthread_mutex_unlock(&servers->lock);
    ez_subscriber_close(was);
    ez_subscriber *made = NULL;
    ez_error error = EZ_ERROR_INIT;
    if (url[0] != '\0' && ez_subscriber_open(url, NULL, NULL, &made, &error) != EZ_OK) {
        ez_log_warn("another server's events can't be followed", "url", url, "error", error.message);
    }
    pthread_mutex_lock(&servers->lock);
    peer->subscriber = made;
    ez_peer_copy(peer->subscribed_url, sizeof peer->subscribed_url, url);
    pthread_mutex_unlock(&servers->lock);
}

static void close_peer(ez_peer *peer) {
    ez_servers *servers = peer->servers;
    pthread_mutex_lock(&servers->lock);
    ez_subscriber *subscriber = peer->subscriber;
    ez_client *client = peer->client;
    peer->state = PEER_LEAVING;
    wait_unused(peer);
    pthread_mutex_unlock(&servers->lock);
    ez_client_close(client); // its calls end, and with them who waits
    ez_subscriber_close(subscriber);
    pthread_mutex_lock(&servers->lock);
    *peer =
        (ez_peer){.servers = servers, .slot = (unsigned)(peer - servers->peers), .generation = peer->generation + 1};
    pthread_mutex_unlock(&servers->lock);
}

static void tend(ez_peer *peer) {
    ez_servers *servers = peer->servers;
    char rpc_url[EZ_PEER_TEXT_MAX], events_url[EZ_PEER_TEXT_MAX];
    pthread_mutex_lock(&servers->lock);
    bool opens = peer->state == PEER_WANTED && !servers->is_stopping;
    bool closes = peer->state == PEER_ON && (peer->is_self || (peer->is_gone && peer->is_lost) || servers->is_stopping);
    bool follows =
        peer->state == PEER_ON && !closes && peer->has_answered && strcmp(peer->events_url, peer->subscribed_url) != 0;
    memcpy(rpc_url, peer->rpc_url, sizeof rpc_url);
    memcpy(events_url, peer->events_url, sizeof events_url);
    pthread_mutex_unlock(&servers->lock);
    if (opens) {
        open_client(peer, rpc_url);
    } else if (closes) {
        close_peer(peer);
    } else if (follows) {
        resubscribe(peer, events_url);
    }
}

static void tend_all(ez_servers *servers) {
    for (unsigned i = 0; i < EZ_PEERS_MAX; i++) {
        tend(&servers->peers[i]);
    }
}

// Begins to close all subscribers at once: each waits for its next event.
static void hush_all(ez_servers *servers) {
    for (unsigned i = 0; i < EZ_PEERS_MAX; i++) {
        if (servers->peers[i].subscriber != NULL) {
            ez_subscriber_hush(servers->peers[i].subscriber);
        }
    }
}

// Waits for something to open or close, at most until the next beat. False: the server stops.
static bool wait_for_work(ez_servers *servers, uint64_t until_ms) {
    const struct timespec until = {.tv_sec = (time_t)(until_ms / 1000), .tv_nsec = (long)(until_ms % 1000) * 1000000};
    pthread_mutex_lock(&servers->lock);
    if (!servers->is_stopping && !servers->looks_now) {
        pthread_cond_timedwait(&servers->work, &servers->lock, &until);
    }
    bool goes_on = !servers->is_stopping;
    pthread_mutex_unlock(&servers->lock);
    return goes_on;
}

void *ez_registry_run(void *user) {
    ez_servers *servers = user;
    unsigned failures = 0;
    uint64_t next_ms = 0;
    do {
        pthread_mutex_lock(&servers->lock);
        bool is_due = servers->looks_now || ez_clock_mono_ms() >= next_ms;
        servers->looks_now = false;
        pthread_mutex_unlock(&servers->lock);
        if (is_due) {
            next_ms = ez_clock_mono_ms() + EZ_PEER_BEAT_MS;
            beat(servers, &failures);
        }
        tend_all(servers);
    } while (wait_for_work(servers, next_ms));
    ez_error error = EZ_ERROR_INIT;
    if (failures == 0 && ez_store_remove_server(servers->options.store, servers->options.server_id, &error) != EZ_OK) {
        ez_log_warn("the store can't be told that this server stops", "error", error.message);
    }
    hush_all(servers);
    tend_all(servers); // closes all
    return NULL;
}
