// SPDX-License-Identifier: Apache-2.0
//
// ez_writer: the one thread that changes configuration. It takes what is waiting, runs each change in a transaction of
// its own, makes all of them durable in one store commit, applies them to the directory, hands them to the feed (which
// pushes), and only then answers. Adds the audit entry and the idempotency record to each.
//
// A commit that another server overtook is caught up with and run again. A commit whose outcome is unknown (the
// connection broke) is settled by reading the store's head before anybody is answered.
#pragma once

#include "proto/runtime/call.h"
#include "server/state/directory/directory.h"
#include "server/state/directory/txn.h"

typedef struct ez_writer ez_writer;

// A change to run; embed it. The writer owns it from submit until done.
typedef struct ez_write ez_write;
struct ez_write {
    ez_call *call;
    ez_handler *run; // gets the ez_txn as its scene
    void *self;
    ProtobufCMessage *request;
    void (*done)(ez_write *write); // on the writer's thread, outside the read section: reply there, never block.
                                   // call->error and status are set
    uint64_t fence;                // the lease's token under which it is made; EZ_NO_FENCE. A stale one: ABORTED,
                                   // LEASE_LOST
    ez_status status;              // result
    ez_revision revision;          // the one it made, or the head where it made none
    uint64_t started_ns;
    ez_write *next; // the queue's
};

// Adds to a transaction what follows from it. Runs behind its handler, which has changed something, as part of the same
// revision; as handlers do, it may be run again. An error fails the call.
typedef ez_status ez_derive_fn(void *user, ez_txn *txn, ez_error *error);

typedef struct ez_writer_options {
    ez_store *store;
    ez_directory *directory;
    ez_feed *feed;
    const ez_sealer *sealer;   // for replies kept under an idempotency key
    const ez_store_head *head; // as read at start
    size_t queue;              // most changes waiting, EZ_WRITE_QUEUE
    int64_t idempotency_ns;    // how long a key is remembered (24 h)
    ez_derive_fn *derive;      // NULL: nothing follows
    void *derive_user;
    size_t
        feed_keep; // as the feed's keep: what falls out of the feed is forgotten by the store; 0: the store keeps all
    ez_holder holder; // who forgets
} ez_writer_options;

ez_status ez_writer_create(const ez_writer_options *options, ez_writer **out, ez_error *error) EZ_MUST_CHECK;
// Finishes what was submitted, then ends the thread; submit refuses from then on. NULL and a second time are fine, two
// threads at once are not.
void ez_writer_stop(ez_writer *writer);
// Stops it first where that was not done. Nobody may submit any more. NULL is fine.
void ez_writer_destroy(ez_writer *writer);

// Any thread. RESOURCE_EXHAUSTED (WRITE_QUEUE_FULL) and UNAVAILABLE (STOPPING): done will not be called.
ez_status ez_writer_submit(ez_writer *writer, ez_write *write, ez_error *error) EZ_MUST_CHECK;
// Submits and waits; for start-up, import and tests, never from a callback. Results are in call->reply: where another
// server was faster, the handler ran again on a request that was decoded anew.
ez_status ez_writer_run(ez_writer *writer, ez_call *call, ez_handler *run, void *self, ProtobufCMessage *request,
                        ez_error *error) EZ_MUST_CHECK;
// The same under the lease's token. ABORTED (LEASE_LOST): it was stale, and nothing was written.
ez_status ez_writer_run_fenced(ez_writer *writer, uint64_t fence, ez_call *call, ez_handler *run, void *self,
                               ProtobufCMessage *request, ez_error *error) EZ_MUST_CHECK;

// Whether the directory has all that other servers had committed when this was called: has the writer's thread look at
// once, between two groups, and waits for it, timeout_ms at most. True at once on a store that is one server's. False
// also where a later look than this one failed. Any thread but the writer's.
bool ez_writer_look(ez_writer *writer, uint64_t timeout_ms) EZ_MUST_CHECK;

// Whether the directory is as the store was not long ago (3 s): false while the store is away. Always true on a store
// that is one server's. Any thread.
bool ez_writer_follows(const ez_writer *writer);

// Another server has committed revision n, or may have (0): has the writer's thread look soon, and returns at once. Any
// thread, nng's too. As an ez_store_changed_fn; writer: an ez_writer.
void ez_writer_hint(void *writer, uint64_t n);

// A call made by the server itself: actor "system:<what>". Free with ez_call_destroy_system.
ez_status ez_call_create_system(const char *what, ez_call **out) EZ_MUST_CHECK;
void ez_call_destroy_system(ez_call *call);

// Asks the writer's thread to do one step of forgetting old changes and idempotency records, and (PostgreSQL) to look
// whether another server committed: once no change waits, or after a second. From the timer.
void ez_writer_tick(ez_writer *writer);
