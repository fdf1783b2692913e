// SPDX-License-Identifier: Apache-2.0
//
// One call under way: attempts, deadlines, retries. A slot owns its aio, its contexts and the packed request, so that
// an attempt can be made again without the caller. Awkward: nng 1.5.2 must not have its receives timed out or
// cancelled, so a deadline is ours: the caller gets its result, and the slot's context is closed, which makes nng let
// go of the aio in a callback of its own. Until then the slot is not free.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/client_private.h"
#include "proto/crypto/seal.h"
#include "proto/runtime/clock.h"

#define MS             1000000ull
#define BACKOFF_MIN_MS 25
#define BACKOFF_MAX_MS 2000
// A connection on which nothing came for this long past a deadline is taken for dead and made anew.
#define SUSPECT_NS       (1000 * MS)
#define SUSPECT_ELSE_NS  (500 * MS) // … where there is another server to go to
#define HEADER_MAX       4096
#define REPLY_HEADER_MAX (256u << 10)
#define REQUEST_KEEP     (64u << 10)

void ez_client_kick(ez_client *client) {
    client->kick = true;
    pthread_cond_signal(&client->wake);
}

void ez_client_note_due(ez_client *client, uint64_t due) {
    if (due < client->next_due) {
        ez_client_kick(client);
    }
}

void ez_client_slot_recycle(ez_client_slot *slot) {
    if (slot->in_call || slot->in_nng) {
        return;
    }
    ez_client *client = slot->client;
    if (slot->request.data != NULL) {
        ez_wipe(slot->request.data, slot->request.len); // it may hold a credential
    }
    if (slot->request.cap > REQUEST_KEEP) {
        ez_buf_fini(&slot->request);
        ez_buf_init(&slot->request, EZ_CALL_MAX);
    }
    slot->state = SLOT_FREE;
    slot->next = client->free_slots;
    client->free_slots = slot;
    client->slots_used--;
    if (client->slots_used == 0) {
        pthread_cond_broadcast(&client->idle);
    }
}

void ez_client_slot_finish(ez_client_slot *slot, ez_status status, const ez_error *error, ez_slice reply) {
    ez_client *client = slot->client;
    slot->info.attempts = slot->attempts;
    slot->info.server = slot->number;
    const ez_call_result result = {.status = status, .error = error, .reply = reply, .info = &slot->info};
    slot->done(slot->user, &result);
    pthread_mutex_lock(&client->mutex);
    slot->in_call = false;
    ez_client_slot_recycle(slot);
    pthread_mutex_unlock(&client->mutex);
}

static void finish(ez_client_slot *slot, ez_status status, const ez_error *error, ez_slice reply) {
    pthread_mutex_lock(&slot->client->mutex);
    slot->state = SLOT_DONE;
    pthread_mutex_unlock(&slot->client->mutex);
    ez_client_slot_finish(slot, status, error, reply);
}

static uint64_t backoff_ns(ez_client_slot *slot) {
    ez_client *client = slot->client;
    pthread_mutex_lock(&client->mutex);
    client->jitter ^= client->jitter << 13;
    client->jitter ^= client->jitter >> 7;
    client->jitter ^= client->jitter << 17;
    uint64_t random = client->jitter;
    pthread_mutex_unlock(&client->mutex);
    unsigned shift = slot->attempts < 8 ? slot->attempts : 8;
    uint64_t most = (uint64_t)BACKOFF_MIN_MS << shift;
    most = most < BACKOFF_MAX_MS ? most : BACKOFF_MAX_MS;
    return (most / 2 + random % (most / 2 + 1)) * MS;
}

// After an attempt that came to nothing. may_repeat: another one can't do the thing twice.
static void retry_or_finish(ez_client_slot *slot, const ez_error *error, bool may_repeat, uint32_t retry_after_ms) {
    ez_client *client = slot->client;
    uint64_t pause = backoff_ns(slot);
    uint64_t asked = retry_after_ms * MS;
    pause = asked > pause ? asked : pause;
    uint64_t now = ez_clock_mono_ns();
    pthread_mutex_lock(&client->mutex);
    bool again = may_repeat && slot->retries_left > 0 && now + pause < slot->deadline && !client->closing;
    if (again) {
        ez_error_copy(&slot->last, error);
        slot->retries_left--;
        slot->try_at = now + pause;
        slot->give_up = slot->try_at + client->options.connect_timeout_ms * MS;
        slot->state = SLOT_WAITING;
        ez_client_note_due(client, slot->try_at);
    }
    pthread_mutex_unlock(&client->mutex);
    if (!again) {
        finish(slot, error->code, error, (ez_slice){0});
    }
}

static void attempt_failed(ez_client_slot *slot, bool was_sent, int rv) {
    ez_client *client = slot->client;
    ez_error error;
    ez_error_clear(&error);
    pthread_mutex_lock(&client->mutex);
    bool is_closing = client->closing;
    if (!is_closing) {
        ez_client_peer_failed(client, slot->server);
    }
    pthread_mutex_unlock(&client->mutex);
    const char *url = client->peers[slot->server].url;
    if (is_closing) {
        ez_error_set(&error, EZ_CANCELLED, "CLIENT_CLOSED", "The client was closed.");
    } else if (was_sent) {
        ez_error_set(&error, EZ_UNAVAILABLE, "CONNECTION_LOST",
                     "The connection to %s was lost before it answered %s (%s).", url, slot->method->name,
                     nng_strerror(rv));
    } else {
        ez_error_set(&error, EZ_UNAVAILABLE, "NOT_CONNECTED", "%s could not be sent to %s: %s.", slot->method->name,
                     url, nng_strerror(rv));
    }
    retry_or_finish(slot, &error, !was_sent || slot->can_repeat, 0);
}

static void take_header(ez_client_slot *slot, const Ez__V1__ReplyHeader *header, ez_error *error) {
    ez_call_info *info = &slot->info;
    *info = (ez_call_info){.retry_after_ms = header->retry_after_ms};
    if (header->revision != NULL) {
        info->epoch = header->revision->epoch;
        info->revision = header->revision->n;
    }
    if (header->applied != NULL) {
        info->has_applied = true;
        info->applied_planes = header->applied->planes;
        info->applied_of = header->applied->of;
    }
    snprintf(info->request_id, sizeof info->request_id, "%s", header->request_id);
    if (header->code == EZ__V1__CODE__CODE_OK) {
        return;
    }
    bool is_known = header->code > 0 && header->code <= EZ__V1__CODE__CODE_UNAUTHENTICATED;
    ez_error_set(error, is_known ? (ez_status)header->code : EZ_UNKNOWN, header->reason, "%s", header->message);
    for (size_t i = 0; i < header->n_violations && i < EZ_ERROR_VIOLATIONS_MAX; i++) {
        ez_violation *violation = &error->violations[error->violation_count++];
        snprintf(violation->field, sizeof violation->field, "%s", header->violations[i]->field);
        snprintf(violation->description, sizeof violation->description, "%s", header->violations[i]->description);
    }
}

static void take_reply(ez_client_slot *slot, nng_msg *msg) {
    ez_arena arena;
    ez_arena_init(&arena, REPLY_HEADER_MAX);
    ez_error error;
    ez_error_clear(&error);
    Ez__V1__ReplyHeader *header;
    ez_slice reply = {0};
    ez_status status = ez_frame_read_reply(nng_msg_body(msg), nng_msg_len(msg), &arena, &header, &reply, &error);
    uint32_t retry_after = 0;
    if (status != EZ_OK) {
        status = ez_error_set(&error, EZ_DATA_LOSS, "REPLY_INVALID", "%s answered %s with something that is no reply.",
                              slot->client->peers[slot->server].url, slot->method->name);
    } else {
        take_header(slot, header, &error);
        status = error.code;
        retry_after = header->retry_after_ms;
    }
    if (status == EZ_UNAVAILABLE || (status == EZ_RESOURCE_EXHAUSTED && retry_after > 0)) {
        if (status == EZ_UNAVAILABLE) {
            pthread_mutex_lock(&slot->client->mutex);
            ez_client_peer_failed(slot->client, slot->server);
            pthread_mutex_unlock(&slot->client->mutex);
        }
        retry_or_finish(slot, &error, slot->can_repeat, retry_after);
    } else {
        finish(slot, status, &error, status == EZ_OK ? reply : (ez_slice){0});
    }
    ez_arena_fini(&arena);
    nng_msg_free(msg);
}

// nng has finished with the aio: the request is out, or the reply is here, or neither will be.
static void on_aio(void *user) {
    ez_client_slot *slot = user;
    ez_client *client = slot->client;
    int rv = nng_aio_result(slot->aio);
    pthread_mutex_lock(&client->mutex);
    slot_state state = slot->state;
    if (rv == 0 && state == SLOT_SENDING && !client->closing) {
        slot->state = SLOT_RECEIVING;
        slot->was_sent = true;
        nng_ctx context = slot->contexts[slot->server];
        atomic_fetch_add(&client->in_contexts, 1);
        pthread_mutex_unlock(&client->mutex);
        nng_aio_set_msg(slot->aio, NULL);
        nng_ctx_recv(context, slot->aio);
        atomic_fetch_sub(&client->in_contexts, 1);
        return;
    }
    // A request that was not sent comes back, a reply comes with the aio; one that was sent is nng's.
    bool has_msg = (rv == 0) == slot->was_sent;
    nng_msg *msg = has_msg ? nng_aio_get_msg(slot->aio) : NULL;
    nng_aio_set_msg(slot->aio, NULL);
    slot->in_nng = false;
    if (state == SLOT_DONE) {
        ez_client_slot_recycle(slot);
    } else {
        slot->state = SLOT_DECIDING;
        if (rv == 0) {
            client->peers[slot->server].heard = ez_clock_mono_ns();
        }
    }
    pthread_mutex_unlock(&client->mutex);
    if (state == SLOT_RECEIVING && rv == 0) {
        take_reply(slot, msg);
        return;
    }
    if (msg != NULL) {
        nng_msg_free(msg);
    }
    if (state != SLOT_DONE) {
        attempt_failed(slot, state == SLOT_RECEIVING, rv);
    }
}

ez_status ez_client_slot_create(ez_client *client, ez_client_slot **out, ez_error *error) {
    ez_client_slot *slot = calloc(1, sizeof *slot);
    if (slot == NULL || nng_aio_alloc(&slot->aio, on_aio, slot) != 0) {
        free(slot);
        return ez_error_set(error, EZ_UNAVAILABLE, "NO_MEMORY", "There is no memory for a call.");
    }
    nng_aio_set_timeout(slot->aio, NNG_DURATION_INFINITE);
    slot->client = client;
    ez_buf_init(&slot->request, EZ_CALL_MAX);
    *out = slot;
    return EZ_OK;
}

void ez_client_slot_destroy(ez_client_slot *slot) {
    if (slot == NULL) {
        return;
    }
    nng_aio_stop(slot->aio);
    nng_aio_free(slot->aio);
    ez_buf_fini(&slot->request);
    ez_wipe(slot->authorization, sizeof slot->authorization);
    free(slot);
}

static ez_status pack(ez_client_slot *slot, uint64_t now, ez_buf *out) {
    uint64_t left = slot->deadline > now ? (slot->deadline - now) / MS : 0;
    Ez__V1__CallHeader header = EZ__V1__CALL_HEADER__INIT;
    header.method = (char *)(uintptr_t)slot->method->name;
    header.authorization = slot->authorization;
    header.request_id = slot->request_id;
    header.timeout_ms = left > 0 ? (uint32_t)left : 1;
    header.idempotency_key = slot->key;
    header.client = slot->client->name;
    header.if_match = slot->if_match;
    header.validate_only = slot->validate_only;
    header.wait = slot->wait_applied ? EZ__V1__WAIT__WAIT_APPLIED : EZ__V1__WAIT__WAIT_COMMITTED;
    header.remote = slot->remote;
    return ez_frame_write_call(out, &header);
}

static nng_msg *make_request(ez_client_slot *slot, uint64_t now) {
    ez_buf head;
    ez_buf_init(&head, HEADER_MAX);
    nng_msg *msg = NULL;
    if (pack(slot, now, &head) == EZ_OK && nng_msg_alloc(&msg, 0) == 0) {
        if (nng_msg_append(msg, head.data, head.len) != 0 ||
            nng_msg_append(msg, slot->request.data, slot->request.len) != 0) {
            nng_msg_free(msg);
            msg = NULL;
        }
    }
    if (head.data != NULL) {
        ez_wipe(head.data, head.len);
    }
    ez_buf_fini(&head);
    return msg;
}

// The context of the slot's peer, opened where there is none. False: the deadline came first, or nng has no more.
static int open_context(ez_client_slot *slot, nng_ctx *out) {
    ez_client *client = slot->client;
    pthread_mutex_lock(&client->mutex);
    *out = slot->contexts[slot->server];
    pthread_mutex_unlock(&client->mutex);
    if (out->id != 0) {
        return 0;
    }
    int rv = nng_ctx_open(out, client->peers[slot->server].socket);
    if (rv == 0) {
        pthread_mutex_lock(&client->mutex);
        slot->contexts[slot->server] = *out;
        pthread_mutex_unlock(&client->mutex);
    }
    return rv;
}

// Counted in in_contexts by the caller.
static void send_now(ez_client_slot *slot, uint64_t now) {
    ez_client *client = slot->client;
    nng_msg *msg = make_request(slot, now);
    nng_ctx context = NNG_CTX_INITIALIZER;
    int rv = msg == NULL ? NNG_ENOMEM : open_context(slot, &context);
    if (rv == 0) {
        nng_aio_set_msg(slot->aio, msg);
        nng_ctx_send(context, slot->aio);
        atomic_fetch_sub(&client->in_contexts, 1);
        return;
    }
    atomic_fetch_sub(&client->in_contexts, 1);
    if (msg != NULL) {
        nng_msg_free(msg);
    }
    pthread_mutex_lock(&client->mutex);
    slot->in_nng = false;
    bool is_done = slot->state == SLOT_DONE;
    if (is_done) {
        ez_client_slot_recycle(slot);
    } else {
        slot->state = SLOT_DECIDING;
    }
    pthread_mutex_unlock(&client->mutex);
    if (!is_done) {
        attempt_failed(slot, false, rv);
    }
}

void ez_client_slot_begin(ez_client_slot *slot) {
    ez_client *client = slot->client;
    uint64_t now = ez_clock_mono_ns();
    pthread_mutex_lock(&client->mutex);
    unsigned peer;
    bool send =
        slot->state == SLOT_WAITING && now >= slot->try_at && !client->closing && ez_client_peer_pick(client, &peer);
    if (send) {
        slot->state = SLOT_SENDING;
        slot->in_nng = true;
        slot->was_sent = false;
        slot->server = peer;
        slot->sent_at = now;
        slot->attempts++;
        slot->number = client->peers[peer].number;
        atomic_fetch_add(&client->in_contexts, 1);
        ez_client_note_due(client, slot->deadline);
    } else if (slot->state == SLOT_WAITING) {
        ez_client_note_due(client, slot->give_up < slot->deadline ? slot->give_up : slot->deadline);
    }
    pthread_mutex_unlock(&client->mutex);
    if (send) {
        send_now(slot, now);
    }
}

// What the thread has to do for a slot.
typedef enum step { STEP_NONE, STEP_BEGIN, STEP_GIVE_UP, STEP_DEADLINE, STEP_UNSTICK } step;

// Locked. due: when this slot wants to be looked at next.
static step look(ez_client_slot *slot, uint64_t now, uint64_t *due) {
    ez_client *client = slot->client;
    if (slot->state == SLOT_WAITING) {
        unsigned peer;
        if (now >= slot->deadline) {
            return STEP_DEADLINE;
        }
        if (now >= slot->try_at && ez_client_peer_pick(client, &peer)) {
            return STEP_BEGIN;
        }
        if (now >= slot->give_up) {
            return STEP_GIVE_UP;
        }
        *due = now < slot->try_at ? slot->try_at : slot->give_up;
        *due = *due < slot->deadline ? *due : slot->deadline;
    } else if (slot->state == SLOT_SENDING || slot->state == SLOT_RECEIVING) {
        if (now >= slot->deadline) {
            return STEP_DEADLINE;
        }
        *due = slot->deadline;
        // It waits in nng for a connection that is gone: take it back, another server may be there.
        bool is_stuck = slot->state == SLOT_SENDING && client->peers[slot->server].pipes == 0;
        return is_stuck && slot->contexts[slot->server].id != 0 ? STEP_UNSTICK : STEP_NONE;
    }
    return STEP_NONE;
}

static void close_context(nng_ctx context) {
    if (context.id != 0) {
        nng_ctx_close(context);
    }
}

static void give_up(ez_client_slot *slot) {
    ez_client *client = slot->client;
    ez_error error;
    ez_error_clear(&error);
    if (slot->last.code != EZ_OK) {
        ez_error_copy(&error, &slot->last);
    } else {
        ez_error_set(&error, EZ_UNAVAILABLE, "NOT_CONNECTED",
                     "No server is connected (%s%s); is it running, and is this its address?", client->peers[0].url,
                     client->peer_count > 1 ? " and others" : "");
    }
    ez_client_slot_finish(slot, error.code, &error, (ez_slice){0});
}

static void too_late(ez_client_slot *slot, bool was_under_way) {
    ez_error error;
    ez_error_clear(&error);
    if (was_under_way) {
        ez_error_set(&error, EZ_DEADLINE_EXCEEDED, "DEADLINE", "%s did not answer %s in time.",
                     slot->client->peers[slot->server].url, slot->method->name);
    } else if (slot->last.code != EZ_OK) {
        ez_error_set(&error, EZ_DEADLINE_EXCEEDED, "DEADLINE", "%s came to no end in time; at last: %s",
                     slot->method->name, slot->last.message);
    } else {
        ez_error_set(&error, EZ_DEADLINE_EXCEEDED, "DEADLINE", "%s could not be sent in time: no server is connected.",
                     slot->method->name);
    }
    ez_client_slot_finish(slot, EZ_DEADLINE_EXCEEDED, &error, (ez_slice){0});
}

// A slot past its deadline: nng gives the aio back when the context is closed; a peer that was silent all the time
// loses its connection too, since only a new one can tell whether it is still there.
static void end_late(ez_client_slot *slot, uint64_t now, slot_state was) {
    ez_client *client = slot->client;
    bool was_under_way = was != SLOT_WAITING;
    nng_ctx context = NNG_CTX_INITIALIZER;
    nng_pipe suspect = NNG_PIPE_INITIALIZER;
    pthread_mutex_lock(&client->mutex);
    if (was_under_way) {
        ez_client_peer *peer = &client->peers[slot->server];
        context = slot->contexts[slot->server];
        slot->contexts[slot->server] = (nng_ctx)NNG_CTX_INITIALIZER;
        uint64_t suspect_ns = client->peer_count > 1 ? SUSPECT_ELSE_NS : SUSPECT_NS;
        if (peer->heard < slot->sent_at && now - slot->sent_at >= suspect_ns && peer->pipes > 0) {
            suspect = peer->pipe;
            ez_client_peer_failed(client, slot->server);
        }
    }
    pthread_mutex_unlock(&client->mutex);
    close_context(context);
    if (suspect.id != 0) {
        nng_pipe_close(suspect);
    }
    too_late(slot, was_under_way);
}

static void unstick(ez_client_slot *slot) {
    pthread_mutex_lock(&slot->client->mutex);
    nng_ctx context = slot->contexts[slot->server];
    slot->contexts[slot->server] = (nng_ctx)NNG_CTX_INITIALIZER;
    pthread_mutex_unlock(&slot->client->mutex);
    close_context(context);
}

uint64_t ez_client_slots_run(ez_client *client, uint64_t now) {
    uint64_t earliest = UINT64_MAX;
    for (unsigned i = 0;; i++) {
        uint64_t due = UINT64_MAX;
        pthread_mutex_lock(&client->mutex);
        if (i >= client->slot_count || client->closing) {
            pthread_mutex_unlock(&client->mutex);
            return earliest;
        }
        ez_client_slot *slot = client->slots[i];
        slot_state was = slot->state;
        step todo = look(slot, now, &due);
        if (todo == STEP_DEADLINE || todo == STEP_GIVE_UP) {
            slot->state = SLOT_DONE;
        }
        pthread_mutex_unlock(&client->mutex);
        if (todo == STEP_BEGIN) {
            ez_client_slot_begin(slot);
            due = slot->deadline;
        } else if (todo == STEP_GIVE_UP) {
            give_up(slot);
        } else if (todo == STEP_DEADLINE) {
            end_late(slot, now, was);
        } else if (todo == STEP_UNSTICK) {
            unstick(slot);
        }
        earliest = due < earliest ? due : earliest;
    }
}
