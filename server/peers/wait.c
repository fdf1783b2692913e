// SPDX-License-Identifier: Apache-2.0
//
// Waiting for the data planes of all servers: ours by the fleet, the others' by a call to each, all at once; what they
// answer is added up. A wait belongs to the list until its caller was told, and is freed when nobody holds it any more:
// who begins it, the list, the fleet, each call under way.
//
// The awkward cases. A server that does not answer is asked again until it does or is known to be gone; where the
// deadline comes first, its data planes, as many as it last said are live, count as missing: at least one where it
// never said, though the store hears it. And one that is gone: its data planes may have come to us after ours were
// counted, so ours are waited for once more.
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "server/peers/inside.h"

#define WAITS_MAX    EZ_FLEET_WAITERS_MAX
#define ASK_AGAIN_MS 50
#define NS_PER_MS    1000000u

#define owner_of(pointer, member) ((ez_wait *)(void *)((char *)(pointer)-offsetof(ez_wait, member)))

// A call to one peer.
typedef struct asking {
    ez_wait *wait;
    unsigned slot;
} asking;

// How many data planes are live on each of the others: looked up once for all waits that want to know.
typedef struct tally {
    bool is_known;
    uint32_t live[EZ_FLEET_SERVERS_MAX];
} tally;

static void advance(ez_wait *wait);

static uint64_t deadline_ms(const ez_wait *wait) {
    return wait->deadline_ns / NS_PER_MS;
}

typedef enum absence {
    IS_THERE,
    IS_MISSING, // with what it last said is live there
    IS_UNKNOWN, // likewise, but what it said, if anything, is not to be relied on
} absence;

// Locked. What the peers say, added up, and who did not answer.
static void add_up(const ez_wait *wait, uint32_t *planes, uint32_t *of, absence absent[EZ_PEERS_MAX]) {
    for (unsigned i = 0; i < EZ_PEERS_MAX; i++) {
        const ez_peer *peer = &wait->servers->peers[i];
        ask_state state = wait->asked[i].state;
        bool is_missing = (state == ASK_CALLING || state == ASK_FAILED) &&
                          peer->generation == wait->asked[i].generation && !peer->is_lost && !ez_peer_is_replaced(peer);
        bool is_unknown = !peer->has_answered || wait->asked[i].behind > 0;
        absent[i] = !is_missing ? IS_THERE : is_unknown ? IS_UNKNOWN : IS_MISSING;
        if (state == ASK_DONE) {
            *planes += wait->asked[i].planes;
            *of += wait->asked[i].of;
        }
    }
}

// Without the lock.
static uint32_t look_up(ez_servers *servers, tally *known, unsigned slot) {
    if (!known->is_known) {
        ez_fleet_count_servers(servers->options.fleet, known->live);
        known->is_known = true;
    }
    return known->live[slot];
}

static void let_go(ez_wait *wait) {
    pthread_mutex_lock(&wait->servers->lock);
    bool is_last = --wait->holds == 0;
    pthread_mutex_unlock(&wait->servers->lock);
    if (is_last) {
        free(wait);
    }
}

// Locked. Off the list; from here on its caller is ours to tell, once.
static void take_off(ez_wait *wait) {
    wait->is_told = true;
    *wait->previous = wait->next;
    if (wait->next != NULL) {
        wait->next->previous = wait->previous;
    }
    wait->servers->wait_count--;
}

// After take_off, without the lock. Lets go of the list's hold; the caller has another.
static void tell(ez_wait *wait, tally *known) {
    ez_servers *servers = wait->servers;
    absence absent[EZ_PEERS_MAX];
    uint32_t planes = 0, of = 0;
    pthread_mutex_lock(&servers->lock);
    bool has_local = wait->is_local_done;
    add_up(wait, &planes, &of, absent);
    if (has_local) {
        planes += wait->local.planes;
        of += wait->local.of;
    }
    pthread_mutex_unlock(&servers->lock);
    for (unsigned i = 0; i < EZ_PEERS_MAX; i++) {
        uint32_t missing = absent[i] != IS_THERE ? look_up(servers, known, i) : 0;
        of += missing == 0 && absent[i] == IS_UNKNOWN ? 1 : missing;
    }
    if (!has_local) { // the fleet has not been asked, or is about to say so
        uint32_t our_planes, our_of;
        ez_fleet_reached(servers->options.fleet, wait->revision, &our_planes, &our_of);
        planes += our_planes;
        of += our_of;
    }
    wait->outer->planes = planes;
    wait->outer->of = of;
    wait->outer->done(wait->outer);
    let_go(wait);
}

static void on_local(ez_waiter *waiter) {
    ez_wait *wait = owner_of(waiter, local);
    pthread_mutex_lock(&wait->servers->lock);
    wait->is_local_done = true;
    pthread_mutex_unlock(&wait->servers->lock);
    advance(wait);
    let_go(wait);
}

// Holds the wait until the fleet is done.
static void wait_here(ez_wait *wait) {
    wait->local = (ez_waiter){.revision = wait->revision, .deadline_ns = wait->deadline_ns, .done = on_local};
    if (ez_fleet_wait(wait->servers->options.fleet, &wait->local, NULL) != EZ_OK) {
        ez_fleet_reached(wait->servers->options.fleet, wait->revision, &wait->local.planes, &wait->local.of);
        on_local(&wait->local);
    }
}

// Locked.
static bool are_peers_done(const ez_wait *wait) {
    for (unsigned i = 0; i < EZ_PEERS_MAX; i++) {
        if (wait->asked[i].state == ASK_CALLING || wait->asked[i].state == ASK_FAILED) {
            return false;
        }
    }
    return true;
}

// Something came: tells the caller where all is done, or waits for ours once more. The caller holds the wait.
static void advance(ez_wait *wait) {
    ez_servers *servers = wait->servers;
    bool tells = false, waits = false;
    pthread_mutex_lock(&servers->lock);
    if (!wait->is_told && wait->is_local_done && are_peers_done(wait)) {
        waits = wait->again && !servers->is_stopping && ez_clock_mono_ns() < wait->deadline_ns;
        tells = !waits;
        wait->again = false;
        if (waits) {
            wait->is_local_done = false;
            wait->holds++;
        } else {
            take_off(wait);
        }
    }
    pthread_mutex_unlock(&servers->lock);
    if (waits) {
        wait_here(wait);
    } else if (tells) {
        tell(wait, &(tally){0}); // nothing is missing
    }
}

// ---- Asking a peer

static void failed(ez_wait *wait, unsigned slot, bool is_behind) {
    pthread_mutex_lock(&wait->servers->lock);
    unsigned behind = wait->asked[slot].behind;
    wait->asked[slot].state = ASK_FAILED;
    wait->asked[slot].behind += is_behind ? 1 : 0;
    wait->asked[slot].retry_ms = ez_clock_mono_ms() + ((uint64_t)ASK_AGAIN_MS << (behind < 4 ? behind : 4));
    pthread_mutex_unlock(&wait->servers->lock);
}

static void on_answer(void *user, const ez_call_result *result) {
    asking *ask = user;
    ez_wait *wait = ask->wait;
    bool has_answered = result->status == EZ_OK && result->info->has_applied;
    // Where no data plane is live there it answers at once, also before it has read of the revision: one that comes to
    // it then would be given what was before.
    bool is_behind = has_answered && result->info->revision < wait->revision;
    if (has_answered && !is_behind) {
        pthread_mutex_lock(&wait->servers->lock);
        wait->asked[ask->slot].planes = result->info->applied_planes;
        wait->asked[ask->slot].of = result->info->applied_of;
        wait->asked[ask->slot].state = ASK_DONE;
        pthread_mutex_unlock(&wait->servers->lock);
    } else {
        failed(wait, ask->slot, is_behind);
    }
    free(ask);
    advance(wait);
    let_go(wait);
}

// Locked. Whether there is time to call a peer; then the wait is held for the call.
static ez_client *begin_call(ez_wait *wait, unsigned slot, uint64_t now_ms) {
    ez_peer *peer = &wait->servers->peers[slot];
    // Before it answered, or where it is gone, another one may be at its address, which is asked on its own account.
    bool may_call = peer->has_answered && !peer->is_gone && now_ms < deadline_ms(wait);
    ez_client *client = may_call ? ez_peer_take(peer) : NULL;
    wait->asked[slot].state = client != NULL ? ASK_CALLING : ASK_FAILED;
    wait->asked[slot].retry_ms = now_ms + ASK_AGAIN_MS;
    wait->holds += client != NULL;
    return client;
}

// After begin_call, without the lock.
static void call(ez_wait *wait, unsigned slot, ez_client *client, uint64_t now_ms) {
    static const char name[] = "ez.v1.Peers/WaitApplied";
    const ez_call_options options = {.timeout_ms = (uint32_t)(deadline_ms(wait) - now_ms), .max_retries = -1};
    Ez__V1__Revision revision = EZ__V1__REVISION__INIT;
    Ez__V1__WaitPeerRequest request = EZ__V1__WAIT_PEER_REQUEST__INIT;
    revision.epoch = ez_feed_head(wait->servers->options.feed).epoch;
    revision.n = wait->revision;
    request.revision = &revision;
    ez_error error = EZ_ERROR_INIT;
    asking *ask = malloc(sizeof *ask);
    if (ask != NULL) {
        *ask = (asking){wait, slot};
    }
    if (ask == NULL || ez_client_start(client, ez_method_find(name, sizeof name - 1), &request.base, &options,
                                       on_answer, ask, &error) != EZ_OK) {
        free(ask);
        failed(wait, slot, false);
        let_go(wait);
    }
    ez_peer_put(&wait->servers->peers[slot]);
}

// ---- Beginning and ending

// Locked. Asks whoever is there; returns how many.
static unsigned choose(ez_wait *wait, ez_client *clients[EZ_PEERS_MAX], uint64_t now_ms) {
    unsigned count = 0;
    for (unsigned i = 0; i < EZ_PEERS_MAX; i++) {
        const ez_peer *peer = &wait->servers->peers[i];
        clients[i] = NULL;
        bool is_there = (peer->state == PEER_ON || peer->state == PEER_WANTED) && !peer->is_self && !peer->is_lost &&
                        !ez_peer_is_replaced(peer) && (peer->has_answered || ez_peer_is_in_store(peer, now_ms));
        if (is_there) {
            wait->asked[i].generation = peer->generation;
            clients[i] = begin_call(wait, i, now_ms);
            count++;
        }
    }
    return count;
}

ez_status ez_servers_wait(void *user, ez_waiter *waiter, ez_error *error) {
    ez_servers *servers = user;
    ez_client *clients[EZ_PEERS_MAX] = {0};
    uint64_t now_ms = ez_clock_mono_ms();
    ez_wait *wait = calloc(1, sizeof *wait);
    if (wait == NULL) {
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory to wait for data planes");
    }
    wait->servers = servers;
    wait->outer = waiter;
    wait->revision = waiter->revision;
    wait->deadline_ns = waiter->deadline_ns;
    pthread_mutex_lock(&servers->lock);
    bool is_full = servers->wait_count >= WAITS_MAX;
    bool is_alone = servers->is_stopping || (!is_full && choose(wait, clients, now_ms) == 0);
    if (!is_full && !is_alone) {
        wait->holds += 3; // us, the fleet, the list
        wait->next = servers->waits;
        wait->previous = &servers->waits;
        if (servers->waits != NULL) {
            servers->waits->previous = &wait->next;
        }
        servers->waits = wait;
        servers->wait_count++;
    }
    pthread_mutex_unlock(&servers->lock);
    if (is_full || is_alone) {
        free(wait);
        return is_alone ? ez_fleet_wait(servers->options.fleet, waiter, error)
                        : ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "TOO_MANY_WAITERS",
                                       "%u calls wait for data planes, as many as may: call without wait", WAITS_MAX);
    }
    for (unsigned i = 0; i < EZ_PEERS_MAX; i++) {
        if (clients[i] != NULL) {
            call(wait, i, clients[i], now_ms);
        }
    }
    wait_here(wait);
    let_go(wait);
    return EZ_OK;
}

// Locked. A peer that is gone has no say, nor one that does not answer and of whose data planes none is left there; but
// one that answers and is behind may be given some.
static bool has_left(const ez_wait *wait, unsigned slot, bool has_planes, uint64_t now_ms) {
    const ez_peer *peer = &wait->servers->peers[slot];
    bool is_known = peer->has_answered ? wait->asked[slot].behind == 0 : !ez_peer_is_in_store(peer, now_ms);
    return peer->generation != wait->asked[slot].generation || peer->is_lost || ez_peer_is_replaced(peer) ||
           (!has_planes && is_known);
}

static bool has_failed(const ez_wait *wait, unsigned slot) {
    pthread_mutex_lock(&wait->servers->lock);
    bool has = wait->asked[slot].state == ASK_FAILED;
    pthread_mutex_unlock(&wait->servers->lock);
    return has;
}

// What is due for one wait, held by the caller.
static void tick(ez_wait *wait, uint64_t now_ms, tally *known) {
    ez_servers *servers = wait->servers;
    for (unsigned i = 0; i < EZ_PEERS_MAX; i++) {
        if (!has_failed(wait, i)) {
            continue;
        }
        ez_client *client = NULL;
        bool has_planes = look_up(servers, known, i) > 0;
        pthread_mutex_lock(&servers->lock);
        if (!wait->is_told && wait->asked[i].state == ASK_FAILED) {
            if (has_left(wait, i, has_planes, now_ms)) {
                wait->asked[i].state = ASK_NONE;
                wait->again = true;
            } else if (now_ms >= wait->asked[i].retry_ms) {
                client = begin_call(wait, i, now_ms);
            }
        }
        pthread_mutex_unlock(&servers->lock);
        if (client != NULL) {
            call(wait, i, client, now_ms);
        }
    }
    advance(wait);
    pthread_mutex_lock(&servers->lock);
    bool is_late = !wait->is_told && (now_ms >= deadline_ms(wait) || servers->is_stopping);
    if (is_late) {
        take_off(wait);
    }
    pthread_mutex_unlock(&servers->lock);
    if (is_late) {
        tell(wait, known);
    }
}

void ez_wait_tick(ez_servers *servers, uint64_t now_ms) {
    tally known = {0};
    ez_wait *held[64];
    size_t count;
    ez_wait *after = NULL;
    do { // a few at a time: each is held while it is looked at
        count = 0;
        pthread_mutex_lock(&servers->lock);
        ez_wait *at = after != NULL && !after->is_told ? after->next : servers->waits;
        bool ends = after != NULL && after->is_told; // the list moved on below us: the rest comes with the next tick
        for (; !ends && at != NULL && count < sizeof held / sizeof held[0]; at = at->next) {
            at->holds++;
            held[count++] = at;
        }
        pthread_mutex_unlock(&servers->lock);
        if (after != NULL) {
            let_go(after);
        }
        for (size_t i = 0; i < count; i++) {
            tick(held[i], now_ms, &known);
            if (i + 1 < count) {
                let_go(held[i]);
            }
        }
        after = count > 0 ? held[count - 1] : NULL;
    } while (after != NULL);
}

void ez_wait_stop(ez_servers *servers) {
    tally known = {0};
    for (;;) {
        pthread_mutex_lock(&servers->lock);
        ez_wait *wait = servers->waits;
        if (wait != NULL) {
            wait->holds++;
            take_off(wait);
        }
        pthread_mutex_unlock(&servers->lock);
        if (wait == NULL) {
            return;
        }
        tell(wait, &known);
        let_go(wait);
    }
}
