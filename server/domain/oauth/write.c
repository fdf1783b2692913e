// SPDX-License-Identifier: Apache-2.0
//
// What the writer does for a refresh: one revision, audited as the system's, compared within the transaction with the
// refresh token that was presented. Where that is another one by now, nothing is changed: somebody else was faster.
// Only what a refresh is about is put into the key as it stands; a row that was read before is never saved.
//
// Threads: the handlers are the writer's, and run while it has the flight.
#include <stdio.h>
#include <string.h>

#include "ez/v1/common.pb-c.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/utf8.h"
#include "server/domain/oauth/inside.h"
#include "server/state/directory/edit.h"
#include "server/state/directory/stamp.h"

#define WRITE_NS   20000000000ull // at most, and half of the claim
#define LAST4_FROM 8 // shorter secrets show nothing of themselves, as server/domain/routing/api_key.c has it
#define S          1000000000ll

typedef struct writing {
    ez_oauth_flight *flight;
    ez_txn *txn;
    ez_error *error;
    Ez__V1__ApiKey *key;
    Ez__V1__ApiKeySecret secret;
    bool is_same_access; // the access token is the one that was read
} writing;

static char empty[] = "";

// Whether the refresh token is still the one that was presented.
static ez_status load(writing *w, bool *is_same) {
    ProtobufCMessage *loaded;
    Ez__V1__ApiKeySecret *held = NULL;
    ez_status status = ez_txn_load(w->txn, KIND_API_KEY, w->flight->id, &loaded, w->error);
    if (status == EZ_OK)
        status = ez_txn_unseal(w->txn, ez_txn_get(w->txn, KIND_API_KEY, w->flight->id), &held, w->error);
    if (status != EZ_OK)
        return status;
    uint8_t hash[EZ_SHA256_LEN];
    w->key = (Ez__V1__ApiKey *)loaded;
    w->secret = held ? *held : (Ez__V1__ApiKeySecret)EZ__V1__API_KEY_SECRET__INIT;
    ez_sha256(w->secret.refresh_token, strlen(w->secret.refresh_token), hash);
    *is_same = memcmp(hash, w->flight->key.refresh_hash, sizeof hash) == 0;
    ez_sha256(w->secret.access_token, strlen(w->secret.access_token), hash);
    w->is_same_access = memcmp(hash, w->flight->key.access_hash, sizeof hash) == 0;
    return EZ_OK;
}

static ez_status follow(writing *w, Ez__V1__ApiKeyStatus before) {
    const ez_oauth_options *options = &w->flight->oauth->options;
    if ((w->key->status == API_KEY_ACTIVE) == (before == API_KEY_ACTIVE) || !options->follow)
        return EZ_OK;
    return options->follow(options->follow_user, w->txn, w->key->group_id, w->key->id, w->error);
}

static char *copy(writing *w, const char *text) {
    return ez_arena_strdup(ez_txn_arena(w->txn), text);
}

// ---- The tokens

static int64_t ends_at(const writing *w, int64_t now_ns) {
    const ez_oauth_tokens *got = w->flight->tokens;
    if (got->expires_s)
        return got->expires_s * S;
    return now_ns + (got->expires_in_s ? got->expires_in_s : ez_oauth_providers[w->flight->provider]->lifetime_s) * S;
}

static bool set_last4(writing *w) {
    if (w->secret.api_key[0])
        return true;
    const char *text = w->secret.access_token;
    size_t len = strlen(text);
    w->key->api_key_last4 = copy(w, len >= LAST4_FROM && ez_utf8_is_valid(text + len - 4, 4) ? text + len - 4 : "****");
    return w->key->api_key_last4 != NULL;
}

static ez_status take_tokens(writing *w) {
    ez_oauth_tokens *got = w->flight->tokens;
    int64_t now_ns = ez_txn_now_ns(w->txn);
    Ez__V1__ApiKey *key = w->key;
    if (got->access_token[0]) {
        w->secret.access_token = got->access_token;
        key->expires_at = ez_stamp_make(ends_at(w, now_ns), ez_txn_arena(w->txn));
    }
    if (got->refresh_token[0])
        w->secret.refresh_token = got->refresh_token;
    if (got->account_id[0] && !key->account_id[0])
        key->account_id = got->account_id;
    if (got->scope[0] && ez_oauth_providers[w->flight->provider]->sends_scope)
        key->granted_scope = got->scope;
    key->has_access_token = w->secret.access_token[0] != 0;
    key->has_refresh_token = w->secret.refresh_token[0] != 0;
    key->last_refresh_at = ez_stamp_make(now_ns, ez_txn_arena(w->txn));
    key->last_refresh_error = empty;
    key->refresh_ended_at = NULL;
    if (key->status == API_KEY_EXPIRED)
        key->status = API_KEY_ACTIVE;
    return (!got->access_token[0] || key->expires_at) && key->last_refresh_at && set_last4(w) ? EZ_OK
                                                                                              : ez_no_memory(w->error);
}

static ez_status put_tokens(writing *w) {
    Ez__V1__ApiKeyStatus before = w->key->status;
    ez_status status = take_tokens(w);
    if (status == EZ_OK)
        status = ez_txn_put_secret(w->txn, w->key, &w->secret, w->error);
    return status == EZ_OK ? follow(w, before) : status;
}

// ---- The end

static ez_status put_changed(writing *w, Ez__V1__ApiKeyStatus before) {
    ez_status status = ez_txn_put_changed(w->txn, KIND_API_KEY, w->key->id, &w->key->base, w->error);
    return status == EZ_OK ? follow(w, before) : status;
}

static ez_status put_end(writing *w) {
    int64_t now_ns = ez_txn_now_ns(w->txn);
    Ez__V1__ApiKeyStatus before = w->key->status;
    int64_t told_ns = w->flight->key.facts.expires_ns; // by the token itself, where the key does not say
    if (!w->key->expires_at && told_ns && w->is_same_access)
        w->key->expires_at = ez_stamp_make(told_ns, ez_txn_arena(w->txn));
    bool has_passed = w->key->expires_at && ez_stamp_has_passed(w->key->expires_at, now_ns);
    bool is_live = !(w->flight->was_dead && w->is_same_access) && !has_passed;
    w->key->refresh_ended_at = ez_stamp_make(now_ns, ez_txn_arena(w->txn));
    w->key->last_refresh_error = copy(w, w->flight->note);
    if (!w->key->refresh_ended_at || !w->key->last_refresh_error)
        return ez_no_memory(w->error);
    if (before == API_KEY_ACTIVE && !is_live)
        w->key->status = API_KEY_EXPIRED;
    return put_changed(w, before);
}

static ez_status put_expired(writing *w) {
    Ez__V1__ApiKeyStatus before = w->key->status;
    if (!w->is_same_access) { // it has another one by now
        w->flight->is_overtaken = true;
        return EZ_OK;
    }
    if (before == API_KEY_ACTIVE)
        w->key->status = API_KEY_EXPIRED;
    return put_changed(w, before);
}

static ez_status put_note(writing *w) {
    w->key->last_refresh_error = copy(w, w->flight->note);
    return w->key->last_refresh_error ? put_changed(w, w->key->status) : ez_no_memory(w->error);
}

static ez_status put_project(writing *w) {
    if (w->key->project_id[0] || !w->flight->project[0])
        return EZ_OK;
    w->key->project_id = w->flight->project;
    return put_changed(w, w->key->status);
}

static ez_status put(writing *w) {
    switch (w->flight->put) {
    case EZ_OAUTH_PUT_TOKENS:
        return put_tokens(w);
    case EZ_OAUTH_PUT_END:
        return put_end(w);
    case EZ_OAUTH_PUT_EXPIRED:
        return put_expired(w);
    case EZ_OAUTH_PUT_NOTE:
        return put_note(w);
    default:
        return put_project(w);
    }
}

static ez_status run(void *self, ez_call *call, void *scene, ProtobufCMessage *request) {
    (void)request;
    static const Ez__V1__Empty nothing = EZ__V1__EMPTY__INIT;
    writing w = {.flight = self, .txn = scene, .error = &call->error};
    bool is_same = false;
    ez_status status = load(&w, &is_same);
    if (status != EZ_OK)
        return status;
    // The project is looked up with the tokens that were put before it, whatever the refresh token is now.
    w.flight->is_overtaken = !is_same && w.flight->put != EZ_OAUTH_PUT_PROJECT;
    if (!w.flight->is_overtaken)
        status = put(&w);
    return status == EZ_OK ? ez_call_reply(call, &nothing.base) : status;
}

// ---- Handing over

static void on_written(ez_write *write) {
    ez_oauth_hand_back((ez_oauth_flight *)(void *)((char *)write - offsetof(ez_oauth_flight, write)));
}

// A write that waits for longer than the claim would outlive it.
static uint64_t patience_ns(const ez_oauth_flight *flight) {
    uint64_t half = flight->oauth->options.claim_ms * UINT64_C(500000);
    return flight->is_marked && half < WRITE_NS ? half : WRITE_NS;
}

// What the audit says of it, beside which key it was.
static void describe(ez_oauth_flight *flight) {
    static const char *const words[] = {
        [EZ_OAUTH_PUT_TOKENS] = "refreshed",
        [EZ_OAUTH_PUT_EXPIRED] = "the login has ended, and so has the access token",
        [EZ_OAUTH_PUT_PROJECT] = "its project was looked up",
        [EZ_OAUTH_PUT_NOTE] = NULL,
    };
    const char *word = words[flight->put];
    snprintf(flight->audit, sizeof flight->audit, "%s", word ? word : flight->note);
    flight->request.api_key_id = flight->id;
    flight->request.reason = flight->audit;
}

void ez_oauth_write(ez_oauth_flight *flight, ez_oauth_put put, ez_oauth_stage stage) {
    flight->put = put;
    flight->stage = stage;
    flight->is_overtaken = false;
    flight->was_dead = flight->is_dead;
    describe(flight);
    ez_call_destroy_system(flight->call);
    flight->call = NULL;
    ez_status status = ez_call_create_system("oauth", &flight->call);
    if (status == EZ_OK) {
        flight->call->deadline_ns = ez_clock_mono_ns() + patience_ns(flight);
        flight->write = (ez_write){.call = flight->call,
                                   .run = run,
                                   .self = flight,
                                   .request = &flight->request.base,
                                   .done = on_written,
                                   .fence = EZ_NO_FENCE,
                                   .started_ns = ez_clock_mono_ns()};
        status = ez_writer_submit(flight->oauth->options.writer, &flight->write, &flight->call->error);
    } else {
        flight->call = NULL;
    }
    if (status != EZ_OK) {
        flight->write.status = status;
        ez_oauth_settle(flight);
    }
}
