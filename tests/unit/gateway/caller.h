// SPDX-License-Identifier: Apache-2.0
//
// Who calls through an ez_backend in tests, on a loop that the test turns itself while it waits.
#pragma once

#include <event2/event.h>
#include <nng/nng.h>
#include <stdbool.h>

#include "proto/runtime/error.h"

#define WAIT_MS 10000 // then a test gives up

typedef struct outcome {
    int count; // how often it ended
    bool is_ok;
    char text[64]; // the reply
    ez_error error;
} outcome;

extern struct event_base *base;

void make_base(void);
void free_base(void);

// An ez_backend_done; arg is an outcome.
void on_done(void *arg, const void *frame, size_t len, const ez_error *error);

// One turn of the loop, at most 10 ms.
void turn(void);

// Listens on a free port of 127.0.0.1, which it returns.
int listen_anywhere(nng_socket socket);
