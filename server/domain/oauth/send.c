// SPDX-License-Identifier: Apache-2.0
//
// From a key whose turn it is to the call out, in the order that keeps a refresh token from being presented twice: a
// place, a claim, the key as it is after the claim, the mark, the call. Each step may end the flight.
//
// The awkward case is a mark that somebody left: the token was presented, and nobody knows what came of it. It is left
// alone for an interval, then presented once more, which the audit says first, and never again by itself.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/domain/oauth/inside.h"
#include "server/domain/oauth/reply.h"
#include "server/domain/oauth/request.h"

#define LOOK_MS     2000 // for what other servers have committed
#define PEEK_MS     50   // between looks at a key that another server refreshes
#define SENDS_MAX   2
#define PROJECT_MAX (64u << 10)

// ---- Ends before anything was sent

static void refuse(ez_oauth_flight *flight, ez_claim_end end, uint64_t due_ms, const ez_error *error) {
    ez_oauth_answer_all(flight, error->code, 0, error);
    ez_oauth_flight_end(flight, end, due_ms);
}

static void end_without_token(ez_oauth_flight *flight) {
    ez_error error = EZ_ERROR_INIT;
    (void)ez_oauth_note(flight, EZ_OAUTH_NO_TOKEN);
    ez_oauth_raise_key(flight, false, "No refresh token",
                       "its access token ends and there is no refresh token: log in again and give it the new tokens");
    (void)ez_error_set(&error, EZ_FAILED_PRECONDITION, "NO_REFRESH_TOKEN",
                       "API key %lld has no refresh token: log in again and give it the new tokens",
                       (long long)flight->id);
    refuse(flight, EZ_CLAIM_SETTLED, EZ_OAUTH_FOREVER_MS, &error);
}

static void end_unset(ez_oauth_flight *flight) {
    ez_error error = EZ_ERROR_INIT;
    (void)ez_oauth_note(flight, EZ_OAUTH_SETTING);
    (void)ez_oauth_source_refuse(&flight->oauth->sources[flight->provider], &error);
    ez_oauth_raise_provider(flight->oauth, flight->provider, error.message);
    refuse(flight, EZ_CLAIM_SETTLED, EZ_OAUTH_BACKOFF_MAX_MS, &error);
}

static void end_refused_before(ez_oauth_flight *flight) {
    ez_error error = EZ_ERROR_INIT;
    (void)ez_error_set(&error, EZ_FAILED_PRECONDITION, "REFRESH_TOKEN_ENDED",
                       "the refresh token of API key %lld is not tried any more: last_refresh_error says why",
                       (long long)flight->id);
    refuse(flight, EZ_CLAIM_SETTLED, UINT64_MAX, &error);
}

// ---- The key

// Answers those whose token has been replaced; false where nobody is left who wants a refresh.
static bool is_still_wanted(ez_oauth_flight *flight) {
    ez_oauth_waiter *stay = NULL, *late = NULL;
    bool was_asked = flight->waiters != NULL;
    while (flight->waiters) {
        ez_oauth_waiter *waiter = flight->waiters;
        flight->waiters = waiter->next;
        ez_oauth_waiter **list = ez_oauth_is_newer(&flight->key, waiter) ? &late : &stay;
        waiter->next = *list;
        *list = waiter;
    }
    flight->waiters = late;
    ez_oauth_answer_all(flight, EZ_OK, OUTCOME_ALREADY, NULL);
    flight->waiters = stay;
    return !was_asked || stay;
}

// What can be told from the key alone. True: it goes on.
static bool check_key(ez_oauth_flight *flight) {
    const ez_oauth_facts *facts = &flight->key.facts;
    if (!is_still_wanted(flight)) {
        ez_oauth_flight_end(flight, EZ_CLAIM_SETTLED, UINT64_MAX);
    } else if (facts->ended_ns && !flight->force) {
        if (facts->status == API_KEY_ACTIVE && flight->is_dead)
            ez_oauth_write(flight, EZ_OAUTH_PUT_EXPIRED, EZ_OAUTH_WRITES);
        else
            end_refused_before(flight);
    } else if (!flight->key.refresh_token[0]) {
        end_without_token(flight);
    } else if (!ez_oauth_source_is_set(&flight->oauth->sources[flight->provider])) {
        end_unset(flight);
    } else {
        return true;
    }
    return false;
}

void ez_oauth_judge_life(ez_oauth_flight *flight) {
    const ez_oauth_facts *facts = &flight->key.facts;
    bool has_passed = facts->expires_ns && facts->expires_ns <= ez_clock_wall_ns(); // an end that is not known is none
    bool is_refused = flight->has_refused && memcmp(flight->refused, flight->key.access_hash, EZ_SHA256_LEN) == 0;
    flight->is_dead = !facts->has_access || has_passed || is_refused;
}

static bool read_key(ez_oauth_flight *flight) {
    ez_error error = EZ_ERROR_INIT;
    ez_oauth_key_fini(&flight->key);
    ez_status status = ez_oauth_key_read(flight->oauth, flight->id, &flight->key, &error);
    if (status != EZ_OK) { // it is gone, or none of ours any more; else its secret can't be opened
        bool is_gone = status == EZ_NOT_FOUND || status == EZ_INVALID_ARGUMENT;
        refuse(flight, EZ_CLAIM_SETTLED, is_gone ? UINT64_MAX : EZ_OAUTH_BACKOFF_MAX_MS, &error);
        return false;
    }
    if (flight->key.provider != flight->provider) { // its group's type was changed: the token is another company's
        ez_oauth_flight_end(flight, EZ_CLAIM_SETTLED, UINT64_MAX); // who waits asks anew
        return false;
    }
    ez_oauth_judge_life(flight);
    return check_key(flight);
}

// ---- The claim

static bool take_claim(ez_oauth_flight *flight) {
    const ez_oauth_options *options = &flight->oauth->options;
    ez_error error = EZ_ERROR_INIT;
    int64_t wait_ms = 0;
    if (ez_store_claim(options->store, flight->id, options->server_id, options->claim_ms, &flight->claim,
                       &flight->has_claim, &wait_ms, &error) != EZ_OK) {
        ez_oauth_spare_store(flight->oauth);
        refuse(flight, EZ_CLAIM_SETTLED, EZ_OAUTH_STORE_MS, &error);
        return false;
    }
    if (flight->has_claim)
        return true;
    uint64_t now = ez_clock_mono_ms();
    if (!flight->waiters) {
        ez_oauth_flight_end(flight, EZ_CLAIM_SETTLED, (uint64_t)wait_ms + ez_oauth_random(flight->oauth) % 2000);
        return false;
    }
    ez_oauth_leave_place(flight); // it may be long
    flight->stage = EZ_OAUTH_ELSEWHERE;
    flight->again_ms = now + PEEK_MS;
    flight->elsewhere_ms = now + (uint64_t)wait_ms;
    return false;
}

// After the claim nobody else changes the tokens; what others had changed before is looked at.
static bool look_again(ez_oauth_flight *flight) {
    ez_error error = EZ_ERROR_INIT;
    if (ez_writer_look(flight->oauth->options.writer, LOOK_MS))
        return read_key(flight);
    (void)ez_error_set(&error, EZ_UNAVAILABLE, "STORE_BEHIND",
                       "what other servers changed is not known here yet: try again");
    ez_oauth_spare_store(flight->oauth);
    refuse(flight, EZ_CLAIM_OPEN, EZ_OAUTH_STORE_MS, &error);
    return false;
}

// ABORTED: it heals by itself, and no client repeats it.
static void end_left_alone(ez_oauth_flight *flight, uint64_t left_ms) {
    ez_error error = EZ_ERROR_INIT;
    (void)ez_error_set(
        &error, EZ_ABORTED, "REFRESH_OUTCOME_UNKNOWN",
        "the refresh token of API key %lld was sent and the answer lost: it is not sent again for %llu s",
        (long long)flight->id, ez_oauth_seconds(left_ms));
    refuse(flight, EZ_CLAIM_OPEN, flight->key.facts.ended_ns ? UINT64_MAX : left_ms, &error);
}

static void end_given_up(ez_oauth_flight *flight) {
    flight->verdict = (ez_oauth_verdict){.class = EZ_OAUTH_UNKNOWN};
    snprintf(
        flight->verdict.why, sizeof flight->verdict.why,
        "a refresh was sent twice and both answers were lost: refresh it with force, or log in again and give this "
        "API key the new tokens");
    snprintf(flight->note, sizeof flight->note, "%s", flight->verdict.why);
    ez_oauth_write(flight, EZ_OAUTH_PUT_END, EZ_OAUTH_WRITES);
}

// False: the flight ended, or waits for the writer.
static bool judge_mark(ez_oauth_flight *flight) {
    const ez_oauth *oauth = flight->oauth;
    bool is_same =
        flight->claim.sends > 0 && memcmp(flight->claim.sent_hash, flight->key.refresh_hash, EZ_SHA256_LEN) == 0;
    if (!is_same || !ez_oauth_providers[flight->provider]->rotates)
        return true;
    int64_t left_ms = (int64_t)oauth->options.interval_ms - flight->claim.sent_ago_ms;
    if (flight->claim.sends >= SENDS_MAX && !flight->force) {
        end_given_up(flight);
    } else if (left_ms > 0) { // also by force: whoever asks for that may ask again and again
        end_left_alone(flight, (uint64_t)left_ms + 1);
    } else {
        snprintf(flight->note, sizeof flight->note,
                 "a refresh was sent and its answer lost: the refresh token is presented once more");
        ez_oauth_write(flight, EZ_OAUTH_PUT_NOTE, EZ_OAUTH_NOTES);
    }
    return false;
}

void ez_oauth_go_on(ez_oauth_flight *flight) {
    uint8_t before[EZ_SHA256_LEN];
    memcpy(before, flight->key.refresh_hash, sizeof before);
    if (!flight->is_overtaken && !read_key(flight))
        return;
    if (!flight->is_overtaken && memcmp(before, flight->key.refresh_hash, sizeof before) == 0) {
        ez_oauth_send(flight);
        return;
    }
    ez_oauth_answer_all(flight, EZ_OK, OUTCOME_ALREADY, NULL);
    ez_oauth_flight_end(flight, EZ_CLAIM_SETTLED, UINT64_MAX);
}

void ez_oauth_begin(ez_oauth_flight *flight) {
    flight->stage = EZ_OAUTH_BEGINS;
    if (!read_key(flight) || !ez_oauth_take_place(flight)) // it was taken for one that needs none
        return;
    if (take_claim(flight) && look_again(flight) && judge_mark(flight))
        ez_oauth_send(flight);
}

void ez_oauth_peek(ez_oauth_flight *flight) {
    uint8_t before[EZ_SHA256_LEN];
    uint64_t now = ez_clock_mono_ms();
    memcpy(before, flight->key.access_hash, sizeof before);
    if (!read_key(flight))
        return;
    if (memcmp(before, flight->key.access_hash, sizeof before) != 0) {
        ez_oauth_answer_all(flight, EZ_OK, OUTCOME_ALREADY, NULL);
        ez_oauth_flight_end(flight, EZ_CLAIM_SETTLED, UINT64_MAX);
    } else if (now >= flight->elsewhere_ms) {
        flight->stage = EZ_OAUTH_BEGINS;
    } else {
        flight->again_ms = now + PEEK_MS;
    }
}

// ---- The call

// On outbound's thread: judged there, so that the reply is copied nowhere else.
static void on_reply(void *user, const ez_outbound_reply *reply) {
    ez_oauth_flight *flight = user;
    ez_oauth_answer answer = {.status = reply->status,
                              .message = reply->error ? reply->error->message : NULL,
                              .was_sent = reply->was_sent,
                              .http_status = reply->http_status,
                              .body = reply->body,
                              .encoding = ez_outbound_header(reply, "content-encoding"),
                              .retry_after = ez_outbound_header(reply, "retry-after")};
    ez_oauth_judge(ez_oauth_providers[flight->provider], &answer, ez_clock_wall_ns() / 1000000000, &flight->verdict,
                   flight->tokens);
    flight->was_sent = reply->was_sent;
    ez_oauth_hand_back(flight);
}

static ez_status submit(ez_oauth_flight *flight, ez_error *error) {
    const ez_oauth_source *source = &flight->oauth->sources[flight->provider];
    ez_oauth_request request;
    ez_status status = ez_oauth_request_refresh(&request, source, flight->key.refresh_token, flight->key.scope);
    ez_outbound_request call = {.method = "POST",
                                .url = source->token_url,
                                .headers = request.headers,
                                .header_count = request.header_count,
                                .body = request.body.data,
                                .body_len = request.body.len,
                                .timeout_ms = flight->oauth->options.claim_ms / 2,
                                .max_reply = EZ_OAUTH_REPLY_MAX,
                                .once = true,
                                .proxy = flight->key.proxy,
                                .done = on_reply,
                                .user = flight};
    if (status != EZ_OK)
        status = ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for a token refresh");
    else
        status = ez_outbound_submit(flight->oauth->options.outbound, &call, error);
    ez_oauth_request_fini(&request);
    return status;
}

// Whether it may be sent: a server that stops waits for what is aloft, and takes no more.
static bool lift(ez_oauth_flight *flight) {
    ez_oauth *oauth = flight->oauth;
    pthread_mutex_lock(&oauth->lock);
    flight->is_aloft = !oauth->is_stopping;
    oauth->aloft += flight->is_aloft;
    pthread_mutex_unlock(&oauth->lock);
    return flight->is_aloft;
}

// What the mark says. A token that is good for many uses is each key's own: several may present it.
static void mark_of(const ez_oauth_flight *flight, uint8_t out[EZ_SHA256_LEN]) {
    uint8_t text[EZ_SHA256_LEN + sizeof flight->id];
    memcpy(out, flight->key.refresh_hash, EZ_SHA256_LEN);
    if (ez_oauth_providers[flight->provider]->rotates)
        return;
    memcpy(text, out, EZ_SHA256_LEN);
    memcpy(text + EZ_SHA256_LEN, &flight->id, sizeof flight->id);
    ez_sha256(text, sizeof text, out);
}

static bool mark(ez_oauth_flight *flight, ez_error *error) {
    const ez_oauth_options *options = &flight->oauth->options;
    uint8_t hash[EZ_SHA256_LEN];
    mark_of(flight, hash);
    flight->marked_ms = ez_clock_mono_ms();
    if (ez_store_mark_sent(options->store, &flight->claim, options->server_id, hash, options->claim_ms, error) != EZ_OK)
        return false;
    flight->is_marked = true;
    return true;
}

void ez_oauth_extend(ez_oauth_flight *flight) {
    ez_oauth *oauth = flight->oauth;
    ez_error error = EZ_ERROR_INIT;
    uint64_t now = ez_clock_mono_ms();
    bool is_soon = now - flight->marked_ms < oauth->options.claim_ms / 4 || now < oauth->extend_again_ms;
    if (!flight->has_claim || !flight->is_marked || is_soon || mark(flight, &error))
        return;
    oauth->extend_again_ms = ez_clock_mono_ms() + EZ_OAUTH_STORE_MS;
    ez_log_warn("a claim of a token refresh was not extended while its reply waits to be stored", "api_key",
                EZ_LOG_INT(flight->id), "message", error.message);
}

// This thread was stopped for so long that somebody else may be at it.
static bool is_late(const ez_oauth_flight *flight) {
    return ez_clock_mono_ms() - flight->marked_ms > flight->oauth->options.claim_ms / 4;
}

// Two API keys have one refresh token, and the other one's was presented: this one's would end the account.
static void end_shared(ez_oauth_flight *flight, const ez_error *why) {
    flight->verdict = (ez_oauth_verdict){.class = EZ_OAUTH_TERMINAL};
    snprintf(flight->verdict.why, sizeof flight->verdict.why,
             "%.120s: two API keys can't share one; log in again and give this API key tokens of its own",
             why->message);
    snprintf(flight->note, sizeof flight->note, "%s", flight->verdict.why);
    ez_oauth_write(flight, EZ_OAUTH_PUT_END, EZ_OAUTH_WRITES);
}

void ez_oauth_send(ez_oauth_flight *flight) {
    ez_error error = EZ_ERROR_INIT;
    if (!flight->tokens && !(flight->tokens = calloc(1, sizeof *flight->tokens))) {
        (void)ez_error_set(&error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for a token refresh");
        refuse(flight, EZ_CLAIM_OPEN, EZ_OAUTH_STORE_MS, &error);
        return;
    }
    if (!lift(flight)) {
        (void)ez_error_set(&error, EZ_UNAVAILABLE, "STOPPING", "the server is stopping: try again");
        refuse(flight, EZ_CLAIM_SETTLED, EZ_OAUTH_STORE_MS, &error);
        return;
    }
    if (!mark(flight, &error)) {
        if (error.code == EZ_ALREADY_EXISTS)
            end_shared(flight, &error);
        else // whether the mark stands is not known, but nothing was sent
            refuse(flight, EZ_CLAIM_UNSENT, EZ_OAUTH_STORE_MS, &error);
        return;
    }
    pthread_mutex_lock(&flight->oauth->lock);
    flight->oauth->calls[flight->provider]++;
    pthread_mutex_unlock(&flight->oauth->lock);
    flight->stage = EZ_OAUTH_CALLS;
    if (!is_late(flight) && submit(flight, &error) == EZ_OK)
        return;
    ez_oauth_answer answer = {.status = EZ_UNAVAILABLE, .message = error.message[0] ? error.message : "too late"};
    ez_oauth_judge(ez_oauth_providers[flight->provider], &answer, 0, &flight->verdict, flight->tokens);
    flight->was_sent = false;
    ez_oauth_land(flight);
}

// ---- The project

static void on_project(void *user, const ez_outbound_reply *reply) {
    ez_oauth_flight *flight = user;
    if (reply->status != EZ_OK || reply->http_status != 200 ||
        !ez_oauth_read_project(reply->body, ez_outbound_header(reply, "content-encoding"), flight->project)) {
        flight->project[0] = 0;
        ez_log_warn("the project of an API key could not be looked up", "api_key", EZ_LOG_INT(flight->id), "status",
                    EZ_LOG_INT(reply->http_status), "why", reply->error ? reply->error->message : "it names none");
    }
    ez_oauth_hand_back(flight);
}

void ez_oauth_look_up(ez_oauth_flight *flight) {
    const ez_oauth_source *source = &flight->oauth->sources[flight->provider];
    ez_error error = EZ_ERROR_INIT;
    ez_oauth_request request;
    ez_status status = ez_oauth_request_project(&request, source, flight->tokens->access_token);
    ez_outbound_request call = {.method = "POST",
                                .url = source->project_url,
                                .headers = request.headers,
                                .header_count = request.header_count,
                                .body = request.body.data,
                                .body_len = request.body.len,
                                .max_reply = PROJECT_MAX,
                                .proxy = flight->key.proxy,
                                .done = on_project,
                                .user = flight};
    flight->stage = EZ_OAUTH_LOOKS_UP;
    if (status == EZ_OK)
        status = ez_outbound_submit(flight->oauth->options.outbound, &call, &error);
    ez_oauth_request_fini(&request);
    if (status != EZ_OK) {
        ez_log_warn("the project of an API key could not be looked up", "api_key", EZ_LOG_INT(flight->id), "why",
                    error.message);
        ez_oauth_flight_end(flight, EZ_CLAIM_SETTLED, UINT64_MAX);
    }
}
