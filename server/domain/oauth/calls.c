// SPDX-License-Identifier: Apache-2.0
//
// The calls that ask for a refresh, and the one that the Redis queue makes. A call whose token has been replaced
// already is answered where it came in, without the thread.
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ez/handlers.h"
#include "proto/runtime/clock.h"
#include "server/domain/oauth/inside.h"
#include "server/state/directory/edit.h"
#include "server/state/directory/stamp.h"

// ---- What is answered

static const ez_entry *entry_of(const ez_oauth *oauth, int64_t id) {
    return ez_directory_get(oauth->options.directory, KIND_API_KEY, id);
}

// Within a read section.
static ez_status reply_secret(const ez_oauth *oauth, ez_call *call, int64_t id, int outcome) {
    const ez_entry *entry = entry_of(oauth, id);
    if (!entry)
        return ez_kind_missing(KIND_API_KEY, id, &call->error);
    Ez__V1__RequestRefreshResponse reply = EZ__V1__REQUEST_REFRESH_RESPONSE__INIT;
    ez_oauth_facts facts = ez_oauth_read_facts(ez_entry_data(entry));
    reply.outcome = (Ez__V1__RefreshOutcome)outcome;
    reply.secret_version = ez_entry_secret_version(entry);
    reply.expires_at = facts.expires_ns ? ez_stamp_make(facts.expires_ns, &call->arena) : NULL;
    ez_status status = ez_directory_unseal(oauth->options.directory, entry, &call->arena, &reply.secret, &call->error);
    return status == EZ_OK ? ez_call_reply(call, &reply.base) : status;
}

static ez_status reply_state(ez_oauth *oauth, ez_call *call, int64_t id, int outcome) {
    const ez_entry *entry = entry_of(oauth, id);
    if (!entry)
        return ez_kind_missing(KIND_API_KEY, id, &call->error);
    Ez__V1__RefreshApiKeyResponse reply = EZ__V1__REFRESH_API_KEY_RESPONSE__INIT;
    ez_oauth_facts facts = ez_oauth_read_facts(ez_entry_data(entry));
    int64_t next_ns = ez_oauth_next_ns(oauth, id);
    reply.outcome = (Ez__V1__RefreshOutcome)outcome;
    reply.expires_at = facts.expires_ns ? ez_stamp_make(facts.expires_ns, &call->arena) : NULL;
    reply.last_refresh_at = facts.last_refresh_ns ? ez_stamp_make(facts.last_refresh_ns, &call->arena) : NULL;
    reply.next_refresh_at = next_ns ? ez_stamp_make(next_ns, &call->arena) : NULL;
    return ez_call_reply(call, &reply.base);
}

// ---- Held calls

typedef struct held {
    ez_oauth_waiter waiter;
    ez_oauth *oauth;
    ez_hold *hold;
    bool wants_secret;
} held;

static void on_done(ez_oauth_waiter *waiter, ez_status status, int outcome, const ez_error *error) {
    held *it = (held *)(void *)waiter;
    ez_call *call = it->hold->call;
    if (status == EZ_OK) {
        ez_directory_enter();
        status = it->wants_secret ? reply_secret(it->oauth, call, waiter->api_key_id, outcome)
                                  : reply_state(it->oauth, call, waiter->api_key_id, outcome);
        ez_directory_leave();
    } else {
        ez_error_copy(&call->error, error);
    }
    it->hold->done(it->hold, status);
}

static held *hold_call(ez_oauth *oauth, ez_hold *hold, int64_t id, bool wants_secret) {
    held *it = ez_arena_zalloc(&hold->call->arena, sizeof *it);
    if (!it)
        return NULL;
    it->oauth = oauth;
    it->hold = hold;
    it->wants_secret = wants_secret;
    it->waiter.api_key_id = id;
    it->waiter.deadline_ns = hold->call->deadline_ns;
    it->waiter.done = on_done;
    return it;
}

static bool is_replaced(const ez_oauth *oauth, const ez_oauth_waiter *waiter) {
    ez_error error = EZ_ERROR_INIT;
    ez_oauth_key key;
    bool is_newer = waiter->has_observed && ez_oauth_key_read(oauth, waiter->api_key_id, &key, &error) == EZ_OK &&
                    ez_oauth_is_newer(&key, waiter);
    if (waiter->has_observed)
        ez_oauth_key_fini(&key);
    return is_newer;
}

ez_status ez_handle_tokens_request_refresh(ez_oauth *self, ez_call *call, ez_hold *hold,
                                           Ez__V1__RequestRefreshRequest *request) {
    size_t len = request->observed_access_token_sha256.len;
    if (len != 0 && len != EZ_SHA256_LEN)
        return ez_call_fail(call, EZ_INVALID_ARGUMENT, "HASH_LENGTH", "observed_access_token_sha256 has 32 bytes");
    held *it = hold_call(self, hold, request->api_key_id, true);
    if (!it)
        return ez_no_memory(&call->error);
    it->waiter.has_observed = len != 0;
    if (len)
        memcpy(it->waiter.observed, request->observed_access_token_sha256.data, len);
    if (is_replaced(self, &it->waiter)) {
        on_done(&it->waiter, EZ_OK, OUTCOME_ALREADY, NULL);
        return EZ_OK;
    }
    return ez_oauth_ask(self, &it->waiter, &call->error);
}

ez_status ez_handle_token_refresh_refresh(ez_oauth *self, ez_call *call, ez_hold *hold,
                                          Ez__V1__RefreshApiKeyRequest *request) {
    held *it = hold_call(self, hold, request->id, false);
    if (!it)
        return ez_no_memory(&call->error);
    it->waiter.force = request->force;
    it->waiter.may_force = !request->force;
    return ez_oauth_ask(self, &it->waiter, &call->error);
}

// ---- The Redis queue

#define GRACE_NS 1000000000ull // past the deadline, by which the thread answers

// Shared by whoever waits and the thread: where the thread is late by more than the grace, the one who waits leaves,
// and the thread frees it when it answers.
typedef struct waiting {
    ez_oauth_waiter waiter;
    pthread_mutex_t lock;
    pthread_cond_t over;
    bool is_over, is_left;
    ez_status status;
    ez_error error;
} waiting;

static waiting *make_waiting(int64_t api_key_id, uint64_t deadline_ns, ez_error *error) {
    waiting *it = calloc(1, sizeof *it);
    pthread_condattr_t monotonic;
    if (!it) {
        (void)ez_no_memory(error);
        return NULL;
    }
    it->waiter.api_key_id = api_key_id;
    it->waiter.deadline_ns = deadline_ns;
    pthread_mutex_init(&it->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&it->over, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return it;
}

static void free_waiting(waiting *it) {
    pthread_cond_destroy(&it->over);
    pthread_mutex_destroy(&it->lock);
    free(it);
}

static void on_over(ez_oauth_waiter *waiter, ez_status status, int outcome, const ez_error *error) {
    (void)outcome;
    waiting *it = (waiting *)(void *)waiter;
    pthread_mutex_lock(&it->lock);
    bool is_left = it->is_left;
    it->is_over = true;
    it->status = status;
    if (status != EZ_OK)
        ez_error_copy(&it->error, error);
    pthread_cond_signal(&it->over);
    pthread_mutex_unlock(&it->lock);
    if (is_left)
        free_waiting(it);
}

static bool read_hash(const char *hex, uint8_t out[EZ_SHA256_LEN]) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < EZ_SHA256_LEN; i++) {
        const char *high = hex[2 * i] ? strchr(digits, hex[2 * i]) : NULL;
        const char *low = high && hex[2 * i + 1] ? strchr(digits, hex[2 * i + 1]) : NULL;
        if (!low)
            return false;
        out[i] = (uint8_t)((high - digits) << 4 | (low - digits));
    }
    return hex[2 * EZ_SHA256_LEN] == 0;
}

// A refresh that failed is over, as far as whoever queued it is concerned: it is tried again by its turn, or the key
// says why it is not. One entry must not hold up those behind it.
static ez_status judge(const waiting *it, ez_error *error) {
    static const char *const later[] = {"REFRESH_LATER", "REFRESH_FAILED", "REFRESH_RATE_LIMITED",
                                        "REFRESH_OUTCOME_UNKNOWN"};
    bool has_failed = false;
    for (size_t i = 0; it->status == EZ_ABORTED && i < sizeof later / sizeof later[0]; i++)
        has_failed = has_failed || strcmp(it->error.reason, later[i]) == 0;
    if (it->status == EZ_OK || it->status == EZ_FAILED_PRECONDITION || has_failed)
        return EZ_OK;
    return ez_error_copy(error, &it->error);
}

// Frees it, or leaves it to the thread.
static ez_status wait_over(waiting *it, ez_error *error) {
    uint64_t at = it->waiter.deadline_ns + GRACE_NS;
    struct timespec until = {.tv_sec = (time_t)(at / 1000000000u), .tv_nsec = (long)(at % 1000000000u)};
    pthread_mutex_lock(&it->lock);
    for (int rv = 0; !it->is_over && rv == 0;)
        rv = pthread_cond_timedwait(&it->over, &it->lock, &until);
    bool is_over = it->is_over;
    it->is_left = !is_over;
    ez_status status = is_over ? judge(it, error)
                               : ez_error_set(error, EZ_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED",
                                              "the token refresh was not over by the deadline");
    pthread_mutex_unlock(&it->lock);
    if (is_over)
        free_waiting(it);
    return status;
}

ez_status ez_oauth_refresh(ez_oauth *oauth, int64_t api_key_id, const char *observed_sha256, uint64_t timeout_ms,
                           ez_error *error) {
    waiting *it = make_waiting(api_key_id, ez_clock_mono_ns() + timeout_ms * UINT64_C(1000000), error);
    if (!it)
        return error->code;
    it->waiter.done = on_over;
    it->waiter.has_observed = observed_sha256[0] && read_hash(observed_sha256, it->waiter.observed);
    ez_status status = ez_oauth_ask(oauth, &it->waiter, error);
    if (status == EZ_OK)
        return wait_over(it, error);
    free_waiting(it);
    return status;
}
