// SPDX-License-Identifier: Apache-2.0
//
// The object, its two threads, and the calls it answers. What blocks (the store, closing a connection to a server that
// is silent) is done by a thread of its own, so that a store that is away holds up neither events nor deadlines.
#include "server/peers/servers.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "proto/crypto/hash.h"
#include "proto/crypto/seal.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "proto/runtime/version.h"
#include "server/peers/inside.h"
#include "server/state/store/servers.h"

#define IDLE_MS 100 // between looks at clocks
#define BUSY_MS 20  // the same while somebody waits

void ez_peer_token(const ez_sealer *sealer, uint64_t epoch, char out[EZ_PEER_TOKEN_MAX]) {
    char purpose[64];
    uint8_t key[EZ_SEAL_KEY_LEN];
    int len = snprintf(purpose, sizeof purpose, "ezplane peers of %016llx", (unsigned long long)epoch);
    ez_sealer_derive(sealer, purpose, (size_t)len, key);
    memcpy(out, "ezp_", 4);
    ez_hex(key, sizeof key, out + 4);
    ez_wipe(key, sizeof key);
}

// ---- Opening

static ez_status add_given(ez_servers *servers, const char *url, size_t len, ez_error *error) {
    if (len < sizeof "tcp://:1" || len >= EZ_PEER_TEXT_MAX || strncmp(url, "tcp://", 6) != 0) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "PEERS_INVALID",
                            "EZ_PEERS: \"%.*s\" is no URL of a server: write tcp://HOST:PORT,…",
                            (int)(len < 100 ? len : 100), url);
    }
    for (unsigned i = 0; i < EZ_PEERS_MAX; i++) {
        ez_peer *peer = &servers->peers[i];
        if (peer->state != PEER_FREE) {
            continue;
        }
        memcpy(peer->rpc_url, url, len);
        peer->is_given = true;
        peer->state = PEER_WANTED;
        peer->heard_ms = ez_clock_mono_ms();
        return EZ_OK;
    }
    return ez_error_set(error, EZ_INVALID_ARGUMENT, "PEERS_INVALID", "EZ_PEERS names more than %d servers",
                        EZ_PEERS_MAX);
}

// Our own URL may be among them: one list serves all servers.
static ez_status add_all_given(ez_servers *servers, const char *list, ez_error *error) {
    ez_status status = EZ_OK;
    while (status == EZ_OK && *list != '\0') {
        list += strspn(list, " ,");
        size_t len = strcspn(list, " ,");
        if (len > 0 && (strlen(servers->options.rpc_url) != len || memcmp(list, servers->options.rpc_url, len) != 0)) {
            status = add_given(servers, list, len, error);
        }
        list += len;
    }
    return status;
}

static void init_locks(ez_servers *servers) {
    pthread_condattr_t monotonic;
    pthread_mutex_init(&servers->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&servers->work, &monotonic);
    pthread_cond_init(&servers->unused, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

ez_status ez_servers_create(const ez_servers_options *options, ez_servers **out, ez_error *error) {
    ez_servers *servers = calloc(1, sizeof *servers);
    if (servers == NULL) {
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for other servers");
    }
    servers->options = *options;
    servers->started_ns = ez_clock_wall_ns();
    servers->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    init_locks(servers);
    for (unsigned i = 0; i < EZ_PEERS_MAX; i++) {
        servers->peers[i].servers = servers;
        servers->peers[i].slot = i;
    }
    ez_status status = EZ_OK;
    if (servers->wake_fd < 0) {
        status = ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_DESCRIPTORS", "no more files can be opened");
    }
    bool is_given = options->peers != NULL && options->peers[0] != '\0';
    if (status == EZ_OK && is_given && !ez_store_is_shared(options->store)) {
        ez_log_warn("EZ_PEERS is left aside: a SQLite store has one server");
    } else if (status == EZ_OK && is_given) {
        status = add_all_given(servers, options->peers, error);
    }
    if (status != EZ_OK) {
        ez_servers_destroy(servers);
        return status;
    }
    *out = servers;
    return EZ_OK;
}

// ---- The thread that talks

void ez_servers_kick(ez_servers *servers) {
    uint64_t one = 1;
    ssize_t wrote = write(servers->wake_fd, &one, sizeof one);
    (void)wrote; // full: it is awake
}

typedef struct watched {
    ez_peer *peer;
    ez_subscriber *subscriber;
} watched;

static size_t watch(ez_servers *servers, watched *out, struct pollfd *fds) {
    size_t count = 0;
    pthread_mutex_lock(&servers->lock);
    for (unsigned i = 0; i < EZ_PEERS_MAX; i++) {
        ez_peer *peer = &servers->peers[i];
        if (peer->state == PEER_ON && peer->subscriber != NULL) {
            peer->users++;
            out[count] = (watched){peer, peer->subscriber};
            fds[count++] = (struct pollfd){.fd = ez_subscriber_fd(peer->subscriber), .events = POLLIN};
        }
    }
    pthread_mutex_unlock(&servers->lock);
    return count;
}

static void ask_who_is_due(ez_servers *servers, uint64_t now) {
    for (unsigned i = 0; i < EZ_PEERS_MAX; i++) {
        ez_peer *peer = &servers->peers[i];
        pthread_mutex_lock(&servers->lock);
        bool ask = peer->state == PEER_ON && !peer->is_self && !peer->is_gone && !peer->is_syncing &&
                   !servers->is_stopping &&
                   (peer->wants_sync || peer->synced_ms == 0 || now - peer->synced_ms >= EZ_PEER_BEAT_MS) &&
                   ez_peer_take(peer) != NULL;
        if (ask) {
            peer->is_syncing = true;
            peer->wants_sync = false;
            peer->synced_ms = now;
        }
        pthread_mutex_unlock(&servers->lock);
        if (ask) {
            ez_peer_ask(peer);
            ez_peer_put(peer);
        }
        ez_peer_check(peer, now);
    }
}

static void *talk(void *user) {
    ez_servers *servers = user;
    watched peers[EZ_PEERS_MAX];
    struct pollfd fds[EZ_PEERS_MAX + 1];
    ez_buf room;
    ez_buf_init(&room, EZ_EVENT_MAX);
    for (;;) {
        size_t count = watch(servers, peers, fds + 1);
        fds[0] = (struct pollfd){.fd = servers->wake_fd, .events = POLLIN};
        pthread_mutex_lock(&servers->lock);
        bool is_stopping = servers->is_stopping, is_busy = servers->waits != NULL;
        pthread_mutex_unlock(&servers->lock);
        int ready = is_stopping ? 0 : poll(fds, count + 1, is_busy ? BUSY_MS : IDLE_MS);
        uint64_t drained;
        ssize_t got = fds[0].revents != 0 ? read(servers->wake_fd, &drained, sizeof drained) : 0;
        (void)got; // whoever woke us is seen below
        for (size_t i = 0; i < count; i++) {
            if (ready > 0 && fds[i + 1].revents != 0) {
                ez_relay_take(servers, peers[i].peer, peers[i].subscriber, &room);
            }
            ez_peer_put(peers[i].peer);
        }
        if (is_stopping) {
            break;
        }
        uint64_t now = ez_clock_mono_ms();
        ask_who_is_due(servers, now);
        ez_wait_tick(servers, now);
    }
    ez_buf_fini(&room);
    return NULL;
}

// ---- Starting and stopping

ez_status ez_servers_start(ez_servers *servers, ez_error *error) {
    if (!ez_store_is_shared(servers->options.store)) {
        return EZ_OK;
    }
    servers->has_talker = pthread_create(&servers->talker, NULL, talk, servers) == 0;
    servers->has_blocker = pthread_create(&servers->blocker, NULL, ez_registry_run, servers) == 0;
    return servers->has_talker && servers->has_blocker
               ? EZ_OK
               : ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_THREAD", "no thread for other servers can be started");
}

void ez_servers_stop(ez_servers *servers) {
    pthread_mutex_lock(&servers->lock);
    servers->is_stopping = true;
    pthread_cond_broadcast(&servers->work);
    pthread_mutex_unlock(&servers->lock);
    ez_servers_kick(servers);
    ez_wait_stop(servers);
}

void ez_servers_join(ez_servers *servers) {
    if (servers == NULL) {
        return;
    }
    ez_servers_stop(servers);
    if (servers->has_talker) {
        pthread_join(servers->talker, NULL);
    }
    if (servers->has_blocker) {
        pthread_join(servers->blocker, NULL); // closes all connections on its way out
    }
    servers->has_talker = servers->has_blocker = false;
}

void ez_servers_destroy(ez_servers *servers) {
    if (servers == NULL) {
        return;
    }
    ez_servers_join(servers);
    if (servers->wake_fd >= 0) {
        close(servers->wake_fd);
    }
    pthread_cond_destroy(&servers->unused);
    pthread_cond_destroy(&servers->work);
    pthread_mutex_destroy(&servers->lock);
    free(servers);
}

// ---- Calls

static void set_time(Google__Protobuf__Timestamp *out, int64_t ns) {
    google__protobuf__timestamp__init(out);
    out->seconds = ns / 1000000000;
    out->nanos = (int32_t)(ns % 1000000000);
}

// A server with the messages it points to.
typedef struct shown {
    Ez__V1__Server server;
    Ez__V1__Revision head;
    Google__Protobuf__Timestamp started, seen;
    ez_peer peer; // its texts
} shown;

static void show_self(const ez_servers *servers, int64_t now_ns, shown *out) {
    uint32_t enrolled;
    ez__v1__server__init(&out->server);
    ez__v1__revision__init(&out->head);
    ez_revision head = ez_feed_head(servers->options.feed);
    out->head.epoch = head.epoch;
    out->head.n = head.n;
    set_time(&out->started, servers->started_ns);
    set_time(&out->seen, now_ns);
    Ez__V1__Server *server = &out->server;
    server->id = (char *)(uintptr_t)servers->options.server_id;
    server->version = (char *)(uintptr_t)ez_version;
    server->rpc_url = (char *)(uintptr_t)servers->options.rpc_url;
    server->config_url = (char *)(uintptr_t)servers->options.config_url;
    server->events_url = (char *)(uintptr_t)servers->options.events_url;
    server->started_at = &out->started;
    server->last_seen_at = &out->seen;
    server->revision = &out->head;
    server->is_self = true;
    server->is_reachable = true;
    ez_fleet_counts(servers->options.fleet, &enrolled, &server->data_planes_live);
}

// out->peer is filled.
static void show_peer(uint64_t now_ms, shown *out) {
    ez_peer *peer = &out->peer;
    Ez__V1__Server *server = &out->server;
    ez__v1__server__init(server);
    ez__v1__revision__init(&out->head);
    out->head.epoch = peer->head.epoch;
    out->head.n = peer->head.n;
    set_time(&out->started, peer->started_ns);
    set_time(&out->seen, peer->heard_wall_ns);
    server->id = peer->id;
    server->version = peer->version;
    server->rpc_url = peer->rpc_url;
    server->config_url = peer->config_url;
    server->events_url = peer->events_url;
    server->started_at = peer->started_ns != 0 ? &out->started : NULL;
    server->last_seen_at = peer->has_answered ? &out->seen : NULL;
    server->revision = peer->has_answered ? &out->head : NULL;
    server->is_reachable = peer->has_answered && !peer->is_gone && now_ms - peer->heard_ms < EZ_PEER_LOST_MS;
    server->error = server->is_reachable ? (char *)"" : peer->error;
    server->data_planes_live = peer->live;
}

static int by_id(const void *a, const void *b) {
    const Ez__V1__Server *const *left = a, *const *right = b;
    return strcmp((*left)->id, (*right)->id);
}

ez_status ez_handle_servers_list(struct ez_servers *self, ez_call *call, Ez__V1__ListServersRequest *request) {
    (void)request;
    shown *all = ez_arena_alloc(&call->arena, (EZ_PEERS_MAX + 1) * sizeof *all);
    if (all == NULL) {
        return ez_call_fail(call, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for a list of servers");
    }
    Ez__V1__Server *list[EZ_PEERS_MAX + 1];
    size_t count = 1;
    show_self(self, call->time_ns, &all[0]);
    list[0] = &all[0].server;
    pthread_mutex_lock(&self->lock);
    uint64_t now_ms = ez_clock_mono_ms(); // under the lock: never before the time at which one was heard
    for (unsigned i = 0; i < EZ_PEERS_MAX; i++) {
        const ez_peer *peer = &self->peers[i];
        if (peer->state == PEER_FREE || peer->state == PEER_LEAVING || peer->is_self) {
            continue;
        }
        all[count].peer = *peer;
        list[count] = &all[count].server;
        count++;
    }
    pthread_mutex_unlock(&self->lock);
    for (size_t i = 1; i < count; i++) {
        show_peer(now_ms, &all[i]);
    }
    qsort(list + 1, count - 1, sizeof list[0], by_id);
    Ez__V1__ListServersResponse reply = EZ__V1__LIST_SERVERS_RESPONSE__INIT;
    reply.n_items = count;
    reply.items = list;
    return ez_call_reply(call, &reply.base);
}

// Somebody asks who is not known here yet: a server that has just started.
static void note_caller(ez_servers *servers, const char *id) {
    pthread_mutex_lock(&servers->lock);
    bool is_known = strcmp(servers->options.server_id, id) == 0; // by an address that leads back to us
    for (unsigned i = 0; i < EZ_PEERS_MAX; i++) {
        is_known = is_known || strcmp(servers->peers[i].id, id) == 0;
    }
    if (!is_known) {
        servers->looks_now = true;
        pthread_cond_broadcast(&servers->work);
    }
    pthread_mutex_unlock(&servers->lock);
}

ez_status ez_handle_peers_sync(struct ez_servers *self, ez_call *call, Ez__V1__SyncPeerRequest *request) {
    note_caller(self, request->server_id);
    shown *own = ez_arena_alloc(&call->arena, sizeof *own);
    if (own == NULL) {
        return ez_call_fail(call, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for an answer");
    }
    show_self(self, call->time_ns, own);
    Ez__V1__SyncPeerResponse reply = EZ__V1__SYNC_PEER_RESPONSE__INIT;
    ez_status status =
        ez_fleet_list_sessions(self->options.fleet, request->since, request->page, &call->arena, &reply, &call->error);
    if (status != EZ_OK) {
        return status;
    }
    reply.server = &own->server;
    if (self->options.advertised_rpc_url != NULL) {
        reply.advertised_rpc_url = (char *)(uintptr_t)self->options.advertised_rpc_url;
    }
    return ez_call_reply(call, &reply.base);
}

ez_status ez_handle_peers_wait_applied(struct ez_servers *self, ez_call *call, Ez__V1__WaitPeerRequest *request) {
    ez_revision head = ez_feed_head(self->options.feed);
    if (request->revision->epoch != head.epoch || request->revision->n == 0) {
        return ez_call_fail(call, EZ_FAILED_PRECONDITION, "OTHER_STORE", "this server is on another store");
    }
    if (head.n < request->revision->n) {
        ez_writer_hint(self->options.writer, 0);
    }
    ez_feed_want_ack(self->options.feed, request->revision->n, call->time_ns);
    call->wait_revision = request->revision->n;
    Ez__V1__WaitPeerResponse reply = EZ__V1__WAIT_PEER_RESPONSE__INIT;
    return ez_call_reply(call, &reply.base);
}
