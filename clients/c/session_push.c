// SPDX-License-Identifier: Apache-2.0
//
// The SUB socket of a session and the inbox between nng and the worker. The session owns the socket and what is in the
// inbox. Awkward, all of it in nng 1.5.2: a receive on SUB must never time out nor be cancelled, so exactly one is
// pending for the socket's life: its callback puts the event into the inbox and receives again. And a connection must
// not be closed while a message comes in: between the read of a message's length and that of its body nng loses the
// receive, and its reaper waits for it for ever, with every later nng_close behind it (nng #1543). So a connection is
// closed in the callback of an event that has just come by it; servers send one each second. For the same reason a
// server that is no longer followed stays connected: what it says twice is ignored.
#include <nng/nng.h>
#include <nng/protocol/pubsub0/sub.h>
#include <stdio.h>
#include <string.h>

#include "clients/c/session_private.h"
#include "clients/c/socket_close.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"

// With its NUL: "config" alone would also take "configuration".
#define TOPIC "config"

// A receive that was pending for less was perhaps answered from nng's buffer: another message may be coming in.
#define PENDING_NS (2 * EZ_MS)

// In the callback of a receive that was pending nothing else is being read from the event's connection. Closing its
// dialer closes it too, and keeps nng from making another, which would be lost the same way if it were closed half
// made. The socket must not be closed meanwhile: nng 1.10 drops a reference to the dialer that it does not have then,
// and panics.
static void hush(ez_session *session, nng_pipe pipe) {
    bool is_safe = ez_clock_mono_ns() - session->push.armed_ns >= PENDING_NS;
    pthread_mutex_lock(&session->group->mutex);
    bool close = session->push.wants_quiet && is_safe;
    session->push.is_ending = close;
    pthread_mutex_unlock(&session->group->mutex);
    if (!close) {
        return;
    }
    nng_dialer_close(nng_pipe_dialer(pipe));
    pthread_mutex_lock(&session->group->mutex);
    session->push.is_ending = false;
    ez_group_ready(session->group, session);
    pthread_mutex_unlock(&session->group->mutex);
}

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
        hush(session, nng_msg_get_pipe(msg));
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
    push->armed_ns = ez_clock_mono_ns();
    nng_recv_aio(push->socket, push->aio);
}

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *user) {
    ez_session *session = user;
    pthread_mutex_lock(&session->group->mutex);
    if (event == NNG_PIPE_EV_ADD_POST) {
        session->push.pipe = pipe;
        session->push.pipes++;
    } else if (session->push.pipes > 0) {
        session->push.pipes--;
        ez_group_ready(session->group, session);
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
    session->push.armed_ns = ez_clock_mono_ns();
    nng_recv_aio(session->push.socket, session->push.aio);
    return EZ_OK;
}

bool ez_push_close(ez_session *session) {
    ez_session_push *push = &session->push;
    if (push->is_open && !ez_socket_close(push->socket)) {
        return false;
    }
    if (push->aio != NULL) {
        nng_aio_stop(push->aio);
        nng_aio_free(push->aio);
    }
    for (; push->count > 0; push->count--) {
        nng_msg_free(push->inbox[push->head]);
        push->head = (push->head + 1) % EZ_INBOX_EVENTS;
    }
    return true;
}

void ez_push_dial(ez_session *session, const char *url) {
    ez_session_push *push = &session->push;
    for (unsigned i = 0; i < push->dialed; i++) {
        if (strcmp(push->urls[i], url) == 0) {
            return;
        }
    }
    ez_error error;
    ez_error_clear(&error);
    ez_status status = push->dialed < EZ_PUSH_SERVERS_MAX
                           ? ez_dial_check_url(url, &error)
                           : ez_error_set(&error, EZ_RESOURCE_EXHAUSTED, "TOO_MANY_SERVERS",
                                          "more than %d push sockets were named", EZ_PUSH_SERVERS_MAX);
    const ez_client_tls tls = {
        .ca_file = session->tls_ca, .cert_file = session->tls_cert, .server_name = session->tls_name};
    if (status == EZ_OK) {
        status = ez_dial(push->socket, url, &tls, EZ_EVENT_MAX, &push->dialers[push->dialed], &error);
    }
    if (status != EZ_OK) {
        ez_log_warn("the push socket can't be followed; changes are fetched instead", "reason", error.message);
        return;
    }
    snprintf(push->urls[push->dialed++], EZ_URL_MAX, "%s", url);
}

void ez_push_hush(ez_session *session) {
    pthread_mutex_lock(&session->group->mutex);
    session->push.wants_quiet = true;
    pthread_mutex_unlock(&session->group->mutex);
}

bool ez_push_is_quiet(ez_session *session, bool no_longer_wait) {
    ez_session_push *push = &session->push;
    pthread_mutex_lock(&session->group->mutex);
    bool is_quiet = !push->is_ending && (push->pipes == 0 || no_longer_wait);
    if (is_quiet) {
        push->wants_quiet = false; // from here on the dialers are closed here
    }
    pthread_mutex_unlock(&session->group->mutex);
    if (!is_quiet) {
        return false;
    }
    for (; push->dialed > 0; push->dialed--) {
        nng_dialer_close(push->dialers[push->dialed - 1]);
    }
    return true;
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
    bool is_connected = session->push.pipes > 0;
    nng_pipe pipe = session->push.pipe;
    pthread_mutex_unlock(&session->group->mutex);
    if (is_connected) {
        nng_pipe_close(pipe);
    }
}

bool ez_push_is_connected(ez_session *session) {
    pthread_mutex_lock(&session->group->mutex);
    bool is_connected = session->push.pipes > 0;
    pthread_mutex_unlock(&session->group->mutex);
    return is_connected;
}
