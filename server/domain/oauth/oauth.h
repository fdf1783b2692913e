// SPDX-License-Identifier: Apache-2.0
//
// ez_oauth: keeps the OAuth tokens of API keys fresh. Takes what is due, and what is asked for, claims it in the store
// so that one server does it, asks the provider, and has the writer put the new tokens where the old refresh token
// still stands. docs/oauth.md has the rules, docs/adr/0015-token-refresh.md the reasons. The handlers are in
// ez/handlers.h.
//
// Threads. One of its own does everything that blocks on the store; calls out and writes come back to it by a list. Any
// thread may ask, nng's too. Locking: one mutex guards the schedule, the numbers and what was handed in; it is held for
// moments, and nothing is called under it.
// Teardown: stop (nobody waits any more), drain (what was sent may land), outbound and the writer may stop, join,
// destroy.
#pragma once

#include "proto/runtime/buf.h"
#include "proto/runtime/call.h"
#include "server/domain/oauth/source.h"
#include "server/state/directory/writer.h"

#define EZ_OAUTH_TOLD_AT_ONCE 100  // troubles
#define EZ_OAUTH_WAITING      4096 // calls that wait for a refresh; more: RESOURCE_EXHAUSTED (REFRESH_QUEUE_FULL)

typedef struct ez_oauth ez_oauth;

#define EZ_OAUTH_TITLE_ENDED "Login ended"
#define EZ_OAUTH_TITLE_LOST  "Token refresh without an answer" // so it is taken as ended

// Something an admin should know, and its end.
typedef struct ez_oauth_trouble {
    bool is_critical;
    int64_t api_key_id;      // 0: it is about a provider type
    const char *type;        // the provider type
    const char *title;       // one line
    const char *message;     // what to do
    const char *fingerprint; // the same for the same trouble
    int64_t seen_before_ns;  // of an end: only where nobody reported it then or later, wall clock; 0: in any case
} ez_oauth_trouble;

typedef ez_status ez_oauth_alert_fn(void *user, int64_t api_key_id, const char *title, int64_t seen_ns,
                                    ez_error *error);

typedef struct ez_oauth_options {
    ez_store *store; // these must outlive it, but for outbound, which must only be stopped before join
    const ez_directory *directory;
    ez_feed *feed;
    ez_writer *writer;
    ez_outbound *outbound;
    ez_holder holder;      // only while it says so is what is due taken; what is asked for always is
    const char *server_id; // owner of its claims
    bool is_off;           // nothing is refreshed
    ez_oauth_setting settings[EZ_OAUTH_PROVIDERS];
    const char *before;   // EZ_TOKEN_REFRESH_BEFORE
    uint32_t interval_ms; // between two scans; also how long a refresh of unknown outcome is left alone
    uint32_t claim_ms;    // how long a claim lasts; a call out has half of it
    unsigned rate, concurrency;
    // An API key came into service or left it, within the transaction that says so. NULL: nothing follows.
    ez_status (*follow)(void *user, ez_txn *txn, int64_t group_id, int64_t api_key_id, ez_error *error);
    void *follow_user;
    // Troubles that began, or go on; or that are over (by their fingerprints); EZ_OAUTH_TOLD_AT_ONCE at most. On the
    // object's thread; must not block. False: none was taken, and all are told again soon. May be NULL.
    bool (*raise)(void *user, const ez_oauth_trouble *troubles, size_t count);
    bool (*clear)(void *user, const ez_oauth_trouble *troubles, size_t count);
    // Each open alert about an API key's tokens, whoever raised it, and when it was last reported. On a reader's
    // thread. May be NULL.
    ez_status (*each_alert)(void *user, ez_reader *reader, ez_oauth_alert_fn *each, void *each_user, ez_error *error);
    void *alerts_user;
} ez_oauth_options;

// Starts its thread. INVALID_ARGUMENT names the setting.
ez_status ez_oauth_create(const ez_oauth_options *options, ez_oauth **out, ez_error *error) EZ_MUST_CHECK;
// Answers all who wait (UNAVAILABLE, STOPPING), takes no more, begins nothing more. NULL is fine.
void ez_oauth_stop(ez_oauth *oauth);
// Waits until what was sent has landed and is stored, at most so long.
void ez_oauth_drain(ez_oauth *oauth, uint64_t timeout_ms);
// Ends the thread, once outbound has stopped and while the writer still works.
void ez_oauth_join(ez_oauth *oauth);
// After the store's readers have ended. NULL is fine.
void ez_oauth_destroy(ez_oauth *oauth);

// For the Redis queue: asks, and waits for what comes of it, timeout_ms at most. OK: refreshed, or not needed, or
// failed and tried again by itself or for good. NOT_FOUND, INVALID_ARGUMENT: no such API key, or none with OAuth
// tokens. UNAVAILABLE, DEADLINE_EXCEEDED: ask again. observed_sha256: hexadecimal, "" where not told. Blocks.
ez_status ez_oauth_refresh(ez_oauth *oauth, int64_t api_key_id, const char *observed_sha256, uint64_t timeout_ms,
                           ez_error *error) EZ_MUST_CHECK;

// When this server means to refresh it, in wall-clock nanoseconds; 0: not at all. Any thread. oauth: an ez_oauth.
int64_t ez_oauth_next_ns(void *oauth, int64_t api_key_id);

// An alert about this API key's tokens was reported then (wall clock), whoever did: it ends with the key's next
// refresh. Any thread.
void ez_oauth_note_alert(ez_oauth *oauth, int64_t api_key_id, int64_t seen_ns);

// Appends metrics in Prometheus's form.
void ez_oauth_write_metrics(ez_oauth *oauth, ez_buf *out);
