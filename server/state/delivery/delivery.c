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

#include "proto/crypto/hash.h"
#include "proto/crypto/random.h"
#include "proto/crypto/seal.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"

#define ATTEMPT_MS  10000
#define REPLY_BYTES 4096 // nothing is made of it
#define OWN_FIELDS  4
#define KIND_MAX    32

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
    char *url, *content_type, *secret; // secret: NULL where it is not signed
    uint8_t *body;
    size_t body_len;
    char *names[EZ_DELIVERY_HEADERS], *values[EZ_DELIVERY_HEADERS];
    size_t header_count;
} entry;

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

static void wipe_and_free(char *text) {
    if (text != NULL) {
        ez_wipe(text, strlen(text));
    }
    free(text);
}

static void free_entry(entry *at) {
    if (at == NULL) {
        return;
    }
    for (size_t i = 0; i < at->header_count; i++) {
        free(at->names[i]);
        wipe_and_free(at->values[i]);
    }
    wipe_and_free(at->url); // Slack's, for one, is a secret
    free(at->content_type);
    wipe_and_free(at->secret);
    free(at->body);
    free(at);
}

static bool copy_message(entry *at, const ez_delivery_message *message) {
    at->url = strdup(message->url);
    at->content_type = strdup(message->content_type);
    at->secret = message->secret != NULL ? strdup(message->secret) : NULL;
    at->body = malloc(message->body_len + 1);
    at->body_len = message->body_len;
    bool ok = at->url != NULL && at->content_type != NULL && at->body != NULL &&
              (at->secret != NULL || message->secret == NULL);
    for (size_t i = 0; ok && i < message->header_count; i++) {
        at->names[i] = strdup(message->headers[i].name);
        at->values[i] = strdup(message->headers[i].value);
        at->header_count = i + 1;
        ok = at->names[i] != NULL && at->values[i] != NULL;
    }
    if (ok && message->body_len > 0) {
        memcpy(at->body, message->body, message->body_len);
    }
    return ok;
}

static entry *make_entry(ez_deliverer *owner, const ez_delivery_message *message) {
    entry *at = calloc(1, sizeof *at);
    if (at == NULL || !copy_message(at, message)) {
        free_entry(at);
        return NULL;
    }
    at->owner = owner;
    at->version = 1;
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

static void settle(entry *at, ez_delivery_status status, const char *error) {
    ez_deliverer *owner = at->owner;
    owner->waiting -= at->state == WAITING;
    owner->flying -= at->state == FLYING;
    at->state = SETTLED;
    at->row.status = status;
    at->row.finished_ns = ez_clock_wall_ns();
    snprintf(at->error, sizeof at->error, "%s", error);
    at->version++;
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

static void make_room(ez_deliverer *deliverer) {
    if (deliverer->waiting >= EZ_DELIVERY_WAITING_MAX) {
        entry *dropped = oldest(deliverer, WAITING);
        settle(dropped, EZ_DELIVERY_FAILED, "dropped: too many messages are waiting, and this was the oldest");
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
    char kind[KIND_MAX];
    pthread_mutex_lock(&owner->lock);
    int64_t id = at->row.id;
    int attempts = ++at->row.attempts;
    bool has_failed = false;
    memcpy(kind, at->kind, sizeof kind);
    at->row.http_status = http_status;
    if (http_status >= 200 && http_status < 300) {
        settle(at, EZ_DELIVERY_DELIVERED, "");
    } else if (owner->stopping || attempts >= EZ_DELIVERY_ATTEMPTS || !heals(status, http_status)) {
        settle(at, EZ_DELIVERY_FAILED, why);
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
        ez_log_warn("a message could not be delivered", "kind", kind, "delivery", EZ_LOG_INT(id), "attempts",
                    EZ_LOG_INT(attempts), "error", why);
    }
}

static void landed(void *user, const ez_outbound_reply *reply) {
    entry *at = user;
    ez_deliverer *owner = at->owner; // at may be gone after conclude
    conclude(at, reply->status, reply->http_status, reply->error != NULL ? reply->error->message : "");
    ez_delivery_tick(owner, ez_clock_mono_ms());
}

// "sha256=" and 64 digits, over timestamp "." body.
static bool sign(const entry *at, const char *timestamp, char *out) {
    uint8_t mac[EZ_SHA256_LEN];
    ez_buf signed_text;
    size_t len = strlen(timestamp) + 1 + at->body_len;
    ez_buf_init(&signed_text, len);
    bool ok = ez_buf_reserve(&signed_text, len) == EZ_OK && ez_buf_puts(&signed_text, timestamp) == EZ_OK &&
              ez_buf_putc(&signed_text, '.') == EZ_OK && ez_buf_append(&signed_text, at->body, at->body_len) == EZ_OK;
    if (ok) {
        ez_hmac_sha256(at->secret, strlen(at->secret), signed_text.data, signed_text.len, mac);
        memcpy(out, "sha256=", 7);
        ez_hex(mac, sizeof mac, out + 7);
    }
    ez_buf_fini(&signed_text);
    return ok;
}

// at flies.
static ez_status attempt(entry *at, ez_error *error) {
    char id[24], timestamp[24], signature[7 + 2 * EZ_SHA256_LEN + 1];
    snprintf(id, sizeof id, "%lld", (long long)at->row.id);
    snprintf(timestamp, sizeof timestamp, "%lld", (long long)(ez_clock_wall_ns() / 1000000000));
    ez_outbound_field fields[OWN_FIELDS + EZ_DELIVERY_HEADERS] = {
        {"Content-Type", at->content_type}, {"X-EZ-Delivery", id}, {"X-EZ-Timestamp", timestamp}};
    size_t count = 3;
    if (at->secret != NULL) {
        if (!sign(at, timestamp, signature)) {
            return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory to sign a message");
        }
        fields[count++] = (ez_outbound_field){"X-EZ-Signature", signature};
    }
    for (size_t i = 0; i < at->header_count; i++) {
        fields[count++] = (ez_outbound_field){at->names[i], at->values[i]};
    }
    ez_outbound_request request = {.method = "POST",
                                   .url = at->url,
                                   .headers = fields,
                                   .header_count = count,
                                   .body = at->body,
                                   .body_len = at->body_len,
                                   .timeout_ms = ATTEMPT_MS,
                                   .max_reply = REPLY_BYTES,
                                   .done = landed,
                                   .user = at};
    return ez_outbound_submit(at->owner->outbound, &request, error);
}

static entry *take_due(ez_deliverer *deliverer, uint64_t now_ms) {
    entry *due = NULL;
    pthread_mutex_lock(&deliverer->lock);
    if (!deliverer->stopping && deliverer->flying < EZ_DELIVERY_FLYING_MAX) {
        for (due = deliverer->first; due != NULL && (due->state != WAITING || due->due_ms > now_ms);) {
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
        ez_status status = attempt(at, &error);
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
    pthread_mutex_lock(&deliverer->lock);
    bool stopping = deliverer->stopping;
    if (!stopping) {
        make_room(deliverer);
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
    ez_delivery_tick(deliverer, ez_clock_mono_ms());
    return EZ_OK;
}

void ez_delivery_stop(ez_deliverer *deliverer) {
    pthread_mutex_lock(&deliverer->lock);
    deliverer->stopping = true;
    for (entry *at; (at = oldest(deliverer, WAITING)) != NULL;) {
        char why[EZ_ERROR_MESSAGE_MAX];
        const char *last = at->error[0] != '\0' ? "; the last attempt: " : "";
        snprintf(why, sizeof why, "the server stopped before it was delivered%s%.300s", last, at->error);
        settle(at, EZ_DELIVERY_FAILED, why);
    }
    pthread_mutex_unlock(&deliverer->lock);
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
        out->row = at->row;
        out->version = at->version;
        memcpy(out->kind, at->kind, sizeof out->kind);
        memcpy(out->url, at->shown_url, sizeof out->url);
        memcpy(out->error, at->error, sizeof out->error);
        out->row.kind = out->kind;
        out->row.url = out->url;
        out->row.error = out->error;
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
