// SPDX-License-Identifier: Apache-2.0
//
// The thread: takes back what outbound and the writer are done with, follows the feed, begins what was asked for and
// what is due, and sleeps until the next of these.
//
// The awkward case is the end. Replies that came are stored before the writer stops; what was sent and not answered
// when outbound stops is of unknown outcome, and its claim says so to the server that comes next.
#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/crypto/random.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/domain/oauth/inside.h"

#define IDLE_MS       250  // between looks at the feed
#define TIMER_MS      20   // while a flight waits for a point in time
#define QUIET_AT_ONCE 4    // keys that are due and need no call, each TIMER_MS
#define END_MS        4000 // after the end was called a write that fails is tried again for so long

uint64_t ez_oauth_random(ez_oauth *oauth) { // xorshift: jitter needs no more
    oauth->random ^= oauth->random << 13;
    oauth->random ^= oauth->random >> 7;
    oauth->random ^= oauth->random << 17;
    return oauth->random;
}

// ---- Flights

static void take_back(ez_oauth_flight *flight) {
    switch (flight->stage) {
    case EZ_OAUTH_CALLS:
        ez_oauth_land(flight);
        break;
    case EZ_OAUTH_LOOKS_UP:
        if (flight->project[0])
            ez_oauth_write(flight, EZ_OAUTH_PUT_PROJECT, EZ_OAUTH_FILES);
        else
            ez_oauth_flight_end(flight, EZ_CLAIM_SETTLED, UINT64_MAX);
        break;
    default:
        ez_oauth_settle(flight);
        break;
    }
}

static void take_ready(ez_oauth *oauth) {
    pthread_mutex_lock(&oauth->lock);
    ez_oauth_flight *list = oauth->ready;
    oauth->ready = NULL;
    pthread_mutex_unlock(&oauth->lock);
    while (list) {
        ez_oauth_flight *next = list->ready; // it may be handed on, and back again
        take_back(list);
        list = next;
    }
}

// Whether it ends without a call, for which no turn is needed.
static bool is_quiet(const ez_oauth_flight *flight) {
    pthread_mutex_lock(&flight->oauth->lock);
    const ez_oauth_slot *slot = ez_oauth_schedule_get(&flight->oauth->schedule, flight->id);
    bool is = slot && slot->is_quiet && !flight->force;
    pthread_mutex_unlock(&flight->oauth->lock);
    return is;
}

static void write_again(ez_oauth_flight *flight, bool is_ending) {
    bool was_tried = flight->end_tries > 0; // once always, however long it had failed before
    if (is_ending && was_tried && ez_clock_mono_ms() >= flight->oauth->end_until_ms) {
        ez_log_error("refreshed tokens were lost: the store took no change before the end", "api_key",
                     EZ_LOG_INT(flight->id));
        ez_oauth_flight_end(flight, EZ_CLAIM_OPEN, EZ_OAUTH_BACKOFF_MIN_MS);
    } else {
        flight->end_tries += is_ending;
        ez_oauth_extend(flight);
        ez_oauth_write(flight, flight->put, EZ_OAUTH_WRITES);
    }
}

static void step(ez_oauth_flight *flight, uint64_t now_ms, bool is_ending) {
    bool is_stopping = flight->oauth->is_stopping;
    switch (flight->stage) {
    case EZ_OAUTH_BEGINS:
        if (is_stopping || !flight->waiters) // nobody waits for it any more
            ez_oauth_flight_end(flight, EZ_CLAIM_SETTLED, UINT64_MAX);
        else if (is_quiet(flight) || ez_oauth_take_place(flight))
            ez_oauth_begin(flight);
        break;
    case EZ_OAUTH_ELSEWHERE:
        if (is_stopping || !flight->waiters)
            ez_oauth_flight_end(flight, EZ_CLAIM_SETTLED, UINT64_MAX);
        else if (now_ms >= flight->again_ms)
            ez_oauth_peek(flight);
        break;
    case EZ_OAUTH_RESTS:
        if (now_ms >= flight->again_ms)
            write_again(flight, is_ending);
        break;
    default:
        break;
    }
}

// What rests is tried at once, and after short rests again.
static void begin_end(ez_oauth *oauth) {
    uint64_t now_ms = ez_clock_mono_ms();
    oauth->end_until_ms = now_ms + END_MS;
    for (ez_oauth_flight *flight = oauth->flights; flight; flight = flight->next) {
        flight->write_tries = flight->write_tries > 0;
        if (flight->stage == EZ_OAUTH_RESTS)
            flight->again_ms = now_ms;
    }
}

static void step_all(ez_oauth *oauth, bool is_ending) {
    uint64_t now_ms = ez_clock_mono_ms();
    for (ez_oauth_flight *flight = oauth->flights; flight; flight = flight->next)
        step(flight, now_ms, is_ending);
    for (ez_oauth_flight **at = &oauth->flights; *at;) {
        ez_oauth_flight *flight = *at;
        if (flight->stage != EZ_OAUTH_ENDED) {
            at = &flight->next;
            continue;
        }
        *at = flight->next;
        assert(!flight->waiters);
        free(flight);
    }
}

// ---- What is due

typedef struct turn {
    int64_t id;
    bool has_place; // else it needs none
} turn;

// One that is due, and has got a place where it needs one. False: none now.
static bool take_due(ez_oauth *oauth, int provider, turn *out) {
    *out = (turn){.id = 0};
    pthread_mutex_lock(&oauth->lock);
    const ez_oauth_slot *first = ez_oauth_schedule_first(&oauth->schedule, provider);
    uint64_t now_ms = ez_clock_mono_ms();
    if (first && first->due_ns <= ez_clock_wall_ns()) {
        out->has_place = !first->is_quiet && !ez_oauth_store_rests(oauth) &&
                         ez_oauth_pace_take(&oauth->paces[provider], false, now_ms);
        out->id = first->is_quiet || out->has_place ? first->id : 0;
    }
    pthread_mutex_unlock(&oauth->lock);
    return out->id != 0;
}

static void begin_due(ez_oauth *oauth, const turn *it, int provider) {
    int64_t id = it->id;
    bool is_flying = ez_oauth_flight_find(oauth, id) != NULL; // its slot was made anew meanwhile
    ez_oauth_flight *flight = is_flying ? NULL : ez_oauth_flight_make(oauth, id, provider, false);
    if (flight) {
        flight->has_place = it->has_place;
        ez_oauth_begin(flight);
        return;
    }
    pthread_mutex_lock(&oauth->lock);
    if (it->has_place)
        ez_oauth_pace_leave(&oauth->paces[provider]);
    ez_oauth_slot *slot = is_flying ? ez_oauth_schedule_get(&oauth->schedule, id) : NULL;
    if (slot) {
        slot->is_flying = true;
        ez_oauth_schedule_move(&oauth->schedule, slot, EZ_OAUTH_NEVER);
    }
    pthread_mutex_unlock(&oauth->lock);
}

static void begin_and_time(ez_oauth *oauth, const turn *it, int provider) {
    uint64_t began_ns = ez_clock_mono_ns();
    begin_due(oauth, it, provider);
    uint64_t took_us = (ez_clock_mono_ns() - began_ns) / 1000;
    oauth->begin_us += took_us;
    if (it->has_place)
        ez_oauth_note_time(oauth, &oauth->begins_took, took_us);
}

// One that is called, and then the others have a turn: a claim and a mark are two commits of the store, and meanwhile
// no reply is taken.
static void scan_provider(ez_oauth *oauth, int provider) {
    turn it = {.has_place = false};
    for (unsigned n = 0; n < QUIET_AT_ONCE && !it.has_place && !oauth->is_stopping && take_due(oauth, provider, &it);
         n++)
        begin_and_time(oauth, &it, provider);
}

static void scan(ez_oauth *oauth, uint64_t followed_ns) {
    uint64_t fence, began_ns = ez_clock_mono_ns() - followed_ns;
    oauth->begin_us = 0;
    bool did_scan = oauth->scans;
    oauth->scans = !oauth->options.is_off && !oauth->is_stopping && ez_holder_may(&oauth->options.holder, &fence);
    if (oauth->scans && !did_scan) {
        oauth->tell_after = 0;
        oauth->look_at_ms = 0;
    }
    if (oauth->scans)
        ez_oauth_tell_ended(oauth);
    for (int i = 0; oauth->scans && i < EZ_OAUTH_PROVIDERS; i++)
        scan_provider(oauth, i);
    ez_oauth_note_time(oauth, &oauth->scans_took, (ez_clock_mono_ns() - began_ns) / 1000 - oauth->begin_us);
}

// ---- The thread

static bool has_timers(const ez_oauth *oauth) {
    for (const ez_oauth_flight *flight = oauth->flights; flight; flight = flight->next)
        if (flight->stage == EZ_OAUTH_BEGINS || flight->stage == EZ_OAUTH_ELSEWHERE || flight->stage == EZ_OAUTH_RESTS)
            return true;
    return false;
}

// Within the lock.
static uint64_t pause_ms(const ez_oauth *oauth) {
    uint64_t pause = has_timers(oauth) ? TIMER_MS : IDLE_MS, now_ms = ez_clock_mono_ms();
    int64_t now_ns = ez_clock_wall_ns();
    for (int i = 0; i < EZ_OAUTH_PROVIDERS; i++) {
        const ez_oauth_slot *first = ez_oauth_schedule_first(&oauth->schedule, i);
        if (!oauth->scans || !first || first->due_ns > now_ns + (int64_t)pause * 1000000)
            continue;
        uint64_t due = first->due_ns > now_ns ? (uint64_t)(first->due_ns - now_ns) / 1000000 + 1 : 0;
        uint64_t place = first->is_quiet ? TIMER_MS : ez_oauth_pace_wait_ms(&oauth->paces[i], false, now_ms);
        if (!first->is_quiet && oauth->store_again_ms > now_ms + place)
            place = oauth->store_again_ms - now_ms;
        uint64_t wait = (due > place ? due : place) + 1;
        bool is_full = !first->is_quiet && oauth->paces[i].running + 1 >= oauth->paces[i].concurrency;
        pause = !is_full && wait < pause ? wait : pause;
    }
    return pause;
}

static void wait_for_work(ez_oauth *oauth) {
    pthread_mutex_lock(&oauth->lock);
    uint64_t at = ez_clock_mono_ns() + pause_ms(oauth) * UINT64_C(1000000);
    struct timespec until = {.tv_sec = (time_t)(at / 1000000000u), .tv_nsec = (long)(at % 1000000000u)};
    if (!oauth->asked && !oauth->ready)
        pthread_cond_timedwait(&oauth->wake, &oauth->lock, &until);
    pthread_mutex_unlock(&oauth->lock);
}

static bool is_ending(ez_oauth *oauth) {
    pthread_mutex_lock(&oauth->lock);
    bool ends = oauth->is_ending;
    pthread_mutex_unlock(&oauth->lock);
    return ends;
}

static void *work(void *user) {
    ez_oauth *oauth = user;
    for (bool ends = false; !ends || oauth->flights;) {
        bool did_end = ends;
        ends = is_ending(oauth);
        if (ends && !did_end)
            begin_end(oauth);
        ez_oauth_pay_claims(oauth);
        take_ready(oauth);
        uint64_t began_ns = ez_clock_mono_ns();
        if (!oauth->is_stopping)
            ez_oauth_follow(oauth);
        uint64_t followed_ns = ez_clock_mono_ns() - began_ns;
        ez_oauth_take_asked(oauth);
        step_all(oauth, ends);
        scan(oauth, followed_ns);
        ez_oauth_look_at_alerts(oauth);
        ez_oauth_forget_claims(oauth);
        ez_oauth_tell(oauth);
        ez_oauth_expire_waiters(oauth);
        if (!ends || oauth->flights)
            wait_for_work(oauth);
    }
    ez_oauth_pay_claims(oauth);
    ez_oauth_take_asked(oauth); // whom the last flight left
    ez_oauth_tell(oauth);       // and what it left
    return NULL;
}

// ---- Life

static void init_locks(ez_oauth *oauth) {
    pthread_condattr_t monotonic;
    pthread_mutex_init(&oauth->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&oauth->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

static ez_status start_thread(ez_oauth *oauth, ez_error *error) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    oauth->has_thread = pthread_create(&oauth->thread, NULL, work, oauth) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return oauth->has_thread
               ? EZ_OK
               : ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_THREAD", "no thread for token refresh can be started");
}

static ez_status fill(ez_oauth *oauth, const ez_oauth_options *options, ez_error *error) {
    const ez_outbound_allow *allow = ez_outbound_allowed(options->outbound);
    ez_status status = EZ_OK;
    for (int i = 0; status == EZ_OK && i < EZ_OAUTH_PROVIDERS; i++) {
        status = ez_oauth_source_init(&oauth->sources[i], ez_oauth_providers[i], &options->settings[i], allow, error);
        ez_oauth_pace_init(&oauth->paces[i], options->rate, options->concurrency, ez_clock_mono_ms());
    }
    if (status == EZ_OK)
        status = ez_oauth_read_before(options->before, oauth->sources, error);
    oauth->clock_offset_ns = ez_clock_wall_ns() - (int64_t)ez_clock_mono_ns();
    if (status == EZ_OK && ez_random(&oauth->random, sizeof oauth->random) != EZ_OK)
        status = ez_error_set(error, EZ_INTERNAL, "NO_RANDOMNESS", "the system gives no random numbers");
    oauth->random |= 1; // not 0, where xorshift stays
    return status == EZ_OK ? start_thread(oauth, error) : status;
}

ez_status ez_oauth_create(const ez_oauth_options *options, ez_oauth **out, ez_error *error) {
    ez_oauth *oauth = calloc(1, sizeof *oauth);
    if (!oauth)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for token refresh");
    oauth->options = *options;
    memset(oauth->options.settings, 0, sizeof oauth->options.settings); // copied into sources
    ez_oauth_schedule_init(&oauth->schedule);
    ez_idmap_init(&oauth->groups);
    init_locks(oauth);
    ez_status status = fill(oauth, options, error);
    if (status != EZ_OK) {
        ez_oauth_destroy(oauth);
        return status;
    }
    *out = oauth;
    return EZ_OK;
}

void ez_oauth_stop(ez_oauth *oauth) {
    if (!oauth)
        return;
    pthread_mutex_lock(&oauth->lock);
    oauth->is_stopping = true;
    pthread_cond_broadcast(&oauth->wake);
    pthread_mutex_unlock(&oauth->lock);
}

void ez_oauth_drain(ez_oauth *oauth, uint64_t timeout_ms) {
    if (!oauth)
        return;
    uint64_t at = ez_clock_mono_ns() + timeout_ms * UINT64_C(1000000);
    struct timespec until = {.tv_sec = (time_t)(at / 1000000000u), .tv_nsec = (long)(at % 1000000000u)};
    pthread_mutex_lock(&oauth->lock);
    for (int rv = 0; oauth->aloft > 0 && rv == 0;)
        rv = pthread_cond_timedwait(&oauth->wake, &oauth->lock, &until);
    pthread_mutex_unlock(&oauth->lock);
}

void ez_oauth_join(ez_oauth *oauth) {
    if (!oauth || !oauth->has_thread)
        return;
    ez_oauth_stop(oauth);
    pthread_mutex_lock(&oauth->lock);
    oauth->is_ending = true;
    pthread_cond_broadcast(&oauth->wake);
    pthread_mutex_unlock(&oauth->lock);
    pthread_join(oauth->thread, NULL);
    oauth->has_thread = false;
}

void ez_oauth_destroy(ez_oauth *oauth) {
    if (!oauth)
        return;
    ez_oauth_join(oauth);
    for (int i = 0; i < EZ_OAUTH_PROVIDERS; i++)
        ez_oauth_source_fini(&oauth->sources[i]);
    ez_oauth_forget_owed(oauth);
    ez_oauth_forget_news(oauth);
    ez_oauth_forget_look(oauth);
    ez_oauth_schedule_fini(&oauth->schedule);
    ez_idmap_fini(&oauth->groups);
    pthread_cond_destroy(&oauth->wake);
    pthread_mutex_destroy(&oauth->lock);
    free(oauth);
}
