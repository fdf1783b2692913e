// SPDX-License-Identifier: Apache-2.0
//
// What the files of this folder share, and nobody else sees.
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "ez/v1/namespace.pb-c.h"
#include "ez/v1/setting.pb-c.h"
#include "server/domain/redis/kinds.h"
#include "server/domain/redis/link.h"
#include "server/domain/redis/redis.h"
#include "server/domain/redis/refresh.h"
#include "server/domain/redis/unsent.h"

#define KIND_SETTING    EZ__V1__KIND__KIND_SETTING
#define EZ_REDIS_META   "meta:ezplane"
#define SETTING_SYNC    "redis_sync"
#define EZ_REDIS_EXTRAS 20000 // resources of other kinds that wait; more: a rebuild
#define EZ_VIEW_ROWS    100   // due rows that are shown
#define TICK_MS         1000
#define NS_PER_MS       INT64_C(1000000)

// ---- What was taken from the feed beside what its ring holds: kinds that data planes do not get

typedef struct ez_extras {
    pthread_mutex_t lock;
    ez_unit *units; // EZ_REDIS_EXTRAS
    size_t count;
    bool is_over; // some were lost
} ez_extras;

// ---- What is shown. Under the lock; written by the thread, read by anybody.

typedef struct ez_view_row {
    ez_unit unit;
    uint64_t n;
    uint32_t tries;
    bool is_parked;
    int64_t since_ns, next_ns;
    char error[EZ_SYNC_ERROR_MAX];
} ez_view_row;

typedef struct ez_view {
    bool is_writer; // this server writes
    char server[EZ_SYNC_SERVER_MAX];
    bool is_answering; // Redis did when it was asked last
    bool is_rebuilding;
    uint64_t epoch, n; // Redis has all up to here; epoch 0: it is not whole
    int64_t behind_since_ns;
    size_t due, parked;
    int64_t oldest_ns; // of the due rows
    int64_t rebuilt_ns;
    int64_t error_ns;
    char error[EZ_SYNC_ERROR_MAX];
    int64_t refresh_waiting; // −1: not known
    int64_t as_of_ns;
    char word[EZ_SYNC_WORD_MAX]; // what a server that writes said of itself; "" here
    size_t row_count;
    ez_view_row rows[EZ_VIEW_ROWS];
} ez_view;

typedef enum ez_phase {
    EZ_PHASE_NONE,    // following
    EZ_PHASE_CLAIM,   // a rebuild is due
    EZ_PHASE_TABLES,  // hashes that are made anew beside the old ones
    EZ_PHASE_RECORDS, // keys of their own, written over the old ones
    EZ_PHASE_SWEEP,   // what should not be there
} ez_phase;

typedef struct ez_rebuild {
    ez_phase phase;
    size_t row;          // of ez_redis_kinds
    int64_t after;       // id
    char scan[24];       // Redis's cursor
    uint64_t asked;      // how many an admin had asked for when it began
    bool is_asked;       // by an admin
    uint64_t begun_ms;   // monotonic
    uint64_t not_before; // monotonic: when one may begin that nobody asked for
    unsigned full;       // how often in a row Redis had no room for it
    char why[160];
} ez_rebuild;

struct ez_redis {
    ez_redis_options options;
    bool is_on;
    ez_redis_url url;
    char *prefix;
    int wake_fd, stop_fd;
    pthread_t thread;
    bool is_started;
    ez_feed_watcher watcher;
    ez_extras extras;
    ez_refresher *refresher;
    pthread_mutex_t view_lock;
    ez_view view;
    // Counters for metrics.
    _Atomic uint64_t batches, written, refused, failures, rebuilds, parked_total;

    // ---- The thread's own
    uint64_t token; // 0: another server writes
    ez_redis_link *link;
    unsigned failures_in_a_row;
    bool is_well;      // and has said so
    uint64_t retry_ms; // monotonic: when to connect again
    ez_batch batch;
    ez_unit *units; // EZ_BATCH_UNITS: of one batch
    ez_was *was;    // likewise
    ez_unsent due;
    ez_rebuild rebuild;
    ez_feed_cursor at; // of the feed: what comes next
    uint64_t goal_n;   // where the batch at hand leads
    uint64_t done_n;   // Redis has all up to here, and says so
    bool is_whole;     // it was made whole in this epoch
    uint64_t batch_no; // the last batch that Redis took, as it counts them in meta:ezplane
    bool is_answering;
    int64_t behind_since_ns;
    uint64_t rebuilds_done, retries_done;
    int64_t rebuilt_ns, error_ns;
    char error[EZ_SYNC_ERROR_MAX];
    int64_t refresh_waiting;
    uint64_t look_ms;    // when Redis is looked at again though nothing changed
    uint64_t persist_ms; // when the store may be written again
    bool is_persist_due;
};

// ---- trip.c

typedef enum ez_trip_kind {
    EZ_TRIP_FOLLOW,  // may say that the revision was reached
    EZ_TRIP_PART,    // may not
    EZ_TRIP_REBUILD, // into new tables, over old keys
} ez_trip_kind;

// Writes units[0 … *done) as they are now in one MULTI; *done may be less than count: call again with the rest. The
// revision goal_n is said to be reached where it is allowed and nothing is left to follow from it. UNAVAILABLE: Redis
// is away, or refuses everything; nothing was written. DATA_LOSS (REDIS_LOST): it is not what we left: rebuild. ABORTED
// (FENCED): another server writes. A resource that Redis would not take becomes due.
ez_status ez_trip(ez_redis *r, ez_trip_kind kind, const ez_unit *units, size_t count, size_t *done,
                  ez_error *error) EZ_MUST_CHECK;
// Runs commands that are in the batch already, after ez_trip_begin, the same way. A claim is the first of a rebuild: it
// is made also where Redis is not as we left it. reaches: says the revision goal_n.
void ez_trip_begin(ez_redis *r);
ez_status ez_trip_commands(ez_redis *r, bool is_claim, bool reaches, ez_error *error) EZ_MUST_CHECK;
// Takes keys away outside of a MULTI, within which a Redis that is full refuses even that. Unless a newer server
// writes; one that begins in the very moment between is not noticed, so only for what a rebuild may lose.
ez_status ez_trip_unlink(ez_redis *r, const char *const *keys, size_t count, ez_error *error) EZ_MUST_CHECK;
// Looks whether Redis is as we left it, its index is there, and how long the refresh queue is.
ez_status ez_trip_look(ez_redis *r, ez_error *error) EZ_MUST_CHECK;
// Looks whether it answers.
ez_status ez_trip_ping(ez_redis *r, ez_error *error) EZ_MUST_CHECK;

// ---- follow.c

// Writes the next changes, a batch of them, and what follows from them. *worked: there were some.
ez_status ez_follow(ez_redis *r, bool *worked, ez_error *error) EZ_MUST_CHECK;
// Tries again what is due. *worked likewise.
ez_status ez_follow_due(ez_redis *r, bool *worked, ez_error *error) EZ_MUST_CHECK;
// Takes units that waited outside the ring.
void ez_extras_take(void *user, const ez_store_change *changes, size_t count);
void ez_extras_forget(ez_extras *extras);

// ---- rebuild.c

// Everything is to be written anew, because of why.
void ez_rebuild_ask(ez_redis *r, const char *why, bool by_admin);
// One step. Where Redis is not whole, following waits until the tables are there.
ez_status ez_rebuild_step(ez_redis *r, ez_error *error) EZ_MUST_CHECK;
bool ez_rebuild_is_running(const ez_redis *r);
// One is due, and may not begin yet: Redis is asked nothing but whether it answers.
bool ez_rebuild_waits(const ez_redis *r);
// A cursor is of the process that gave it: on a new connection the scan begins again.
void ez_rebuild_scan_anew(ez_redis *r);
// Changes may be followed beside it.
bool ez_rebuild_lets_follow(const ez_redis *r);

// ---- state.c

// Reads what the store has: the cursor, the due rows, what was asked.
ez_status ez_state_load(ez_redis *r, ez_error *error) EZ_MUST_CHECK;
// Writes it where something changed and the last time is a while ago; now: at once.
ez_status ez_state_save(ez_redis *r, bool now, ez_error *error) EZ_MUST_CHECK;
// Looks what admins asked for: the setting's counters.
void ez_state_look_asked(ez_redis *r);
void ez_state_show(ez_redis *r);        // of the server that writes
void ez_state_show_others(ez_redis *r); // of one that does not
void ez_state_note_error(ez_redis *r, const ez_error *error);
// How many rebuilds and retries admins have asked for.
void ez_state_asked(const ez_redis *r, uint64_t *rebuilds, uint64_t *retries);
