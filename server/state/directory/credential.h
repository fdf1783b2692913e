// SPDX-License-Identifier: Apache-2.0
//
// ez_credential: a token that was just made, and what is kept of it. For the folders whose resources have a token; the
// resource's own fields are filled in by them. Texts live in the transaction's arena.
#pragma once

#include "server/state/directory/txn.h"

typedef struct ez_credential {
    char *token;  // "" where the call only asks what would happen (validate_only): it would never work
    char *prefix; // its first characters
    char *last4;
    ProtobufCBinaryData sha256;
} ez_credential;

// prefix as in token.h.
ez_status ez_credential_mint(ez_txn *txn, const char *prefix, ez_credential *out, ez_error *error) EZ_MUST_CHECK;
// From a token somebody else chose.
ez_status ez_credential_from(ez_txn *txn, const char *token, ez_credential *out, ez_error *error) EZ_MUST_CHECK;
