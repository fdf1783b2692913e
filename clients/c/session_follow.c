// SPDX-License-Identifier: Apache-2.0
//
// What a session does next: Hello, Fetch, follow, Goodbye. It is run by its group's worker whenever an event, an answer
// or its time has come. Awkward: while a fetch is under way events wait in the inbox; after it those it covered are
// ignored and the first one beyond joins on, so that a busy feed does not send the session back to fetching for ever.
#include <stdio.h>
#include <string.h>

#include "clients/c/session_private.h"
#include "ez/calls.h"
#include "ez/v1/config.pb-c.h"
#include "ez/v1/data_plane.pb-c.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"

#define HELLO_TIMEOUT_MS   5000
#define HELLO_ELSE_MS      800 // … where there is another server to say it to
#define GOODBYE_TIMEOUT_MS 1000
#define HEARTBEAT_MIN_MS   50
#define HEARTBEAT_MAX_MS   60000
#define PAUSE_MIN_NS       (200 * EZ_MS)
#define PAUSE_MAX_NS       (5 * EZ_S)
#define PAUSE_REFUSED_NS   (30 * EZ_S)
#define TRY_AGAIN_NS       (20 * EZ_MS)
#define LOOK_NS            (100 * EZ_MS) // at the connections, while one is missing
#define SILENT_HEARTBEATS  3
#define QUIET_MARGIN_NS    (250 * EZ_MS) // a heartbeat comes at most a tenth late
#define QUIET_MAX_NS       (2 * EZ_S)

// From a state (row) to a state (column).
static const bool moves[][EZ_FOLLOW_CLOSED + 1] = {
    [EZ_FOLLOW_HELLO] = {[EZ_FOLLOW_FETCH] = true, [EZ_FOLLOW_CLOSING] = true},
    [EZ_FOLLOW_FETCH] = {[EZ_FOLLOW_HELLO] = true, [EZ_FOLLOW_LIVE] = true, [EZ_FOLLOW_CLOSING] = true},
    [EZ_FOLLOW_LIVE] = {[EZ_FOLLOW_HELLO] = true, [EZ_FOLLOW_FETCH] = true, [EZ_FOLLOW_CLOSING] = true},
    [EZ_FOLLOW_CLOSING] = {[EZ_FOLLOW_CLOSED] = true},
    [EZ_FOLLOW_CLOSED] = {false},
};

static void move(ez_session *session, ez_follow_state to) {
    if (!moves[session->state][to]) {
        ez_log_error("a session made a move that is not in its table", "from", EZ_LOG_INT(session->state), "to",
                     EZ_LOG_INT(to));
        return;
    }
    session->state = to;
}

static void pause_for(ez_session *session, uint64_t now, bool is_refused) {
    uint64_t pause = session->backoff_ns * 2;
    pause = pause < PAUSE_MIN_NS ? PAUSE_MIN_NS : pause;
    pause = pause > PAUSE_MAX_NS ? PAUSE_MAX_NS : pause;
    session->backoff_ns = pause;
    pause = is_refused ? PAUSE_REFUSED_NS : pause;
    uint64_t spread = (now / EZ_MS) ^ session->process_epoch;
    session->retry_at = now + pause / 2 + spread % (pause / 2);
}

static bool is_refusal(ez_status status) {
    return status == EZ_UNAUTHENTICATED || status == EZ_PERMISSION_DENIED || status == EZ_INVALID_ARGUMENT;
}

static void begin_fetch(ez_session *session, int64_t trigger_ns) {
    session->trigger_ns = trigger_ns;
    session->fetched = 0;
    session->retry_at = 0;
    ez_fetch_reset(session);
    move(session, EZ_FOLLOW_FETCH);
}

// ---- Hello ----

static bool has_others(ez_session *session) {
    return ez_client_server_count(session->client) > 1;
}

static bool send_hello(ez_session *session) {
    Ez__V1__HelloRequest request = EZ__V1__HELLO_REQUEST__INIT;
    request.name = session->name;
    request.version = session->version;
    request.process_epoch = session->process_epoch;
    request.hellos = ++session->hellos;
    request.n_kinds = session->options.kind_count;
    request.kinds = session->options.kinds;
    const ez_call_options options = {
        .timeout_ms = has_others(session) ? HELLO_ELSE_MS : HELLO_TIMEOUT_MS,
        .max_retries = -1,
        .authorization = session->token,
    };
    static const char name[] = "ez.v1.DataPlanes/Hello";
    return ez_session_call_start(session->main_call, session->client, ez_method_find(name, sizeof name - 1),
                                 &request.base, &options);
}

// Changes that came over an encrypted connection are not to be followed by ones that anybody could have sent.
static void follow_server(ez_session *session, const char *url) {
    // A push socket that was given is the first server's; one that we moved to says where its own is.
    bool is_given = session->config_url != NULL && session->server == session->first_server;
    if (is_given || url[0] == '\0') {
        return;
    }
    if (ez_dial_is_tls(ez_client_server(session->client)) && !ez_dial_is_tls(url)) {
        ez_log_warn("the server's push socket is not encrypted although its calls are; changes are fetched instead",
                    "url", url);
        return;
    }
    ez_push_dial(session, url);
}

static void take_hello(ez_session *session, ez_slice reply, uint64_t now) {
    ez_arena_reset(&session->arena);
    const Ez__V1__HelloResponse *hello =
        ez__v1__hello_response__unpack(ez_arena_allocator(&session->arena), reply.len, reply.data);
    if (hello == NULL) {
        pause_for(session, now, false);
        return;
    }
    session->id = hello->id;
    uint32_t beat = hello->heartbeat_ms == 0 ? 1000 : hello->heartbeat_ms;
    beat = beat < HEARTBEAT_MIN_MS ? HEARTBEAT_MIN_MS : beat > HEARTBEAT_MAX_MS ? HEARTBEAT_MAX_MS : beat;
    session->heartbeat_ns = beat * EZ_MS;
    session->needs_hello = false;
    session->was_refused = false;
    session->heard_ns = now;
    session->server = ez_session_call_server(session->main_call);
    session->first_server = session->first_server != 0 ? session->first_server : session->server;
    ez_client_learn(session->client, (const char *const *)hello->servers, hello->n_servers);
    follow_server(session, hello->config_url);
    ez_report_begin(session, now);
    begin_fetch(session, 0);
}

static uint64_t run_hello(ez_session *session, uint64_t now) {
    ez_status status;
    const ez_error *error;
    ez_slice reply;
    if (ez_session_call_take(session->main_call, &status, &error, &reply)) {
        if (status == EZ_OK) {
            take_hello(session, reply, now);
            return now;
        }
        if (!session->was_refused && is_refusal(status)) {
            ez_log_error("the control plane refuses this data plane", "reason", error->message);
            session->was_refused = true;
        }
        pause_for(session, now, is_refusal(status));
    }
    if (ez_session_call_is_busy(session->main_call)) {
        return UINT64_MAX;
    }
    if (now >= session->retry_at) {
        return send_hello(session) ? UINT64_MAX : now + TRY_AGAIN_NS;
    }
    return session->retry_at;
}

// ---- Fetch ----

static void caught_up(ez_session *session, uint64_t now) {
    session->backoff_ns = 0;
    session->heard_ns = now;
    bool is_news = !session->was_live || session->fetched > 0;
    const ez_session_step step = {
        .to = session->at,
        .changes = session->fetched,
        .commit_ns = session->was_live ? session->trigger_ns : 0,
        .by_fetch = true,
        .is_snapshot = session->was_snapshot,
    };
    session->was_live = true;
    session->was_snapshot = false;
    move(session, EZ_FOLLOW_LIVE);
    if (is_news) {
        ez_apply_step(session, &step);
    }
}

static uint64_t run_fetch(ez_session *session, uint64_t now) {
    ez_status status;
    const ez_error *error;
    ez_slice reply;
    if (ez_session_call_take(session->main_call, &status, &error, &reply)) {
        uint32_t server = ez_session_call_server(session->main_call);
        session->needs_hello = session->needs_hello || (server != 0 && server != session->server);
        switch (ez_fetch_take(session, status, error, reply)) {
        case EZ_FETCH_DONE:
            caught_up(session, now);
            return now;
        case EZ_FETCH_HELLO:
            session->needs_hello = true;
            break;
        case EZ_FETCH_AGAIN:
            pause_for(session, now, false);
            break;
        case EZ_FETCH_MORE:
            session->retry_at = 0;
            break;
        }
    }
    if (ez_session_call_is_busy(session->main_call)) {
        return UINT64_MAX;
    }
    if (session->needs_hello) {
        pause_for(session, now, false);
        move(session, EZ_FOLLOW_HELLO);
        return now;
    }
    if (now >= session->retry_at) {
        return ez_fetch_start(session) ? UINT64_MAX : now + TRY_AGAIN_NS;
    }
    return session->retry_at;
}

// ---- Events ----

static void count_lost(ez_session *session, const Ez__V1__EventHeader *header) {
    bool is_same = strcmp(session->server_id, header->server_id) == 0;
    if (is_same && header->sequence > session->sequence + 1) {
        session->events_lost += header->sequence - session->sequence - 1;
    }
    if (!is_same) {
        snprintf(session->server_id, sizeof session->server_id, "%s", header->server_id);
    }
    if (!is_same || header->sequence > session->sequence) {
        session->sequence = header->sequence;
    }
}

static int64_t time_of(const Ez__V1__EventHeader *header) {
    return header->time == NULL ? 0 : header->time->seconds * 1000000000 + header->time->nanos;
}

// Whether every change of the batch can be read, and applied without its secret.
static bool is_complete(ez_session *session, ez_slice batch) {
    size_t at = 0;
    ez_change change;
    bool bad = false;
    while (ez_change_next(batch, 1, &at, &change, &bad)) {
        if (!ez_apply_has_secret(session, &change)) {
            return false;
        }
    }
    return !bad;
}

static void apply_event(ez_session *session, const Ez__V1__EventHeader *header, ez_slice batch) {
    ez_session_step step = {.commit_ns = time_of(header)};
    size_t at = 0;
    ez_change change;
    bool bad = false;
    while (ez_change_next(batch, 1, &at, &change, &bad)) {
        step.changes += ez_apply_change(session, &change);
    }
    session->at = (ez_session_revision){.epoch = header->to->epoch, .n = header->to->n};
    session->cache.is_dirty = true;
    session->pushed++;
    step.to = session->at;
    ez_apply_step(session, &step);
}

static void handle(ez_session *session, const Ez__V1__EventHeader *header, ez_slice batch) {
    static const Ez__V1__Revision nowhere = EZ__V1__REVISION__INIT;
    const Ez__V1__Revision *from = header->from == NULL ? &nowhere : header->from;
    const Ez__V1__Revision *to = header->to == NULL ? &nowhere : header->to;
    int64_t before = session->event_time_ns;
    count_lost(session, header);
    session->event_time_ns = time_of(header);
    session->wants_ack = session->wants_ack || header->ack_now;
    if (to->epoch == session->at.epoch && to->n <= session->at.n) {
        return; // nothing new in it
    }
    bool joins = from->epoch == session->at.epoch && to->epoch == session->at.epoch && from->n == session->at.n;
    if (joins && !header->fetch && is_complete(session, batch)) {
        apply_event(session, header, batch);
        return;
    }
    // What was lost was committed after the event before this one.
    begin_fetch(session, joins ? session->event_time_ns : before);
}

static void take_event(ez_session *session, nng_msg *msg, ez_arena *arena) {
    const char *topic;
    Ez__V1__EventHeader *header;
    ez_slice batch;
    ez_error error;
    if (ez_frame_read_event(nng_msg_body(msg), nng_msg_len(msg), arena, &topic, &header, &batch, &error) != EZ_OK) {
        if (!session->saw_garbage) {
            ez_log_warn("an event can't be read; what it held is fetched", "reason", error.message);
        }
        session->saw_garbage = true;
        begin_fetch(session, session->event_time_ns);
    } else {
        session->saw_garbage = false;
        handle(session, header, batch);
    }
}

// Nothing on the push socket for three heartbeats: ask over the other one, and the second time make a new connection
// too.
static uint64_t check_silence(ez_session *session, uint64_t now) {
    uint64_t limit = session->heard_ns + SILENT_HEARTBEATS * session->heartbeat_ns;
    if (now < limit) {
        return limit;
    }
    session->heard_ns = now;
    if (++session->silences >= 2) {
        session->silences = 0;
        ez_push_reconnect(session);
    }
    begin_fetch(session, session->event_time_ns);
    return now;
}

// Whether the server that has our session is connected. Where it is not, and there is another one, we go there.
// *due: when to look again.
static bool is_server_there(ez_session *session, uint64_t now, uint64_t *due) {
    if (!has_others(session)) {
        return true;
    }
    if (!ez_push_is_connected(session) && now + LOOK_NS < *due) {
        *due = now + LOOK_NS; // the other connection may go next
    }
    return ez_client_has_server(session->client, session->server);
}

static uint64_t run_live(ez_session *session, uint64_t now) {
    uint64_t look = UINT64_MAX;
    session->needs_hello = session->needs_hello || !is_server_there(session, now, &look);
    if (session->needs_hello) {
        session->retry_at = 0;
        move(session, EZ_FOLLOW_HELLO);
        return now;
    }
    if (session->wants_snapshot) {
        begin_fetch(session, 0);
        return now;
    }
    // As many as the inbox holds: then others of the group have their turn.
    for (unsigned i = 0; i < EZ_INBOX_EVENTS && session->state == EZ_FOLLOW_LIVE; i++) {
        nng_msg *msg = ez_push_take(session);
        if (msg == NULL) {
            uint64_t due = check_silence(session, now);
            return due < look ? due : look;
        }
        session->heard_ns = now;
        session->silences = 0;
        ez_arena_reset(&session->event_arena);
        take_event(session, msg, &session->event_arena);
        nng_msg_free(msg);
    }
    return now;
}

// ---- The end ----

static void begin_closing(ez_session *session, uint64_t now) {
    bool has_session = session->state == EZ_FOLLOW_FETCH || session->state == EZ_FOLLOW_LIVE;
    move(session, EZ_FOLLOW_CLOSING);
    ez_fetch_leave(session);
    // The next heartbeat ends the connection it comes by; where nothing comes, nothing is being read.
    bool is_silent = now - session->heard_ns > SILENT_HEARTBEATS * session->heartbeat_ns;
    uint64_t wait = session->heartbeat_ns + QUIET_MARGIN_NS;
    session->quiet_by = is_silent ? now : now + (wait < QUIET_MAX_NS ? wait : QUIET_MAX_NS);
    ez_push_hush(session);
    if (ez_session_call_is_busy(session->main_call) || !has_session || !ez_client_is_connected(session->client)) {
        session->is_mute = true;
        return;
    }
    Ez__V1__GoodbyeRequest request = EZ__V1__GOODBYE_REQUEST__INIT;
    const ez_call_options options = {
        .timeout_ms = GOODBYE_TIMEOUT_MS, .max_retries = -1, .authorization = session->token};
    static const char name[] = "ez.v1.DataPlanes/Goodbye";
    session->is_mute = !ez_session_call_start(session->main_call, session->client,
                                              ez_method_find(name, sizeof name - 1), &request.base, &options);
}

static uint64_t run_closing(ez_session *session, uint64_t now) {
    ez_status status;
    const ez_error *error;
    ez_slice reply;
    bool is_said = session->is_mute || ez_session_call_take(session->main_call, &status, &error, &reply);
    session->is_mute = is_said;
    bool is_writing = ez_cache_flush(session);
    bool is_quiet = ez_push_is_quiet(session, now >= session->quiet_by);
    if (is_said && !is_writing && is_quiet) {
        move(session, EZ_FOLLOW_CLOSED);
    }
    return is_quiet ? UINT64_MAX : session->quiet_by; // Goodbye's answer and the cache's writer wake us
}

static uint64_t run_state(ez_session *session, uint64_t now) {
    switch (session->state) {
    case EZ_FOLLOW_HELLO:
        return run_hello(session, now);
    case EZ_FOLLOW_FETCH:
        return run_fetch(session, now);
    case EZ_FOLLOW_LIVE:
        return run_live(session, now);
    case EZ_FOLLOW_CLOSING:
        return run_closing(session, now);
    case EZ_FOLLOW_CLOSED:
        break;
    }
    return UINT64_MAX;
}

uint64_t ez_follow_run(ez_session *session, uint64_t now) {
    pthread_mutex_lock(&session->group->mutex);
    bool stop = session->stop;
    pthread_mutex_unlock(&session->group->mutex);
    if (stop && session->state < EZ_FOLLOW_CLOSING) {
        begin_closing(session, now);
    }
    uint64_t due;
    ez_follow_state before;
    unsigned turns = 0;
    do {
        before = session->state;
        due = run_state(session, now);
    } while (session->state != before && ++turns < 8);
    uint64_t report = ez_report_run(session, now);
    due = report < due ? report : due;
    if (session->state < EZ_FOLLOW_CLOSING) {
        uint64_t cache = ez_cache_run(session, now);
        due = cache < due ? cache : due;
    }
    return due;
}
