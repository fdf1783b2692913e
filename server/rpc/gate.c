// SPDX-License-Identifier: Apache-2.0
//
// A token is looked up by its hash in the index of the scope the method wants; only when it is not there are the other
// scopes asked, to tell "I don't know you" from "you may not".
//
// The awkward case: what a token is worth ends with time (an admin token's expires_at) or by its owner's state (a
// suspended master); both are read from the entry at each call, so that no cache outlives a revocation.
#include "server/rpc/gate.h"

#include <stdio.h>
#include <string.h>

#include "ez/v1/master.pb-c.h"
#include "proto/crypto/hash.h"
#include "proto/crypto/token.h"
#include "proto/runtime/wire.h"

#define TOKEN_MAX 256

// Field numbers of proto/ez/v1/{token,master}.proto.
enum { ADMIN_TOKEN_EXPIRES_AT = 3, MASTER_STATUS = 8, RESOURCE_NAME = 2, TIMESTAMP_SECONDS = 1 };

typedef struct scope_row {
    ez_scope scope;
    ez_index index;
    const char *word; // in the audit
    const char *what; // in errors
} scope_row;

static const scope_row scopes[] = {
    {EZ_SCOPE_ADMIN, EZ_INDEX_ADMIN_TOKEN_TOKEN, "admin", "an admin token"},
    {EZ_SCOPE_MASTER, EZ_INDEX_MASTER_TOKEN, "master", "a master key"},
    {EZ_SCOPE_DATA_PLANE, EZ_INDEX_DATA_PLANE_TOKEN, "data-plane", "a data plane's token"},
};
#define SCOPE_COUNT (sizeof scopes / sizeof scopes[0])

static bool bearer(const ez_slice *authorization, ez_slice *token) {
    static const char prefix[] = "bearer ";
    size_t at = sizeof prefix - 1;
    if (authorization->len <= at || strncasecmp((const char *)authorization->data, prefix, at) != 0) {
        return false;
    }
    while (at < authorization->len && authorization->data[at] == ' ') {
        at++;
    }
    token->data = authorization->data + at;
    token->len = authorization->len - at;
    return token->len > 0 && token->len <= TOKEN_MAX;
}

static bool is_expired(const ez_entry *entry, int64_t now_ns) {
    ez_slice data = ez_entry_data(entry);
    ez_wire_field at;
    if (!ez_wire_find(data.data, data.len, ADMIN_TOKEN_EXPIRES_AT, &at)) {
        return false;
    }
    ez_wire_field seconds;
    int64_t until = 0;
    if (ez_wire_find(at.bytes.data, at.bytes.len, TIMESTAMP_SECONDS, &seconds)) {
        until = (int64_t)seconds.varint;
    }
    return until <= now_ns / 1000000000;
}

static bool is_suspended(const ez_entry *entry) {
    ez_slice data = ez_entry_data(entry);
    ez_wire_field status;
    return ez_wire_find(data.data, data.len, MASTER_STATUS, &status) &&
           status.varint == EZ__V1__MASTER_STATUS__MASTER_STATUS_SUSPENDED;
}

// Whose token this is within one scope; NULL: nobody's who may act now.
static const ez_entry *find(const ez_directory *directory, const scope_row *row, const uint8_t *hash, int64_t now_ns) {
    const ez_entry *entry = ez_directory_find(directory, row->index, ez_index_bytes(hash, EZ_TOKEN_HASH_LEN));
    if (entry != NULL && row->scope == EZ_SCOPE_ADMIN && is_expired(entry, now_ns)) {
        return NULL;
    }
    return entry;
}

static void name_principal(ez_call *call, const scope_row *row, const ez_entry *entry) {
    call->principal.scope = row->scope;
    call->principal.id = ez_entry_id(entry);
    // Only what is audited, or may lead to that, pays for the name.
    ez_effect effect = call->method->effect;
    if (effect != EZ_EFFECT_CHANGE && effect != EZ_EFFECT_HELD && effect != EZ_EFFECT_APPEND) {
        return;
    }
    ez_slice data = ez_entry_data(entry);
    ez_wire_field name = {0};
    int len = 0;
    if (ez_wire_find(data.data, data.len, RESOURCE_NAME, &name)) {
        len = name.bytes.len < 64 ? (int)name.bytes.len : 64;
    }
    snprintf(call->principal.actor, sizeof call->principal.actor, "%s:%lld:%.*s", row->word,
             (long long)call->principal.id, len, len > 0 ? (const char *)name.bytes.data : "");
}

static ez_status refuse(ez_call *call, const ez_directory *directory, const uint8_t *hash, ez_scope wanted,
                        const char *what) {
    for (size_t i = 0; i < SCOPE_COUNT; i++) {
        if (scopes[i].scope != wanted && find(directory, &scopes[i], hash, call->time_ns) != NULL) {
            return ez_call_fail(call, EZ_PERMISSION_DENIED, "WRONG_SCOPE", "%s can't be called with %s: use %s",
                                call->method->name, scopes[i].what, what);
        }
    }
    return ez_call_fail(
        call, EZ_UNAUTHENTICATED, "TOKEN_UNKNOWN",
        "this token is not known here, was revoked, or has expired: send \"Authorization: Bearer …\" with %s", what);
}

static ez_status admit(const ez_directory *directory, ez_call *call, const uint8_t *hash) {
    const scope_row *wanted = NULL;
    for (size_t i = 0; i < SCOPE_COUNT; i++) {
        if (scopes[i].scope == call->method->scope) {
            wanted = &scopes[i];
        }
    }
    const ez_entry *entry = find(directory, wanted != NULL ? wanted : &scopes[0], hash, call->time_ns);
    if (wanted == NULL) { // public: an admin is shown more, anybody else is nobody
        if (entry != NULL) {
            name_principal(call, &scopes[0], entry);
        }
        return EZ_OK;
    }
    if (entry == NULL) {
        return refuse(call, directory, hash, wanted->scope, wanted->what);
    }
    if (wanted->scope == EZ_SCOPE_MASTER && is_suspended(entry)) {
        return ez_call_fail(call, EZ_PERMISSION_DENIED, "MASTER_SUSPENDED",
                            "this master is suspended: ask an administrator to activate it");
    }
    name_principal(call, wanted, entry);
    return EZ_OK;
}

// Servers of one store derive one token from the sealing key: there is no entry to look up.
static ez_status admit_peer(const ez_directory *directory, const uint8_t *peer_hash, ez_call *call,
                            const uint8_t *hash) {
    if (peer_hash == NULL || !ez_equal_secret(peer_hash, hash, EZ_TOKEN_HASH_LEN)) {
        return refuse(call, directory, hash, EZ_SCOPE_PEER, "the credential of a server of this store");
    }
    call->principal.scope = EZ_SCOPE_PEER;
    return EZ_OK;
}

ez_status ez_gate_admit(const ez_directory *directory, const uint8_t *peer_hash, ez_call *call) {
    ez_slice token;
    call->principal.scope = EZ_SCOPE_PUBLIC;
    call->principal.id = 0;
    call->principal.actor[0] = '\0';
    if (!bearer(&call->header.authorization, &token)) {
        if (call->method->scope == EZ_SCOPE_PUBLIC) {
            return EZ_OK;
        }
        return ez_call_fail(call, EZ_UNAUTHENTICATED, "TOKEN_MISSING",
                            "%s wants a credential: send \"Authorization: Bearer …\"", call->method->name);
    }
    uint8_t hash[EZ_TOKEN_HASH_LEN];
    ez_token_hash((const char *)token.data, token.len, hash);
    ez_directory_enter();
    ez_status status = call->method->scope == EZ_SCOPE_PEER ? admit_peer(directory, peer_hash, call, hash)
                                                            : admit(directory, call, hash);
    ez_directory_leave();
    return status;
}
