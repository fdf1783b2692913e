// SPDX-License-Identifier: Apache-2.0
//
// A chained hash by pipe id under one lock. nng's pipe ids are random enough to be their own hash.
//
// The awkward cases. A call may end after its peer went away; ends of unknown peers are ignored, and since ids are not
// given again soon, no other peer is credited with them. A connection that is closed just while the kernel takes a part
// of an answer: nng 1.x then waits for ever for that answer's end, and with it for the end of every connection that is
// closed later. So one that does not read is not closed at once, while its buffers may still be filling, but when it
// has stood still for a while.
#include "server/rpc/peers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define BUCKETS 4096u

typedef struct peer {
    struct peer *next;
    uint32_t id;
    unsigned in_flight;
    uint64_t doomed_ms; // 0: it is not
    bool is_closed;
    char address[EZ_REMOTE_MAX];
} peer;

struct ez_peers {
    size_t max_peers;
    unsigned max_in_flight;
    atomic_size_t doomed; // written under the lock; who finds 0 need not take it
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
        if (gone->doomed_ms != 0) {
            peers->doomed--;
        }
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

bool ez_peers_doom(ez_peers *peers, uint32_t id, uint64_t now_ms) {
    pthread_mutex_lock(&peers->lock);
    peer *known = *place(peers, id);
    bool is_new = known != NULL && known->doomed_ms == 0;
    if (is_new) {
        known->doomed_ms = now_ms;
        peers->doomed++;
    }
    pthread_mutex_unlock(&peers->lock);
    return is_new;
}

bool ez_peers_is_doomed(ez_peers *peers, uint32_t id) {
    if (atomic_load_explicit(&peers->doomed, memory_order_relaxed) == 0) {
        return false;
    }
    pthread_mutex_lock(&peers->lock);
    const peer *known = *place(peers, id);
    bool is_doomed = known != NULL && known->doomed_ms != 0;
    pthread_mutex_unlock(&peers->lock);
    return is_doomed;
}

size_t ez_peers_due(ez_peers *peers, uint64_t now_ms, uint32_t *ids, size_t max, size_t *stuck) {
    size_t due = 0;
    *stuck = 0;
    if (atomic_load_explicit(&peers->doomed, memory_order_relaxed) == 0) {
        return 0;
    }
    pthread_mutex_lock(&peers->lock);
    for (unsigned i = 0; i < BUCKETS; i++) {
        for (peer *one = peers->buckets[i]; one != NULL; one = one->next) {
            uint64_t since = now_ms - one->doomed_ms;
            if (one->doomed_ms == 0) {
                continue;
            }
            if (one->is_closed) {
                *stuck += since >= EZ_PEERS_GRACE_MS + EZ_PEERS_STUCK_MS;
            } else if (since >= EZ_PEERS_GRACE_MS && due < max) {
                one->is_closed = true;
                ids[due++] = one->id;
            }
        }
    }
    pthread_mutex_unlock(&peers->lock);
    return due;
}
