// SPDX-License-Identifier: Apache-2.0
//
// When a round begins, and how it goes from step to step. Each step is a query of its own to the store's readers; a
// round that can't go on is given up as a whole, so that nothing is resolved because it was not looked at.
//
// The most of a round is reading what came in: one reader does it for keys, another beside it for masters and API keys.
// From FORK on there are two ways, and who comes to MEETING last goes on alone. What both look at, nobody changes in
// between.
//
// Awkward: whoever loses the lease in the middle of a round must not tell what came of it, since the next holder is
// looking already. That is asked once more before the end; alerts themselves are safe either way, as they are counted
// to the same fingerprint.
#include "server/domain/alerts/detector.h"

#include <stdlib.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/domain/alerts/detector_inside.h"

static ez_round_step *const steps[] = {
    ez_round_adopt,         ez_round_keys, ez_round_take_beside, ez_round_walk_keys,
    ez_round_walk_api_keys, ez_round_tell, ez_round_planes,
};
#define STEPS   (sizeof steps / sizeof steps[0])
#define FORK    1 // before this step the others begin to be read
#define MEETING 2 // this one has need of them

// ---- A round

static void end(ez_detector *d) {
    const ez_error *error = &d->round.error;
    bool is_failing = d->round.status != EZ_OK;
    if (is_failing) {
        atomic_fetch_add(&d->failed, 1);
        if (!d->is_failing)
            ez_log_warn("a round of the alerts' detector was given up; trying again", "reason", error->reason,
                        "message", error->message);
    } else {
        atomic_store(&d->last_ms, (ez_clock_mono_ns() - d->round.began_ns) / 1000000);
        atomic_fetch_add(&d->rounds, 1);
    }
    d->is_failing = is_failing;
    atomic_store(&d->is_out, false); // last: the next round may begin
}

static bool is_on_two_ways(const ez_round *round) {
    return round->step >= FORK && round->step < MEETING;
}

static void meet(ez_detector *d);

// To the next step, or to the end. The round may be over when it returns.
static void go_on(ez_detector *d) {
    ez_status status = d->round.status;
    if (status == EZ_OK && d->round.step < STEPS) {
        status = ez_store_submit(d->options.store, &d->round.query, &d->round.error);
        if (status == EZ_OK)
            return; // it may run already
        d->round.status = status;
        if (is_on_two_ways(&d->round)) {
            meet(d);
            return;
        }
    }
    end(d);
}

// At the end of one of the two ways.
static void meet(ez_detector *d) {
    if (atomic_fetch_sub(&d->round.ways, 1) == 1)
        go_on(d);
}

static void run_beside(ez_query *query, ez_reader *reader) {
    ez_detector *d = (ez_detector *)(void *)((char *)query - offsetof(ez_detector, round.beside.query));
    d->round.beside.status = ez_round_read_beside(d, reader, &d->round.beside.error);
    meet(d);
}

static void fork_ways(ez_detector *d) {
    ez_beside *beside = &d->round.beside;
    atomic_store(&d->round.ways, 2);
    beside->query = (ez_query){.run = run_beside};
    ez_status status = ez_store_submit(d->options.store, &beside->query, &beside->error);
    if (status == EZ_OK)
        return; // it may be done already
    beside->status = status;
    meet(d);
}

static bool is_still_holder(const ez_detector *d) {
    uint64_t fence;
    return ez_holder_may(&d->options.holder, &fence) && fence == d->round.fence;
}

static void run_step(ez_query *query, ez_reader *reader) {
    ez_detector *d = (ez_detector *)(void *)((char *)query - offsetof(ez_detector, round.query));
    ez_error *error = &d->round.error;
    bool more = false, was_on_two_ways = is_on_two_ways(&d->round);
    d->round.status = is_still_holder(d)
                          ? steps[d->round.step](d, reader, &more, error)
                          : ez_error_set(error, EZ_ABORTED, "LEASE_LOST", "another server has taken over");
    if (d->round.status == EZ_OK && !more && ++d->round.step == FORK)
        fork_ways(d);
    if (was_on_two_ways && (d->round.status != EZ_OK || d->round.step == MEETING))
        meet(d);
    else
        go_on(d);
}

static void begin(ez_detector *d, uint64_t fence) {
    d->round.step = 0;
    d->round.after = 0;
    d->round.has_late = false;
    d->round.plane_step = d->round.plane_alerts = 0;
    d->round.plane_place = (ez_open_place){0};
    d->round.began_ns = ez_clock_mono_ns();
    d->round.now_ns = ez_clock_wall_ns();
    d->round.fence = fence;
    d->round.query = (ez_query){.run = run_step};
    ez_error_clear(&d->round.error);
    ez_error_clear(&d->round.beside.error);
    ez_findings_clear(&d->round.findings);
    ez_findings_clear(&d->round.beside.findings);
    d->round.status = ez_thresholds_read(d->options.directory, &d->round.thresholds, &d->round.error);
    go_on(d);
}

// They are megabytes that nobody needs who does not look.
static void forget_minutes(ez_detector *d) {
    ez_minutes_fini(&d->keys);
    ez_minutes_fini(&d->api_keys);
}

void ez_detector_tick(ez_detector *d) {
    uint64_t now_ms = ez_clock_mono_ms(), fence;
    if (!ez_holder_may(&d->options.holder, &fence)) {
        if (!atomic_load(&d->is_out))
            forget_minutes(d);
        return;
    }
    if (now_ms < d->next_ms)
        return;
    if (atomic_load(&d->is_out)) {
        if (!d->is_late)
            ez_log_warn("a round of the alerts' detector takes longer than it may; the next one waits for it");
        d->is_late = true;
        return;
    }
    d->is_late = false;
    d->next_ms = now_ms + d->options.every_ms;
    atomic_store(&d->is_out, true);
    begin(d, fence);
}

ez_detector_view ez_detector_look(const ez_detector *d) {
    return (ez_detector_view){.is_running = atomic_load(&d->is_out), // first: what ended is in the numbers
                              .rounds = atomic_load(&d->rounds),
                              .failed = atomic_load(&d->failed),
                              .last_ms = atomic_load(&d->last_ms)};
}

// ---- Life

ez_status ez_detector_create(const ez_detector_options *options, ez_detector **out, ez_error *error) {
    ez_detector *d = calloc(1, sizeof *d);
    if (!d)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for the alerts' detector");
    d->options = *options;
    ez_status status = ez_held_init(&d->held, error);
    if (status != EZ_OK) {
        ez_detector_destroy(d);
        return status;
    }
    *out = d;
    return EZ_OK;
}

void ez_detector_destroy(ez_detector *d) {
    if (!d)
        return;
    ez_held_fini(&d->held);
    ez_findings_fini(&d->round.findings);
    ez_findings_fini(&d->round.beside.findings);
    forget_minutes(d);
    free(d);
}
