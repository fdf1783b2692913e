// SPDX-License-Identifier: Apache-2.0
//
// A subscriber of a PUB socket that keeps every byte that came, whatever the topic: what a data plane, or a thief,
// sees.
#pragma once

#include <nng/nng.h>
#include <pthread.h>

#include "proto/runtime/frame.h"

typedef struct ez_listener {
    nng_socket socket;
    nng_aio *aio;
    pthread_mutex_t mutex; // guards what follows
    nng_msg **frames;
    size_t count, cap;
} ez_listener;

// Listens to a socket on which nothing may come.
void given_silent_listener(ez_listener *listener, const char *url);
// Listens, and returns when something has come: the server's heartbeat.
void given_listener(ez_listener *listener, const char *url);
void end_listener(ez_listener *listener);
size_t listener_count(ez_listener *listener);

// One event, unpacked into arena.
typedef struct ez_heard {
    const char *topic;
    Ez__V1__EventHeader *header;
    ez_slice message;
} ez_heard;
ez_heard listener_event(ez_listener *listener, size_t index, ez_arena *arena);
// True once an event that leads to this revision, or past it, has come.
bool listener_reached(ez_listener *listener, uint64_t revision);
// Whether any frame holds these bytes.
bool listener_has(ez_listener *listener, const void *bytes, size_t len);
