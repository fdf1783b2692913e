// SPDX-License-Identifier: Apache-2.0
//
// An answer that is no decision (the core is away, busy, late) is asked for again soon; where none came for three
// periods the stream ends, since nobody vouches for it. The awkward case: a thousand streams that are due at once,
// after a lost connection; only so many ask at a time, and each tick goes on with the others.
#include "gateway/stream_check.h"

#include <stdlib.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/frame.h"

#define AT_ONCE    128
#define AGAIN_MS   1000
#define PERIODS    3 // without a decision
#define MEMORY_MAX (64u << 10)

struct ez_stream_checks {
    ez_backend *backend;
    uint64_t every_ms;
    ez_stream_allowed *allowed;
    ez_stream_refused *refused;
    ez_arena arena;
    const ez_message_rule *reply;
    unsigned under_way;
    unsigned spread;
    ez_stream *forgotten; // their answers are under way
};

ez_status ez_stream_checks_create(ez_backend *backend, uint32_t every_s, ez_stream_allowed *allowed,
                                  ez_stream_refused *refused, ez_stream_checks **out, ez_error *error) {
    static const char name[] = "ez.v1.Events/Watch";
    const ez_method *method = ez_method_find(name, sizeof name - 1);
    ez_stream_checks *made = method ? calloc(1, sizeof *made) : NULL;
    if (!made)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for a loop's streams");
    *made = (ez_stream_checks){.backend = backend,
                               .every_ms = (uint64_t)every_s * 1000,
                               .allowed = allowed,
                               .refused = refused,
                               .reply = method->reply};
    ez_arena_init(&made->arena, MEMORY_MAX);
    *out = made;
    return EZ_OK;
}

static void free_stream(ez_stream *stream) {
    explicit_bzero(stream->frame.data, stream->frame.len); // it has the credential
    ez_buf_fini(&stream->frame);
    free(stream);
}

void ez_stream_checks_destroy(ez_stream_checks *checks) {
    if (!checks)
        return;
    for (ez_stream *one = checks->forgotten, *next; one; one = next) {
        next = one->next;
        free_stream(one);
    }
    ez_arena_fini(&checks->arena);
    free(checks);
}

// Up to a quarter sooner, so that streams that began together do not ask together.
static void set_next(ez_stream_checks *checks, ez_stream *stream, uint64_t now) {
    uint64_t sooner = checks->every_ms / 4 * (checks->spread++ % 16) / 16;
    stream->check_ms = now + checks->every_ms - sooner;
    stream->checked_ms = now;
}

void ez_stream_checks_begin(ez_stream_checks *checks, ez_stream *stream) {
    stream->checks = checks;
    stream->asked_ms = ez_clock_mono_ms();
    set_next(checks, stream, stream->asked_ms);
}

void ez_stream_checks_hurry(ez_stream *stream) {
    uint64_t soon = stream->asked_ms + AGAIN_MS;
    if (soon < stream->check_ms)
        stream->check_ms = soon;
}

static void forget(ez_stream_checks *checks, ez_stream *stream) {
    for (ez_stream **place = &checks->forgotten; *place; place = &(*place)->next) {
        if (*place == stream) {
            *place = stream->next;
            break;
        }
    }
    free_stream(stream);
}

void ez_stream_checks_forget(ez_stream_checks *checks, ez_stream *stream) {
    if (!stream->is_checking) {
        free_stream(stream);
        return;
    }
    stream->previous = NULL;
    stream->next = checks->forgotten;
    checks->forgotten = stream;
}

// Whether the core has said no, rather than not now.
static bool is_decision(int code) {
    return code == EZ_UNAUTHENTICATED || code == EZ_PERMISSION_DENIED || code == EZ_NOT_FOUND ||
           code == EZ_INVALID_ARGUMENT || code == EZ_UNIMPLEMENTED;
}

static void take_answer(ez_stream_checks *checks, ez_stream *stream, const void *frame, size_t len) {
    Ez__V1__ReplyHeader *header;
    ez_event_position position;
    ez_slice message;
    ez_error error = EZ_ERROR_INIT;
    if (ez_frame_read_reply(frame, len, &checks->arena, &header, &message, &error) != EZ_OK)
        return;
    if (header->code != EZ__V1__CODE__CODE_OK) {
        if (is_decision((int)header->code))
            checks->refused(stream, header->reason, header->message);
        return;
    }
    if (ez_event_position_decode(checks->reply, message, &checks->arena, &position, &error) != EZ_OK)
        return;
    set_next(checks, stream, ez_clock_mono_ms());
    checks->allowed(stream, &position);
}

static void end_if_unchecked(ez_stream_checks *checks, ez_stream *stream, uint64_t now) {
    if (!stream->is_ending && ez_stream_elapsed(now, stream->checked_ms) > PERIODS * checks->every_ms)
        checks->refused(stream, "CORE_UNAVAILABLE", "the core has not said for long whether you may watch");
}

static void on_answer(void *arg, const void *frame, size_t len, const ez_error *error) {
    ez_stream *stream = arg;
    ez_stream_checks *checks = stream->checks;
    stream->is_checking = false;
    checks->under_way--;
    if (!stream->connection) {
        forget(checks, stream);
        return;
    }
    if (stream->is_ending)
        return;
    uint64_t now = ez_clock_mono_ms();
    stream->check_ms = now + AGAIN_MS; // unless it is a decision
    if (!error)
        take_answer(checks, stream, frame, len);
    ez_arena_reset(&checks->arena);
    end_if_unchecked(checks, stream, now);
}

static void ask(ez_stream_checks *checks, ez_stream *stream, uint64_t now) {
    ez_error error;
    stream->asked_ms = now;
    if (ez_backend_start(checks->backend, stream->frame.data, stream->frame.len, stream->is_safe, stream->timeout_ms,
                         on_answer, stream, &error) != EZ_OK) {
        stream->check_ms = now + AGAIN_MS;
        end_if_unchecked(checks, stream, now);
        return;
    }
    stream->is_checking = true;
    checks->under_way++;
}

void ez_stream_checks_run(ez_stream_checks *checks, ez_stream *list) {
    uint64_t now = ez_clock_mono_ms();
    for (ez_stream *one = list; one && checks->under_way < AT_ONCE; one = one->next) {
        if (!one->is_checking && !one->is_ending && now >= one->check_ms)
            ask(checks, one, now);
    }
}
