// SPDX-License-Identifier: Apache-2.0
//
// What several servers were asked and what they said: writers, each of which makes one change after the other at
// whichever server answers, and a reader of each server's feed. A change is asked for until it is acknowledged, at one
// server or another, under one idempotency key, so it has to happen exactly once; what a reader is given must be every
// revision once, in order, and the same at all servers.
//
// Threads note the first thing that is wrong; the test's own thread asserts it.
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "tests/integration/support/world.h"

#define EZ_HISTORY_SERVERS 3
#define EZ_HISTORY_WRITERS 6
#define EZ_HISTORY_OPS     3000  // of a writer
#define EZ_HISTORY_MAX     20000 // revisions

typedef struct ez_history_op {
    uint64_t revision; // as acknowledged
    int64_t key_id;
} ez_history_op;

typedef struct ez_history_writer {
    struct ez_history *history;
    pthread_t thread;
    unsigned index;
    uint64_t random;
    ez_client *clients[EZ_HISTORY_SERVERS];
    ez_history_op ops[EZ_HISTORY_OPS]; // op n is "w<index>-<n>", from 1 on
    size_t op_count;
    int64_t key_id;   // the key it works on; 0: none
    uint64_t label;   // of that key, as acknowledged last
    uint64_t repeats; // attempts that were not the first
} ez_history_writer;

typedef struct ez_history_reader {
    struct ez_history *history;
    pthread_t thread;
    unsigned server;
    _Atomic uint64_t cursor;
} ez_history_reader;

typedef struct ez_history {
    ez_world *worlds; // EZ_HISTORY_SERVERS
    int64_t master_id;
    char plane_token[64];
    uint64_t epoch, begin; // where it began
    ez_history_writer writers[EZ_HISTORY_WRITERS];
    ez_history_reader readers[EZ_HISTORY_SERVERS];
    atomic_bool ends_writing, ends_reading;
    _Atomic uint64_t acknowledged;
    pthread_mutex_t lock;           // guards what follows
    uint64_t given[EZ_HISTORY_MAX]; // by revision − begin: a hash of what the first reader was given; 0: nobody yet
    char fault[512];                // the first one; "": none
} ez_history;

// Sets up and starts. worlds: running servers on one database.
void given_history(ez_history *history, ez_world *worlds, uint64_t seed);
// Fails the test where something is wrong already.
void expect_no_fault(ez_history *history);
// All servers run and reach their database. Lets writers finish what they are at and readers reach the head, then
// compares all of it with each other, with the change list, the audit and the keys as each server has them.
void expect_true_history(ez_history *history);
void end_history(ez_history *history);
