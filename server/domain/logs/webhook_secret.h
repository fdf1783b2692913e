// SPDX-License-Identifier: Apache-2.0
//
// The error webhook's secret at rest: Setting.sealed_secret. Bound to its place and to Setting.secret_version, which
// goes up by one with each new secret, so that an older one that is put back does not open. Any thread.
#pragma once

#include "proto/crypto/seal.h"
#include "proto/runtime/frame.h"

#define EZ_WEBHOOK_SECRET_MAX 255 // bytes, as ErrorWebhook.secret

// Appends to out. INVALID_ARGUMENT (SECRET_EMPTY): nothing is ever signed with an empty secret.
ez_status ez_webhook_secret_seal(const ez_sealer *sealer, uint64_t version, const char *secret, ez_buf *out,
                                 ez_error *error) EZ_MUST_CHECK;

// secret: NUL-terminated; the caller wipes it. FAILED_PRECONDITION (SECRET_EMPTY) where none was sealed, DATA_LOSS
// where it can't be opened.
ez_status ez_webhook_secret_unseal(const ez_sealer *sealer, uint64_t version, ez_slice sealed,
                                   char secret[EZ_WEBHOOK_SECRET_MAX + 1], ez_error *error) EZ_MUST_CHECK;
