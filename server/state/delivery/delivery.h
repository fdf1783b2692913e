// SPDX-License-Identifier: Apache-2.0
//
// ez_deliverer: brings messages to webhooks, signed, with repetitions, and keeps a log of them. A message is tried
// EZ_DELIVERY_ATTEMPTS times over about ten minutes: a reply of 2xx ends it well, one that repeating can't heal (other
// 4xx, redirects, an address the guard refuses) ends it, everything else is tried again later. The receiver may get a
// message twice (a reply that was lost): X-EZ-Delivery is the same each time.
//
// Each attempt carries X-EZ-Delivery, X-EZ-Timestamp (unix seconds, of this attempt) and, where there is a secret,
// X-EZ-Signature: sha256=HEX(HMAC-SHA256(secret, timestamp "." body)).
//
// Messages live in memory only. What a stop finds undelivered is marked as failed and says so; what a crash leaves
// behind as waiting is shown as failed once no server can still be at it (ez_delivery_shown).
//
// Messages of one kind are a lane: a receiver that hangs or is away fills its own lane, and others are not held up.
//
// Threads. Send, tick, withdraw: any. Outcomes come on outbound's thread. The log is written by drain, on the thread of
// EZ_STREAM_LOGS. Locking: one mutex guards the list; it is not held while outbound or the store runs. Teardown, in
// this order: ez_outbound_stop, ez_delivery_stop, a last drain, ez_delivery_destroy.
#pragma once

#include "server/platform/outbound/outbound.h"
#include "server/state/store/meter.h"

#define EZ_DELIVERY_WAITING_MAX 100 // messages waiting; for one more the oldest of the fullest lane is dropped
#define EZ_DELIVERY_FLYING_MAX  14  // in flight
#define EZ_DELIVERY_LANE_FLYING 2   // of one lane
#define EZ_DELIVERY_KEPT_MAX    256 // in memory, with outcomes the store has not yet taken
#define EZ_DELIVERY_ATTEMPTS    6
#define EZ_DELIVERY_FIRST_MS    5000 // pause after the first attempt, give or take a fifth; three times as long each time
#define EZ_DELIVERY_SPAN_NS     INT64_C(3600000000000) // nobody is at it for longer, whoever hangs: an hour

typedef struct ez_deliverer ez_deliverer;

// How a message ended; lives until the call returns. can_heal: it failed for want of attempts, room or a running
// server; sent anew, it may arrive. Any thread, no lock held; it must not block. It may come before the send has
// returned.
typedef void ez_delivery_settled_fn(void *user, const ez_delivery *row, bool can_heal);

typedef struct ez_deliverer_options {
    ez_outbound *outbound;
    uint32_t first_ms; // 0: EZ_DELIVERY_FIRST_MS
} ez_deliverer_options;

// What is to be sent; all of it is copied.
typedef struct ez_delivery_message {
    const char *kind; // for the log, and its lane: "error_webhook"; EZ_DELIVERY_KIND_MAX bytes, NUL included
    const char *url;
    const char *content_type;
    const void *body;
    size_t body_len;
    const char *secret; // NULL: not signed; an empty one is refused
    const ez_outbound_field *headers;
    size_t header_count; // beside those above; at most EZ_DELIVERY_HEADERS
    int attempts;        // 0: EZ_DELIVERY_ATTEMPTS
    ez_delivery_settled_fn
        *settled; // NULL: nobody waits. Called once for each message that was taken, but withdrawn ones
    void *settled_user;
} ez_delivery_message;
#define EZ_DELIVERY_HEADERS  8
#define EZ_DELIVERY_KIND_MAX 80

ez_status ez_deliverer_create(const ez_deliverer_options *options, ez_deliverer **out, ez_error *error) EZ_MUST_CHECK;
void ez_deliverer_destroy(ez_deliverer *deliverer); // outbound must have stopped; NULL is fine

// Takes a message and tries it at once where there is room. *id (may be NULL): what X-EZ-Delivery says. What becomes of
// it is in the log, also where the URL is not allowed. INVALID_ARGUMENT (SECRET_EMPTY, REQUEST_INVALID), UNAVAILABLE
// (STOPPING), RESOURCE_EXHAUSTED.
ez_status ez_delivery_send(ez_deliverer *deliverer, const ez_delivery_message *message, int64_t *id,
                           ez_error *error) EZ_MUST_CHECK;
// Ends one that waits, as failed with why. False: it is in flight, or over.
bool ez_delivery_withdraw(ez_deliverer *deliverer, int64_t id, const char *why);
// Begins what is due; each second at least. now_ms: monotonic.
void ez_delivery_tick(ez_deliverer *deliverer, uint64_t now_ms);

// Writes what has changed into the log, at most EZ_DELIVERY_DRAIN rows. True where there is more to write at once;
// where the store fails, the rest is for the next time.
#define EZ_DELIVERY_DRAIN 16
bool ez_delivery_drain(ez_deliverer *deliverer, ez_store *store);
typedef ez_status ez_delivery_put_fn(void *user, const ez_delivery *row, ez_error *error);
bool ez_delivery_drain_to(ez_deliverer *deliverer, ez_delivery_put_fn *put, void *user);

// Waits until nothing is in flight, at most timeout_ms: for the last messages of a server that stops.
void ez_delivery_await(ez_deliverer *deliverer, uint32_t timeout_ms);
// Marks what waits as failed; nothing is taken or begun after.
void ez_delivery_stop(ez_deliverer *deliverer);

// A row of the log as it may be shown: one that waits and is older than EZ_DELIVERY_SPAN_NS was lost with its server.
void ez_delivery_shown(ez_delivery *row, int64_t now_ns);
