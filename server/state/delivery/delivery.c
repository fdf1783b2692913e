// SPDX-License-Identifier: Apache-2.0
//
// The list of messages, oldest first, and what moves each of them: waiting → flying → waiting … → settled. An entry
// that flies is outbound's user pointer, so only settled ones are ever freed, once the store has them.
//
// The awkward case is a store that does not answer for long: outcomes pile up. Past EZ_DELIVERY_KEPT_MAX the oldest
// settled one is forgotten, with a line in the log; sending goes on.
#include "server/state/delivery/delivery.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/crypto/random.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/state/delivery/parcel.h"

#define KIND_MAX EZ_DELIVERY_KIND_MAX
#define AWAIT_MS 10 // between two looks

typedef enum state { WAITING, FLYING, SETTLED } state;

typedef struct entry {
    struct entry *next;
    ez_deliverer *owner;
    state state;
    uint64_t due_ms;  // WAITING: monotonic
    unsigned version; // goes up with each change of row
    unsigned stored;  // the version that the store has
    ez_delivery row;  // its texts are below
    char kind[KIND_MAX], shown_url[EZ_OUTBOUND_URL_MAX], error[EZ_ERROR_MESSAGE_MAX];
    ez_parcel parcel;
    int attempts_max;
    ez_delivery_settled_fn *settled;
    void *settled_user;
} entry;

// What is to be told once the lock is let go; the entry may be gone by then.
typedef struct outcome {
    ez_delivery_settled_fn *settled; // NULL: nothing
    void *user;
    bool can_heal;
    ez_delivery row;
    char kind[KIND_MAX], url[EZ_OUTBOUND_URL_MAX], error[EZ_ERROR_MESSAGE_MAX];
} outcome;

struct ez_deliverer {
    ez_outbound *outbound;
    uint32_t first_ms;

    pthread_mutex_t lock; // guards what follows
    entry *first, **last;
    size_t count, waiting, flying;
    int64_t last_id;
    bool stopping, is_store_failing;
};

// ---- Entries

static void free_entry(entry *at) {
    ez_parcel_fini(&at->parcel);
    free(at);
}

static entry *make_entry(ez_deliverer *owner, const ez_delivery_message *message) {
    entry *at = calloc(1, sizeof *at);
    if (at == NULL) {
        return NULL;
    }
    if (!ez_parcel_fill(&at->parcel, message)) {
        free_entry(at);
        return NULL;
    }
    at->owner = owner;
    at->version = 1;
    at->attempts_max = message->attempts > 0 ? message->attempts : EZ_DELIVERY_ATTEMPTS;
    at->settled = message->settled;
    at->settled_user = message->settled_user;
    snprintf(at->kind, sizeof at->kind, "%s", message->kind);
    ez_outbound_show_url(message->url, at->shown_url, sizeof at->shown_url);
    at->row = (ez_delivery){.created_ns = ez_clock_wall_ns(),
                            .kind = at->kind,
                            .url = at->shown_url,
                            .error = at->error,
                            .status = EZ_DELIVERY_WAITING};
    return at;
}

// ---- Under the lock

static void copy_row(const entry *at, ez_delivery *row, char *kind, char *url, char *error) {
    *row = at->row;
    memcpy(kind, at->kind, sizeof at->kind);
    memcpy(url, at->shown_url, sizeof at->shown_url);
    memcpy(error, at->error, sizeof at->error);
    row->kind = kind;
    row->url = url;
    row->error = error;
}

static void prepare(const entry *at, bool can_heal, outcome *out) {
    out->settled = at->settled;
    out->user = at->settled_user;
    out->can_heal = can_heal;
    copy_row(at, &out->row, out->kind, out->url, out->error);
}

static void tell(const outcome *what) {
    if (what->settled != NULL) {
        what->settled(what->user, &what->row, what->can_heal);
    }
}

static void settle(entry *at, ez_delivery_status status, const char *error) {
    ez_deliverer *owner = at->owner;
    owner->waiting -= at->state == WAITING;
    owner->flying -= at->state == FLYING;
    at->state = SETTLED;
    at->row.status = status;
    at->row.finished_ns = ez_clock_wall_ns();
    snprintf(at->error, sizeof at->error, "%s", error);
    at->version++;
    ez_parcel_fini(&at->parcel); // the log row is all that is still wanted
}

static void unlink_entry(ez_deliverer *deliverer, entry *gone) {
    entry **at = &deliverer->first;
    while (*at != gone) {
        at = &(*at)->next;
    }
    *at = gone->next;
    deliverer->last = gone->next != NULL ? deliverer->last : at;
    deliverer->count--;
}

static entry *oldest(const ez_deliverer *deliverer, state wanted) {
    entry *at = deliverer->first;
    while (at != NULL && at->state != wanted) {
        at = at->next;
    }
    return at;
}

static size_t count_lane(const ez_deliverer *deliverer, const char *kind, state wanted) {
    size_t count = 0;
    for (const entry *at = deliverer->first; at != NULL; at = at->next) {
        count += at->state == wanted && strcmp(at->kind, kind) == 0;
    }
    return count;
}

// The oldest that waits of the fullest lane.
static entry *least_missed(const ez_deliverer *deliverer) {
    entry *found = NULL;
    size_t most = 0;
    for (entry *at = deliverer->first; at != NULL; at = at->next) {
        size_t count = at->state == WAITING ? count_lane(deliverer, at->kind, WAITING) : 0;
        if (count > most) {
            found = at;
            most = count;
        }
    }
    return found;
}

static void make_room(ez_deliverer *deliverer, outcome *told) {
    if (deliverer->waiting >= EZ_DELIVERY_WAITING_MAX) {
        entry *dropped = least_missed(deliverer);
        settle(dropped, EZ_DELIVERY_FAILED, "dropped: too many messages are waiting, and this was the oldest");
        prepare(dropped, true, told);
        ez_log_warn("a message was dropped: too many are waiting", "kind", dropped->kind, "url", dropped->shown_url);
    }
    entry *forgotten = deliverer->count >= EZ_DELIVERY_KEPT_MAX ? oldest(deliverer, SETTLED) : NULL;
    if (forgotten != NULL) { // there is one: not all of them wait or fly
        ez_log_warn("a message's outcome is not in the delivery log: the store does not take it", "kind",
                    forgotten->kind, "delivery", EZ_LOG_INT(forgotten->row.id));
        unlink_entry(deliverer, forgotten);
        free_entry(forgotten);
    }
}

static void append(ez_deliverer *deliverer, entry *at) {
    at->row.id = at->row.created_ns > deliverer->last_id ? at->row.created_ns : deliverer->last_id + 1;
    deliverer->last_id = at->row.id;
    *deliverer->last = at;
    deliverer->last = &at->next;
    deliverer->count++;
    deliverer->waiting++;
}

// Three times as long each time, give or take a fifth, so that receivers that failed together are not asked together.
static uint64_t pause_ms(const ez_deliverer *deliverer, int attempts) {
    uint64_t pause = deliverer->first_ms;
    for (int i = 1; i < attempts; i++) {
        pause *= 3;
    }
    uint32_t random = 0;
    if (ez_random(&random, sizeof random) != EZ_OK) {
        random = 0;
    }
    return pause * 4 / 5 + random % (pause * 2 / 5 + 1);
}

// ---- An attempt

static bool heals(ez_status status, int http_status) {
    if (http_status != 0) {
        return http_status >= 500 || http_status == 408 || http_status == 425 || http_status == 429;
    }
    return status != EZ_INVALID_ARGUMENT && status != EZ_PERMISSION_DENIED && status != EZ_CANCELLED;
}

// The status line decides, also where the body behind it was cut or broke off: the receiver has the message.
static void conclude(entry *at, ez_status status, int http_status, const char *error) {
    ez_deliverer *owner = at->owner;
    char why[EZ_ERROR_MESSAGE_MAX];
    const char *hint = http_status >= 300 && http_status < 400 ? ": redirects are not followed" : "";
    snprintf(why, sizeof why, "%s", error);
    if (http_status != 0) {
        snprintf(why, sizeof why, "the receiver answered HTTP %d%s", http_status, hint);
    }
    outcome told = {.settled = NULL};
    pthread_mutex_lock(&owner->lock);
    int64_t id = at->row.id;
    int attempts = ++at->row.attempts;
    bool has_failed = false;
    at->row.http_status = http_status;
    if (http_status >= 200 && http_status < 300) {
        settle(at, EZ_DELIVERY_DELIVERED, "");
        prepare(at, false, &told);
    } else if (owner->stopping || attempts >= at->attempts_max || !heals(status, http_status)) {
        settle(at, EZ_DELIVERY_FAILED, why);
        prepare(at, heals(status, http_status), &told);
        has_failed = true;
    } else {
        at->state = WAITING;
        at->due_ms = ez_clock_mono_ms() + pause_ms(owner, attempts);
        snprintf(at->error, sizeof at->error, "%s", why);
        at->version++;
        owner->flying--;
        owner->waiting++;
    }
    pthread_mutex_unlock(&owner->lock); // at may be gone from here on
    if (has_failed) {
        ez_log_warn("a message could not be delivered", "kind", told.kind, "delivery", EZ_LOG_INT(id), "attempts",
                    EZ_LOG_INT(attempts), "error", why);
    }
    tell(&told);
}

static void landed(void *user, const ez_outbound_reply *reply) {
    entry *at = user;
    ez_deliverer *owner = at->owner; // at may be gone after conclude
    conclude(at, reply->status, reply->http_status, reply->error != NULL ? reply->error->message : "");
    ez_delivery_tick(owner, ez_clock_mono_ms());
}

static bool may_fly(const ez_deliverer *deliverer, const entry *at, uint64_t now_ms) {
    return at->state == WAITING && at->due_ms <= now_ms &&
           count_lane(deliverer, at->kind, FLYING) < EZ_DELIVERY_LANE_FLYING;
}

static entry *take_due(ez_deliverer *deliverer, uint64_t now_ms) {
    entry *due = NULL;
    pthread_mutex_lock(&deliverer->lock);
    if (!deliverer->stopping && deliverer->flying < EZ_DELIVERY_FLYING_MAX) {
        for (due = deliverer->first; due != NULL && !may_fly(deliverer, due, now_ms);) {
            due = due->next;
        }
    }
    if (due != NULL) {
        due->state = FLYING;
        deliverer->waiting--;
        deliverer->flying++;
    }
    pthread_mutex_unlock(&deliverer->lock);
    return due;
}

void ez_delivery_tick(ez_deliverer *deliverer, uint64_t now_ms) {
    for (entry *at; (at = take_due(deliverer, now_ms)) != NULL;) {
        ez_error error = EZ_ERROR_INIT;
        ez_status status = ez_parcel_submit(&at->parcel, deliverer->outbound, at->row.id, landed, at, &error);
        if (status != EZ_OK) {
            conclude(at, status, 0, error.message);
        }
    }
}

// ---- Made, fed, ended

ez_status ez_deliverer_create(const ez_deliverer_options *options, ez_deliverer **out, ez_error *error) {
    ez_deliverer *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for deliveries");
    }
    made->outbound = options->outbound;
    made->first_ms = options->first_ms != 0 ? options->first_ms : EZ_DELIVERY_FIRST_MS;
    made->last = &made->first;
    pthread_mutex_init(&made->lock, NULL);
    *out = made;
    return EZ_OK;
}

void ez_deliverer_destroy(ez_deliverer *deliverer) {
    if (deliverer == NULL) {
        return;
    }
    while (deliverer->first != NULL) {
        entry *next = deliverer->first->next;
        free_entry(deliverer->first);
        deliverer->first = next;
    }
    pthread_mutex_destroy(&deliverer->lock);
    free(deliverer);
}

ez_status ez_delivery_send(ez_deliverer *deliverer, const ez_delivery_message *message, int64_t *id, ez_error *error) {
    if (message->secret != NULL && message->secret[0] == '\0') {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "SECRET_EMPTY", "nothing is signed with an empty secret");
    }
    if (message->header_count > EZ_DELIVERY_HEADERS || message->body_len > EZ_OUTBOUND_BODY_MAX) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "REQUEST_INVALID",
                            "a message has at most %d headers and %u bytes", EZ_DELIVERY_HEADERS, EZ_OUTBOUND_BODY_MAX);
    }
    entry *made = make_entry(deliverer, message);
    if (made == NULL) {
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for a message");
    }
    outcome told = {.settled = NULL};
    pthread_mutex_lock(&deliverer->lock);
    bool stopping = deliverer->stopping;
    if (!stopping) {
        make_room(deliverer, &told);
        append(deliverer, made);
        if (id != NULL) {
            *id = made->row.id;
        }
    }
    pthread_mutex_unlock(&deliverer->lock);
    if (stopping) {
        free_entry(made);
        return ez_error_set(error, EZ_UNAVAILABLE, "STOPPING", "the server is stopping");
    }
    tell(&told);
    ez_delivery_tick(deliverer, ez_clock_mono_ms());
    return EZ_OK;
}

bool ez_delivery_withdraw(ez_deliverer *deliverer, int64_t id, const char *why) {
    pthread_mutex_lock(&deliverer->lock);
    entry *at = deliverer->first;
    while (at != NULL && at->row.id != id) {
        at = at->next;
    }
    bool waits = at != NULL && at->state == WAITING;
    if (waits) {
        settle(at, EZ_DELIVERY_FAILED, why);
    }
    pthread_mutex_unlock(&deliverer->lock);
    return waits;
}

void ez_delivery_await(ez_deliverer *deliverer, uint32_t timeout_ms) {
    uint64_t until = ez_clock_mono_ms() + timeout_ms;
    for (;;) {
        pthread_mutex_lock(&deliverer->lock);
        bool flies = deliverer->flying > 0;
        pthread_mutex_unlock(&deliverer->lock);
        if (!flies || ez_clock_mono_ms() >= until) {
            return;
        }
        nanosleep(&(struct timespec){.tv_nsec = AWAIT_MS * 1000000L}, NULL);
    }
}

// False: nothing waits any more.
static bool give_up_one(ez_deliverer *deliverer) {
    outcome told = {.settled = NULL};
    pthread_mutex_lock(&deliverer->lock);
    deliverer->stopping = true;
    entry *at = oldest(deliverer, WAITING);
    if (at != NULL) {
        char why[EZ_ERROR_MESSAGE_MAX];
        const char *last = at->error[0] != '\0' ? "; the last attempt: " : "";
        snprintf(why, sizeof why, "the server stopped before it was delivered%s%.300s", last, at->error);
        settle(at, EZ_DELIVERY_FAILED, why);
        prepare(at, true, &told);
    }
    pthread_mutex_unlock(&deliverer->lock);
    tell(&told);
    return at != NULL;
}

void ez_delivery_stop(ez_deliverer *deliverer) {
    while (give_up_one(deliverer)) {
    }
}

// ---- The log

// A copy of the first row that the store does not have as it is.
typedef struct changed {
    ez_delivery row;
    unsigned version;
    char kind[KIND_MAX], url[EZ_OUTBOUND_URL_MAX], error[EZ_ERROR_MESSAGE_MAX];
} changed;

static bool find_changed(ez_deliverer *deliverer, changed *out) {
    pthread_mutex_lock(&deliverer->lock);
    entry *at = deliverer->first;
    while (at != NULL && at->stored == at->version) {
        at = at->next;
    }
    if (at != NULL) {
        out->version = at->version;
        copy_row(at, &out->row, out->kind, out->url, out->error);
    }
    pthread_mutex_unlock(&deliverer->lock);
    return at != NULL;
}

// Looked up by id: the entry may have been forgotten meanwhile.
static void note_stored(ez_deliverer *deliverer, const changed *written) {
    pthread_mutex_lock(&deliverer->lock);
    entry *at = deliverer->first;
    while (at != NULL && at->row.id != written->row.id) {
        at = at->next;
    }
    if (at != NULL) {
        at->stored = written->version;
        if (at->state == SETTLED && at->stored == at->version) {
            unlink_entry(deliverer, at);
            free_entry(at);
        }
    }
    deliverer->is_store_failing = false;
    pthread_mutex_unlock(&deliverer->lock);
}

static void note_failing(ez_deliverer *deliverer, const ez_error *error) {
    pthread_mutex_lock(&deliverer->lock);
    bool is_new = !deliverer->is_store_failing;
    deliverer->is_store_failing = true;
    pthread_mutex_unlock(&deliverer->lock);
    if (is_new) { // once, not each second
        ez_log_warn("the delivery log can't be written; it is tried again", "error", error->message);
    }
}

bool ez_delivery_drain_to(ez_deliverer *deliverer, ez_delivery_put_fn *put, void *user) {
    changed next;
    for (int i = 0; i < EZ_DELIVERY_DRAIN; i++) {
        if (!find_changed(deliverer, &next)) {
            return false;
        }
        ez_error error = EZ_ERROR_INIT;
        if (put(user, &next.row, &error) != EZ_OK) {
            note_failing(deliverer, &error);
            return false;
        }
        note_stored(deliverer, &next);
    }
    return true;
}

static ez_status put_in_store(void *user, const ez_delivery *row, ez_error *error) {
    return ez_store_put_delivery(user, row, error);
}

bool ez_delivery_drain(ez_deliverer *deliverer, ez_store *store) {
    return ez_delivery_drain_to(deliverer, put_in_store, store);
}

void ez_delivery_shown(ez_delivery *row, int64_t now_ns) {
    if (row->status == EZ_DELIVERY_WAITING && row->created_ns < now_ns - EZ_DELIVERY_SPAN_NS) {
        row->status = EZ_DELIVERY_FAILED;
        row->error = "the server ended before it was delivered";
    }
}
