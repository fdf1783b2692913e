// SPDX-License-Identifier: Apache-2.0
//
// What the session's files share. Each has one noun: session.c opens and closes, session_group.c is the worker,
// session_push.c the SUB socket and its inbox, session_follow.c decides what to do next, session_apply.c puts changes
// into session_rows.c, session_cache.c keeps them on disk, session_call.c is one call.
//
// Locking: group->mutex guards what stands under "Shared"; everything else of a session is its worker's alone, but for
// ez_session_open before the session joins its group. No nng function and no callback is called with a lock held.
#pragma once

#include <nng/nng.h>
#include <pthread.h>

#include "clients/c/dial.h"
#include "clients/c/session.h"
#include "clients/c/session_call.h"
#include "clients/c/session_change.h"
#include "clients/c/session_rows.h"
#include "proto/crypto/seal.h"
#include "proto/runtime/arena.h"

#define EZ_INBOX_EVENTS     128
#define EZ_PUSH_SERVERS_MAX 32 // that a session follows in its life
#define EZ_INBOX_BYTES      (1u << 20)
#define EZ_GROUP_FETCHES    64 // fetches under way at once, of all sessions of a group
#define EZ_UNPACK_MAX       (64u << 20)

#define EZ_MS 1000000ull
#define EZ_S  (1000 * EZ_MS)

typedef enum ez_follow_state {
    EZ_FOLLOW_HELLO,   // has no session with a server
    EZ_FOLLOW_FETCH,   // has one, and reads what it lacks; events wait in the inbox
    EZ_FOLLOW_LIVE,    // applies events
    EZ_FOLLOW_CLOSING, // says goodbye, writes its cache
    EZ_FOLLOW_CLOSED,
} ez_follow_state;

typedef struct ez_session_push {
    nng_socket socket;
    nng_aio *aio;
    bool is_open;
    nng_dialer dialers[EZ_PUSH_SERVERS_MAX]; // one for each server that was followed
    char urls[EZ_PUSH_SERVERS_MAX][EZ_URL_MAX];
    unsigned dialed;
    uint64_t armed_ns; // when the receive that is pending began; the callback's
    // Shared:
    nng_msg *inbox[EZ_INBOX_EVENTS];
    unsigned head, count;
    size_t bytes;
    uint64_t dropped; // events for which there was no room
    unsigned pipes;   // connected
    nng_pipe pipe;    // the last one
    bool wants_quiet; // each connection is closed behind its next event
    bool is_ending;   // nng's callback is closing a dialer
} ez_session_push;

typedef struct ez_session_cache {
    char *path; // NULL: none
    char *temporary;
    char *directory;
    ez_sealer *sealer;
    bool is_dirty;
    uint64_t next_ns;
    bool has_failed; // said so already
    ez_buf plain;    // the writer's while busy
    ez_session *next_job;
    // Shared:
    bool is_busy;
    ez_status result;
    ez_error error;
} ez_session_cache;

struct ez_session {
    ez_session_group *group;
    bool owns_group;
    ez_client *client;
    bool owns_client;
    ez_session_options options; // callbacks and numbers; its texts are the ones below
    char *name, *version, *token, *config_url, *tls_ca, *tls_cert, *tls_name;
    uint64_t process_epoch;
    uint32_t kinds; // bits of those it holds; 0: all

    ez_rows rows;
    ez_arena arena;       // of one row or one answer
    ez_arena event_arena; // of one event
    ez_session_cache cache;
    ez_session_push push;

    ez_follow_state state;
    ez_session_revision at;       // epoch 0: nowhere
    ez_session_call *main_call;   // Hello, Fetch, Goodbye
    ez_session_call *report_call; // Ack, Heartbeat
    int64_t id;
    uint64_t heartbeat_ns;
    uint64_t retry_at, backoff_ns;
    bool has_fetch_slot;
    bool is_queued; // for a fetch slot
    ez_session *next_queued;
    bool was_live;         // the first catching up is over
    bool is_consistent;    // the rows are those of `at`, not halfway to another revision
    bool needs_hello;      // the server does not know our session
    bool was_refused;      // said so already
    uint32_t server;       // that has our session, as the client numbers it; 0: none
    uint32_t first_server; // the first that had one: config_url is that one's
    uint64_t hellos;       // said so far

    // a fetch under way
    bool wants_snapshot;
    bool in_snapshot;
    uint16_t snapshot; // number of the current one, never 0
    ez_session_revision snapshot_from;
    char page_token[513];
    unsigned pages;
    bool saw_broken_page; // said so already
    bool was_snapshot;    // since the last step
    uint64_t fetched;     // changes since the last step
    int64_t trigger_ns;   // no commit that is fetched is older; 0: not known

    // events
    char server_id[65];
    uint64_t sequence;
    int64_t event_time_ns;
    uint64_t heard_ns; // when an event came, monotonic
    unsigned silences;
    bool saw_garbage; // said so already

    // reports
    bool wants_ack;
    bool is_ack_out;              // the report under way is an acknowledgement
    bool has_digest_out;          // … and carries a digest
    ez_session_revision reported; // where it says we are
    unsigned ahead_replies;       // heartbeats in a row that found the server behind what was reported
    uint64_t next_report;
    uint64_t next_drift;
    unsigned failed_reports;
    uint64_t patient_until; // a server that is silent is given more time until then

    bool is_mute;      // closing: Goodbye is said, or can't be
    uint64_t quiet_by; // closing: connections are not waited for any longer

    uint64_t events_lost, pushed, fetches, snapshots;

    // Shared:
    ez_session *next, *previous; // of the group
    ez_session *next_ready;
    bool is_ready;
    bool stop;
    bool is_closed;
    uint64_t due;
    ez_session_info info;
};

struct ez_session_group {
    pthread_t worker, writer;
    bool has_worker, has_writer;
    // Worker only:
    unsigned fetching;
    ez_session *queue_head, *queue_tail; // sessions that wait for a fetch slot
    // Shared:
    pthread_mutex_t mutex;
    pthread_cond_t wake, closed, write;
    ez_session *sessions;
    ez_session *ready_head, *ready_tail;
    ez_session *jobs_head, *jobs_tail; // caches to be written
    bool is_asleep;
    bool stopping;
};

// ---- session_group.c ----

void ez_group_add(ez_session_group *group, ez_session *session);
// Marks a session to be run. Locked.
void ez_group_ready(ez_session_group *group, ez_session *session);
// Starts the writer's thread where there is none yet.
ez_status ez_group_need_writer(ez_session_group *group, ez_error *error) EZ_MUST_CHECK;
// Hands cache.plain to the writer; cache.is_busy until it is written.
void ez_group_write(ez_session_group *group, ez_session *session);

// ---- session_push.c ----

ez_status ez_push_open(ez_session *session, ez_error *error) EZ_MUST_CHECK;
bool ez_push_close(ez_session *session); // false: as ez_socket_close
// Follows this URL from now on. Nothing happens where it does already.
void ez_push_dial(ez_session *session, const char *url);
// The next event, to be freed; NULL where there is none.
nng_msg *ez_push_take(ez_session *session);
// Begins to end all connections where that is safe.
void ez_push_hush(ez_session *session);
// True once there is none left and none will be made.
bool ez_push_is_quiet(ez_session *session, bool no_longer_wait);
bool ez_push_is_connected(ez_session *session);
// Drops a connection on which nothing comes; nng makes a new one.
void ez_push_reconnect(ez_session *session);

// ---- session_follow.c ----

// Does all there is to do now; returns when to come again, monotonic ns.
uint64_t ez_follow_run(ez_session *session, uint64_t now);

// ---- session_report.c ----

// A session has been opened: the first heartbeat is due a while from now.
void ez_report_begin(ez_session *session, uint64_t now);
// Sends an acknowledgement or a heartbeat if one is due; takes the last one's answer. Returns when the next is due.
uint64_t ez_report_run(ez_session *session, uint64_t now);

// ---- session_fetch.c ----

// Forgets what was half fetched: the next fetch begins anew.
void ez_fetch_reset(ez_session *session);
// Gives back the session's fetch slot and its place in the queue for one; the next in the queue is woken.
void ez_fetch_leave(ez_session *session);
// Sends the next Config.Fetch. False: not now, too much is under way.
bool ez_fetch_start(ez_session *session);
typedef enum ez_fetch_result { EZ_FETCH_MORE, EZ_FETCH_DONE, EZ_FETCH_AGAIN, EZ_FETCH_HELLO } ez_fetch_result;
// Applies a reply: MORE: start again at once; DONE: caught up; AGAIN: after a pause; HELLO: the session is gone.
ez_fetch_result ez_fetch_take(ez_session *session, ez_status status, const ez_error *error, ez_slice reply);

// ---- session_apply.c ----

// False: of a kind that this session does not hold.
bool ez_apply_change(ez_session *session, const ez_change *change);
// Whether a pushed change can be applied without its secret.
bool ez_apply_has_secret(const ez_session *session, const ez_change *change);
// Deletes what the current snapshot did not have.
void ez_apply_sweep(ez_session *session);
// Tells the user that a step is done.
void ez_apply_step(ez_session *session, const ez_session_step *step);

// ---- session_cache.c ----

ez_status ez_cache_open(ez_session *session, ez_error *error) EZ_MUST_CHECK;
void ez_cache_close(ez_session *session);
// Gives its rows through on_put and sets where the session stands. A bad cache is ignored, with one warning.
void ez_cache_load(ez_session *session);
// Begins to write where the session changed and it is time; returns when to come again.
uint64_t ez_cache_run(ez_session *session, uint64_t now);
// Closing: begins the last write where one is needed. True while something is being written.
bool ez_cache_flush(ez_session *session);
// The writer's: seals cache.plain and puts it in place.
ez_status ez_cache_write(ez_session *session, ez_error *error) EZ_MUST_CHECK;
