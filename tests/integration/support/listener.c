// SPDX-License-Identifier: Apache-2.0
//
// One receive is always pending and is never timed out (nng 1.5.2 does not bear that); waiting is done by looking at
// what has come. Frames are kept whole, and freed with the listener.
#include "tests/integration/support/listener.h"

#include <nng/protocol/pubsub0/sub.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/expect.h"
#include "tests/support/wait.h"

static void on_event(void *arg) {
    ez_listener *listener = arg;
    if (nng_aio_result(listener->aio) != 0)
        return;
    nng_msg *frame = nng_aio_get_msg(listener->aio);
    pthread_mutex_lock(&listener->mutex);
    if (listener->count == listener->cap) {
        listener->cap = listener->cap ? 2 * listener->cap : 256;
        listener->frames = realloc(listener->frames, listener->cap * sizeof *listener->frames);
        if (!listener->frames)
            abort();
    }
    listener->frames[listener->count++] = frame;
    pthread_mutex_unlock(&listener->mutex);
    nng_recv_aio(listener->socket, listener->aio);
}

void given_silent_listener(ez_listener *listener, const char *url) {
    *listener = (ez_listener){.count = 0};
    pthread_mutex_init(&listener->mutex, NULL);
    cr_assert_eq(nng_sub0_open(&listener->socket), 0);
    cr_assert_eq(nng_socket_set_int(listener->socket, NNG_OPT_RECVBUF, 4096), 0);
    cr_assert_eq(nng_socket_set(listener->socket, NNG_OPT_SUB_SUBSCRIBE, "", 0), 0);
    cr_assert_eq(nng_aio_alloc(&listener->aio, on_event, listener), 0);
    nng_aio_set_timeout(listener->aio, NNG_DURATION_INFINITE);
    int rv = nng_dial(listener->socket, url, NULL, 0);
    cr_assert_eq(rv, 0, "can't subscribe: %s", nng_strerror(rv));
    nng_recv_aio(listener->socket, listener->aio);
}

void given_listener(ez_listener *listener, const char *url) {
    given_silent_listener(listener, url);
    expect_soon(listener_count(listener) > 0);
}

void end_listener(ez_listener *listener) {
    nng_close(listener->socket);
    nng_aio_stop(listener->aio);
    nng_aio_free(listener->aio);
    for (size_t i = 0; i < listener->count; i++)
        nng_msg_free(listener->frames[i]);
    free(listener->frames);
    pthread_mutex_destroy(&listener->mutex);
}

size_t listener_count(ez_listener *listener) {
    pthread_mutex_lock(&listener->mutex);
    size_t count = listener->count;
    pthread_mutex_unlock(&listener->mutex);
    return count;
}

static nng_msg *frame_at(ez_listener *listener, size_t index) {
    pthread_mutex_lock(&listener->mutex);
    nng_msg *frame = listener->frames[index];
    pthread_mutex_unlock(&listener->mutex);
    return frame;
}

ez_heard listener_event(ez_listener *listener, size_t index, ez_arena *arena) {
    nng_msg *frame = frame_at(listener, index);
    ez_heard heard = {0};
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_frame_read_event(nng_msg_body(frame), nng_msg_len(frame), arena, &heard.topic, &heard.header,
                                  &heard.message, &error),
              &error);
    return heard;
}

bool listener_reached(ez_listener *listener, uint64_t revision) {
    ez_arena arena;
    ez_arena_init(&arena, 1u << 20);
    bool is_there = false;
    for (size_t i = listener_count(listener); i > 0 && !is_there; i--) {
        ez_arena_reset(&arena);
        ez_heard heard = listener_event(listener, i - 1, &arena);
        is_there = heard.header->to && heard.header->to->n >= revision;
    }
    ez_arena_fini(&arena);
    return is_there;
}

bool listener_has(ez_listener *listener, const void *bytes, size_t len) {
    size_t count = listener_count(listener);
    for (size_t i = 0; i < count; i++) {
        nng_msg *frame = frame_at(listener, i);
        if (memmem(nng_msg_body(frame), nng_msg_len(frame), bytes, len))
            return true;
    }
    return false;
}
