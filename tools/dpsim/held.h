// SPDX-License-Identifier: Apache-2.0
//
// ez_sim_held: which keys and API keys the simulated data planes hold, for usage to be of. One plane's session tells
// it; any thread may read.
#pragma once

#include <pthread.h>

#include "clients/c/session.h"

#define EZ_HELD_MAX 1024 // of each kind; what comes later is not used

typedef struct ez_held_key {
    int64_t id, owner; // owner: a key's master, an API key's group
} ez_held_key;

typedef struct ez_sim_held {
    pthread_mutex_t mutex; // guards all below
    ez_held_key keys[EZ_HELD_MAX], api_keys[EZ_HELD_MAX];
    unsigned key_count, api_key_count;
} ez_sim_held;

void ez_sim_held_init(ez_sim_held *held);
void ez_sim_held_fini(ez_sim_held *held);
// What on_put and on_delete of a session give.
void ez_sim_held_put(ez_sim_held *held, Ez__V1__Kind kind, int64_t id, const ProtobufCMessage *resource);
void ez_sim_held_delete(ez_sim_held *held, Ez__V1__Kind kind, int64_t id);
// A copy, with a mutex of no use. True where there is a key and an API key.
bool ez_sim_held_read(ez_sim_held *held, ez_sim_held *out);
