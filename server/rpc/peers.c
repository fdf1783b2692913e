// SPDX-License-Identifier: Apache-2.0
//
// A chained hash by pipe id under one lock. nng's pipe ids are random enough to be their own hash.
//
// The awkward case: a call may end after its peer went away; ends of unknown peers are ignored, and since ids are not
// given again soon, no other peer is credited with them.
#include "server/rpc/peers.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define BUCKETS 4096u

typedef struct peer {
    struct peer *next;
    uint32_t id;
    unsigned in_flight;
    char address[EZ_REMOTE_MAX];
} peer;

struct ez_peers {
    size_t max_peers;
    unsigned max_in_flight;
    pthread_mutex_t lock; // guards all below
    size_t count;
    peer *buckets[BUCKETS];
};

static peer **place(ez_peers *peers, uint32_t id) {
    peer **at = &peers->buckets[id % BUCKETS];
    while (*at != NULL && (*at)->id != id) {
        at = &(*at)->next;
    }
    return at;
}

ez_peers *ez_peers_create(size_t max_peers, unsigned max_in_flight) {
    ez_peers *peers = calloc(1, sizeof *peers);
    if (peers == NULL) {
        return NULL;
    }
    peers->max_peers = max_peers;
    peers->max_in_flight = max_in_flight;
    pthread_mutex_init(&peers->lock, NULL);
    return peers;
}

void ez_peers_destroy(ez_peers *peers) {
    if (peers == NULL) {
        return;
    }
    for (unsigned i = 0; i < BUCKETS; i++) {
        while (peers->buckets[i] != NULL) {
            peer *gone = peers->buckets[i];
            peers->buckets[i] = gone->next;
            free(gone);
        }
    }
    pthread_mutex_destroy(&peers->lock);
    free(peers);
}

bool ez_peers_add(ez_peers *peers, uint32_t id, const char *address) {
    peer *added = calloc(1, sizeof *added);
    if (added == NULL) {
        return false;
    }
    added->id = id;
    snprintf(added->address, sizeof added->address, "%s", address);
    pthread_mutex_lock(&peers->lock);
    bool fits = peers->count < peers->max_peers;
    if (fits) {
        peer **at = place(peers, id);
        added->next = *at;
        *at = added;
        peers->count++;
    }
    pthread_mutex_unlock(&peers->lock);
    if (!fits) {
        free(added);
    }
    return fits;
}

void ez_peers_remove(ez_peers *peers, uint32_t id) {
    pthread_mutex_lock(&peers->lock);
    peer **at = place(peers, id);
    peer *gone = *at;
    if (gone != NULL) {
        *at = gone->next;
        peers->count--;
    }
    pthread_mutex_unlock(&peers->lock);
    free(gone);
}

size_t ez_peers_count(ez_peers *peers) {
    pthread_mutex_lock(&peers->lock);
    size_t count = peers->count;
    pthread_mutex_unlock(&peers->lock);
    return count;
}

bool ez_peers_begin(ez_peers *peers, uint32_t id) {
    pthread_mutex_lock(&peers->lock);
    peer *known = *place(peers, id);
    bool may = known == NULL || known->in_flight < peers->max_in_flight;
    if (may && known != NULL) {
        known->in_flight++;
    }
    pthread_mutex_unlock(&peers->lock);
    return may;
}

void ez_peers_end(ez_peers *peers, uint32_t id) {
    pthread_mutex_lock(&peers->lock);
    peer *known = *place(peers, id);
    if (known != NULL && known->in_flight > 0) {
        known->in_flight--;
    }
    pthread_mutex_unlock(&peers->lock);
}

void ez_peers_address(ez_peers *peers, uint32_t id, char out[EZ_REMOTE_MAX]) {
    pthread_mutex_lock(&peers->lock);
    const peer *known = *place(peers, id);
    snprintf(out, EZ_REMOTE_MAX, "%s", known != NULL ? known->address : "");
    pthread_mutex_unlock(&peers->lock);
}
