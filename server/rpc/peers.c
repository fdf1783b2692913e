// SPDX-License-Identifier: Apache-2.0
//
// A chained hash by pipe id under one lock. nng's pipe ids are random enough to be their own hash.
//
// The awkward cases. A call may end after its peer went away; ends of unknown peers are ignored, and since ids are not
// given again soon, no other peer is credited with them. A connection that is closed just while the kernel takes a part
// of an answer: nng 1.x then waits for ever for that answer's end, and with it for the end of every connection that is
// closed later. So one that does not read is not closed at once, while its buffers may still be filling, but when no
// answer has left for a while: most likely it stands still then, though one large answer may trickle.
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
    bool is_doomed;
    uint64_t still_ms;  // since when, as far as is known; of a doomed one
    uint64_t closed_ms; // 0: it is not
    struct peer *next_doomed;
    char address[EZ_REMOTE_MAX];
} peer;

struct ez_peers {
    size_t max_peers;
    unsigned max_in_flight;
    atomic_bool has_doomed; // written under the lock; who finds false need not take it
    pthread_mutex_t lock;   // guards all below
    size_t count;
    peer *doomed;
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

static void forget_doomed(ez_peers *peers, const peer *gone) {
    for (peer **at = &peers->doomed; *at != NULL; at = &(*at)->next_doomed) {
        if (*at == gone) {
            *at = gone->next_doomed;
            break;
        }
    }
    atomic_store(&peers->has_doomed, peers->doomed != NULL);
}

void ez_peers_remove(ez_peers *peers, uint32_t id) {
    pthread_mutex_lock(&peers->lock);
    peer **at = place(peers, id);
    peer *gone = *at;
    if (gone != NULL) {
        *at = gone->next;
        peers->count--;
        forget_doomed(peers, gone);
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
    bool is_new = known != NULL && !known->is_doomed;
    if (is_new) {
        known->is_doomed = true;
        known->still_ms = now_ms;
        known->next_doomed = peers->doomed;
        peers->doomed = known;
        atomic_store(&peers->has_doomed, true);
    }
    pthread_mutex_unlock(&peers->lock);
    return is_new;
}

bool ez_peers_is_doomed(ez_peers *peers, uint32_t id) {
    if (!atomic_load_explicit(&peers->has_doomed, memory_order_relaxed)) {
        return false;
    }
    pthread_mutex_lock(&peers->lock);
    const peer *known = *place(peers, id);
    bool is_doomed = known != NULL && known->is_doomed;
    pthread_mutex_unlock(&peers->lock);
    return is_doomed;
}

void ez_peers_moved(ez_peers *peers, uint32_t id, uint64_t now_ms) {
    if (!atomic_load_explicit(&peers->has_doomed, memory_order_relaxed)) {
        return;
    }
    pthread_mutex_lock(&peers->lock);
    peer *known = *place(peers, id);
    if (known != NULL) {
        known->still_ms = now_ms;
    }
    pthread_mutex_unlock(&peers->lock);
}

// Since another thread may have read the clock later.
static bool has_passed(uint64_t now_ms, uint64_t since_ms, uint64_t ms) {
    return now_ms >= since_ms && now_ms - since_ms >= ms;
}

size_t ez_peers_due(ez_peers *peers, uint64_t now_ms, uint32_t *ids, size_t max, size_t *stuck) {
    size_t due = 0;
    *stuck = 0;
    if (!atomic_load_explicit(&peers->has_doomed, memory_order_relaxed)) {
        return 0;
    }
    pthread_mutex_lock(&peers->lock);
    for (peer *one = peers->doomed; one != NULL; one = one->next_doomed) {
        if (one->closed_ms != 0) {
            *stuck += has_passed(now_ms, one->closed_ms, EZ_PEERS_STUCK_MS);
        } else if (due < max && has_passed(now_ms, one->still_ms, EZ_PEERS_GRACE_MS)) {
            one->closed_ms = now_ms;
            ids[due++] = one->id;
        }
    }
    pthread_mutex_unlock(&peers->lock);
    return due;
}
