// SPDX-License-Identifier: Apache-2.0
//
// A whole state over a real store (EZ_TEST_STORE; SQLite where it says nothing), in a place of its own: store,
// directory, feed and writer, as a server has them, and calls to run on it.
#pragma once

#include "ez/v1/key.pb-c.h"
#include "ez/v1/master.pb-c.h"
#include "server/state/directory/writer.h"
#include "tests/support/database.h"
#include "tests/support/expect.h"
#include "tests/support/folder.h"

typedef struct whole_state {
    char folder[EZ_TEST_PATH_MAX];  // SQLite
    char database[EZ_TEST_URL_MAX]; // PostgreSQL; else empty
    size_t keep;                    // changes of the feed; 0: 1,000
    ez_store *store;
    ez_sealer *sealer;
    ez_directory *directory;
    ez_feed *feed;
    ez_writer *writer;
    ez_store_head head; // as read at start
} whole_state;

// Makes the folder and opens everything in it.
void given_state(whole_state *state);
// A second server on the same store (PostgreSQL): give it up by close_state.
void given_second_state(whole_state *second, const whole_state *first);
bool is_postgres(void);
// Closes all and opens it again, as a restart does.
void restart_state(whole_state *state);
void end_state(whole_state *state);

void open_state(whole_state *state);
void close_state(whole_state *state);

// While it hurries, each look the writer's thread takes at the monotonic clock is ten seconds later than the one
// before.
void hurry_clock(bool is_hurrying);
// Makes that clock jump, once.
void advance_clock(uint64_t ms);

// A call with this actor; free with ez_call_destroy_system.
ez_call *given_call(const char *what);
void set_idempotency_key(ez_call *call, const char *key);

// Handlers. Requests are Create…Requests of the schema, so that the audit finds their rules.
ez_handler create_master; // CreateMasterRequest → Master, with master_key "ezm_…" set as a made token is
ez_handler rename_master; // UpdateMasterRequest { id, master.name } → Master; loads it first
ez_handler refuse;        // puts a master, then fails with FAILED_PRECONDITION (REFUSED)
ez_handler read_only;     // replies with an empty Master, changes nothing

// Runs create_master for a name on a call of its own; the id.
int64_t given_master(whole_state *state, const char *name);

// Several writes at once: they wait in the queue while the writer is held, so that they become one group.
typedef struct salvo {
    whole_state *state;
    size_t count;
    struct volley_shot {
        ez_write write; // first: done gets its address
        bool is_done;
    } shots[300];
    struct volley_shot hold;
} salvo;
void volley_begin(salvo *volley, whole_state *state);
// Returns the shot's place.
size_t volley_add(salvo *volley, ez_call *call, ez_handler *run, ProtobufCMessage *request);
// Lets the writer go and waits for all. Results are in shots[i].write.
void volley_fire(salvo *volley);
