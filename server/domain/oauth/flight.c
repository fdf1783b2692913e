// SPDX-License-Identifier: Apache-2.0
//
// A refresh from its beginning to its end. It is the thread's, but for the time that outbound or the writer has it;
// they hand it back by the list of those that are ready.
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/domain/oauth/inside.h"

#define OWED_MAX 4096 // more than are in flight at once; a claim past it ends by itself, and its mark stays

ez_oauth_flight *ez_oauth_flight_find(ez_oauth *oauth, int64_t id) {
    for (ez_oauth_flight *flight = oauth->flights; flight; flight = flight->next)
        if (flight->id == id && flight->stage != EZ_OAUTH_ENDED)
            return flight;
    return NULL;
}

ez_oauth_flight *ez_oauth_flight_make(ez_oauth *oauth, int64_t id, int provider, bool is_asked) {
    ez_oauth_flight *flight = calloc(1, sizeof *flight);
    if (!flight)
        return NULL;
    flight->oauth = oauth;
    flight->id = id;
    flight->provider = provider;
    flight->is_asked = is_asked;
    flight->key.provider = -1;
    flight->was_due_ns = EZ_OAUTH_NEVER;
    ez__v1__request_refresh_request__init(&flight->request);
    flight->next = oauth->flights;
    oauth->flights = flight;
    pthread_mutex_lock(&oauth->lock);
    ez_oauth_slot *slot = ez_oauth_schedule_get(&oauth->schedule, id);
    if (slot) {
        slot->is_flying = true;
        flight->was_due_ns = slot->due_ns;
        ez_oauth_schedule_move(&oauth->schedule, slot, EZ_OAUTH_NEVER);
    }
    pthread_mutex_unlock(&oauth->lock);
    return flight;
}

void ez_oauth_answer_all(ez_oauth_flight *flight, ez_status status, int outcome, const ez_error *error) {
    ez_oauth *oauth = flight->oauth;
    ez_oauth_waiter *list = flight->waiters;
    size_t count = 0;
    flight->waiters = NULL;
    while (list) {
        ez_oauth_waiter *next = list->next; // it is gone once it is answered
        list->done(list, status, outcome, error);
        list = next;
        count++;
    }
    pthread_mutex_lock(&oauth->lock);
    oauth->waiting -= count;
    pthread_mutex_unlock(&oauth->lock);
}

// Whether the reply left the refresh token that was sent as it was: it had none, or the same.
static bool is_kept(const ez_oauth_flight *flight) {
    const char *got = flight->tokens ? flight->tokens->refresh_token : "";
    uint8_t hash[EZ_SHA256_LEN];
    ez_sha256(got, strlen(got), hash);
    return flight->verdict.class == EZ_OAUTH_REFRESHED &&
           (!got[0] || memcmp(hash, flight->key.refresh_hash, sizeof hash) == 0);
}

// Where it was known what came of the token that was sent. One that is used up is so for this key and any other; one
// that was kept is good again, also where it had been marked before.
static ez_claim_end judge_sent(ez_oauth_flight *flight) {
    ez_oauth_class class = flight->verdict.class;
    bool was_used = flight->is_marked && flight->was_sent && ez_oauth_providers[flight->provider]->rotates &&
                    (class == EZ_OAUTH_REFRESHED || class == EZ_OAUTH_TERMINAL);
    if (!was_used)
        return EZ_CLAIM_SETTLED;
    if (!is_kept(flight))
        return EZ_CLAIM_SPENT;
    if (memcmp(flight->claim.sent_hash, flight->key.refresh_hash, EZ_SHA256_LEN) == 0)
        flight->claim.has_hash = false; // nothing to go back to
    return EZ_CLAIM_SETTLED;
}

void ez_oauth_spare_store(ez_oauth *oauth) {
    oauth->store_again_ms = ez_clock_mono_ms() + EZ_OAUTH_STORE_MS;
}

bool ez_oauth_store_rests(const ez_oauth *oauth) {
    return ez_clock_mono_ms() < oauth->store_again_ms || oauth->owed;
}

static void owe_end(ez_oauth *oauth, const ez_claim *claim, ez_claim_end end) {
    ez_oauth_owed *owed = oauth->owed_count < OWED_MAX ? calloc(1, sizeof *owed) : NULL;
    if (!owed)
        return;
    *owed = (ez_oauth_owed){.next = oauth->owed, .claim = *claim, .end = end, .since_ms = ez_clock_mono_ms()};
    oauth->owed = owed;
    oauth->owed_count++;
}

static bool pay(ez_oauth *oauth, const ez_oauth_owed *owed) {
    ez_error error = EZ_ERROR_INIT;
    ez_claim claim = owed->claim;
    claim.sent_ago_ms += (int64_t)(ez_clock_mono_ms() - owed->since_ms);
    return ez_store_end_claim(oauth->options.store, &claim, oauth->options.server_id, owed->end, &error) == EZ_OK;
}

static void drop_owed(ez_oauth *oauth) {
    ez_oauth_owed *first = oauth->owed;
    oauth->owed = first->next;
    oauth->owed_count--;
    free(first);
}

void ez_oauth_pay_claims(ez_oauth *oauth) {
    while (oauth->owed && ez_clock_mono_ms() >= oauth->store_again_ms) {
        if (pay(oauth, oauth->owed))
            drop_owed(oauth);
        else
            ez_oauth_spare_store(oauth);
    }
}

void ez_oauth_forget_owed(ez_oauth *oauth) {
    while (oauth->owed)
        drop_owed(oauth);
}

static void end_claim(ez_oauth_flight *flight, ez_claim_end end) {
    ez_oauth *oauth = flight->oauth;
    ez_error error = EZ_ERROR_INIT;
    if (!flight->has_claim)
        return;
    if (end == EZ_CLAIM_SETTLED && !flight->is_marked && flight->claim.sends > 0)
        end = EZ_CLAIM_OPEN; // what was left open before is so still
    if (end == EZ_CLAIM_SETTLED)
        end = judge_sent(flight);
    flight->has_claim = false;
    if (ez_oauth_store_rests(oauth)) {
        owe_end(oauth, &flight->claim, end);
        return;
    }
    if (ez_store_end_claim(oauth->options.store, &flight->claim, oauth->options.server_id, end, &error) == EZ_OK)
        return;
    ez_oauth_spare_store(oauth);
    owe_end(oauth, &flight->claim, end);
    ez_log_warn("a claim of a token refresh was not given up: trying again", "api_key", EZ_LOG_INT(flight->id),
                "message", error.message);
}

// Within the lock. Where it has failed before, and this flight changed nothing about that: when it was due, but not at
// once again.
static void plan_as_before(ez_oauth_flight *flight, ez_oauth_slot *slot) {
    int64_t soon_ns = ez_clock_wall_ns() + EZ_OAUTH_BACKOFF_MIN_MS * INT64_C(1000000);
    if (slot->fails > 0 && !slot->is_ended)
        ez_oauth_schedule_move(&flight->oauth->schedule, slot,
                               flight->was_due_ns > soon_ns ? flight->was_due_ns : soon_ns);
}

// Within the lock.
static void plan_again(ez_oauth_flight *flight, uint64_t due_ms) {
    ez_oauth *oauth = flight->oauth;
    ez_oauth_slot *slot = ez_oauth_schedule_get(&oauth->schedule, flight->id);
    if (!slot)
        return;
    slot->is_flying = false;
    if (due_ms == EZ_OAUTH_FOREVER_MS)
        ez_oauth_schedule_move(&oauth->schedule, slot, EZ_OAUTH_NEVER);
    else if (due_ms == UINT64_MAX)
        plan_as_before(flight, slot);
    else
        ez_oauth_schedule_move(&oauth->schedule, slot, ez_clock_wall_ns() + (int64_t)due_ms * 1000000);
}

unsigned ez_oauth_note(ez_oauth_flight *flight, ez_oauth_class class) {
    ez_oauth *oauth = flight->oauth;
    pthread_mutex_lock(&oauth->lock);
    ez_oauth_slot *slot = ez_oauth_schedule_get(&oauth->schedule, flight->id);
    unsigned fails = slot ? slot->fails + 1 : 1;
    if (slot) {
        ez_oauth_schedule_note(&oauth->schedule, slot, class);
        slot->is_told = class == EZ_OAUTH_NO_TOKEN;
        fails = slot->fails;
    }
    if (class == EZ_OAUTH_REFRESHED)
        oauth->refreshed[flight->provider]++;
    else
        oauth->failed[flight->provider][class]++;
    pthread_mutex_unlock(&oauth->lock);
    return fails;
}

bool ez_oauth_take_place(ez_oauth_flight *flight) {
    ez_oauth *oauth = flight->oauth;
    uint64_t now_ms = ez_clock_mono_ms();
    pthread_mutex_lock(&oauth->lock);
    if (!flight->has_place && !ez_oauth_store_rests(oauth))
        flight->has_place = ez_oauth_pace_take(&oauth->paces[flight->provider], flight->is_asked, now_ms);
    pthread_mutex_unlock(&oauth->lock);
    return flight->has_place;
}

void ez_oauth_leave_place(ez_oauth_flight *flight) {
    pthread_mutex_lock(&flight->oauth->lock);
    if (flight->has_place)
        ez_oauth_pace_leave(&flight->oauth->paces[flight->provider]);
    flight->has_place = false;
    pthread_mutex_unlock(&flight->oauth->lock);
}

// Those who joined after its waiters were answered are as if they had asked now. Within the lock.
static void ask_again(ez_oauth_flight *flight) {
    ez_oauth *oauth = flight->oauth;
    while (flight->waiters) {
        ez_oauth_waiter *waiter = flight->waiters;
        flight->waiters = waiter->next;
        waiter->next = oauth->asked;
        oauth->asked = waiter;
    }
}

void ez_oauth_flight_end(ez_oauth_flight *flight, ez_claim_end end, uint64_t due_ms) {
    ez_oauth *oauth = flight->oauth;
    end_claim(flight, end);
    ez_oauth_leave_place(flight);
    pthread_mutex_lock(&oauth->lock);
    oauth->aloft -= flight->is_aloft;
    flight->is_aloft = false;
    ask_again(flight);
    pthread_cond_broadcast(&oauth->wake);
    plan_again(flight, due_ms);
    pthread_mutex_unlock(&oauth->lock);
    if (due_ms == UINT64_MAX)
        ez_oauth_plan(oauth, flight->id);
    flight->stage = EZ_OAUTH_ENDED;
    ez_call_destroy_system(flight->call);
    flight->call = NULL;
    ez_oauth_key_fini(&flight->key);
    if (flight->tokens) {
        ez_wipe(flight->tokens, sizeof *flight->tokens);
        free(flight->tokens);
        flight->tokens = NULL;
    }
}

void ez_oauth_hand_back(ez_oauth_flight *flight) {
    ez_oauth *oauth = flight->oauth;
    pthread_mutex_lock(&oauth->lock);
    flight->ready = oauth->ready;
    oauth->ready = flight;
    pthread_cond_broadcast(&oauth->wake);
    pthread_mutex_unlock(&oauth->lock);
}
