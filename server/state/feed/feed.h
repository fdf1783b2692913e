// SPDX-License-Identifier: Apache-2.0
//
// ez_feed: the newest changes in memory, encoded once: what Config.Fetch gives and PUB pushes. Follows the commits in
// order.
//
// Locking: one thread appends (the writer's). Reading takes no lock that the appender holds (RCU; readers enter and
// leave by themselves). Bounded by keep changes; what falls out is too old for a delta.
#pragma once

#include <stdint.h>

#include "proto/runtime/buf.h"
#include "proto/runtime/error.h"
#include "server/platform/publish/publish.h"
#include "server/state/store/store.h"

typedef struct ez_feed ez_feed;

typedef struct ez_revision {
    uint64_t epoch;
    uint64_t n;
} ez_revision;

typedef struct ez_feed_options {
    uint64_t epoch;
    uint64_t n;          // the head
    size_t keep;         // changes, EZ_FEED_KEEP
    ez_publish *publish; // NULL: nobody is pushed to
} ez_feed_options;

ez_status ez_feed_create(const ez_feed_options *options, ez_feed **out, ez_error *error) EZ_MUST_CHECK;
void ez_feed_destroy(ez_feed *feed);

// Kinds that data planes get: masters to bindings. Others only move the revision.
bool ez_kind_is_config(int kind);

// Fills in what the store still keeps; before the first append. Must reach exactly to the head.
ez_status ez_feed_load(ez_feed *feed, ez_store *store, ez_error *error) EZ_MUST_CHECK;

// The revisions from+1 … to have been committed: remembers and pushes them. from must be the head (asserted). The
// slices are copied. digest: of all config resources after revision "to". Splits what is too large for one event at
// revision boundaries; a revision that is too large alone goes as "fetch".
ez_status ez_feed_append(ez_feed *feed, uint64_t to, const ez_store_change *changes, size_t count,
                         const uint8_t digest[32], int64_t time_ns, bool ack_now, ez_error *error) EZ_MUST_CHECK;

// Goes to revision "to" without the changes in between, which are lost (trimmed before they were read): forgets all
// changes, so that data planes take a snapshot, and tells them to fetch. digest NULL: not known. The writer's thread.
void ez_feed_skip(ez_feed *feed, uint64_t to, const uint8_t *digest, int64_t time_ns);

// Says the digest of the head: once after loading, before others read. Appends say theirs.
void ez_feed_note_digest(ez_feed *feed, const uint8_t digest[32]);

// The push heartbeat: from = to = the revision pushed last, no changes. Nothing where something was pushed within
// quiet_ms: any event says that the server is there. From the timer's thread.
void ez_feed_beat(ez_feed *feed, int64_t time_ns, uint64_t quiet_ms);

// Somebody waits until data planes have revision n: the event that leads there, or past it, asks them to acknowledge at
// once; where it went out already, a heartbeat does. Any thread, nng's too.
void ez_feed_want_ack(ez_feed *feed, uint64_t n, int64_t time_ns);

// Somebody within this process who follows every change, of kinds that data planes do not get too. Both are called on
// the appender's thread and must not block: take with the changes of a commit before its revision can be seen by
// ez_feed_head, told once it can. Changes that were skipped are not taken.
typedef struct ez_feed_watcher {
    void (*take)(void *user, const ez_store_change *changes, size_t count);
    void (*told)(void *user);
    void *user;
} ez_feed_watcher;
// At most one; NULL: none. It must live until the appender has ended, or another took its place before the last commit.
void ez_feed_watch(ez_feed *feed, const ez_feed_watcher *watcher);

ez_revision ez_feed_head(const ez_feed *feed); // any thread, no lock

// The digest as of revision n, for the newest 4,096 revisions. Any thread.
bool ez_feed_digest(const ez_feed *feed, uint64_t n, uint8_t out[32]);

// The least revision a delta may start from.
uint64_t ez_feed_oldest(const ez_feed *feed);

// Where a delta goes on: the change after (n, seq). A page token carries it.
typedef struct ez_feed_cursor {
    uint64_t n;
    uint32_t seq; // changes of revision n + 1 … that were given already: see ez_feed_read
} ez_feed_cursor;

// Gives the encoded changes (Change messages, without secret) after the cursor and up to revision "until", oldest
// first, to each, which returns false when it has enough (that change is then not counted as given). Moves the cursor;
// *done when "until" was reached. OUT_OF_RANGE (REVISION_TOO_OLD) where the cursor is older than what is kept. each
// runs inside an RCU read section: no blocking.
typedef bool ez_feed_change_fn(void *user, int kind, int64_t id, int op, uint64_t secret_version, ez_slice encoded);
ez_status ez_feed_read(ez_feed *feed, ez_feed_cursor *cursor, uint64_t until, ez_feed_change_fn *each, void *user,
                       bool *done, ez_error *error) EZ_MUST_CHECK;

// Appends one encoded Change (without secret) to out: the one place where changes are encoded. resource: the packed
// resource, empty for a deletion or where only the id is wanted.
ez_status ez_change_encode(ez_buf *out, ez_revision revision, int kind, int64_t id, int op, uint64_t secret_version,
                           ez_slice resource) EZ_MUST_CHECK;
