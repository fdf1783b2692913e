// SPDX-License-Identifier: Apache-2.0
//
// ez_client: opening, closing, and the two ways to call. The client owns its servers' sockets and its slots; a call
// borrows a slot from its start until its callback has returned. Awkward: closing has a fixed order — no new calls,
// stop the thread, close the sockets (which ends what nng holds), wait for callbacks, free — because nng 1.5.2 does not
// bear cancelling in any other.
#include "clients/c/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/client_private.h"
#include "proto/crypto/hash.h"
#include "proto/crypto/random.h"
#include "proto/crypto/seal.h"
#include "proto/runtime/clock.h"

#define MS                 1000000ull
#define RETRIES_DEFAULT    8
#define CONNECT_TIMEOUT_MS 2000
#define IN_FLIGHT_DEFAULT  256
#define HEADER_ROOM        4096u // of a frame, for what stands before the request

// The client's thread: dials, deadlines, retries.
static void *run(void *user) {
    ez_client *client = user;
    pthread_mutex_lock(&client->mutex);
    while (!client->closing) {
        client->kick = false;
        client->next_due = UINT64_MAX; // whoever starts a call meanwhile makes us look again
        pthread_mutex_unlock(&client->mutex);
        ez_client_peers_learn(client);
        uint64_t now = ez_clock_mono_ns();
        uint64_t due = ez_client_peers_dial(client, now);
        uint64_t slots = ez_client_slots_run(client, now);
        due = slots < due ? slots : due;
        pthread_mutex_lock(&client->mutex);
        client->next_due = due;
        while (!client->kick && !client->closing && ez_clock_mono_ns() < due) {
            if (due == UINT64_MAX) {
                pthread_cond_wait(&client->wake, &client->mutex);
            } else {
                struct timespec at = {.tv_sec = (time_t)(due / 1000000000ull), .tv_nsec = (long)(due % 1000000000ull)};
                pthread_cond_timedwait(&client->wake, &client->mutex, &at);
            }
        }
    }
    pthread_mutex_unlock(&client->mutex);
    return NULL;
}

static ez_status check_options(const ez_client_options *options, ez_error *error) {
    if (options->server_count == 0 || options->server_count > EZ_CLIENT_SERVERS_MAX) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "SERVERS_INVALID", "A client needs 1 to %d servers, not %zu.",
                            EZ_CLIENT_SERVERS_MAX, options->server_count);
    }
    for (size_t i = 0; i < options->server_count; i++) {
        ez_status status = ez_dial_check_url(options->servers[i], error);
        if (status != EZ_OK) {
            return status;
        }
    }
    if (options->token != NULL && strlen(options->token) > EZ_CLIENT_TOKEN_MAX) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "TOKEN_INVALID", "The token is longer than %d bytes.",
                            EZ_CLIENT_TOKEN_MAX);
    }
    if (options->max_in_flight > EZ_CLIENT_IN_FLIGHT_MAX) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "IN_FLIGHT_INVALID", "max_in_flight must be at most %d.",
                            EZ_CLIENT_IN_FLIGHT_MAX);
    }
    return EZ_OK;
}

static bool copy_text(char **out, const char *text) {
    *out = text == NULL ? NULL : strdup(text);
    return text == NULL || *out != NULL;
}

static bool copy_options(ez_client *client, const ez_client_options *options) {
    client->options = *options;
    client->options.max_in_flight = options->max_in_flight == 0 ? IN_FLIGHT_DEFAULT : options->max_in_flight;
    client->options.connect_timeout_ms =
        options->connect_timeout_ms == 0 ? CONNECT_TIMEOUT_MS : options->connect_timeout_ms;
    client->peer_count = (unsigned)options->server_count;
    for (unsigned i = 0; i < client->peer_count; i++) {
        snprintf(client->peers[i].url, sizeof client->peers[i].url, "%s", options->servers[i]);
    }
    if (options->token != NULL && options->token[0] != '\0') {
        snprintf(client->authorization, sizeof client->authorization, "Bearer %s", options->token);
    }
    snprintf(client->name, sizeof client->name, "%s", options->name == NULL ? "libezplane" : options->name);
    client->slots = calloc(client->options.max_in_flight, sizeof *client->slots);
    return client->slots != NULL && copy_text(&client->ca_file, options->tls.ca_file) &&
           copy_text(&client->cert_file, options->tls.cert_file) &&
           copy_text(&client->server_name, options->tls.server_name);
}

static void init_locks(ez_client *client) {
    pthread_mutex_init(&client->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&client->wake, &monotonic);
    pthread_cond_init(&client->idle, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

static ez_status start(ez_client *client, ez_error *error) {
    ez_status status = ez_random(&client->jitter, sizeof client->jitter);
    if (status != EZ_OK) {
        return ez_error_set(error, status, "NO_RANDOM", "The system gave no random numbers.");
    }
    client->jitter |= 1;
    status = ez_client_peers_open(client, error);
    if (status != EZ_OK) {
        return status;
    }
    int failed = pthread_create(&client->thread, NULL, run, client);
    if (failed != 0) {
        return ez_error_set(error, EZ_UNAVAILABLE, "NO_THREAD", "The client's thread can't be started: %s.",
                            strerror(failed));
    }
    client->has_thread = true;
    return EZ_OK;
}

ez_status ez_client_open(const ez_client_options *options, ez_client **out, ez_error *error) {
    ez_status status = check_options(options, error);
    if (status != EZ_OK) {
        return status;
    }
    ez_client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        return ez_error_set(error, EZ_UNAVAILABLE, "NO_MEMORY", "There is no memory for a client.");
    }
    init_locks(client);
    if (!copy_options(client, options)) {
        status = ez_error_set(error, EZ_UNAVAILABLE, "NO_MEMORY", "There is no memory for a client.");
    } else {
        status = start(client, error);
    }
    if (status != EZ_OK) {
        ez_client_close(client);
        return status;
    }
    *out = client;
    return EZ_OK;
}

// Calls that nng does not hold end here; the others end when their socket closes, and here too where it can't be
// closed.
static void cancel_calls(ez_client *client, bool and_those_in_nng) {
    ez_error error;
    ez_error_clear(&error);
    ez_error_set(&error, EZ_CANCELLED, "CLIENT_CLOSED", "The client was closed.");
    for (unsigned i = 0; i < client->slot_count; i++) {
        ez_client_slot *slot = client->slots[i];
        pthread_mutex_lock(&client->mutex);
        bool is_in_nng = slot->state == SLOT_SENDING || slot->state == SLOT_RECEIVING;
        bool ends = slot->state == SLOT_WAITING || (is_in_nng && and_those_in_nng);
        slot->state = ends ? SLOT_DONE : slot->state;
        pthread_mutex_unlock(&client->mutex);
        if (ends) {
            ez_client_slot_finish(slot, EZ_CANCELLED, &error, (ez_slice){0});
        }
    }
}

void ez_client_close(ez_client *client) {
    if (client == NULL) {
        return;
    }
    pthread_mutex_lock(&client->mutex);
    client->closing = true;
    pthread_cond_broadcast(&client->wake);
    pthread_mutex_unlock(&client->mutex);
    if (client->has_thread) {
        pthread_join(client->thread, NULL);
    }
    cancel_calls(client, false);
    if (!ez_client_peers_close(client)) {
        cancel_calls(client, true);
        return; // nng may still call back: what it would touch stays
    }
    pthread_mutex_lock(&client->mutex);
    while (client->slots_used > 0) {
        pthread_cond_wait(&client->idle, &client->mutex);
    }
    pthread_mutex_unlock(&client->mutex);
    for (unsigned i = 0; i < client->slot_count; i++) {
        ez_client_slot_destroy(client->slots[i]);
    }
    free(client->slots);
    free(client->ca_file);
    free(client->cert_file);
    free(client->server_name);
    pthread_cond_destroy(&client->idle);
    pthread_cond_destroy(&client->wake);
    pthread_mutex_destroy(&client->mutex);
    ez_wipe(client->authorization, sizeof client->authorization);
    free(client);
}

static ez_status closed(ez_error *error) {
    return ez_error_set(error, EZ_CANCELLED, "CLIENT_CLOSED", "The client is being closed.");
}

static ez_status take_slot(ez_client *client, ez_client_slot **out, ez_error *error) {
    pthread_mutex_lock(&client->mutex);
    ez_client_slot *slot = client->free_slots;
    bool is_closing = client->closing;
    bool is_full = slot == NULL && client->slots_used == client->options.max_in_flight;
    if (!is_closing && !is_full) {
        client->slots_used++;
        if (slot != NULL) {
            client->free_slots = slot->next;
        }
    }
    pthread_mutex_unlock(&client->mutex);
    if (is_closing) {
        return closed(error);
    }
    if (is_full) {
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "TOO_MANY_CALLS",
                            "%u calls are under way already; wait for one to end.", client->options.max_in_flight);
    }
    if (slot != NULL) {
        *out = slot;
        return EZ_OK;
    }
    ez_status status = ez_client_slot_create(client, &slot, error);
    pthread_mutex_lock(&client->mutex);
    if (status == EZ_OK) {
        client->slots[client->slot_count++] = slot;
    } else {
        client->slots_used--;
        pthread_cond_broadcast(&client->idle);
    }
    pthread_mutex_unlock(&client->mutex);
    if (status == EZ_OK) {
        *out = slot;
    }
    return status;
}

static ez_status copy_bounded(char *out, size_t size, const char *text, const char *what, ez_error *error) {
    size_t len = text == NULL ? 0 : strlen(text);
    if (len >= size) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "CALL_OPTION_TOO_LONG", "The %s is longer than %zu bytes.",
                            what, size - 1);
    }
    memcpy(out, len == 0 ? "" : text, len + 1);
    return EZ_OK;
}

// A change without a key gets one, so that what is sent twice is done once.
static ez_status make_key(ez_client_slot *slot, ez_error *error) {
    uint8_t random[16];
    ez_status status = ez_random(random, sizeof random);
    if (status != EZ_OK) {
        return ez_error_set(error, status, "NO_RANDOM", "The system gave no random numbers.");
    }
    ez_hex(random, sizeof random, slot->key);
    return EZ_OK;
}

static ez_status fill_texts(ez_client_slot *slot, const ez_call_options *options, ez_error *error) {
    ez_status status =
        copy_bounded(slot->request_id, sizeof slot->request_id, options->request_id, "request id", error);
    if (status == EZ_OK) {
        status = copy_bounded(slot->key, sizeof slot->key, options->idempotency_key, "idempotency key", error);
    }
    if (status == EZ_OK) {
        status = copy_bounded(slot->remote, sizeof slot->remote, options->remote, "remote address", error);
    }
    if (status != EZ_OK) {
        return status;
    }
    if (options->authorization == NULL) {
        memcpy(slot->authorization, slot->client->authorization, sizeof slot->authorization);
    } else if (strlen(options->authorization) > EZ_CLIENT_TOKEN_MAX) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "TOKEN_INVALID", "The token is longer than %d bytes.",
                            EZ_CLIENT_TOKEN_MAX);
    } else {
        const char *scheme = options->authorization[0] == '\0' ? "" : "Bearer ";
        snprintf(slot->authorization, sizeof slot->authorization, "%s%s", scheme, options->authorization);
    }
    return EZ_OK;
}

static ez_status fill_slot(ez_client_slot *slot, const ez_method *method, const ProtobufCMessage *request,
                           const ez_call_options *options, ez_error *error) {
    ez_client *client = slot->client;
    ez_status status = fill_texts(slot, options, error);
    bool is_change = method->effect == EZ_EFFECT_CHANGE && !options->validate_only;
    if (status == EZ_OK && is_change && slot->key[0] == '\0') {
        status = make_key(slot, error);
    }
    if (status != EZ_OK) {
        return status;
    }
    ez_buf_clear(&slot->request);
    // A server drops the connection of a frame that is too large, and every other call on it.
    if (ez_buf_pack(&slot->request, request) != EZ_OK || slot->request.len > EZ_CALL_MAX - HEADER_ROOM) {
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE",
                            "The request of %s is larger than the %u bytes a call has room for.", method->name,
                            EZ_CALL_MAX - HEADER_ROOM);
    }
    uint32_t timeout = options->timeout_ms != 0 ? options->timeout_ms : client->options.timeout_ms;
    timeout = timeout != 0 ? timeout : method->timeout_ms;
    uint64_t now = ez_clock_mono_ns();
    slot->method = method;
    slot->deadline = now + timeout * MS;
    slot->try_at = now;
    slot->give_up = now + client->options.connect_timeout_ms * MS;
    slot->attempts = 0;
    slot->number = 0;
    slot->retries_left = options->max_retries == 0  ? RETRIES_DEFAULT
                         : options->max_retries < 0 ? 0
                                                    : (unsigned)options->max_retries;
    slot->can_repeat = method->idempotent || method->effect == EZ_EFFECT_READ || method->effect == EZ_EFFECT_QUERY ||
                       slot->key[0] != '\0' || options->validate_only;
    slot->if_match = options->if_match;
    slot->validate_only = options->validate_only;
    slot->wait_applied = options->wait_applied;
    slot->info = (ez_call_info){0};
    ez_error_clear(&slot->last);
    return EZ_OK;
}

ez_status ez_client_start(ez_client *client, const ez_method *method, const ProtobufCMessage *request,
                          const ez_call_options *options, ez_call_done *done, void *user, ez_error *error) {
    static const ez_call_options defaults = {0};
    if (request->descriptor != method->request->descriptor) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "REQUEST_TYPE", "%s takes a %s, not a %s.", method->name,
                            method->request->name, request->descriptor->name);
    }
    ez_client_slot *slot = NULL;
    ez_status status = take_slot(client, &slot, error);
    if (status != EZ_OK) {
        return status;
    }
    status = fill_slot(slot, method, request, options == NULL ? &defaults : options, error);
    slot->done = done;
    slot->user = user;
    pthread_mutex_lock(&client->mutex);
    if (status == EZ_OK && client->closing) {
        status = closed(error);
    }
    if (status == EZ_OK) {
        slot->state = SLOT_WAITING;
        slot->in_call = true;
    } else {
        ez_client_slot_recycle(slot);
    }
    pthread_mutex_unlock(&client->mutex);
    if (status == EZ_OK) {
        ez_client_slot_begin(slot);
    }
    return status;
}

// Where a blocking call waits. Lives on its stack.
typedef struct waiter {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool is_done;
    ez_status status;
    ez_error *error;
    ez_call_info *info;
    uint8_t *reply;
    size_t len;
} waiter;

static void on_done(void *user, const ez_call_result *result) {
    waiter *wait = user;
    pthread_mutex_lock(&wait->mutex);
    wait->status = result->status;
    if (result->status != EZ_OK) {
        ez_error_copy(wait->error, result->error);
    } else if (result->reply.len > 0) {
        wait->reply = malloc(result->reply.len);
        wait->len = result->reply.len;
        if (wait->reply != NULL) {
            memcpy(wait->reply, result->reply.data, result->reply.len);
        } else {
            wait->status = ez_error_set(wait->error, EZ_UNAVAILABLE, "NO_MEMORY", "There is no memory for a reply.");
        }
    }
    if (wait->info != NULL) {
        *wait->info = *result->info;
    }
    wait->is_done = true;
    pthread_cond_signal(&wait->cond);
    pthread_mutex_unlock(&wait->mutex);
}

ez_status ez_client_call(ez_client *client, const ez_method *method, const ProtobufCMessage *request,
                         const ez_call_options *options, ProtobufCMessage **reply, ez_error *error) {
    waiter wait = {.error = error, .info = options == NULL ? NULL : options->info};
    pthread_mutex_init(&wait.mutex, NULL);
    pthread_cond_init(&wait.cond, NULL);
    ez_status status = ez_client_start(client, method, request, options, on_done, &wait, error);
    if (status == EZ_OK) {
        pthread_mutex_lock(&wait.mutex);
        while (!wait.is_done) {
            pthread_cond_wait(&wait.cond, &wait.mutex);
        }
        pthread_mutex_unlock(&wait.mutex);
        status = wait.status;
    }
    pthread_cond_destroy(&wait.cond);
    pthread_mutex_destroy(&wait.mutex);
    if (status == EZ_OK && reply != NULL) {
        ProtobufCMessage *message = protobuf_c_message_unpack(method->reply->descriptor, NULL, wait.len, wait.reply);
        if (message != NULL) {
            *reply = message;
        } else {
            status = ez_error_set(error, EZ_DATA_LOSS, "REPLY_INVALID",
                                  "The reply of %s can't be decoded; is the server of another version?", method->name);
        }
    }
    if (wait.reply != NULL) {
        ez_wipe(wait.reply, wait.len); // it may hold a token
        free(wait.reply);
    }
    return status;
}

bool ez_client_is_connected(ez_client *client) {
    pthread_mutex_lock(&client->mutex);
    bool is = client->lonely_since == 0;
    pthread_mutex_unlock(&client->mutex);
    return is;
}

const char *ez_client_server(ez_client *client) {
    pthread_mutex_lock(&client->mutex);
    const char *url = client->peers[client->current].url;
    pthread_mutex_unlock(&client->mutex);
    return url;
}
