// SPDX-License-Identifier: Apache-2.0
//
// One call of a session. Two hold it: the session, and the client while the call is under way; the last one frees it.
// Awkward: replies may hold secrets (Config.Fetch), so their memory is wiped when it is let go of.
#include "clients/c/session_call.h"

#include <pthread.h>
#include <stdlib.h>

#include "proto/crypto/seal.h"
#include "proto/runtime/buf.h"

#define REPLY_KEEP (64u << 10)

struct ez_session_call {
    pthread_mutex_t mutex;
    ez_session_call_ready *ready; // NULL: abandoned
    void *user;
    bool is_under_way; // the client has it
    bool is_done;
    // Below: the client's while under way, the worker's otherwise.
    bool is_busy;
    ez_status status;
    ez_error error;
    uint32_t retry_after_ms;
    uint32_t server;
    ez_buf reply;
};

ez_session_call *ez_session_call_create(size_t reply_max, ez_session_call_ready *ready, void *user) {
    ez_session_call *call = calloc(1, sizeof *call);
    if (call != NULL) {
        pthread_mutex_init(&call->mutex, NULL);
        call->ready = ready;
        call->user = user;
        ez_buf_init(&call->reply, reply_max);
    }
    return call;
}

static void clear_reply(ez_session_call *call) {
    if (call->reply.data != NULL) {
        ez_wipe(call->reply.data, call->reply.len);
    }
    if (call->reply.cap > REPLY_KEEP) {
        size_t max = call->reply.max;
        ez_buf_fini(&call->reply);
        ez_buf_init(&call->reply, max);
    }
    ez_buf_clear(&call->reply);
}

static void destroy(ez_session_call *call) {
    clear_reply(call);
    ez_buf_fini(&call->reply);
    pthread_mutex_destroy(&call->mutex);
    free(call);
}

void ez_session_call_abandon(ez_session_call *call) {
    if (call == NULL) {
        return;
    }
    pthread_mutex_lock(&call->mutex);
    call->ready = NULL;
    bool is_last = !call->is_under_way;
    pthread_mutex_unlock(&call->mutex);
    if (is_last) {
        destroy(call);
    }
}

// ready is called with the mutex held: abandon then waits for it, so that its user is never gone.
static void on_done(void *user, const ez_call_result *result) {
    ez_session_call *call = user;
    call->status = result->status;
    ez_error_copy(&call->error, result->error);
    call->retry_after_ms = result->info->retry_after_ms;
    call->server = result->info->server;
    if (result->reply.len > 0 && ez_buf_append(&call->reply, result->reply.data, result->reply.len) != EZ_OK) {
        call->status = ez_error_set(&call->error, EZ_RESOURCE_EXHAUSTED, "REPLY_TOO_LARGE",
                                    "A reply of %zu bytes is more than is kept of one.", result->reply.len);
    }
    pthread_mutex_lock(&call->mutex);
    call->is_under_way = false;
    call->is_done = true;
    bool is_last = call->ready == NULL;
    if (!is_last) {
        call->ready(call->user);
    }
    pthread_mutex_unlock(&call->mutex);
    if (is_last) {
        destroy(call);
    }
}

bool ez_session_call_start(ez_session_call *call, ez_client *client, const ez_method *method,
                           const ProtobufCMessage *request, const ez_call_options *options) {
    clear_reply(call);
    ez_error_clear(&call->error);
    call->retry_after_ms = 0;
    call->is_busy = true;
    pthread_mutex_lock(&call->mutex);
    call->is_under_way = true;
    call->is_done = false;
    pthread_mutex_unlock(&call->mutex);
    if (ez_client_start(client, method, request, options, on_done, call, &call->error) == EZ_OK) {
        return true;
    }
    pthread_mutex_lock(&call->mutex);
    call->is_under_way = false;
    pthread_mutex_unlock(&call->mutex);
    call->is_busy = false;
    return false;
}

bool ez_session_call_is_busy(const ez_session_call *call) {
    return call->is_busy;
}

bool ez_session_call_take(ez_session_call *call, ez_status *status, const ez_error **error, ez_slice *reply) {
    pthread_mutex_lock(&call->mutex);
    bool is_done = call->is_done;
    call->is_done = false;
    pthread_mutex_unlock(&call->mutex);
    if (!is_done) {
        return false;
    }
    call->is_busy = false;
    *status = call->status;
    *error = &call->error;
    *reply = (ez_slice){call->reply.data, call->reply.len};
    return true;
}

uint32_t ez_session_call_retry_after(const ez_session_call *call) {
    return call->retry_after_ms;
}

uint32_t ez_session_call_server(const ez_session_call *call) {
    return call->server;
}
