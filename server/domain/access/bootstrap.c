// SPDX-License-Identifier: Apache-2.0
//
// The first start: the namespace "default" and the first admin token, in one revision, through the writer like every
// other change. Later starts change nothing. The awkward case is a given token (EZ_ADMIN_TOKEN) on a later start:
// taking it would let whoever sets an environment variable undo a revocation, so it is ignored and a log line says so.
#include <string.h>

#include "proto/runtime/log.h"
#include "server/domain/access/inside.h"

#define GIVEN_MAX 255 // fits an Authorization header

typedef struct first_start {
    const char *given; // NULL: none
    bool is_taken;
} first_start;

static ez_status make_default(ez_txn *txn, ez_error *error) {
    if (ez_txn_find(txn, EZ_INDEX_NAMESPACE_NAME, ez_index_text("default")))
        return EZ_OK;
    Ez__V1__Namespace name = EZ__V1__NAMESPACE__INIT;
    name.name = (char *)"default";
    name.description = (char *)"Where models without a namespace are looked up.";
    ez_status status = ez_txn_fill(txn, KIND_NAMESPACE, &name.base, error);
    return status == EZ_OK ? ez_txn_put(txn, KIND_NAMESPACE, &name.base, error) : status;
}

static ez_status make_first(ez_txn *txn, const char *given, ez_error *error) {
    ez_credential made;
    ez_status status = ez_credential_from(txn, given, &made, error);
    if (status != EZ_OK)
        return status;
    Ez__V1__AdminToken token = EZ__V1__ADMIN_TOKEN__INIT;
    token.name = (char *)"first";
    // A given token may have any form: none of its first characters is a prefix we gave it.
    token.token_prefix = strncmp(given, "eza_", 4) == 0 ? made.prefix : (char *)"";
    token.token_last4 = made.last4;
    token.token_sha256 = made.sha256;
    return ez_txn_put(txn, KIND_ADMIN_TOKEN, &token.base, error);
}

static ez_status run_first(void *self, ez_call *call, void *scene, ProtobufCMessage *request) {
    (void)request;
    static const Ez__V1__Empty nothing = EZ__V1__EMPTY__INIT;
    first_start *start = self;
    ez_txn *txn = scene;
    ez_status status = make_default(txn, &call->error);
    start->is_taken = status == EZ_OK && start->given && !ez_txn_next(txn, KIND_ADMIN_TOKEN, 0); // it may be run again
    if (start->is_taken)
        status = make_first(txn, start->given, &call->error);
    return status == EZ_OK ? ez_call_reply(call, &nothing.base) : status;
}

static ez_status check_given(const char *given, ez_error *error) {
    size_t len = strlen(given);
    if (len < EZ_ADMIN_TOKEN_MIN || len > GIVEN_MAX)
        return ez_error_set(
            error, EZ_INVALID_ARGUMENT, "ADMIN_TOKEN_LENGTH",
            "EZ_ADMIN_TOKEN must have %d to %d characters, it has %zu: give a longer random one, or none "
            "and let one be made",
            EZ_ADMIN_TOKEN_MIN, GIVEN_MAX, len);
    for (size_t i = 0; i < len; i++)
        if (given[i] <= ' ' || given[i] > '~')
            return ez_error_set(error, EZ_INVALID_ARGUMENT, "ADMIN_TOKEN_CHARACTERS",
                                "EZ_ADMIN_TOKEN may hold printable ASCII without blanks only");
    return EZ_OK;
}

// Whether there is nothing left to do; *has_tokens: at least not for the given token.
static bool is_done(const ez_directory *directory, const char *given, bool *has_tokens) {
    ez_directory_enter();
    bool has_default = ez_directory_find(directory, EZ_INDEX_NAMESPACE_NAME, ez_index_text("default")) != NULL;
    *has_tokens = ez_directory_count(directory, KIND_ADMIN_TOKEN) > 0;
    if (*has_tokens && given) {
        uint8_t hash[EZ_TOKEN_HASH_LEN];
        ez_token_hash(given, strlen(given), hash);
        if (!ez_directory_find(directory, EZ_INDEX_ADMIN_TOKEN_TOKEN, ez_index_bytes(hash, sizeof hash)))
            ez_log_warn(
                "EZ_ADMIN_TOKEN is not among the admin tokens and is ignored: make tokens with an existing one");
    }
    ez_directory_leave();
    return has_default && *has_tokens;
}

ez_status ez_access_bootstrap(ez_writer *writer, const ez_directory *directory, const char *admin_token, bool *is_taken,
                              ez_error *error) {
    const char *given = admin_token && admin_token[0] ? admin_token : NULL;
    bool has_tokens;
    *is_taken = false;
    if (is_done(directory, given, &has_tokens))
        return EZ_OK;
    ez_status status = given && !has_tokens ? check_given(given, error) : EZ_OK;
    if (status != EZ_OK)
        return status;
    ez_call *call;
    if (ez_call_create_system("bootstrap", &call) != EZ_OK)
        return ez_no_memory(error);
    Ez__V1__Empty request = EZ__V1__EMPTY__INIT;
    first_start start = {.given = given};
    status = ez_writer_run(writer, call, run_first, &start, &request.base, error);
    *is_taken = status == EZ_OK && start.is_taken;
    ez_call_destroy_system(call);
    return status;
}
