// SPDX-License-Identifier: Apache-2.0
//
// Two short arrays: usage picks by chance, and rows seldom change while it is made.
#include "tools/dpsim/held.h"

#include "ez/v1/key.pb-c.h"

void ez_sim_held_init(ez_sim_held *held) {
    *held = (ez_sim_held){0};
    pthread_mutex_init(&held->mutex, NULL);
}

void ez_sim_held_fini(ez_sim_held *held) {
    pthread_mutex_destroy(&held->mutex);
}

static void put(ez_held_key *list, unsigned *count, ez_held_key key) {
    for (unsigned i = 0; i < *count; i++) {
        if (list[i].id == key.id) {
            list[i] = key;
            return;
        }
    }
    if (*count < EZ_HELD_MAX) {
        list[(*count)++] = key;
    }
}

static void drop(ez_held_key *list, unsigned *count, int64_t id) {
    for (unsigned i = 0; i < *count; i++) {
        if (list[i].id == id) {
            list[i] = list[--*count];
            return;
        }
    }
}

void ez_sim_held_put(ez_sim_held *held, Ez__V1__Kind kind, int64_t id, const ProtobufCMessage *resource) {
    pthread_mutex_lock(&held->mutex);
    if (kind == EZ__V1__KIND__KIND_KEY) {
        put(held->keys, &held->key_count, (ez_held_key){id, ((const Ez__V1__Key *)resource)->master_id});
    } else if (kind == EZ__V1__KIND__KIND_API_KEY) {
        put(held->api_keys, &held->api_key_count, (ez_held_key){id, ((const Ez__V1__ApiKey *)resource)->group_id});
    }
    pthread_mutex_unlock(&held->mutex);
}

void ez_sim_held_delete(ez_sim_held *held, Ez__V1__Kind kind, int64_t id) {
    pthread_mutex_lock(&held->mutex);
    if (kind == EZ__V1__KIND__KIND_KEY) {
        drop(held->keys, &held->key_count, id);
    } else if (kind == EZ__V1__KIND__KIND_API_KEY) {
        drop(held->api_keys, &held->api_key_count, id);
    }
    pthread_mutex_unlock(&held->mutex);
}

bool ez_sim_held_read(ez_sim_held *held, ez_sim_held *out) {
    pthread_mutex_lock(&held->mutex);
    *out = *held;
    pthread_mutex_unlock(&held->mutex);
    return out->key_count > 0 && out->api_key_count > 0;
}
