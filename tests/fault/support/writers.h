// SPDX-License-Identifier: Apache-2.0
//
// Load that keeps books: threads that create, change, disable and delete keys, each under an idempotency key, repeating
// a change until it is acknowledged, whatever happens to the server meanwhile. When they rest, what the server has must
// be exactly what they were told: nothing lost, nothing twice.
//
//     ez_writers writers;
//     given_writers(&writers, &w, 4);
//     …kill, cut, restart…
//     rest(&writers);             // every change that was begun is acknowledged
//     expect_nothing_lost(&writers);
//     resume(&writers);
//     end_writers(&writers);
#pragma once

#include "tests/integration/support/world.h"

#define EZ_WRITERS_MAX     8
#define EZ_WRITER_ROWS_MAX 400

typedef struct ez_written {
    int64_t id;
    char name[32];
    uint64_t seq; // label of the last acknowledged change
    bool is_disabled;
    uint8_t token_sha256[32];
} ez_written;

typedef struct ez_writer_thread {
    struct ez_writers *writers;
    pthread_t thread;
    unsigned index;
    ez_client *client;
    uint64_t random;
    // Its own while it runs, the test's while it rests:
    ez_written rows[EZ_WRITER_ROWS_MAX];
    size_t row_count;
    uint64_t ops;     // acknowledged; op n has request id and idempotency key "w<index>-<n>"
    uint64_t refused; // answers that were neither OK nor "again later"
    uint64_t repeats; // calls that had to be made again
    ez_error last;    // of the last call
    ez_error refusal; // the last answer that should not have come
    const char *doing;
} ez_writer_thread;

typedef struct ez_writers {
    ez_world *world;
    int64_t master_id;
    unsigned count;
    ez_writer_thread threads[EZ_WRITERS_MAX];
    pthread_mutex_t mutex; // guards what follows
    pthread_cond_t changed;
    bool wants_rest, wants_end;
    unsigned resting;
    uint64_t acknowledged; // changes, of all
    // The test's:
    int64_t audited_id;
    uint8_t audited_hash[32];
    uint64_t audited_ops[EZ_WRITERS_MAX];
    uint64_t revision; // up to which the change list was checked
} ez_writers;

void given_writers(ez_writers *writers, ez_world *world, unsigned count);
// Waits until this many more changes were acknowledged.
void await_writes(ez_writers *writers, uint64_t more);
uint64_t acknowledged(ez_writers *writers);
// Returns when no change is under way. The server must be able to answer.
void rest(ez_writers *writers);
void resume(ez_writers *writers);
// At rest. Keys, the change list, the audit chain and its entries: each acknowledged change once.
void expect_nothing_lost(ez_writers *writers);
void end_writers(ez_writers *writers);
