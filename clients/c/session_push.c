// SPDX-License-Identifier: Apache-2.0
//
// The SUB socket of a session and the inbox between nng and the worker. The session owns the socket and what is in the
// inbox. Awkward: in nng 1.5.2 a receive on SUB must never time out nor be cancelled, so exactly one is pending for the
// socket's life: its callback puts the event into the inbox and receives again; closing closes the socket first. Where
// the inbox is full the event is dropped and counted: the next one shows the gap.
#include <nng/nng.h>
#include <nng/protocol/pubsub0/sub.h>
#include <stdio.h>
#include <string.h>

#include "clients/c/session_private.h"
#include "proto/runtime/log.h"

// With its NUL: "config" alone would also take "configuration".
#define TOPIC "config"

static void on_event(void *user) {
    ez_session *session = user;
    ez_session_push *push = &session->push;
    int rv = nng_aio_result(push->aio);
    if (rv == NNG_ECLOSED || rv == NNG_ECANCELED) {
        return;
    }
    nng_msg *msg = rv == 0 ? nng_aio_get_msg(push->aio) : NULL;
    nng_aio_set_msg(push->aio, NULL);
    if (msg != NULL) {
        size_t len = nng_msg_len(msg);
        pthread_mutex_lock(&session->group->mutex);
        bool fits = push->count < EZ_INBOX_EVENTS && (push->count == 0 || push->bytes + len <= EZ_INBOX_BYTES) &&
                    !session->is_closed;
        if (fits) {
            push->inbox[(push->head + push->count++) % EZ_INBOX_EVENTS] = msg;
            push->bytes += len;
        } else {
            push->dropped++;
        }
        ez_group_ready(session->group, session);
        pthread_mutex_unlock(&session->group->mutex);
        if (!fits) {
            nng_msg_free(msg);
        }
    }
    nng_recv_aio(push->socket, push->aio);
}

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *user) {
    ez_session *session = user;
    pthread_mutex_lock(&session->group->mutex);
    if (event == NNG_PIPE_EV_ADD_POST) {
        session->push.pipe = pipe;
    } else if (session->push.pipe.id == pipe.id) {
        session->push.pipe = (nng_pipe)NNG_PIPE_INITIALIZER;
    }
    pthread_mutex_unlock(&session->group->mutex);
}

static int set_up(ez_session *session) {
    nng_socket socket = session->push.socket;
    int rv = nng_socket_set(socket, NNG_OPT_SUB_SUBSCRIBE, TOPIC, sizeof TOPIC);
    if (rv == 0) {
        rv = nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, EZ_EVENT_MAX);
    }
    if (rv == 0) {
        rv = nng_pipe_notify(socket, NNG_PIPE_EV_ADD_POST, on_pipe, session);
    }
    if (rv == 0) {
        rv = nng_pipe_notify(socket, NNG_PIPE_EV_REM_POST, on_pipe, session);
    }
    return rv == 0 ? nng_aio_alloc(&session->push.aio, on_event, session) : rv;
}

ez_status ez_push_open(ez_session *session, ez_error *error) {
    int rv = nng_sub0_open(&session->push.socket);
    session->push.is_open = rv == 0;
    if (rv == 0) {
        rv = set_up(session);
    }
    if (rv != 0) {
        return ez_error_set(error, EZ_UNAVAILABLE, "NO_SOCKET", "A socket for pushed changes can't be opened: %s.",
                            nng_strerror(rv));
    }
    nng_aio_set_timeout(session->push.aio, NNG_DURATION_INFINITE);
    nng_recv_aio(session->push.socket, session->push.aio);
    return EZ_OK;
}

void ez_push_close(ez_session *session) {
    ez_session_push *push = &session->push;
    if (push->is_open) {
        nng_close(push->socket);
    }
    if (push->aio != NULL) {
        nng_aio_stop(push->aio);
        nng_aio_free(push->aio);
    }
    for (; push->count > 0; push->count--) {
        nng_msg_free(push->inbox[push->head]);
        push->head = (push->head + 1) % EZ_INBOX_EVENTS;
    }
}

void ez_push_dial(ez_session *session, const char *url) {
    ez_session_push *push = &session->push;
    if (push->is_dialed && strcmp(push->url, url) == 0) {
        return;
    }
    ez_error error;
    ez_error_clear(&error);
    nng_dialer old = push->dialer;
    const ez_client_tls tls = {
        .ca_file = session->tls_ca, .cert_file = session->tls_cert, .server_name = session->tls_name};
    ez_status status = ez_dial_check_url(url, &error);
    if (status == EZ_OK) {
        status = ez_dial(push->socket, url, &tls, EZ_EVENT_MAX, &push->dialer, &error);
    }
    if (status != EZ_OK) {
        ez_log_warn("the push socket can't be followed; changes are fetched instead", "reason", error.message);
        return;
    }
    if (push->is_dialed) {
        nng_dialer_close(old);
    }
    push->is_dialed = true;
    snprintf(push->url, sizeof push->url, "%s", url);
}

nng_msg *ez_push_take(ez_session *session) {
    ez_session_push *push = &session->push;
    nng_msg *msg = NULL;
    pthread_mutex_lock(&session->group->mutex);
    if (push->count > 0) {
        msg = push->inbox[push->head];
        push->head = (push->head + 1) % EZ_INBOX_EVENTS;
        push->count--;
        push->bytes -= nng_msg_len(msg);
    }
    pthread_mutex_unlock(&session->group->mutex);
    return msg;
}

void ez_push_reconnect(ez_session *session) {
    pthread_mutex_lock(&session->group->mutex);
    nng_pipe pipe = session->push.pipe;
    pthread_mutex_unlock(&session->group->mutex);
    if (pipe.id != 0) {
        nng_pipe_close(pipe);
    }
}
