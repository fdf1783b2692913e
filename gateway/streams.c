// SPDX-License-Identifier: Apache-2.0
//
// A stream has no queue of its own: it has a position, and takes from the loop's ring what comes after it while its
// buffer has room. So a slow reader costs a bounded buffer; one that falls behind the ring is told what it lost and
// goes on. Losses are seen by the sequences: a step of more than one; the ring's last that is not there; or, since the
// last event of all may be the lost one, what the server says at each check of the credential.
//
// A stream is adrift while its position is not known to be one of the server that events come from: after a lost
// connection, or where calls and events reach different servers. It gets no events until the server was asked again.
// What it is owed meanwhile waits in the ring. The awkward case: a connection that closes while its check is under way;
// the stream stays, without it, until the answer.
#include "gateway/streams.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "gateway/stream.h"
#include "gateway/stream_check.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"

#define UNSENT_MAX (256u << 10) // and one event
#define UNSENT_LOW (64u << 10)
#define END_MS     2000 // for the last bytes to leave
#define SETTLE_MS  2000 // for an event to come that the server has published
#define ADRIFT_MS  60000

struct ez_streams {
    ez_streams_options options;
    ez_events *events;
    ez_stream_checks *checks;
    ez_stream *all;
    bool is_draining;
};

static void count_lost(ez_streams *streams) {
    atomic_fetch_add_explicit(&streams->options.counters->streams_lost, 1, memory_order_relaxed);
}

static void tell_lost(ez_stream *stream, unsigned topics, const char *reason, const char *detail) {
    count_lost(stream->owner);
    ez_stream_tell_lost(stream, topics, reason, detail);
}

static void tell_gap(ez_stream *stream, unsigned topics, bool was_here) {
    if (was_here)
        tell_lost(stream, topics, "RING_OVERRUN", "events are no longer kept; read anew what you show");
    else
        tell_lost(stream, topics, "EVENTS_DROPPED", "events were dropped on their way; read anew what you show");
}

static void set_adrift(ez_stream *stream) {
    if (!stream->is_adrift)
        stream->adrift_ms = ez_clock_mono_ms();
    stream->is_adrift = true;
    stream->expected_ms = 0;
}

// One more event. Returns whether there was one.
static bool send_next(ez_stream *stream, ez_event_ring *ring) {
    uint64_t *at = stream->at.sequence;
    ez_event *event = ez_event_ring_next(ring, stream->at.topics, at);
    if (!event)
        return false;
    int topic = event->topic;
    if (event->sequence > at[topic] + 1) {
        bool was_here = ez_event_ring_evicted(ring, topic) > at[topic];
        at[topic] = event->sequence - 1;
        tell_gap(stream, 1u << topic, was_here);
    }
    at[topic] = event->sequence;
    ez_event_text *text = ez_event_ring_text(ring, event);
    if (text)
        ez_stream_send(stream, text);
    else
        tell_lost(stream, 1u << topic, "EVENT_UNREADABLE", "an event can't be shown as JSON, or is too large for it");
    return true;
}

// What came and is neither sent nor there to be sent.
static void tell_missing(ez_stream *stream, const ez_event_ring *ring) {
    unsigned topics = 0;
    bool was_here = false;
    for (int i = 0; i < EZ_TOPIC_COUNT; i++) {
        if (!(stream->at.topics & (1u << i)) || ez_event_ring_last(ring, i) <= stream->at.sequence[i])
            continue;
        topics |= 1u << i;
        was_here = was_here || ez_event_ring_evicted(ring, i) > stream->at.sequence[i];
        stream->at.sequence[i] = ez_event_ring_last(ring, i);
    }
    if (topics)
        tell_gap(stream, topics, was_here);
}

static void pump(ez_stream *stream) {
    ez_event_ring *ring = ez_events_ring(stream->owner->events);
    if (stream->is_ending || stream->is_adrift)
        return;
    if (strcmp(stream->at.server_id, ez_event_ring_server(ring)) != 0) {
        set_adrift(stream);
        ez_stream_checks_hurry(stream);
        return;
    }
    while (ez_stream_unsent(stream) < UNSENT_MAX) {
        if (!send_next(stream, ring)) {
            tell_missing(stream, ring);
            return;
        }
    }
}

// Of what the server had published a while ago, what has not even come.
static void look_for_expected(ez_stream *stream, uint64_t now) {
    if (stream->expected_ms == 0 || ez_stream_elapsed(now, stream->expected_ms) < SETTLE_MS)
        return;
    const ez_event_ring *ring = ez_events_ring(stream->owner->events);
    unsigned topics = 0;
    stream->expected_ms = 0;
    for (int i = 0; i < EZ_TOPIC_COUNT; i++) {
        uint64_t expected = stream->expected[i];
        if (!(stream->at.topics & (1u << i)) || stream->at.sequence[i] >= expected ||
            ez_event_ring_last(ring, i) >= expected)
            continue;
        topics |= 1u << i;
        stream->at.sequence[i] = expected;
    }
    if (topics)
        tell_gap(stream, topics, false);
}

// What is expected already is looked for first.
static void expect(ez_stream *stream, const ez_event_position *now) {
    if (stream->expected_ms != 0)
        return;
    memcpy(stream->expected, now->sequence, sizeof stream->expected);
    stream->expected_ms = ez_clock_mono_ms();
}

// The server says again that the client may watch, and where it is.
static void on_allowed(ez_stream *stream, const ez_event_position *now) {
    if (!ez_events_settle(stream->owner->events, now->server_id)) {
        set_adrift(stream);
        if (ez_events_is_up(stream->owner->events))
            ez_stream_checks_hurry(stream); // until they are of one server
        return;
    }
    stream->is_adrift = false;
    if (strcmp(stream->at.server_id, now->server_id) == 0) {
        expect(stream, now);
    } else {
        unsigned topics = stream->at.topics;
        stream->at = *now;
        stream->at.topics = topics;
        tell_lost(stream, topics, "OTHER_SERVER",
                  "events come from another server, or one that was started anew; read anew what you show");
    }
    pump(stream);
}

static void on_refused(ez_stream *stream, const char *reason, const char *detail) {
    ez_stream_end(stream, reason, detail);
}

static void on_arrived(void *arg) {
    for (ez_stream *one = ((ez_streams *)arg)->all; one; one = one->next)
        pump(one);
}

static void on_unsettled(void *arg) {
    for (ez_stream *one = ((ez_streams *)arg)->all; one; one = one->next) {
        set_adrift(one);
        ez_stream_checks_hurry(one);
    }
}

static void on_returned(void *arg) {
    ez_streams *streams = arg;
    for (ez_stream *one = streams->all; one; one = one->next)
        ez_stream_checks_hurry(one);
    ez_stream_checks_run(streams->checks, streams->all);
}

// The connection is closed, by whomever.
static void on_gone(void *arg) {
    ez_stream *stream = arg;
    ez_streams *owner = stream->owner;
    if (stream->previous)
        stream->previous->next = stream->next;
    else
        owner->all = stream->next;
    if (stream->next)
        stream->next->previous = stream->previous;
    stream->connection = NULL;
    atomic_fetch_sub_explicit(owner->options.total, 1, memory_order_relaxed);
    ez_stream_checks_forget(owner->checks, stream);
}

static void on_read(struct bufferevent *bufferevent, void *arg) {
    (void)arg; // nothing is asked for on this connection any more
    struct evbuffer *in = bufferevent_get_input(bufferevent);
    (void)evbuffer_drain(in, evbuffer_get_length(in));
}

static void on_write(struct bufferevent *bufferevent, void *arg) {
    (void)bufferevent;
    ez_stream *stream = arg;
    if (!stream->is_ending)
        pump(stream);
    else if (ez_stream_unsent(stream) == 0)
        ez_connection_close(stream->connection);
}

static void on_event(struct bufferevent *bufferevent, short what, void *arg) {
    (void)bufferevent;
    (void)what;
    ez_connection_close(((ez_stream *)arg)->connection);
}

// Calls go to another core: its events it is then.
static void on_moved(void *arg, unsigned core) {
    ez_events_use(((ez_streams *)arg)->events, core);
}

ez_status ez_streams_open(const ez_streams_options *options, ez_streams **out, ez_error *error) {
    static const ez_events_listener listener = {
        .arrived = on_arrived, .unsettled = on_unsettled, .returned = on_returned};
    ez_streams *made = calloc(1, sizeof *made);
    if (!made)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for a loop's streams");
    made->options = *options;
    ez_status status =
        ez_stream_checks_create(options->backend, options->check_s, on_allowed, on_refused, &made->checks, error);
    if (status == EZ_OK)
        status = ez_events_open(options->base, options->url, &listener, made, &made->events, error);
    if (status != EZ_OK) {
        ez_streams_close(made);
        return status;
    }
    ez_backend_watch(options->backend, on_moved, made);
    *out = made;
    return EZ_OK;
}

void ez_streams_close(ez_streams *streams) {
    if (!streams)
        return;
    ez_events_close(streams->events);
    ez_stream_checks_destroy(streams->checks);
    free(streams);
}

const ez_events *ez_streams_events(const ez_streams *streams) {
    return streams->events;
}

ez_status ez_streams_check(const ez_streams *streams, ez_error *error) {
    if (streams->is_draining)
        return ez_error_set(error, EZ_UNAVAILABLE, "GATEWAY_STOPPING",
                            "the gateway is stopping; try again in a moment");
    if (atomic_load_explicit(streams->options.total, memory_order_relaxed) >= streams->options.max)
        return ez_error_set(
            error, EZ_UNAVAILABLE, "STREAMS_MAX",
            "the gateway has as many event streams as it takes (%u): end one, or raise EZ_HTTP_MAX_STREAMS",
            streams->options.max);
    if (!ez_events_is_up(streams->events))
        return ez_error_set(error, EZ_UNAVAILABLE, "EVENTS_UNAVAILABLE",
                            "the gateway has no connection to the core's events; try again in a moment");
    return EZ_OK;
}

// Where the client goes on. NULL, or why it can't be told what it missed.
static const char *resume(ez_stream *stream, const char *last_event_id, const ez_event_position *now) {
    ez_event_position was;
    if (!ez_event_position_read(last_event_id, &was))
        return "ID_INVALID";
    if (strcmp(was.server_id, now->server_id) != 0)
        return "OTHER_SERVER";
    for (int i = 0; i < EZ_TOPIC_COUNT; i++) {
        if (was.topics & (1u << i) && was.sequence[i] > now->sequence[i])
            return "ID_INVALID";
    }
    for (int i = 0; i < EZ_TOPIC_COUNT; i++) {
        if (was.topics & (1u << i))
            stream->at.sequence[i] = was.sequence[i];
    }
    return NULL;
}

static void begin(ez_stream *stream, const ez_stream_start *start) {
    const char *why = NULL;
    stream->at = *start->now;
    if (start->last_event_id)
        why = resume(stream, start->last_event_id, start->now);
    stream->at.topics = start->topics;
    ez_stream_greet(stream);
    if (why)
        tell_lost(stream, start->topics, why,
                  "what came since that Last-Event-ID is not known here; read anew what you show");
    if (!ez_events_settle(stream->owner->events, start->now->server_id)) {
        set_adrift(stream);
        ez_stream_checks_hurry(stream);
        return;
    }
    expect(stream, start->now);
    pump(stream);
}

static uint64_t beat_ms(const ez_streams *streams) {
    return UINT64_C(1000) * streams->options.beat_s;
}

// Nothing leaves.
static uint64_t stuck_ms(const ez_streams *streams) {
    return 2 * beat_ms(streams);
}

static void set_up_connection(ez_stream *stream) {
    static const int on = 1;
    const int stuck = (int)stuck_ms(stream->owner);
    stream->bufferevent = ez_connection_take(stream->connection, on_gone, stream);
    int fd = bufferevent_getfd(stream->bufferevent);
    // A client that is gone without a word: what is sent to it stays in the system's buffer, and is never acknowledged.
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &stuck, sizeof stuck);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    bufferevent_setcb(stream->bufferevent, on_read, on_write, on_event, stream);
    bufferevent_setwatermark(stream->bufferevent, EV_WRITE, UNSENT_LOW, 0);
    (void)bufferevent_enable(stream->bufferevent, EV_READ | EV_WRITE);
}

void ez_streams_start(ez_streams *streams, const ez_stream_start *start) {
    ez_stream *made = calloc(1, sizeof *made);
    uint64_t now = ez_clock_mono_ms();
    if (!made) {
        ez_connection_close(start->connection);
        return;
    }
    *made = (ez_stream){.next = streams->all,
                        .owner = streams,
                        .connection = start->connection,
                        .is_chunked = start->is_chunked,
                        .progress_ms = now,
                        .frame = *start->frame,
                        .is_safe = start->is_safe,
                        .timeout_ms = start->timeout_ms};
    ez_buf_init(start->frame, start->frame->max);
    if (streams->all)
        streams->all->previous = made;
    streams->all = made;
    atomic_fetch_add_explicit(streams->options.total, 1, memory_order_relaxed);
    set_up_connection(made);
    made->given = ez_stream_unsent(made);
    ez_stream_checks_begin(streams->checks, made);
    begin(made, start);
}

// Returns whether the stream is to be cut.
static bool tick(ez_stream *stream, uint64_t now) {
    if (stream->is_ending)
        return ez_stream_elapsed(now, stream->ending_ms) > END_MS;
    if (ez_stream_is_stuck(stream, now, stuck_ms(stream->owner)))
        return true;
    if (stream->is_adrift && ez_stream_elapsed(now, stream->adrift_ms) > ADRIFT_MS) {
        ez_stream_end(stream, "EVENTS_UNAVAILABLE", "the gateway has no connection to the events of the core it calls");
        return false;
    }
    pump(stream);
    look_for_expected(stream, now);
    if (ez_stream_elapsed(now, stream->wrote_ms) >= beat_ms(stream->owner) && ez_stream_unsent(stream) == 0)
        ez_stream_beat(stream);
    return false;
}

void ez_streams_tick(ez_streams *streams) {
    uint64_t now = ez_clock_mono_ms();
    for (ez_stream *one = streams->all, *next; one; one = next) {
        next = one->next;
        if (tick(one, now)) {
            atomic_fetch_add_explicit(&streams->options.counters->timeouts, 1, memory_order_relaxed);
            ez_connection_close(one->connection);
        }
    }
    ez_stream_checks_run(streams->checks, streams->all);
}

void ez_streams_drain(ez_streams *streams) {
    streams->is_draining = true;
    for (ez_stream *one = streams->all; one; one = one->next) {
        if (!one->is_ending)
            ez_stream_end(one, "GATEWAY_STOPPING", "the gateway is stopping; connect again");
    }
}
