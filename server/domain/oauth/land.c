// SPDX-License-Identifier: Apache-2.0
//
// What is done about each class of outcome, and after the writer had it. What a provider gave goes to the writer again
// and again until it is stored: the old refresh token is used up, and this memory is the only place where the new one
// is.
#include <stdio.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/domain/oauth/inside.h"

#define WRITE_FIRST_MS 100 // between two tries of a write, doubled
#define WRITE_MAX_MS   5000
#define LOST_MAX       3 // answers lost in a row, after which the provider is left alone for a while

static void answer(ez_oauth_flight *flight, ez_status code, const char *reason) {
    ez_error error = EZ_ERROR_INIT;
    (void)ez_error_set(&error, code, reason, "API key %lld was not refreshed: %s", (long long)flight->id,
                       flight->verdict.why);
    ez_oauth_answer_all(flight, code, 0, &error);
}

static void log_failure(const ez_oauth_flight *flight, unsigned fails) {
    ez_log_warn("a token was not refreshed", "api_key", EZ_LOG_INT(flight->id), "type",
                ez_oauth_providers[flight->provider]->type, "class", ez_oauth_class_word(flight->verdict.class), "why",
                flight->verdict.why, "tries", EZ_LOG_INT(fails));
}

// Says in the key what is wrong, then ends.
static void end_with_note(ez_oauth_flight *flight, ez_claim_end end, uint64_t due_ms) {
    flight->end = end;
    flight->due_ms = due_ms;
    snprintf(flight->note, sizeof flight->note, "%s", flight->verdict.why);
    ez_oauth_write(flight, EZ_OAUTH_PUT_NOTE, EZ_OAUTH_WRITES);
}

// ---- Classes

// How the claim ends where the refresh token was surely not used up. A mark that was open before is so still, and the
// presentation counts where the endpoint may have looked at the token again and again.
static ez_claim_end known_end(const ez_oauth_flight *flight, bool counts) {
    bool was_open =
        flight->claim.sends > 0 && memcmp(flight->claim.sent_hash, flight->key.refresh_hash, EZ_SHA256_LEN) == 0;
    if (!flight->was_sent)
        return EZ_CLAIM_UNSENT;
    return !was_open ? EZ_CLAIM_SETTLED : counts ? EZ_CLAIM_OPEN : EZ_CLAIM_UNSENT;
}

// How often it was sent in vain: a try that never went out shows the token to nobody.
static unsigned count_vain(ez_oauth_flight *flight) {
    ez_oauth *oauth = flight->oauth;
    pthread_mutex_lock(&oauth->lock);
    ez_oauth_slot *slot = ez_oauth_schedule_get(&oauth->schedule, flight->id);
    if (slot && flight->was_sent)
        slot->vain++;
    unsigned vain = slot ? slot->vain : flight->was_sent;
    pthread_mutex_unlock(&oauth->lock);
    return vain;
}

// Each fifth failure in a row is noted in the key; where that could not be written, the next one is.
static bool wants_note(const ez_oauth_flight *flight, unsigned fails) {
    pthread_mutex_lock(&flight->oauth->lock);
    const ez_oauth_slot *slot = ez_oauth_schedule_get(&flight->oauth->schedule, flight->id);
    bool owes = slot && slot->owes_note;
    pthread_mutex_unlock(&flight->oauth->lock);
    return owes || fails % EZ_OAUTH_TRIES == 0;
}

static void owe_note(const ez_oauth_flight *flight, bool owes) {
    pthread_mutex_lock(&flight->oauth->lock);
    ez_oauth_slot *slot = ez_oauth_schedule_get(&flight->oauth->schedule, flight->id);
    if (slot)
        slot->owes_note = owes;
    pthread_mutex_unlock(&flight->oauth->lock);
}

static void land_transient(ez_oauth_flight *flight) {
    unsigned fails = ez_oauth_note(flight, EZ_OAUTH_TRANSIENT);
    uint64_t due_ms = ez_oauth_backoff_ms(fails, ez_oauth_random(flight->oauth) >> 1);
    ez_claim_end end = known_end(flight, count_vain(flight) >= EZ_OAUTH_TRIES);
    answer(flight, EZ_ABORTED, "REFRESH_FAILED"); // UNAVAILABLE is taken to another server
    if (!wants_note(flight, fails)) {
        ez_oauth_flight_end(flight, end, due_ms);
        return;
    }
    log_failure(flight, fails);
    if (flight->is_dead)
        ez_oauth_raise_key(flight, false, "Token refresh fails", flight->verdict.why);
    end_with_note(flight, end, due_ms);
}

// Within the lock. What was met, by which key; the advice behind the colon stays, where it is not the key's alone.
static void note_pause(ez_oauth_flight *flight, uint64_t before_ms, bool has_advice) {
    ez_oauth *oauth = flight->oauth;
    const char *why = flight->verdict.why;
    uint64_t until_ms = oauth->paces[flight->provider].paused_until_ms;
    if (until_ms == before_ms) // a longer one goes on
        return;
    int met = (int)strcspn(why, ":");
    snprintf(oauth->why[flight->provider], EZ_OAUTH_WHY_MAX, "%.*s for API key %lld%.100s", met, why,
             (long long)flight->id, has_advice ? why + met : "");
    oauth->paused_until_ns[flight->provider] =
        ez_clock_wall_ns() + ((int64_t)until_ms - (int64_t)ez_clock_mono_ms()) * 1000000;
}

static void land_limited(ez_oauth_flight *flight) {
    ez_oauth *oauth = flight->oauth;
    uint64_t wait_ms = (uint64_t)flight->verdict.retry_after_ms;
    unsigned fails = ez_oauth_note(flight, EZ_OAUTH_RATE_LIMITED);
    pthread_mutex_lock(&oauth->lock); // one account's limit must not hold up all others for as long
    uint64_t before_ms = oauth->paces[flight->provider].paused_until_ms;
    ez_oauth_pace_pause(&oauth->paces[flight->provider], EZ_OAUTH_RETRY_MIN_MS, ez_clock_mono_ms());
    note_pause(flight, before_ms, false);
    pthread_mutex_unlock(&oauth->lock);
    answer(flight, EZ_ABORTED, "REFRESH_RATE_LIMITED");
    wait_ms += ez_oauth_random(oauth) % (wait_ms / 10 + 1);
    if (wants_note(flight, fails))
        end_with_note(flight, known_end(flight, false), wait_ms);
    else
        ez_oauth_flight_end(flight, known_end(flight, false), wait_ms);
}

static void pause_provider(ez_oauth_flight *flight, bool has_advice) {
    ez_oauth *oauth = flight->oauth;
    uint64_t random = ez_oauth_random(oauth);
    pthread_mutex_lock(&oauth->lock);
    uint64_t before_ms = oauth->paces[flight->provider].paused_until_ms;
    ez_oauth_pace_fail(&oauth->paces[flight->provider], random, ez_clock_mono_ms());
    note_pause(flight, before_ms, has_advice);
    pthread_mutex_unlock(&oauth->lock);
}

static void land_setting(ez_oauth_flight *flight) {
    bool is_own_scope = strcmp(flight->verdict.code, "invalid_scope") == 0 && flight->key.scope[0] &&
                        ez_oauth_providers[flight->provider]->sends_scope;
    unsigned fails = ez_oauth_note(flight, EZ_OAUTH_SETTING);
    if (is_own_scope) { // this key's fault and no other's, but its refresh token is good
        snprintf(flight->verdict.why, sizeof flight->verdict.why,
                 "invalid_scope: set granted_scope to exactly what was granted, or empty it");
    } else {
        pause_provider(flight, true);
        ez_oauth_raise_provider(flight->oauth, flight->provider, flight->verdict.why);
    }
    if (fails == 1)
        log_failure(flight, fails);
    answer(flight, EZ_FAILED_PRECONDITION, is_own_scope ? "REFRESH_SCOPE_REFUSED" : "OAUTH_CLIENT_REFUSED");
    if (is_own_scope)
        end_with_note(flight, known_end(flight, false), EZ_OAUTH_BACKOFF_MAX_MS);
    else
        ez_oauth_flight_end(flight, known_end(flight, false), EZ_OAUTH_BACKOFF_MIN_MS);
}

static void land_unknown(ez_oauth_flight *flight) {
    ez_oauth *oauth = flight->oauth;
    log_failure(flight, ez_oauth_note(flight, EZ_OAUTH_UNKNOWN));
    if (++oauth->lost[flight->provider] >= LOST_MAX)
        pause_provider(flight, false);
    answer(flight, EZ_ABORTED, "REFRESH_OUTCOME_UNKNOWN"); // UNAVAILABLE is repeated by clients
    uint64_t pause = oauth->options.interval_ms;
    end_with_note(flight, EZ_CLAIM_OPEN, pause + 1 + ez_oauth_random(oauth) % (pause / 10 + 1));
}

static void provider_answered(ez_oauth_flight *flight) {
    ez_oauth *oauth = flight->oauth;
    if (flight->verdict.class == EZ_OAUTH_UNKNOWN || !flight->was_sent)
        return;
    oauth->lost[flight->provider] = 0;
    if (flight->verdict.class != EZ_OAUTH_REFRESHED)
        return;
    pthread_mutex_lock(&oauth->lock);
    ez_oauth_pace_recover(&oauth->paces[flight->provider]);
    oauth->why[flight->provider][0] = 0;
    pthread_mutex_unlock(&oauth->lock);
    ez_oauth_clear_provider(oauth, flight->provider);
}

void ez_oauth_land(ez_oauth_flight *flight) {
    provider_answered(flight);
    switch (flight->verdict.class) {
    case EZ_OAUTH_REFRESHED:
        ez_oauth_extend(flight); // the answer may have taken half of it
        ez_oauth_write(flight, EZ_OAUTH_PUT_TOKENS, EZ_OAUTH_WRITES);
        break;
    case EZ_OAUTH_TERMINAL:
        ez_oauth_extend(flight);
        snprintf(flight->note, sizeof flight->note, "%s", flight->verdict.why);
        ez_oauth_write(flight, EZ_OAUTH_PUT_END, EZ_OAUTH_WRITES);
        break;
    case EZ_OAUTH_SETTING:
        land_setting(flight);
        break;
    case EZ_OAUTH_RATE_LIMITED:
        land_limited(flight);
        break;
    case EZ_OAUTH_UNKNOWN:
        land_unknown(flight);
        break;
    default:
        land_transient(flight);
        break;
    }
}

// ---- After the writer

static void rest(ez_oauth_flight *flight) {
    unsigned tries = flight->write_tries < 6 ? flight->write_tries : 6;
    uint64_t pause = (uint64_t)WRITE_FIRST_MS << tries;
    uint64_t most =
        flight->oauth->options.claim_ms / 4 < WRITE_MAX_MS ? flight->oauth->options.claim_ms / 4 : WRITE_MAX_MS;
    if (flight->write_tries++ == 0)
        ez_log_warn("refreshed tokens could not be stored; trying again", "api_key", EZ_LOG_INT(flight->id), "reason",
                    flight->call ? flight->call->error.reason : "", "message",
                    flight->call ? flight->call->error.message : "");
    flight->stage = EZ_OAUTH_RESTS;
    ez_oauth_extend(flight);
    flight->again_ms = ez_clock_mono_ms() + (pause < most ? pause : most);
}

static void settle_failed(ez_oauth_flight *flight) {
    ez_error error = EZ_ERROR_INIT;
    bool matters = flight->put == EZ_OAUTH_PUT_TOKENS || flight->put == EZ_OAUTH_PUT_END;
    bool is_gone = flight->write.status == EZ_NOT_FOUND;
    if (matters && !is_gone) {
        rest(flight);
        return;
    }
    if (is_gone)
        (void)ez_error_set(&error, EZ_NOT_FOUND, "API_KEY_NOT_FOUND", "API key %lld was deleted meanwhile",
                           (long long)flight->id);
    else
        (void)ez_error_set(&error, EZ_UNAVAILABLE, "STORE_UNREACHABLE", "the store can't be written to: try again");
    ez_oauth_answer_all(flight, error.code, 0, &error);
    if (flight->put == EZ_OAUTH_PUT_NOTE && flight->stage != EZ_OAUTH_NOTES) {
        owe_note(flight, !is_gone);
        ez_oauth_flight_end(flight, flight->end, flight->due_ms);
    } else if (flight->put == EZ_OAUTH_PUT_PROJECT)
        ez_oauth_flight_end(flight, EZ_CLAIM_SETTLED, UINT64_MAX);
    else // of a key that is gone: what came of its token is known
        ez_oauth_flight_end(flight, matters ? EZ_CLAIM_SETTLED : EZ_CLAIM_OPEN, WRITE_MAX_MS);
}

static void settle_tokens(ez_oauth_flight *flight) {
    (void)ez_oauth_note(flight, EZ_OAUTH_REFRESHED);
    ez_oauth_clear_key(flight->oauth, flight->id, flight->provider, flight->key.facts.has_error);
    ez_oauth_answer_all(flight, EZ_OK, flight->is_overtaken ? OUTCOME_ALREADY : OUTCOME_REFRESHED, NULL);
    if (!flight->is_overtaken)
        ez_log_info("a token was refreshed", "api_key", EZ_LOG_INT(flight->id), "type",
                    ez_oauth_providers[flight->provider]->type);
    bool wants_project = !flight->is_overtaken && flight->oauth->sources[flight->provider].project_url[0] &&
                         !flight->key.facts.has_project && flight->tokens->access_token[0];
    if (wants_project)
        ez_oauth_look_up(flight);
    else
        ez_oauth_flight_end(flight, EZ_CLAIM_SETTLED, UINT64_MAX);
}

static void settle_end(ez_oauth_flight *flight) {
    if (flight->is_overtaken) { // somebody else won
        (void)ez_oauth_note(flight, EZ_OAUTH_REFRESHED);
        ez_oauth_answer_all(flight, EZ_OK, OUTCOME_ALREADY, NULL);
    } else {
        bool is_lost = flight->verdict.class == EZ_OAUTH_UNKNOWN; // each loss was counted when it happened
        log_failure(flight, is_lost ? flight->claim.sends : ez_oauth_note(flight, flight->verdict.class));
        ez_oauth_raise_key(flight, true, is_lost ? EZ_OAUTH_TITLE_LOST : EZ_OAUTH_TITLE_ENDED, flight->verdict.why);
        answer(flight, EZ_FAILED_PRECONDITION, "REFRESH_TOKEN_ENDED");
    }
    ez_oauth_flight_end(flight, EZ_CLAIM_SETTLED, UINT64_MAX);
}

static void settle_expired(ez_oauth_flight *flight) {
    ez_error error = EZ_ERROR_INIT;
    if (flight->is_overtaken) { // it has new tokens
        ez_oauth_answer_all(flight, EZ_OK, OUTCOME_ALREADY, NULL);
        ez_oauth_flight_end(flight, EZ_CLAIM_SETTLED, UINT64_MAX);
        return;
    }
    (void)ez_error_set(&error, EZ_FAILED_PRECONDITION, "REFRESH_TOKEN_ENDED",
                       "the tokens of API key %lld have ended: log in again and give it the new ones",
                       (long long)flight->id);
    (void)ez_oauth_raise_ended(flight->oauth, flight->id, flight->provider);
    ez_oauth_answer_all(flight, error.code, 0, &error);
    ez_oauth_flight_end(flight, EZ_CLAIM_SETTLED, UINT64_MAX);
}

static void end_noted(ez_oauth_flight *flight) {
    owe_note(flight, false);
    ez_oauth_flight_end(flight, flight->end, flight->due_ms);
}

void ez_oauth_settle(ez_oauth_flight *flight) {
    if (flight->write.status != EZ_OK) {
        settle_failed(flight);
        return;
    }
    switch (flight->put) {
    case EZ_OAUTH_PUT_TOKENS:
        settle_tokens(flight);
        break;
    case EZ_OAUTH_PUT_END:
        settle_end(flight);
        break;
    case EZ_OAUTH_PUT_EXPIRED:
        settle_expired(flight);
        break;
    case EZ_OAUTH_PUT_NOTE:
        if (flight->stage == EZ_OAUTH_NOTES)
            ez_oauth_go_on(flight);
        else
            end_noted(flight);
        break;
    default:
        ez_oauth_flight_end(flight, EZ_CLAIM_SETTLED, UINT64_MAX);
        break;
    }
}
