// SPDX-License-Identifier: Apache-2.0
//
// Those who ask for a refresh and wait for it. All that ask for one key share one flight.
//
// Awkward: a key whose refresh has just failed, or whose new token is refused as the old one was. Who asks then is told
// so at once, or each data plane that meets a 401 would be one more try and the pauses between tries would be none. The
// answer is ABORTED: clients take UNAVAILABLE to another server, which knows nothing of these pauses.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "server/domain/oauth/inside.h"

bool ez_oauth_is_newer(const ez_oauth_key *key, const ez_oauth_waiter *waiter) {
    return waiter->has_observed && key->facts.has_access &&
           memcmp(key->access_hash, waiter->observed, EZ_SHA256_LEN) != 0;
}

ez_status ez_oauth_ask(ez_oauth *oauth, ez_oauth_waiter *waiter, ez_error *error) {
    ez_status status = EZ_OK;
    pthread_mutex_lock(&oauth->lock);
    if (oauth->options.is_off) {
        status = ez_error_set(error, EZ_FAILED_PRECONDITION, "REFRESH_OFF",
                              "this server refreshes no tokens: EZ_TOKEN_REFRESH is false");
    } else if (oauth->is_stopping) {
        status = ez_error_set(error, EZ_UNAVAILABLE, "STOPPING", "the server is stopping: try again");
    } else if (oauth->waiting == EZ_OAUTH_WAITING) {
        status = ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "REFRESH_QUEUE_FULL",
                              "%d calls wait for a token refresh already: try again", EZ_OAUTH_WAITING);
    } else {
        waiter->next = oauth->asked;
        oauth->asked = waiter;
        oauth->waiting++;
        pthread_cond_broadcast(&oauth->wake);
    }
    pthread_mutex_unlock(&oauth->lock);
    return status;
}

static void answer_one(ez_oauth *oauth, ez_oauth_waiter *waiter, ez_status status, int outcome, const ez_error *error) {
    waiter->done(waiter, status, outcome, error);
    pthread_mutex_lock(&oauth->lock);
    oauth->waiting--;
    pthread_mutex_unlock(&oauth->lock);
}

unsigned long long ez_oauth_seconds(uint64_t ms) {
    return (ms + 999) / 1000;
}

// How long its provider is left alone after a failure, most likely another key's, of which it tells; 0: it is not.
static uint64_t paused_for_ms(ez_oauth *oauth, int provider, char why[EZ_OAUTH_WHY_MAX]) {
    uint64_t now_ms = ez_clock_mono_ms();
    pthread_mutex_lock(&oauth->lock);
    uint64_t until_ms = oauth->paces[provider].paused_until_ms;
    memcpy(why, oauth->why[provider], EZ_OAUTH_WHY_MAX);
    pthread_mutex_unlock(&oauth->lock);
    return until_ms > now_ms ? until_ms - now_ms : 0;
}

// How long the key is left alone after a failure of its own; 0: not at all. It tells of which class.
static uint64_t left_alone_ms(ez_oauth *oauth, int64_t id, ez_oauth_class *of) {
    int64_t now_ns = ez_clock_wall_ns();
    uint64_t wait_ms = 0;
    pthread_mutex_lock(&oauth->lock);
    const ez_oauth_slot *slot = ez_oauth_schedule_get(&oauth->schedule, id);
    if (slot && slot->fails > 0 && !slot->is_ended && !slot->is_flying && slot->due_ns > now_ns &&
        slot->due_ns != EZ_OAUTH_NEVER) {
        wait_ms = (uint64_t)(slot->due_ns - now_ns) / 1000000 + 1;
        *of = slot->class;
    }
    pthread_mutex_unlock(&oauth->lock);
    return wait_ms;
}

// A token that is refused as soon as it was given: another one would be, too. As the store shows it, on each server.
static uint64_t new_for_ms(const ez_oauth *oauth, const ez_oauth_waiter *waiter, const ez_oauth_key *key) {
    int64_t age_ms = (ez_clock_wall_ns() - key->facts.last_refresh_ns) / 1000000;
    bool is_new = key->facts.last_refresh_ns && age_ms >= 0 && age_ms < (int64_t)oauth->options.interval_ms;
    return waiter->has_observed && is_new ? (uint64_t)(oauth->options.interval_ms - age_ms) : 0;
}

// By force a key's own wait is passed; its provider's pause is not, the flight waits for its end.
static ez_status judge_wait(ez_oauth *oauth, const ez_oauth_waiter *waiter, const ez_oauth_key *key, ez_error *error) {
    const ez_oauth_source *source = &oauth->sources[key->provider];
    char why[EZ_OAUTH_WHY_MAX];
    const char *of = "its token is new and was refused";
    ez_oauth_class class = EZ_OAUTH_REFRESHED;
    uint64_t paused_ms = waiter->force ? 0 : paused_for_ms(oauth, key->provider, why);
    if (paused_ms)
        return ez_error_set(error, EZ_ABORTED, "REFRESH_LATER", "%s is paused for %llu s after %s",
                            source->provider->type, ez_oauth_seconds(paused_ms), why);
    uint64_t wait_ms = waiter->force ? 0 : left_alone_ms(oauth, waiter->api_key_id, &class);
    if (wait_ms)
        of = ez_oauth_class_word(class);
    else
        wait_ms = new_for_ms(oauth, waiter, key);
    if (wait_ms == 0)
        return EZ_OK;
    if (class == EZ_OAUTH_SETTING && !ez_oauth_source_is_set(source)) // waiting mends nothing
        return ez_oauth_source_refuse(source, error);
    return ez_error_set(error, EZ_ABORTED, "REFRESH_LATER",
                        "the last refresh did not help (%s): the next try is in %llu s%s", of,
                        ez_oauth_seconds(wait_ms), waiter->may_force ? ", or use force" : "");
}

static bool refuse_for_now(ez_oauth *oauth, ez_oauth_waiter *waiter, const ez_oauth_key *key) {
    ez_error error = EZ_ERROR_INIT;
    ez_status status = judge_wait(oauth, waiter, key, &error);
    if (status != EZ_OK)
        answer_one(oauth, waiter, status, 0, &error);
    return status != EZ_OK;
}

static void begin_for(ez_oauth *oauth, ez_oauth_waiter *waiter, int provider) {
    ez_error error = EZ_ERROR_INIT;
    ez_oauth_flight *flight = ez_oauth_flight_find(oauth, waiter->api_key_id);
    if (!flight)
        flight = ez_oauth_flight_make(oauth, waiter->api_key_id, provider, true);
    if (!flight) {
        (void)ez_error_set(&error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for a token refresh");
        answer_one(oauth, waiter, error.code, 0, &error);
        return;
    }
    flight->is_asked = true;
    flight->force = flight->force || waiter->force;
    if (waiter->has_observed) {
        flight->has_refused = true;
        memcpy(flight->refused, waiter->observed, sizeof flight->refused);
        ez_oauth_judge_life(flight);
    }
    waiter->next = flight->waiters;
    flight->waiters = waiter;
}

static void take_one(ez_oauth *oauth, ez_oauth_waiter *waiter) {
    ez_error error = EZ_ERROR_INIT;
    ez_oauth_key key;
    ez_status status = ez_oauth_key_read(oauth, waiter->api_key_id, &key, &error);
    if (status != EZ_OK)
        answer_one(oauth, waiter, status, 0, &error);
    else if (ez_oauth_is_newer(&key, waiter))
        answer_one(oauth, waiter, EZ_OK, OUTCOME_ALREADY, NULL);
    else if (!refuse_for_now(oauth, waiter, &key))
        begin_for(oauth, waiter, key.provider);
    ez_oauth_key_fini(&key);
}

void ez_oauth_take_asked(ez_oauth *oauth) {
    pthread_mutex_lock(&oauth->lock);
    ez_oauth_waiter *list = oauth->asked;
    oauth->asked = NULL;
    pthread_mutex_unlock(&oauth->lock);
    ez_error stopping = EZ_ERROR_INIT;
    (void)ez_error_set(&stopping, EZ_UNAVAILABLE, "STOPPING", "the server is stopping: try again");
    while (list) {
        ez_oauth_waiter *next = list->next;
        if (oauth->is_stopping)
            answer_one(oauth, list, stopping.code, 0, &stopping);
        else
            take_one(oauth, list);
        list = next;
    }
    for (ez_oauth_flight *flight = oauth->is_stopping ? oauth->flights : NULL; flight; flight = flight->next)
        ez_oauth_answer_all(flight, stopping.code, 0, &stopping);
}

static void expire_of(ez_oauth_flight *flight, uint64_t now_ns) {
    ez_error error = EZ_ERROR_INIT;
    for (ez_oauth_waiter **at = &flight->waiters; *at;) {
        ez_oauth_waiter *waiter = *at;
        if (waiter->deadline_ns > now_ns) {
            at = &waiter->next;
            continue;
        }
        *at = waiter->next;
        (void)ez_error_set(&error, EZ_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED",
                           "the token refresh was not over by the deadline; it goes on");
        answer_one(flight->oauth, waiter, error.code, 0, &error);
    }
}

void ez_oauth_expire_waiters(ez_oauth *oauth) {
    uint64_t now_ns = ez_clock_mono_ns();
    for (ez_oauth_flight *flight = oauth->flights; flight; flight = flight->next)
        expire_of(flight, now_ns);
}
