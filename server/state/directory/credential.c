// SPDX-License-Identifier: Apache-2.0
//
// The credentials the server hands out: master keys, keys, admin tokens and data planes' tokens. The text exists in the
// call's arena and in the one reply that reveals it; what is kept is its hash and enough characters to recognise it by.
#include "server/state/directory/credential.h"

#include <string.h>

#include "proto/crypto/token.h"
#include "server/state/directory/edit.h"

#define PREFIX_LEN 7

static ez_status describe(char *token, ez_arena *arena, ez_credential *out, ez_error *error) {
    size_t len = strlen(token);
    char *prefix = ez_arena_strndup(arena, token, len < PREFIX_LEN ? 0 : PREFIX_LEN);
    char *last4 = ez_arena_strdup(arena, len < 4 ? "" : token + len - 4);
    uint8_t *hash = ez_arena_alloc(arena, EZ_TOKEN_HASH_LEN);
    if (!prefix || !last4 || !hash)
        return ez_no_memory(error);
    ez_token_hash(token, len, hash);
    *out = (ez_credential){token, prefix, last4, {EZ_TOKEN_HASH_LEN, hash}};
    return EZ_OK;
}

ez_status ez_credential_mint(ez_txn *txn, const char *prefix, ez_credential *out, ez_error *error) {
    ez_arena *arena = ez_txn_arena(txn);
    char *token = ez_arena_alloc(arena, EZ_TOKEN_TEXT_MAX);
    if (!token)
        return ez_no_memory(error);
    if (ez_token_make(prefix, token) != EZ_OK)
        return ez_error_set(error, EZ_INTERNAL, "NO_RANDOMNESS",
                            "the system gives no random numbers: no token was made");
    ez_status status = describe(token, arena, out, error);
    if (status == EZ_OK && ez_txn_is_rehearsal(txn))
        out->token = (char *)"";
    return status;
}

ez_status ez_credential_from(ez_txn *txn, const char *token, ez_credential *out, ez_error *error) {
    ez_arena *arena = ez_txn_arena(txn);
    char *copy = ez_arena_strdup(arena, token);
    return copy ? describe(copy, arena, out, error) : ez_no_memory(error);
}
