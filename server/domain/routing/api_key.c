// SPDX-License-Identifier: Apache-2.0
//
// API keys: upstream credentials. Secrets come in with a request and go sealed into the transaction; what is answered,
// kept in the clear and logged holds their last characters at most. When a group's only API key comes into service
// or leaves it, the group's bindings are recompiled in the same revision.
#include <string.h>

#include "proto/runtime/message.h"
#include "proto/runtime/utf8.h"
#include "server/domain/routing/compile.h"
#include "server/domain/routing/counted.h"
#include "server/domain/routing/inside.h"

#define LAST4_FROM 8 // shorter secrets show nothing of themselves

static ez_status describe(ez_txn *txn, Ez__V1__ApiKey *key, const Ez__V1__ApiKeySecret *secret, ez_error *error) {
    const char *text = secret->api_key[0] ? secret->api_key : secret->access_token;
    size_t len = strlen(text);
    const char *last4 = len >= LAST4_FROM && ez_utf8_is_valid(text + len - 4, 4) ? text + len - 4 : "****";
    key->api_key_last4 = ez_arena_strdup(ez_txn_arena(txn), last4);
    key->has_access_token = secret->access_token[0] != 0;
    key->has_refresh_token = secret->refresh_token[0] != 0;
    if (!secret->api_key[0] && !secret->access_token[0] && !secret->refresh_token[0])
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "CREDENTIAL_MISSING",
                            "an API key needs an api_key, an access_token or a refresh_token");
    return key->api_key_last4 ? EZ_OK : ez_no_memory(error);
}

static bool may_be_asked_for(Ez__V1__ApiKeyStatus status) {
    return status == API_KEY_ACTIVE || status == API_KEY_DISABLED;
}

static ez_status refuse_status(ez_error *error) {
    return ez_error_set(error, EZ_INVALID_ARGUMENT, "API_KEY_STATUS_DERIVED",
                        "status may be set to active or disabled; use :ban to ban, expired follows from expires_at");
}

// The key id came into service or left it: where no other one of its group is in service, that decides the bindings.
static ez_status follow(ez_txn *txn, int64_t group_id, int64_t id, ez_touched *touched, ez_error *error) {
    if (!touched)
        return ez_compile_has_key(txn, group_id, id) ? EZ_OK : ez_compile_group(txn, group_id, error);
    for (size_t i = 0; i < touched->count; i++)
        if (touched->groups[i] == group_id)
            return EZ_OK;
    touched->groups[touched->count++] = group_id;
    return EZ_OK;
}

ez_status ez_routing_follow_key(void *self, ez_txn *txn, int64_t group_id, int64_t api_key_id, ez_error *error) {
    (void)self;
    return follow(txn, group_id, api_key_id, NULL, error);
}

// A proxy's text; where it leads is judged when it is connected to. One that is not allowed any more must not keep an
// admin from changing something else: it is looked at where it is new.
static ez_status check_proxy(const ez_routing *self, const char *url, const char *before, ez_error *error) {
    ez_error why = EZ_ERROR_INIT;
    return !url[0] || strcmp(url, before) == 0 || ez_outbound_check_url(self->allow, url, &why) == EZ_OK
               ? EZ_OK
               : ez_error_violation_of(error, "api_key.proxy_url", &why);
}

// The request is left as it was: a handler may be run again, and would find no secret in it.
ez_status ez_api_key_make(const ez_routing *self, ez_txn *txn, const Ez__V1__ApiKey *asked, ez_touched *touched,
                          Ez__V1__ApiKey **out, ez_error *error) {
    Ez__V1__ApiKey *key = ez_arena_memdup(ez_txn_arena(txn), asked, sizeof *asked);
    if (!key)
        return ez_no_memory(error);
    *out = key;
    if (!ez_txn_get(txn, KIND_PROVIDER_GROUP, key->group_id))
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "GROUP_UNKNOWN",
                            "there is no provider group %lld: create it first", (long long)key->group_id);
    ez_status status = ez_txn_fill(txn, KIND_API_KEY, &key->base, error);
    if (status != EZ_OK)
        return status;
    if (!may_be_asked_for(key->status))
        return refuse_status(error);
    status = check_proxy(self, key->proxy_url, "", error);
    if (status != EZ_OK)
        return status;
    Ez__V1__ApiKeySecret secret = EZ__V1__API_KEY_SECRET__INIT;
    secret.api_key = key->api_key;
    secret.access_token = key->access_token;
    secret.refresh_token = key->refresh_token;
    status = describe(txn, key, &secret, error);
    if (status != EZ_OK)
        return status;
    ez_api_key_blank(key);
    key->id = 0;
    status = ez_txn_put_secret(txn, key, &secret, error);
    if (status == EZ_OK && key->status == API_KEY_ACTIVE)
        status = follow(txn, key->group_id, key->id, touched, error);
    key->status = (Ez__V1__ApiKeyStatus)ez_api_key_message_status(key, ez_txn_now_ns(txn));
    return status;
}

// ---- Changing

static bool names(const Ez__V1__UpdateApiKeyRequest *request, const char *field) {
    return ez_message_mask_has(ez_kind_rule(KIND_API_KEY), &request->api_key->base, request->n_update_mask,
                               request->update_mask, field);
}

// Lays one given secret over the one that is held. *changed is set where they differ.
static void take(const Ez__V1__UpdateApiKeyRequest *request, const char *field, char *given, char **held,
                 bool *changed) {
    if (!names(request, field) || strcmp(*held, given) == 0)
        return;
    *held = given;
    *changed = true;
}

static ez_status merge_secret(ez_txn *txn, const Ez__V1__UpdateApiKeyRequest *request, Ez__V1__ApiKeySecret *out,
                              bool *changed, ez_error *error) {
    *out = (Ez__V1__ApiKeySecret)EZ__V1__API_KEY_SECRET__INIT;
    *changed = false;
    const Ez__V1__ApiKey *given = request->api_key;
    if (!names(request, "api_key") && !names(request, "access_token") && !names(request, "refresh_token"))
        return EZ_OK;
    Ez__V1__ApiKeySecret *held;
    ez_status status = ez_txn_unseal(txn, ez_txn_get(txn, KIND_API_KEY, request->id), &held, error);
    if (status != EZ_OK)
        return status;
    if (held)
        *out = *held;
    take(request, "api_key", given->api_key, &out->api_key, changed);
    take(request, "access_token", given->access_token, &out->access_token, changed);
    take(request, "refresh_token", given->refresh_token, &out->refresh_token, changed);
    return EZ_OK;
}

static bool same_stamp(const Google__Protobuf__Timestamp *a, const Google__Protobuf__Timestamp *b) {
    return a && b ? a->seconds == b->seconds && a->nanos == b->nanos : a == b;
}

// What a request may say of the status, and what follows from the rest of it.
static ez_status settle_status(ez_txn *txn, const Ez__V1__UpdateApiKeyRequest *request, Ez__V1__ApiKey *key,
                               const Ez__V1__ApiKey *before, bool has_new_secret, ez_error *error) {
    int64_t now_ns = ez_txn_now_ns(txn);
    if (names(request, "status")) {
        if (may_be_asked_for(key->status)) {
            return before->status == API_KEY_BANNED ? ez_ban_end(txn, key, error) : EZ_OK;
        }
        if ((int)key->status != ez_api_key_message_status(before, now_ns))
            return refuse_status(error);
        key->status = before->status; // sent back as it was read
    }
    bool is_renewed = has_new_secret || !same_stamp(key->expires_at, before->expires_at);
    bool lasts = (key->has_refresh_token && !key->refresh_ended_at) || !ez_stamp_has_passed(key->expires_at, now_ns);
    if (key->status == API_KEY_EXPIRED && is_renewed && lasts)
        key->status = API_KEY_ACTIVE;
    return EZ_OK;
}

// What was found out about the tokens it had says nothing of the new ones.
static void forget_refresh(Ez__V1__ApiKey *key) {
    key->refresh_ended_at = NULL;
    key->last_refresh_error = (char *)"";
}

static ez_status put(ez_txn *txn, Ez__V1__ApiKey *key, const Ez__V1__ApiKeySecret *secret, bool is_new,
                     ez_error *error) {
    if (is_new)
        return ez_txn_put_secret(txn, key, secret, error);
    return ez_txn_put_changed(txn, KIND_API_KEY, key->id, &key->base, error);
}

ez_status ez_api_key_update(const ez_routing *self, ez_txn *txn, const Ez__V1__UpdateApiKeyRequest *request,
                            ez_touched *touched, Ez__V1__ApiKey **out, ez_error *error) {
    ProtobufCMessage *loaded;
    ez_status status = ez_txn_load(txn, KIND_API_KEY, request->id, &loaded, error);
    if (status != EZ_OK)
        return status;
    Ez__V1__ApiKey *key = (Ez__V1__ApiKey *)loaded;
    const Ez__V1__ApiKey before = *key;
    Ez__V1__ApiKeySecret secret;
    bool is_new;
    status = merge_secret(txn, request, &secret, &is_new, error);
    if (status == EZ_OK)
        status = ez_txn_merge(txn, KIND_API_KEY, loaded, &request->api_key->base, request->n_update_mask,
                              request->update_mask, error);
    ez_api_key_blank(key);
    if (status == EZ_OK)
        status = check_proxy(self, key->proxy_url, before.proxy_url, error);
    if (status == EZ_OK && is_new) {
        forget_refresh(key);
        status = describe(txn, key, &secret, error);
    }
    if (status == EZ_OK)
        status = settle_status(txn, request, key, &before, is_new, error);
    if (status == EZ_OK)
        status = put(txn, key, &secret, is_new, error);
    if (status == EZ_OK && (key->status == API_KEY_ACTIVE) != (before.status == API_KEY_ACTIVE))
        status = follow(txn, key->group_id, key->id, touched, error);
    key->status = (Ez__V1__ApiKeyStatus)ez_api_key_message_status(key, ez_txn_now_ns(txn));
    *out = key;
    return status;
}

ez_status ez_api_key_delete(ez_txn *txn, int64_t id, ez_touched *touched, ez_error *error) {
    ProtobufCMessage *loaded;
    ez_status status = ez_txn_load(txn, KIND_API_KEY, id, &loaded, error);
    if (status == EZ_OK)
        status = ez_txn_delete(txn, KIND_API_KEY, id, error);
    if (status != EZ_OK)
        return status;
    const Ez__V1__ApiKey *key = (const Ez__V1__ApiKey *)loaded;
    return key->status == API_KEY_ACTIVE ? follow(txn, key->group_id, id, touched, error) : EZ_OK;
}

// ---- Handlers

static ez_status reply(const ez_routing *routing, ez_call *call, Ez__V1__ApiKey *key) {
    ez_counted_fill_api_key(routing->counters, key);
    return ez_call_reply(call, &key->base);
}

ez_status ez_handle_api_keys_create(ez_routing *self, ez_call *call, ez_txn *txn,
                                    Ez__V1__CreateApiKeyRequest *request) {
    Ez__V1__ApiKey *key;
    ez_status status = ez_api_key_make(self, txn, request->api_key, NULL, &key, &call->error);
    return status == EZ_OK ? reply(self, call, key) : status;
}

ez_status ez_handle_api_keys_update(ez_routing *self, ez_call *call, ez_txn *txn,
                                    Ez__V1__UpdateApiKeyRequest *request) {
    Ez__V1__ApiKey *key;
    ez_status status = ez_api_key_update(self, txn, request, NULL, &key, &call->error);
    return status == EZ_OK ? reply(self, call, key) : status;
}

ez_status ez_handle_api_keys_delete(ez_routing *self, ez_call *call, ez_txn *txn,
                                    Ez__V1__DeleteApiKeyRequest *request) {
    (void)self;
    static const Ez__V1__Empty nothing = EZ__V1__EMPTY__INIT;
    ez_status status = ez_api_key_delete(txn, request->id, NULL, &call->error);
    return status == EZ_OK ? ez_call_reply(call, &nothing.base) : status;
}
