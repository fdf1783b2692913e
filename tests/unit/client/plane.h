// SPDX-License-Identifier: Apache-2.0
//
// A small control plane for tests: a real REP and a real PUB socket that speak docs/protocol.md, over a feed that lives
// in memory. It answers Hello, Fetch, Ack, Heartbeat, Goodbye and any Create of a master, and can be told to misbehave.
// Everything that may be read by a test while it runs is read through its functions.
#pragma once

#include <nng/nng.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/crypto/digest.h"
#include "proto/runtime/frame.h"
#include "proto/runtime/status.h"

#define PLANE_CHANGES_MAX 256

typedef struct fake_plane fake_plane;

// Listens on free ports of 127.0.0.1, or on the given ones (0: free).
fake_plane *plane_start(uint64_t epoch, int rpc_port, int push_port);
void plane_stop(fake_plane *plane);
const char *plane_rpc_url(fake_plane *plane);
const char *plane_push_url(fake_plane *plane);
int plane_rpc_port(fake_plane *plane);
int plane_push_port(fake_plane *plane);

// Commit one change and publish it, unless quiet. Each returns the new revision.
typedef struct plane_change {
    int64_t id;
    const char *name;
    uint64_t secret_version; // with secret: an API key; without: a namespace
    const char *secret;
    bool is_delete;
    bool quiet;    // not published
    bool ack_now;  // asks for an acknowledgement
    bool by_fetch; // published without its changes
} plane_change;
uint64_t plane_commit(fake_plane *plane, plane_change commit);
// Publishes the event of revision n again.
void plane_publish_again(fake_plane *plane, uint64_t n);
void plane_heartbeat(fake_plane *plane);
void plane_publish_bytes(fake_plane *plane, const void *data, size_t len);
// As after a restore from a backup: another epoch, the same rows.
void plane_change_epoch(fake_plane *plane, uint64_t epoch);
// As after an old file was put back: the same epoch, nothing behind n.
void plane_go_back(fake_plane *plane, uint64_t n);
// Deltas up to n are no longer kept.
void plane_compact(fake_plane *plane, uint64_t n);
// What Hello says; 20000 at first, so that nothing but what a test does makes a session act.
void plane_set_heartbeat(fake_plane *plane, uint32_t ms);
// The next fetches give this many changes a page; 0: all.
void plane_set_page(fake_plane *plane, unsigned changes);

// How the next calls go. Each counts down.
void plane_lose_replies(fake_plane *plane, unsigned count); // does the call, then closes the connection
void plane_ignore_calls(fake_plane *plane, unsigned count); // never answers
void plane_fail_calls(fake_plane *plane, unsigned count, ez_status code, const char *reason, uint32_t retry_after_ms);
void plane_forget_sessions(fake_plane *plane);               // reports are refused until the next Hello
void plane_deny_digest(fake_plane *plane, unsigned reports); // says "not equal" that often
// While on, fetches of what comes after a revision are refused for now; snapshots are not.
void plane_refuse_deltas(fake_plane *plane, bool on);

// Answers the methods that the plane itself does not know; body is the packed reply. NULL: they are unknown. Called
// with the plane's mutex held.
typedef struct plane_answer {
    ez_status code;
    const char *reason;
    char message[160];
    ez_buf body;
} plane_answer;
typedef void plane_handler(void *user, const char *method, ez_slice request, plane_answer *out);
void plane_answer_others(fake_plane *plane, plane_handler *handler, void *user);

// What it saw.
typedef struct plane_seen {
    unsigned calls, hellos, fetches, snapshots, acks, heartbeats, goodbyes, creates, changes_made;
    uint64_t acked; // revision of the last report
    uint8_t digest[EZ_DIGEST_LEN];
    bool has_digest;
    unsigned rejected;
    char rejected_reason[128];
    char method[64], authorization[128], client[64], key[65], previous_key[65], request_id[65];
    uint32_t timeout_ms;
    uint64_t if_match;
    bool validate_only, wait_applied;
    uint64_t fetch_since;
    size_t hello_kinds, fetch_kinds; // how many were named
    bool fetch_has_revision;
} plane_seen;
plane_seen plane_look(fake_plane *plane);
// Connections to the calls socket so far.
unsigned plane_connections(fake_plane *plane);
uint64_t plane_revision(fake_plane *plane);
// The digest a data plane with every row would have.
void plane_digest(fake_plane *plane, uint8_t out[EZ_DIGEST_LEN]);

// Waits until expression is true; fails the test after ten seconds.
#define until(expression)                                                                                              \
    do {                                                                                                               \
        struct plane_wait wait_ = plane_wait_begin();                                                                  \
        while (!(expression)) {                                                                                        \
            cr_assert(plane_wait_more(&wait_), "did not become true: %s", #expression);                                \
        }                                                                                                              \
    } while (0)
struct plane_wait {
    uint64_t deadline;
};
struct plane_wait plane_wait_begin(void);
bool plane_wait_more(struct plane_wait *wait);
