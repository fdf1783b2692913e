// SPDX-License-Identifier: Apache-2.0
//
// How far Redis is, as the store keeps it: the cursor of the server that writes to it, what that server last said, and
// the resources that Redis would not take. Written by one server at a time, the one with the greatest fence; read by
// all. Threads as in store.h: each call blocks, one at a time.
#pragma once

#include "server/state/store/store.h"

#define EZ_SYNC_WORD_MAX   32
#define EZ_SYNC_ERROR_MAX  240
#define EZ_SYNC_PLACE_MAX  1024
#define EZ_SYNC_SERVER_MAX 40

typedef struct ez_sync_state {
    uint64_t epoch, n; // Redis has all up to this revision; epoch 0: it was never made whole
    uint64_t fence;    // token of the server that wrote this
    char state[EZ_SYNC_WORD_MAX];
    char server[EZ_SYNC_SERVER_MAX];
    uint64_t rebuilds, retries; // how many of those that admins asked for were done
    int64_t rebuilt_ns;         // when it was last made whole
    char error[EZ_SYNC_ERROR_MAX];
    int64_t error_ns; // when that came last; 0: never
    int64_t updated_ns;
} ez_sync_state;

// A resource that Redis would not take.
typedef struct ez_sync_due {
    int kind;
    int64_t id;
    uint64_t n;     // Redis had all up to this revision when it was tried last
    ez_slice place; // what stands for it in Redis, where the resource itself may be gone; at most EZ_SYNC_PLACE_MAX
    uint32_t tries;
    int64_t since_ns; // first try
    int64_t next_ns;  // next try
    bool is_parked;   // not tried again until somebody says so
    const char *error;
} ez_sync_due;

ez_status ez_store_read_sync(ez_store *store, ez_sync_state *out, ez_error *error) EZ_MUST_CHECK;
// Calls each for every row that is due or parked, in the order of kind and id.
typedef ez_status ez_sync_due_fn(void *user, const ez_sync_due *due, ez_error *error);
ez_status ez_store_each_sync_due(ez_store *store, ez_sync_due_fn *each, void *user, ez_error *error) EZ_MUST_CHECK;

typedef struct ez_sync_write {
    const ez_sync_state *state;
    bool clears; // all rows that were there go
    const ez_sync_due *puts;
    size_t put_count;
    const ez_sync_due *deletes; // kind and id
    size_t delete_count;
} ez_sync_write;

// All of it in one transaction. ABORTED (FENCED): a server with a greater fence has written; nothing was.
ez_status ez_store_write_sync(ez_store *store, const ez_sync_write *write, ez_error *error) EZ_MUST_CHECK;
