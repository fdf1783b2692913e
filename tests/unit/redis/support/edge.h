// SPDX-License-Identifier: Apache-2.0
//
// A world (tests/unit/access/support/world.h) with Redis at its edge: the thread under test against a real
// redis-server.
#pragma once

#include <stdatomic.h>

#include "server/domain/redis/redis.h"
#include "tests/support/redis.h"
#include "tests/support/wait.h"
#include "tests/unit/access/support/world.h"

typedef struct edge {
    world *w;
    ez_test_redis server;
    char url[128]; // what the thread is told; empty: the server's
    ez_redis *redis;
    int64_t interval_ms, batch, max_tries;
    _Atomic uint64_t token; // 0: somebody else writes
    _Atomic unsigned healed;
    _Atomic unsigned failed;
    ez_status (*refresh)(void *user, const ez_refresh_request *request, ez_error *error);
    void *refresh_user;
} edge;

// A world and a Redis; the thread follows.
void given_edge(edge *e, const char *const *redis_args);
void end_edge(edge *e);
// The thread ends and another begins, as at a restart of the server.
void open_edge(edge *e);
void close_edge(edge *e);

// Whether Redis says that it has all that is committed.
bool is_even(edge *e);
// A number of its metrics ("rebuilds_total").
long long metric_of(edge *e, const char *name);
const char *word_of_edge(edge *e);
// Asks as an admin does: another rebuild, another retry.
void ask_edge(edge *e, bool for_rebuild);

const char *token_key(const Ez__V1__Key *key, char out[80]);
