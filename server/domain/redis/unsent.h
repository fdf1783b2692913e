// SPDX-License-Identifier: Apache-2.0
//
// ez_unsent: the resources that Redis would not take, each with how often and when it is tried again. Bounded. One
// thread; the store keeps a copy (server/state/store/sync.h). Times are wall clock: they outlive a restart.
#pragma once

#include "server/domain/redis/batch.h"
#include "server/state/store/sync.h"

#define EZ_UNSENT_MAX 10000 // rows; more: everything is written anew instead

typedef struct ez_unsent_row {
    ez_unit unit;
    uint64_t n;
    uint32_t tries;
    int64_t since_ns, next_ns;
    bool is_parked;
    bool is_dirty; // the store has it otherwise
    ez_was was;    // what the index said
    char error[EZ_SYNC_ERROR_MAX];
} ez_unsent_row;

typedef struct ez_unsent {
    int64_t interval_ns; // first pause; doubled at each try
    uint32_t max_tries;
    ez_unsent_row **rows; // by (kind, id)
    size_t count, room;
    ez_unit *gone; // rows the store still has
    size_t gone_count, gone_room;
    bool was_cleared; // the store's rows are all to go first
} ez_unsent;

void ez_unsent_init(ez_unsent *due, int64_t interval_ns, uint32_t max_tries);
void ez_unsent_fini(ez_unsent *due);

ez_unsent_row *ez_unsent_find(const ez_unsent *due, ez_unit unit); // NULL: none

// A try that Redis refused. *parked: it was the last one. RESOURCE_EXHAUSTED: there are too many rows.
ez_status ez_unsent_fail(ez_unsent *due, ez_unit unit, const ez_was *was, uint64_t n, const char *why, int64_t now_ns,
                         bool *parked) EZ_MUST_CHECK;
// It went well: no row any more.
void ez_unsent_settle(ez_unsent *due, ez_unit unit);
void ez_unsent_clear(ez_unsent *due);
// All parked rows are due at once, with as many tries as new ones. How many there were.
size_t ez_unsent_unpark(ez_unsent *due, int64_t now_ns);

// Rows whose time has come, at most max; how many.
size_t ez_unsent_take(const ez_unsent *due, int64_t now_ns, ez_unit *out, size_t max);
int64_t ez_unsent_next_ns(const ez_unsent *due); // INT64_MAX: nothing is due
size_t ez_unsent_parked(const ez_unsent *due);
int64_t ez_unsent_oldest_ns(const ez_unsent *due); // 0: there are none

// From and to the store. The arrays of the write are malloc'd: free puts and deletes. After a write that went well:
// ez_unsent_written.
ez_status ez_unsent_load(ez_unsent *due, ez_store *store, ez_error *error) EZ_MUST_CHECK;
ez_status ez_unsent_fill(const ez_unsent *due, ez_sync_write *write) EZ_MUST_CHECK;
void ez_unsent_written(ez_unsent *due);
