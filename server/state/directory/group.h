// SPDX-License-Identifier: Apache-2.0
//
// A commit group: the changes that go into one store transaction, from running their handlers to their answers.
// Internal to the writer; all of it on the writer's thread.
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "server/state/directory/overlay.h"
#include "server/state/directory/writer.h"

#define EZ_GROUP_WRITES  256        // most writes of one group
#define EZ_GROUP_BYTES   (1u << 20) // changes past this close the group
#define EZ_GROUP_RETRIES 10         // runs of a group that other servers keep overtaking
#define EZ_GROUP_HOLDS   2          // after so many of them others are made to wait

// One write within its group.
typedef struct ez_group_item {
    ez_write *write;
    ez_slice request; // packed as it came, in the call's arena; handlers change the message itself
    bool is_packed;   // request holds it; where there was no memory for that, nothing is run
    bool has_key;     // it carries an idempotency key that counts
    bool is_recorded; // its answer goes to the store under the key
    bool is_changing; // it has a revision of its own
    bool is_settled;  // it does not depend on this group's commit
    bool has_lost;    // its fence is stale
    uint8_t key[EZ_SHA256_LEN];
    uint8_t request_hash[EZ_SHA256_LEN];
    struct ez_group_item *same; // the earlier write of the group whose answer is also this one's
    ez_store_audit audit;       // where is_changing; texts in the call's arena
    ez_buf sealed;              // where is_recorded: the reply as it is kept
} ez_group_item;

// The queue's own; fields below "guarded" by lock, the rest is the thread's alone.
struct ez_writer {
    ez_writer_options options;
    ez_store_head head;
    ez_overlay *overlay;
    ez_group_item items[EZ_GROUP_WRITES];
    size_t item_count;
    uint64_t looked_ms;       // when other servers' commits were looked for, monotonic
    bool has_chores;          // a tick asked for them, or there is more to forget
    uint64_t chores_since_ms; // when, monotonic
    uint64_t trim_from;       // changes of revisions before it may be forgotten
    uint64_t trim_next;       // what trim_from becomes
    uint64_t trim_next_ms;    // and when, monotonic
    pthread_t thread;
    _Atomic uint64_t followed_ms; // when the store was last seen to be where the directory is, monotonic
    _Atomic bool is_broken;       // the store's state is not known: nothing is accepted
    pthread_mutex_t lock;
    pthread_cond_t wake;
    ez_write *first;  // guarded
    ez_write **last;  // guarded
    size_t waiting;   // guarded
    bool is_stopping; // guarded
    bool is_ticked;   // guarded
    struct {
        uint64_t asked, ended, failed; // guarded: looks that were asked for, the last that ended, the last that failed
        pthread_cond_t over;
    } looks;
};

// Whether other servers may be on the same store: SQLite admits one.
bool ez_writer_has_others(const ez_writer *writer);

// Runs writer->items and answers them all, but for those it had no room for: *used says how many it answered.
void ez_group_run(ez_writer *writer, size_t *used);
// Answers one write with an error, outside of any group.
void ez_group_refuse(ez_write *write, const ez_error *error, ez_revision revision);

// ---- Looks that were asked for (look.c); the writer's thread

// Under the writer's lock.
bool ez_writer_owes_look(const ez_writer *writer);
// Takes the looks that are owed, all in one.
void ez_writer_take_looks(ez_writer *writer);

// ---- What the group needs from the store (catch_up.c)

// Applies and feeds what other servers have committed; where the store no longer has all of it, reads every row anew.
// An error leaves the directory at a revision that was, earlier than the store's.
ez_status ez_writer_catch_up(ez_writer *writer, ez_error *error) EZ_MUST_CHECK;

// Makes the directory what the store's tables are, without the changes that led there (resync.c).
ez_status ez_writer_resync(ez_writer *writer, ez_error *error) EZ_MUST_CHECK;

typedef enum ez_settled {
    EZ_SETTLED_YES,     // our group is in the store
    EZ_SETTLED_NO,      // it is not
    EZ_SETTLED_MOVED,   // another server's is: run again
    EZ_SETTLED_UNKNOWN, // the store does not answer
} ez_settled;
// After a commit of unknown outcome: asks the store until it answers, for 30 s at most.
ez_settled ez_writer_settle(ez_writer *writer, const ez_store_commit_group *group);

// Hands changes that are durable to directory and feed: entries by apply order, changes as the feed wants them. What
// the puts need must have been reserved. Entries are taken.
void ez_writer_apply(ez_writer *writer, ez_entry *const *entries, const ez_store_change *changes, size_t count,
                     uint64_t to, bool ack_now);

// ---- Idempotency (idempotency.c)

// Fills key and request_hash; has_key false where the call carries none or only asks what would happen.
void ez_idempotency_prepare(ez_group_item *item);
// Looks for an answer that was given before. *found: the call's reply, status and revision are set, or its error where
// the key stands for another request.
ez_status ez_idempotency_find(ez_writer *writer, ez_group_item *item, bool *found) EZ_MUST_CHECK;
// Seals the reply for keeping.
ez_status ez_idempotency_seal(ez_writer *writer, ez_group_item *item) EZ_MUST_CHECK;
ez_status ez_idempotency_reused(ez_call *call);
