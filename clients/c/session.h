// SPDX-License-Identifier: Apache-2.0
//
// ez_session: a data plane that follows a control plane, docs/protocol.md sections 4 and 5. It starts from its disk
// cache, says Hello, fetches what it lacks, applies pushed changes row by row, acknowledges, and tells the user what to
// use. With the control plane away it goes on with what it has and comes back by itself.
//
// Threads: all work of a session, callbacks included, is done by its group's one worker thread, one thing at a time,
// with no lock held; only the rows of the cache are given by the thread that calls ez_session_open, before that
// returns. A session without a group has one of its own. The other functions may be called from any thread but not from
// a callback, save ez_session_get_info.
#pragma once

#include "clients/c/client.h"
#include "ez/v1/api_key.pb-c.h"
#include "ez/v1/common.pb-c.h"

#define EZ_SESSION_DIGEST_LEN 32
#define EZ_SESSION_KINDS_MAX  16

typedef struct ez_session ez_session;
typedef struct ez_session_group ez_session_group;

// A point in the change feed; n = 0 with epoch = 0 is nowhere.
typedef struct ez_session_revision {
    uint64_t epoch;
    uint64_t n;
} ez_session_revision;

// A step from one revision to another that was applied.
typedef struct ez_session_step {
    ez_session_revision to;
    uint64_t changes;  // rows put or deleted by it
    int64_t commit_ns; // wall clock of the server when `to` was committed; 0: not known (the event was lost)
    bool by_fetch;     // false: pushed
    bool is_snapshot;  // everything was read anew
} ez_session_step;

// A row as it is now. resource is the kind's message (Ez__V1__Key for EZ__V1__KIND__KIND_KEY); secret is given with API
// keys, where one is held. Both live during the call only. True accepts; false rejects with a sentence in reason: the
// last good version is kept, held against the digest and reported to the control plane. May come again for a row that
// did not change.
typedef bool ez_session_put(void *user, Ez__V1__Kind kind, int64_t id, const ProtobufCMessage *resource,
                            const Ez__V1__ApiKeySecret *secret, char *reason, size_t reason_size);
typedef void ez_session_delete(void *user, Ez__V1__Kind kind, int64_t id);
// All rows up to this revision have been given.
typedef void ez_session_at(void *user, ez_session_revision revision, bool from_cache);
typedef void ez_session_applied(void *user, const ez_session_step *step);

// Call ez_session_options_init first. Texts are copied.
typedef struct ez_session_options {
    ez_client *client;                // shared, outlives the session; NULL: one of its own by client_options
    ez_client_options client_options; // where client is NULL; its token and tls are also the session's
    const char *token;                // data-plane token; NULL: client_options.token
    const char *config_url;           // push socket; NULL: where Hello says
    const char *name;                 // of the data plane; informational
    const char *version;              // of the program that follows; informational
    const char *cache_dir; // directory for the sealed cache, of this session alone; made with mode 0700; NULL: none
    uint32_t cache_interval_ms;               // least time between two writes; 5000
    uint32_t max_rows;                        // rows beyond are rejected; 4194304
    Ez__V1__Kind kinds[EZ_SESSION_KINDS_MAX]; // what to hold, kind_count of them; the server then compares no digest
    unsigned kind_count;                      // 0: all
    bool keep_bytes;                          // true. false: hashes only, for simulators; then no cache
    ez_session_group *group;                  // NULL: one of its own
    void *user;                               // for the callbacks; each of them may be NULL
    ez_session_put *on_put;                   // NULL: every row is accepted unread
    ez_session_delete *on_delete;
    ez_session_at *on_revision;
    ez_session_applied *on_applied;
} ez_session_options;

void ez_session_options_init(ez_session_options *options);

// One worker thread for several sessions, and one for their caches. Close its sessions first.
ez_status ez_session_group_open(ez_session_group **out, ez_error *error) EZ_MUST_CHECK;
void ez_session_group_close(ez_session_group *group);

// Loads the cache, then follows in the background: a control plane that is away is no error. INVALID_ARGUMENT names the
// option that is wrong; UNAVAILABLE where nng or the system has no more sockets or threads.
ez_status ez_session_open(const ez_session_options *options, ez_session **out, ez_error *error) EZ_MUST_CHECK;

// Begins to close and returns: Goodbye, last write of the cache. For closing many at once; then ez_session_close each.
void ez_session_stop(ez_session *session);
// Stops, waits (at most about 3 s, and for the cache's write), frees. No callback runs after. Not from a callback. NULL
// is fine.
void ez_session_close(ez_session *session);

typedef struct ez_session_info {
    int64_t id;             // as Hello said; 0 before
    bool is_live;           // said Hello and caught up; stays true through short losses
    ez_session_revision at; // epoch 0: nothing yet, or in the middle of a fetch
    uint8_t digest[EZ_SESSION_DIGEST_LEN];
    uint64_t rows;        // held
    uint64_t rejected;    // rows that are older than they should be, or missing
    uint64_t events_lost; // by the server's count
    uint64_t pushed;      // events applied
    uint64_t fetches;     // fetch replies applied
    uint64_t snapshots;   // taken to the end
} ez_session_info;

// As of the last thing the session did.
void ez_session_get_info(ez_session *session, ez_session_info *out);
